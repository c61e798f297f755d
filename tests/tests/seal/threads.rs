//! Many threads at one ring.

use std::thread;

use wal_db::seal::{Keyring, Opened, SealError};

use crate::{Ring, text};

#[test]
fn threads_seal_open_and_shred_at_the_same_time() {
    let ring = Ring::new();
    let keys = &ring.keys;
    thread::scope(|scope| {
        for number in 0..4 {
            scope.spawn(move || {
                for round in 0..40 {
                    // All threads make the keys of these at the same time.
                    let subject = format!("shared-{round}");
                    let sealed = keys.seal(&subject, &text(&subject)).unwrap();
                    assert_eq!(keys.unseal_for(&subject, &sealed).unwrap().clear(), Some(subject));
                    let own = format!("own-{number}-{round}");
                    let sealed = keys.seal(&own, &text(&own)).unwrap();
                    if round % 8 == 0 {
                        keys.shred(&own).unwrap();
                        assert_eq!(keys.unseal(&sealed).unwrap(), Opened::Shredded);
                    }
                }
            });
        }
    });
    let status = keys.status().unwrap();
    assert_eq!((status.subjects, status.shredded), (40 + 4 * 35, 4 * 5));
    let copy = ring.copied();
    let again = Keyring::open(copy.path(), "bank", ring.vault.copied()).unwrap();
    assert_eq!(again.status().unwrap().subjects, status.subjects);
    assert_eq!(again.receipts().unwrap(), keys.receipts().unwrap());
}

#[test]
fn one_handle_has_a_ring() {
    let ring = Ring::new();
    let clone = ring.keys.clone();
    let sealed = clone.seal("ada", &text("Ada")).unwrap();
    let error = Keyring::open(ring.dir(), "bank", ring.vault.clone()).unwrap_err();
    assert!(matches!(error, SealError::Locked { .. }), "{error:?}");
    let error = Keyring::create(ring.dir(), "bank", ring.vault.clone()).unwrap_err();
    assert!(matches!(error, SealError::Locked { .. }), "{error:?}");
    let (dir, vault) = (ring.dir(), ring.vault.clone());
    drop(ring.keys);
    assert!(Keyring::open(&dir, "bank", vault.clone()).is_err());
    drop(clone);
    let keys = Keyring::open(&dir, "bank", vault).unwrap();
    assert_eq!(keys.unseal(&sealed).unwrap().clear(), Some(text("Ada")));
}
