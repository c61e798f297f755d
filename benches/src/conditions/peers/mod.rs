//! The peers that append under conditions, one file each. Each needs the feature of its name.
//!
//! All promise what `append_if_and_sync` does: the condition holds for all that comes before the event, and the event
//! survives power loss when the call returns.

#[cfg(feature = "tephra")]
mod tephra;
#[cfg(feature = "umadb-core")]
mod umadb;

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};

use super::{joined, rate, tag};

pub(super) trait Peer {
    fn name(&self) -> &'static str;

    /// The settings used and why they are fair, in one line.
    fn settings(&self) -> &'static str;

    /// Makes a store in an empty directory.
    fn create(&self, dir: &Path) -> Result<Box<dyn Events>>;
}

/// A store of events with a tag each.
pub(super) trait Events: Sync {
    /// Appends an event durably, unless there is one with its tag; returns whether it did.
    fn append_if_none(&self, tag: String, payload: Vec<u8>) -> Result<bool>;

    fn count(&self) -> Result<u64>;
}

/// The peers that were compiled in.
pub(super) fn all() -> Vec<Box<dyn Peer>> {
    vec![
        #[cfg(feature = "tephra")]
        Box::new(tephra::Tephra),
        #[cfg(feature = "umadb-core")]
        Box::new(umadb::UmaDb),
    ]
}

/// How many events a second all threads append to a new store, each event under the condition that its tag is new.
pub(super) fn commits(peer: &dyn Peer, dir: &Path, threads: u64, count: u64) -> Result<f64> {
    fs::create_dir(dir)?;
    let events = peer.create(dir)?;
    let append = |i| events.append_if_none(tag(i), payload(i)?);
    let rate = rate(threads, count, |mut numbers| {
        numbers.try_for_each(|i| {
            ensure!(append(i)?, "it was refused");
            Ok(())
        })
    })?;
    ensure!(!append(0)?, "{} has taken a tag twice", peer.name());
    let appended = events.count()?;
    ensure!(
        appended == threads * count,
        "{} has {appended} events",
        peer.name()
    );
    drop(events);
    fs::remove_dir_all(dir)?;
    Ok(rate)
}

/// The bytes that our log has for it.
fn payload(i: u64) -> Result<Vec<u8>> {
    Ok(bincode::serde::encode_to_vec(
        joined(i),
        bincode::config::standard(),
    )?)
}
