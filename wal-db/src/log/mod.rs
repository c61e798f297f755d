//! Untyped records: appending, committing, reading, recovering, truncating.

mod anchor;
mod append;
mod background;
mod backup;
mod base;
mod clock;
mod closure;
mod commit;
mod core;
mod cursor;
mod dictionary;
mod find;
mod flush;
mod in_memory;
mod inspect;
mod iter;
mod keeper;
mod kept;
mod mend;
mod ordinal;
mod panics;
mod read_ahead;
mod reader;
mod record;
mod recover;
mod repair;
mod report;
mod rules;
mod salvage;
mod scan;
mod seek;
mod staged;
mod table;
mod tail;
mod ticket;
mod truncate;
mod verify;
mod waiting;
mod wal;
#[cfg(feature = "testing")]
mod watched;
mod window;

#[cfg(feature = "testing")]
pub(crate) use clock::set as set_clock;
pub use cursor::Cursor;
pub(crate) use dictionary::{Describe, Described, Entry};
#[cfg(feature = "testing")]
pub(crate) use inspect::inspect as inspect_on;
pub use inspect::{Inspection, SegmentInfo};
pub use iter::{RevIter, WalIter};
pub use record::{Record, RecordKind, RecordRef};
pub use report::{Copied, CopyFault, Cut, FileFault, RecoveryReport, Rule, VerifyReport, Violation};
#[cfg(feature = "testing")]
pub(crate) use salvage::salvage as salvage_on;
pub use salvage::{Salvage, SalvageItem};
pub use tail::{Follow, Tail};
pub use ticket::Ticket;
pub use truncate::Retention;
pub use wal::{Stats, Wal};
#[cfg(feature = "testing")]
pub(crate) use watched::Watched;
