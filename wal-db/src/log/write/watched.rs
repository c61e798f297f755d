//! An open log, watched by the testing kit without keeping it open.

use std::sync::Weak;

use super::writer::Writer;

/// Knows an open log as long as that is open.
#[derive(Debug, Clone)]
pub(crate) struct Watched(pub(crate) Weak<Writer>);

impl Watched {
    /// Where the next record will be, at the least, and how often the end was cut off; `None` if the log is closed.
    pub(crate) fn end(&self) -> Option<(u64, u64)> {
        let writer = self.0.upgrade()?;
        Some((writer.ring.tail(), writer.covered.cuts()))
    }
}
