//! A file that cannot be mapped: the log is written through instead, and says so.

use wal_db::{
    MemStore, Staging, Wal,
    store::{NotMapped, StagingInUse},
};
use wal_tests::{
    all, assert_is,
    files::{Form, Place},
    put, quiet, quiet_heap,
    scripted::{Scripted, StagingFile},
};

fn store(bytes: &MemStore, staging: StagingFile) -> Scripted<MemStore> {
    let mut store = Scripted::new(bytes.clone(), |_, _| Ok(None));
    store.staging = Some(staging);
    store
}

#[test]
fn a_log_whose_staging_memory_cannot_be_mapped_is_written_through() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("staging");
    let bytes = MemStore::new();
    for staging in [Staging::Mapped, Staging::AlwaysMapped] {
        let file = StagingFile {
            path: path.clone(),
            readable: false,
            boot: Some([1; 16]),
        };
        let store = store(&bytes, file);
        let wal = Wal::with_store_and_config(store, quiet().with_staging(staging)).unwrap();
        assert_is!(
            wal.status().staging,
            Some(StagingInUse::Instead(NotMapped::Refused(_)))
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
        let file = StagingFile {
            path: dir.path().join("staging"),
            readable: true,
            boot,
        };
        let store = store(&MemStore::new(), file);
        let wal = Wal::with_store_and_config(store, quiet().with_staging(staging)).unwrap();
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
