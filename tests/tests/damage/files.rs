//! Files that are missing, cut short, swapped, copied, foreign or old: never read as something that they are not, and
//! never passed over in silence.

use std::fs::{self, OpenOptions};

use wal_db::{Wal, WalError, recovery::CorruptionReason};
use wal_tests::{
    Entry, all, assert_is,
    damage::{many_segments, never_silent, refused, salvaged, synced},
    files::{FORMS, Form, Place, SECTOR, SEGMENT, SLOT, assert_same_files},
    put, quiet, until_error, verified, within,
};

// ---- segments --------------------------------------------------------------------------------------------

#[test]
fn a_missing_segment_is_named_and_nothing_is_unlinked() {
    let (closed, image, _) = many_segments();
    for place in [&closed, &image] {
        for index in 0..5 {
            let place = place.killed();
            fs::remove_file(place.segment(index)).unwrap();
            let damage = refused(&place);
            assert_eq!(
                (damage.reason, damage.segment),
                (CorruptionReason::MissingSegment, Some(index))
            );
            assert_eq!(
                (damage.start, damage.end),
                (index * SEGMENT, (index + 1) * SEGMENT)
            );
        }
    }
}

#[test]
fn a_segment_that_is_missing_with_all_that_follow_it_is_named() {
    let (closed, image, _) = many_segments();
    for place in [&closed, &image] {
        for index in 0..5 {
            let place = place.killed();
            let later = (index..).map(|index| place.segment(index));
            for segment in later.take_while(|segment| segment.exists()) {
                fs::remove_file(segment).unwrap();
            }
            let damage = refused(&place);
            assert_eq!(
                (damage.reason, damage.segment),
                (CorruptionReason::MissingSegment, Some(index))
            );
        }
    }
}

#[test]
fn damage_of_the_first_segment_is_corruption_and_not_truncation() {
    let (closed, _, _) = many_segments();
    fs::copy(closed.segment(1), closed.segment(0)).unwrap();
    let wal = closed.open(quiet()).unwrap();
    match until_error(&wal) {
        (_, Some(WalError::Corruption(damage))) => {
            assert_eq!(
                (damage.reason, damage.segment),
                (CorruptionReason::WrongSegment, Some(0))
            );
        }
        (_, other) => panic!("iter: {other:?}"),
    }
    assert!(!verified(&wal).unwrap().is_intact());
}

/// Of two copies of one log each went its own way. Groups and records of one are valid in the other, at their places;
/// only the chain tells, and it tells at the next group, so of the first segment nothing does before its end.
#[test]
fn a_segment_of_a_copy_that_went_another_way_is_never_read() {
    let place = Place::new(Form::Segmented);
    place.open(quiet()).unwrap().close().unwrap();
    let copy = place.killed();
    let grow = |place: &Place, seed: usize| {
        let wal = place.open(quiet()).unwrap();
        let mut entries = Vec::new();
        for i in 0..80 {
            // Groups of 4 KiB, so that none lies across the end of a segment and gives it away.
            entries.push(put(&wal, seed + i, 4096 - 64 - 8));
            wal.sync().unwrap();
        }
        wal.close().unwrap();
        entries
    };
    let (entries, others) = (grow(&place, 0), grow(&copy, 100));
    assert!(
        entries
            .iter()
            .zip(&others)
            .all(|(one, other)| one.0 == other.0 && one.1 != other.1)
    );
    for index in 0..5 {
        let damaged = place.killed();
        fs::copy(copy.segment(index), damaged.segment(index)).unwrap();
        if index > 0 {
            never_silent(&damaged, &entries, &format!("segment {index} of a copy"));
            continue;
        }
        let wal = damaged.open(quiet()).unwrap();
        let (read, error) = until_error(&wal);
        assert!(others.starts_with(&read) && read.len() < 20, "{read:?}");
        assert_is!(error, Some(WalError::Corruption(_)));
        assert!(!verified(&wal).unwrap().is_intact());
    }
}

#[test]
fn a_crashed_log_with_a_segment_cut_short_is_never_read_as_a_shorter_one() {
    let (_, image, entries) = many_segments();
    for index in 0..4 {
        for len in [52, 4096, 4096 + 512, 4096 + 33_333] {
            let damaged = image.killed();
            let file = OpenOptions::new()
                .write(true)
                .open(damaged.segment(index))
                .unwrap();
            file.set_len(len).unwrap();
            never_silent(&damaged, &entries, &format!("segment {index} cut to {len} bytes"));
        }
    }
}

#[test]
fn a_closed_log_whose_end_is_missing_is_refused() {
    for form in FORMS {
        let (place, wal, _) = synced(form);
        wal.close().unwrap();
        let (path, _) = place.locate(place.groups().last().unwrap().pos);
        let full = fs::metadata(&path).unwrap().len();
        for missing in [512, 4096, 10_000] {
            let place = place.killed();
            let (path, _) = place.locate(place.groups().last().unwrap().pos);
            OpenOptions::new()
                .write(true)
                .open(path)
                .unwrap()
                .set_len(full - missing)
                .unwrap();
            let damage = refused(&place);
            assert_eq!(
                damage.reason,
                CorruptionReason::Short,
                "{form:?}, {missing} bytes"
            );
        }
    }
}

#[test]
fn a_segment_name_with_a_huge_number_is_no_panic() {
    let (closed, _, entries) = many_segments();
    fs::copy(closed.segment(0), closed.path().join(format!("{}.seg", u64::MAX))).unwrap();
    let before = closed.bytes();
    match closed.open(quiet()) {
        Ok(wal) => assert_eq!(all(&wal), entries),
        Err(WalError::Corruption(damage)) => {
            assert_same_files(&before, &closed.bytes(), &format!("{damage:?}"))
        }
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn salvage_costs_what_is_there_and_not_what_a_number_in_a_name_says() {
    let (closed, _, entries) = many_segments();
    fs::copy(closed.segment(2), closed.segment(1 << 30)).unwrap();
    let (read, _) = within(
        "salvage across a billion segments that are not there",
        move || salvaged(&closed),
    );
    assert_eq!(read, entries);
}

// ---- the manifest ----------------------------------------------------------------------------------------

fn damage_slot(place: &Place, slot: u64, damage: impl Fn(&mut [u8])) {
    let mut bytes = fs::read(place.manifest()).unwrap();
    let from = (slot * SLOT) as usize;
    let to = bytes.len().min(from + SLOT as usize);
    damage(&mut bytes[from..to]);
    let file = OpenOptions::new().write(true).open(place.manifest()).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0).unwrap();
}

#[test]
fn one_damaged_copy_of_the_manifest_is_reported_and_mended() {
    for form in FORMS {
        let (place, wal, entries) = synced(form);
        wal.close().unwrap();
        for slot in 0..2 {
            for at in [0, 8, 20, 30, 85, 140] {
                let place = place.killed();
                damage_slot(&place, slot, |bytes| bytes[at] ^= 4);
                assert_eq!(
                    wal_db::recovery::inspect(place.path())
                        .unwrap()
                        .intact_manifest_copies,
                    1
                );
                let wal = place.open(quiet()).unwrap();
                assert!(
                    wal.recovery().manifest_copy_damaged,
                    "{form:?}, slot {slot}, byte {at}"
                );
                assert_eq!(all(&wal), entries, "{form:?}, slot {slot}, byte {at}");
                drop(wal);
                assert_eq!(
                    wal_db::recovery::inspect(place.path())
                        .unwrap()
                        .intact_manifest_copies,
                    2
                );
                assert!(!place.open(quiet()).unwrap().recovery().manifest_copy_damaged);
            }
        }
    }
}

#[test]
fn a_copy_of_the_manifest_that_reads_as_zeros_is_reported() {
    for form in FORMS {
        let (place, wal, entries) = synced(form);
        wal.close().unwrap();
        for slot in 0..2 {
            let place = place.killed();
            damage_slot(&place, slot, |bytes| bytes.fill(0));
            let wal = place.open(quiet()).unwrap();
            assert_eq!(all(&wal), entries);
            assert!(wal.recovery().manifest_copy_damaged, "{form:?}, slot {slot}");
        }
    }
}

#[test]
fn a_log_with_two_damaged_copies_of_the_manifest_is_refused_and_salvaged() {
    for form in FORMS {
        let (place, wal, entries) = synced(form);
        wal.close().unwrap();
        for slot in 0..2 {
            damage_slot(&place, slot, |bytes| bytes[60] ^= 1);
        }
        let damage = refused(&place);
        assert_eq!(damage.reason, CorruptionReason::Manifest, "{form:?}");
        let inspection = wal_db::recovery::inspect(place.path()).unwrap();
        assert_eq!(inspection.intact_manifest_copies, 0);
        assert_eq!(inspection.damage.unwrap().reason, CorruptionReason::Manifest);
        assert_eq!(salvaged(&place), (entries, vec![]), "{form:?}");
    }
}

#[test]
fn an_empty_log_with_two_damaged_copies_of_the_manifest_is_not_changed() {
    for form in FORMS {
        let place = Place::new(form);
        place.open(quiet()).unwrap().close().unwrap();
        for slot in 0..2 {
            damage_slot(&place, slot, |bytes| bytes[60] ^= 1);
        }
        assert_eq!(refused(&place).reason, CorruptionReason::Manifest, "{form:?}");
    }
}

#[test]
fn segments_without_a_manifest_are_refused_and_salvaged() {
    let (place, _, entries) = many_segments();
    fs::remove_file(place.manifest()).unwrap();
    assert_eq!(refused(&place).reason, CorruptionReason::MissingManifest);
    assert_eq!(salvaged(&place), (entries, vec![]));
}

// ---- a file that is cut under an open log ----------------------------------------------------------------

/// An open log of which only the first `keep` bytes of the stream are left on disk.
fn cut_under_an_open_log(form: Form) -> (Place, Wal, Vec<Entry>, u64) {
    let (place, wal, entries) = synced(form);
    // Inside the second record of the fourth group.
    let keep = entries[10].0.get() + 3000;
    place.cut_file(keep);
    (place, wal, entries, keep)
}

#[test]
fn a_file_cut_under_an_open_log_is_an_error_item() {
    for form in FORMS {
        let (_place, wal, entries, _) = cut_under_an_open_log(form);
        let (read, error) = until_error(&wal);
        assert_eq!(read, entries[..10], "{form:?}");
        assert_is!(error, Some(WalError::Corruption(_)), "{form:?}");
        for (i, Entry(lsn, _)) in entries.iter().enumerate() {
            let items: Vec<_> = match wal.iter_from(*lsn) {
                Ok(records) => records.collect(),
                Err(error) => vec![Err(error)],
            };
            let what = format!("{form:?}: from record {i}");
            assert_is!(
                items.last(),
                Some(Err(WalError::Corruption(_))),
                "{what}: {items:?}"
            );
            // The records of whole groups before the damage are there.
            assert!(
                i >= 9 || items.len() == 10 - i + 1,
                "{what}: {} items",
                items.len()
            );
        }
        assert!(!verified(&wal).unwrap().is_intact());
    }
}

#[test]
fn a_file_cut_under_an_open_log_is_an_error_backwards() {
    for form in FORMS {
        let (_place, wal, entries, _) = cut_under_an_open_log(form);
        let first = wal.iter_rev().map(|mut records| records.next());
        match first {
            Err(WalError::Corruption(_)) | Ok(Some(Err(WalError::Corruption(_)))) => {}
            Ok(Some(Ok(record))) => {
                let at = entries.iter().position(|entry| entry.0 == record.lsn());
                panic!("{form:?}: begins with record {at:?} of 18 as if it were the newest");
            }
            other => panic!("{form:?}: {other:?}"),
        }
    }
}

#[test]
fn a_record_cut_off_under_an_open_log_is_damage_and_not_missing() {
    for form in FORMS {
        let (_place, wal, entries, _) = cut_under_an_open_log(form);
        for (i, Entry(lsn, data)) in entries.iter().enumerate() {
            match wal.read(*lsn) {
                Ok(record) if i < 10 => assert_eq!(record.data(), data),
                Err(WalError::Corruption(_)) if i >= 10 => {}
                other => panic!("{form:?}, record {i}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_lost_sector_under_an_open_log_is_damage_to_every_reader() {
    for form in FORMS {
        let (place, wal, entries) = synced(form);
        // The header of the last group and the beginning of its first record.
        place.overwrite(place.groups()[5].pos, &[0; SECTOR as usize]);
        let (read, error) = until_error(&wal);
        assert_eq!((read.len(), error.is_some()), (15, true), "{form:?}: iter");
        let result = wal.read(entries[15].0);
        assert_is!(result, Err(WalError::Corruption(_)), "{form:?}: read");
        let newest = wal.iter_rev().and_then(|mut records| records.next().transpose());
        assert!(
            !matches!(&newest, Ok(Some(r)) if r.lsn() < entries[15].0),
            "{form:?}: iter_rev: {newest:?}"
        );
    }
}

/// After the damage there is nothing to go on with.
#[test]
fn salvage_ends_at_a_newest_segment_that_is_not_the_right_one() {
    let (closed, _, entries) = many_segments();
    let mut header = fs::read(closed.segment(4)).unwrap();
    header[20] ^= 1;
    fs::write(closed.segment(4), header).unwrap();
    let (read, damage) = salvaged(&closed);
    assert!(entries.starts_with(&read) && read.len() > 40, "{}", read.len());
    let reasons: Vec<_> = damage.iter().map(|damage| damage.reason).collect();
    assert_eq!(reasons, [CorruptionReason::WrongSegment]);
}

#[test]
fn whichever_copy_of_the_manifest_is_damaged_a_cut_stays_a_cut() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        let entries: Vec<Entry> = (0..3).map(|i| put(&wal, i, 100)).collect();
        wal.sync().unwrap();
        wal.truncate_after(entries[0].0).unwrap();
        for slot in 0..2 {
            let image = place.without_staging();
            let mut bytes = fs::read(image.manifest()).unwrap();
            bytes[(slot * SLOT) as usize + 40] ^= 1;
            fs::write(image.manifest(), bytes).unwrap();
            let wal = image.open(quiet()).unwrap();
            assert_eq!(all(&wal), entries[..1], "{form:?}, slot {slot}");
            assert!(wal.recovery().manifest_copy_damaged, "{form:?}, slot {slot}");
        }
    }
}

/// The manifest knows the last group of a closed log, so that another end in its place is noticed when it is opened.
#[test]
fn another_newest_segment_is_refused_at_once() {
    let place = Place::new(Form::Segmented);
    place.open(quiet()).unwrap().close().unwrap();
    let copy = place.killed();
    for (place, seed) in [(&place, 0), (&copy, 100)] {
        let wal = place.open(quiet()).unwrap();
        for i in 0..20 {
            put(&wal, seed + i, 4096 - 64 - 8);
            wal.sync().unwrap();
        }
        wal.close().unwrap();
    }
    fs::copy(copy.segment(1), place.segment(1)).unwrap();
    assert_eq!(refused(&place).reason, CorruptionReason::Chain);
}
