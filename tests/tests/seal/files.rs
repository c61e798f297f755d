//! Key files that are damaged, or that nobody here has written.

use std::fs;

use proptest::prelude::*;
use wal_db::seal::{Keyring, MemoryVault, Opened, SealError, Sealed};

use crate::{Ring, text};

/// A ring with some keys that were made one after the other, and one value for each; it is closed.
struct Closed {
    ring: Ring,
    sealed: Vec<Sealed<String>>,
    bytes: Vec<u8>,
    name: std::ffi::OsString,
}

fn closed() -> Closed {
    let ring = Ring::new();
    ring.keys
        .prepare(&(0..20).map(|n| format!("many-{n}")).collect::<Vec<_>>())
        .unwrap();
    ring.keys.seal("gone", &text("gone")).unwrap();
    ring.keys.shred("gone").unwrap();
    let sealed = ["ada", "bob", "cy"].map(|name| ring.keys.seal(name, &text(name)).unwrap());
    Closed {
        sealed: sealed.into(),
        bytes: fs::read(ring.file()).unwrap(),
        name: ring.file().file_name().unwrap().to_owned(),
        ring,
    }
}

impl Closed {
    /// Opens other bytes under the same name.
    fn open(&self, bytes: &[u8]) -> Result<Keyring, SealError> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(&self.name), bytes).unwrap();
        Keyring::open(folder.path(), "bank", self.ring.vault.copied())
    }
}

#[test]
fn a_flipped_bit_anywhere_is_damage() {
    let closed = closed();
    let vault = closed.ring.vault.copied();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(&closed.name);
    // A bit of each byte of the first sectors, and some of all.
    for at in (0..closed.bytes.len()).filter(|at| *at < 1100 || at % 7 == 0) {
        let mut bytes = closed.bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&path, &bytes).unwrap();
        let error = Keyring::open(folder.path(), "bank", vault.clone()).unwrap_err();
        assert!(matches!(error, SealError::Damaged { .. }), "byte {at}: {error:?}");
        assert_eq!(fs::read(&path).unwrap(), bytes, "the file was changed");
    }
}

#[test]
fn a_sector_that_was_flushed_is_missed() {
    let closed = closed();
    let sectors = closed.bytes.len() / 512;
    let last = sectors - 1;
    for sector in 1..last {
        let mut bytes = closed.bytes.clone();
        bytes[sector * 512..][..512].fill(0);
        let error = closed.open(&bytes).unwrap_err();
        assert!(
            matches!(error, SealError::Damaged { .. }),
            "sector {sector}: {error:?}"
        );
        let mut bytes = closed.bytes.clone();
        bytes.drain(sector * 512..(sector + 1) * 512);
        let error = closed.open(&bytes).unwrap_err();
        assert!(
            matches!(error, SealError::Damaged { .. }),
            "sector {sector} cut out: {error:?}"
        );
        let mut bytes = closed.bytes.clone();
        bytes.copy_within(sector * 512..(sector + 1) * 512, last * 512);
        let error = closed.open(&bytes).unwrap_err();
        assert!(
            matches!(error, SealError::Damaged { .. }),
            "sector {sector} twice: {error:?}"
        );
    }
}

/// What was there when the file got its name was flushed before, whatever comes after it or does not.
#[test]
fn a_file_that_was_written_anew_is_whole() {
    let closed = closed();
    closed.ring.keys.compact().unwrap();
    let bytes = fs::read(closed.ring.file()).unwrap();
    let closed = Closed {
        name: closed.ring.file().file_name().unwrap().to_owned(),
        ..closed
    };
    for sector in 1..bytes.len() / 512 {
        let mut zeroed = bytes.clone();
        zeroed[sector * 512..][..512].fill(0);
        let error = closed.open(&zeroed).unwrap_err();
        assert!(
            matches!(error, SealError::Damaged { .. }),
            "sector {sector}: {error:?}"
        );
        for cut in [0, 1, 511] {
            let error = closed.open(&bytes[..sector * 512 + cut]).unwrap_err();
            assert!(
                matches!(error, SealError::Damaged { .. }),
                "sector {sector} and {cut}: {error:?}"
            );
        }
    }
}

/// What a crash leaves of the last batch: nothing, zeros, or a part of it. It is cut off, and what depends on it is not
/// guessed.
#[test]
fn an_end_that_was_never_flushed_is_cut_off() {
    let closed = closed();
    let len = closed.bytes.len();
    for torn in [0, 1, 100, 511] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join(&closed.name),
            &closed.bytes[..len - 512 + torn],
        )
        .unwrap();
        let keys = Keyring::open(folder.path(), "bank", closed.ring.vault.copied()).unwrap();
        assert_eq!(
            keys.unseal(&closed.sealed[1]).unwrap(),
            Opened::Clear(text("bob"))
        );
        let error = keys.unseal(&closed.sealed[2]).unwrap_err();
        assert!(matches!(error, SealError::UnknownKey { .. }), "{error:?}");
        let cy = keys.seal("cy", &text("cy")).unwrap();
        keys.seal("di", &text("di")).unwrap();
        // And it is whole again.
        let dir = folder.path().to_owned();
        drop(keys);
        let keys = Keyring::open(dir, "bank", closed.ring.vault.copied()).unwrap();
        assert_eq!(keys.unseal(&cy).unwrap(), Opened::Clear(text("cy")));
    }
    let mut bytes = closed.bytes.clone();
    bytes[len - 512..].fill(0);
    bytes.extend_from_slice(&[0; 1000]);
    let keys = closed.open(&bytes).unwrap();
    assert!(keys.unseal(&closed.sealed[2]).is_err());
    assert_eq!(
        keys.unseal(&closed.sealed[0]).unwrap(),
        Opened::Clear(text("ada"))
    );
}

/// A hole of two terabytes, which is not read.
#[test]
fn a_file_that_is_longer_than_any_is_refused_at_once() {
    let closed = closed();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(&closed.name);
    fs::write(&path, &closed.bytes).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    if file.set_len((1 << 41) + 512).is_err() {
        return; // a file system without such files
    }
    let error = Keyring::open(folder.path(), "bank", closed.ring.vault.copied()).unwrap_err();
    assert!(matches!(error, SealError::Damaged { .. }), "{error:?}");
    assert_eq!(file.metadata().unwrap().len(), (1 << 41) + 512);
}

#[test]
fn what_is_not_there_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let open = |at: &str| Keyring::open(folder.path().join(at), "bank", MemoryVault::new());
    assert!(matches!(open("none").unwrap_err(), SealError::NoRing { .. }));
    fs::create_dir(folder.path().join("empty")).unwrap();
    assert!(matches!(open("empty").unwrap_err(), SealError::NoRing { .. }));
    let (vault, dir) = (MemoryVault::new(), folder.path().join("made/here"));
    drop(Keyring::open_or_create(&dir, "bank", vault.clone()).unwrap());
    let error = Keyring::create(&dir, "bank", vault.clone()).unwrap_err();
    assert!(matches!(error, SealError::Exists { .. }), "{error:?}");
    drop(Keyring::open_or_create(&dir, "bank", vault.clone()).unwrap());
    assert_eq!(vault.masters().len(), 1);
    let error = Keyring::open(&dir, "bank", MemoryVault::new()).unwrap_err();
    assert!(matches!(error, SealError::Vault { .. }), "{error:?}");
}

#[test]
fn a_later_format_is_said_to_be_one() {
    let closed = closed();
    let mut bytes = closed.bytes.clone();
    bytes[8] = 2;
    let used = u32::from_le_bytes(bytes[40..44].try_into().unwrap()) as usize + 40;
    let crc = crc32fast::hash(&bytes[..used]);
    bytes[used..used + 4].copy_from_slice(&crc.to_le_bytes());
    let error = closed.open(&bytes).unwrap_err();
    assert!(
        matches!(error, SealError::NewerFormat { version: 2, .. }),
        "{error:?}"
    );
}

/// Of a batch, any sectors can be missing; the others are there.
#[test]
fn a_batch_that_was_never_flushed_may_lack_any_sector() {
    let ring = Ring::new();
    ring.keys.seal("ada", &text("ada")).unwrap();
    let start = fs::read(ring.file()).unwrap().len();
    ring.keys
        .prepare(&(0..18).map(|n| format!("many-{n}")).collect::<Vec<_>>())
        .unwrap();
    let name = ring.file().file_name().unwrap().to_owned();
    let bytes = fs::read(ring.file()).unwrap();
    assert_eq!(bytes.len(), start + 3 * 512);
    for missing in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let mut torn = bytes.clone();
        torn[start + missing * 512..][..512].fill(0);
        fs::write(folder.path().join(&name), torn).unwrap();
        for subjects in [13, 14, 15] {
            let keys = Keyring::open(folder.path(), "bank", ring.vault.copied()).unwrap();
            assert_eq!(keys.status().unwrap().subjects, subjects);
            keys.seal(&format!("new-{subjects}"), &7_u8).unwrap();
        }
    }
}

/// 20 subjects, four sectors: what is there is as short as it can be after it was written anew.
#[test]
fn compacting_puts_six_keys_in_a_sector() {
    let ring = Ring::new();
    for n in 0..20 {
        ring.keys.seal(&format!("user-{n}"), &n).unwrap();
    }
    let before = ring.keys.status().unwrap();
    assert_eq!(before.file_bytes, (1 + 1 + 20) * 512);
    ring.keys.compact().unwrap();
    let after = ring.keys.status().unwrap();
    assert_eq!(after.file_bytes, (1 + 1 + 4) * 512);
    assert_eq!((after.subjects, after.generation), (20, before.generation + 1));
    assert_eq!(after.master, before.master);
    ring.keys.rotate().unwrap();
    assert_ne!(ring.keys.status().unwrap().master, before.master);
    assert_eq!(ring.vault.masters(), [ring.keys.status().unwrap().master]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Neither does it panic nor hand out what is not there.
    #[test]
    fn hostile_files_are_errors(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in proptest::option::of(any::<prop::sample::Index>()),
        more in proptest::collection::vec(any::<u8>(), 0..600),
        mends in any::<bool>(),
    ) {
        let closed = shared();
        let mut bytes = closed.bytes.clone();
        for (at, byte) in changes {
            // Most of them in the header.
            let at = at.index(bytes.len());
            bytes[if byte % 2 == 0 { at % 512 } else { at }] = byte;
        }
        bytes.truncate(cut.map_or(bytes.len(), |cut| cut.index(bytes.len())));
        bytes.extend_from_slice(&more);
        if mends && bytes.len() > 512 {
            let used = u32::from_le_bytes(bytes[40..44].try_into().unwrap()) as usize;
            if let Some(crc) = bytes.get(..used.saturating_add(40)).map(crc32fast::hash)
                && let Some(place) = bytes.get_mut(used + 40..used + 44)
            {
                place.copy_from_slice(&crc.to_le_bytes());
            }
        }
        if let Ok(keys) = closed.open(&bytes) {
            for (sealed, name) in closed.sealed.iter().zip(["ada", "bob", "cy"]) {
                let found = keys.unseal(sealed);
                let is_lost = matches!(found, Err(SealError::UnknownKey { .. }));
                prop_assert!(is_lost || found.unwrap() == Opened::Clear(text(name)));
            }
        }
    }
}

fn shared() -> &'static Closed {
    static CLOSED: std::sync::LazyLock<Closed> = std::sync::LazyLock::new(closed);
    &CLOSED
}
