//! What many logs in one process cost, by setting: time, threads, descriptors, memory, disk, and what they do when idle.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use rustix::process::{Resource, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use wal_db::{Wal, WalConfig, store::Background};

use crate::{child, idle};

#[derive(Args)]
pub(crate) struct ManyLogs {
    /// How many logs are open at the same time.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    logs: usize,
    /// Only this setting.
    #[arg(long, value_name = "NAME")]
    setting: Option<Setting>,
    /// Where the logs are written.
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    dir: PathBuf,
    /// For this program itself: measure the setting in this process, and tell it as JSON.
    #[arg(long, hide = true, requires = "setting")]
    here: bool,
}

/// Segmented logs, and how they are opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Setting {
    /// Segments of 64 MiB and the defaults.
    Defaults,
    /// The defaults, with shared background threads.
    Shared,
    /// Staging memory and segments of 64 KiB.
    Small,
    /// These with shared background threads.
    SmallShared,
    /// These without background threads.
    SmallAlone,
}

impl Setting {
    fn text(self) -> &'static str {
        match self {
            Setting::Defaults => "defaults",
            Setting::Shared => "shared threads",
            Setting::Small => "64 KiB",
            Setting::SmallShared => "64 KiB, shared threads",
            Setting::SmallAlone => "64 KiB, no background",
        }
    }

    fn open(self, dir: &Path) -> Result<Wal> {
        const SMALL: u64 = 64 << 10;
        let small = WalConfig::new().with_staging_bytes(SMALL as usize);
        let (segment, config) = match self {
            Setting::Defaults => (64 << 20, WalConfig::new()),
            Setting::Shared => (64 << 20, WalConfig::new().with_background(&Background::shared())),
            Setting::Small => (SMALL, small),
            Setting::SmallShared => (SMALL, small.with_background(&Background::shared())),
            Setting::SmallAlone => (SMALL, small.with_background_flush(false)),
        };
        Ok(Wal::open_segmented_with(dir, segment, config)?)
    }
}

/// Of one setting. What is of the whole process is divided by the logs where the name says so.
#[derive(Serialize, Deserialize)]
struct Cost {
    create_us: f64,
    commit_us: f64,
    close_us: f64,
    reopen_us: f64,
    idle: Idle,
}

/// While nothing is called.
#[derive(Serialize, Deserialize)]
struct Idle {
    /// Beside the one that measures.
    threads: usize,
    descriptors: usize,
    resident_kib_a_log: f64,
    disk_kib_a_log: f64,
    /// Of all threads, in a second.
    wakeups: u64,
}

/// Long enough that every log is idle and sealed.
const SETTLE: Duration = Duration::from_secs(2);

/// Commits of each log, in turn.
const ROUNDS: usize = 3;

pub(crate) fn run(args: &ManyLogs) -> Result<bool> {
    if let (true, Some(setting)) = (args.here, args.setting) {
        println!("{}", serde_json::to_string(&measure(setting, args)?)?);
        return Ok(true);
    }
    println!(
        "{} segmented logs in one process; us and KiB are a log",
        args.logs
    );
    println!(
        "{:<24}{:>10}{:>10}{:>10}{:>10}{:>9}{:>13}{:>14}{:>10}{:>16}",
        "setting",
        "create us",
        "commit us",
        "close us",
        "reopen us",
        "threads",
        "descriptors",
        "resident KiB",
        "disk KiB",
        "idle wake-ups/s"
    );
    let all = Setting::value_variants().iter().copied();
    for setting in all.filter(|setting| args.setting.is_none_or(|only| only == *setting)) {
        let cost = in_another_process(setting, args)?;
        println!(
            "{:<24}{:>10.0}{:>10.0}{:>10.0}{:>10.0}{:>9}{:>13}{:>14.0}{:>10.0}{:>16}",
            setting.text(),
            cost.create_us,
            cost.commit_us,
            cost.close_us,
            cost.reopen_us,
            cost.idle.threads,
            cost.idle.descriptors,
            cost.idle.resident_kib_a_log,
            cost.idle.disk_kib_a_log,
            cost.idle.wakeups
        );
    }
    Ok(true)
}

/// So that nothing is left in its memory of the setting before.
fn in_another_process(setting: Setting, args: &ManyLogs) -> Result<Cost> {
    let name = setting.to_possible_value().context("a setting has a name")?;
    child::told(
        Command::new(std::env::current_exe()?)
            .args(["many-logs", "--here", "--setting", name.get_name()])
            .args(["--logs", &args.logs.to_string(), "--dir"])
            .arg(&args.dir),
    )
}

fn measure(setting: Setting, args: &ManyLogs) -> Result<Cost> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        rustix::process::Rlimit {
            current: limit.maximum,
            ..limit
        },
    )?;
    let root = tempfile::Builder::new()
        .prefix("wal-benches-")
        .tempdir_in(&args.dir)?;
    let per_log = |elapsed: Duration| elapsed.as_secs_f64() * 1e6 / args.logs as f64;
    let open = || -> Result<(Vec<Wal>, Duration)> {
        let start = Instant::now();
        let logs = (0..args.logs).map(|i| setting.open(&root.path().join(i.to_string())));
        let logs = logs.collect::<Result<_>>()?;
        Ok((logs, start.elapsed()))
    };
    let close = |logs: Vec<Wal>| -> Result<Duration> {
        let start = Instant::now();
        logs.into_iter().try_for_each(Wal::close)?;
        Ok(start.elapsed())
    };

    let (resident, descriptors) = (resident_kib()?, entries("/proc/self/fd")?);
    let (logs, created) = open()?;
    let start = Instant::now();
    for _ in 0..ROUNDS {
        for log in &logs {
            let _lsn = log.append_and_sync(&[1; 100])?;
        }
    }
    let committed = start.elapsed() / ROUNDS as u32;
    thread::sleep(SETTLE);
    let switches = idle::voluntary_switches()?;
    thread::sleep(Duration::from_secs(1));
    let idle = Idle {
        threads: entries("/proc/self/task")? - 1,
        descriptors: entries("/proc/self/fd")? - descriptors,
        resident_kib_a_log: (resident_kib()? - resident) / args.logs as f64,
        disk_kib_a_log: disk_kib(root.path())? / args.logs as f64,
        // Without that of the sleep.
        wakeups: idle::voluntary_switches()?.saturating_sub(switches + 1),
    };
    let closed = close(logs)?;
    let (logs, reopened) = open()?;
    for log in &logs {
        ensure!(log.iter()?.count() == ROUNDS, "a log has lost records");
    }
    close(logs)?;
    Ok(Cost {
        create_us: per_log(created),
        commit_us: per_log(committed),
        close_us: per_log(closed),
        reopen_us: per_log(reopened),
        idle,
    })
}

fn entries(dir: &str) -> Result<usize> {
    Ok(fs::read_dir(dir)?.count())
}

fn resident_kib() -> Result<f64> {
    idle::line_of("/proc/self/status", "VmRSS")
}

/// What the files under `dir` take of the disk.
fn disk_kib(dir: &Path) -> Result<f64> {
    use std::os::unix::fs::MetadataExt;
    let mut kib = 0.0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        kib += if metadata.is_dir() {
            disk_kib(&entry.path())?
        } else {
            metadata.blocks() as f64 / 2.0
        };
    }
    Ok(kib)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_measured_and_its_logs_read_back() {
        let dir = tempfile::tempdir().unwrap();
        for setting in Setting::value_variants().iter().copied() {
            let args = ManyLogs {
                logs: 4,
                setting: Some(setting),
                dir: dir.path().to_owned(),
                here: true,
            };
            let cost = measure(setting, &args).unwrap();
            assert!(cost.commit_us > 0.0 && cost.idle.descriptors >= 4, "{setting:?}");
        }
    }
}
