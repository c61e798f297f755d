//! The turn: one thread at a time writes groups, makes them durable, or changes where the log goes on.

use super::{committer::Committer, writer::Writer};
use crate::sync::MutexGuard;

/// The committer while one thread has it. Lets it go and hands over at the end.
pub(crate) struct Turn<'a> {
    pub(super) writer: &'a Writer,
    committer: Option<MutexGuard<'a, Committer>>,
}

pub(crate) struct Held<'a> {
    pub(crate) writer: &'a Writer,
    pub(crate) committer: &'a mut Committer,
}

impl<'a> Turn<'a> {
    pub(crate) fn take(writer: &'a Writer) -> Self {
        Turn {
            writer,
            committer: Some(writer.committer.lock()),
        }
    }

    /// `None` if another thread has it.
    pub(crate) fn try_take(writer: &'a Writer) -> Option<Self> {
        Some(Turn {
            writer,
            committer: Some(writer.committer.try_lock()?),
        })
    }

    pub(crate) fn run<T>(&mut self, work: impl FnOnce(&mut Held<'_>) -> T) -> T {
        let writer = self.writer;
        let Some(committer) = self.committer.as_deref_mut() else {
            unreachable!("held until the drop");
        };
        writer.guarded(|| work(&mut Held { writer, committer }))
    }

    /// Lets it go, and the flusher go on.
    pub(crate) fn pass_on(self) {
        let writer = self.writer;
        writer.room.flusher_follows(true);
        drop(self);
        writer.background.ring_flusher();
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.writer.room.turn_ends(|| {
            self.committer = None;
            self.writer.line.hand_over();
        });
    }
}
