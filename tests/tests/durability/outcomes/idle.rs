//! The seal of an idle log comes whichever call made its last record durable.

use std::{sync::mpsc::channel, thread, time::Instant};

use wal_db::{MemStore, Wal, WalConfig, WalStore, store::Background};
use wal_tests::{PATIENCE, note, ticket};

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

/// A log whose flusher has rested in a thread that is kept in a callback of another log.
#[test]
fn a_log_that_shares_threads_is_sealed_while_one_of_them_is_in_a_callback() {
    for _ in 0..ROUNDS {
        let config = WalConfig::new()
            .with_seal_after_ms(1)
            .with_background(&Background::new(2));
        let store = MemStore::new();
        let wal = Wal::with_store_and_config(store.clone(), config).unwrap();
        let other = Wal::with_store_and_config(MemStore::new(), config).unwrap();
        let (go, goes) = channel::<()>();
        wal.append_and_sync(b"the last one for a while").unwrap();
        ticket(&other, b"x").on_durable(move |_| {
            // Not here, where it is told if it was durable at once.
            if thread::current().name() == Some("wal-background") {
                let _ = goes.recv_timeout(PATIENCE);
            }
        });
        let began = Instant::now();
        while groups(&store) < 2 {
            assert!(began.elapsed().as_secs() < NEVER_S, "no seal");
            thread::yield_now();
        }
        drop(go);
    }
}
