//! What else keeps a state in memory and a journal of its commands, one file each. Each needs the feature
//! of the crate's name.
//!
//! A decision looks at the state, changes it and journals the command, as `transact` does.

#[cfg(feature = "okaywal")]
mod okaywal;
#[cfg(feature = "prevayler")]
mod prevayler;

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::{Accounts, Moved, check, moved, rate};

pub(super) trait Peer {
    fn name(&self) -> &'static str;

    /// The settings used and why they are fair, in one line.
    fn settings(&self) -> &'static str;

    /// What it promises less than ours.
    fn note(&self) -> Option<&'static str> {
        None
    }

    /// Makes accounts without moves, and their journal in an empty directory: there will be so many moves.
    fn create(&self, dir: &Path, moves: u64) -> Result<Box<dyn Deciding>>;
}

/// Accounts and their journal.
pub(super) trait Deciding: Sync {
    /// Moves money if there is enough; returns what is left.
    fn decide(&self, event: Moved) -> Result<i64>;

    /// Closes it; returns the accounts that come of its journal.
    fn recover(self: Box<Self>, dir: &Path) -> Result<Accounts>;
}

/// The peers that were compiled in.
pub(super) fn all() -> Vec<Box<dyn Peer>> {
    vec![
        #[cfg(feature = "okaywal")]
        Box::new(okaywal::MutexAndOkayWal),
        #[cfg(feature = "prevayler")]
        Box::new(prevayler::Prevayler),
    ]
}

/// How many decisions a second all threads make.
pub(super) fn decisions(peer: &dyn Peer, dir: &Path, threads: u64, count: u64) -> Result<f64> {
    fs::create_dir(dir)?;
    let accounts = peer.create(dir, count)?;
    let rate = rate(threads, count, |i| accounts.decide(moved(i)).map(drop))?;
    check(&accounts.recover(dir)?, count)?;
    fs::remove_dir_all(dir)?;
    Ok(rate)
}

#[cfg(any(feature = "okaywal", feature = "prevayler"))]
fn decide(accounts: &mut Accounts, event: &Moved) -> Result<i64> {
    let left = accounts.left(event);
    let left = left.map_err(|refused| anyhow::anyhow!("{refused}"))?;
    accounts.carry_out(event);
    Ok(left)
}
