//! `wal repair`: the smallest change that lets a log open.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use serde::Serialize;
use wal_db::{
    WalError,
    recovery::{RecoveryReport, Repair, RepairStep, repair},
};

use crate::{
    change::Change,
    failure::{Exit, Failure, Result},
    output::{Output, Show, count, plain},
    quarantine::Quarantine,
};

/// Finds the smallest change that lets a log open, and makes it with --write. What it changes is kept, for wal undo.
///
/// Run it as the user whose log it is: a file that it makes belongs to the user who runs it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory or the file of a log
    log: PathBuf,

    #[command(flatten)]
    change: Change,

    /// Refuse to lose more intact records than this
    #[arg(long, value_name = "RECORDS")]
    max_loss: Option<u64>,
}

#[derive(Serialize)]
struct Repaired<'a> {
    log: String,
    /// It was done, and this is where what it has changed is kept.
    quarantine: Option<String>,
    steps: &'a [RepairStep],
    records: u64,
    lost_records: u64,
    recovery: &'a RecoveryReport,
}

impl Args {
    /// Plans it, and does it if the user says so.
    pub(crate) fn run(self, out: &mut Output) -> Result<Exit> {
        let plan = repair(&self.log)?;
        if plan.steps.is_empty() {
            out.show(&self.report(&plan, &plan.recovery, None))?;
            return Ok(Exit::Fine);
        }
        if let Some(most) = self.max_loss.filter(|most| *most < plan.lost_records) {
            out.show(&self.report(&plan, &plan.recovery, None))?;
            return Err(Failure::Refused(format!(
                "it would lose {}, and --max-loss allows {most}; nothing was changed",
                count(plan.lost_records, "intact record")
            )));
        }
        let question = format!("repair {}?", plain(&self.log.display().to_string()));
        if !self.change.is_wanted(&question)? {
            out.show(&self.report(&plan, &plan.recovery, None))?;
            return Ok(Exit::Refused);
        }
        let renamed: Vec<_> = plan
            .steps
            .iter()
            .filter_map(|step| match step {
                RepairStep::SetAside { path, to, .. } => Some((path.clone(), to.clone())),
                _ => None,
            })
            .collect();
        let kept = Quarantine::keep(&self.log, "wal repair", plan.touched(), &renamed)?;
        let done = match plan.clone().apply() {
            Ok(done) => done,
            // It refuses before it changes anything.
            Err(error @ (WalError::Locked { .. } | WalError::Config { .. })) => {
                kept.drop_it();
                return Err(error.into());
            }
            Err(error) => {
                return Err(Failure::Partly {
                    why: Box::new(error.into()),
                    kept: kept.place().to_owned(),
                });
            }
        };
        kept.done()?;
        out.show(&self.report(&plan, &done, Some(&kept)))?;
        Ok(Exit::Fine)
    }

    fn report<'a>(
        &self,
        plan: &'a Repair,
        recovery: &'a RecoveryReport,
        kept: Option<&Quarantine>,
    ) -> Repaired<'a> {
        Repaired {
            log: self.log.display().to_string(),
            quarantine: kept.map(|kept| kept.place().display().to_string()),
            steps: &plan.steps,
            records: plan.records,
            lost_records: plan.lost_records,
            recovery,
        }
    }
}

impl Show for Repaired<'_> {
    const FORMAT: &'static str = "wal.repair/1";

    fn show(&self, to: &mut dyn Write) -> io::Result<()> {
        writeln!(to, "{}", plain(&self.log))?;
        if self.steps.is_empty() {
            return writeln!(to, "  the log opens; there is nothing to repair");
        }
        for step in self.steps {
            writeln!(to, "  {}", plain(&describe(step)))?;
        }
        let will = if self.quarantine.is_some() {
            "has"
        } else {
            "would have"
        };
        writeln!(to, "  the log {will} {}", count(self.records, "record"))?;
        if self.lost_records > 0 {
            writeln!(
                to,
                "  LOST     {} after the damage, intact; wal salvage reads them before the repair",
                count(self.lost_records, "record")
            )?;
        }
        match &self.quarantine {
            Some(place) => writeln!(to, "  done; to take it back:  wal undo {} --write", plain(place)),
            None => writeln!(
                to,
                "  nothing was changed; next:  wal repair {} --write",
                plain(&self.log)
            ),
        }
    }
}

fn describe(step: &RepairStep) -> String {
    match step {
        RepairStep::ManifestCopy { copy, .. } => {
            format!("write copy {copy} of the manifest again, from the other one")
        }
        RepairStep::Manifest => {
            "make a manifest from the groups; what was dropped from the first segment may come back"
                .to_owned()
        }
        RepairStep::SegmentHeader { path, .. } => format!("write the header of {} again", path.display()),
        RepairStep::SetAside { path, to, .. } => format!(
            "rename {} to {}: it is not the log's",
            path.display(),
            to.display()
        ),
        RepairStep::MissingSegment { path, .. } => {
            format!(
                "put an empty segment where {} was: its records are lost, and those after it are not",
                path.display()
            )
        }
        RepairStep::Cut { damage, .. } => format!("cut the log at LSN {}: {}", damage.lsn, damage.reason),
        other => format!("{other:?}"),
    }
}
