//! Cuts of typed logs: a schema is no record.

use serde::{Deserialize, Serialize};
use wal_db::{Lsn, MemStore, Start, Wal, WalConfig, WalError, WalRecord, read::RecordKind};
use wal_tests::{assert_is, quiet_heap};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "counted")]
pub(crate) struct Counted {
    pub(crate) number: u64,
    pub(crate) text: String,
}

pub(crate) fn counted(number: u64) -> Counted {
    Counted {
        number,
        text: "x".repeat(number as usize % 50),
    }
}

pub(crate) fn numbers(wal: &Wal) -> Vec<u64> {
    let log = wal.typed::<Counted>().unwrap();
    let events = log.replay(..).unwrap();
    events.map(|event| event.unwrap().event.number).collect()
}

#[test]
fn nothing_is_cut_after_or_from_a_schema() {
    let store = MemStore::new();
    let wal = Wal::with_store_and_config(store.clone(), quiet_heap()).unwrap();
    let log = wal.typed::<Counted>().unwrap();
    for i in 0..5 {
        log.append(&counted(i)).unwrap();
    }
    wal.sync().unwrap();
    assert_eq!(wal.read(Lsn::ZERO).unwrap().kind(), RecordKind::Schema);
    for schema in [Lsn::ZERO, wal.status().head] {
        assert_is!(wal.truncate_after(schema), Err(WalError::NoSuchRecord { .. }));
        assert_is!(wal.truncate_from(schema), Err(WalError::NoSuchRecord { .. }));
    }
    assert_eq!(numbers(&wal), [0, 1, 2, 3, 4]);
    assert_eq!(wal.status().records, 5);
    drop((log, wal));
    let wal = Wal::with_store_and_config(store, quiet_heap()).unwrap();
    assert_eq!((wal.status().records, numbers(&wal)), (5, vec![0, 1, 2, 3, 4]));
    assert_eq!(wal.iter_from(Start::Ordinal(3)).unwrap().count(), 2);
}

#[test]
fn schemas_are_not_held_to_the_limit_of_records() {
    #[derive(Debug, Serialize, Deserialize, WalRecord)]
    #[wal(name = "a.type.with.a.long.name.and.little.in.it")]
    struct Small {
        a_field_with_a_name_that_is_rather_long: u8,
    }
    let config = WalConfig::new()
        .with_background_flush(false)
        .with_max_record_size(16);
    let wal = Wal::with_store_and_config(MemStore::new(), config).unwrap();
    let log = wal.typed::<Small>().unwrap();
    let mut count = 0;
    // On into the next window, which begins with the schemas.
    while wal.end().get() < (16 << 20) + 4096 {
        let event = Small {
            a_field_with_a_name_that_is_rather_long: count as u8,
        };
        log.append(&event)
            .unwrap_or_else(|error| panic!("{count}: {error}"));
        count += 1;
        if wal.end().get() > 100_000 && wal.end().get() < (16 << 20) - 100_000 {
            // Not by the million.
            wal.append_batch(&vec![[7; 16]; 2000]).unwrap();
        }
    }
    assert!(count > 100, "{count}");
}
