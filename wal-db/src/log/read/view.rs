//! What a reader has of an open log.

use std::sync::Weak;

use super::{dictionary::Dictionary, hold::Holds, ordinal::Ordinals};
use crate::{
    config::WalConfig,
    error::{Result, WalError},
    format::GROUP_HEADER_LEN,
    log::{base::Base, report::RecoveryReport},
    sync::{Arc, Mutex, RwLock},
};

/// An open log as it is read: all that a handle for reading only has. Opening builds it whole.
pub(crate) struct View {
    pub(crate) base: Base,
    pub(crate) config: WalConfig,
    pub(crate) report: RecoveryReport,
    pub(crate) dictionary: Dictionary,
    pub(crate) holds: Holds,
    pub(crate) ordinals: Ordinals,
    /// What waits in the staging memory of another process, as a log that goes on where this one ends.
    staged: RwLock<Option<Arc<View>>>,
    /// Locked while another process's log is read on, before what was seen of it. Whether its staging memory was ever
    /// asked for: then every look takes it in, so that none takes it away from who reads there.
    pub(crate) refreshing: Mutex<bool>,
    /// `None` if the log is open for reading only.
    writer: Option<Weak<dyn Drain>>,
}

/// What readers ask of the writer.
pub(crate) trait Drain: Send + Sync {
    /// Where the next record would start, at the latest.
    fn tail(&self) -> u64;

    /// Writes to the store what was appended before the call.
    fn drain(&self) -> Result<()>;

    /// Takes no more records.
    fn shut(&self);
}

impl View {
    /// `schema` is the last schema record.
    pub(crate) fn new(
        base: Base,
        config: WalConfig,
        report: RecoveryReport,
        schema: Option<u64>,
        writer: Option<Weak<dyn Drain>>,
    ) -> View {
        View {
            base,
            config,
            report,
            dictionary: Dictionary::new(schema),
            holds: Holds::default(),
            ordinals: Ordinals::default(),
            staged: RwLock::new(None),
            refreshing: Mutex::new(false),
            writer,
        }
    }

    /// The writer, until it is dropped; by then the log is closed.
    fn writer(&self) -> Option<Arc<dyn Drain>> {
        self.writer.as_ref()?.upgrade()
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.writer.is_none()
    }

    /// That the log can be used from here.
    #[inline]
    pub(crate) fn check_usable(&self) -> Result<()> {
        self.check_process()?;
        if self.is_in_closure() {
            return Err(WalError::Reentrant);
        }
        if self.base.store.is_closed() {
            return Err(WalError::Closed);
        }
        Ok(())
    }

    /// Has what was appended written to the store if `pos` is not there yet, so that it can be read. The end of the log
    /// stands for "all". Says what keeps records out of the store.
    pub(crate) fn drain_to(&self, pos: u64) -> Result<()> {
        self.check_usable()?;
        // A log that has failed shows what it has written.
        if pos < self.base.written() || self.is_poisoned() {
            return Ok(());
        }
        match &self.writer {
            Some(writer) => writer.upgrade().ok_or(WalError::Closed)?.drain(),
            None => self.refresh(true),
        }
    }

    /// As [`drain_to`](Self::drain_to). Where the disk is full or a write fails, what is in the store can be read.
    pub(crate) fn drain_if_possible(&self, pos: u64) -> Result<()> {
        match self.drain_to(pos) {
            Err(WalError::Full { .. } | WalError::InDoubt { .. } | WalError::Poisoned { .. }) => Ok(()),
            result => result,
        }
    }

    /// What another process has staged.
    pub(crate) fn staged(&self) -> Option<Arc<View>> {
        // Every read asks for it; only a read-only handle has some.
        if !self.is_read_only() {
            return None;
        }
        match self.is_in_child() {
            true => self.staged.try_read()?.clone(),
            false => self.staged.read().clone(),
        }
    }

    pub(crate) fn set_staged(&self, staged: Option<Arc<View>>) {
        *self.staged.write() = staged;
    }

    /// What to walk over, up to where, and what goes on there.
    pub(crate) fn end_and_staged(&self) -> (u64, Option<Arc<View>>) {
        loop {
            // In this order: what was staged a moment ago is in the store, or a later look finds it.
            let staged = self.staged();
            let end = self.base.written();
            if staged
                .as_ref()
                .is_none_or(|staged| staged.base.extent().head_group == end)
            {
                return (end, staged);
            }
        }
    }

    /// Where the next record would start, at the latest: the highest position that means something.
    pub(crate) fn end(&self) -> u64 {
        self.writer().map_or_else(
            || {
                let end = self.staged().map(|staged| staged.base.written());
                end.unwrap_or_else(|| self.base.written()) + GROUP_HEADER_LEN as u64
            },
            |writer| writer.tail(),
        )
    }

    /// Records in the log up to what is in the store.
    pub(crate) fn record_count(&self) -> u64 {
        self.base
            .ordinal()
            .saturating_sub(self.base.extent().head_ordinal)
    }

    pub(crate) fn poisoned(&self) -> WalError {
        self.base.store.error(WalError::Poisoned {
            cause: self.shut_and_say_why(),
            path: None,
        })
    }

    pub(crate) fn in_doubt(&self) -> WalError {
        self.base.store.error(WalError::InDoubt {
            lsn: None,
            cause: self.shut_and_say_why(),
            path: None,
        })
    }

    /// Why the log has failed. The thread that met the failure may not have shut the ring yet; the caller of this finds
    /// that nothing more is taken.
    fn shut_and_say_why(&self) -> String {
        if let Some(writer) = self.writer() {
            writer.shut();
        }
        let cause = self.base.store.cause();
        cause.unwrap_or("closing the log failed").to_owned()
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.base.store.cause().is_some()
    }

    /// Whether this is a child that was forked off the process that opened the log.
    #[inline]
    pub(crate) fn is_in_child(&self) -> bool {
        self.base.store.is_in_child()
    }

    /// Refuses a child that was forked off: the log is its parent's. Every call that takes a lock asks before.
    #[inline]
    pub(crate) fn check_process(&self) -> Result<()> {
        if self.is_in_child() {
            return Err(self.poisoned());
        }
        Ok(())
    }
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.base.fmt(f)
    }
}
