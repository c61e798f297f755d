//! What a log says of itself.

use super::{Stats, Wal};
use crate::{
    config::{StagingInUse, WalConfig},
    format::GROUP_HEADER_LEN,
    lsn::Lsn,
};

/// # Figures
impl Wal {
    /// How many bytes the records of the log take, framing included, without what was dropped from its beginning and cut
    /// off its end: 0 exactly if it holds no record. Where the log ends is its [`end`](Self::end), how long its files are
    /// the file system's to say.
    #[must_use]
    pub fn len(&self) -> u64 {
        let (core, shape) = (self.core(), self.core().base.shape());
        let end = core.end();
        if end <= core.base.written() + GROUP_HEADER_LEN as u64 && core.record_count() == 0 {
            return 0;
        }
        shape.live_bytes(shape.head, end)
    }

    /// Whether the log holds no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The settings in force: those that the log was opened with. What came of [`Staging::Mapped`](crate::Staging::Mapped) is
    /// told by [`staging`](Self::staging).
    pub fn config(&self) -> WalConfig {
        self.core().config
    }

    /// How many bytes of the log a segment file holds, whatever was asked for when it was opened; `None` for a log in one
    /// file or in memory.
    #[must_use]
    pub fn segment_size(&self) -> Option<u64> {
        Some(self.core().base.segment_len).filter(|&len| len > 0)
    }

    /// How many records are in the store. Those that still wait in staging memory are not counted; call
    /// [`sync`](Self::sync) or [`flush`](Self::flush) first to count them.
    #[must_use]
    pub fn record_count(&self) -> u64 {
        self.core().record_count()
    }

    /// Where the log starts: no record has a lower LSN. It is that of the first record, or of the first to come; in a log
    /// that begins with an event and was never truncated, that of the event's schema.
    pub fn head(&self) -> Lsn {
        Lsn::from_pos(self.core().base.shape().head)
    }

    /// Where the log ends: every record has a lower LSN, and every one to come this or a higher one. It is the highest
    /// position that [`iter_from`](Self::iter_from), [`tail`](Self::tail), [`cursor`](Self::cursor) and
    /// [`truncate_before`](Self::truncate_before) take.
    pub fn end(&self) -> Lsn {
        Lsn::from_pos(self.core().end())
    }

    /// How many records were dropped from the beginning since the log was made: the ordinal of the one at the
    /// [`head`](Self::head).
    #[must_use]
    pub fn head_ordinal(&self) -> u64 {
        self.core().base.shape().head_ordinal
    }

    /// Every record before this LSN is durable.
    pub fn durable_lsn(&self) -> Lsn {
        Lsn::from_pos(self.core().base.durable() + GROUP_HEADER_LEN as u64)
    }

    /// Why the log takes no more records, if a write or flush has failed.
    #[must_use]
    pub fn poisoned_by(&self) -> Option<&str> {
        self.core().base.store.cause()
    }

    /// Where records wait for their flush; `None` for a handle that only reads. What was asked for is not always to be had,
    /// see [`Staging::Mapped`](crate::Staging::Mapped).
    #[must_use]
    pub fn staging(&self) -> Option<&StagingInUse> {
        self.core().writer().ok().map(|writer| &writer.staging)
    }

    /// Figures of this moment; each is taken by itself.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let core = self.core();
        let (written, shape) = (core.base.written(), core.base.shape());
        let ahead = |pos: u64| core.tail().saturating_sub(pos + GROUP_HEADER_LEN as u64);
        Stats {
            bytes: shape.live_bytes(shape.head, core.tail()),
            records: core.record_count(),
            staged_bytes: ahead(written),
            undurable_bytes: ahead(core.base.durable()),
        }
    }
}
