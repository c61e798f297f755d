//! Chunks that threads decode come out in the order of the log, also if a later one is done first.

use std::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use serde::{Deserialize, Serialize};
use wal_db::{MemStore, Wal, WalRecord};
use wal_tests::scripted::{Op, Scripted};

/// An event of which there are some sixty in a chunk.
#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "heavy")]
struct HeavyV1 {
    number: u32,
    weight: Vec<u8>,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "heavy", version = 2, from = HeavyV1)]
struct Heavy {
    number: u32,
}

/// Conversions of [`HeavyV1`].
struct Converted {
    /// Another thread than the one that asks has begun with the first.
    first_begun: bool,
    latest: u32,
}

static HEAVY: (Mutex<Converted>, Condvar) = (
    Mutex::new(Converted {
        first_begun: false,
        latest: 0,
    }),
    Condvar::new(),
);

impl From<HeavyV1> for Heavy {
    /// In another thread, the first one is not converted before one of the fourth chunk is.
    fn from(HeavyV1 { number, .. }: HeavyV1) -> Self {
        let mut seen = HEAVY.0.lock().unwrap();
        seen.latest = number.max(seen.latest);
        if number == 0 && thread::current().name() == Some("wal-decoder") {
            seen.first_begun = true;
            HEAVY.1.notify_all();
            drop(HEAVY.1.wait_while(seen, |seen| seen.latest < 200).unwrap());
        } else {
            HEAVY.1.notify_all();
        }
        Heavy { number }
    }
}

#[test]
fn a_chunk_that_is_done_waits_for_those_before_it() {
    if thread::available_parallelism().map_or(1, usize::from) == 1 {
        return;
    }
    // The thread that asks reads no further before another has begun with the first chunk.
    let replays = Arc::new(AtomicBool::new(false));
    let is_replaying = replays.clone();
    let store = Scripted::new(MemStore::new(), move |_, call| {
        if call.op == Op::Read && call.at >= 128 << 10 && is_replaying.load(Ordering::SeqCst) {
            let seen = HEAVY.0.lock().unwrap();
            drop(HEAVY.1.wait_while(seen, |seen| !seen.first_begun).unwrap());
        }
        Ok(None)
    });
    let wal = Wal::with_store(store).unwrap();
    for number in 0..1000 {
        let weight = vec![7; 1000];
        wal.append_typed(&HeavyV1 { number, weight }).unwrap();
    }
    wal.sync().unwrap();
    replays.store(true, Ordering::SeqCst);
    let log = wal.typed::<Heavy>().unwrap();
    let events = log.replay(..).unwrap().decode_ahead(2);
    let numbers: Vec<u32> = events.map(|event| event.unwrap().event.number).collect();
    assert!(numbers.iter().copied().eq(0..1000), "{numbers:?}");
    assert!(HEAVY.0.lock().unwrap().first_begun);
}
