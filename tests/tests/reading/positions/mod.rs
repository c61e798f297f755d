//! Positions that were kept somewhere else: before, in and after what was cut off, before the head, after the end.
//! Each is either followed correctly or refused with the reason.

mod cuts;
mod damage;
mod dropped;
mod ends;
mod live;
mod model;
mod stored;
mod waiting;

use wal_db::{Lsn, MemStore, Result, Wal};
use wal_tests::quiet_heap;

/// The three stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Segments,
    Memory,
}

pub(crate) const KINDS: [Kind; 3] = [Kind::File, Kind::Segments, Kind::Memory];

/// A log in one of the stores, without background threads.
pub(crate) struct Log {
    pub(crate) wal: Wal,
    pub(crate) kind: Kind,
    dir: tempfile::TempDir,
}

impl Log {
    pub(crate) fn new(kind: Kind) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let wal = open(kind, dir.path());
        Log { wal, kind, dir }
    }

    pub(crate) fn of(kind: Kind, texts: impl IntoIterator<Item = &'static str>) -> Self {
        let log = Log::new(kind);
        for text in texts {
            log.put(text);
        }
        log
    }

    pub(crate) fn reopened(self) -> Self {
        self.reopened_if(true)
    }

    /// The log, after it was closed and opened again if that is asked for and it does not live in memory.
    pub(crate) fn reopened_if(self, asked: bool) -> Self {
        if !asked || self.kind == Kind::Memory {
            return self;
        }
        let Log { wal, kind, dir } = self;
        wal.close().unwrap();
        let wal = open(kind, dir.path());
        Log { wal, kind, dir }
    }

    /// Appends a record of this many bytes and makes it durable.
    pub(crate) fn put(&self, text: &str) -> Lsn {
        self.wal.append_and_sync(text.as_bytes()).unwrap()
    }
}

fn open(kind: Kind, dir: &std::path::Path) -> Wal {
    match kind {
        Kind::File => Wal::open_with(dir.join("log"), quiet_heap()),
        Kind::Segments => Wal::open_segmented_with(dir.join("log"), 64 << 10, quiet_heap()),
        Kind::Memory => Wal::with_store_and_config(MemStore::new(), quiet_heap()),
    }
    .unwrap()
}

/// The texts of records; panics at an error.
pub(crate) fn texts(records: impl IntoIterator<Item = Result<wal_db::Record>>) -> Vec<String> {
    let text = |record: wal_db::Record| String::from_utf8_lossy(record.data()).trim_end().to_owned();
    records.into_iter().map(|record| text(record.unwrap())).collect()
}

/// What a follower is shown until nothing more is there, with `CutBack` as a text.
pub(crate) fn followed(tail: &mut wal_db::Tail) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        match tail.try_next() {
            Ok(Some(record)) => seen.extend(texts([Ok(record)])),
            Ok(None) => return seen,
            Err(wal_db::WalError::CutBack { .. }) if seen.last().is_none_or(|last| last != "CutBack") => {
                seen.push("CutBack".to_owned());
            }
            Err(error) => panic!("{error} after {seen:?}"),
        }
    }
}
