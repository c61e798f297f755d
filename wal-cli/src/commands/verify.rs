//! `wal verify`: every checksum, the chain, the files.

use std::{
    io::{self, Write},
    ops::ControlFlow,
    path::PathBuf,
    time::{Duration, Instant},
};

use serde::Serialize;
use wal_db::{
    Lsn,
    recovery::{
        CopyFault, Corruption, FileFault, VerifyConfig, VerifyReport, Violation, inspect, verify_path,
    },
};

use crate::{
    failure::{Exit, Result},
    output::{Output, Show, count, digits, plain},
};

/// Checks all of a log, or a part of it. Reads only, also beside its writer.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory or the file of a log
    pub(crate) log: PathBuf,

    /// Check from this LSN on
    #[arg(long, value_name = "LSN")]
    from: Option<u64>,

    /// Check up to this LSN, not including it
    #[arg(long, value_name = "LSN")]
    to: Option<u64>,

    /// Read with so many threads
    #[arg(long, value_name = "N", default_value_t = 1)]
    jobs: usize,

    /// Read at most so many MiB a second
    #[arg(long, value_name = "MIB")]
    max_rate: Option<u64>,
}

#[derive(Serialize)]
struct Verified {
    log: String,
    opens: bool,
    intact: bool,
    records: u64,
    schemas: u64,
    groups: u64,
    bytes: u64,
    segments: usize,
    damage: Vec<Corruption>,
    files: Vec<FileFault>,
    copies: Vec<CopyFault>,
    violations: Vec<Violation>,
    stopped: bool,
}

impl Args {
    /// Checks it.
    pub(crate) fn run(self, out: &mut Output) -> Result<Exit> {
        let report = self.twice()?;
        let found = inspect(&self.log)?;
        let verified = Verified {
            log: self.log.display().to_string(),
            opens: found.damage.is_none() && found.files.is_empty(),
            intact: report.is_intact(),
            records: report.records,
            schemas: report.schemas,
            groups: report.groups,
            bytes: report.bytes,
            segments: found.segments.len(),
            damage: report.damage,
            files: report.files,
            copies: report.copies,
            violations: report.violations,
            stopped: report.stopped,
        };
        out.show(&verified)?;
        Ok(match verified.intact {
            true => Exit::Fine,
            false => Exit::Damage,
        })
    }

    /// Damage is shown only if it is there when it is looked for again, with what the log is by then.
    fn twice(&self) -> Result<VerifyReport> {
        let first = verify_path(&self.log, &self.config())?;
        if first.is_intact() || first.stopped {
            return Ok(first);
        }
        Ok(verify_path(&self.log, &self.config())?)
    }

    fn config(&self) -> VerifyConfig {
        let from = Lsn::new(self.from.unwrap_or(0));
        let config = VerifyConfig::new().with_threads(self.jobs);
        let config = match self.to {
            Some(to) => config.with_range(from..Lsn::new(to)),
            None => config.with_range(from..),
        };
        let (begun, max_rate) = (Instant::now(), self.max_rate);
        config.with_progress(move |now| {
            if let Some(rate) = max_rate {
                let due = Duration::from_secs_f64(now.done_bytes as f64 / (rate.max(1) << 20) as f64);
                std::thread::sleep(due.saturating_sub(begun.elapsed()));
            }
            ControlFlow::Continue(())
        })
    }
}

impl Show for Verified {
    const FORMAT: &'static str = "wal.verify/1";

    fn show(&self, to: &mut dyn Write) -> io::Result<()> {
        writeln!(
            to,
            "{}\n  {}  {}  {}  {}",
            plain(&self.log),
            count(self.segments as u64, "segment"),
            count(self.bytes, "byte"),
            count(self.records, "record"),
            count(self.groups, "group"),
        )?;
        for damage in &self.damage {
            writeln!(
                to,
                "  DAMAGED  {}bytes {}..{} of the log  LSN {}: {}",
                damage
                    .segment
                    .map(|index| format!("{index:010}.seg  "))
                    .unwrap_or_default(),
                digits(damage.start),
                digits(damage.end),
                damage.lsn,
                damage.reason
            )?;
        }
        for file in &self.files {
            let path = file.path.as_ref().map(|path| path.display().to_string());
            writeln!(
                to,
                "  FILE     {}: {}",
                plain(&path.unwrap_or_default()),
                file.reason
            )?;
        }
        for copy in &self.copies {
            writeln!(
                to,
                "  COPY     copy {} of the {:?} is damaged; the other one is whole",
                copy.copy, copy.of
            )?;
        }
        for violation in &self.violations {
            writeln!(to, "  RULE     LSN {}: {}", violation.lsn, violation.rule)?;
        }
        self.conclusion(to)
    }
}

impl Verified {
    fn conclusion(&self, to: &mut dyn Write) -> io::Result<()> {
        let log = plain(&self.log);
        if self.stopped {
            writeln!(to, "  stopped before the end")?;
        }
        match (self.intact, self.opens) {
            (true, true) if self.copies.is_empty() => writeln!(to, "  intact"),
            (true, true) => writeln!(
                to,
                "  intact; opening the log for writing writes both copies again"
            ),
            (true, false) => writeln!(to, "  what can be read is intact\n  next:  wal repair {log}"),
            (false, true) => writeln!(
                to,
                "  the log opens; a replay stops at the first damage\n  next:  wal salvage {log} -o NEW --dry-run"
            ),
            (false, false) => writeln!(
                to,
                "  the log does not open\n  next:  wal repair {log}     wal salvage {log} -o NEW --dry-run"
            ),
        }
    }
}
