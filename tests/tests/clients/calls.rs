//! Calls that programs missed: records that are copied as they are, figures that count the same things, settings that are
//! in force, bounds that are said.

use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};
use wal_db::{
    MemStore, Meta, Wal, WalConfig, WalError, WalRecord,
    event::TypedError,
    read::RecordKind,
    recovery::{Salvage, SalvageItem},
    schema::Schemas,
};
use wal_tests::{
    all, assert_is,
    files::{FORMS, Form, Place, SLOT},
    put, quiet, quiet_heap,
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "shop")]
enum Shop {
    Ordered { what: String, count: u32 },
    Paid(u64),
}

fn in_memory() -> Wal {
    Wal::with_store_and_config(MemStore::new(), quiet_heap()).unwrap()
}

/// A log of events with and without metadata, and of bytes.
fn fill(wal: &Wal) {
    let log = wal.typed::<Shop>().unwrap();
    for count in 0..20 {
        let what = format!("thing {count}");
        let meta = Meta::new().with_stream("orders").with_tag("new");
        log.append_with_meta(&Shop::Ordered { what, count }, &meta)
            .unwrap();
        log.append(&Shop::Paid(u64::from(count))).unwrap();
        wal.append(b"bytes").unwrap();
        log.append_batch(&[Shop::Paid(1), Shop::Paid(2)]).unwrap();
    }
}

/// What a record is, without its place.
fn bytes(wal: &Wal) -> Vec<(RecordKind, Vec<u8>)> {
    let records = wal.iter().unwrap().map(|record| record.unwrap());
    records
        .map(|record| (record.kind(), record.into_data()))
        .collect()
}

fn events(wal: &Wal) -> Vec<(Shop, bool)> {
    let records = wal.iter().unwrap().map(|record| record.unwrap());
    let typed = records.filter(|record| record.kind() == RecordKind::Typed);
    typed
        .map(|record| {
            let tagged = record.meta().unwrap().stream() == Some("orders".into());
            (record.decode().unwrap(), tagged)
        })
        .collect()
}

#[test]
fn records_are_copied_byte_for_byte_with_their_schemas() {
    for form in FORMS {
        let (old, place) = (in_memory(), Place::new(form));
        fill(&old);
        let new = place.open(quiet()).unwrap();
        let schemas = old.schemas().unwrap();
        for record in old.iter().unwrap() {
            record.unwrap().append_to(&new, &schemas).unwrap();
        }
        assert_eq!(
            (bytes(&new), events(&new)),
            (bytes(&old), events(&old)),
            "{form:?}"
        );
        drop(new);

        // The copy explains itself, and goes on.
        let new = place.open(quiet()).unwrap();
        let known = new.schemas().unwrap();
        assert_eq!(known.len(), schemas.len(), "{form:?}");
        for schema in &schemas {
            assert_eq!(
                known.get(schema.type_id, schema.version),
                Some(schema),
                "{form:?}"
            );
        }
        for record in new.iter().unwrap().map(|record| record.unwrap()) {
            if record.kind() == RecordKind::Typed {
                record.to_json(&known).unwrap();
            }
        }
        new.typed::<Shop>().unwrap().append(&Shop::Paid(7)).unwrap();
        assert_eq!(bytes(&new).len(), 101, "{form:?}");
    }
}

#[test]
fn a_record_is_copied_within_its_log() {
    let wal = in_memory();
    fill(&wal);
    let before = bytes(&wal);
    let schemas = wal.schemas().unwrap();
    let first: Vec<_> = wal
        .iter()
        .unwrap()
        .take(3)
        .map(|record| record.unwrap())
        .collect();
    for record in &first {
        let lsn = record.append_to(&wal, &schemas).unwrap();
        let copied = wal.read(lsn).unwrap();
        assert_eq!((copied.kind(), copied.data()), (record.kind(), record.data()));
    }
    assert_eq!(bytes(&wal), [&before[..], &before[..3]].concat());
    assert_eq!(wal.schemas().unwrap().len(), schemas.len());
}

#[test]
fn what_salvage_finds_becomes_a_new_log() {
    let place = Place::new(Form::File);
    let old = place.open(quiet()).unwrap();
    fill(&old);
    let expected = bytes(&old);
    old.close().unwrap();
    // Both copies of the manifest.
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(place.path())
        .unwrap();
    file.write_all_at(&vec![7; 2 * SLOT as usize], 0).unwrap();
    assert!(place.open(quiet()).is_err());

    let (mut schemas, new) = (Schemas::default(), in_memory());
    let items: Salvage = wal_db::recovery::salvage(place.path()).unwrap();
    for item in items {
        match item.unwrap() {
            SalvageItem::Schema(record) => {
                assert_is!(record.append_to(&new, &schemas), Err(WalError::Config { .. }));
                schemas.take(&record);
            }
            SalvageItem::Record(record) => drop(record.append_to(&new, &schemas).unwrap()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(bytes(&new), expected);
    assert_eq!(events(&new).len(), 80);
}

#[test]
fn a_record_of_a_type_that_is_another_in_the_log_is_refused() {
    #[derive(Debug, Serialize, Deserialize, WalRecord)]
    #[wal(name = "shop.paid")]
    struct Paid {
        cents: u32,
    }
    let (old, new) = (in_memory(), in_memory());
    fill(&old);
    new.append_typed(&Paid { cents: 5 }).unwrap();
    let schemas = old.schemas().unwrap();
    let (mut refused, before) = (0, bytes(&new));
    for record in old.iter().unwrap().map(|record| record.unwrap()) {
        match record.append_to(&new, &schemas) {
            Ok(_) => {}
            Err(WalError::Typed(TypedError::OtherSchema { name, .. })) => {
                assert_eq!(name, "shop.paid");
                refused += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((refused, bytes(&new).len()), (60, before.len() + 40));
    assert_eq!(
        new.iter()
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .decode::<Paid>()
            .unwrap()
            .cents,
        5
    );
}

#[test]
fn an_empty_log_has_no_bytes_and_a_log_without_bytes_is_empty() {
    for form in FORMS {
        let place = Place::new(form);
        let mut wal = place.open(quiet()).unwrap();
        let is = |wal: &Wal, empty: bool, what: &str| {
            let records = wal.iter().unwrap().count();
            assert_eq!(
                (wal.is_empty(), matches!(wal.len(), 0)),
                (empty, empty),
                "{form:?}: {what}"
            );
            assert_eq!(records == 0, empty, "{form:?}: {what}");
        };
        is(&wal, true, "new");
        for round in 0..3 {
            let entry = put(&wal, round, 1000);
            is(&wal, false, "appended");
            assert!((1008..=4096).contains(&wal.len()), "{form:?}: {}", wal.len());
            wal.sync().unwrap();
            is(&wal, false, "synced");
            is(&Wal::open_read_only(place.path()).unwrap(), false, "read");
            match round {
                0 => drop(wal.truncate_before(wal.end()).unwrap()),
                1 => wal.truncate_from(entry.0).unwrap(),
                _ => drop(wal.typed::<Shop>().unwrap()),
            }
            is(&wal, round < 2, "removed");
            wal.close().unwrap();
            wal = place.open(quiet()).unwrap();
            is(&wal, round < 2, "opened again");
        }
    }
}

#[test]
fn the_settings_in_force_can_be_asked() {
    let config = quiet().with_max_record_size(1000).with_seal_after_ms(77);
    for (asked, rounded) in [
        (1, 64 << 10),
        (100_000, 102_400),
        (1 << 20, 1 << 20),
        (1 << 50, 1 << 40),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        // A terabyte of space is not asked for at once.
        let wal = match Wal::open_segmented_with(&path, asked, config) {
            Err(WalError::Full { .. }) => continue,
            opened => opened.unwrap(),
        };
        assert_eq!(wal.status().segment_size, Some(rounded), "{asked}");
        assert_eq!(wal.status().config, config);
        assert_eq!(
            (
                wal.status().config.max_record_size(),
                wal.status().config.seal_after_ms()
            ),
            (1000, 77)
        );
        drop(wal);
        let wal = Wal::open_segmented_with(&path, 1 << 30, WalConfig::new()).unwrap();
        assert_eq!(
            wal.status().segment_size,
            Some(rounded),
            "{asked}: the stored one"
        );
    }
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(
        Wal::open(dir.path().join("log")).unwrap().status().segment_size,
        None
    );
}

#[test]
fn a_batch_beyond_its_bound_is_told_apart_from_a_long_record() {
    let wal = in_memory();
    let part = vec![1; 60 << 20];
    let batch = vec![&part; 36];
    match wal.append_batch(&batch) {
        Err(error @ WalError::BatchTooLarge { max, .. }) => {
            assert_eq!(max, 2 << 30);
            let text = error.to_string();
            assert!(
                text.contains("in parts") && !text.contains("max_record_size"),
                "{text}"
            );
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(all(&wal).len(), 0);
}

#[test]
fn a_new_log_is_clean() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        let report = wal.recovery();
        assert!(report.created && report.clean, "{form:?}: {report:?}");
        assert_eq!(report.epoch, 2, "{form:?}");
        drop(wal);
        let report = place.open(quiet()).unwrap().recovery().clone();
        assert!(!report.created && report.clean, "{form:?}: {report:?}");
        assert_eq!(report.epoch, 3, "{form:?}");
    }
}
