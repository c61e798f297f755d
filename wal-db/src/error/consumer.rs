//! Why a consumer cannot be used, or has stopped.

use std::error::Error;

use crate::lsn::Lsn;

/// Why a consumer cannot be used, or has stopped. Where it has come to, and which events wait, is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsumerError {
    /// Nothing is kept of a consumer of this name, and it was not said where a new one begins.
    #[error(
        "there is no consumer `{name}` beside this log; `ConsumerConfig::with_start` makes one, and where it begins is for \
        you to say: what it did before may be done again, or left out"
    )]
    #[non_exhaustive]
    Unknown {
        /// The name.
        name: String,
    },
    /// Another handle of this log has the consumer.
    #[error("the consumer `{name}` of this log has a handle already; clone that one, or take another name")]
    #[non_exhaustive]
    Exists {
        /// The name.
        name: String,
    },
    /// It is running already.
    #[error("the consumer `{name}` is running in another thread; stop it first, or use `run_in_lanes`")]
    #[non_exhaustive]
    Running {
        /// The name.
        name: String,
    },
    /// The file in which it is kept is not what was written.
    #[error(
        "the file {file} of the consumer `{name}` is damaged: {what}, at byte {offset}; restore it from a backup, or \
        `consumer::forget` it and say where to begin"
    )]
    #[non_exhaustive]
    Damaged {
        /// The name.
        name: String,
        /// The file, among the [side files](crate::store::SideFiles) of the log.
        file: String,
        /// Where that was found, in bytes from the beginning of the file.
        offset: u64,
        /// What was found.
        what: &'static str,
    },
    /// A later release wrote the file in which it is kept.
    #[error(
        "the file {file} of the consumer `{name}` is in version {version} of the format with features {features:#x}, \
        which this release does not know; use a later one"
    )]
    #[non_exhaustive]
    NewerFormat {
        /// The name.
        name: String,
        /// The file, among the [side files](crate::store::SideFiles) of the log.
        file: String,
        /// The version.
        version: u32,
        /// The feature bits.
        features: u32,
    },
    /// An event could not be handled, as often as it was tried. The next run begins with it.
    #[error(
        "the consumer `{name}` has stopped: the event at LSN {lsn} could not be handled, {attempts} times tried; mend the \
        cause and run it again, or pass the event over with `Consumer::skip`"
    )]
    #[non_exhaustive]
    Stopped {
        /// The name.
        name: String,
        /// The event.
        lsn: Lsn,
        /// How often it was tried in this run.
        attempts: u32,
        /// What the handler said the last time.
        source: Box<dyn Error + Send + Sync>,
    },
    /// So many keys wait that the consumer does not go on.
    #[error(
        "the consumer `{name}` has stopped: {max} keys are parked, and the event at LSN {lsn} of another one could not be \
        handled; mend the cause, and `Consumer::retry` or `skip` them"
    )]
    #[non_exhaustive]
    TooManyParked {
        /// The name.
        name: String,
        /// The event.
        lsn: Lsn,
        /// How many keys can be parked.
        max: usize,
        /// What the handler said the last time.
        source: Box<dyn Error + Send + Sync>,
    },
    /// No parked key waits for the event.
    #[error(
        "no parked key of the consumer `{name}` begins with an event at LSN {lsn}; `Consumer::parked` lists them"
    )]
    #[non_exhaustive]
    NotParked {
        /// The name.
        name: String,
        /// The LSN that was given.
        lsn: Lsn,
    },
    /// Records could not be dropped, because a consumer has not read them.
    #[error(
        "the consumer `{name}` needs the log from LSN {needed_from} on, {kept_bytes} bytes more than are to be kept, and \
        {max_bytes} are allowed; run it, retry or skip what it has parked, or `consumer::forget` it"
    )]
    #[non_exhaustive]
    KeepsTooMuch {
        /// The name.
        name: String,
        /// The first record that it needs.
        needed_from: Lsn,
        /// How many bytes of log are kept for it alone.
        kept_bytes: u64,
        /// What [`Retention::with_max_kept_for_consumers`](crate::Retention::with_max_kept_for_consumers) says.
        max_bytes: u64,
    },
}
