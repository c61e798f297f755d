//! An embedded, typed event log.
//!
//! Threads append records at memory speed ([`Wal::append`]), make them durable together ([`Wal::sync`]), and replay
//! them from any [`Lsn`]. Records are bytes, or events of your own types with names and versions ([`WalRecord`],
//! [`Wal::typed`]). Opening recovers what a crash left, exactly. Every record that was acknowledged as durable is there, or
//! is reported as damaged: by opening, which reads the end of the log and changes nothing then, and before that by whoever
//! reads the place, or [`Wal::verify`].
//!
//! ```
//! # #[cfg(all(feature = "derive", feature = "bincode"))]
//! # fn main() -> Result<(), wal_db::WalError> {
//! use serde::{Deserialize, Serialize};
//! use wal_db::{Wal, WalRecord};
//!
//! #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
//! #[wal(name = "account")]
//! enum Account {
//!     Opened { owner: String },
//!     Deposited { cents: u64 },
//! }
//!
//! # let dir = tempfile::tempdir()?;
//! # let dir = dir.path().join("accounts");
//! let log = Wal::open_segmented(&dir, 64 << 20)?.typed::<Account>()?;
//! log.append(&Account::Opened { owner: "Ada".into() })?;
//! log.append_and_sync(&Account::Deposited { cents: 500 })?;
//!
//! let events: Vec<_> = log.replay(..)?.map(|e| e.map(|e| e.event)).collect::<Result<_, _>>()?;
//! assert_eq!(events[1], Account::Deposited { cents: 500 });
//! # Ok(())
//! # }
//! # #[cfg(not(all(feature = "derive", feature = "bincode")))]
//! # fn main() {}
//! ```
//!
//! What each call promises is said where it is documented. Of the repository, `docs/evolution.md` says what to write when
//! an event changes, `docs/format.md` describes the bytes, `docs/design.md` the workings.
//!
//! # Waiting, and async
//!
//! [`Wal::append`] copies the record into staging memory and returns. Now and then it waits: for a flush, when staging memory
//! or the backlog of what was written and not flushed (512 MiB) is full, and for space, when a file has to grow. There is no
//! runtime inside and no call is `async`: in a task, append with [`Wal::append_durable`] and await the [`Ticket`], which is a
//! future, and make room for that wait as for any short disk access, with `spawn_blocking` where it would hurt. Calls that
//! read, [`Wal::sync`] and [`Tail::next_timeout`] block the thread.
//!
//! # Features
//!
//! | feature | what it adds |
//! | --- | --- |
//! | `derive` (default) | `#[derive(WalRecord)]` and `#[derive(WalSchema)]` |
//! | `bincode` (default) | `Bincode`, the codec of typed records where none is named |
//! | `postcard` | `Postcard`, as compact; the default codec of a build without `bincode` |
//! | `json` | `Json`, which needs no schema to be read; `Record::to_json` for records of every codec |
//! | `testing` | the module `testing`, for the tests of programs that keep events |
//!
//! A build reads records of every codec that it has, and one log may hold several.

#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate self as wal_db;

mod config;
mod error;
mod event;
mod for_now;
mod format;
mod log;
mod lsn;
mod position;
mod staging;
mod state;
mod storage;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;

pub use config::{Durability, NotMapped, OpenPolicy, RecoveryPolicy, Staging, StagingInUse, WalConfig};
pub use error::{Corruption, CorruptionReason, Result, WalError};
#[doc(hidden)]
pub use event::__private;
#[cfg(feature = "bincode")]
pub use event::Bincode;
#[cfg(feature = "json")]
pub use event::Json;
#[cfg(feature = "postcard")]
pub use event::Postcard;
pub use event::{
    Ahead, Codec, CodecError, CodecId, DefaultCodec, EnvelopeError, Event, EventLog, Meta, MetaError,
    MetaRef, OlderVersion, Part, RawRecord, RecordInfo, RecordSchema, RecordType, Replay, Retired, Schemas,
    Shape, ShapeError, ShapeField, ShapeVariant, Skipped, TypedError, Unreadable, Value, WalDecode,
    WalDecodeOwned, WalRecord, WalSchema,
};
pub use log::{
    Copied, CopyFault, Cursor, Cut, FileFault, Follow, Inspection, Record, RecordKind, RecordRef,
    RecoveryReport, Retention, RevIter, Rule, Salvage, SalvageItem, SegmentInfo, Stats, Tail, Ticket,
    VerifyReport, Violation, Wal, WalIter,
};
pub use lsn::Lsn;
pub use position::{ParsePositionError, Position};
pub use state::{At, Live, Rebuilt, State};
pub use storage::{FileStore, Identity, MemStore, SegmentedStore, WalStore};
#[cfg(feature = "derive")]
pub use wal_derive::{WalRecord, WalSchema};

#[cfg(all(doctest, feature = "derive", feature = "bincode"))]
#[doc = include_str!("../README.md")]
struct Readme;
