#![cfg_attr(all(feature = "derive", feature = "bincode"), doc = include_str!("../README.md"))]
//!
//! # A tour
//!
//! | to | look at |
//! | --- | --- |
//! | open | [`Wal::open`], one file; [`Wal::open_segmented`], a directory from which old segments can go; [`Wal::with_store`], memory or a [`store`] of your own; settings in [`WalConfig`] |
//! | append | [`Wal::append`], [`Wal::append_batch`], [`Wal::append_in_place`]: what returned survives the process |
//! | commit | [`Wal::sync`], [`Wal::append_and_sync`], [`Wal::ticket`]: what returned survives the power |
//! | read | [`Wal::iter`], [`Wal::range`], [`Wal::iter_from`] with a [`Start`], [`Wal::read`]; the [`read`] module |
//! | follow | [`Wal::tail`], [`EventLog::tail`]; [`Position`] to go on later, from a place that is checked |
//! | keep | [`Wal::truncate_before`], [`Wal::truncate_after`], [`Wal::retain`] with a [`Hold`], [`Wal::backup_to`] |
//! | types | [`WalRecord`], [`Wal::typed`], [`EventLog`], [`Meta`] |
//! | keep state | [`state::Store`] decides on the fold of the events, appends, and applies |
//! | find | [`EventLog::indexed`]: events by stream, tag and type; [`index::Condition`] and decisions on what was found |
//! | evolve | [`WalRecord`] again, the [`event`] and [`schema`] modules; `docs/evolution.md` says what to write when an event changes |
//! | repair | [`Wal::recovery`], [`Wal::verify`], [`OpenPolicy`]; the [`recovery`] module looks at a log in any state |
//! | know | [`Wal::status`]; [`Wal::metrics`], figures for a collector; the [`metrics`] module |
//! | forget | the module `seal` (a feature): personal data in events, which are erased by a key |
//! | test | the module `testing` (a feature): crashes, old releases, stored bytes |
//!
//! Each call documents what it promises. In the repository, `docs/design.md` has all promises and their limits,
//! `docs/errors.md` what each error means for its record, and `docs/format.md` the files on disk.
//!
//! # Waiting, and async
//!
//! [`Wal::append`] copies the record into staging memory and returns. Now and then it waits: for a flush, when staging
//! memory or the backlog of what was written and not flushed (512 MiB) is full, and for space, when a file has to grow.
//! There is no runtime inside. In a task, append, then await a [`Ticket`] from [`Wal::ticket`], which is a future. Treat the wait of
//! an append as any short disk access, with `spawn_blocking` where it would hurt, or call [`Wal::try_append`], which says
//! [`Busy`](WalError::Busy) instead. [`Wal::sync_async`], [`Pending`](state::Pending) and
//! [`Consumer::wait_for_async`](consumer::Consumer::wait_for_async) are futures as well, and with the feature `futures` a [`Tail`] is a stream.
//! Calls that read, [`Wal::sync`] and [`Tail::next_timeout`] block the thread. `docs/async.md` has the table.
//!
//! # Features
//!
//! | feature | what it adds |
//! | --- | --- |
//! | `derive` (default) | `#[derive(WalRecord)]` and `#[derive(WalSchema)]` |
//! | `bincode` (default) | `Bincode`, the codec of typed records where none is named |
//! | `postcard` | `Postcard`, as compact; the default codec of a build without `bincode` |
//! | `json` | `Json`, which needs no schema to be read; `Record::to_json` for records of every codec |
//! | `seal` | the module `seal`: values inside events that can be made unreadable for ever |
//! | `futures` | streams of what comes: `Tail::into_stream`, `Replay::into_stream` |
//! | `testing` | the module `testing`, for the tests of programs that keep events |
//! | `bytes`, `chrono`, `indexmap`, `ipnet`, `jiff`, `ordered-float`, `rust_decimal`, `smol_str`, `time`, `url`, `uuid` | types of the crate of that name as parts of events: [`WalSchema`](WalSchema#types-of-other-crates) |
//!
//! A build reads records of every codec that it has, and one log may hold several.

#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate self as wal_db;

mod config;
pub mod consumer;
mod error;
pub mod event;
mod for_now;
mod format;
pub mod index;
mod log;
mod lsn;
pub mod metrics;
mod pool;
mod position;
mod process;
#[cfg(feature = "seal")]
pub mod seal;
mod staging;
pub mod state;
mod storage;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;

pub use config::{Durability, OpenPolicy, RecoveryPolicy, Staging, WalConfig};
pub use error::{Result, WalError};
#[doc(hidden)]
pub use event::__private;
pub use event::{
    log::EventLog,
    meta::Meta,
    record::WalRecord,
    replay::{Event, Replay},
    schema::WalSchema,
};
pub use log::{Hold, Record, RecordRef, Retention, Start, Status, Tail, Ticket, Wal, WalIter};
pub use lsn::Lsn;
pub use position::Position;
pub use storage::{FileStore, MemStore, SegmentedStore, WalStore};
#[cfg(feature = "derive")]
pub use wal_derive::{WalRecord, WalSchema};

/// What else a walk over the records of a log meets.
pub mod read {
    #[cfg(feature = "futures")]
    pub use crate::{event::stream::EventStream, log::TailStream};
    pub use crate::{
        log::{Follow, Location, RecordKind, RevIter},
        position::ParsePositionError,
    };
}

/// The formats in which events are written.
pub mod codec {
    #[cfg(feature = "bincode")]
    pub use crate::event::codec::Bincode;
    #[cfg(feature = "json")]
    pub use crate::event::codec::Json;
    #[cfg(feature = "postcard")]
    pub use crate::event::codec::Postcard;
    pub use crate::event::codec::{Codec, CodecError, CodecId, DefaultCodec};
}

/// What events look like, and reading them without their types.
pub mod schema {
    pub use crate::event::{
        schema::{Part, Shape, ShapeError, ShapeField, ShapeItem, ShapeVariant},
        value::{Difference, EventSchema, Schemas, Value},
    };
}

/// What opening a log finds, and looking at a log in whatever state it is.
pub mod recovery {
    pub use crate::{
        error::{Corruption, CorruptionReason, LockHolder},
        log::{
            Copied, CopyFault, Cut, Epoch, FileFault, Group, Groups, Inspection, ManifestCopy,
            RecoveryReport, Repair, RepairStep, Rule, Salvage, SalvageItem, Segment, SegmentInfo,
            SegmentState, Touched, VerifyConfig, VerifyProgress, VerifyReport, Violation, groups, inspect,
            repair, salvage, segments, verify, verify_path, writer,
        },
    };
}

/// Where a log is kept.
pub mod store {
    pub use crate::{
        config::{NotMapped, StagingInUse},
        pool::Background,
        storage::{FileStore, Identity, MemStore, SegmentedStore, SideFile, SideFiles, WalStore},
    };
}
