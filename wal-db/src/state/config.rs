//! What a store is told when it is opened, and what it says of that.

use std::{fmt, time::Duration};

use super::{
    PassedOver, Snapshot, State,
    snapshots::{Keeper, Settings},
};
use crate::{
    error::{Result, WalError},
    event::{
        EventLog, WalDecodeOwned,
        codec::{Codec, DefaultCodec},
    },
    format::snapshot::is_name,
};

/// Settings of a [`Store`](super::Store).
///
#[cfg_attr(feature = "derive", doc = "```")]
#[cfg_attr(not(feature = "derive"), doc = "```ignore")]
/// # use serde::{Deserialize, Serialize};
/// use wal_db::{MemStore, Wal, WalRecord, state::{At, State, StoreConfig}};
///
/// #[derive(Serialize, Deserialize, WalRecord)]
/// #[wal(name = "paid")]
/// struct Paid(u64);
///
/// #[derive(Default, Serialize, Deserialize, WalRecord)]
/// #[wal(name = "sum")]
/// struct Sum(u64);
///
/// impl State for Sum {
///     type Event = Paid;
///     fn apply(&mut self, event: Paid, _: At) { self.0 += event.0; }
/// }
///
/// let memory = MemStore::new();
/// let log = Wal::with_store(memory.clone())?.typed::<Paid>()?;
/// let sum = log.store::<Sum>(StoreConfig::new().with_snapshots("sum"))?;
/// sum.commit(Paid(5))?;
/// sum.snapshot()?;
/// sum.commit(Paid(2))?;
/// drop((sum, log));
///
/// let log = Wal::with_store(memory)?.typed::<Paid>()?;
/// let sum = log.store::<Sum>(StoreConfig::new().with_snapshots("sum"))?;
/// assert_eq!(sum.peek(|sum| sum.0)?, 7);
/// assert_eq!(sum.recovery().events, 1); // the other one was in the snapshot
/// # Ok::<(), wal_db::WalError>(())
/// ```
#[must_use = "it changes nothing by itself"]
pub struct StoreConfig<S: State, C: Codec = DefaultCodec> {
    pub(super) others: bool,
    snapshots: Option<Settings<S, C>>,
    every_bytes: Option<u64>,
}

impl<S: State, C: Codec> StoreConfig<S, C> {
    /// The defaults.
    pub fn new() -> Self {
        StoreConfig {
            others: false,
            snapshots: None,
            every_bytes: None,
        }
    }

    /// Keeps snapshots of the state under this name, so that opening a store reads the newest one and the events after it,
    /// and not the whole log. The state is a [`WalRecord`](crate::WalRecord): its type may change as those of events may.
    ///
    /// One is made each time that 64 MiB of log were appended ([`with_snapshot_every`](Self::with_snapshot_every)), in a
    /// thread of its own that reads the last snapshot and the durable events after it. Decisions do not wait for it; dropping
    /// the last handle of the store stops it, and waits for that. It needs a second state in memory for as long as it takes, and the bytes
    /// of one; a third if [`EventLog::with_read_back`] is on, as it is in a debug build. The newest two are kept.
    ///
    /// Several states that change together are a struct of them with one name.
    ///
    /// A name has up to 64 lowercase letters, digits, `_` and `-`. Its files are in `state` in the directory of the log, and
    /// in `LOG.state` beside a log in one file; `docs/format.md` says what is in them.
    pub fn with_snapshots(mut self, name: impl Into<String>) -> Self
    where
        S: WalDecodeOwned + 'static,
        S::Event: 'static,
    {
        self.snapshots = Some(Settings::new(name.into()));
        self
    }

    /// After how many bytes of log, framing included, a snapshot is made in the background; `u64::MAX` for only those that
    /// [`Store::snapshot`](super::Store::snapshot) makes. It bounds what opening the store has to replay.
    pub fn with_snapshot_every(mut self, bytes: u64) -> Self {
        self.every_bytes = Some(bytes);
        self
    }

    /// Whether the log may hold records of other types, which are passed over as
    /// [`Replay::among_others`](crate::Replay::among_others) does. If not, which is the default, such a record is an error.
    pub fn with_others(mut self, others: bool) -> Self {
        self.others = others;
        self
    }
}

impl<S: State, C: Codec> Default for StoreConfig<S, C> {
    fn default() -> Self {
        StoreConfig::new()
    }
}

impl<S: State, C: Codec> Clone for StoreConfig<S, C> {
    fn clone(&self) -> Self {
        StoreConfig {
            snapshots: self.snapshots.clone(),
            ..*self
        }
    }
}

impl<S: State, C: Codec> fmt::Debug for StoreConfig<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreConfig")
            .field("others", &self.others)
            .field(
                "snapshots",
                &self.snapshots.as_ref().map(|settings| &settings.name),
            )
            .field("every_bytes", &self.every_bytes)
            .finish()
    }
}

/// What a store was made from, from [`Store::recovery`](super::Store::recovery).
#[derive(Debug)]
#[non_exhaustive]
pub struct StoreRecovery {
    /// The snapshot that it began with; `None` if that was the beginning of the log.
    pub snapshot: Option<Snapshot>,
    /// Newer snapshots that could not be used, and why.
    pub passed_over: Vec<PassedOver>,
    /// How many events were read from the log after it.
    pub events: u64,
    /// How long all that took.
    pub took: Duration,
}

impl<S: State, C: Codec> StoreConfig<S, C> {
    pub(super) fn keeper(
        &self,
        log: &EventLog<S::Event, C>,
        fresh: fn() -> S,
    ) -> Result<Option<Keeper<S, C>>> {
        let Some(mut settings) = self.snapshots.clone() else {
            return match self.every_bytes {
                None => Ok(None),
                Some(_) => Err(WalError::Config {
                    what: "with_snapshot_every says nothing without StoreConfig::with_snapshots".to_owned(),
                }),
            };
        };
        if !is_name(&settings.name) {
            let what = format!(
                "`{}` is no name for snapshots: it has up to 64 lowercase letters, digits, `_` and `-`",
                settings.name
            );
            return Err(WalError::Config { what });
        }
        settings.every_bytes = self.every_bytes.unwrap_or(settings.every_bytes).max(1);
        Keeper::new(settings, log, self.others, fresh).map(Some)
    }
}
