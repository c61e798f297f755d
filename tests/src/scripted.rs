//! A store over another one that a test looks into: its script hears of every call first, and may fail it, hold it, count
//! it, or answer it.

use std::{
    convert::identity,
    fs::{File, OpenOptions},
    io,
    path::PathBuf,
    sync::Arc,
};

use wal_db::{WalStore, store::Identity};

/// What a store is asked to do, by the names of [`WalStore`].
#[allow(missing_docs)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    Lock,
    Read,
    Write,
    Sync,
    Len,
    Truncate,
    ReadSlot,
    WriteSlot,
    Attach,
    Prepare,
    TruncateBefore,
    Discard,
    KeepAside,
    Close,
}

/// A call, as a script hears of it.
#[derive(Debug)]
pub struct Call<'a> {
    /// Which one it is.
    pub op: Op,
    /// The position, the length or the slot that it names, if it names one.
    pub at: u64,
    /// How many bytes it reads or writes.
    pub len: usize,
    /// Where it reads to.
    pub buf: &'a mut [u8],
}

/// What a script makes of a call: nothing, so that the store beneath has it; a number that is the answer; or an error.
pub type Answer = io::Result<Option<u64>>;

type Script<S> = dyn Fn(&S, Call<'_>) -> Answer + Send + Sync;

/// The store. Clones share what is beneath.
#[derive(Clone)]
pub struct Scripted<S> {
    store: S,
    script: Arc<Script<S>>,
    /// See [`WalStore::location`].
    pub location: Option<PathBuf>,
    /// See [`WalStore::segment_len`].
    pub segment_len: Option<u64>,
    /// See [`WalStore::slots`].
    pub slots: usize,
    /// A staging file of its own.
    pub staging: Option<StagingFile>,
}

/// A staging file. If it may not be read, the system refuses to map it, as it does on file systems without shared mappings.
#[derive(Debug, Clone)]
pub struct StagingFile {
    /// Where it is.
    pub path: PathBuf,
    /// It may be read, and mapped.
    pub readable: bool,
    /// See [`WalStore::boot_id`].
    pub boot: Option<[u8; 16]>,
}

impl<S: WalStore> Scripted<S> {
    /// What `store` does, once `script` has heard of it.
    pub fn new(store: S, script: impl Fn(&S, Call<'_>) -> Answer + Send + Sync + 'static) -> Scripted<S> {
        Scripted {
            script: Arc::new(script),
            location: store.location(),
            segment_len: store.segment_len(),
            slots: store.slots(),
            staging: None,
            store,
        }
    }

    fn hear(&self, op: Op, at: u64, len: usize) -> Answer {
        let buf = &mut [];
        (self.script)(&self.store, Call { op, at, len, buf })
    }

    /// The script's answer, or else that of the store.
    fn ask<T>(
        &self,
        op: Op,
        at: u64,
        is: fn(u64) -> T,
        ask: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        self.hear(op, at, 0)?.map_or_else(ask, |answer| Ok(is(answer)))
    }
}

impl<S: WalStore> WalStore for Scripted<S> {
    fn location(&self) -> Option<PathBuf> {
        self.location.clone()
    }

    fn lock(&self) -> io::Result<()> {
        self.ask(Op::Lock, 0, drop, || self.store.lock())
    }

    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        let call = Call {
            op: Op::Read,
            at: pos,
            len: buf.len(),
            buf,
        };
        let answer = (self.script)(&self.store, call)?;
        answer.map_or_else(|| self.store.read_at(pos, buf), |read| Ok(read as usize))
    }

    fn next_data(&self, pos: u64) -> io::Result<u64> {
        self.store.next_data(pos)
    }

    fn write_at(&self, pos: u64, bytes: &[u8]) -> io::Result<()> {
        let answer = self.hear(Op::Write, pos, bytes.len())?;
        answer.map_or_else(|| self.store.write_at(pos, bytes), |_| Ok(()))
    }

    fn sync(&self) -> io::Result<()> {
        self.ask(Op::Sync, 0, drop, || self.store.sync())
    }

    fn len(&self) -> io::Result<u64> {
        self.ask(Op::Len, 0, identity, || self.store.len())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.ask(Op::Truncate, len, drop, || self.store.truncate(len))
    }

    fn read_slot(&self, slot: usize) -> io::Result<Vec<u8>> {
        let zeros = |len| vec![0; len as usize];
        self.ask(Op::ReadSlot, slot as u64, zeros, || self.store.read_slot(slot))
    }

    fn write_slot(&self, slot: usize, bytes: &[u8]) -> io::Result<()> {
        self.ask(Op::WriteSlot, slot as u64, drop, || {
            self.store.write_slot(slot, bytes)
        })
    }

    fn slots(&self) -> usize {
        self.slots
    }

    fn attach(&self, log: &Identity) -> io::Result<()> {
        self.ask(Op::Attach, 0, drop, || self.store.attach(log))
    }

    fn segment_len(&self) -> Option<u64> {
        self.segment_len
    }

    fn prepare(&self, end: u64) -> io::Result<u64> {
        self.ask(Op::Prepare, end, identity, || self.store.prepare(end))
    }

    fn prepare_step(&self) -> u64 {
        self.store.prepare_step()
    }

    fn likes_zeros_ahead(&self) -> bool {
        self.store.likes_zeros_ahead()
    }

    fn truncate_before(&self, pos: u64) -> io::Result<()> {
        self.ask(Op::TruncateBefore, pos, drop, || self.store.truncate_before(pos))
    }

    fn discard(&self, start: u64, end: u64) -> io::Result<()> {
        self.ask(Op::Discard, start, drop, || self.store.discard(start, end))
    }

    fn keep_aside(&self, pos: u64, bytes: &mut dyn io::Read) -> io::Result<Option<PathBuf>> {
        self.ask(Op::KeepAside, pos, |_| None, || self.store.keep_aside(pos, bytes))
    }

    fn staging_file(&self, create: bool) -> io::Result<Option<File>> {
        let Some(StagingFile { path, readable, .. }) = &self.staging else {
            return self.store.staging_file(create);
        };
        if !create && !path.exists() {
            return Ok(None);
        }
        let mut options = OpenOptions::new();
        options
            .read(*readable)
            .write(true)
            .create(create)
            .truncate(create);
        options.open(path).map(Some)
    }

    fn staging_place(&self) -> Result<PathBuf, String> {
        self.store.staging_place()
    }

    fn remove_staging(&self) -> io::Result<()> {
        match &self.staging {
            Some(file) if file.path.exists() => std::fs::remove_file(&file.path),
            Some(_) => Ok(()),
            None => self.store.remove_staging(),
        }
    }

    fn boot_id(&self) -> Option<[u8; 16]> {
        self.staging
            .as_ref()
            .map_or_else(|| self.store.boot_id(), |file| file.boot)
    }

    fn check_file(&self, pos: u64) -> io::Result<()> {
        self.store.check_file(pos)
    }

    fn file_at(&self, pos: u64) -> Option<PathBuf> {
        self.store.file_at(pos)
    }

    fn close(&self) {
        if matches!(self.hear(Op::Close, 0, 0), Ok(None)) {
            self.store.close();
        }
    }
}
