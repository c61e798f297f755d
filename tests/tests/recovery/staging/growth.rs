//! Staging memory that grows because appends find it full, and is short again when the log was closed.

use wal_db::{Wal, WalConfig};
use wal_tests::{
    Entry, all,
    files::{FORMS, Form, Place},
    put,
};

const HEADER: u64 = 4 << 10;
const FIRST: u64 = 512 << 10;

/// Nothing happens beside the calls.
fn alone() -> WalConfig {
    WalConfig::new().with_background_flush(false)
}

fn ring_len(place: &Place) -> u64 {
    std::fs::metadata(place.staging()).unwrap().len() - HEADER
}

/// Appends so much that any ring is filled many times.
fn fill(wal: &Wal, entries: &mut Vec<Entry>) {
    let first = entries.len();
    entries.extend((first..first + 2000).map(|i| put(wal, i, 20_000)));
}

#[test]
fn a_log_begins_with_little_staging_memory_takes_more_and_is_closed_with_little() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(alone()).unwrap();
        let mut entries: Vec<Entry> = (0..20).map(|i| put(&wal, i, 20_000)).collect();
        assert_eq!(ring_len(&place), FIRST, "{form:?}: it has not been full");
        fill(&wal, &mut entries);
        assert_eq!(ring_len(&place), 8 << 20, "{form:?}: as much as it may have");
        assert_eq!(all(&wal), entries);
        wal.close().unwrap();
        assert_eq!(ring_len(&place), FIRST, "{form:?}: closed");
        let wal = place.open(alone()).unwrap();
        assert!(wal.recovery().clean);
        assert_eq!(all(&wal), entries);
        assert_eq!(ring_len(&place), FIRST, "{form:?}: opened again");
    }
}

/// P1, whatever size the ring has come to: the records in it are found where that size has them.
#[test]
fn a_process_that_dies_after_its_staging_memory_has_grown_loses_nothing() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(alone()).unwrap();
        let mut entries = Vec::new();
        let mut sizes = Vec::new();
        for i in 0..1500 {
            entries.push(put(&wal, i, 9_000));
            if i % 97 == 0 {
                sizes.push(ring_len(&place));
                let killed = place.killed();
                let wal = killed.open(alone()).unwrap();
                assert_eq!(all(&wal), entries, "{form:?}, {i}");
                assert!(!wal.recovery().staging_missing && !wal.recovery().staging_ignored);
                let reader = Wal::open_read_only(place.path()).unwrap();
                assert_eq!(all(&reader), entries, "{form:?}, {i}: a reader beside it");
            }
        }
        sizes.dedup();
        assert_eq!(sizes, [FIRST, 2 << 20, 8 << 20], "{form:?}");
    }
}

/// Somebody has put another file in its place: that one is not touched, and the log goes on as it is.
#[test]
fn staging_memory_whose_file_has_another_name_by_now_does_not_grow() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(alone()).unwrap();
        let moved = place.root().join("moved");
        std::fs::rename(place.staging(), &moved).unwrap();
        std::fs::write(place.staging(), b"somebody else's").unwrap();
        let mut entries = Vec::new();
        fill(&wal, &mut entries);
        assert_eq!(all(&wal), entries, "{form:?}");
        wal.close().unwrap();
        assert_eq!(std::fs::read(place.staging()).unwrap(), b"somebody else's");
        assert_eq!(std::fs::metadata(&moved).unwrap().len(), HEADER + FIRST);
    }
}

/// As many as there are processors and more append, beside readers; the background threads make the ring grow.
#[test]
fn threads_that_append_while_staging_memory_grows_lose_nothing() {
    let place = Place::fast(Form::File);
    let wal = place.open(WalConfig::new()).unwrap();
    let each = 20_000u32;
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let wal = &wal;
            scope.spawn(move || {
                let mut last = None;
                for i in 0..each {
                    let lsn = wal.append(&[thread; 700]).unwrap();
                    assert!(last < Some(lsn), "{i}");
                    last = Some(lsn);
                }
            });
        }
        let (wal, place) = (&wal, &place);
        scope.spawn(move || {
            while wal.status().records < u64::from(each) {
                wal.sync().unwrap();
                let reader = Wal::open_read_only(place.path()).unwrap();
                let seen = reader.iter().unwrap().map(|record| record.unwrap().lsn());
                assert!(seen.is_sorted());
            }
        });
    });
    let records = all(&wal);
    for thread in 0..4 {
        let own = records.iter().filter(|entry| entry.1 == [thread; 700]);
        assert_eq!(own.count(), each as usize);
    }
    assert!(wal.verify().unwrap().is_intact());
}
