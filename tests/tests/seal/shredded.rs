//! After a shred, no copy of anything opens what was sealed.

use std::fs;

use sha2::{Digest, Sha256};
use wal_db::seal::{FileVault, Keyring, Opened, SealError, ShredReceipt, VaultError};

use crate::{Ring, copy, text};

#[test]
fn no_copy_of_the_key_file_opens_what_was_shredded() {
    let ring = Ring::new();
    let keys = &ring.keys;
    let mut copies = vec![ring.copied()];
    let ada = keys.seal("ada", &text("Ada")).unwrap();
    copies.push(ring.copied());
    let bob = keys.seal("bob", &text("Bob")).unwrap();
    copies.push(ring.copied());
    keys.compact().unwrap();
    copies.push(ring.copied());
    keys.rotate().unwrap();
    copies.push(ring.copied());
    let cy = keys.seal("cy", &text("Cy")).unwrap();
    copies.push(ring.copied());
    // Before: this is what a copy and the vault open together.
    let stolen = ring.vault.copied();
    let before = copies.last().unwrap();
    let thief = Keyring::open(before.path(), "bank", stolen.copied()).unwrap();
    assert_eq!(thief.unseal(&ada).unwrap(), Opened::Clear(text("Ada")));
    drop(thief);

    keys.shred("ada").unwrap();
    copies.push(ring.copied());
    keys.shred("cy").unwrap();
    copies.push(ring.copied());

    for (number, copy) in copies.iter().enumerate() {
        match Keyring::open(copy.path(), "bank", ring.vault.copied()) {
            Ok(thief) => {
                assert_eq!(number, copies.len() - 1);
                assert_eq!(thief.unseal(&ada).unwrap(), Opened::Shredded);
                assert_eq!(thief.unseal(&cy).unwrap(), Opened::Shredded);
                assert_eq!(thief.unseal(&bob).unwrap(), Opened::Clear(text("Bob")));
            }
            Err(SealError::Vault {
                source: VaultError::NoSuchMaster { .. },
                ..
            }) => assert!(number < copies.len() - 1),
            Err(error) => panic!("copy {number}: {error:?}"),
        }
    }
}

#[test]
fn the_ring_goes_on_after_a_shred() {
    let ring = Ring::new();
    let keys = &ring.keys;
    let ada = keys.seal("ada", &text("Ada")).unwrap();
    let bob = keys.seal("bob", &text("Bob")).unwrap();
    let receipt = keys.shred("ada").unwrap();
    assert_eq!(keys.unseal(&ada).unwrap(), Opened::Shredded);
    assert_eq!(keys.unseal(&ada).unwrap().clear(), None);
    assert_eq!(keys.unseal(&bob).unwrap().clear(), Some(text("Bob")));
    assert_eq!(keys.shred("ada").unwrap(), receipt);
    match keys.seal("ada", &text("Ada")).unwrap_err() {
        SealError::SubjectShredded { key, .. } => assert_eq!(Some(key), ada.key()),
        error => panic!("{error:?}"),
    }
    let error = keys.prepare(&["zoe", "ada"]).unwrap_err();
    assert!(matches!(error, SealError::SubjectShredded { .. }), "{error:?}");
    assert!(matches!(keys.shred("zoe").unwrap_err(), SealError::NoSuchSubject));
    assert_eq!(keys.receipts().unwrap(), [receipt]);
    assert_eq!(
        (keys.receipt("ada").unwrap(), keys.receipt("bob").unwrap()),
        (Some(receipt), None)
    );

    let (dir, vault) = (ring.dir(), ring.vault.clone());
    let folder = ring.folder;
    drop(ring.keys);
    let keys = Keyring::open(dir, "bank", vault).unwrap();
    assert_eq!(keys.unseal(&ada).unwrap(), Opened::Shredded);
    assert_eq!(keys.unseal(&bob).unwrap().clear(), Some(text("Bob")));
    assert_eq!(keys.receipts().unwrap(), [receipt]);
    assert_eq!(keys.shred("ada").unwrap(), receipt);
    drop(folder);
}

#[test]
fn the_receipt_names_the_files_by_their_digests() {
    let ring = Ring::new();
    let keys = &ring.keys;
    keys.seal("ada", &text("Ada")).unwrap();
    keys.seal("bob", &text("Bob")).unwrap();
    let receipt = keys.shred("ada").unwrap();
    let file = fs::read(ring.file()).unwrap();
    // What is added after it was written: that the old master is destroyed.
    let written = &file[..file.len() - 512];
    assert_eq!(receipt.after.as_bytes()[..], Sha256::digest(written)[..]);
    assert_eq!(receipt.subject, keys.subject_hash("ada"));
    assert_ne!(receipt.before, receipt.after);

    // It holds through every rewriting.
    keys.rotate().unwrap();
    keys.compact().unwrap();
    let second = keys.shred("bob").unwrap();
    assert_eq!(keys.shred("ada").unwrap(), receipt);
    assert!(second.time() >= receipt.time());

    let json = serde_json::to_string(&receipt).unwrap();
    assert_eq!(serde_json::from_str::<ShredReceipt>(&json).unwrap(), receipt);
    assert!(
        json.contains(&receipt.key.to_string()) && !json.contains("ada"),
        "{json}"
    );
}

#[test]
fn a_vault_in_files_is_for_its_owner_and_forgets() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, vault) = (folder.path().join("keys"), folder.path().join("apart/vault"));
    let keys = Keyring::create(&dir, "bank", FileVault::open(&vault).unwrap()).unwrap();
    let ada = keys.seal("ada", &text("Ada")).unwrap();
    let masters = || -> Vec<_> {
        let entries = fs::read_dir(&vault).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let old = masters();
    assert_eq!(old.len(), 1);
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        assert_eq!(fs::metadata(&old[0]).unwrap().mode() & 0o777, 0o600);
        let file = dir.join(format!("{:020}.keys", 1));
        assert_eq!(fs::metadata(file).unwrap().mode() & 0o777, 0o600);
    }
    let backup = tempfile::tempdir().unwrap();
    copy(&dir, backup.path());
    keys.shred("ada").unwrap();
    let new = masters();
    assert!(new.len() == 1 && new != old, "{new:?}");
    drop(keys);
    let error = Keyring::open(backup.path(), "bank", FileVault::open(&vault).unwrap()).unwrap_err();
    assert!(
        matches!(
            error,
            SealError::Vault {
                source: VaultError::NoSuchMaster { .. },
                ..
            }
        ),
        "{error:?}"
    );
    let open = || Keyring::open(&dir, "bank", FileVault::open(&vault).unwrap());
    assert_eq!(open().unwrap().unseal(&ada).unwrap(), Opened::Shredded);

    let mut bytes = fs::read(&new[0]).unwrap();
    bytes[20] ^= 1;
    fs::write(&new[0], bytes).unwrap();
    let error = open().unwrap_err();
    assert!(
        matches!(
            error,
            SealError::Vault {
                source: VaultError::Damaged { .. },
                ..
            }
        ),
        "{error:?}"
    );
}

/// From before a key was made, and from before another was shredded: both are told from a key that was shredded.
#[test]
fn an_older_key_file_is_not_taken_for_a_shredded_key() {
    let ring = Ring::new();
    ring.keys.seal("ada", &text("Ada")).unwrap();
    let older = ring.copied();
    let bob = ring.keys.seal("bob", &text("Bob")).unwrap();
    let keys = Keyring::open(older.path(), "bank", ring.vault.copied()).unwrap();
    match keys.unseal(&bob).unwrap_err() {
        SealError::UnknownKey { key, .. } => assert_eq!(Some(key), bob.key()),
        error => panic!("{error:?}"),
    }
    // The key that the older ring makes for the subject is another one.
    keys.seal("bob", &text("Bob")).unwrap();
    assert!(matches!(
        keys.unseal(&bob).unwrap_err(),
        SealError::UnknownKey { .. }
    ));
}
