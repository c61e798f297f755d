//! The process that has a log open for writing.

use std::{fmt, time::SystemTime};

use serde::Serialize;

/// The process that has a log open for writing, from [`writer`](crate::recovery::writer).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LockHolder {
    /// Its number.
    pub pid: u32,
    /// The name of its program, as `ps` shows it: 15 bytes at most. `None` if the system does not tell.
    pub program: Option<String>,
    /// When it was started; `None` if the system does not tell.
    pub started: Option<SystemTime>,
}

impl fmt::Display for LockHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.pid)?;
        match &self.program {
            Some(program) => write!(f, " ({})", program.escape_debug()),
            None => Ok(()),
        }
    }
}
