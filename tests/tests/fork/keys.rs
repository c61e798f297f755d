//! A key ring in a child: every call says so, whatever lock a thread of the parent had when it was forked.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
};

use wal_db::seal::{Keyring, MemoryVault, SealError};

use super::children::fork;

fn said<T>(outcome: Result<T, SealError>) -> &'static str {
    match outcome {
        Ok(_) => "Ok",
        Err(SealError::Forked { .. }) => "Forked",
        Err(_) => "another error",
    }
}

#[test]
fn a_child_of_a_ring_hears_so_of_every_call() {
    let folder = tempfile::tempdir().unwrap();
    let keys = Keyring::create(folder.path().join("keys"), "bank", MemoryVault::new()).unwrap();
    let ada = keys.seal("ada", &7_u32).unwrap();
    let (hash, lookup) = (keys.subject_hash("ada"), keys.lookup_hash("mail", "a"));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        // One has the lock of the file nearly always, the other that of the keys.
        scope.spawn(|| {
            while !is_over.load(Relaxed) {
                keys.rotate().unwrap();
            }
        });
        scope.spawn(|| {
            for number in 0_u64.. {
                if is_over.load(Relaxed) {
                    break;
                }
                keys.prepare(&[format!("user-{number}")]).unwrap();
            }
        });
        for _ in 0..20 {
            let child = fork(|_| {
                assert_eq!(
                    (keys.subject_hash("ada"), keys.lookup_hash("mail", "a")),
                    (hash, lookup)
                );
                assert!(format!("{keys:?}").contains("bank"));
                let all = [
                    said(keys.seal("ada", &7_u32)),
                    said(keys.seal("new", &7_u32)),
                    said(keys.prepare(&["new"])),
                    said(keys.unseal(&ada)),
                    said(keys.unseal_for("ada", &ada)),
                    said(keys.unseal_as::<u32, _>(&ada)),
                    said(keys.shred("ada")),
                    said(keys.rotate()),
                    said(keys.compact()),
                    said(keys.receipt("ada")),
                    said(keys.receipts()),
                    said(keys.status()),
                ];
                match all.iter().all(|said| *said == "Forked") {
                    true => "Forked".to_owned(),
                    false => format!("{all:?}"),
                }
            });
            assert_eq!(child.says("a key ring"), "Forked");
        }
        is_over.store(true, Relaxed);
    });
    keys.shred("ada").unwrap();
}
