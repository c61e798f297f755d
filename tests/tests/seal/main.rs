//! Sealed values: what is opened is what was sealed, and what was shredded nobody opens.
#![allow(clippy::unwrap_used)] // a setup that fails fails the test

mod events;
mod files;
mod forged;
mod release;
mod shredded;
mod threads;
mod types;

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;
use wal_db::{
    WalSchema,
    seal::{Keyring, MemoryVault, Sealed},
};

/// A ring in a directory of its own.
struct Ring {
    folder: TempDir,
    vault: MemoryVault,
    keys: Keyring,
}

impl Ring {
    fn new() -> Ring {
        let folder = tempfile::tempdir().unwrap();
        let vault = MemoryVault::new();
        let keys = Keyring::create(folder.path().join("keys"), "bank", vault.clone()).unwrap();
        Ring { folder, vault, keys }
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("keys")
    }

    /// The key file that is there.
    fn file(&self) -> PathBuf {
        let generation = self.keys.status().unwrap().generation;
        self.dir().join(format!("{generation:020}.keys"))
    }

    /// Its files, somewhere else.
    fn copied(&self) -> TempDir {
        let to = tempfile::tempdir().unwrap();
        copy(&self.dir(), to.path());
        to
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// A value of these bytes, as a log would hold it.
fn of_bytes<T: WalSchema>(bytes: &[u8]) -> Sealed<T> {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    serde_json::from_value(hex.into()).unwrap()
}

fn text(text: &str) -> String {
    text.to_owned()
}
