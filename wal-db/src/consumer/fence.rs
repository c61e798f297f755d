//! What keeps the effects of an event from being appended twice.

use std::collections::BTreeSet;

use crate::{
    error::Result,
    format::envelope::{CONSUMED, Consumed},
    log::{RecordKind, Wal},
    lsn::Lsn,
};

/// The events from some LSN on for which a consumer has appended others.
pub(super) struct Fence {
    /// `None` before the log was looked at.
    from: Option<Lsn>,
    handled: BTreeSet<(Lsn, u32)>,
}

impl Fence {
    pub(super) fn new() -> Self {
        Fence {
            from: None,
            handled: BTreeSet::new(),
        }
    }

    /// Whether something was appended for an event. Whatever was is after the event.
    pub(super) fn has(&mut self, wal: &Wal, consumer: &str, event: (Lsn, u32)) -> Result<bool> {
        if self.from.is_none_or(|from| event.0 < from) {
            self.handled = read(wal, consumer, event.0)?;
            self.from = Some(event.0);
        }
        Ok(self.handled.contains(&event))
    }

    pub(super) fn add(&mut self, event: (Lsn, u32)) {
        self.handled.insert(event);
    }

    /// Events before this place are not asked for in a while.
    pub(super) fn forget_before(&mut self, lsn: Lsn) {
        if self.from.is_some_and(|from| from < lsn) {
            self.handled = self.handled.split_off(&(lsn, 0));
            self.from = Some(lsn);
        }
    }
}

fn read(wal: &Wal, consumer: &str, from: Lsn) -> Result<BTreeSet<(Lsn, u32)>> {
    let mut handled = BTreeSet::new();
    let mut records = wal.range(from..)?;
    while let Some(record) = records.next_ref() {
        let record = record?;
        if record.kind() != RecordKind::Typed {
            continue;
        }
        // Of what a later release wrote, it is that release's to say.
        let Ok(meta) = record.meta() else { continue };
        let consumed = meta.entry(CONSUMED).and_then(Consumed::parse);
        if let Some(consumed) = consumed
            && consumed.consumer == consumer
            && consumed.log == wal.log_id()
        {
            handled.insert((Lsn::new(consumed.lsn), consumed.part));
        }
    }
    Ok(handled)
}
