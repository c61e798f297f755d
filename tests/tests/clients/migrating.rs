//! A user who comes from the crate wal-db 1.1.0 finds the names again, and they do the same job.

use std::{io, sync::Arc, thread};

use serde::{Deserialize, Serialize};
use wal_db::{
    FileStore, Lsn, MemStore, OpenPolicy, Record, RecoveryPolicy, Result, SegmentedStore, Wal, WalConfig,
    WalError, WalIter, WalRecord, WalStore,
};
use wal_tests::{assert_is, lsns_of};

fn in_memory() -> Wal {
    Wal::with_store(MemStore::new()).unwrap()
}

fn contents(records: WalIter) -> Vec<Vec<u8>> {
    records.map(|record| record.unwrap().into_data()).collect()
}

#[test]
fn four_calls_are_enough() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("app.wal");
    let wal = Wal::open(&path)?;
    assert!(wal.is_empty());
    let lsn = wal.append(b"debit 5")?;
    assert_eq!(lsn, Lsn::new(0));
    wal.sync()?;
    drop(wal);

    let wal = Wal::open(&path)?;
    let mut seen = Vec::new();
    for record in wal.iter()? {
        let record: Record = record?;
        seen.push((
            record.lsn(),
            record.len(),
            record.is_empty(),
            record.data().to_vec(),
            record.into_data(),
        ));
    }
    assert_eq!(seen, [(lsn, 7, false, b"debit 5".to_vec(), b"debit 5".to_vec())]);
    assert!(!wal.is_empty() && wal.len() > 7);
    Ok(())
}

#[test]
fn every_way_to_open_is_there() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let config = WalConfig::new().with_max_record_size(64);
    let file = dir.path().join("file");
    Wal::open(&file)?.append_and_sync(b"a")?;
    Wal::open_with(&file, config)?.append_and_sync(b"b")?;
    let segments = dir.path().join("segments");
    Wal::open_segmented(&segments, 1 << 20)?.append_and_sync(b"c")?;
    Wal::open_segmented_with(&segments, 1 << 20, config)?.append_and_sync(b"d")?;
    assert_eq!(
        contents(Wal::with_store(FileStore::open(&file)?)?.iter()?),
        [b"a", b"b"]
    );
    let store = SegmentedStore::open(&segments, 1 << 20)?;
    assert_eq!(
        contents(Wal::with_store_and_config(store, config)?.iter()?),
        [b"c", b"d"]
    );

    let memory = MemStore::new();
    Wal::with_store(memory.clone())?.append(b"e")?;
    assert_eq!(contents(Wal::with_store(memory)?.iter()?), [b"e"]);
    Ok(())
}

#[test]
fn a_directory_that_exists_and_is_empty_can_hold_the_segments() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let wal = Wal::open_segmented(dir.path(), 16 << 20)?;
    wal.append(b"over several files")?;
    wal.sync()?;
    assert_eq!(wal.iter()?.count(), 1);
    Ok(())
}

#[test]
fn four_threads_append_a_hundred_records_each() {
    let wal = Arc::new(in_memory());
    let threads: Vec<_> = (0..4)
        .map(|t| {
            let wal = Arc::clone(&wal);
            thread::spawn(move || {
                let lsns = (0..100).map(|i| wal.append_and_sync(format!("{t}/{i}").as_bytes()).unwrap());
                lsns.collect::<Vec<_>>()
            })
        })
        .collect();
    let mut lsns: Vec<Lsn> = Vec::new();
    for thread in threads {
        let of_thread = thread.join().unwrap();
        assert!(of_thread.is_sorted());
        lsns.extend(of_thread);
    }
    lsns.sort_unstable();
    let read = lsns_of(wal.iter());
    assert_eq!(read.len(), 400);
    assert_eq!(read, lsns, "every LSN that was returned, once");
}

#[test]
fn a_record_above_the_limit_is_refused_and_nothing_is_appended() -> Result<()> {
    let config = WalConfig::new().with_max_record_size(16);
    let wal = Wal::with_store_and_config(MemStore::new(), config)?;
    wal.append(&[1; 16])?;
    let refused = wal.append(&[1; 17]);
    assert_is!(refused, Err(WalError::RecordTooLarge { len: 17, max: 16, .. }));
    assert_eq!(wal.iter()?.count(), 1);
    Ok(())
}

#[test]
fn replay_starts_at_a_checkpoint_and_truncation_keeps_it() -> Result<()> {
    for segmented in [false, true] {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("log");
        let open = || match segmented {
            true => Wal::open_segmented(&path, 1 << 16),
            false => Wal::open(&path),
        };
        let wal = open()?;
        wal.append(b"applied")?;
        let checkpoint = wal.append(b"applied as well")?;
        wal.append(b"to come")?;
        assert_eq!(
            contents(wal.iter_from(checkpoint)?),
            [&b"applied as well"[..], b"to come"]
        );
        // Up to the record, itself included.
        wal.truncate_after(checkpoint)?;
        assert_eq!(contents(wal.iter()?), [&b"applied"[..], b"applied as well"]);
        let next = wal.append(b"instead")?;
        assert!(next > checkpoint);
        drop(wal);

        let wal = open()?;
        let lsns: Vec<Lsn> = wal.iter()?.map(|record| record.unwrap().lsn()).collect();
        assert_eq!(lsns, [Lsn::new(0), checkpoint, next], "survivors keep their LSNs");
        let head = wal.truncate_before(checkpoint)?;
        assert!(head <= checkpoint);
        assert_eq!(
            contents(wal.iter_from(head)?),
            [&b"applied as well"[..], b"instead"]
        );
    }
    Ok(())
}

#[test]
fn compaction_gives_old_segments_back() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let wal = Wal::open_segmented(dir.path(), 1 << 16)?;
    let lsns = (0..40)
        .map(|i| wal.append_and_sync(&[i; 10_000]))
        .collect::<Result<Vec<_>>>()?;
    assert!(dir.path().join("0000000000.seg").exists());
    let head = wal.truncate_before(lsns[30])?;
    assert!(head <= lsns[30]);
    assert!(!dir.path().join("0000000000.seg").exists());
    assert_eq!(wal.iter_from(lsns[30])?.next().unwrap()?.data(), [30; 10_000]);
    Ok(())
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "signup")]
struct Signup {
    id: u64,
    name: String,
}

#[test]
fn typed_records_come_back() -> Result<()> {
    let wal = in_memory();
    let signup = |id: u64| Signup {
        id,
        name: format!("user {id}"),
    };
    for id in 0..10 {
        wal.append_typed(&signup(id))?;
    }
    for (id, record) in wal.iter()?.enumerate() {
        let read: Signup = record?.decode()?;
        assert_eq!(read, signup(id as u64));
    }
    let first: Signup = wal.iter()?.next().unwrap()?.decode()?;
    assert_eq!(first, signup(0));
    wal.append(b"plain bytes")?;
    let last = wal.iter()?.last().unwrap()?;
    assert!(last.decode::<Signup>().is_err());
    Ok(())
}

#[test]
fn iteration_has_two_policies() -> Result<()> {
    for (policy, expected) in [
        (RecoveryPolicy::StopAtFirstError, 1),
        (RecoveryPolicy::SkipBadRecords, 3),
    ] {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("log");
        let config = WalConfig::new().with_recovery_policy(policy);
        let wal = Wal::open_with(&path, config)?;
        let lsns = (0..4)
            .map(|i| wal.append(&[i; 100]))
            .collect::<Result<Vec<_>>>()?;
        wal.sync()?;
        // A flipped bit in the second record, under the open log.
        let mut bytes = std::fs::read(&path)?;
        let at = bytes
            .len()
            .min(2 * 65536 + 4096 + 64 + 8 + lsns[1].get() as usize + 50);
        bytes[at] ^= 1;
        std::os::unix::fs::FileExt::write_all_at(
            &std::fs::File::options().write(true).open(&path)?,
            &bytes[at..=at],
            at as u64,
        )?;
        let items: Vec<_> = wal.iter()?.collect();
        assert_eq!(
            items.iter().filter(|item| item.is_ok()).count(),
            expected,
            "{policy:?}"
        );
        assert_eq!(
            items.iter().filter(|item| item.is_err()).count(),
            1,
            "{policy:?}: once"
        );
    }
    Ok(())
}

#[test]
fn opening_says_how_much_it_cut() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("log");
    let config = WalConfig::new().with_open_policy(OpenPolicy::Exact);
    Wal::open_with(&path, config)?.append_and_sync(b"kept")?;
    let wal = Wal::open_with(&path, config)?;
    assert_eq!(
        (
            wal.recovery().cut.as_ref().map_or(0, |cut| cut.end - cut.start),
            wal.iter()?.count()
        ),
        (0, 1)
    );
    Ok(())
}

/// A backend of one's own, over one that is there.
struct Counted(MemStore, Arc<std::sync::atomic::AtomicU64>);

impl WalStore for Counted {
    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(pos, buf)
    }
    fn write_at(&self, pos: u64, bytes: &[u8]) -> io::Result<()> {
        self.1
            .fetch_add(bytes.len() as u64, std::sync::atomic::Ordering::Relaxed);
        self.0.write_at(pos, bytes)
    }
    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.truncate(len)
    }
    fn read_slot(&self, slot: usize) -> io::Result<Vec<u8>> {
        self.0.read_slot(slot)
    }
    fn write_slot(&self, slot: usize, bytes: &[u8]) -> io::Result<()> {
        self.0.write_slot(slot, bytes)
    }
}

#[test]
fn any_store_can_stand_in() -> Result<()> {
    let written = Arc::default();
    let wal = Wal::with_store(Counted(MemStore::new(), Arc::clone(&written)))?;
    assert_eq!(wal.append(b"no file")?.get(), 0);
    assert!(
        written.load(std::sync::atomic::Ordering::Relaxed) > 0,
        "append returns once the store holds it"
    );
    assert_eq!(contents(wal.iter()?), [b"no file"]);
    Ok(())
}
