//! The seal of an idle log comes whichever call made its last record durable.

use std::{thread, time::Instant};

use wal_db::{MemStore, Wal, WalConfig, WalStore, store::Background};
use wal_tests::note;

/// Longer than any machine takes; only a seal that never comes reaches it.
const NEVER_S: u64 = 60;

const ROUNDS: usize = 100;

fn groups(store: &MemStore) -> usize {
    let mut row = vec![0; store.len().unwrap() as usize];
    store.read_at(0, &mut row).unwrap();
    row.chunks(512)
        .filter(|sector| sector[4..8] == *b"GOP\xf1")
        .count()
}

#[test]
fn an_idle_log_is_sealed_after_an_append_and_sync() {
    let own = WalConfig::new().with_seal_after_ms(1);
    is_sealed(own);
    is_sealed(own.with_background(&Background::new(1)));
    note("an idle log was sealed each time");
}

fn is_sealed(config: WalConfig) {
    let store = MemStore::new();
    let wal = Wal::with_store_and_config(store.clone(), config).unwrap();
    // More than once: the flusher rests again in between, and it is met before it does, and after.
    for round in 1..=ROUNDS {
        (0..20 * round).for_each(|_| thread::yield_now());
        wal.append_and_sync(b"the last one for a while").unwrap();
        let began = Instant::now();
        while groups(&store) < 2 * round {
            assert!(began.elapsed().as_secs() < NEVER_S, "round {round}: no seal");
            thread::yield_now();
        }
    }
}
