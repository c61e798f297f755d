//! File systems without space, and such as may not be written.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::Path,
};

use wal_db::{
    Wal, WalConfig, WalError,
    store::{NotMapped, StagingInUse},
};
use wal_tests::{
    Entry, all, assert_is,
    files::{FORMS, Form, assert_same_files, tree},
    pairs, payload, put, quiet, scale,
};

use super::{
    mounts::{Host, KINDS, Kind, TOOLS, lacks_all},
    tools::{lacks_mounts, run},
    worker::Job,
};

/// Takes all the space that is left, in a file that can be deleted.
fn ballast(dir: &Path) -> std::path::PathBuf {
    let path = dir.join("ballast");
    let mut file = File::create(&path).unwrap();
    for len in [1 << 20, 4096, 512] {
        let bytes = vec![0xbb; len];
        while file.write_all(&bytes).and_then(|()| file.sync_all()).is_ok() {}
    }
    path
}

/// Appends until the disk is full. Panics at any other error.
fn fill(wal: &Wal, entries: &mut Vec<Entry>, what: &str) {
    for _ in 0..100_000 {
        let data = payload(entries.len(), 10_000);
        match wal.append(&data) {
            Ok(lsn) => entries.push(Entry(lsn, data)),
            Err(WalError::Full { .. }) => return,
            Err(error) => panic!("{what}: {error:?}"),
        }
    }
    panic!("{what}: the disk is never full");
}

/// Whatever is tried, nothing is taken, no LSN is used, nothing is broken.
fn assert_full(wal: &Wal, what: &str) {
    wal.sync().unwrap();
    let (tail, count) = (wal.end().get(), wal.status().records);
    for len in [10_000, 100_000, 10_000] {
        assert_is!(wal.append(&payload(1, len)), Err(WalError::Full { .. }), "{what}");
        let refused = wal.append_batch(&[payload(1, 9000), payload(2, len)]);
        assert_is!(refused, Err(WalError::Full { .. }), "{what}");
    }
    assert_eq!(
        (wal.status().records, wal.status().failure),
        (count, None),
        "{what}"
    );
    // A seal may have been written meanwhile.
    assert!(
        (tail..=tail + 1024).contains(&wal.end().get()),
        "{what}: {tail}, {}",
        wal.end().get()
    );
}

/// Fills a file system, makes room, fills it again; opens the log while there is no room.
fn fills_and_goes_on(dir: &Path, form: Form, config: WalConfig, what: &str) -> Vec<Entry> {
    let path = dir.join("log");
    let wal = form.open(&path, config).unwrap();
    let mut entries = vec![put(&wal, 0, 300)];
    let taken = ballast(dir);
    fill(&wal, &mut entries, what);
    assert_full(&wal, what);
    wal.sync().unwrap();
    assert_eq!(all(&wal), entries, "{what}");
    let tail = wal.end().get();

    fs::remove_file(&taken).unwrap();
    let next = put(&wal, 5, 10_000);
    // After a seal, and the rest of a block that is too short.
    assert!(
        (tail..tail + 4096 + 10_000).contains(&next.0.get()),
        "{what}: no LSN was used: {tail}, {next:?}"
    );
    entries.push(next);
    // More than a log in one file keeps when its beginning is cut off.
    entries.extend((0..2000).map(|i| put(&wal, i, 10_000)));
    wal.sync().unwrap();
    ballast(dir);
    fill(&wal, &mut entries, what);
    wal.close()
        .unwrap_or_else(|error| panic!("{what}: closing: {error}"));

    // Closing gives back what was prepared.
    ballast(dir);
    let read = Wal::open_read_only(&path).unwrap();
    assert_eq!(all(&read), entries, "{what}, read-only");
    assert_nothing_is_damaged(&path, entries.len(), what);
    let wal = form
        .open(&path, config)
        .unwrap_or_else(|error| panic!("{what}: opening: {error}"));
    assert_eq!(all(&wal), entries, "{what}, opened while it is full");
    fill(&wal, &mut entries, what);
    assert_full(&wal, what);
    // Room can also come from the log itself.
    let head = wal.truncate_before(entries[entries.len() * 19 / 20].0).unwrap();
    entries.retain(|entry| entry.0 >= head);
    entries.push(put(&wal, 6, 10_000));
    wal.sync().unwrap();
    assert_eq!(all(&wal), entries, "{what}, cut to make room");
    entries
}

/// That neither a look at the log nor a salvage finds damage, with so many records in it.
fn assert_nothing_is_damaged(path: &Path, records: usize, what: &str) {
    assert!(
        wal_db::recovery::inspect(path).unwrap().damage.is_none(),
        "{what}"
    );
    assert_eq!(
        wal_db::recovery::salvage(path).unwrap().count(),
        records,
        "{what}"
    );
}

fn configs() -> [(&'static str, WalConfig); 2] {
    let threads = WalConfig::new().with_staging_bytes(1 << 20).with_seal_after_ms(1);
    [("quiet", quiet()), ("with threads", threads)]
}

#[test]
fn a_full_file_system_in_memory_refuses_records_and_works_again_later() {
    if lacks_mounts(&["tmpfs"], &TOOLS) {
        return;
    }
    let host = Host::new();
    for (form, (name, config)) in pairs(FORMS, configs()) {
        let what = format!("tmpfs, {form:?}, {name}");
        let mount = host.memory(48);
        let entries = fills_and_goes_on(mount.path(), form, config, &what);
        let wal = form.open(mount.path().join("log"), config).unwrap();
        assert_eq!(all(&wal), entries, "{what}");
        drop(wal);
        mount.unmount();
    }
}

#[test]
fn a_full_disk_refuses_records_and_works_again_later() {
    if lacks_all() {
        return;
    }
    let host = Host::new();
    for (form, (name, config)) in pairs(FORMS, configs()) {
        let what = format!("ext4, {form:?}, {name}");
        let disk = host.disk(Kind::Ext4);
        let mount = disk.mount();
        let entries = fills_and_goes_on(mount.path(), form, config, &what);
        // And the power goes while it is full.
        let image = disk.image();
        mount.unmount();
        let mount = image.mount();
        let wal = form.open(mount.path().join("log"), config).unwrap();
        assert_eq!(all(&wal), entries, "{what}, after a power cut");
        drop(wal);
        mount.unmount();
        image.discard();
        disk.discard();
    }
}

/// Staging memory is a file, and a store into a page of it that has no place on the disk is a signal. Nobody dies of it,
/// anyone who has copied the files of the log while it was open; what was heard instead.
fn fills_the_disk(dir: &Path, below: &Path, form: Form, copied: bool, what: &str) -> Vec<String> {
    let path = dir.join("log");
    let role = "worker::appends_until_it_is_full";
    let mut worker = Job {
        role,
        path: &path,
        form,
        seed: 0,
        phase: 0,
        phases: 1,
    }
    .start();
    assert_eq!(worker.report().as_deref(), Some("opened"), "{what}");
    // Everything is written back: the next store into a page is seen by the file system.
    run("sync", ["-f".as_ref(), below.as_os_str()]);
    if copied {
        fs::create_dir(dir.join("copy")).unwrap();
        let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        for name in names.filter(|name| name.file_name().unwrap() != "copy") {
            let args = ["-a".as_ref(), "--reflink=always".as_ref(), name.as_os_str()];
            run("cp", args.into_iter().chain([dir.join("copy").as_os_str()]));
        }
    }
    ballast(below);
    worker.go_on();
    let reports: Vec<_> = std::iter::from_fn(|| worker.report()).collect();
    assert!(worker.succeeded(), "{what}: {reports:?}");
    assert_eq!(reports.last().map(String::as_str), Some("ended"), "{what}");
    reports
}

/// Where the staging memory of a log is that is opened there.
fn staging(dir: &Path, form: Form, config: WalConfig) -> StagingInUse {
    let wal = form.open(dir.join("log"), config).unwrap();
    wal.status().staging.unwrap()
}

const IN_DOUBT: [&str; 3] = ["refused InDoubt", "refused Poisoned", "ended"];

fn nobody_dies_of_a_full_disk(kind: Kind, in_use: &StagingInUse, copied: bool) {
    if lacks_all() {
        return;
    }
    let host = Host::new();
    for form in FORMS {
        let what = format!("{}, {form:?}, copied: {copied}", kind.name());
        let disk = host.disk(kind);
        let mount = disk.mount();
        assert_eq!(&staging(mount.path(), form, quiet()), in_use, "{what}");
        let reports = fills_the_disk(mount.path(), mount.path(), form, copied, &what);
        match kind {
            // Without staging memory, a record that the disk has no place for is in doubt.
            Kind::Btrfs => assert_eq!(reports, IN_DOUBT, "{what}"),
            Kind::Xfs if copied => assert_eq!(reports, IN_DOUBT, "{what}"),
            _ => assert_eq!(reports, ["refused Full", "ended"], "{what}"),
        }
        mount.unmount();
        disk.discard();
    }
}

#[test]
fn nobody_dies_of_a_full_disk_on_ext4() {
    nobody_dies_of_a_full_disk(Kind::Ext4, &StagingInUse::Mapped, false);
}

#[test]
fn nobody_dies_of_a_full_disk_on_xfs() {
    let shares = StagingInUse::Instead(NotMapped::SharesBlocks);
    nobody_dies_of_a_full_disk(Kind::Xfs, &shares, false);
    nobody_dies_of_a_full_disk(Kind::Xfs, &shares, true);
}

#[test]
fn nobody_dies_of_a_full_disk_on_btrfs() {
    let copies = StagingInUse::Instead(NotMapped::CopiesOnWrite);
    nobody_dies_of_a_full_disk(Kind::Btrfs, &copies, false);
    nobody_dies_of_a_full_disk(Kind::Btrfs, &copies, true);
}

#[test]
fn nobody_dies_of_a_full_disk_in_a_container() {
    if lacks_mounts(&["ext4", "xfs", "btrfs", "overlay"], &TOOLS) {
        return;
    }
    let host = Host::new();
    for (kind, form) in pairs(KINDS, FORMS) {
        let what = format!("layers on {}, {form:?}", kind.name());
        let disk = host.disk(kind);
        let below = disk.mount();
        let layers = host.layers(&below);
        let expected = match kind {
            Kind::Ext4 => StagingInUse::Mapped,
            _ => StagingInUse::Instead(NotMapped::SharesBlocks),
        };
        assert_eq!(staging(layers.path(), form, quiet()), expected, "{what}");
        let copied = kind != Kind::Ext4;
        fills_the_disk(layers.path(), below.path(), form, copied, &what);
        layers.unmount();
        below.unmount();
        disk.discard();
    }
}

/// ZFS below a container says neither that it copies on write nor, as long as it does not clone, that blocks can be shared.
/// A file system in memory says as little.
#[test]
fn a_log_in_layers_above_what_cannot_be_told_is_written_through() {
    if lacks_mounts(&["tmpfs", "overlay"], &TOOLS) {
        return;
    }
    let host = Host::new();
    for form in FORMS {
        let below = host.memory(64);
        let layers = host.layers(&below);
        let unknown = StagingInUse::Instead(NotMapped::UnknownLayers);
        assert_eq!(staging(layers.path(), form, quiet()), unknown, "{form:?}");
        layers.unmount();
        below.unmount();
    }
}

#[test]
fn nobody_dies_of_a_full_file_system_in_memory() {
    if lacks_mounts(&["tmpfs"], &TOOLS) {
        return;
    }
    let host = Host::new();
    for form in FORMS {
        let what = format!("tmpfs, {form:?}");
        let mount = host.memory(16);
        assert_eq!(
            staging(mount.path(), form, quiet()),
            StagingInUse::Mapped,
            "{what}"
        );
        let reports = fills_the_disk(mount.path(), mount.path(), form, false, &what);
        assert_eq!(reports, ["refused Full", "ended"], "{what}");
        mount.unmount();
    }
}

/// A program that copies or restores files can leave out zeros, and then there are no blocks where records are to wait.
#[test]
fn staging_memory_with_holes_is_made_anew() {
    if lacks_all() {
        return;
    }
    let host = Host::new();
    for form in FORMS {
        let disk = host.disk(Kind::Ext4);
        let mount = disk.mount();
        let path = mount.path().join("log");
        drop(form.open(&path, quiet()).unwrap());
        let staging = match form {
            Form::File => mount.path().join("log.staging"),
            Form::Segmented => path.join("staging"),
        };
        run("fallocate", ["--dig-holes".as_ref(), staging.as_os_str()]);
        let blocks = || fs::metadata(&staging).unwrap().blocks();
        assert!(blocks() <= 8, "{}", blocks());
        let taken = ballast(mount.path());
        let refused = form.open(&path, quiet()).map(drop);
        assert_is!(refused, Err(WalError::NoStagingSpace { .. }), "{form:?}");
        fs::remove_file(taken).unwrap();
        let wal = form.open(&path, quiet()).unwrap();
        assert!(blocks() >= (512 << 10) / 512, "{}", blocks());
        put(&wal, 0, 100);
        wal.close().unwrap();
        mount.unmount();
        disk.discard();
    }
}

#[test]
fn a_disk_without_space_for_staging_memory_is_left_as_it_was() {
    if lacks_all() {
        return;
    }
    let host = Host::new();
    for form in FORMS {
        let disk = host.small_disk(Kind::Ext4, 4 << 20);
        let mount = disk.mount();
        let path = mount.path().join("log");
        // Enough for a log, and not for the staging memory that it begins with.
        let taken = fs::OpenOptions::new()
            .write(true)
            .open(ballast(mount.path()))
            .unwrap();
        taken
            .set_len(taken.metadata().unwrap().len() - (480 << 10))
            .unwrap();
        taken.sync_all().unwrap();
        drop(taken);
        // The first opening makes the log; none after it takes space.
        let free = |attempt: u32| {
            let refused = form.open(&path, WalConfig::new()).map(drop);
            let Err(error @ WalError::NoStagingSpace { bytes: 524_288, .. }) = refused else {
                panic!("{form:?}, {attempt}: {refused:?}");
            };
            assert!(error.to_string().contains("with_staging_bytes"), "{error}");
            run("sync", ["-f".as_ref(), mount.path().as_os_str()]);
            free_bytes(mount.path())
        };
        let left = free(0);
        assert!(left > 256 << 10, "{form:?}: {left} bytes are left");
        assert_eq!(free(1), left, "{form:?}");
        let config = WalConfig::new().with_staging_bytes(64 << 10);
        let wal = form
            .open(&path, config)
            .unwrap_or_else(|error| panic!("{form:?}: {error}"));
        let mut entries = Vec::new();
        fill(&wal, &mut entries, "4 MiB");
        assert!(!entries.is_empty(), "{form:?}");
        wal.close().unwrap();
        assert_eq!(all(&form.open(&path, config).unwrap()), entries, "{form:?}");
        mount.unmount();
        disk.discard();
    }
}

/// Bytes that are free on a file system.
fn free_bytes(dir: &Path) -> u64 {
    let dir = dir.to_str().unwrap();
    let output = run("stat", ["--file-system", "--format=%f %S", dir]);
    let (blocks, len) = output.trim().split_once(' ').unwrap();
    blocks.parse::<u64>().unwrap() * len.parse::<u64>().unwrap()
}

/// However little space there is, a log is made or not made, and can be made when there is more.
fn is_made_later(dir: &Path, form: Form, left: u64, what: &str) -> Vec<Entry> {
    let taken = ballast(dir);
    let file = OpenOptions::new().write(true).open(&taken).unwrap();
    file.set_len(file.metadata().unwrap().len() - left).unwrap();
    file.sync_all().unwrap();
    drop(file);
    let path = dir.join("log");
    let mut entries = Vec::new();
    for _ in 0..2 {
        match form.open(&path, quiet()) {
            Err(WalError::Full { .. } | WalError::NoStagingSpace { .. }) => {}
            Err(WalError::Io { source, .. }) if source.kind() == io::ErrorKind::StorageFull => {}
            // It is there, and has space or not.
            Ok(wal) => match wal.append(b"first") {
                Ok(lsn) => entries.push(Entry(lsn, b"first".to_vec())),
                Err(WalError::Full { .. }) => {}
                Err(error) => panic!("{what}: {error:?}"),
            },
            Err(error) => panic!("{what}: {error:?}"),
        }
    }
    fs::remove_file(&taken).unwrap();
    let wal = form
        .open(&path, quiet())
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    let data = payload(1, 10_000);
    entries.push(Entry(wal.append_and_sync(&data).unwrap(), data));
    assert_eq!(all(&wal), entries, "{what}");
    entries
}

#[test]
fn a_log_that_finds_too_little_space_to_be_made_in_is_made_later() {
    if lacks_all() {
        return;
    }
    let host = Host::new();
    for form in FORMS {
        // Past what a log takes when it is made.
        for left in (0..7 << 20).step_by((200 << 10) / scale() as usize) {
            let mount = host.memory(16);
            is_made_later(
                mount.path(),
                form,
                left,
                &format!("tmpfs, {form:?}, {left} bytes left"),
            );
            mount.unmount();
        }
        // Where a log could be made on the last, its staging memory would not be safe.
        let cases = [
            (Kind::Ext4, 0),
            (Kind::Ext4, 2 << 20),
            (Kind::Xfs, 0),
            (Kind::Xfs, 2 << 20),
            (Kind::Btrfs, 0),
        ];
        for (kind, left) in cases {
            let what = format!("{}, {form:?}, {left} bytes left", kind.name());
            let disk = host.disk(kind);
            let mount = disk.mount();
            let entries = is_made_later(mount.path(), form, left, &what);
            let image = disk.image();
            mount.unmount();
            let mount = image.mount();
            assert_eq!(
                all(&form.open(mount.path().join("log"), quiet()).unwrap()),
                entries,
                "{what}"
            );
            mount.unmount();
            image.discard();
            disk.discard();
        }
    }
}

#[test]
fn a_log_on_a_read_only_mount_is_read_and_not_opened_for_writing() {
    if lacks_all() {
        return;
    }
    let host = Host::new();
    for (kind, form, closed) in KINDS.into_iter().flat_map(|kind| {
        FORMS
            .into_iter()
            .flat_map(move |form| [(kind, form, true), (kind, form, false)])
    }) {
        let what = format!("{}, {form:?}, closed: {closed}", kind.name());
        let disk = host.disk(kind);
        let mount = disk.mount();
        let wal = form.open(mount.path().join("log"), quiet()).unwrap();
        let mut entries: Vec<_> = (0..20).map(|i| put(&wal, i, 9000)).collect();
        wal.sync().unwrap();
        let mut image = disk.image();
        entries.push(put(&wal, 20, 300));
        wal.close().unwrap();
        if closed {
            image.discard();
            image = disk.image();
        } else {
            entries.pop();
        }
        mount.unmount();

        // The journal may have to be replayed, which is not the log's doing.
        image.mount().unmount();
        let mount = image.mount_read_only();
        let path = mount.path().join("log");
        let before = tree(mount.path());
        for path in [path.clone(), mount.path().join("another")] {
            match form.open(&path, quiet()) {
                Err(WalError::Io { source, .. }) if source.kind() == io::ErrorKind::ReadOnlyFilesystem => {}
                other => panic!("{what}: {other:?}"),
            }
        }
        let wal = Wal::open_read_only(&path).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(all(&wal), entries, "{what}");
        assert_is!(wal.append(b"more"), Err(WalError::ReadOnly), "{what}");
        assert_nothing_is_damaged(&path, entries.len(), &what);
        assert_same_files(&before, &tree(mount.path()), &what);
        drop(wal);
        mount.unmount();
        image.discard();
        disk.discard();
    }
}
