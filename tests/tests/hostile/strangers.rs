//! What is not this log's is not touched: foreign files, links, pipes, devices, other versions, other writers,
//! places that cannot be written. And what the log creates is for its owner only.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink},
        process::CommandExt,
    },
    path::Path,
    process::{Command, Stdio},
};

use wal_db::{FileStore, SegmentedStore, Wal, WalConfig, WalError, recovery::CorruptionReason};
use wal_tests::{
    Entry, all, assert_is,
    child::{Reporter, command, told, try_open_here},
    files::{FORMS, Form, Place, SEGMENT, assert_same_files, tree},
    payload, put, quiet, within,
};

/// A closed log of two records.
fn closed(form: Form) -> (Place, Vec<Entry>) {
    let place = Place::new(form);
    let wal = place.open(quiet()).unwrap();
    let entries = vec![put(&wal, 1, 300), put(&wal, 2, 9000)];
    wal.close().unwrap();
    (place, entries)
}

fn make_pipe(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

/// Every way to open what is at the path of `place` says that it is not a log, and nothing changes.
fn not_a_log(place: &Place, what: &str) {
    let before = place.bytes();
    let modified = |path: &Path| {
        fs::symlink_metadata(path)
            .map(|meta| (meta.mtime_nsec(), meta.len(), meta.mode()))
            .ok()
    };
    let meta = modified(&place.path());
    let opened = within(what, {
        let (path, form) = (place.path(), place.form);
        move || form.open(path, quiet())
    });
    assert_is!(opened, Err(WalError::NotALog { .. }), "{what}");
    let read_only = Wal::open_read_only(place.path());
    assert_is!(read_only, Err(WalError::NotALog { .. }), "{what}, read-only");
    let inspected = wal_db::recovery::inspect(place.path());
    assert_is!(inspected, Err(WalError::NotALog { .. }), "{what}, inspect");
    let salvaged = wal_db::recovery::salvage(place.path());
    assert_is!(salvaged, Err(WalError::NotALog { .. }), "{what}, salvage");
    assert_same_files(&before, &place.bytes(), what);
    assert_eq!(modified(&place.path()), meta, "{what}");
}

#[test]
fn a_foreign_file_is_no_log() {
    let long = payload(1, 300_000);
    for (what, bytes) in [
        ("text", &b"# not a log\n"[..]),
        ("eight bytes", &long[..8]),
        ("a long file", &long),
        ("zeros", &[0; 5000]),
    ] {
        let place = Place::new(Form::File);
        fs::write(place.path(), bytes).unwrap();
        not_a_log(&place, what);
    }
}

#[test]
fn long_zeros_are_no_log() {
    for len in [135_168 + 1, 300_000] {
        let place = Place::new(Form::File);
        fs::write(place.path(), vec![0; len]).unwrap();
        not_a_log(&place, "zeros that are longer than the header of a log");
    }
}

#[test]
fn a_directory_of_something_else_is_no_log() {
    let place = Place::new(Form::Segmented);
    fs::create_dir(place.path()).unwrap();
    fs::write(place.path().join("notes.txt"), "mine").unwrap();
    not_a_log(&place, "a directory with a file");
    fs::write(place.path().join("manifest"), "mine, too").unwrap();
    not_a_log(&place, "a directory with another manifest");
    let place = Place::new(Form::Segmented);
    fs::create_dir(place.path()).unwrap();
    fs::write(place.path().join("manifest.new"), "mine").unwrap();
    not_a_log(&place, "a directory with a file under the name of a new manifest");
}

#[test]
fn a_file_in_place_of_a_directory_and_the_other_way_round_is_no_log() {
    let (file, _) = closed(Form::File);
    let place = Place::new(Form::Segmented);
    fs::copy(file.path(), place.path()).unwrap();
    let before = place.bytes();
    assert_is!(place.open(quiet()), Err(WalError::NotALog { .. }));
    assert_same_files(&before, &place.bytes(), "a file in place of a directory");

    let (directory, _) = closed(Form::Segmented);
    let before = directory.bytes();
    let opened = Wal::open_with(directory.path(), quiet());
    assert_is!(opened, Err(WalError::NotALog { .. }));
    // A log of one file whose name is `manifest` is not a directory of segments.
    let opened = Wal::open_with(directory.manifest(), quiet());
    assert!(opened.is_err(), "{opened:?}");
    assert_same_files(&before, &directory.bytes(), "a directory in place of a file");
}

#[test]
fn a_link_a_pipe_a_socket_and_a_device_are_no_logs() {
    let (real, _) = closed(Form::File);
    let place = Place::new(Form::File);
    symlink(real.path(), place.path()).unwrap();
    let before = real.bytes();
    not_a_log(&place, "a link to a log");
    assert_same_files(&before, &real.bytes(), "a log behind a link");

    let place = Place::new(Form::File);
    symlink(place.root().join("nothing"), place.path()).unwrap();
    let opened = place.open(quiet());
    assert_is!(opened, Err(WalError::NotALog { .. }), "a link to nothing");
    assert!(!place.root().join("nothing").exists());

    let place = Place::new(Form::File);
    make_pipe(&place.path());
    not_a_log(&place, "a pipe");
    assert!(fs::metadata(place.path()).unwrap().file_type().is_fifo());

    let place = Place::new(Form::File);
    let _listening = std::os::unix::net::UnixListener::bind(place.path()).unwrap();
    not_a_log(&place, "a socket");

    for device in ["/dev/null", "/dev/full", "/dev/zero"] {
        let opened = Wal::open_with(device, quiet());
        assert_is!(opened, Err(WalError::NotALog { .. }), "{device}");
        assert!(fs::metadata(device).unwrap().file_type().is_char_device());
    }
}

#[test]
fn files_of_a_log_that_were_replaced_by_links_and_pipes_are_not_followed() {
    let (place, _) = closed(Form::Segmented);
    let (other, _) = closed(Form::Segmented);
    for name in ["manifest", "0000000000.seg", "staging"] {
        for pipe in [false, true] {
            let place = place.killed();
            let victim = place.root().join("victim");
            fs::rename(place.path().join(name), &victim).unwrap();
            if pipe {
                make_pipe(&place.path().join(name));
            } else {
                symlink(&victim, place.path().join(name)).unwrap();
            }
            let before = place.bytes();
            let what = format!("{name}, pipe: {pipe}");
            let opened = within(&what, {
                let path = place.path();
                move || {
                    Wal::open_segmented_with(path, SEGMENT, quiet())
                        .map(|wal| wal.verify().map(|report| report.is_intact()))
                }
            });
            match (name, opened) {
                // The log is refused, or its damage is seen.
                (_, Err(_)) => assert_same_files(&before, &place.bytes(), &what),
                ("0000000000.seg", Ok(verified)) => assert!(!verified.is_ok_and(|intact| intact), "{what}"),
                (_, Ok(_)) => panic!("{what}: opened"),
            }
            assert_eq!(fs::read(&victim).unwrap(), before[Path::new("victim")], "{what}");
        }
    }
    drop(other);
}

#[test]
fn new_files_are_for_their_owner_only() {
    for form in FORMS {
        let (place, _) = closed(form);
        // Torn, so that bytes are kept aside as well.
        let wal = place.open(quiet()).unwrap();
        put(&wal, 3, 2000);
        wal.drain().unwrap();
        let image = place.without_staging();
        image.overwrite(wal.status().durable.get() + 512, &[0; 512]);
        drop(wal);
        let wal = image.open(quiet()).unwrap();
        assert!(wal.recovery().cut.is_some());
        put(&wal, 4, 100_000);
        put(&wal, 5, 100_000);
        let kept = wal.recovery().cut.clone().unwrap().kept_at.unwrap();
        let mut files = vec![kept, image.staging()];
        if form == Form::Segmented {
            files.push(image.segment(1));
            files.push(image.segment(2));
        }
        let original: Vec<_> = tree(place.root())
            .into_keys()
            .map(|name| place.root().join(name))
            .collect();
        for path in files.iter().chain(&original).filter(|path| path.is_file()) {
            assert_eq!(
                fs::metadata(path).unwrap().mode() & 0o777,
                0o600,
                "{}",
                path.display()
            );
        }
        assert!(files.iter().all(|path| path.is_file()));
    }
}

#[test]
fn other_versions_and_unknown_features_are_refused_untouched() {
    for form in FORMS {
        let (place, _) = closed(form);
        for (at, value, expected) in [
            (8, 0, (0, 0)),
            (8, 2, (2, 0)),
            (8, 7, (7, 0)),
            (12, 4, (1, 4)),
            // Bit 0 is known; what it announces is not there, but nothing is read after an unknown one.
            (16, 0x8001, (1, 0x8000)),
        ] {
            for slots in [&[0, 1][..], &[0], &[1]] {
                let place = place.killed();
                for &slot in slots {
                    place.patch_manifest(slot, |bytes| {
                        bytes[at..at + 4].copy_from_slice(&u32::to_le_bytes(value))
                    });
                }
                let before = place.bytes();
                let refusals = [
                    place.open(quiet()).map(|_| ()),
                    Wal::open_read_only(place.path()).map(|_| ()),
                    wal_db::recovery::inspect(place.path()).map(|_| ()),
                ];
                for refused in refusals {
                    let Err(WalError::UnsupportedVersion {
                        version, features, ..
                    }) = refused
                    else {
                        panic!("{form:?}, {at}: {refused:?}");
                    };
                    assert_eq!((version, features), expected, "{form:?}");
                }
                assert_same_files(&before, &place.bytes(), "a log of another version");
            }
        }
    }
}

#[test]
fn a_segment_of_another_version_is_refused_untouched() {
    for form in FORMS {
        let (place, _) = closed(form);
        let (path, row) = place.locate(0);
        let header = (row - 4096) as usize;
        let mut bytes = fs::read(&path).unwrap();
        bytes[header + 8] = 2;
        let crc = crc32fast::hash(&bytes[header..header + 48]);
        bytes[header + 48..header + 52].copy_from_slice(&crc.to_le_bytes());
        fs::write(&path, bytes).unwrap();
        let before = place.bytes();
        match place.open(quiet()) {
            Err(WalError::UnsupportedVersion { version: 2, .. }) => {
                assert_same_files(&before, &place.bytes(), "a segment of another version");
            }
            // A segment is looked at when it is read.
            Ok(wal) if form == Form::Segmented => {
                let item = wal.iter().and_then(|mut records| records.next().unwrap());
                assert_is!(item, Err(WalError::UnsupportedVersion { version: 2, .. }));
            }
            other => panic!("{form:?}: {other:?}"),
        }
    }
}

#[test]
fn a_second_writer_in_one_process_is_locked_out() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        let mut entries = vec![put(&wal, 1, 100)];
        let before = place.bytes();
        for _ in 0..2 {
            let second = place.open(quiet());
            assert_is!(second, Err(WalError::Locked { .. }), "{form:?}");
        }
        assert_same_files(&before, &place.bytes(), "a second writer");
        entries.push(put(&wal, 2, 100));
        wal.sync().unwrap();
        // A reader is not locked out, and does not disturb.
        assert_eq!(all(&Wal::open_read_only(place.path()).unwrap()), entries);
        drop(wal);
        assert_eq!(all(&place.open(quiet()).unwrap()), entries);
    }
}

#[test]
fn a_read_only_log_refuses_to_change() {
    for form in FORMS {
        let (place, entries) = closed(form);
        let before = place.bytes();
        let wal = quiet().open_read_only(place.path()).unwrap();
        assert_eq!(all(&wal), entries);
        assert_eq!((wal.status().records, wal.verify().unwrap().records), (2, 2));
        for refused in [
            wal.append(b"x").map(|_| ()),
            wal.append_batch(&[b"x"]).map(|_| ()),
            wal.append(b"x").and_then(|lsn| wal.ticket(lsn)).map(|_| ()),
            wal.truncate_after(entries[0].0),
            wal.truncate_before(entries[1].0).map(|_| ()),
        ] {
            assert_is!(refused, Err(WalError::ReadOnly), "{form:?}");
        }
        assert_eq!(wal.iter_rev().unwrap().count(), 2);
        wal.close().unwrap();
        assert_same_files(&before, &place.bytes(), "a log that was read");
    }
    let missing = Wal::open_read_only(Place::new(Form::File).path());
    assert_is!(missing, Err(WalError::Io { .. }));
}

#[test]
fn a_log_that_cannot_be_written_is_read_and_not_opened_for_writing() {
    for form in FORMS {
        let (place, _) = closed(form);
        fs::set_permissions(place.root(), Permissions::from_mode(0o555)).unwrap();
        for name in tree(place.root()).into_keys() {
            let path = place.root().join(name);
            let mode = if path.is_dir() { 0o555 } else { 0o444 };
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        let before = place.bytes();
        let mut child = command("strangers::reads_as_nobody", &place);
        if fs::metadata(place.root()).unwrap().uid() == 0 {
            child.uid(65534).gid(65534); // root may write anywhere
        }
        let output = child.stderr(Stdio::piped()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && text.contains("report: read 2 records"),
            "{form:?}: {text}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert_same_files(&before, &place.bytes(), "a log that cannot be written");
        fs::set_permissions(place.root(), Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
#[ignore = "the other process of a_log_that_cannot_be_written_is_read_and_not_opened_for_writing"]
fn reads_as_nobody() {
    let path = told("WAL_TESTS_PATH");
    match try_open_here(quiet()) {
        Err(WalError::Io { source, .. }) => assert_eq!(source.kind(), io::ErrorKind::PermissionDenied),
        other => panic!("{other:?}"),
    }
    let wal = Wal::open_read_only(&path).unwrap();
    let records = all(&wal).len();
    assert!(wal_db::recovery::inspect(&path).unwrap().damage.is_none());
    assert_eq!(wal_db::recovery::salvage(&path).unwrap().count(), records);
    Reporter::new().report(&format!("read {records} records"));
}

#[test]
fn the_stored_segment_size_wins_and_a_lower_limit_binds_new_records_only() {
    let place = Place::new(Form::Segmented);
    let wal = place.open(quiet()).unwrap();
    let mut entries: Vec<Entry> = (0..30).map(|i| put(&wal, i, 9000)).collect();
    wal.close().unwrap();
    let files = fs::read_dir(place.path()).unwrap().count();
    for size in [1 << 20, 4096, 64 << 20] {
        let store = SegmentedStore::open(place.path(), size).unwrap();
        assert_eq!(store.segment_size(), SEGMENT);
        let wal = Wal::with_store_and_config(store, quiet().with_max_record_size(1000)).unwrap();
        assert_eq!(all(&wal), entries, "opened with {size}");
        match wal.append(&[1; 1001]) {
            Err(WalError::RecordTooLarge {
                len: 1001, max: 1000, ..
            }) => {}
            other => panic!("{other:?}"),
        }
        assert_is!(
            wal.append_batch(&[vec![1; 10], vec![1; 1001]]),
            Err(WalError::RecordTooLarge { .. })
        );
        assert_is!(
            wal.append_in_place(1001, |_| ()),
            Err(WalError::RecordTooLarge { .. })
        );
        entries.push(put(&wal, size as usize, 1000));
        wal.close().unwrap();
        assert_eq!(
            fs::read_dir(place.path()).unwrap().count(),
            files,
            "segments of {size}"
        );
    }
    assert_eq!(all(&place.open(quiet()).unwrap()), entries);
}

#[test]
fn settings_out_of_range_are_refused_before_anything_is_created() {
    let place = Place::new(Form::File);
    for config in [
        WalConfig::new().with_staging_bytes(100_000),
        WalConfig::new().with_staging_bytes(4096),
        WalConfig::new().with_staging_bytes(2 << 30),
        WalConfig::new().with_max_record_size(1 << 28),
    ] {
        assert_is!(place.open(config), Err(WalError::Config { .. }));
    }
    assert_eq!(
        place.bytes().keys().collect::<Vec<_>>(),
        Vec::<&std::path::PathBuf>::new()
    );
}

#[test]
fn a_directory_that_is_missing_is_an_error_for_a_file_and_made_for_segments() {
    let root = tempfile::tempdir().unwrap();
    let opened = FileStore::open(root.path().join("missing/log"));
    assert_is!(opened, Err(WalError::Io { .. }));
    assert_eq!(tree(root.path()).len(), 0);
    let wal = Wal::open_segmented_with(root.path().join("made/log"), SEGMENT, quiet()).unwrap();
    assert!(wal.recovery().created);
}

#[test]
fn a_leftover_of_an_interrupted_creation_is_no_obstacle() {
    for form in FORMS {
        let place = Place::new(form);
        match form {
            Form::File => fs::write(place.root().join("log.new"), [0; 100]).unwrap(),
            Form::Segmented => {
                fs::create_dir(place.path()).unwrap();
                fs::write(place.path().join("manifest.new"), b"").unwrap();
            }
        }
        let wal = place.open(quiet()).unwrap();
        assert!(wal.recovery().created);
        let entry = put(&wal, 1, 10);
        drop(wal);
        assert_eq!(all(&place.open(quiet()).unwrap()), [entry]);
    }
    // The file is there and empty, or has its place and nothing in it.
    for len in [0, 135_168] {
        let place = Place::new(Form::File);
        fs::write(place.path(), vec![0; len]).unwrap();
        let wal = place.open(quiet()).unwrap();
        assert!(wal.recovery().created && wal.is_empty(), "{len}");
    }
    // The manifest is there and empty.
    let place = Place::new(Form::Segmented);
    fs::create_dir(place.path()).unwrap();
    fs::write(place.manifest(), b"").unwrap();
    assert!(place.open(quiet()).unwrap().recovery().created);
    // But not if segments are.
    let (log, _) = closed(Form::Segmented);
    fs::write(log.manifest(), b"").unwrap();
    let before = log.bytes();
    match log.open(quiet()) {
        Err(WalError::Corruption(damage)) => assert_eq!(damage.reason, CorruptionReason::Manifest),
        other => panic!("{other:?}"),
    }
    assert_same_files(&before, &log.bytes(), "segments with an empty manifest");
}

#[test]
fn an_empty_log_that_is_open_is_locked() {
    for form in FORMS {
        let place = Place::new(form);
        let _wal = place.open(quiet()).unwrap();
        assert_is!(place.open(quiet()), Err(WalError::Locked { .. }), "{form:?}");
    }
}
