//! A state behind a mutex and okaywal 0.3.1 as its journal: what one writes without a store.
//!
//! A thread decides, and begins the entry, under the mutex, so that the entries have the order of the decisions. It
//! lets go before it commits, so that threads share flushes. The settings are those of `compare`.

use std::path::Path;

use anyhow::Result;
use okaywal::WriteAheadLog;
use parking_lot::Mutex;

use super::{Deciding, Peer, decide};
use crate::peers::okaywal as journal;
use crate::store::{Accounts, Moved};

/// More than a command takes: three numbers of at most ten bytes.
const COMMAND_BYTES: u64 = 30;

pub(super) struct MutexAndOkayWal;

impl Peer for MutexAndOkayWal {
    fn name(&self) -> &'static str {
        "okaywal and a mutex"
    }

    fn settings(&self) -> &'static str {
        "0.3.1: decides and begins the entry under the mutex, commits it outside; one zero-filled file, no checkpoint"
    }

    fn create(&self, dir: &Path, moves: u64) -> Result<Box<dyn Deciding>> {
        Ok(Box::new(Running {
            accounts: Mutex::new(Accounts::default()),
            wal: journal::create(dir, moves, COMMAND_BYTES)?,
        }))
    }
}

struct Running {
    accounts: Mutex<Accounts>,
    wal: WriteAheadLog,
}

impl Deciding for Running {
    fn decide(&self, event: Moved) -> Result<i64> {
        let command = bincode::serde::encode_to_vec(&event, bincode::config::standard())?;
        let mut accounts = self.accounts.lock();
        let left = decide(&mut accounts, &event)?;
        let mut entry = self.wal.begin_entry()?;
        drop(accounts);
        entry.write_chunk(&command)?;
        entry.commit()?;
        Ok(left)
    }

    fn recover(self: Box<Self>, dir: &Path) -> Result<Accounts> {
        self.wal.shutdown()?;
        let (_elapsed, accounts) = journal::recover(dir, Accounts::default(), |accounts, command| {
            let (event, _): (Moved, _) =
                bincode::serde::decode_from_slice(command, bincode::config::standard())?;
            decide(accounts, &event).map(drop)
        })?;
        Ok(accounts)
    }
}
