//! `wal undo`: puts back what a command has changed.

use std::{
    fs::{File, TryLockError},
    io::{self, Write},
    path::PathBuf,
};

use serde::Serialize;

use crate::{
    change::Change,
    failure::{Exit, Failure, Result, at},
    output::{Output, Show, count, plain},
    quarantine::{Quarantine, Receipt},
};

/// Puts back every byte that a command has changed, from the quarantine that it has left.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The quarantine
    quarantine: PathBuf,

    #[command(flatten)]
    change: Change,

    /// Also if the log was changed since: what was written to it then is lost
    #[arg(long)]
    force: bool,
}

#[derive(Serialize)]
struct Undone<'a> {
    log: String,
    done: bool,
    is_outdated: bool,
    receipt: &'a Receipt,
}

impl Args {
    /// Puts it back, if the user says so.
    pub(crate) fn run(self, out: &mut Output) -> Result<Exit> {
        let kept = Quarantine::open(&self.quarantine)?;
        kept.check()?;
        let is_outdated = kept.is_outdated()?;
        let report = |done| Undone {
            log: kept.log().display().to_string(),
            done,
            is_outdated,
            receipt: &kept.receipt,
        };
        let question = format!("put {} back as it was?", plain(&kept.log().display().to_string()));
        if !self.change.is_wanted(&question)? {
            out.show(&report(false))?;
            return Ok(Exit::Refused);
        }
        if is_outdated && !self.force {
            out.show(&report(false))?;
            return Err(Failure::Refused(
                "the log was changed since, or the command did not come to its end: what was written to the log since would be \
                 lost; --force does it all the same; nothing was changed".to_owned(),
            ));
        }
        let _lock = lock(&kept)?;
        kept.put_back()?;
        out.show(&report(true))?;
        Ok(Exit::Fine)
    }
}

/// Keeps writers out.
fn lock(kept: &Quarantine) -> Result<Option<File>> {
    let path = match kept.log().is_dir() {
        true => kept.log().join("manifest"),
        false => kept.log().to_owned(),
    };
    let file = match File::options().read(true).write(true).open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(at("locking the log", &path))?,
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(Failure::Locked(match wal_db::recovery::writer(kept.log()) {
            Some(holder) => format!("{} is open for writing by {holder}", kept.log().display()),
            None => format!("{} is open for writing elsewhere", kept.log().display()),
        })),
        Err(TryLockError::Error(error)) => Err(at("locking the log", &path)(error)),
    }
}

impl Show for Undone<'_> {
    const FORMAT: &'static str = "wal.undo/1";

    fn show(&self, to: &mut dyn Write) -> io::Result<()> {
        let Receipt {
            why,
            made,
            parts,
            renamed,
            ..
        } = self.receipt;
        writeln!(to, "{}", plain(&self.log))?;
        writeln!(to, "  {} of {}", plain(why), plain(made))?;
        let bytes = parts.iter().map(|part| part.bytes).sum();
        writeln!(
            to,
            "  {} in {}, {}",
            count(bytes, "byte"),
            count(parts.len() as u64, "part"),
            count(renamed.len() as u64, "name")
        )?;
        if self.is_outdated && !self.done {
            writeln!(
                to,
                "  the log was changed since, or the command did not come to its end"
            )?;
        }
        match self.done {
            true => writeln!(to, "  every byte is as it was"),
            false => writeln!(to, "  nothing was changed; --write does it"),
        }
    }
}
