//! Opening with the policy to cut at damage: what it mends, what it leaves, and where the log goes on.

use serde::{Deserialize, Serialize};
use wal_db::{
    OpenPolicy, Wal, WalConfig, WalRecord,
    recovery::{CorruptionReason, RecoveryReport},
    schema::Value,
};
use wal_tests::{
    Entry, all, corruption,
    damage::synced,
    disk::Disk,
    files::{FORMS, Form, GROUP_HEADER, Place, SEGMENT},
    lsns_of, put, quiet, quiet_heap, verified,
};

use super::kinds::{Counted, counted, numbers};

fn cutting() -> WalConfig {
    quiet().with_open_policy(OpenPolicy::TruncateAtDamage)
}

/// Opens a damaged log, which has to keep these records, goes on with it, and opens it again.
fn mend(place: &Place, kept: &[Entry], acknowledged: u64, what: &str) -> RecoveryReport {
    corruption(place.open(quiet()));
    let wal = place
        .open(cutting())
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(all(&wal), kept, "{what}");
    let report = wal.recovery().clone();
    assert!(report.damage.is_some(), "{what}: {report:?}");
    let mut expected = kept.to_vec();
    for i in 0..3 {
        expected.push(put(&wal, 90 + i, 1000));
        wal.sync().unwrap();
    }
    let first = expected[kept.len()].0.get();
    assert!(first >= acknowledged, "{what}: {first} was acknowledged before");
    assert_eq!(wal.status().records, expected.len() as u64, "{what}");
    wal.close().unwrap();
    for _ in 0..2 {
        let wal = place
            .open(quiet())
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(wal.recovery().damage.is_none(), "{what}");
        assert_eq!(all(&wal), expected, "{what}");
        let mut backwards = lsns_of(wal.iter_rev());
        backwards.reverse();
        assert!(
            backwards.iter().eq(expected.iter().map(|entry| &entry.0)),
            "{what}"
        );
        assert!(verified(&wal).unwrap().is_intact(), "{what}");
    }
    report
}

#[test]
fn the_lsns_of_what_was_cut_at_damage_are_not_used_again() {
    for form in FORMS {
        for (flipped, kept) in [(0, 0), (4, 3), (10, 9), (17, 15)] {
            let (place, wal, entries) = synced(form);
            let durable = wal.status().durable.get();
            let place = place.without_staging();
            drop(wal);
            place.flip(entries[flipped].0.get() + GROUP_HEADER + 50);
            mend(
                &place,
                &entries[..kept],
                durable - 64,
                &format!("{form:?}, record {flipped}"),
            );
        }
    }
}

#[test]
fn a_damaged_seal_of_a_closed_log_costs_no_record() {
    for form in FORMS {
        let (place, wal, entries) = synced(form);
        wal.close().unwrap();
        let seal = place.groups().last().unwrap().pos;
        place.flip(seal + 30);
        let report = mend(&place, &entries, seal, &format!("{form:?}"));
        assert_eq!(report.damage.unwrap().start, seal);
    }
}

#[test]
fn a_closed_log_whose_last_file_was_cut_short_keeps_what_is_there() {
    for form in FORMS {
        let (place, wal, entries) = synced(form);
        wal.close().unwrap();
        let groups = place.groups();
        let last = groups[groups.len() - 2].pos;
        // Of the last group with records the half is gone.
        place.cut_file(last + 4096);
        mend(&place, &entries[..15], last + 4096, &format!("{form:?}"));
    }
}

#[test]
fn schemas_survive_what_is_cut_at_damage() {
    let disk = Disk::new();
    let wal = Wal::with_store_and_config(disk.clone(), quiet_heap()).unwrap();
    let log = wal.typed::<Counted>().unwrap();
    for i in 0..4 {
        log.append(&counted(i)).unwrap();
        wal.sync().unwrap();
    }
    drop(log);
    wal.close().unwrap();
    let mark = u64::from_le_bytes(disk.slot(0)[80..88].try_into().unwrap()) as usize;
    disk.edit(|row| row[mark - 512 + 30] ^= 1);
    let config = quiet_heap().with_open_policy(OpenPolicy::TruncateAtDamage);
    assert_eq!(
        corruption(Wal::with_store_and_config(disk.clone(), quiet_heap())).reason,
        CorruptionReason::Chain
    );
    let wal = Wal::with_store_and_config(disk, config).unwrap();
    assert_eq!(numbers(&wal), [0, 1, 2, 3]);
    wal.typed::<Counted>().unwrap().append(&counted(4)).unwrap();
    assert_eq!(numbers(&wal), [0, 1, 2, 3, 4]);
}

#[derive(Debug, Serialize, Deserialize, WalRecord)]
#[wal(name = "named")]
struct Named(String);

/// The newest schema is cut off, and the one before explains what is left.
#[test]
fn schemas_before_the_damage_explain_what_is_left() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        let first = wal.append_typed(&counted(1)).unwrap();
        wal.sync().unwrap();
        put(&wal, 2, 100);
        wal.sync().unwrap();
        wal.append_typed(&Named("cut".to_owned())).unwrap();
        wal.close().unwrap();
        let groups = place.groups();
        for group in &groups[2..] {
            place.flip(group.pos + 30);
        }
        let wal = place.open(cutting()).unwrap();
        assert_eq!(wal.status().records, 2, "{form:?}");
        let schemas = wal.schemas().unwrap();
        assert_eq!(schemas.iter().count(), 1, "{form:?}");
        let value = wal.read(first).unwrap().to_value(&schemas).unwrap();
        assert_eq!(value.get("number"), Some(&Value::Unsigned(1)), "{form:?}");
    }
}

/// What is missing of a segment is at its end, and says nothing of the groups in the next one.
#[test]
fn a_segment_that_is_cut_short_does_not_hide_the_groups_after_it() {
    let (place, wal, entries) = synced(Form::Segmented);
    wal.close().unwrap();
    let seal = place.groups().last().unwrap().pos;
    place.flip(seal + 30);
    place.cut_file(SEGMENT - 2048);
    let wal = place.open(cutting()).unwrap();
    assert_eq!(wal.recovery().damage.as_ref().unwrap().start, seal);
    assert_eq!(wal.status().records, entries.len() as u64);
    let last = entries.last().unwrap();
    assert_eq!(wal.read(last.0).unwrap().data(), last.1);
}

/// A group that was cut off continues the one before it as well as ever: only the timeline says that it is gone.
#[test]
fn what_was_cut_off_before_the_damage_does_not_count() {
    let config = quiet_heap().with_open_policy(OpenPolicy::TruncateAtDamage);
    for kept in 1..=2 {
        // It gives no space back, so what is cut off stays there.
        let disk = Disk::new();
        let wal = Wal::with_store_and_config(disk.clone(), quiet_heap()).unwrap();
        let mut entries = vec![put(&wal, 1, 10), put(&wal, 2, 10)];
        for i in 3..5 {
            wal.sync().unwrap();
            put(&wal, i, 10);
        }
        entries.truncate(kept);
        wal.truncate_after(entries[kept - 1].0).unwrap();
        put(&wal, 5, 10);
        wal.close().unwrap();
        let mark = u64::from_le_bytes(disk.slot(0)[80..88].try_into().unwrap()) as usize;
        // The group after the cut, and the seal.
        disk.edit(|row| {
            row[mark - 1024 + 30] ^= 1;
            row[mark - 512 + 30] ^= 1;
        });
        let wal = Wal::with_store_and_config(disk.clone(), config).unwrap();
        for i in 6..8 {
            assert_eq!(all(&wal), entries);
            assert_eq!(wal.status().records, entries.len() as u64, "{kept} kept");
            let report = verified(&wal).unwrap();
            assert!(report.is_intact(), "{kept} kept: {report:?}");
            entries.push(put(&wal, i, 10));
            wal.sync().unwrap();
        }
    }
}
