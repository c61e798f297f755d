//! Six releases of a shop and one log, which each of them reads: an event gets fields, a type inside of events changes, one
//! is renamed, one is retired and comes back, one becomes several, two become one, and the whole family gets another name.
//!
//! Each release is rolled back once after it has written, so that the one before it writes on in turn, and says what it
//! cannot read. The events of each release are a file of their own (`r1.rs` to `r6.rs`), as they would follow each other
//! in the history of one file: `diff` shows what had to be written. The tests (`tests.rs`) have what is checked of each
//! before it is released.
//!
//! ```text
//! cargo run -p wal-examples --example six_releases
//! ```

#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::path::Path;

use anyhow::{Result, ensure};
use wal_db::{
    Wal, WalRecord,
    event::{Unreadable, WalDecodeOwned},
};

mod fresh;
mod r1;
mod r2;
mod r3;
mod r4;
mod r5;
mod r6;
mod samples;
#[cfg(test)]
mod tests;
#[cfg(all(test, feature = "revision"))]
mod with_revision;

/// What became of one start of a release.
#[derive(Debug)]
struct Run {
    release: u8,
    events: usize,
    unreadable: u64,
    ahead: Vec<String>,
}

/// Starts a release: it looks whether a later one has written, appends its events, and reads all that it can.
fn run<E: WalDecodeOwned>(dir: &Path, release: u8, events: &[E]) -> Result<Run> {
    let log = Wal::open_segmented(dir, 1 << 20)?.typed::<E>()?;
    let ahead = log.ahead()?;
    log.append_batch(events)?;
    log.wal().sync()?;
    let mut replay = log.replay(..)?.on_unreadable(Unreadable::Skip);
    let mut read = 0;
    for event in replay.by_ref() {
        event?;
        read += 1;
    }
    let skipped = replay.skipped();
    let unreadable = skipped.unknown_type + skipped.newer_version;
    ensure!(
        (unreadable == 0) == ahead.is_empty(),
        "release {release} has not seen that it lags behind"
    );
    Ok(Run {
        release,
        events: read,
        unreadable,
        ahead: ahead
            .iter()
            .map(|ahead| format!("{} {}", ahead.name.as_deref().unwrap_or("?"), ahead.stored))
            .collect(),
    })
}

/// Every release, and the one before it once more.
fn story(dir: &Path) -> Result<Vec<Run>> {
    Ok(vec![
        run(dir, 1, &samples::r1())?,
        run(dir, 2, &samples::r2())?,
        run(dir, 1, &samples::r1())?,
        run(dir, 2, &samples::r2())?,
        run(dir, 3, &samples::r3())?,
        run(dir, 2, &samples::r2())?,
        run(dir, 3, &samples::r3())?,
        run(dir, 4, &samples::r4())?,
        run(dir, 3, &samples::r3())?,
        run(dir, 4, &samples::r4())?,
        run(dir, 5, &samples::r5())?,
        run(dir, 4, &samples::r4())?,
        run(dir, 5, &samples::r5())?,
        run(dir, 6, &samples::r6())?,
        run(dir, 5, &samples::r5())?,
        run(dir, 6, &samples::r6())?,
    ])
}

/// The sources of the releases.
const SOURCES: [&str; 6] = [
    include_str!("r1.rs"),
    include_str!("r2.rs"),
    include_str!("r3.rs"),
    include_str!("r4.rs"),
    include_str!("r5.rs"),
    include_str!("r6.rs"),
];

/// Lines with code.
fn lines(source: &str) -> usize {
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
    source.lines().filter(is_code).count()
}

fn main() -> Result<()> {
    let dir = tempfile::tempdir()?;
    println!("release  reads  cannot read  because the log holds");
    for run in story(&dir.path().join("shop"))? {
        let Run {
            release,
            events,
            unreadable,
            ahead,
        } = run;
        println!("{release:7}  {events:5}  {unreadable:11}  {}", ahead.join(", "));
    }
    println!();
    for (release, source) in (1..).zip(SOURCES) {
        println!("release {release}: {} lines", lines(source));
    }
    let fresh = lines(include_str!("fresh.rs"));
    let past = lines(SOURCES[5]) - fresh;
    println!("release 6 without a past: {fresh} lines, so its past takes {past}");
    let with_revision = lines(include_str!("with_revision.rs"));
    println!("with `revision`, which splits and retires no events: {with_revision} lines");
    ensure!(fresh::Store::RECORDS.len() == 8);
    Ok(())
}
