//! An open log, watched by the testing kit without keeping it open.

use std::sync::Weak;

use crate::{
    log::{core::Core, wal::Wal},
    sync::Arc,
};

/// Knows an open log as long as that is open.
#[derive(Debug, Clone)]
pub(crate) struct Watched(Weak<Core>);

impl Wal {
    pub(crate) fn watched(&self) -> Watched {
        Watched(Arc::downgrade(self.core()))
    }
}

impl Watched {
    /// Where the next record will be, at the least, and how often the end was cut off; `None` if the log is closed.
    pub(crate) fn end(&self) -> Option<(u64, u64)> {
        let core = self.0.upgrade()?;
        Some((core.tail(), core.cuts()))
    }
}
