//! `wal ls`: the files of a log, or its writes.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use jiff::Timestamp;
use serde::Serialize;
use wal_db::{
    Wal, WalError,
    recovery::{Group, Segment, groups, segments},
};

use crate::{
    failure::{Exit, Result},
    output::{Output, Show, digits, plain},
};

/// Lists the files of a log with what is in each, or its writes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory or the file of a log
    log: PathBuf,

    /// The writes of the log, each with the records that became durable together
    #[arg(long)]
    groups: bool,
}

#[derive(Serialize)]
struct Files {
    segments: Vec<Segment>,
}

#[derive(Serialize)]
struct Writes {
    groups: Vec<Group>,
    /// Where a header cannot be read.
    damage: Vec<String>,
}

impl Args {
    /// Lists them.
    pub(crate) fn run(self, out: &mut Output) -> Result<Exit> {
        let wal = Wal::open_read_only(&self.log)?;
        if !self.groups {
            let segments = segments(&wal)?;
            out.show(&Files { segments })?;
            return Ok(Exit::Fine);
        }
        let mut found = Writes {
            groups: Vec::new(),
            damage: Vec::new(),
        };
        for group in groups(&wal, ..)? {
            match group {
                Ok(group) => found.groups.push(group),
                Err(WalError::Corruption(damage)) => found.damage.push(damage.to_string()),
                Err(error) => return Err(error.into()),
            }
        }
        out.show(&found)?;
        Ok(match found.damage.is_empty() {
            true => Exit::Fine,
            false => Exit::Damage,
        })
    }
}

fn time(group: &Group) -> String {
    Timestamp::try_from(group.time).map_or_else(|_| "?".to_owned(), |time| format!("{time:.6}"))
}

impl Show for Files {
    const FORMAT: &'static str = "wal.ls/1";

    fn show(&self, to: &mut dyn Write) -> io::Result<()> {
        writeln!(
            to,
            "{:>10}  {:8}  {:>14}  {:>14}  {:>12}  {:27}  file",
            "segment", "state", "file bytes", "used bytes", "ordinal", "first write"
        )?;
        for segment in &self.segments {
            let state = format!("{:?}", segment.state).to_lowercase();
            let (ordinal, time) = segment
                .first
                .as_ref()
                .map_or((String::new(), String::new()), |group| {
                    (digits(group.ordinal), time(group))
                });
            let path = plain(&segment.path.display().to_string());
            writeln!(
                to,
                "{:>10}  {state:8}  {:>14}  {:>14}  {ordinal:>12}  {time:27}  {path}",
                segment.index,
                digits(segment.file_bytes),
                digits(segment.used_bytes),
            )?;
        }
        Ok(())
    }
}

impl Show for Writes {
    const FORMAT: &'static str = "wal.ls.groups/1";

    fn show(&self, to: &mut dyn Write) -> io::Result<()> {
        writeln!(
            to,
            "{:>14}  {:>12}  {:>8}  {:>12}  {:>6}  written",
            "LSN", "bytes", "records", "ordinal", "epoch"
        )?;
        for group in &self.groups {
            writeln!(
                to,
                "{:>14}  {:>12}  {:>8}  {:>12}  {:>6}  {}{}",
                group.lsn.get(),
                digits(group.bytes),
                group.records,
                digits(group.ordinal),
                group.epoch,
                time(group),
                if group.is_seal { "  seal" } else { "" },
            )?;
        }
        for damage in &self.damage {
            writeln!(to, "DAMAGED  {}", plain(damage))?;
        }
        Ok(())
    }
}
