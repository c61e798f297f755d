//! A long replay has a thread that reads ahead of it. Nobody can tell but by the time it takes.

use std::{
    io,
    ops::Range,
    sync::{Arc, Condvar, Mutex},
    thread,
};

use wal_db::{Lsn, MemStore, RecoveryPolicy, Wal, WalConfig, WalStore};
use wal_tests::{
    Entry, all, put,
    scripted::{Op, Scripted},
};

/// What the thread that reads ahead meets.
#[derive(Clone, Copy, PartialEq)]
enum Meets {
    Nothing,
    AnError,
    APanic,
    ShortReads,
}

/// The walk itself does not read here before the thread has begun to read: a long walk has it by then, and still has it.
const NOT_ALONE: Range<u64> = 6 << 20..8 << 20;

/// How many bytes the thread that reads ahead was asked for; a bell rings for the first of them.
#[derive(Clone, Default)]
struct ReadAhead(Arc<(Mutex<u64>, Condvar)>);

impl ReadAhead {
    fn bytes(&self) -> u64 {
        *self.0.0.lock().unwrap()
    }

    fn wait(&self) {
        let bytes = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(bytes, |bytes| *bytes == 0).unwrap());
    }

    fn add(&self, bytes: usize) -> u64 {
        let mut all = self.0.0.lock().unwrap();
        *all += bytes as u64;
        self.0.1.notify_all();
        *all - bytes as u64
    }
}

/// A store that can fail the thread that reads ahead alone, after it has read so many bytes.
fn watched(meets: Meets, after: u64, is_alone: bool) -> (Scripted<MemStore>, ReadAhead) {
    let read_ahead = ReadAhead::default();
    let watch = read_ahead.clone();
    let store = Scripted::new(MemStore::new(), move |store, call| {
        if call.op != Op::Read {
            return Ok(None);
        }
        if thread::current().name() != Some("wal-reader") {
            if NOT_ALONE.contains(&call.at) && !is_alone {
                watch.wait();
            }
            return Ok(None);
        }
        let half = call.len / 2;
        match meets {
            _ if watch.add(call.len) < after => Ok(None),
            Meets::Nothing => Ok(None),
            Meets::AnError => Err(io::Error::other("the disk is broken")),
            Meets::APanic => panic!("the store is broken"),
            Meets::ShortReads => Ok(Some(store.read_at(call.at, &mut call.buf[..half])? as u64)),
        }
    });
    (store, read_ahead)
}

/// Appends some 24 MiB of records from 8 bytes to 1 MiB, in groups of all lengths.
fn fill(wal: &Wal) -> Vec<Entry> {
    let lens = [8, 100, 3_000, 40_000, 700, 200_000, 64, 1 << 20];
    let mut entries = Vec::new();
    let mut bytes = 0;
    for seed in 0.. {
        let len = lens[(seed * seed / 7 + seed / 31) % lens.len()];
        entries.push(put(wal, seed, len));
        bytes += len;
        if seed % 97 == 0 {
            wal.drain().unwrap();
        }
        if bytes > 24 << 20 {
            break;
        }
    }
    wal.sync().unwrap();
    entries
}

/// The same by records that are lent.
fn all_lent(wal: &Wal) -> Vec<Entry> {
    let mut records = wal.iter().unwrap();
    let mut entries = Vec::new();
    while let Some(record) = records.next_ref() {
        let record = record.unwrap();
        entries.push(Entry(record.lsn(), record.data().to_vec()));
    }
    entries
}

fn alone() -> WalConfig {
    WalConfig::new().with_background_flush(false)
}

#[test]
fn a_long_replay_is_read_ahead_and_has_every_record() {
    let (store, read_ahead) = watched(Meets::Nothing, 0, false);
    let wal = Wal::with_store(store.clone()).unwrap();
    let entries = fill(&wal);
    assert!(entries == all(&wal));
    assert!(read_ahead.bytes() > 0);
    assert!(entries == all_lent(&wal));

    // Records that are kept keep their bytes, whatever is read after them.
    let kept: Vec<_> = wal.iter().unwrap().map(Result::unwrap).collect();
    let kept: Vec<_> = kept
        .into_iter()
        .map(|record| Entry(record.lsn(), record.into_data()))
        .collect();
    assert!(entries == kept);

    let middle = entries.len() / 2;
    let from = wal.iter_from(entries[middle].0).unwrap();
    assert!(
        from.map(|record| record.unwrap().lsn())
            .eq(entries[middle..].iter().map(|entry| entry.0))
    );
}

#[test]
fn a_short_look_and_a_log_without_threads_are_not_read_ahead() {
    let (store, read_ahead) = watched(Meets::Nothing, 0, true);
    let wal = Wal::with_store(store.clone()).unwrap();
    let entries = fill(&wal);
    let first: Vec<_> = wal
        .iter()
        .unwrap()
        .take(20)
        .map(|record| record.unwrap().lsn())
        .collect();
    assert!(first.into_iter().eq(entries[..20].iter().map(|entry| entry.0)));
    let middle = &entries[entries.len() / 2];
    assert_eq!(
        wal.iter_from(middle.0).unwrap().next().unwrap().unwrap().lsn(),
        middle.0
    );
    let range = wal.range(entries[0].0..middle.0).unwrap();
    assert_eq!(range.take(3).count(), 3);
    assert_eq!(read_ahead.bytes(), 0);
    wal.close().unwrap();

    let wal = Wal::with_store_and_config(store.clone(), alone()).unwrap();
    assert!(entries == all(&wal));
    assert_eq!(read_ahead.bytes(), 0);
}

#[test]
fn what_the_thread_cannot_read_the_replay_reads_itself() {
    for meets in [Meets::AnError, Meets::APanic, Meets::ShortReads] {
        for after in [0, 1, 2 << 20] {
            let (store, read_ahead) = watched(meets, after, false);
            let wal = Wal::with_store(store.clone()).unwrap();
            let entries = fill(&wal);
            assert!(entries == all(&wal));
            assert!(read_ahead.bytes() > 0);
        }
    }
}

#[test]
fn what_was_cut_off_is_jumped_over() {
    let (store, read_ahead) = watched(Meets::Nothing, 0, false);
    let wal = Wal::with_store(store.clone()).unwrap();
    let mut entries = fill(&wal);
    let last = entries.len() / 2;
    wal.truncate_after(entries[last].0).unwrap();
    entries.truncate(last + 1);
    entries.extend(fill(&wal));
    assert!(entries == all(&wal));
    assert!(read_ahead.bytes() > 0);
}

#[test]
fn damage_is_where_it_is_without_the_thread() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let config = WalConfig::new().with_recovery_policy(RecoveryPolicy::SkipBadRecords);
    let wal = Wal::open_segmented(&path, 1 << 20).unwrap();
    let entries = fill(&wal);
    wal.close().unwrap();
    let segment = |number: u64| path.join(format!("{number:010}.seg"));
    for (number, left) in [(9, 1 << 20), (14, 900_000)] {
        let mut bytes = std::fs::read(segment(number)).unwrap();
        bytes[300_000] ^= 1;
        bytes.truncate(left);
        std::fs::write(segment(number), bytes).unwrap();
    }
    let seen = |config: WalConfig| -> Vec<Result<Lsn, String>> {
        let wal = config.open_read_only(&path).unwrap();
        let records = wal.iter().unwrap();
        records
            .map(|record| {
                record
                    .map(|record| record.lsn())
                    .map_err(|error| error.to_string())
            })
            .collect()
    };
    let ahead = seen(config);
    assert_eq!(ahead, seen(config.with_background_flush(false)));
    let found = ahead.iter().filter(|record| record.is_ok()).count();
    assert!(found > entries.len() / 2 && found < entries.len());
    assert!(ahead.iter().filter(|record| record.is_err()).count() >= 2);
}

#[test]
fn a_log_whose_replay_was_left_in_the_middle_can_be_opened_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let wal = Wal::open_segmented(&path, 4 << 20).unwrap();
    let entries = fill(&wal);
    wal.close().unwrap();
    for part in 1..10 {
        let wal = Wal::open_segmented(&path, 4 << 20).unwrap();
        let mut records = wal.iter().unwrap();
        let left = records.nth(entries.len() * part / 10).unwrap().unwrap();
        assert_eq!(left.lsn(), entries[entries.len() * part / 10].0);
        drop(wal);
        drop(records);
    }
}
