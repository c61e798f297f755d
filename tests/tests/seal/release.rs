//! What format version 1 has written is read for ever: a ring, its vault, and values, as hexadecimal text.

use std::{fs, path::Path};

use wal_db::{
    WalSchema,
    seal::{FileVault, Keyring, Opened, Sealed},
};

use crate::{of_bytes, text};

const KEYS: &str = "00000000000000000002.keys";
const MASTER: &str = "0f05bad56d87b8ff.master";

fn shown(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/seal/release_1");
    fs::read_to_string(folder.join(name)).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn value<T: WalSchema>(of: &str) -> Sealed<T> {
    let values = shown("values.txt");
    let line = values.lines().find_map(|line| line.strip_prefix(of));
    of_bytes(&bytes(line.unwrap()))
}

#[test]
fn a_ring_of_version_1_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let (ring, vault) = (folder.path().join("ring"), folder.path().join("vault"));
    fs::create_dir(&ring).unwrap();
    fs::create_dir(&vault).unwrap();
    fs::write(ring.join(KEYS), bytes(&shown(&format!("{KEYS}.hex")))).unwrap();
    fs::write(vault.join(MASTER), bytes(&shown(&format!("{MASTER}.hex")))).unwrap();
    let keys = Keyring::open(&ring, "bank", FileVault::open(&vault).unwrap()).unwrap();
    let open = |subject: &str, of: &str| keys.unseal_for::<String>(subject, &value(of)).unwrap();
    assert_eq!(open("ada", "ada "), Opened::Clear(text("Lovelace")));
    assert_eq!(open("bob", "bob "), Opened::Shredded);
    assert_eq!(open("cy", "cy "), Opened::Clear(text("Byron")));
    let lookup = format!("lookup {}", keys.lookup_hash("mail", "ada@example.org"));
    assert!(shown("values.txt").contains(&lookup), "{lookup}");
    assert_eq!(keys.receipts().unwrap().len(), 1);
}
