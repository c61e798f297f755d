//! Reading on from a handle that was closed, while the next one changes the log.

use wal_db::{Record, RecoveryPolicy, Result, Start, WalConfig, WalError};
use wal_tests::{
    assert_is,
    files::{FORMS, Place},
    put,
};

type Entry = (wal_db::Lsn, Vec<u8>);

/// That these are the entries in their order, and after them nothing, or that the handle was closed.
fn check(
    read: impl Iterator<Item = Result<Record>>,
    entries: impl Iterator<Item = Entry>,
    what: &str,
) -> bool {
    let mut entries = entries;
    let mut read = read;
    for record in read.by_ref() {
        match record {
            Ok(record) => {
                let entry = (record.lsn(), record.into_data().to_vec());
                assert!(entries.next() == Some(entry), "{what}: another record");
            }
            Err(error) => {
                assert_is!(error, WalError::Closed, "{what}");
                assert!(read.next().is_none(), "{what}: it goes on after an error");
                return true;
            }
        }
    }
    assert!(entries.next().is_none(), "{what}: it ends before its end");
    false
}

#[test]
fn whoever_reads_on_after_closing_hears_of_no_damage() {
    let mut refused = 0;
    let configs = [true, false].map(|background| {
        [RecoveryPolicy::StopAtFirstError, RecoveryPolicy::SkipBadRecords].map(|policy| {
            WalConfig::new()
                .with_staging_bytes(64 << 10)
                .with_background_flush(background)
                .with_recovery_policy(policy)
        })
    });
    for (form, config) in FORMS
        .iter()
        .flat_map(|&form| configs.concat().into_iter().map(move |config| (form, config)))
    {
        let what = format!("{form:?}, {config:?}");
        let place = Place::fast(form);
        let wal = place.open(config).unwrap();
        let entries: Vec<Entry> = (0..700)
            .map(|i| put(&wal, i, 10_000))
            .map(|entry| (entry.0, entry.1))
            .collect();
        wal.sync().unwrap();
        let (mut forwards, mut backwards) = (wal.iter().unwrap(), wal.iter_rev().unwrap());
        let mut tail = wal.tail(Start::Head).unwrap();
        assert!(forwards.next().is_some_and(|record| record.is_ok()));
        assert!(backwards.next().is_some_and(|record| record.is_ok()));
        assert!(tail.try_next().unwrap().is_some());
        wal.close().unwrap();
        let next = place.open(config).unwrap();
        next.truncate_after(entries[650].0).unwrap();
        next.truncate_before(next.end()).unwrap();
        (0..100).for_each(|i| drop(put(&next, i, 10_000)));
        next.sync().unwrap();
        refused += u32::from(check(
            forwards,
            entries[1..].iter().cloned(),
            &format!("forwards: {what}"),
        ));
        refused += u32::from(check(
            backwards,
            entries[..699].iter().rev().cloned(),
            &format!("backwards: {what}"),
        ));
        let mut followed = std::iter::from_fn(|| match tail.try_next() {
            Ok(record) => record.map(Ok),
            Err(error) => Some(Err(error)),
        });
        let mut read = entries[1..].iter();
        let error = followed.find_map(|record| match record {
            Ok(record) => {
                assert_eq!(Some(&record.lsn()), read.next().map(|entry| &entry.0), "{what}");
                None
            }
            Err(error) => Some(error),
        });
        assert_is!(error, Some(WalError::Closed), "{what}");
        assert_is!(tail.try_next(), Err(WalError::Closed), "{what}");
    }
    assert!(refused > 0, "nothing was taken away");
}
