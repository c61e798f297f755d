//! What a log does while nearly nothing is called: bytes that go to the disk, and how often its threads wake up.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use wal_db::{Tail, Wal, WalConfig, store::Background};

use crate::memory;

#[derive(Args)]
pub(crate) struct IdleProfile {
    /// How long each row is measured.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    seconds: u64,
    /// Where the logs are written.
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    dir: PathBuf,
}

/// Long enough that a log is idle and sealed, and that what it prepares is prepared.
const SETTLE: Duration = Duration::from_secs(2);

const EVENT_BYTES: usize = 100;

struct Setting {
    text: &'static str,
    config: fn() -> WalConfig,
    /// Whether somebody waits for the next record.
    followed: bool,
}

const SETTINGS: &[Setting] = &[
    Setting {
        text: "defaults",
        config: WalConfig::new,
        followed: false,
    },
    Setting {
        text: "defaults, a follower",
        config: WalConfig::new,
        followed: true,
    },
    Setting {
        text: "shared threads",
        config: || WalConfig::new().with_background(&Background::shared()),
        followed: false,
    },
    Setting {
        text: "staging of 64 KiB",
        config: || WalConfig::new().with_staging_bytes(64 << 10),
        followed: false,
    },
    Setting {
        text: "no background",
        config: || WalConfig::new().with_background_flush(false),
        followed: false,
    },
];

/// In a second.
#[derive(Debug)]
struct Rates {
    written_bytes: f64,
    wakeups: f64,
}

pub(crate) fn run(args: &IdleProfile) -> Result<bool> {
    println!(
        "a log in segments, {} s for each figure; an event has {EVENT_BYTES} bytes",
        args.seconds
    );
    println!(
        "{:<24}{:>22}{:>22}{:>22}",
        "bytes/s; wake-ups/s", "nothing is called", "an event a second", "a commit a second"
    );
    for setting in SETTINGS {
        let root = tempfile::Builder::new()
            .prefix("wal-benches-")
            .tempdir_in(&args.dir)?;
        let wal = Wal::open_segmented_with(root.path().join("log"), 64 << 20, (setting.config)())?;
        for _ in 0..100 {
            let _lsn = wal.append_and_sync(&[1; EVENT_BYTES])?;
        }
        let rows = thread::scope(|scope| {
            let follower = setting.followed.then(|| wal.tail(wal.end())).transpose()?;
            let follower = follower.map(|tail| scope.spawn(move || follow(tail)));
            thread::sleep(SETTLE);
            let rows = [
                measure(args.seconds, || wal_db::Result::<()>::Ok(())),
                measure(args.seconds, || wal.append(&[2; EVENT_BYTES]).map(|_| ())),
                measure(args.seconds, || {
                    wal.append_and_sync(&[3; EVENT_BYTES]).map(|_| ())
                }),
            ];
            // The follower waits until then, whatever came of it.
            wal.close()?;
            if let Some(follower) = follower {
                follower.join().expect("a follower does not panic");
            }
            rows.into_iter().collect::<Result<Vec<_>>>()
        })?;
        print!("{:<24}", setting.text);
        for rates in &rows {
            print!("{:>14.0}; {:>6.1}", rates.written_bytes, rates.wakeups);
        }
        println!();
    }
    Ok(true)
}

/// Until the log is closed.
fn follow(mut tail: Tail) {
    while let Ok(Some(_)) = tail.next_timeout(Duration::MAX) {}
}

fn measure<E>(seconds: u64, mut each_second: impl FnMut() -> Result<(), E>) -> Result<Rates>
where
    anyhow::Error: From<E>,
{
    let (written, wakeups) = (written_bytes()?, voluntary_switches()?);
    for _ in 0..seconds {
        each_second()?;
        thread::sleep(Duration::from_secs(1));
    }
    let rate = |before: u64, now: u64| now.saturating_sub(before) as f64 / seconds as f64;
    Ok(Rates {
        written_bytes: rate(written, written_bytes()?),
        // Without those of this thread's sleep.
        wakeups: (rate(wakeups, voluntary_switches()?) - 1.0).max(0.0),
    })
}

/// What this process has had written to disks, or will have. Folios count as a whole when they become dirty, and again only
/// after the system has written them back, which takes half a minute.
fn written_bytes() -> Result<u64> {
    line_of("/proc/self/io", "write_bytes").map(|bytes| bytes as u64)
}

/// How often a thread of this process went to sleep.
pub(crate) fn voluntary_switches() -> Result<u64> {
    let mut switches = 0;
    for task in fs::read_dir("/proc/self/task")? {
        let status = task?.path().join("status");
        // A thread may have ended since.
        switches += line_of(&status, "voluntary_ctxt_switches").unwrap_or(0.0) as u64;
    }
    Ok(switches)
}

/// The number after a name, in what the system tells of this process.
pub(crate) fn line_of(path: impl AsRef<Path>, name: &str) -> Result<f64> {
    let text = fs::read_to_string(path)?;
    memory::number_in(&text, name).with_context(|| format!("no {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let rates = measure(1, || fs::write(&path, vec![1; 1 << 20])).unwrap();
        // A file system in memory writes to no disk.
        assert!(
            rates.written_bytes == 0.0 || rates.written_bytes >= 1e6,
            "{rates:?}"
        );
    }
}
