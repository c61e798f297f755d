//! What the log needs of a store, tried on one.

use std::{io, sync::Arc};

use super::CheckFailed;
use crate::{
    config::{Staging, WalConfig},
    error::{Result as WalResult, WalError},
    format::Manifest,
    log::Wal,
    storage::{Identity, WalStore},
};

/// Tries whether a store of your own does what [`WalStore`] says, and what a log does in it: reading and writing at any
/// place, cutting, slots, making room, exclusion, and that everything is there when it is opened again. What only a
/// lost power would show, it cannot.
///
/// `make` gives a new handle of the same bytes each time, which hold nothing at first. Where another handle that writes
/// must not be, it says so, as the store does in [`lock`](WalStore::lock). What they hold afterwards is of no use.
///
/// ```
/// use wal_db::{MemStore, WalError, testing::check_store};
///
/// let store = MemStore::new();
/// check_store(|| Ok::<_, WalError>(store.clone())).unwrap();
/// ```
///
/// # Errors
/// The first thing that is not as it should be.
pub fn check_store<S, E>(mut make: impl FnMut() -> Result<S, E>) -> Result<(), CheckFailed>
where
    S: WalStore,
    E: Into<WalError>,
{
    let mut make = || make().map_err(Into::into);
    let check = |problem: Result<(), String>| problem.map_err(CheckFailed::one);
    check(is_new(&mut make))?;
    check(serves_a_log(&mut make))?;
    check(is_exclusive(&mut make))?;
    check(bytes_stay(&mut make))
}

fn called<T>(what: &str, result: io::Result<T>) -> Result<T, String> {
    result.map_err(|error| format!("{what} fails: {error}"))
}

fn must(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}

/// Bytes that differ from place to place and are never zero.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8 + 1).collect()
}

fn open<S: WalStore>(make: &mut impl FnMut() -> WalResult<S>) -> Result<S, String> {
    let store = make().map_err(|error| format!("a handle cannot be made: {error}"))?;
    called("lock", store.lock())?;
    Ok(store)
}

/// Everything that is there at a place, whatever one call reads.
fn read(store: &dyn WalStore, pos: u64, len: usize) -> Result<Vec<u8>, String> {
    let (mut buf, mut done) = (vec![0xee; len], 0);
    while done < len {
        let got = called("read_at", store.read_at(pos + done as u64, &mut buf[done..]))?;
        must(
            got <= len - done,
            "read_at says that it read more than it was asked for",
        )?;
        if got == 0 {
            break;
        }
        done += got;
    }
    buf.truncate(done);
    Ok(buf)
}

fn is_new<S: WalStore>(make: &mut impl FnMut() -> WalResult<S>) -> Result<(), String> {
    let store = open(make)?;
    must(called("len", store.len())? == 0, "a new store is not empty")?;
    must(matches!(store.slots(), 2 | 4), "slots is neither 2 nor 4")?;
    for slot in 0..store.slots() {
        let there = called("read_slot", store.read_slot(slot))?;
        let is_empty = there.iter().all(|&byte| byte == 0);
        must(is_empty, "a slot that was never written holds something")?;
    }
    Ok(())
}

/// The stream and the slots alone. What the log has left names the log, for stores that keep a header of their own.
fn bytes_stay<S: WalStore>(make: &mut impl FnMut() -> WalResult<S>) -> Result<(), String> {
    let store = open(make)?;
    let manifest = Manifest::decode(&called("read_slot", store.read_slot(0))?);
    let manifest = manifest.map_err(|_| "a slot is not what a log wrote there".to_owned())?;
    let log = Identity {
        log_id: manifest.log.0,
        head: 0,
        newest_segment: 0,
        read_only: false,
        in_use: false,
    };
    called("attach", store.attach(&log))?;
    called("attach, a second time", store.attach(&log))?;
    called("truncate", store.truncate(0))?;
    must(called("len", store.len())? == 0, "truncate leaves something")?;
    let slots = slots_stay(&store, &manifest)?;
    let bytes = pattern(100_000);
    makes_room(&store, bytes.len() as u64)?;
    called("write_at", store.write_at(0, &bytes[..70_001]))?;
    called("write_at", store.write_at(70_001, &bytes[70_001..]))?;
    must(
        read(&store, 0, bytes.len())? == bytes,
        "what was written is not what is read",
    )?;
    must(
        read(&store, 513, 4_001)? == bytes[513..4_514],
        "a part of what was written is not what is read",
    )?;
    let len = called("len", store.len())?;
    must(len >= bytes.len() as u64, "len is less than what was written")?;
    let rest = read(&store, bytes.len() as u64, 5_000)?;
    must(
        rest.iter().all(|&byte| byte == 0),
        "what was never written reads as something",
    )?;
    must(
        read(&store, len + 512, 512)?.is_empty(),
        "something can be read after the end",
    )?;
    called("sync", store.sync())?;
    cuts(&store, &bytes)?;
    drop(store);
    let store = open(make)?;
    for (slot, content) in slots.iter().enumerate() {
        let there = called("read_slot", store.read_slot(slot))?;
        must(
            there.starts_with(content),
            "a slot is not there when the store is opened again",
        )?;
    }
    called("attach, when opened again", store.attach(&log))?;
    let is_there = read(&store, 0, 50_000)? == bytes[..50_000];
    must(is_there, "bytes are not there when the store is opened again")
}

fn slots_stay(store: &dyn WalStore, manifest: &Manifest) -> Result<Vec<Vec<u8>>, String> {
    let content = |slot: usize| {
        // A store may look at who wrote what it holds.
        let mut content = match slot {
            0 | 1 => manifest.encode(),
            _ => [&b"WALDBCUT"[..], &manifest.log.0].concat(),
        };
        content.push(slot as u8 + 7);
        content
    };
    for slot in 0..store.slots() {
        let long = [content(slot), vec![0xcc; 20_000]].concat();
        called("write_slot", store.write_slot(slot, &long))?;
        called("write_slot, again", store.write_slot(slot, &content(slot)))?;
    }
    let contents: Vec<_> = (0..store.slots()).map(content).collect();
    for (slot, content) in contents.iter().enumerate() {
        let there = called("read_slot", store.read_slot(slot))?;
        must(
            there.starts_with(content),
            "a slot does not hold what was last written to it",
        )?;
    }
    must(
        called("len", store.len())? == 0,
        "what is written to a slot changes the stream",
    )?;
    Ok(contents)
}

fn makes_room(store: &dyn WalStore, end: u64) -> Result<(), String> {
    for end in [end, end / 2, end + 1] {
        let ready = called("prepare", store.prepare(end))?;
        must(ready >= end, "prepare makes less room than it was asked for")?;
    }
    let there = read(store, 0, 4_096)?;
    must(
        there.iter().all(|&byte| byte == 0),
        "prepare puts something other than zeros there",
    )
}

fn cuts(store: &dyn WalStore, bytes: &[u8]) -> Result<(), String> {
    called("truncate", store.truncate(50_000))?;
    must(
        called("len", store.len())? == 50_000,
        "truncate does not leave as much as it was told to",
    )?;
    makes_room_again(store)?;
    must(
        read(store, 0, 50_000)? == bytes[..50_000],
        "truncate takes what was to stay",
    )?;
    let cut = read(store, 50_000, 50_000)?;
    must(
        cut.iter().all(|&byte| byte == 0),
        "what was cut off is still there",
    )?;
    called(
        "write_at, after what was cut off",
        store.write_at(60_000, &[9; 100]),
    )?;
    let gap = read(store, 50_000, 10_100)?;
    let is_right =
        gap.len() == 10_100 && gap[..10_000].iter().all(|&byte| byte == 0) && gap[10_000..] == [9; 100];
    must(
        is_right,
        "what lies between the end and a write after it does not read as zeros",
    )?;
    called("truncate", store.truncate(50_000))?;
    called("discard", store.discard(50_000, 50_000))?;
    called("truncate_before", store.truncate_before(0))?;
    must(
        read(store, 0, 50_000)? == bytes[..50_000],
        "giving nothing back takes something",
    )?;
    called("sync", store.sync())
}

fn makes_room_again(store: &dyn WalStore) -> Result<(), String> {
    let ready = called("prepare, after truncate", store.prepare(70_000))?;
    must(ready >= 70_000, "prepare makes less room than it was asked for")
}

fn is_exclusive<S: WalStore>(make: &mut impl FnMut() -> WalResult<S>) -> Result<(), String> {
    let first = open(make)?;
    let is_busy = |second: WalResult<S>| match second {
        Err(WalError::Locked { .. }) => true,
        Err(WalError::Io { source, .. }) => source.kind() == io::ErrorKind::ResourceBusy,
        Err(_) => false,
        Ok(second) => second
            .lock()
            .is_err_and(|error| error.kind() == io::ErrorKind::ResourceBusy),
    };
    must(
        is_busy(make()),
        "two handles can be locked at once: two logs would destroy each other. lock has to fail with ResourceBusy",
    )?;
    first.close();
    drop(open(make).map_err(|error| format!("after close, {error}"))?);
    drop(first);
    drop(open(make).map_err(|error| format!("after a handle was dropped, {error}"))?);
    Ok(())
}

fn serves_a_log<S: WalStore>(make: &mut impl FnMut() -> WalResult<S>) -> Result<(), String> {
    let config = WalConfig::new().with_staging(Staging::WriteThrough);
    let mut expected = Vec::new();
    for turn in 0..3 {
        let store = make().map_err(|error| format!("a handle cannot be made: {error}"))?;
        let told = |error: WalError| format!("a log in the store, opened for the {turn}. time: {error}");
        let wal = Wal::with_store_and_config(store, config).map_err(told)?;
        // Readers at work beside the one that writes.
        let records = Arc::new(pattern(3_000));
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                wal.iter()
                    .and_then(|mut records| records.try_for_each(|r| r.map(|_| ())))
            });
            for n in 0..200 {
                wal.append(&records[..n * 14]).map_err(told)?;
                expected.push(n * 14);
            }
            let read = reader.join().unwrap_or(Err(WalError::Closed));
            read.map_err(told)
        })?;
        wal.sync().map_err(told)?;
        let found = wal.iter().map_err(told)?;
        let found: Vec<usize> = found
            .map(|record| record.map(|record| record.len()))
            .collect::<WalResult<_>>()
            .map_err(told)?;
        must(
            found == expected,
            "a log in the store does not read what it was given",
        )?;
        if turn == 0 {
            wal.close().map_err(told)?;
        }
    }
    Ok(())
}
