//! A record as it is read.

use bytes::Bytes;

use crate::{format::Kind, lsn::Lsn};

/// What a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RecordKind {
    /// Bytes, from [`Wal::append`](crate::Wal::append).
    Data,
    /// A typed event, from [`Wal::append_typed`](crate::Wal::append_typed).
    Typed,
    /// The schema of an event type.
    Schema,
}

impl RecordKind {
    pub(crate) fn of(kind: Kind) -> Self {
        match kind {
            Kind::Typed => RecordKind::Typed,
            Kind::Schema => RecordKind::Schema,
            // Voids and claims are never handed out.
            Kind::Data | Kind::Void | Kind::Claimed => RecordKind::Data,
        }
    }
}

/// A record that was read. Cloning is cheap; records that were read together share one buffer, which lives as long
/// as any of them: 256 KiB, or 512 KiB and more where groups are that long. [`detach`](Self::detach) a record that is kept
/// for long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub(crate) lsn: Lsn,
    pub(crate) kind: RecordKind,
    pub(crate) more: bool,
    pub(crate) data: Bytes,
}

impl Record {
    /// Where the record is.
    pub fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// What it holds.
    #[must_use]
    pub fn kind(&self) -> RecordKind {
        self.kind
    }

    /// Its bytes.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Its bytes, shared.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.data
    }

    /// How many bytes it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Whether the next record was appended in the same batch.
    #[must_use]
    pub fn batch_continues(&self) -> bool {
        self.more
    }

    /// Its bytes, copied.
    #[must_use]
    pub fn into_data(self) -> Vec<u8> {
        self.data.into()
    }

    /// The record with memory of its own, as long as it is, so that it keeps nothing else in memory.
    #[must_use]
    pub fn detach(&self) -> Record {
        self.as_ref().to_record()
    }

    /// The same record, borrowed.
    #[must_use]
    pub fn as_ref(&self) -> RecordRef<'_> {
        RecordRef {
            lsn: self.lsn,
            kind: self.kind,
            more: self.more,
            data: &self.data,
        }
    }
}

/// A record in the reader's buffer: neither allocated nor counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordRef<'a> {
    pub(crate) lsn: Lsn,
    pub(crate) kind: RecordKind,
    pub(crate) more: bool,
    pub(crate) data: &'a [u8],
}

impl<'a> RecordRef<'a> {
    /// Where the record is.
    pub fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// What it holds.
    #[must_use]
    pub fn kind(&self) -> RecordKind {
        self.kind
    }

    /// Its bytes.
    #[must_use]
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// How many bytes it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Whether the next record was appended in the same batch.
    #[must_use]
    pub fn batch_continues(&self) -> bool {
        self.more
    }

    /// The record with a copy of its bytes.
    #[must_use]
    pub fn to_record(&self) -> Record {
        Record {
            lsn: self.lsn,
            kind: self.kind,
            more: self.more,
            data: Bytes::copy_from_slice(self.data),
        }
    }
}

#[cfg(all(test, not(any(wal_loom, wal_shuttle))))]
mod tests {
    use crate::{MemStore, Wal};

    #[test]
    fn a_detached_record_keeps_nothing_else_in_memory() {
        let wal = Wal::with_store(MemStore::new()).expect("a log in memory");
        wal.append_batch(&["one", "two"]).expect("append");
        let records: Vec<_> = wal.iter().expect("iter").map(|r| r.expect("a record")).collect();
        assert!(!records[1].bytes().is_unique(), "they share what was read");
        let kept = records[1].detach();
        assert_eq!(kept, records[1]);
        assert!(kept.bytes().is_unique());
    }

    #[test]
    fn a_record_in_the_buffer_says_of_itself_what_its_copy_says() {
        let wal = Wal::with_store(MemStore::new()).expect("a log in memory");
        wal.append_batch(&["", "two"]).expect("append");
        let mut iter = wal.iter().expect("iter");
        for (data, more) in [("", true), ("two", false)] {
            let lent = iter.next_ref().expect("a record").expect("no damage");
            let copy = lent.to_record();
            assert_eq!(
                (lent.data(), lent.len(), lent.is_empty()),
                (data.as_bytes(), data.len(), data.is_empty())
            );
            assert_eq!(
                (copy.data(), copy.len(), copy.is_empty()),
                (lent.data(), lent.len(), lent.is_empty())
            );
            assert_eq!((copy.lsn(), copy.kind()), (lent.lsn(), lent.kind()));
            assert_eq!((lent.batch_continues(), copy.batch_continues()), (more, more));
            assert_eq!(copy.as_ref(), lent);
        }
    }
}
