//! A log that was closed, while parts of it are still held: it can be opened again, and nothing of the old handle
//! touches it.

use std::time::Duration;

use wal_db::{Lsn, Retention, Wal, WalConfig, WalError};
use wal_tests::{assert_is, put, quiet, ticket};

fn is_closed<T>(result: &wal_db::Result<T>) -> bool {
    matches!(result, Err(WalError::Closed))
}

type Open = fn(&std::path::Path, WalConfig) -> wal_db::Result<Wal>;

const FORMS: [Open; 2] = [
    |dir, config| Wal::open_with(dir.join("log"), config),
    |dir, config| Wal::open_segmented_with(dir.join("log"), 64 << 10, config),
];

#[test]
fn a_closed_log_can_be_opened_while_a_clone_a_tail_an_iterator_and_a_ticket_live() {
    for (form, open) in FORMS.into_iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let wal = open(dir.path(), quiet()).unwrap();
        let lsns: Vec<Lsn> = (0..10).map(|seed| put(&wal, seed, 1000).0).collect();
        let (clone, mut tail) = (wal.clone(), wal.tail(Lsn::ZERO).unwrap());
        let mut records = wal.iter().unwrap();
        let ticket = ticket(&wal, b"the last");
        records.next().unwrap().unwrap();
        wal.close().unwrap();

        let again = open(dir.path(), quiet()).unwrap_or_else(|error| panic!("form {form}: {error}"));
        assert_eq!(again.iter().unwrap().count(), 11, "form {form}");
        put(&again, 20, 1000);
        again.sync().unwrap();

        let closed = [
            is_closed(&clone.append(b"x")),
            is_closed(&clone.append_batch(&[b"x"])),
            is_closed(&clone.append_and_sync(&[1; 100_000])),
            is_closed(&clone.append_in_place(1, |_| ())),
            is_closed(&clone.truncate_after(lsns[1])),
            is_closed(&clone.truncate_before(lsns[1])),
            is_closed(&clone.retain(&Retention::new().with_max_bytes(1))),
            is_closed(&clone.iter()),
            is_closed(&clone.read(lsns[0])),
            is_closed(&clone.verify()),
        ];
        assert_eq!(closed, [true; 10], "form {form}");
        // What was durable when it was closed is.
        clone.sync().unwrap();
        ticket.wait().unwrap();
        assert_eq!(
            records.count(),
            9,
            "form {form}: an iterator goes on to the end that it had"
        );
        let mut followed = 0;
        while let Ok(Some(_)) = tail.next_timeout(Duration::ZERO) {
            followed += 1;
        }
        assert_eq!(followed, 11, "form {form}");
        drop((clone, tail));
        assert_eq!(again.iter().unwrap().count(), 12, "form {form}");
        again.close().unwrap();
        assert_eq!(open(dir.path(), quiet()).unwrap().iter().unwrap().count(), 12);
    }
}

#[test]
fn dropping_the_last_clone_of_a_closed_log_does_not_unlock_the_next_one() {
    for open in FORMS {
        let dir = tempfile::tempdir().unwrap();
        let wal = open(dir.path(), quiet()).unwrap();
        let clone = wal.clone();
        wal.close().unwrap();
        let again = open(dir.path(), quiet()).unwrap();
        drop(clone);
        assert_is!(open(dir.path(), quiet()), Err(WalError::Locked { .. }));
        drop(again);
    }
}

#[test]
fn settings_that_no_log_can_have_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = |result: wal_db::Result<Wal>| match result {
        Err(WalError::Config { what, .. }) => what,
        other => panic!("not Config: {other:?}"),
    };
    let zero = WalConfig::new().with_max_record_size(0);
    assert!(config(Wal::open_with(dir.path().join("log"), zero)).contains("record limit of 0"));
    assert!(config(Wal::open_segmented(dir.path().join("log"), 0)).contains("segments of 0 bytes"));
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        0,
        "nothing was made"
    );
}
