//! Futures of what was appended.

use wal_db::{MemStore, Wal};
use wal_tests::task::block_on;

#[test]
fn what_was_appended_before_is_durable() {
    let wal = Wal::with_store(MemStore::new()).unwrap();
    for _ in 0..100 {
        wal.append(b"x").unwrap();
        let lsn = wal.append(b"y").unwrap();
        block_on(wal.sync_async()).unwrap();
        assert!(wal.status().durable > lsn);
        let lsn = wal.append(b"z").unwrap();
        assert_eq!(block_on(wal.ticket(lsn).unwrap()).unwrap(), lsn);
    }
}
