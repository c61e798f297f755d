//! A process that dies: every append that returned is there (P1), whatever the log was doing; staging memory that is
//! not this log's as it is now is not used.

use std::fs;

use wal_db::{Lsn, Staging, WalError};
use wal_tests::{
    Entry, all,
    damage::synced,
    files::{FORMS, Form, Place},
    payload, put, quiet,
};

// ---- process crashes -------------------------------------------------------------------------------------

/// P1: every append that returned is there, whatever was going on.
#[test]
fn a_killed_process_loses_no_append() {
    for form in FORMS {
        for staging in [Staging::Mapped, Staging::WriteThrough] {
            let what = format!("{form:?}, {staging:?}");
            let place = Place::new(form);
            let wal = place.open(quiet().with_staging(staging)).unwrap();
            let mut entries: Vec<Entry> = Vec::new();
            let check = |entries: &[Entry], step: &str| {
                let image = place.killed();
                let wal = image.open(quiet()).unwrap();
                assert_eq!(all(&wal), entries, "{what}: {step}");
                assert!(wal.verify().unwrap().is_intact(), "{what}: {step}");
                let report = wal.recovery().clone();
                // What was recovered is durable: the power may fail now.
                let image = image.without_staging();
                assert_eq!(
                    all(&image.open(quiet()).unwrap()),
                    entries,
                    "{what}: {step}: reopened twice"
                );
                report
            };
            check(&entries, "nothing");
            entries.push(put(&wal, 1, 10));
            let report = check(&entries, "one record");
            assert_eq!(
                report.staged_records == 1,
                staging == Staging::Mapped,
                "{what}: {report:?}"
            );
            entries.push(put(&wal, 2, 0));
            wal.sync().unwrap();
            check(&entries, "synced");
            for i in 0..200 {
                entries.push(put(&wal, i, 1000)); // several laps of the ring
                if i % 40 == 17 {
                    check(&entries, "filling the ring");
                }
            }
            check(&entries, "a full ring");
            entries.push(put(&wal, 3, 200_000));
            entries.push(put(&wal, 4, 20));
            check(&entries, "a large record");
            let batch: Vec<Vec<u8>> = (0..5).map(|i| payload(i, 30 * i)).collect();
            let lsns = wal.append_batch(&batch).unwrap();
            entries.extend(lsns.into_iter().zip(batch).map(|(lsn, data)| Entry(lsn, data)));
            check(&entries, "a batch");
        }
    }
}

#[test]
fn void_bytes_are_those_of_unpublished_claims_only() {
    let place = Place::new(Form::File);
    let wal = place.open(quiet().with_staging_bytes(64 << 10)).unwrap();
    // The blocks of the ring are 16 KiB long; the sixth record of each does not fit, and its rest becomes a void.
    let mut entries: Vec<Entry> = (0..18).map(|i| put(&wal, i, 3000)).collect();
    wal.sync().unwrap();
    entries.extend((18..24).map(|i| put(&wal, i, 3000)));
    let image = place.killed();
    let wal = image.open(quiet()).unwrap();
    assert_eq!(all(&wal), entries);
    assert_eq!(wal.recovery().void_bytes, 0, "every append returned");
}

#[test]
fn a_killed_process_keeps_what_a_heap_had_flushed() {
    let place = Place::new(Form::File);
    let wal = place.open(quiet().with_staging(Staging::Heap)).unwrap();
    let first = put(&wal, 1, 100);
    wal.drain().unwrap();
    put(&wal, 2, 100);
    assert_eq!(all(&place.killed().open(quiet()).unwrap()), [first]);
}

#[test]
fn a_crash_after_truncate_after_keeps_the_cut_and_what_followed() {
    for form in FORMS {
        let (place, wal, mut entries) = synced(form);
        put(&wal, 50, 100);
        wal.truncate_after(entries[7].0).unwrap();
        entries.truncate(8);
        for image in [place.killed(), place.without_staging()] {
            assert_eq!(all(&image.open(quiet()).unwrap()), entries, "{form:?}: at once");
        }
        entries.push(put(&wal, 60, 100));
        assert_eq!(
            all(&place.killed().open(quiet()).unwrap()),
            entries,
            "{form:?}: staged"
        );
        wal.sync().unwrap();
        assert_eq!(
            all(&place.without_staging().open(quiet()).unwrap()),
            entries,
            "{form:?}: synced"
        );
    }
}

#[test]
fn a_crash_after_truncate_before_opens() {
    for form in FORMS {
        for target in [2, 9, 17] {
            let (place, wal, mut entries) = synced(form);
            assert_eq!(wal.truncate_before(entries[target].0).unwrap(), entries[target].0);
            entries.drain(..target);
            for image in [place.killed(), place.without_staging()] {
                let wal = image.open(quiet());
                let wal = wal.unwrap_or_else(|error| panic!("{form:?}, before record {target}: {error}"));
                assert_eq!(all(&wal), entries, "{form:?}, before record {target}");
            }
        }
    }
}

#[test]
fn a_crash_after_truncate_before_the_end_opens() {
    for form in FORMS {
        let (place, wal, _) = synced(form);
        let head = wal.truncate_before(wal.end()).unwrap();
        assert_eq!(all(&wal), []);
        let new = put(&wal, 1, 50);
        assert!(new.0 >= head);
        let image = place.killed();
        let wal = image.open(quiet());
        assert_eq!(
            all(&wal.unwrap_or_else(|error| panic!("{form:?}: {error}"))),
            [new],
            "{form:?}"
        );
    }
}

#[test]
fn records_appended_after_dropping_all_and_a_crash_are_there() {
    for form in FORMS {
        for killed in [true, false] {
            let place = Place::new(form);
            let wal = place.open(quiet()).unwrap();
            let first = wal.append_and_sync(b"one group").unwrap();
            let head = wal.truncate_before(wal.end()).unwrap();
            let place = if killed {
                place.killed()
            } else {
                place.without_staging()
            };
            let wal = place.open(quiet()).unwrap();
            let new = Entry(wal.append_and_sync(b"new").unwrap(), b"new".to_vec());
            assert!(
                new.0 > first && new.0 >= head,
                "{form:?}: LSN {} behind head {head}",
                new.0
            );
            assert_eq!(all(&wal), [new], "{form:?}");
        }
    }
}

// ---- staging memory --------------------------------------------------------------------------------------

#[test]
fn an_unpublished_claim_becomes_a_void_and_what_follows_stays() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        let first = put(&wal, 1, 100);
        let (claimed, go_on) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
        let (behind, image) = std::thread::scope(|scope| {
            scope.spawn(|| {
                wal.append_in_place(300, |space| {
                    space[..10].fill(9);
                    claimed.wait();
                    go_on.wait();
                })
            });
            claimed.wait();
            let behind = put(&wal, 2, 100);
            let image = place.killed();
            go_on.wait();
            (behind, image)
        });

        let copy = image.killed();
        let same_boot = copy.open(quiet()).unwrap();
        assert_eq!(all(&same_boot), [first.clone(), behind], "{form:?}");
        assert!(
            (300..=400).contains(&same_boot.recovery().void_bytes),
            "{:?}",
            same_boot.recovery()
        );
        assert!(same_boot.verify().unwrap().is_intact());

        // After a reboot only what stands before the gap is known to be whole.
        patch_staging(&image, |header| header[24..40].fill(7));
        let rebooted = image.open(quiet()).unwrap();
        assert_eq!(all(&rebooted), [first], "{form:?}");
        assert_eq!(rebooted.recovery().void_bytes, 0);
    }
}

/// Changes the header of the staging file, with a checksum that is right again.
fn patch_staging(place: &Place, change: impl FnOnce(&mut [u8])) {
    let mut bytes = fs::read(place.staging()).unwrap();
    change(&mut bytes[..60]);
    let crc = crc32fast::hash(&bytes[..60]);
    bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    fs::write(place.staging(), bytes).unwrap();
}

#[test]
fn staging_that_is_lost_stale_or_not_ours_is_ignored_and_reported() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        put(&wal, 90, 100);
        let stale = place.killed();
        let mut entries = vec![Entry(Lsn::ZERO, payload(90, 100))];
        drop(wal);
        let wal = place.open(quiet()).unwrap();
        entries.push(put(&wal, 1, 200));
        wal.sync().unwrap();
        put(&wal, 2, 300);
        let image = place.killed();
        let (other, other_wal, _) = synced(form);
        put(&other_wal, 3, 100);

        let healthy = fs::read(image.staging()).unwrap();
        let mut garbage = payload(5, healthy.len());
        garbage[..8].copy_from_slice(&healthy[..8]);
        let mut wrong_sum = healthy.clone();
        wrong_sum[61] ^= 1;
        let cases = [
            ("lost", None),
            ("empty", Some(vec![])),
            ("stale", Some(fs::read(stale.staging()).unwrap())),
            ("of another log", Some(fs::read(other.staging()).unwrap())),
            ("garbage", Some(garbage)),
            ("a header with a wrong checksum", Some(wrong_sum)),
            ("a header without its ring", Some(healthy[..4096].to_vec())),
            ("half", Some(healthy[..healthy.len() / 2].to_vec())),
        ];
        for (what, bytes) in cases {
            let place = image.killed();
            let ignored = bytes.as_ref().is_some_and(|bytes| !bytes.is_empty());
            match bytes {
                Some(bytes) => fs::write(place.staging(), bytes).unwrap(),
                None => fs::remove_file(place.staging()).unwrap(),
            }
            let wal = place.open(quiet()).unwrap();
            assert_eq!(all(&wal), entries, "{form:?}, {what}");
            assert_eq!(wal.recovery().staging_ignored, ignored, "{form:?}, {what}");
            assert_eq!(wal.recovery().staged_records, 0, "{form:?}, {what}");
        }
    }
}

#[test]
fn no_flipped_bit_in_staging_brings_a_wrong_record() {
    let place = Place::new(Form::File);
    let wal = place.open(quiet()).unwrap();
    let mut entries = vec![put(&wal, 0, 30)];
    wal.sync().unwrap();
    entries.extend((1..4).map(|i| put(&wal, i, 40)));
    let image = place.killed();
    // The header, the words of the released and the durable position, the open group in the ring.
    let spots = (0..64)
        .chain(512..520)
        .chain(1024..1040)
        .chain(4096 + 512..4096 + 512 + 64 + 3 * 48);
    for at in spots {
        let place = image.killed();
        let mut bytes = fs::read(place.staging()).unwrap();
        bytes[at] ^= 0x08;
        fs::write(place.staging(), bytes).unwrap();
        match place.open(quiet()) {
            Ok(wal) => {
                let found = all(&wal);
                assert_eq!(found[..1], entries[..1], "byte {at}");
                assert!(
                    found.iter().all(|entry| entries.contains(entry)),
                    "byte {at}: {found:?}"
                );
                assert!(wal.verify().unwrap().is_intact(), "byte {at}");
            }
            Err(WalError::Corruption(_)) => {}
            Err(other) => panic!("byte {at}: {other:?}"),
        }
    }
}
