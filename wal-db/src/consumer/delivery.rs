//! What a handler gets with an event.

use std::{error::Error, fmt};

use crate::{event::meta::Meta, lsn::Lsn};

/// Why an event could not be handled.
pub type HandlerError = Box<dyn Error + Send + Sync>;

/// The delivery of an event to a handler, once or again.
pub struct Delivery<'r, E> {
    pub(super) consumer: &'r str,
    pub(super) log: [u8; 16],
    pub(super) lsn: Lsn,
    pub(super) part: u32,
    pub(super) attempt: u32,
    pub(super) emitted: Vec<(E, Meta)>,
}

impl<E> Delivery<'_, E> {
    /// The LSN of the event.
    pub fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// How often it was tried in this run, with this time: 1 at first. It may have been tried before a restart.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// What others can know the effect of this event by: the same each time that this consumer handles it, and no other
    /// event of this log has it, and none of another log. (A log that was restored from a backup and has grown differently since is
    /// not another one.) A payment service, for example, takes it as the key that makes a repeated request harmless.
    #[must_use]
    pub fn token(&self) -> String {
        let mut token = String::with_capacity(64);
        for byte in self.log {
            token.push_str(&format!("{byte:02x}"));
        }
        format!("{token}-{}-{}.{}", self.consumer, self.lsn, self.part)
    }

    /// Appends an event to the log once the handler has returned `Ok`: all that it emits is appended together or not at all,
    /// and once, however often the event is handled. Says that the handled event is the
    /// [cause](Meta::with_causation), unless `meta` says something else.
    ///
    /// It is decided by the log: a record of what was emitted says which event it was for. A handler that emits something else
    /// when it is called again changes nothing.
    pub fn emit(&mut self, event: E, meta: Meta) {
        self.emitted.push((event, meta));
    }
}

impl<E> fmt::Debug for Delivery<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("consumer", &self.consumer)
            .field("lsn", &self.lsn)
            .field("part", &self.part)
            .field("attempt", &self.attempt)
            .field("emitted", &self.emitted.len())
            .finish_non_exhaustive()
    }
}
