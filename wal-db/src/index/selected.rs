//! Reading the records that an index has found.

use std::{fmt, vec};

use super::query::Wanted;
use crate::{
    error::{Result, WalError},
    event::{name_of, replay::Records},
    format::envelope,
    log::{Record, RecordKind, RecordRef, Wal, WalIter},
    lsn::Lsn,
};

/// Where the records of [`Indexed::select`](super::Indexed::select) come from.
pub struct Selected {
    wal: Wal,
    wanted: Vec<Wanted<'static>>,
    from: Source,
    next: Lsn,
}

enum Source {
    /// One by one.
    Lsns(vec::IntoIter<Lsn>),
    /// With what lies between them, up to this one at least.
    All(Box<WalIter>, Lsn),
}

/// Up to so many bytes from one record to the next, reading what lies between costs less than reading each by itself.
const NEAR: u64 = 1 << 10;

impl Selected {
    /// Records that may be wanted at `lsns`; there is no other one before `next`.
    pub(super) fn new(wal: &Wal, wanted: &[Wanted<'_>], lsns: Vec<Lsn>, next: Lsn) -> Result<Self> {
        let near = match (lsns.first(), lsns.last()) {
            (Some(first), Some(last)) => (last.get() - first.get()) / lsns.len() as u64 <= NEAR,
            _ => false,
        };
        let from = match (lsns.first(), lsns.last()) {
            (Some(first), Some(last)) if near => Source::All(Box::new(wal.range(*first..next)?), *last),
            _ => Source::Lsns(lsns.into_iter()),
        };
        Ok(Selected {
            wal: wal.clone(),
            wanted: wanted.iter().map(|wanted| wanted.clone().into_owned()).collect(),
            from,
            next,
        })
    }

    /// There is none before `next`.
    pub(super) fn nothing(wal: &Wal, next: Lsn) -> Self {
        Selected {
            wal: wal.clone(),
            wanted: Vec::new(),
            from: Source::nothing(),
            next,
        }
    }

    pub(super) fn next(&self) -> Lsn {
        self.next
    }

    fn read(&mut self) -> Option<Result<Record>> {
        match &mut self.from {
            Source::Lsns(lsns) => {
                let lsn = lsns.next()?;
                Some(self.read_at(lsn))
            }
            Source::All(records, last) => {
                let record = records.next();
                match &record {
                    Some(Ok(record)) if record.lsn() >= *last => self.from = Source::nothing(),
                    Some(_) => {}
                    // A log that has failed ends with what it has written, and one that is cut off with what is left.
                    None => {
                        let last = *last;
                        self.from = Source::nothing();
                        return self.read_at(last).err().map(Err);
                    }
                }
                record
            }
        }
    }

    /// Reads a record that the index has found.
    fn read_at(&self, lsn: Lsn) -> Result<Record> {
        self.wal.read(lsn).map_err(|error| match error {
            WalError::NoSuchRecord { .. } => {
                let cut = self.wal.check_followed(Lsn::new(lsn.get() + 1));
                cut.err().unwrap_or(error)
            }
            error => error,
        })
    }
}

impl Source {
    fn nothing() -> Self {
        Source::Lsns(Vec::new().into_iter())
    }
}

impl Records for Selected {
    type Record<'a> = Record;

    fn next_record(&mut self) -> Option<Result<Record>> {
        loop {
            let record = match self.read()? {
                Ok(record) => record,
                Err(error) => return Some(Err(error)),
            };
            // What has no envelope that can be read is said by who reads it.
            let is_wanted = record.kind() == RecordKind::Typed
                && envelope::parse(record.data())
                    .is_ok_and(|envelope| self.wanted.iter().any(|wanted| wanted.is(&envelope)));
            if is_wanted {
                return Some(Ok(record));
            }
        }
    }

    fn lend<'a>(record: &'a Record) -> RecordRef<'a> {
        record.as_ref()
    }

    fn name_of(&self, type_id: u32) -> Option<String> {
        self.wal.with_dictionary(|held| name_of(held, type_id)).ok()?
    }

    fn check_process(&self) -> Result<()> {
        self.wal.with_dictionary(|_| ())
    }
}

impl fmt::Debug for Selected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Selected")
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}
