//! `wal salvage`: every intact record into a new log.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::Serialize;
use wal_db::{
    Lsn, Wal, WalConfig,
    recovery::{Corruption, SalvageItem, inspect, salvage},
    schema::Schemas,
};

use crate::{
    failure::{Exit, Failure, Result},
    output::{Output, Show, count, digits, plain},
};

/// Copies every intact record of a log, in whatever state it is, to a new one. Never touches the log.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory or the file of a log, or a file that keeps what was cut off one
    log: PathBuf,

    /// Where the new log goes; nothing may be there
    #[arg(short, long, value_name = "NEW", required_unless_present = "dry_run")]
    output: Option<PathBuf>,

    /// Only say what would be copied
    #[arg(long)]
    dry_run: bool,

    /// Also what was cut off the log when it was opened, after the rest
    #[arg(long)]
    with_cut: bool,
}

#[derive(Default, Serialize)]
struct Salvaged {
    log: String,
    new: Option<String>,
    /// Records that were in the store.
    records: u64,
    /// Those that were in staging memory only.
    staged: u64,
    /// Those of files that keep what was cut off.
    cut: u64,
    schemas: u64,
    gaps: Vec<Gap>,
    /// What the new log does not take, and why.
    refused: Vec<Refused>,
}

/// A place where records may be missing.
#[derive(Serialize)]
struct Gap {
    /// The last record before it.
    after: Option<Lsn>,
    damage: Corruption,
    /// The first one after it.
    before: Option<Lsn>,
}

#[derive(Serialize)]
struct Refused {
    lsn: Lsn,
    why: String,
}

impl Args {
    /// Copies it.
    pub(crate) fn run(self, out: &mut Output) -> Result<Exit> {
        let mut found = Salvaged {
            log: self.log.display().to_string(),
            ..Salvaged::default()
        };
        let new = match &self.output {
            Some(path) if !self.dry_run => {
                found.new = Some(path.display().to_string());
                Some(make(&self.log, path)?)
            }
            _ => None,
        };
        let mut schemas = Schemas::default();
        copy(&self.log, new.as_ref(), &mut schemas, &mut found, false)?;
        if self.with_cut {
            for kept in inspect(&self.log)?.kept {
                copy(&kept, new.as_ref(), &mut schemas, &mut found, true)?;
            }
        }
        if let Some(new) = new {
            new.close()?;
        }
        out.show(&found)?;
        Ok(match found.gaps.is_empty() && found.refused.is_empty() {
            true => Exit::Fine,
            false => Exit::Incomplete,
        })
    }
}

/// A new log of the form that the old one has.
fn make(log: &Path, new: &Path) -> Result<Wal> {
    if new.symlink_metadata().is_ok() {
        return Err(Failure::Refused(format!(
            "{} is there already; salvage makes a new log",
            new.display()
        )));
    }
    let config = WalConfig::new();
    Ok(match inspect(log).ok().and_then(|found| found.segment_size) {
        Some(size) => Wal::open_segmented_with(new, size, config)?,
        None if log.is_dir() => Wal::open_segmented_with(new, 64 << 20, config)?,
        None => Wal::open_with(new, config)?,
    })
}

fn copy(
    from: &Path,
    new: Option<&Wal>,
    schemas: &mut Schemas,
    found: &mut Salvaged,
    is_cut: bool,
) -> Result<()> {
    let (mut last, mut open_gaps) = (None, 0);
    for item in salvage(from)? {
        let (record, counted) = match item? {
            SalvageItem::Schema(record) => {
                found.schemas += 1;
                // One that says what this release does not know describes nothing here; its records are copied.
                let _ = schemas.take(&record);
                continue;
            }
            SalvageItem::Damage(damage) => {
                found.gaps.push(Gap {
                    after: last,
                    damage,
                    before: None,
                });
                open_gaps += 1;
                continue;
            }
            SalvageItem::Staged(record) => (record, if is_cut { &mut found.cut } else { &mut found.staged }),
            SalvageItem::Record(record) => (
                record,
                if is_cut {
                    &mut found.cut
                } else {
                    &mut found.records
                },
            ),
            _ => continue,
        };
        *counted += 1;
        last = Some(record.lsn());
        for gap in found.gaps.iter_mut().rev().take(std::mem::take(&mut open_gaps)) {
            gap.before = last;
        }
        if let Some(new) = new
            && let Err(error) = record.append_to(new, schemas)
        {
            if !matches!(error, wal_db::WalError::Typed(_)) {
                return Err(error.into());
            }
            found.refused.push(Refused {
                lsn: record.lsn(),
                why: error.to_string(),
            });
        }
    }
    Ok(())
}

impl Show for Salvaged {
    const FORMAT: &'static str = "wal.salvage/1";

    fn show(&self, to: &mut dyn Write) -> io::Result<()> {
        let (staged, cut) = (count(self.staged, "record"), count(self.cut, "record"));
        let what = if self.new.is_some() {
            "copied"
        } else {
            "would copy"
        };
        writeln!(to, "{}", plain(&self.log))?;
        writeln!(to, "  {what} {}", count(self.records, "record"))?;
        if self.staged > 0 {
            writeln!(
                to,
                "  {what} {staged} from staging memory, which were not durable"
            )?;
        }
        if self.cut > 0 {
            writeln!(to, "  {what} {cut} from what was cut off when the log was opened")?;
        }
        for gap in &self.gaps {
            let lsn =
                |lsn: Option<Lsn>, none: &str| lsn.map_or_else(|| none.to_owned(), |lsn| lsn.to_string());
            writeln!(
                to,
                "  GAP      bytes {}..{}, after LSN {}, before LSN {}: {}",
                digits(gap.damage.start),
                digits(gap.damage.end),
                lsn(gap.after, "none"),
                lsn(gap.before, "none"),
                gap.damage.reason
            )?;
        }
        for refused in &self.refused {
            writeln!(to, "  REFUSED  LSN {}: {}", refused.lsn, plain(&refused.why))?;
        }
        match (&self.new, self.gaps.is_empty() && self.refused.is_empty()) {
            (Some(new), true) => writeln!(to, "  complete: {}", plain(new)),
            (Some(new), false) => writeln!(to, "  with gaps: {}", plain(new)),
            (None, _) => writeln!(to, "  next:  wal salvage {} -o NEW", plain(&self.log)),
        }
    }
}
