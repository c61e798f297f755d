//! What the examples in `docs/evolution.md` share, and the documentation tests that run them.

pub use serde::{Deserialize, Serialize};
pub use wal_db::{codec::*, event::*, read::*, recovery::*, schema::*, state::*, store::*, *};

/// What a log holds, as the types of today read it.
///
/// # Panics
///
/// If a record of it cannot be read.
pub fn replay<E: WalDecodeOwned>(wal: &Wal) -> Vec<E> {
    let log = wal.typed::<E>().unwrap();
    let events = log.replay(..).unwrap();
    events.map(|event| event.unwrap().event).collect()
}

/// What an event that was stored by an earlier release is today.
///
/// # Panics
///
/// If it cannot be read.
pub fn today<E: WalDecodeOwned>(old: &impl WalRecord) -> Vec<E> {
    let wal = Wal::with_store(MemStore::new()).unwrap();
    wal.append_typed(old).unwrap();
    replay(&wal)
}

#[cfg(doctest)]
#[doc = include_str!("../../docs/evolution.md")]
struct Evolution;

#[cfg(doctest)]
#[doc = include_str!("../../docs/from-wal-db-1.md")]
struct FromWalDb1;

#[cfg(doctest)]
#[doc = include_str!("../../docs/checkpoint.md")]
struct Checkpoint;
