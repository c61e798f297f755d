//! What has to happen in a process of its own: to be killed, or to have its memory watched.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use rustix::process::Signal;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::contender;
use crate::latency::Sink;
use crate::load::{Check, Load};
use crate::memory::{Growth, Resident};
use crate::watch::Watch;

/// For this program itself only.
#[derive(Args)]
pub(crate) struct Child {
    work: Work,
    contender: String,
    dir: PathBuf,
    bytes: usize,
    first: u64,
    count: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Work {
    /// Append to the log and be killed.
    Die,
    /// Replay the log and tell the memory it took.
    Replay,
}

/// What a replay in another process told.
#[derive(Serialize, Deserialize)]
pub(crate) struct Replayed {
    pub(crate) elapsed: Duration,
    pub(crate) growth: Growth,
}

/// Appends `load`, of one thread, to the log in `dir`, by a process that is killed when the last append has returned.
pub(crate) fn append_and_die(contender: &str, dir: &Path, load: &Load) -> Result<()> {
    let status = command("die", contender, dir, load)?.status()?;
    ensure!(
        status.signal() == Some(Signal::KILL.as_raw()),
        "the child that was to be killed ended with {status}"
    );
    Ok(())
}

/// Replays the log in `dir`, which must hold exactly `load`.
pub(crate) fn replay(contender: &str, dir: &Path, load: &Load) -> Result<Replayed> {
    told(&mut command("replay", contender, dir, load)?)
}

/// Runs a child, which prints one value as JSON.
pub(crate) fn told<T: DeserializeOwned>(command: &mut Command) -> Result<T> {
    let output = command.stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "the child ended with {}", output.status);
    serde_json::from_slice(&output.stdout).context("reading what the child told")
}

fn command(work: &str, contender: &str, dir: &Path, load: &Load) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    let numbers = [load.bytes as u64, load.first, load.count].map(|number| number.to_string());
    command
        .args(["child", work, contender])
        .arg(dir)
        .args(numbers)
        .stdin(Stdio::null());
    Ok(command)
}

/// The other side.
pub(crate) fn run(child: &Child) -> Result<()> {
    let contender = contender::all()
        .into_iter()
        .find(|contender| contender.name() == child.contender)
        .context("no such contender")?;
    let sink = Sink::new();
    let mut load = Load::new(1, child.bytes, child.count);
    load.first = child.first;
    let mut check = Check::new(&load);
    match child.work {
        Work::Die => {
            load.watched = Some((Watch::KillAtEnd, &sink));
            contender.append(&child.dir, &load, &mut check)?;
            bail!("nobody killed the child");
        }
        Work::Replay => {
            let expected = load.tally();
            let before = Resident::start()?;
            let (elapsed, tally) = contender.replay(&child.dir, &mut check)?;
            let growth = before.growth()?;
            check.finish()?;
            ensure!(tally == expected, "the timed walk saw other records");
            println!("{}", serde_json::to_string(&Replayed { elapsed, growth })?);
            Ok(())
        }
    }
}
