//! Untyped records: appending, committing, reading, recovering, truncating.
//!
//! | room | what is done there |
//! | --- | --- |
//! | `wal` | the handle: what a user calls, and the threads that belong to it |
//! | `base` | what is known of a log: its store, and how far that may be read |
//! | `open` | from files to a log: choosing a manifest, finding the end, judging it, mending it; looking at a log from outside |
//! | `read` | from positions to records: the walk over groups and frames, and the readers that walk |
//! | `write` | from records to the disk: appending, group commit, the two background threads, truncating, schemas |

mod base;
mod clock;
mod closure;
mod open;
mod panics;
mod read;
mod wal;
mod write;

#[cfg(feature = "testing")]
pub(crate) use clock::set as set_clock;
#[cfg(feature = "testing")]
pub use open::dump::Dump;
#[cfg(feature = "testing")]
pub(crate) use open::{dump::dump as dump_on, inspect::inspect_on, salvage::salvage_on};
pub use open::{
    inspect::{Inspection, SegmentInfo, inspect},
    report::{Copied, CopyFault, Cut, FileFault, RecoveryReport, Rule, VerifyReport, Violation},
    salvage::{Salvage, SalvageItem, salvage},
};
pub(crate) use read::dictionary::{Entry, Newer};
pub use read::{
    hold::Hold,
    iter::{RevIter, WalIter},
    record::{Record, RecordKind, RecordRef},
    seek::Location,
    tail::{Follow, Tail},
};
#[cfg(feature = "testing")]
pub(crate) use wal::Watched;
pub use wal::{Start, Status, Wal};
pub(crate) use write::dictionary::{Describe, Described};
pub use write::{ticket::Ticket, truncate::Retention};
