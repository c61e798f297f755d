//! Crash images by the million: random runs of the real log on a [simulated disk](wal_db::testing::sim), whose model
//! says what may happen to it.
//!
//! # What has to be true
//!
//! A crash is never refused. What is read is everything that was acknowledged as durable, then a prefix of what was
//! under way, a batch whole or not at all, every record at its LSN with its bytes; nothing else. If only the process dies,
//! everything that an append returned is there, unless it was in the heap. The log can be used then: a record that is
//! appended and flushed is there after one more crash, with everything before it. A crash inside that recovery changes
//! nothing of what it would have shown.

pub mod campaign;
pub mod check;
pub mod damage;
pub mod expect;
pub mod log;
#[cfg(feature = "wal-db-1-1-0")]
mod peer;
pub mod run;
pub mod watchdog;
