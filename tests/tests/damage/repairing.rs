//! A log that does not open is made to open with the least loss, and taking that back gives every byte as it was.

use std::fs;

use wal_db::{
    RecoveryPolicy, Wal, WalError,
    recovery::{RepairStep, repair},
};
use wal_tests::{
    Entry, all, assert_is,
    damage::{many_segments, synced},
    files::{FORMS, Form, Place, SECTOR, SEGMENT, SLOT, assert_same_files},
    put, quiet,
    repaired::repaired,
    until_error,
};

/// Names of the steps.
fn names(steps: &[RepairStep]) -> Vec<&'static str> {
    let name = |step: &RepairStep| match step {
        RepairStep::ManifestCopy { .. } => "copy",
        RepairStep::Manifest => "manifest",
        RepairStep::SegmentHeader { .. } => "header",
        RepairStep::SetAside { .. } => "aside",
        RepairStep::MissingSegment { .. } => "missing",
        RepairStep::Cut { .. } => "cut",
        _ => "another",
    };
    steps.iter().map(name).collect()
}

/// Both copies are damaged, or the file with them is not there.
fn lose_the_manifest(place: &Place) {
    match place.form {
        Form::Segmented => fs::remove_file(place.manifest()).unwrap(),
        Form::File => zero(place, 0, 2 * SLOT),
    }
}

fn zero(place: &Place, offset: u64, len: u64) {
    use std::os::unix::fs::FileExt;
    let file = fs::OpenOptions::new().write(true).open(place.manifest()).unwrap();
    file.write_all_at(&vec![0; len as usize], offset).unwrap();
}

/// Everything is there again.
fn is_whole(place: &Place, entries: &[Entry], what: &str) {
    let wal = place
        .open(quiet())
        .unwrap_or_else(|error| panic!("{what}: {error:?}"));
    assert_eq!(all(&wal), entries, "{what}");
    let report = wal.verify().unwrap();
    assert!(
        report.is_intact() && report.copies.is_empty(),
        "{what}: {report:?}"
    );
    // And it goes on.
    let next = put(&wal, 0, 10);
    assert!(entries.iter().all(|entry| entry.0 < next.0), "{what}");
    wal.sync().unwrap();
}

#[test]
fn a_log_that_opens_has_nothing_to_repair() {
    for form in FORMS {
        let (place, wal, entries) = synced(form);
        let killed = place.killed();
        wal.close().unwrap();
        for place in [place, killed] {
            repaired(&place, "a log that opens", |repair, _| {
                assert_eq!(repair.steps, []);
                assert_eq!((repair.records, repair.lost_records), (18, 0));
                is_whole(&place, &entries, "a log that opens");
            });
        }
    }
}

#[test]
fn one_copy_of_the_manifest_is_written_again() {
    for form in FORMS {
        for copy in [0, 1] {
            let (place, wal, entries) = synced(form);
            wal.close().unwrap();
            zero(&place, copy * SLOT + 40, 8);
            repaired(&place, "one copy", |repair, report| {
                assert_eq!(names(&repair.steps), ["copy"]);
                assert!(report.manifest_copy_damaged);
                is_whole(&place, &entries, "one copy");
            });
        }
    }
}

/// A log with a history: opened again and again, cut within a group, between two, and twice at one place.
fn with_a_history(form: Form) -> (Place, Wal, Vec<Entry>) {
    let (place, wal, mut entries) = synced(form);
    wal.truncate_after(entries[16].0).unwrap();
    entries.truncate(17);
    entries.push(put(&wal, 30, 100));
    wal.close().unwrap();
    let wal = place.open(quiet()).unwrap();
    entries.push(put(&wal, 31, 700));
    wal.sync().unwrap();
    for seed in 32..34 {
        let _gone = put(&wal, seed, 3000);
        wal.sync().unwrap();
    }
    wal.truncate_from(entries[18].0).unwrap();
    entries.truncate(18);
    let _gone = put(&wal, 34, 10);
    wal.sync().unwrap();
    wal.truncate_after(entries[17].0).unwrap();
    entries.push(put(&wal, 35, 10));
    wal.close().unwrap();
    let wal = place.open(quiet()).unwrap();
    for seed in 36..40 {
        entries.push(put(&wal, seed, 20_000));
        wal.sync().unwrap();
    }
    (place, wal, entries)
}

#[test]
fn a_manifest_that_is_lost_is_made_from_the_groups_cuts_and_epochs_included() {
    for form in FORMS {
        let (place, wal, entries) = with_a_history(form);
        let killed = place.killed();
        let bare = place.without_staging();
        wal.close().unwrap();
        for (place, how) in [(place, "closed"), (killed, "killed"), (bare, "bare")] {
            let what = format!("{form:?}, {how}");
            let timeline = |place: &Place| {
                let wal = Wal::open_read_only(place.path()).unwrap();
                wal.status().records
            };
            let before = timeline(&place);
            lose_the_manifest(&place);
            assert_is!(place.open(quiet()).map(drop), Err(WalError::Corruption(_)));
            repaired(&place, &what, |repair, _| {
                assert_eq!(names(&repair.steps), ["manifest"], "{what}");
                assert_eq!(repair.records, before, "{what}");
                is_whole(&place, &entries, &what);
            });
        }
    }
}

#[test]
fn what_waited_in_staging_memory_survives_the_loss_of_the_manifest() {
    for form in FORMS {
        let (place, wal, mut entries) = synced(form);
        entries.push(put(&wal, 50, 300));
        let killed = place.killed();
        lose_the_manifest(&killed);
        repaired(&killed, "staged", |_, report| {
            assert_eq!(report.staged_records, 1, "{form:?}");
            is_whole(&killed, &entries, "staged");
        });
    }
}

/// A write that never arrived ends the log as it does with a manifest, though later ones have arrived.
#[test]
fn what_was_not_durable_is_judged_as_it_is_with_a_manifest() {
    for form in FORMS {
        let (place, wal, mut entries) = synced(form);
        entries.push(put(&wal, 60, 100));
        // Written, and flushed by nobody.
        wal.drain().unwrap();
        let gone = put(&wal, 61, 100);
        wal.drain().unwrap();
        let _later = put(&wal, 62, 100);
        wal.drain().unwrap();
        let place = place.without_staging();
        place.overwrite(gone.0.get() / SECTOR * SECTOR, &[0; SECTOR as usize]);
        is_whole(&place.killed(), &entries, "with a manifest");
        lose_the_manifest(&place);
        repaired(&place, "a hole at the end", |repair, _| {
            assert_eq!(names(&repair.steps), ["manifest"], "{form:?}");
            is_whole(&place, &entries, "a hole at the end");
        });
    }
}

/// What was dropped within the first segment may come back; nothing else.
#[test]
fn a_log_without_its_beginning_keeps_its_ordinals_when_the_manifest_is_lost() {
    let (place, _, entries) = many_segments();
    let wal = place.open(quiet()).unwrap();
    let head = entries
        .iter()
        .position(|entry| entry.0.get() > 2 * SEGMENT + SEGMENT / 2)
        .unwrap();
    wal.truncate_before(entries[head].0).unwrap();
    wal.close().unwrap();
    lose_the_manifest(&place);
    repaired(&place, "no beginning", |repair, _| {
        assert_eq!(names(&repair.steps), ["manifest"]);
        let wal = place.open(quiet()).unwrap();
        let found = all(&wal);
        assert!(entries.ends_with(&found) && found.len() >= entries.len() - head);
        let first = entries.len() - found.len();
        assert!(found[0].0.get() >= SEGMENT);
        assert_eq!(wal.locate(found[0].0).unwrap().ordinal, first as u64);
        assert!(wal.verify().unwrap().is_intact());
    });
}

#[test]
fn an_empty_log_without_a_manifest_opens_again() {
    let place = Place::new(Form::Segmented);
    let wal = place.open(quiet()).unwrap();
    let _entry = put(&wal, 0, 100);
    wal.sync().unwrap();
    wal.truncate_from(wal_db::Lsn::new(0)).unwrap();
    wal.close().unwrap();
    lose_the_manifest(&place);
    repaired(&place, "empty", |repair, _| {
        assert_eq!(names(&repair.steps), ["manifest"]);
        assert!(place.open(quiet()).is_ok());
    });
}

#[test]
fn the_header_of_a_segment_is_written_again() {
    for form in FORMS {
        let (place, wal, entries) = synced(form);
        wal.close().unwrap();
        for segment in 0..form_segments(form) {
            let place = place.killed();
            damage_header(&place, segment);
            repaired(&place, "a header", |repair, _| {
                assert_eq!(names(&repair.steps), ["header"], "{form:?}");
                is_whole(&place, &entries, "a header");
            });
            lose_the_manifest(&place);
            if form == Form::Segmented {
                repaired(&place, "a header and the manifest", |repair, _| {
                    assert_eq!(names(&repair.steps), ["manifest", "header"]);
                    is_whole(&place, &entries, "a header and the manifest");
                });
            }
        }
    }
}

fn form_segments(form: Form) -> u64 {
    match form {
        Form::File => 1,
        Form::Segmented => 2,
    }
}

fn damage_header(place: &Place, segment: u64) {
    let (path, offset) = match place.form {
        Form::File => (place.path(), 2 * SLOT),
        Form::Segmented => (place.segment(segment), 0),
    };
    let mut bytes = fs::read(&path).unwrap();
    bytes[offset as usize + 20] ^= 1;
    fs::write(&path, bytes).unwrap();
}

/// Nothing but what was in the segment is lost, and reading says where.
#[test]
fn a_missing_segment_is_a_hole_and_the_records_after_it_are_there() {
    let (closed, image, entries) = many_segments();
    for place in [&closed, &image] {
        for segment in 0..5 {
            let place = place.killed();
            fs::remove_file(place.segment(segment)).unwrap();
            let what = format!("segment {segment}");
            repaired(&place, &what, |repair, _| {
                assert_eq!(names(&repair.steps)[0], "missing", "{what}");
                let skip = quiet().with_recovery_policy(RecoveryPolicy::SkipBadRecords);
                let wal = place.open(skip).unwrap();
                let found: Vec<Entry> = wal
                    .iter()
                    .unwrap()
                    .filter_map(|record| record.ok())
                    .map(|record| Entry(record.lsn(), record.into_data()))
                    .collect();
                let hole = segment * SEGMENT..(segment + 1) * SEGMENT;
                let touches =
                    |entry: &Entry| entry.0.get() + 64 < hole.end && entry.0.get() + 64 + 5008 > hole.start;
                let outside: Vec<&Entry> = entries.iter().filter(|entry| !touches(entry)).collect();
                if !names(&repair.steps).contains(&"cut") {
                    assert!(outside.iter().all(|entry| found.contains(entry)), "{what}");
                }
                assert!(found.iter().all(|entry| entries.contains(entry)), "{what}");
                let (_, error) = until_error(&place.killed().open(quiet()).unwrap());
                let is_cut = names(&repair.steps).contains(&"cut");
                // Nothing was durable in the last one, as far as anybody knows.
                assert!(
                    is_cut || error.is_some() || segment == 4,
                    "{what}: reading says nothing"
                );
            });
        }
    }
}

/// A later one is there that nothing names yet, and one before it is missing.
#[test]
fn a_gap_before_a_segment_that_was_made_ready_is_filled() {
    let (place, _, entries) = many_segments();
    for (index, bytes) in [(5, false), (6, true)] {
        let mut segment = fs::read(place.segment(4)).unwrap();
        segment.resize(SEGMENT as usize + 4096, 0);
        segment[4096..].fill(0);
        segment[32..40].copy_from_slice(&u64::to_le_bytes(index));
        let crc = crc32fast::hash(&segment[..48]);
        segment[48..52].copy_from_slice(&crc.to_le_bytes());
        if bytes {
            fs::write(place.segment(index), segment).unwrap();
        }
    }
    assert_is!(place.open(quiet()).map(drop), Err(WalError::Corruption(_)));
    repaired(&place, "a gap", |repair, _| {
        assert_eq!(names(&repair.steps), ["missing"]);
        is_whole(&place, &entries, "a gap");
    });
}

/// The manifest is whole and says that there is a segment for every number: nobody waits for that.
#[test]
fn a_manifest_that_names_more_segments_than_can_be_is_damage() {
    let (place, _, _) = many_segments();
    for slot in [0, 1] {
        place.patch_manifest(slot, |bytes| {
            bytes[112..120].copy_from_slice(&(1_u64 << 50).to_le_bytes())
        });
    }
    assert_is!(repair(place.path()).map(drop), Err(WalError::Corruption(_)));
}

#[test]
fn what_has_the_name_of_a_segment_gets_another_name() {
    let (place, _, entries) = many_segments();
    // A later one.
    fs::write(place.segment(7), "a shopping list").unwrap();
    assert_is!(place.open(quiet()).map(drop), Err(WalError::NotALog { .. }));
    repaired(&place, "a later one", |repair, _| {
        assert_eq!(names(&repair.steps), ["aside"]);
        let aside = place.path().join("0000000007.seg.set-aside");
        assert_eq!(fs::read(aside).unwrap(), b"a shopping list");
        is_whole(&place, &entries, "a later one");
    });
    fs::remove_file(place.segment(7)).unwrap();
    // One of its own, and a name that is taken.
    fs::write(place.segment(2), "a shopping list").unwrap();
    fs::write(place.path().join("0000000002.seg.set-aside"), "taken").unwrap();
    repaired(&place, "one of its own", |repair, _| {
        assert_eq!(names(&repair.steps), ["aside", "missing"]);
        assert!(place.path().join("0000000002.seg.set-aside-2").exists());
        assert!(place.open(quiet()).is_ok());
    });
}

#[test]
fn damage_at_the_end_is_where_the_log_is_cut_and_what_is_lost_is_counted() {
    for form in FORMS {
        let (place, wal, entries) = synced(form);
        wal.close().unwrap();
        let seal = place.groups().last().unwrap().pos;
        place.flip(seal + 20);
        repaired(&place, "a seal", |repair, report| {
            assert_eq!(names(&repair.steps), ["cut"], "{form:?}");
            assert_eq!((repair.records, repair.lost_records), (18, 0));
            assert!(report.damage.is_some());
            is_whole(&place, &entries, "a seal");
        });
        // The last three groups.
        let from = entries[9].0.get() / SECTOR * SECTOR;
        place.flip(from + 20);
        place.flip(entries[12].0.get() / SECTOR * SECTOR + 20);
        place.flip(entries[15].0.get() / SECTOR * SECTOR + 20);
        repaired(&place, "three groups", |repair, _| {
            assert_eq!(names(&repair.steps), ["cut"], "{form:?}");
            assert_eq!(repair.records, 9);
            assert!(repair.lost_records > 0, "their records are whole");
            is_whole(&place, &entries[..9], "three groups");
        });
    }
}

#[test]
fn a_repair_is_of_the_state_that_it_was_planned_for() {
    for form in FORMS {
        let (place, wal, _) = synced(form);
        wal.close().unwrap();
        lose_the_manifest(&place);
        let old = repair(place.path()).unwrap();
        repair(place.path()).unwrap().apply().unwrap();
        let before = place.bytes();
        assert_is!(old.apply(), Err(WalError::Config { .. }));
        assert_same_files(&before, &place.bytes(), "a plan that is old");
        let now = repair(place.path()).unwrap();
        let wal = place.open(quiet()).unwrap();
        assert_is!(now.apply(), Err(WalError::Locked { .. }));
        if cfg!(target_os = "linux") {
            // A log that is being written is not called damaged.
            assert_is!(repair(place.path()).map(drop), Err(WalError::Locked { .. }));
        }
        drop(wal);
    }
}

#[test]
fn what_is_no_log_or_a_newer_one_is_not_repaired() {
    let place = Place::new(Form::Segmented);
    assert_is!(
        repair(place.path()).map(drop),
        Err(WalError::NotALog { .. } | WalError::Io { .. })
    );
    fs::create_dir(place.path()).unwrap();
    fs::write(place.path().join("letter"), "dear").unwrap();
    assert_is!(repair(place.path()).map(drop), Err(WalError::NotALog { .. }));
    let (place, wal, _) = synced(Form::Segmented);
    wal.close().unwrap();
    place.patch_manifest(0, |bytes| bytes[8] = 9);
    let before = place.bytes();
    assert_is!(
        repair(place.path()).map(drop),
        Err(WalError::UnsupportedVersion { .. })
    );
    assert_same_files(&before, &place.bytes(), "a newer one");
}
