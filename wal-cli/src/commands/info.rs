//! `wal info`: what a log is, on one screen.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use serde::Serialize;
use wal_db::recovery::{Inspection, LockHolder, inspect, writer};

use crate::{
    failure::{Exit, Result},
    output::{Output, Show, count, plain},
};

/// Says what a log is, whatever state it is in: its form, its files, where it starts and ends, and who writes it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory or the file of a log
    log: PathBuf,
}

#[derive(Serialize)]
struct Info {
    log: String,
    writer: Option<LockHolder>,
    #[serde(flatten)]
    found: Inspection,
}

impl Args {
    /// Looks at it.
    pub(crate) fn run(self, out: &mut Output) -> Result<Exit> {
        let info = Info {
            log: self.log.display().to_string(),
            writer: writer(&self.log),
            found: inspect(&self.log)?,
        };
        out.show(&info)?;
        Ok(match info.found.damage.is_none() && info.found.files.is_empty() {
            true => Exit::Fine,
            false => Exit::Damage,
        })
    }
}

impl Show for Info {
    const FORMAT: &'static str = "wal.info/1";

    fn show(&self, to: &mut dyn Write) -> io::Result<()> {
        let Info { log, writer, found } = self;
        let log = plain(log);
        let file_bytes = found.segments.iter().map(|segment| segment.file_bytes).sum();
        writeln!(to, "{log}")?;
        writeln!(
            to,
            "  id       {}",
            found.log_id.as_deref().unwrap_or("not known")
        )?;
        let form = match found.segment_size {
            Some(size) => format!("segments of {}", count(size, "byte")),
            None => "one file".to_owned(),
        };
        writeln!(
            to,
            "  form     {form}, {}, {}",
            count(found.segments.len() as u64, "file"),
            count(file_bytes, "byte")
        )?;
        writeln!(
            to,
            "  manifest {} of 2 copies intact",
            found.intact_manifest_copies
        )?;
        if let Some(head) = found.head {
            let end = found
                .recovery
                .as_ref()
                .map_or_else(|| "not known".to_owned(), |found| found.end.to_string());
            writeln!(to, "  LSNs     from {head} to {end}")?;
        }
        if let Some(newest) = found.epochs.last() {
            writeln!(to, "  epoch    {}, {} known", newest.epoch, found.epochs.len())?;
        }
        if let Some(recovery) = &found.recovery {
            let clean = if recovery.clean {
                "closed"
            } else {
                "not closed, or in use"
            };
            writeln!(
                to,
                "  state    {clean}, {} in staging memory",
                count(recovery.staged_records, "record")
            )?;
        }
        match writer {
            Some(writer) => writeln!(to, "  writer   {}", plain(&writer.to_string()))?,
            None => writeln!(to, "  writer   none that the system tells of")?,
        }
        for kept in &found.kept {
            writeln!(to, "  cut off  {}", plain(&kept.display().to_string()))?;
        }
        for file in &found.files {
            let path = file.path.as_ref().map(|path| path.display().to_string());
            writeln!(
                to,
                "  FILE     {}: {}",
                plain(&path.unwrap_or_default()),
                file.reason
            )?;
        }
        match &found.damage {
            Some(damage) => writeln!(
                to,
                "  DAMAGED  LSN {}: {}\n  it does not open; next:  wal repair {log}     wal salvage {log} --dry-run",
                damage.lsn, damage.reason
            ),
            None if found.files.is_empty() => Ok(()),
            None => writeln!(to, "  it opens for reading only; next:  wal repair {log}"),
        }
    }
}
