//! A disk that loses power, under the real log.
//!
//! Unflushed sectors, lengths, names, holes and mapped memory arrive or do not, each by itself, and calls fail, are
//! interrupted and run out of space. What exactly may happen is in
//! [docs/faults.md](https://github.com/wal-db/wal-db/blob/main/docs/faults.md#the-model).

mod calls;
mod content;
mod crashes;
mod disk;
mod image;
mod medium;
mod prefix;
mod survives;

pub use crashes::CrashPlan;
#[cfg(all(test, feature = "seal", not(any(wal_loom, wal_shuttle))))]
pub(crate) use crashes::every_crash;
pub use disk::{AfterFailedSync, Behaviour, Call, Fault, SimDisk};
pub use prefix::{Promises, assert_crash_prefix, check_crash_prefix};
pub use survives::{assert_store_survives, check_store_survives};

// What the simulator is made of: for the tests of this crate, and no part of the interface.
#[doc(hidden)]
pub use self::{
    calls::SimFile,
    content::Content,
    image::{FileId, Image, SECTOR, Step},
    medium::{Arrival, Medium},
};
