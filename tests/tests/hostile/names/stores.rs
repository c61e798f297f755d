//! Stores that a program brings along, and the one in memory.

use wal_db::{MemStore, Wal, WalError, WalStore};
use wal_tests::{all, assert_is, put, quiet_heap};

#[test]
fn two_logs_never_write_to_one_store_in_memory() {
    let store = MemStore::new();
    let open = || Wal::with_store_and_config(store.clone(), quiet_heap());
    let wal = open().unwrap();
    let mut entries: Vec<_> = (0..5).map(|i| put(&wal, i, 100)).collect();
    wal.sync().unwrap();
    assert_is!(open(), Err(WalError::Locked { .. }));
    entries.push(put(&wal, 5, 100));
    drop(wal);
    let wal = open().unwrap();
    assert_eq!(all(&wal), entries);
    // A closed log lets go, though a handle of it lives.
    let clone = wal.clone();
    wal.close().unwrap();
    drop(open().unwrap());
    drop(clone);
    drop(open().unwrap());
    assert_eq!(all(&open().unwrap()), entries);
}

#[test]
fn memory_is_given_back_when_the_start_of_a_log_is_removed() {
    const LEN: usize = 1 << 20;
    let store = MemStore::new();
    store.write_at(0, &[7; LEN]).unwrap();
    store.truncate_before(LEN as u64 / 2 + 1).unwrap();
    // What was given back reads as zeros.
    let mut bytes = vec![1; LEN];
    assert_eq!(store.read_at(0, &mut bytes).unwrap(), LEN);
    let kept = bytes.iter().filter(|&&byte| byte == 7).count();
    assert_eq!(kept, LEN / 2 - 1);
}
