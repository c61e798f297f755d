//! A disk that loses power, under the real log.
//!
//! # What may happen
//!
//! * **Content.** A write goes to a cache, sector by sector (512 bytes). A sector arrives whole or not at all. When the
//!   power goes, any subset of what was not flushed has arrived, in any order; of several versions of one sector any
//!   one, or none.
//! * **Length.** How long a file is arrives by itself, and is flushed by the next flush if one fails, as names are: after power loss it is anything between the length that was
//!   flushed and the one that was written. What lies behind it is gone. What lies before it and has not arrived
//!   reads as zero, or as what was there before. A file that was made shorter is that or is not.
//! * **Flush of a file.** Makes durable what was written to it before, and its length, and no name. It takes effect at
//!   once or not at all; a flush that is interrupted is a subset of the cache.
//! * **Flush that fails.** Any subset arrived. A later flush does nothing for a sector, unless it was written again, and
//!   the process reads what it wrote; or the cache is dropped, and it reads what is on the disk; or the next flush tries
//!   again: systems differ.
//! * **Names.** That a file was made, renamed or removed arrives by itself and in any order, until its directory is
//!   flushed; if that fails, the next flush tries again. A renaming arrives whole. A name can arrive before a byte of its
//!   file does.
//! * **Holes** read as zero; durable with the next flush, and until then there or not, as one piece.
//! * **Mapped memory** survives the process as it is. After power loss its file holds any mixture of the pages that it
//!   had lately, or is gone; the machine has another boot id then.
//! * **The process** may die with the cache as it is; the next one reads what was written, and the power may go then.
//! * **A crash inside recovery** is a crash like any other.
//! * **Space** ends where it is said to. **Calls** may fail, be interrupted, and read or write less than they were asked
//!   to; what is written then ends where a sector does.

mod calls;
mod content;
mod disk;
mod image;
mod medium;
mod prefix;

pub use disk::{AfterFailedSync, Behaviour, Call, Fault, SimDisk};
pub use prefix::{CrashPlan, Promises, assert_crash_prefix, check_crash_prefix};

// What the simulator is made of: for the tests of this crate, and no part of the interface.
#[doc(hidden)]
pub use self::{
    calls::SimFile,
    content::Content,
    image::{FileId, Image, SECTOR, Step},
    medium::{Arrival, Medium},
};
