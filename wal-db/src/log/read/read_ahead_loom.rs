//! The walk and the thread that reads ahead of it, in every order.

use super::*;
use crate::storage::MemStore;

/// Three chunks and a half.
const STREAM: [u8; 28] = {
    let mut stream = [0; 28];
    let mut i = 0;
    while i < stream.len() {
        stream[i] = i as u8;
        i += 1;
    }
    stream
};

fn start() -> ReadAhead {
    let store = MemStore::new();
    store.write_at(0, &STREAM).expect("memory takes it");
    ReadAhead::start(Arc::new(store), 0, STREAM.len() as u64).expect("a thread")
}

#[test]
fn the_walk_gets_every_chunk_in_order_and_nobody_sleeps_for_ever() {
    loom::model(|| {
        let mut ahead = start();
        let mut found = Vec::new();
        while let Some(bytes) = ahead.bytes_at(found.len() as u64, 1) {
            found.extend_from_slice(&bytes);
        }
        assert_eq!(found, STREAM);
    });
}

#[test]
fn a_walk_may_end_anywhere() {
    for len in [0, 1, 12] {
        loom::model(move || {
            let mut ahead = start();
            if len > 0 {
                assert_eq!(ahead.bytes_at(3, len).expect("bytes")[..len], STREAM[3..3 + len]);
            }
        });
    }
}
