//! A disk that loses power, under the real log: every crash image of a run is opened and has to keep the promises.
//!
//! # What may happen
//!
//! * **Row.** A write goes to a cache, sector by sector (512 bytes). A sector arrives whole or not at all. When the
//!   power goes, any subset of what was not flushed has arrived, in any order; of several versions of one sector any
//!   one, or none.
//! * **Length.** How long the row is arrives by itself: after power loss it is anything between the length that was
//!   flushed and the one that was written. What lies behind it is gone. What lies before it and has not arrived
//!   reads as zero, or as what was there before.
//! * **`sync`** makes durable what was written before it, and the length. It takes effect at once or not at all;
//!   a flush that is interrupted is a subset of the cache.
//! * **`sync` that fails** leaves any subset behind, and the system takes it for flushed: a later `sync` does nothing
//!   for a sector, unless it was written again. What a process reads is the cache, as before.
//! * **`truncate`** removes durably, as its contract says: before it returns all is there, afterwards all is gone.
//!   It flushes nothing else.
//! * **`prepare`** may make the row longer, with zeros. That is a new length like any other.
//! * **`discard` and `truncate_before`** make a hole that reads as zero; durable with the next flush, and until then
//!   there or not, as one piece.
//! * **Slots.** `write_slot` is durable when it returns. While it runs, a crash leaves the old bytes, the new ones, the
//!   first sectors of the new ones, or (only if the other slot was ever written) anything. It flushes nothing else.
//! * **The process** may die with the cache as it is; the next one reads what was written, and the power may go then.
//! * **A crash inside recovery** is a crash like any other.
//!
//! Here there are no directories: names of files, segments and staging memory are tested elsewhere or not yet;
//! `docs/faults.md` says which.
//!
//! # What has to be true
//!
//! A crash is never refused. What is read is everything that was acknowledged as durable, then a prefix of what was
//! under way, a batch whole or not at all, every record at its LSN with its bytes; nothing else. The log can be used
//! then: a record that is appended and flushed is there after one more crash, with everything before it. A crash
//! inside that recovery changes nothing of what it would have shown.

pub mod campaign;
pub mod check;
pub mod damage;
pub mod disk;
pub mod expect;
pub mod medium;
pub mod run;
