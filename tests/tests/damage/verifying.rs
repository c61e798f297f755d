//! Verifying a part of a log, with a word on how far it is, and one that does not open.

use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use wal_db::recovery::{CorruptionReason, VerifyConfig, verify, verify_path};
use wal_tests::{
    damage::synced,
    files::{FORMS, Form, Place, SECTOR},
    put, quiet,
};

/// Six groups of three records; the digest of the group that holds `entry` does not fit any more, nor does the record.
fn damaged_at(form: Form, entry: usize) -> (Place, Vec<wal_tests::Entry>) {
    let (place, wal, entries) = synced(form);
    wal.close().unwrap();
    place.flip(entries[entry].0.get() + 64 + 100);
    (place, entries)
}

#[test]
fn a_range_is_the_groups_of_its_records_and_no_more() {
    for form in FORMS {
        let (place, entries) = damaged_at(form, 7);
        let wal = place.open(quiet()).unwrap();
        let of = |from: usize, to: usize| {
            let range = VerifyConfig::new().with_range(entries[from].0..=entries[to].0);
            let report = verify(&wal, &range).unwrap();
            let by_several = verify(&wal, &range.with_threads(4)).unwrap();
            assert_eq!(report, by_several, "{form:?}");
            (report.records, report.groups, report.damage.len())
        };
        assert_eq!(of(0, 5), (6, 2, 0), "{form:?}: before the damage");
        assert_eq!(of(1, 1), (3, 1, 0), "{form:?}: one record");
        assert_eq!(of(9, 17), (9, 3, 0), "{form:?}: after the damage");
        assert_eq!(of(7, 7), (2, 1, 1), "{form:?}: the damage");
        assert_eq!(of(5, 9), (8, 3, 1), "{form:?}: across the damage");

        let all = |range: VerifyConfig| verify(&wal, &range).unwrap();
        assert_eq!(all(VerifyConfig::new().with_range(..)), wal.verify().unwrap());
        let nothing = all(VerifyConfig::new().with_range(wal.end()..));
        assert_eq!(
            (nothing.records, nothing.bytes, nothing.is_intact()),
            (0, 0, true)
        );
        let nothing = all(VerifyConfig::new().with_range(entries[3].0..entries[3].0));
        assert_eq!(all(VerifyConfig::new().with_range(..entries[3].0)).records, 3);
        assert_eq!(nothing.records, 0, "{form:?}: an empty range");
    }
}

#[test]
fn a_range_whose_first_header_is_lost_is_read_from_before_it() {
    for form in FORMS {
        let (place, wal, entries) = synced(form);
        wal.close().unwrap();
        let header = entries[6].0.get() / SECTOR * SECTOR;
        place.flip(header + 20);
        let wal = place.open(quiet()).unwrap();
        let range = VerifyConfig::new().with_range(entries[7].0..=entries[8].0);
        let found = verify(&wal, &range).unwrap().damage;
        assert_eq!(
            (found[0].start, found[0].reason),
            (header, CorruptionReason::GroupHeader),
            "{form:?}"
        );
    }
}

/// A log of some MiB in many groups.
fn long() -> Place {
    let place = Place::new(Form::Segmented);
    let wal = place.open(quiet()).unwrap();
    for seed in 0..160 {
        let _entry = put(&wal, seed, 50_000);
        wal.sync().unwrap();
    }
    wal.close().unwrap();
    place
}

#[test]
fn progress_comes_to_the_end_and_may_stop_it() {
    let place = long();
    let wal = place.open(quiet()).unwrap();
    for threads in [1, 3] {
        let (calls, furthest) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (its_calls, its_furthest) = (calls.clone(), furthest.clone());
        let config = VerifyConfig::new()
            .with_threads(threads)
            .with_progress(move |now| {
                assert!(now.done_bytes <= now.all_bytes, "{now:?}");
                its_calls.fetch_add(1, Ordering::Relaxed);
                its_furthest.fetch_max(now.done_bytes, Ordering::Relaxed);
                ControlFlow::Continue(())
            });
        let report = verify(&wal, &config).unwrap();
        assert_eq!(report, wal.verify().unwrap(), "it does not change what is found");
        let (calls, furthest) = (calls.load(Ordering::Relaxed), furthest.load(Ordering::Relaxed));
        assert_eq!(calls, report.bytes >> 20, "once for each MiB");
        assert_eq!(furthest >> 20, report.bytes >> 20);

        let stop = VerifyConfig::new()
            .with_threads(threads)
            .with_progress(|_| ControlFlow::Break(()));
        let stopped = verify(&wal, &stop).unwrap();
        assert!(stopped.stopped && !report.stopped);
        assert!((1..report.records).contains(&stopped.records), "{stopped:?}");
        assert!(stopped.is_intact());
    }
}

/// What keeps it from being opened is in the report, and so is what else is wrong; what is intact is counted.
#[test]
fn a_log_that_does_not_open_is_verified_by_its_path() {
    for form in FORMS {
        let (place, wal, entries) = synced(form);
        wal.close().unwrap();
        place.flip(entries[4].0.get() + 64 + 100);
        // The seal, which the manifest names.
        let last = place.groups().last().unwrap().pos;
        place.flip(last + 20);
        place.open(quiet()).unwrap_err();
        let whole = VerifyConfig::new();
        let report = verify_path(place.path(), &whole).unwrap();
        let found: Vec<_> = report.damage.iter().map(|damage| damage.reason).collect();
        assert_eq!(
            found,
            [CorruptionReason::Frame, CorruptionReason::GroupHeader],
            "{form:?}"
        );
        assert_eq!(report.damage[1].segment, place.segment_of(last));
        assert!(
            report
                .damage
                .iter()
                .all(|damage| damage.path() == Some(&place.path()))
        );
        assert!((14..=17).contains(&report.records), "{form:?}: {report:?}");
        // The second damage lies outside.
        let range = VerifyConfig::new().with_range(entries[3].0..entries[6].0);
        let report = verify_path(place.path(), &range).unwrap();
        assert_eq!(report.records, 2);
        let stop = VerifyConfig::new().with_progress(|_| ControlFlow::Break(()));
        assert!(
            !verify_path(place.path(), &stop).unwrap().stopped,
            "it is too short"
        );
    }
}

#[test]
fn a_manifest_that_is_lost_is_damage_of_a_log_whose_records_are_counted() {
    let (place, wal, entries) = synced(Form::Segmented);
    wal.close().unwrap();
    std::fs::remove_file(place.manifest()).unwrap();
    let report = verify_path(place.path(), &VerifyConfig::new()).unwrap();
    assert_eq!(report.damage.len(), 1);
    assert_eq!(report.damage[0].reason, CorruptionReason::MissingManifest);
    assert_eq!(report.records, entries.len() as u64);
}
