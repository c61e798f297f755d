//! What was not sealed so is not opened, and the error says what is wrong.

use proptest::prelude::*;
use wal_db::seal::{Keyring, MemoryVault, Opened, SealError, Sealed};

use crate::{Ring, of_bytes, text};

#[test]
fn each_bit_counts() {
    let ring = Ring::new();
    let sealed = ring.keys.seal("ada", &text("Ada")).unwrap();
    for bit in 0..sealed.as_bytes().len() * 8 {
        let mut bytes = sealed.as_bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let error = ring.keys.unseal(&of_bytes::<String>(&bytes)).unwrap_err();
        let is_right = match bit / 8 {
            0 => matches!(error, SealError::NewerSealed { .. }),
            1..9 => matches!(error, SealError::OtherRing { .. }),
            9..17 => matches!(error, SealError::UnknownKey { .. }),
            _ => matches!(error, SealError::NotAuthentic { .. }),
        };
        assert!(is_right, "bit {bit}: {error:?}");
    }
}

#[test]
fn any_length_is_an_error() {
    let ring = Ring::new();
    let sealed = ring.keys.seal("ada", &text("Ada")).unwrap();
    for len in 0..sealed.as_bytes().len() {
        let error = ring.keys.unseal(&of_bytes::<String>(&sealed.as_bytes()[..len]));
        let error = error.unwrap_err();
        let is_right = match len {
            0..=65 => matches!(error, SealError::NotSealed { .. }),
            _ => matches!(error, SealError::NotAuthentic { .. }),
        };
        assert!(is_right, "{len} bytes: {error:?}");
    }
    let mut longer = sealed.as_bytes().to_vec();
    longer.push(0);
    let error = ring.keys.unseal(&of_bytes::<String>(&longer)).unwrap_err();
    assert!(matches!(error, SealError::NotAuthentic { .. }), "{error:?}");
}

/// The key of one subject in the head of a value of another.
#[test]
fn a_value_is_not_moved_to_another_subject() {
    let ring = Ring::new();
    let ada = ring.keys.seal("ada", &text("Ada")).unwrap();
    let bob = ring.keys.seal("bob", &text("Bob")).unwrap();
    let mut bytes = ada.as_bytes().to_vec();
    bytes[9..17].copy_from_slice(&bob.as_bytes()[9..17]);
    let error = ring.keys.unseal(&of_bytes::<String>(&bytes)).unwrap_err();
    assert!(matches!(error, SealError::NotAuthentic { .. }), "{error:?}");
}

#[test]
fn the_subject_is_asked_for() {
    let ring = Ring::new();
    let sealed = ring.keys.seal("ada", &text("Ada")).unwrap();
    assert_eq!(
        ring.keys.unseal_for("ada", &sealed).unwrap(),
        Opened::Clear(text("Ada"))
    );
    for subject in ["bob", "", "Ada"] {
        let error = ring.keys.unseal_for(subject, &sealed).unwrap_err();
        assert!(matches!(error, SealError::OtherSubject { .. }), "{error:?}");
    }
    ring.keys.shred("ada").unwrap();
    assert_eq!(ring.keys.unseal_for("ada", &sealed).unwrap(), Opened::Shredded);
    let error = ring.keys.unseal_for("bob", &sealed).unwrap_err();
    assert!(matches!(error, SealError::OtherSubject { .. }), "{error:?}");
}

#[test]
fn a_value_of_another_ring_is_said_to_be_one() {
    let (ring, other) = (Ring::new(), Ring::new());
    let sealed = ring.keys.seal("ada", &text("Ada")).unwrap();
    match other.keys.unseal(&sealed).unwrap_err() {
        SealError::OtherRing { ring: own, found, .. } => {
            assert_eq!(own, other.keys.status().unwrap().ring);
            assert_eq!(Some(found), sealed.ring());
        }
        error => panic!("{error:?}"),
    }
}

#[test]
fn a_ring_of_another_scope_is_not_opened() {
    let ring = Ring::new();
    let (dir, vault) = (ring.dir(), ring.vault.clone());
    drop(ring.keys);
    let error = Keyring::open(&dir, "shop", vault.clone()).unwrap_err();
    assert!(
        matches!(&error, SealError::OtherScope { stored, given, .. } if stored == "bank" && given == "shop"),
        "{error:?}"
    );
    Keyring::open(&dir, "bank", vault).unwrap();
}

/// Of the same length and the same bytes when they are written, so that only the shape tells them apart.
#[test]
fn another_type_is_another_shape() {
    let ring = Ring::new();
    let sealed = ring.keys.seal("ada", &7_u32).unwrap();
    let error = ring.keys.unseal(&of_bytes::<u16>(sealed.as_bytes())).unwrap_err();
    assert!(
        matches!(&error, SealError::OtherShape { shape, .. } if shape == "u16"),
        "{error:?}"
    );
    let error = ring
        .keys
        .unseal(&of_bytes::<String>(sealed.as_bytes()))
        .unwrap_err();
    assert!(matches!(error, SealError::OtherShape { .. }), "{error:?}");
}

#[test]
fn nothing_is_printed() {
    let ring = Ring::new();
    let sealed = ring.keys.seal("ada", &text("Lovelace")).unwrap();
    let printed = format!("{sealed:?} {:?} {:?}", ring.keys, ring.vault);
    assert!(
        !printed.contains("Lovelace") && !printed.contains("ada"),
        "{printed}"
    );
    let holder = format!("{:?}", Some(sealed.clone()));
    assert!(holder.contains(&sealed.key().unwrap().to_string()), "{holder}");
    assert!(holder.len() < 80, "{holder}");
}

#[test]
fn the_file_holds_no_name_and_no_value() {
    let ring = Ring::new();
    ring.keys
        .seal("ada.lovelace@example.org", &text("Lovelace"))
        .unwrap();
    let bytes = std::fs::read(ring.file()).unwrap();
    let has = |text: &[u8]| bytes.windows(text.len()).any(|part| part == text);
    assert!(has(b"bank") && !has(b"ada.") && !has(b"Lovelace"));
}

#[test]
fn the_length_says_little() {
    let ring = Ring::new();
    let len = |len: usize| ring.keys.seal("ada", &"x".repeat(len)).unwrap().as_bytes().len();
    let short: Vec<usize> = (0..=26).map(len).collect();
    assert!(short.iter().all(|len| *len == 97), "{short:?}");
    assert_eq!(len(27), 129);
    for exponent in 7..20 {
        let value = (1 << exponent) + 1;
        let padded = len(value) - 65;
        assert!(
            padded >= value && padded < value + value / 16 + 40,
            "{value}: {padded}"
        );
        assert_eq!(padded % 32, 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_opened_is_what_was_sealed(
        subject in ".{0,40}",
        value in proptest::collection::vec((any::<u64>(), ".{0,20}"), 0..40),
    ) {
        let ring = shared();
        let sealed = ring.seal(&subject, &value).unwrap();
        prop_assert_eq!(ring.unseal(&sealed).unwrap(), Opened::Clear(value.clone()));
        let again = ring.seal(&subject, &value).unwrap();
        prop_assert_ne!(&again, &sealed);
        prop_assert_eq!(again.key(), sealed.key());
    }

    #[test]
    fn any_bytes_are_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300), of_ours in any::<bool>()) {
        let ring = shared();
        let mut bytes = bytes;
        if of_ours {
            let sealed = ring.seal("ada", &text("Ada")).unwrap();
            let head = 25.min(bytes.len());
            bytes[..head].copy_from_slice(&sealed.as_bytes()[..head]);
        }
        let sealed: Sealed<String> = of_bytes(&bytes);
        prop_assert!(ring.unseal(&sealed).is_err());
    }
}

/// One ring for all cases: its directory goes when the system cleans up.
fn shared() -> &'static Keyring {
    static RING: std::sync::LazyLock<Keyring> = std::sync::LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap().keep();
        Keyring::create(folder, "bank", MemoryVault::new()).unwrap()
    });
    &RING
}
