//! A file that cannot be mapped: the log is written through instead, and says so.

use std::{
    fs::{File, OpenOptions},
    io,
    path::PathBuf,
};

use wal_db::{
    MemStore, Staging, Wal,
    store::{NotMapped, StagingInUse},
};
use wal_tests::{
    all,
    files::{Form, Place},
    forwarding::{Forwarding, Over},
    put, quiet, quiet_heap,
};

/// A store with a staging file. If that may not be read, the system refuses to map it, as it does on file systems without
/// shared mappings.
struct Store {
    store: MemStore,
    path: PathBuf,
    /// It may be read, and mapped.
    readable: bool,
    boot: Option<[u8; 16]>,
}

impl Over for Store {
    fn store(&self) -> &MemStore {
        &self.store
    }

    fn staging_file(&self, create: bool) -> io::Result<Option<File>> {
        if !create && !self.path.exists() {
            return Ok(None);
        }
        OpenOptions::new()
            .read(self.readable)
            .write(true)
            .create(create)
            .truncate(create)
            .open(&self.path)
            .map(Some)
    }

    fn remove_staging(&self) -> io::Result<()> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn boot_id(&self) -> Option<[u8; 16]> {
        self.boot
    }
}

#[test]
fn a_log_whose_staging_memory_cannot_be_mapped_is_written_through() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("staging");
    let bytes = MemStore::new();
    for staging in [Staging::Mapped, Staging::AlwaysMapped] {
        let store = Store {
            store: bytes.clone(),
            path: path.clone(),
            readable: false,
            boot: Some([1; 16]),
        };
        let wal = Wal::with_store_and_config(Forwarding(store), quiet().with_staging(staging)).unwrap();
        assert!(
            matches!(
                wal.status().staging,
                Some(StagingInUse::Instead(NotMapped::Refused(_)))
            ),
            "{:?}",
            wal.status().staging
        );
        assert!(!path.exists(), "nothing is left of it");
        let entry = put(&wal, 1, 100);
        assert_eq!(all(&wal).last(), Some(&entry));
        // It is in the store when the call returns, so it is there whatever becomes of this handle.
        assert_eq!(wal.status().staged_bytes, 0);
        wal.close().unwrap();
    }
}

#[test]
fn a_log_is_written_through_where_nothing_tells_one_boot_from_another() {
    let dir = tempfile::tempdir().unwrap();
    let unknown = StagingInUse::Instead(NotMapped::UnknownBoot);
    let cases = [
        (None, Staging::Mapped, unknown),
        (None, Staging::AlwaysMapped, StagingInUse::Mapped),
        (Some([1; 16]), Staging::Mapped, StagingInUse::Mapped),
    ];
    for (boot, staging, in_use) in cases {
        let store = Store {
            store: MemStore::new(),
            path: dir.path().join("staging"),
            readable: true,
            boot,
        };
        let wal = Wal::with_store_and_config(Forwarding(store), quiet().with_staging(staging)).unwrap();
        assert_eq!(
            wal.status().staging,
            Some(in_use.clone()),
            "{boot:?}, {staging:?}"
        );
        put(&wal, 1, 100);
        assert_eq!(wal.status().staged_bytes == 0, in_use != StagingInUse::Mapped);
        wal.close().unwrap();
    }
}

#[test]
fn a_log_says_where_its_records_wait() {
    let place = Place::fast(Form::File);
    let in_use = |staging| {
        let wal = place.open(quiet().with_staging(staging)).unwrap();
        wal.status().staging.unwrap()
    };
    assert_eq!(in_use(Staging::Mapped), StagingInUse::Mapped);
    assert_eq!(in_use(Staging::AlwaysMapped), StagingInUse::Mapped);
    assert_eq!(in_use(Staging::WriteThrough), StagingInUse::WriteThrough);
    assert_eq!(in_use(Staging::Heap), StagingInUse::Heap);
    assert_eq!(Wal::open_read_only(place.path()).unwrap().status().staging, None);
    let wal = Wal::with_store_and_config(MemStore::new(), quiet()).unwrap();
    assert_eq!(
        wal.status().staging,
        Some(StagingInUse::Instead(NotMapped::NoFile))
    );
    let wal = Wal::with_store_and_config(MemStore::new(), quiet_heap()).unwrap();
    assert_eq!(wal.status().staging, Some(StagingInUse::Heap));
}
