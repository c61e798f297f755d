//! Processes that die while they open a log, one after the other, and what lies where a log wants to be.

use std::fs;

use wal_db::{
    Staging, Wal, WalConfig, WalError,
    recovery::CorruptionReason,
    testing::sim::{AfterFailedSync, Call, Medium, SimDisk},
};
use wal_tests::faults::{EIO, ENOSPC, dies_of_a_failed_flush, from_then_on};
use wal_tests::{
    Entry, all, assert_is,
    files::{FORMS, Form, Place, SEGMENT},
    pairs, put, quiet,
    sim::log,
};

fn small(staging: Staging) -> WalConfig {
    quiet().with_staging(staging).with_staging_bytes(64 << 10)
}

/// Everything fails after so many calls: as good as dead.
fn dies_after(disk: &SimDisk, calls: u64) {
    disk.behave(|disk| disk.fault = from_then_on(None, calls, EIO));
}

/// A second process dies in every call of its opening, and the power is lost in every call of a third one's.
fn dies_in_every_call(form: Form, config: WalConfig, prelude: impl Fn() -> (SimDisk, Vec<Entry>)) {
    let mut random = 1_u64;
    for calls in 0.. {
        let (disk, acked) = prelude();
        dies_after(&disk, calls);
        let survived = log::open(&disk, form, config).is_ok();
        let disk = disk.kill();
        disk.heal();
        let mut medium = Medium::default();
        disk.journal().iter().for_each(|step| medium.apply(step));
        drop(log::open(&disk, form, config).unwrap());
        for step in disk.kill().journal() {
            medium.apply(&step);
            let mut images = vec![medium.nothing(), medium.all()];
            images.extend((0..1).map(|_| {
                medium.any(&mut || {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    random >> 16
                })
            }));
            for arrival in images {
                let after = SimDisk::of(medium.after(&arrival));
                let said = || {
                    format!(
                        "{form:?}, dead behind {calls} calls: {}",
                        medium.describe(&arrival)
                    )
                };
                let wal =
                    log::open(&after, form, config).unwrap_or_else(|error| panic!("{}: {error}", said()));
                assert!(all(&wal).starts_with(&acked), "{}", said());
            }
        }
        if survived {
            assert!(calls > 5);
            return;
        }
    }
}

#[test]
fn a_log_whose_making_was_interrupted_twice_is_made_later() {
    let heap = small(Staging::Heap);
    for form in FORMS {
        dies_in_every_call(form, heap, || (SimDisk::new(), Vec::new()));
        for made in 1..30 {
            dies_in_every_call(form, heap, || {
                let disk = SimDisk::new();
                dies_after(&disk, made);
                drop(log::open(&disk, form, heap));
                let disk = disk.kill();
                disk.heal();
                (disk, Vec::new())
            });
        }
    }
}

#[test]
fn what_one_process_has_cut_off_is_cut_for_the_next_before_that_says_so() {
    // Staging memory knows what is durable, so that nothing has to be written and flushed for that.
    let mapped = small(Staging::Mapped);
    // What of the group has arrived differs from round to round.
    for (form, before) in pairs(FORMS, 1..9) {
        dies_in_every_call(form, mapped, || {
            let disk = SimDisk::new();
            let wal = log::open(&disk, form, mapped).unwrap();
            let acked: Vec<_> = (0..before)
                .map(|i| {
                    let entry = put(&wal, i, 300);
                    wal.sync().unwrap();
                    entry
                })
                .collect();
            put(&wal, before, 1200);
            // The flush fails, and some of what it should have flushed has arrived.
            let disk = dies_of_a_failed_flush(&disk, &wal);
            // A process that dies flushes nothing, and reverts nothing.
            disk.behave(|disk| disk.after_failed_sync = AfterFailedSync::Kept);
            (disk, acked)
        });
    }
}

#[test]
fn directories_that_dead_processes_have_made_are_durable() {
    let open = |disk: &SimDisk| disk.open_segmented("a/b/c", SEGMENT, quiet());
    for calls in 0..12 {
        let disk = SimDisk::new();
        dies_after(&disk, calls);
        drop(open(&disk));
        let next = disk.kill();
        next.heal();
        let wal = open(&next).unwrap();
        let acked = put(&wal, 1, 100);
        wal.sync().unwrap();
        let next = next.kill();
        drop(wal);
        let mut medium = Medium::default();
        next.journal().iter().for_each(|step| medium.apply(step));
        let left = SimDisk::of(medium.after(&medium.nothing()));
        assert_eq!(all(&open(&left).unwrap()), [acked], "dead behind {calls} calls");
    }
}

#[test]
fn what_is_cut_behind_a_segment_that_is_short_is_kept_too() {
    let place = Place::new(Form::Segmented);
    let wal = place.open(quiet()).unwrap();
    let kept = put(&wal, 1, 100);
    wal.sync().unwrap();
    // Not durable, and in two segments.
    let lost: Vec<_> = (2..8).map(|i| put(&wal, i, 20_000)).collect();
    wal.drain().unwrap();
    // The machine went down, and the first segment's length never arrived.
    let crashed = place.without_staging();
    drop(wal);
    crashed.cut_file(kept.0.get() + 2048);
    let wal = crashed.open(quiet()).unwrap();
    let cut = wal.recovery().cut.clone().unwrap();
    let bytes = fs::read(cut.kept_at.unwrap()).unwrap();
    assert_eq!(bytes.len() as u64, cut.end - cut.start);
    let last = &lost.last().unwrap().1;
    assert!(bytes.windows(last.len()).any(|window| window == last));
}

#[test]
fn what_a_full_disk_could_not_keep_aside_takes_no_space() {
    let disk = SimDisk::new();
    let wal = log::open(&disk, Form::Segmented, quiet()).unwrap();
    let acked = put(&wal, 1, 300);
    wal.sync().unwrap();
    put(&wal, 2, 30_000);
    wal.drain().unwrap();
    let mut medium = Medium::default();
    let disk = disk.kill();
    drop(wal);
    disk.journal().iter().for_each(|step| medium.apply(step));
    // The first group's first sectors have not arrived, the rest has.
    let mut arrival = medium.all();
    let mut cut = None;
    let mut number = 0_u64;
    while cut.is_none() {
        number += 1;
        let mut random = number;
        arrival = medium.any(&mut || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            random >> 16
        });
        let wal = log::open(&SimDisk::of(medium.after(&arrival)), Form::Segmented, quiet()).unwrap();
        cut = wal.recovery().cut.clone();
    }
    let disk = SimDisk::of(medium.after(&arrival));
    let kept = format!("log/cut-{}", cut.unwrap().start);
    disk.behave(|disk| disk.fault = from_then_on(Call::Write, 0, ENOSPC));
    log::open(&disk, Form::Segmented, quiet()).unwrap_err();
    assert!(disk.seen().file(&kept).is_none());
    disk.heal();
    assert_eq!(all(&log::open(&disk, Form::Segmented, quiet()).unwrap()), [acked]);
    assert!(disk.seen().file(&kept).is_some());
}

#[test]
fn files_with_the_names_that_making_a_log_uses_are_not_emptied() {
    let place = Place::new(Form::File);
    let beside = place.root().join("log.new");
    fs::write(&beside, b"somebody's notes").unwrap();
    assert_is!(place.open(quiet()).unwrap_err(), WalError::NotALog { .. });
    assert_eq!(fs::read(&beside).unwrap(), b"somebody's notes");

    let place = Place::new(Form::Segmented);
    fs::create_dir(place.path()).unwrap();
    let beside = place.path().join("manifest.new");
    fs::write(&beside, b"somebody's notes").unwrap();
    assert_is!(place.open(quiet()).unwrap_err(), WalError::NotALog { .. });
    assert_eq!(fs::read(&beside).unwrap(), b"somebody's notes");
}

#[test]
fn a_file_with_the_name_of_the_staging_file_is_not_emptied() {
    let place = Place::new(Form::File);
    fs::write(place.staging(), b"somebody's notes").unwrap();
    assert_is!(place.open(quiet()).unwrap_err(), WalError::NotALog { .. });
    assert_eq!(fs::read(place.staging()).unwrap(), b"somebody's notes");
    assert!(!place.path().exists());
}

#[test]
fn records_that_were_lost_with_the_cache_are_reported() {
    let disk = SimDisk::new();
    let wal = log::open(&disk, Form::Segmented, quiet().with_staging(Staging::Mapped)).unwrap();
    let acked = put(&wal, 1, 300);
    wal.sync().unwrap();
    put(&wal, 2, 1200);
    let disk = dies_of_a_failed_flush(&disk, &wal);
    drop(wal);
    let wal = log::open(&disk, Form::Segmented, quiet()).unwrap();
    let report = wal.recovery();
    let there = all(&wal);
    assert!(there.starts_with(&[acked]));
    assert!(
        there.len() == 2 || report.staging_ignored && !report.clean,
        "{report:?}"
    );
}

#[test]
fn a_log_beside_a_manifest_that_is_gone_is_damaged() {
    let place = Place::new(Form::Segmented);
    let wal = place.open(quiet()).unwrap();
    put(&wal, 1, 100);
    wal.close().unwrap();
    fs::remove_file(place.path().join("manifest")).unwrap();
    match Wal::open_segmented(place.path(), SEGMENT).unwrap_err() {
        WalError::Corruption(damage) => assert_eq!(damage.reason, CorruptionReason::MissingManifest),
        error => panic!("{error:?}"),
    }
}
