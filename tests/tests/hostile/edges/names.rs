//! Names of logs: as long as they can be, no text, or none at all.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, OpenOptions},
    io::Write,
    os::unix::ffi::OsStrExt,
    path::Path,
};

use wal_db::{Wal, WalError};
use wal_tests::{assert_is, files::copy_tree, put, quiet};

/// A log that has lost its end in a crash: opening it keeps aside what it cuts.
fn with_residue(dir: &Path, name: &OsStr) -> tempfile::TempDir {
    let killed = tempfile::tempdir().unwrap();
    copy_tree(dir, killed.path());
    let path = killed.path().join(name);
    let _ = fs::remove_file(staging(&path));
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(&[9; 5000]).unwrap();
    killed
}

fn staging(path: &Path) -> std::path::PathBuf {
    let mut name = path.file_name().unwrap().to_owned();
    name.push(".staging");
    path.with_file_name(name)
}

#[test]
fn a_log_whose_name_is_as_long_as_it_can_be_opens_after_a_crash_as_well() {
    let (mut opened, mut refused) = (0, 0);
    for len in (200..=256).step_by(2) {
        let dir = tempfile::tempdir().unwrap();
        let name = OsString::from("n".repeat(len));
        let path = dir.path().join(&name);
        match Wal::open_with(&path, quiet()) {
            Ok(wal) => {
                (0..20).for_each(|i| drop(put(&wal, i, 100_000)));
                wal.sync().unwrap();
                let killed = with_residue(dir.path(), &name);
                let path = killed.path().join(&name);
                let wal = Wal::open_with(&path, quiet()).unwrap_or_else(|error| panic!("{len}: {error}"));
                let kept = wal.recovery().cut.clone().unwrap().kept_at.unwrap();
                assert!(kept.exists());
                assert_eq!(wal.status().records, 20);
                wal.retain(&wal_db::Retention::new().with_max_bytes(1)).unwrap();
                wal.close().unwrap();
                assert!(refused == 0, "{len}");
                opened += 1;
            }
            Err(error) => {
                assert_is!(error, WalError::Io { .. }, "{len}");
                assert!(format!("{error:?}").contains("name"), "{error:?}");
                let left: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
                assert!(left.is_empty(), "{len}: {left:?}");
                refused += 1;
            }
        }
    }
    assert!(opened > 5 && refused > 1, "{opened} {refused}");
    // A copy is to be used like a log.
    let dir = tempfile::tempdir().unwrap();
    let wal = Wal::open_with(dir.path().join("log"), quiet()).unwrap();
    let copied = wal.backup_to(dir.path().join("n".repeat(240)));
    assert_is!(copied, Err(WalError::Io { .. }));
    wal.close().unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn a_log_whose_name_is_no_text_is_one_like_others() {
    for name in [&b"\xff\xfe.wal"[..], b"new\nline", b"-rf", b" ", b"\xc3"] {
        let name = OsStr::from_bytes(name);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        let wal = Wal::open_with(&path, quiet()).unwrap();
        let entries: Vec<_> = (0..20).map(|i| put(&wal, i, 1000)).collect();
        wal.sync().unwrap();
        let killed = with_residue(dir.path(), name);
        let path = killed.path().join(name);
        let wal = Wal::open_with(&path, quiet()).unwrap();
        assert_eq!(wal_tests::all(&wal), entries, "{name:?}");
        let kept = wal.recovery().cut.clone().unwrap().kept_at.unwrap();
        assert!(kept.exists(), "{name:?}");
        assert!(
            wal_db::recovery::salvage(&kept).is_ok(),
            "{name:?}: {:?}",
            wal_db::recovery::salvage(&kept).err()
        );
        let kept_of = wal_db::recovery::inspect(&path).unwrap();
        assert!(format!("{kept_of:?}").contains("cut-"), "{name:?}: {kept_of:?}");
        let locked = Wal::open_with(&path, quiet()).unwrap_err();
        assert_is!(locked, WalError::Locked { .. });
        wal.close().unwrap();
        assert_eq!(Wal::open_read_only(&path).unwrap().iter().unwrap().count(), 20);
    }
}

#[test]
fn a_path_that_can_be_no_log_is_an_error_and_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let in_dir = |name: &str| dir.path().join(name).into_os_string();
    let zero = OsStr::from_bytes(b"a\0b").to_owned();
    let paths: [OsString; 8] = [
        OsString::new(),
        "/".into(),
        "..".into(),
        ".".into(),
        zero,
        in_dir("nowhere/log"),
        in_dir(".."),
        "x".repeat(5000).into(),
    ];
    for path in paths {
        let outcomes = [
            Wal::open(&path).map(drop),
            Wal::open_read_only(&path).map(drop),
            wal_db::recovery::inspect(&path).map(drop),
            wal_db::recovery::salvage(&path).map(drop),
        ];
        for (call, outcome) in outcomes.iter().enumerate() {
            let fine = matches!(outcome, Err(WalError::Io { .. } | WalError::NotALog { .. }));
            assert!(fine, "{path:?}, {call}: {outcome:?}");
        }
        let wal = Wal::with_store(wal_db::MemStore::new()).unwrap();
        assert!(wal.backup_to(&path).is_err(), "{path:?}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
