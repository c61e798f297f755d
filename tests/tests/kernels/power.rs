//! The power goes while a log is used. What was acknowledged is there afterwards, and besides it nothing but the
//! beginning of what was under way.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use wal_db::{Wal, WalError};
use wal_tests::{
    Entry, all, assert_is,
    files::{FORMS, Form, SEGMENT},
    note, pairs, payload, put, quiet,
    random::Rng,
    scale,
};

use super::{
    ledger::{Found, Ledger, Moment},
    mounts::{Disk, Host, KINDS, Kind, Mount, lacks_all},
    worker::Job,
};

fn log_on(mount: &Mount) -> PathBuf {
    mount.path().join("log")
}

fn staging_of(path: &Path) -> PathBuf {
    match path.is_dir() {
        true => path.join("staging"),
        false => path.with_file_name("log.staging"),
    }
}

/// Makes staging memory that of an earlier boot, as it is when the power was gone.
fn reboot(path: &Path) {
    let Ok(file) = OpenOptions::new().read(true).write(true).open(staging_of(path)) else {
        return;
    };
    let mut header = [0; 64];
    // A file whose header has not arrived is that of no boot.
    if file.metadata().unwrap().len() == 0 {
        return;
    }
    file.read_exact_at(&mut header, 0).unwrap();
    if header != [0; 64] {
        assert!(header.starts_with(b"WALDBSTG"), "not a staging file: {header:?}");
        header[24..40].fill(0xb0);
        let crc = crc32fast::hash(&header[..60]);
        header[60..].copy_from_slice(&crc.to_le_bytes());
        file.write_all_at(&header, 0).unwrap();
    }
}

fn opened_after_a_cut(mount: &Mount, form: Form, what: &str) -> Wal {
    let path = log_on(mount);
    reboot(&path);
    form.open(&path, quiet())
        .unwrap_or_else(|error| panic!("{what}: refused: {error}"))
}

/// Opens the log on an image, compares, appends, and loses the power once more.
fn check_image(image: Disk<'_>, form: Form, ledger: &Ledger, moment: Moment, what: &str) {
    let mount = image.mount();
    let wal = opened_after_a_cut(&mount, form, what);
    let found = Found::of(&wal).unwrap_or_else(|why| panic!("{what}: {why}"));
    if let Err(why) = ledger.check(moment, &found) {
        panic!("{what}: {why}; {} records were found", found.len());
    }
    assert!(wal.verify().unwrap().is_intact(), "{what}");
    let mut expected = all(&wal);
    let data = payload(found.len(), 500);
    expected.push(Entry(wal.append_and_sync(&data).unwrap(), data));
    let second = image.image();
    drop(wal);
    mount.unmount();
    image.discard();
    assert_holds(second, form, &expected, &format!("{what}, cut again"));
}

/// The log on an image holds exactly these records.
fn assert_holds(image: Disk<'_>, form: Form, expected: &[Entry], what: &str) {
    let mount = image.mount();
    let wal = opened_after_a_cut(&mount, form, what);
    assert_eq!(all(&wal), expected, "{what}");
    drop(wal);
    mount.unmount();
    image.discard();
}

// ---- a disk whose cache loses nothing ---------------------------------------------------------------------------

/// Cuts the power at acknowledgements, while the process that was given them goes on.
fn cuts_at_acknowledgements(kind: Kind) {
    if lacks_all() {
        return;
    }
    let host = Host::new();
    for (form, run) in pairs(FORMS, 0..scale()) {
        let seed = u64::from(run) * 6 + u64::from(form == Form::File);
        let what = format!("{}, {form:?}, seed {seed}", kind.name());
        let (disk, mut ledger, mut images) = (host.disk(kind), Ledger::default(), Vec::new());
        let mount = disk.mount();
        let path = log_on(&mount);
        let job = Job {
            role: "worker::works_until_the_power_goes",
            path: &path,
            form,
            seed,
            phase: 0,
            phases: 6,
        };
        let mut worker = job.start();
        while let Some(report) = worker.report_before_it_ends(&what) {
            ledger.note(&report);
            let word = report.split(' ').next().unwrap();
            if word == "cuts" {
                worker.go_on();
            }
            // The worker waits before a cut: nothing that the ledger does not know has been cut off in the image.
            if word == "opened"
                || word.starts_with("cut")
                || word == "durable" && ledger.acknowledged() % 37 == 1
            {
                images.push((disk.image(), ledger.now(), report));
            }
        }
        worker.kill();
        mount.unmount();
        let (acknowledged, count) = (ledger.acknowledged(), images.len());
        assert!(
            acknowledged > 100 && count > 10,
            "{what}: {count} images of {acknowledged}"
        );
        for (image, moment, report) in images {
            check_image(image, form, &ledger, moment, &format!("{what}, at \"{report}\""));
        }
        disk.discard();
        note(&format!(
            "{what}: {acknowledged} acknowledgements, {} images",
            2 * count
        ));
    }
}

#[test]
fn power_cuts_at_acknowledgements_on_ext4() {
    cuts_at_acknowledgements(Kind::Ext4);
}

#[test]
fn power_cuts_at_acknowledgements_on_xfs() {
    cuts_at_acknowledgements(Kind::Xfs);
}

#[test]
fn power_cuts_at_acknowledgements_on_btrfs() {
    cuts_at_acknowledgements(Kind::Btrfs);
}

// ---- a disk that loses its cache, or some of it --------------------------------------------------------------------------

/// Cuts the power of one disk again and again, in the middle of whatever its user does.
fn cuts_again_and_again(kind: Kind) {
    if lacks_all() {
        return;
    }
    let host = Host::new();
    for form in FORMS {
        let (disk, mut ledger, mut phase) = (host.disk_with_blocks(kind), Ledger::default(), 0);
        let mut random = Rng::new(u64::from(form == Form::File));
        for round in 0..u64::from(6 * scale()) {
            let what = format!("{}, {form:?}, round {round}", kind.name());
            let mount = disk.mount();
            let path = log_on(&mount);
            let job = Job {
                role: "worker::works_until_the_power_goes",
                path: &path,
                form,
                seed: round,
                phase,
                phases: 8,
            };
            let mut worker = job.start();
            // In the first rounds while the log is made, or right after.
            for _ in 0..(round * round * 23) % 400 {
                let Some(report) = worker.report_before_it_ends(&what) else {
                    break;
                };
                ledger.note(&report);
                if report.starts_with("cuts") {
                    worker.go_on();
                }
            }
            // Every other time some of the cache has arrived before, whatever the order it was written in.
            if round % 2 == 1 {
                disk.write_back_some(|| random.below(2) == 0);
            }
            host.power_off();
            worker.kill();
            // Whatever it was told, even while the power went, it was told for good.
            std::iter::from_fn(|| worker.report()).for_each(|report| ledger.note(&report));
            host.restart(mount);

            let mount = disk.mount();
            let wal = opened_after_a_cut(&mount, form, &what);
            let found = Found::of(&wal).unwrap_or_else(|why| panic!("{what}: {why}"));
            match ledger.check(ledger.now(), &found) {
                Ok(cuts) => ledger.adopt(cuts, &found, phase + 8),
                Err(why) => panic!("{what}: {why}; {} records were found", found.len()),
            }
            assert!(wal.verify().unwrap().is_intact(), "{what}");
            drop(wal);
            mount.unmount();
            phase += 8;
        }
        let acknowledged = ledger.acknowledged();
        assert!(acknowledged > 100, "{kind:?}, {form:?}: {acknowledged}");
        note(&format!(
            "{}, {form:?}: {acknowledged} acknowledgements, {} cuts of a disk that lost its cache",
            kind.name(),
            6 * scale()
        ));
        disk.discard();
    }
}

#[test]
fn a_disk_that_loses_its_cache_loses_nothing_acknowledged_on_ext4() {
    cuts_again_and_again(Kind::Ext4);
}

#[test]
fn a_disk_that_loses_its_cache_loses_nothing_acknowledged_on_xfs() {
    cuts_again_and_again(Kind::Xfs);
}

#[test]
fn a_disk_that_loses_its_cache_loses_nothing_acknowledged_on_btrfs() {
    cuts_again_and_again(Kind::Btrfs);
}

// ---- one situation each -----------------------------------------------------------------------------------------

/// On every file system, with both forms of a log.
fn everywhere(test: impl Fn(&Host, &Disk<'_>, Form, &str)) {
    if lacks_all() {
        return;
    }
    let host = Host::new();
    for (kind, form) in pairs(KINDS, FORMS) {
        let disk = host.disk(kind);
        test(&host, &disk, form, &format!("{}, {form:?}", kind.name()));
        disk.discard();
    }
}

/// What the other tests here rest on.
#[test]
fn a_cut_keeps_what_was_flushed_and_not_what_was_only_written() {
    everywhere(|host, disk, form, what| {
        let mount = disk.mount();
        let at = |mount: &Mount, name: &str| mount.path().join(name);
        let flushed = |name: &str| {
            fs::write(at(&mount, name), b"bytes").unwrap();
            fs::File::open(at(&mount, name)).unwrap().sync_all().unwrap();
            fs::File::open(mount.path()).unwrap().sync_all().unwrap();
        };
        flushed("flushed");
        fs::write(at(&mount, "flushed"), b"other").unwrap();
        fs::write(at(&mount, "written"), b"bytes").unwrap();
        let image = match form {
            Form::File => {
                let image = disk.image();
                mount.unmount();
                image
            }
            Form::Segmented => {
                host.power_off();
                host.restart(mount);
                disk.image()
            }
        };
        let mount = image.mount();
        assert_eq!(fs::read(at(&mount, "flushed")).unwrap(), b"bytes", "{what}");
        let written = fs::read(at(&mount, "written")).unwrap_or_default();
        assert_eq!(written, b"", "{what}: it was in the page cache only");
        mount.unmount();
        image.discard();
    });
}

/// The mistake: the file, or its name, is not durable when the first record is.
#[test]
fn the_first_record_of_a_new_log_survives_a_power_cut() {
    everywhere(|_, disk, form, what| {
        let mount = disk.mount();
        let path = log_on(&mount);
        let wal = form.open(&path, quiet()).unwrap();
        let empty = disk.image();
        let data = payload(1, 300);
        let entry = Entry(wal.append_and_sync(&data).unwrap(), data);
        let one = disk.image();
        drop(wal);
        mount.unmount();
        assert_holds(empty, form, &[], &format!("{what}, opened"));
        assert_holds(one, form, &[entry], &format!("{what}, one record"));
    });
}

/// The mistakes: bytes that a killed process left count as durable when they are found; older segments are never flushed.
#[test]
fn what_a_reopened_log_shows_survives_a_power_cut() {
    everywhere(|_, disk, form, what| {
        let mount = disk.mount();
        let path = log_on(&mount);
        let job = Job {
            role: "worker::appends_until_it_is_killed",
            path: &path,
            form,
            seed: 0,
            phase: 0,
            phases: 1,
        };
        let (mut worker, mut ledger) = (job.start(), Ledger::default());
        for _ in 0..300 {
            ledger.note(&worker.report().expect("it goes on"));
        }
        worker.kill();
        std::iter::from_fn(|| worker.report()).for_each(|report| ledger.note(&report));

        let wal = form.open(&path, quiet()).unwrap();
        let found = Found::of(&wal).unwrap();
        ledger.check(ledger.all_survived(), &found).unwrap();
        let mut expected = all(&wal);
        let (after_opening, at_opening) = (disk.image(), expected.clone());
        wal.sync().unwrap();
        let after_sync = disk.image();
        expected.push(put(&wal, 1, 300));
        wal.sync().unwrap();
        let after_append = disk.image();
        drop(wal);
        mount.unmount();
        assert_holds(after_opening, form, &at_opening, &format!("{what}, opened"));
        assert_holds(after_sync, form, &at_opening, &format!("{what}, synced"));
        assert_holds(after_append, form, &expected, &format!("{what}, appended"));
    });
}

/// A disk that is gone for a moment is a power cut that the system survives: what was written and not flushed is gone, and
/// staging memory, as far as it got to the disk, is that of this boot.
#[test]
fn a_disk_that_comes_back_in_the_same_boot_loses_nothing_acknowledged() {
    everywhere(|host, disk, form, what| {
        let mount = disk.mount();
        let path = log_on(&mount);
        let wal = form.open(&path, quiet().with_staging_bytes(64 << 10)).unwrap();
        let entries: Vec<_> = (0..20).map(|i| put(&wal, i, 9000)).collect();
        wal.sync().unwrap();
        // Through the ring, to the page cache.
        let more: Vec<_> = (0..20).map(|i| put(&wal, i, 9000)).collect();
        // The system writes pages back when it likes to.
        let staging = staging_of(&path);
        // Where there is any: not on Btrfs.
        if staging.exists() {
            fs::File::open(staging).unwrap().sync_all().unwrap();
        }
        host.power_off();
        drop(wal);
        host.restart(mount);

        let mount = disk.mount();
        let wal = form
            .open(log_on(&mount), quiet())
            .unwrap_or_else(|error| panic!("{what}: refused: {error}"));
        let found = all(&wal);
        let whole = [entries.clone(), more].concat();
        assert!(
            found.starts_with(&entries) && whole.starts_with(&found),
            "{what}: {found:?}"
        );
        drop(wal);
        mount.unmount();
    });
}

/// The mistake: the segments after the cut are unlinked, and no directory is flushed; old records come back after new
/// ones.
#[test]
fn a_truncation_at_a_segment_boundary_survives_a_power_cut() {
    everywhere(|_, disk, form, what| {
        let mount = disk.mount();
        let wal = form.open(log_on(&mount), quiet()).unwrap();
        let mut entries: Vec<_> = (0..30).map(|i| put(&wal, i, 9000)).collect();
        wal.sync().unwrap();
        // The last record that starts in the second segment.
        let keep = entries.iter().filter(|entry| entry.0.get() < 2 * SEGMENT).count();
        assert!((2..29).contains(&keep), "{what}: {keep}");
        entries.truncate(keep);
        wal.truncate_after(entries[keep - 1].0).unwrap();
        let (cut, at_cut) = (disk.image(), entries.clone());
        for i in 0..4 {
            let data = payload(100 + i, 9000);
            entries.push(Entry(wal.append_and_sync(&data).unwrap(), data));
        }
        let (appended, at_append) = (disk.image(), entries.clone());
        let head = wal.truncate_before(entries[keep / 2].0).unwrap();
        let headless = disk.image();
        drop(wal);
        mount.unmount();
        assert_holds(cut, form, &at_cut, &format!("{what}, cut"));
        assert_holds(appended, form, &at_append, &format!("{what}, appended"));
        entries.retain(|entry| entry.0 >= head);
        assert_holds(headless, form, &entries, &format!("{what}, cut at the head"));
    });
}

/// Errors from the disk itself.
#[test]
fn a_disk_that_dies_under_an_open_log_poisons_it() {
    everywhere(|host, disk, form, what| {
        let mount = disk.mount();
        let wal = form.open(log_on(&mount), quiet()).unwrap();
        let entries: Vec<_> = (0..20).map(|i| put(&wal, i, 9000)).collect();
        wal.sync().unwrap();
        host.power_off();
        put(&wal, 20, 300);
        assert_is!(wal.sync(), Err(WalError::InDoubt { .. }), "{what}");
        for _ in 0..2 {
            assert_is!(wal.sync(), Err(WalError::Poisoned { .. }), "{what}");
            let poisoned = wal.append_and_sync(b"late");
            assert_is!(poisoned, Err(WalError::Poisoned { .. }), "{what}");
        }
        assert_eq!(all(&wal)[..20], entries, "{what}: what is durable can be read");
        drop(wal);
        host.restart(mount);
        assert_holds(disk.image(), form, &entries, what);
    });
}
