//! Types of versions that are gone: a program drops them when no record needs them any more.

use serde::{Deserialize, Serialize};
use wal_db::{
    Wal, WalError, WalRecord,
    event::{TypedError, WalDecodeOwned},
};
use wal_tests::files::{FORMS, Place};
use wal_tests::{assert_is, quiet};

use super::replay;

mod v1 {
    use super::*;

    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "job.done")]
    pub(super) struct Done {
        pub(super) millis: u32,
    }

    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "job.lost")]
    pub(super) struct Lost;
}

/// The third release has dropped what reads version 1.
#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "job")]
enum Job {
    #[wal(version = 2, since = 2)]
    Done { micros: u64 },
    #[wal(version = 3, since = 3)]
    Lost(u8),
}

fn refused<E: WalDecodeOwned>(wal: &Wal) -> String {
    let error = wal.typed::<E>().map(|_| ()).unwrap_err();
    assert_is!(&error, WalError::Typed(TypedError::OlderVersions { .. }));
    error.to_string()
}

fn listed(wal: &Wal) -> Vec<(String, u16)> {
    let schemas = wal.schemas().unwrap();
    schemas.iter().map(|it| (it.name.clone(), it.version)).collect()
}

#[test]
fn a_version_whose_records_were_truncated_is_not_asked_for() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        wal.append_typed(&v1::Done { millis: 1 }).unwrap();
        wal.append_typed(&v1::Lost).unwrap();
        let last = wal.append_typed(&v1::Done { millis: 2 }).unwrap();
        wal.append(b"not an event").unwrap();
        let kept = wal.append_typed(&Job::Done { micros: 3 }).unwrap();

        let error = refused::<Job>(&wal);
        assert!(
            error.contains("`job.done` version 1") && error.contains("`job.lost` version 1"),
            "{error}"
        );
        wal.sync().unwrap();
        wal.truncate_before(last).unwrap();
        let error = refused::<Job>(&wal);
        assert!(
            error.contains("`job.done` version 1") && !error.contains("job.lost"),
            "{error}"
        );
        wal.truncate_before(kept).unwrap();
        assert!(listed(&wal).contains(&("job.done".into(), 1)), "the schemas stay");
        let log = wal.typed::<Job>().unwrap();
        log.append_and_sync(&Job::Lost(4)).unwrap();
        drop((log, wal));
        let wal = place.open(quiet()).unwrap();
        assert_eq!(replay::<Job>(&wal), [Job::Done { micros: 3 }, Job::Lost(4)]);

        // An old program writes once more.
        wal.append_typed(&v1::Lost).unwrap();
        assert!(refused::<Job>(&wal).contains("`job.lost` version 1"));
    }
}

/// The log is ahead of a program only while it has records that this cannot read.
#[test]
fn a_type_whose_records_were_truncated_is_not_ahead() {
    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "job.lost", version = 2, since = 2)]
    struct LostTwo(u8);

    fn ahead(wal: &Wal) -> Vec<(String, u16)> {
        let log = wal.typed::<v1::Lost>().unwrap();
        let ahead = log.ahead().unwrap().into_iter();
        ahead.map(|ahead| (ahead.name.unwrap(), ahead.stored)).collect()
    }

    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        wal.append_typed(&v1::Lost).unwrap();
        wal.append_typed(&v1::Done { millis: 1 }).unwrap();
        let newer = wal.append_typed(&LostTwo(2)).unwrap();
        let newest = wal.append_typed(&Job::Lost(3)).unwrap();
        assert_eq!(ahead(&wal), [("job.done".into(), 1), ("job.lost".into(), 3)]);
        wal.truncate_from(newest).unwrap();
        assert_eq!(ahead(&wal), [("job.done".into(), 1), ("job.lost".into(), 2)]);
        wal.sync().unwrap();
        wal.truncate_before(newer).unwrap();
        assert_eq!(ahead(&wal), [("job.lost".into(), 2)]);
        assert!(listed(&wal).contains(&("job.done".into(), 1)), "the schemas stay");
        wal.truncate_from(newer).unwrap();
        assert_eq!(ahead(&wal), []);
        drop(wal);
        let wal = place.open(quiet()).unwrap();
        assert_eq!(ahead(&wal), []);
        wal.append_typed(&v1::Lost).unwrap();
        wal.append_typed(&v1::Done { millis: 4 }).unwrap();
        assert_eq!(ahead(&wal), [("job.done".into(), 1)]);
    }
}
