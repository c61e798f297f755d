//! A window that begins inside a group whose header is gone with what was dropped, and a timeline that has forgotten whose
//! the group was: the schemas in the group's rest are those of the log.

use wal_db::{OpenPolicy, Wal, event::TypedError, read::RecordKind, recovery::SalvageItem, schema::Schemas};
use wal_tests::{
    all,
    files::{FORMS, Form, Place, SECTOR, SEGMENT},
    quiet,
    straddled::{Counted, counted, forgetful, straddled},
    verified,
};

/// Those of the events among the records.
fn numbers(wal: &Wal) -> Vec<u64> {
    wal.typed::<Counted>().unwrap();
    let records = wal.iter().unwrap().map(Result::unwrap);
    let typed = records.filter(|record| record.kind() == RecordKind::Typed);
    typed
        .map(|record| record.decode::<Counted>().unwrap().number)
        .collect()
}

fn assert_explained(wal: &Wal, schemas: &Schemas, what: &str) {
    for record in wal.iter().unwrap() {
        match record.unwrap().to_value(schemas) {
            Ok(_) | Err(TypedError::NotTyped { .. }) => {}
            Err(error) => panic!("{what}: {error}"),
        }
    }
}

#[test]
fn a_schema_in_the_rest_of_a_group_is_read_when_its_epoch_is_forgotten() {
    for form in FORMS {
        let place = straddled(form);
        let what = format!("{form:?}");
        if form == Form::Segmented {
            assert!(!place.segment(0).exists(), "the group's header is gone");
        }
        let reader = quiet().open_read_only(place.path()).unwrap();
        assert_eq!(numbers(&reader), [1, 2], "{what}");
        let wal = place.open(forgetful()).unwrap();
        let schemas = wal.schemas().unwrap();
        assert_eq!(schemas.iter().count(), 1, "{what}");
        assert_explained(&wal, &schemas, &what);
        assert!(verified(&wal).unwrap().is_intact(), "{what}");
        let copy = place.root().join("copy");
        wal.backup_to(&copy).unwrap();
        let copied = quiet().open_read_only(&copy).unwrap();
        assert_eq!(numbers(&copied), [1, 2], "{what}");
        wal.append_typed(&counted(3)).unwrap();
        assert_eq!(numbers(&wal), [1, 2, 3], "{what}");
        wal.sync().unwrap();
        // A cut that removes what was appended, and leads back to the schema.
        let last = wal
            .iter()
            .unwrap()
            .map(|record| record.unwrap().lsn())
            .nth(1)
            .unwrap();
        wal.truncate_after(last).unwrap();
        assert_eq!(numbers(&wal), [1, 2], "{what}");
        wal.append_typed(&counted(4)).unwrap();
        wal.close().unwrap();
        let wal = place.open(forgetful()).unwrap();
        assert_eq!(numbers(&wal), [1, 2, 4], "{what}");
    }
}

#[test]
fn a_schema_in_the_last_group_is_read_when_the_group_before_it_is_gone() {
    let place = Place::fast(Form::Segmented);
    let wal = place.open(forgetful()).unwrap();
    wal.append(&vec![1; SEGMENT as usize]).unwrap();
    wal.sync().unwrap();
    let kept = wal.append_typed(&counted(1)).unwrap();
    wal.sync().unwrap();
    wal.truncate_before(kept).unwrap();
    wal.close().unwrap();
    assert!(!place.segment(0).exists(), "the group before is gone");
    for _ in 0..12 {
        let wal = place.open(forgetful()).unwrap();
        wal.append(&[3; 16]).unwrap();
        wal.close().unwrap();
    }
    let wal = place.open(forgetful()).unwrap();
    // Now nothing follows that would name the group.
    wal.truncate_after(kept).unwrap();
    assert_eq!(numbers(&wal), [1]);
    wal.close().unwrap();
    let wal = place.open(forgetful()).unwrap();
    assert_eq!(numbers(&wal), [1]);
}

#[test]
fn a_log_is_cut_at_damage_where_the_last_schema_was_the_first_one() {
    let place = Place::fast(Form::Segmented);
    let wal = place.open(quiet()).unwrap();
    wal.append(&vec![1; SEGMENT as usize]).unwrap();
    wal.sync().unwrap();
    let kept = wal.append(b"kept").unwrap();
    wal.sync().unwrap();
    wal.truncate_before(kept).unwrap();
    let event = wal.append_typed(&counted(1)).unwrap();
    wal.sync().unwrap();
    wal.append(b"cut").unwrap();
    wal.truncate_after(event).unwrap();
    wal.close().unwrap();
    assert!(!place.segment(0).exists(), "what was before is gone");
    // In the header of the group that the mark follows: the group of `kept` is one sector.
    place.flip(kept.get() + SECTOR + 20);
    let cutting = quiet().with_open_policy(OpenPolicy::TruncateAtDamage);
    let wal = place.open(cutting).unwrap();
    assert!(wal.recovery().damage.is_some());
    assert_eq!(all(&wal).len(), 1);
    wal.append_typed(&counted(2)).unwrap();
    assert_eq!(numbers(&wal), [2]);
    assert_explained(&wal, &wal.schemas().unwrap(), "cut");
}

/// In the file of a log that was truncated, the schemas of what is left may lie before it.
#[test]
fn salvage_hands_out_the_schemas_before_the_head() {
    for form in FORMS {
        let place = Place::fast(form);
        let wal = place.open(quiet()).unwrap();
        wal.append_typed(&counted(0)).unwrap();
        wal.sync().unwrap();
        let kept = wal.append_typed(&counted(1)).unwrap();
        wal.sync().unwrap();
        wal.truncate_before(kept).unwrap();
        wal.close().unwrap();
        assert_eq!(salvaged(&place, form), 1);
    }
}

/// How many records salvage finds, each of which it has to explain.
fn salvaged(place: &Place, form: Form) -> usize {
    let (mut schemas, mut records) = (Schemas::default(), 0);
    for item in wal_db::recovery::salvage(place.path()).unwrap() {
        match item.unwrap() {
            SalvageItem::Schema(record) => drop(schemas.take(&record)),
            SalvageItem::Record(record) => {
                let value = record.to_value(&schemas);
                assert!(value.is_ok(), "{form:?}: {:?} of {records}", value.err());
                records += 1;
            }
            other => panic!("{form:?}: {other:?}"),
        }
    }
    records
}
