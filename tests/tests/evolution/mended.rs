//! What an opaque type is written as was described wrongly in a release, and is mended.

use serde::{Deserialize, Serialize};
use wal_db::Wal;
use wal_tests::files::{Form, Place};
use wal_tests::quiet;

#[test]
fn a_wire_that_was_wrong_is_mended_in_the_log() {
    #[derive(Debug, PartialEq, Serialize, Deserialize, wal_db::WalRecord)]
    #[wal(name = "tagged")]
    struct Before {
        #[wal(opaque = "tag@1", wire = Option<u64>)] // only `None` is written
        tag: Option<u16>,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize, wal_db::WalRecord)]
    #[wal(name = "tagged")]
    struct Today {
        #[wal(opaque = "tag@1", wire = Option<u16>)]
        tag: Option<u16>,
    }
    let shapes = |wal: &Wal| {
        let schemas = wal.schemas().unwrap();
        schemas
            .iter()
            .map(|schema| schema.shape.to_string())
            .collect::<Vec<_>>()
    };

    let place = Place::new(Form::File);
    let wal = place.open(quiet()).unwrap();
    wal.append_typed(&Before { tag: None }).unwrap();
    assert_eq!(shapes(&wal), ["{tag: opaque \"tag@1\" = option<u64>}"]);
    wal.close().unwrap();

    let wal = place.open(quiet()).unwrap();
    let log = wal.typed::<Today>().expect("the same type");
    for tag in [Some(7), None] {
        log.append(&Today { tag }).unwrap();
    }
    assert_eq!(shapes(&wal), ["{tag: opaque \"tag@1\" = option<u16>}"]);
    let events = log.replay(..).unwrap().map(|event| event.unwrap().event.tag);
    assert_eq!(events.collect::<Vec<_>>(), [None, Some(7), None]);
}
