//! Untyped records: appending, committing, reading, recovering, truncating.
//!
//! | room | what is done there |
//! | --- | --- |
//! | `base` | what is known of a log: its store, and how far that may be read |
//! | `report` | what opening and verifying a log have found |
//! | `read` | from positions to records: the walk over groups and frames, and the readers that walk |
//! | `open` | from files to a log: choosing a manifest, finding the end, judging it, mending it |
//! | `examine` | a log in whatever state it is: inspecting, verifying, salvaging |
//! | `write` | from records to the disk: appending, group commit, the two background threads, truncating, schemas |
//! | `wal` | the handle: what a user calls, and the threads that belong to it |
//! | `repair` | changing the files of a log that does not open so that it does |
//!
//! Each uses only those above it.

mod base;
mod clock;
mod closure;
mod examine;
mod open;
mod panics;
mod read;
mod repair;
mod report;
mod wal;
mod write;

pub(crate) use clock::now_us;
#[cfg(feature = "testing")]
pub(crate) use clock::set as set_clock;
#[cfg(feature = "testing")]
pub use examine::dump::Dump;
#[cfg(feature = "testing")]
pub(crate) use examine::{dump::dump as dump_on, inspect::inspect_on, salvage::salvage_on};
pub use examine::{
    groups::{Group, Groups, Segment, SegmentState},
    inspect::{Epoch, Inspection, ManifestCopy, SegmentInfo, inspect},
    salvage::{Salvage, SalvageItem, salvage},
    verify_config::{VerifyConfig, VerifyProgress},
    verify_path::verify_path,
};
pub(crate) use panics::panic_text;
#[cfg(feature = "futures")]
pub use read::tail_stream::TailStream;
#[cfg(feature = "futures")]
pub(crate) use read::tail_stream::poll_news;
pub(crate) use read::{
    consumer_files::Kept,
    dictionary::{Entry, Newer},
};
pub use read::{
    hold::Hold,
    iter::{RevIter, WalIter},
    record::{Record, RecordKind, RecordRef},
    seek::Location,
    tail::{Follow, Tail},
};
pub use repair::{Repair, RepairStep, Touched, repair};
pub use report::{Copied, CopyFault, Cut, FileFault, RecoveryReport, Rule, VerifyReport, Violation};
#[cfg(feature = "testing")]
pub(crate) use wal::Watched;
pub(crate) use wal::{Alone, ConsumerSeat, Consuming, Counting, Folding, Placed, StateName, States, There};
pub use wal::{Start, Status, Wal, groups, segments, verify, writer};
pub(crate) use write::dictionary::{Describe, Described};
pub use write::{ticket::Ticket, truncate::Retention};
pub(crate) use write::{truncate::Needs, turnstile::Watch};
