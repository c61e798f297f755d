//! States that are kept by a store: always the fold of the log, and every answer follows from what is durable.
#![allow(clippy::unwrap_used)] // a setup that fails fails the test

mod answers;
mod chess;
mod document;
mod golden;
mod laws;
mod past;
mod projected;
mod snapshots;
mod snapshots_changed;
mod snapshots_failing;
mod snapshots_refused;
mod threads;
mod timed;

use serde::{Deserialize, Serialize};
use wal_db::{
    EventLog, Lsn, MemStore, Wal, WalRecord,
    state::{At, State},
};

/// A number, with so much to carry that some do not go through staging memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "noted")]
struct Noted {
    number: u64,
    ballast: Vec<u8>,
}

fn noted(number: u64) -> Noted {
    Noted {
        number,
        ballast: Vec::new(),
    }
}

/// Everything that it was given, and a number that says so in short.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "history")]
struct History {
    all: Vec<(Lsn, u64)>,
    digest: u64,
}

impl State for History {
    type Event = Noted;

    fn apply(&mut self, event: Noted, at: At) {
        let word = event.number ^ at.lsn.get().rotate_left(32) ^ event.ballast.len() as u64;
        self.digest = (self.digest ^ word).wrapping_mul(0x100_0000_01b3).rotate_left(17);
        self.all.push((at.lsn, event.number));
    }
}

fn log_in_memory() -> EventLog<Noted> {
    let wal = Wal::with_store_and_config(MemStore::new(), wal_tests::quiet_heap()).unwrap();
    wal.typed().unwrap()
}

/// What the state has to be before each event, and after the last.
fn digests(log: &EventLog<Noted>) -> Vec<(Lsn, u64)> {
    let mut history = History::default();
    let mut digests = Vec::new();
    for event in log.replay(..).unwrap() {
        let event = event.unwrap();
        digests.push((event.lsn, history.digest));
        history.apply(event.event, At::replayed(event.lsn));
    }
    digests.push((log.wal().end(), history.digest));
    digests
}
