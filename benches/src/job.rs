//! What a contender is asked to do, and in which unit the answer is.

use std::time::Duration;

use crate::watch::Watch;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Job {
    /// Append every record under C1; only the appends are timed.
    Append,
    /// The same in batches of so many records.
    AppendBatch(usize),
    /// Append every record under C2, one durable call per record.
    Commit,
    /// Walk a closed log whose bytes are in the page cache, checksums verified.
    Replay,
    /// Open and walk a closed log whose bytes were dropped from the page cache.
    ReplayCold,
    /// The same in a process of its own, whose memory is watched.
    ReplayMemory,
    /// Open a cleanly closed log.
    OpenClean,
    /// Typed events.
    Typed(Typed),
    /// What only some logs can do.
    Extra(Extra),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Typed {
    /// Encode and append.
    Append,
    /// Decode a record in memory as a type that owns its data.
    Decode,
    /// Decode a record in memory as a type that borrows from it.
    DecodeRef,
    /// Decode a record of a version three steps back.
    Upcast,
    /// Encode and append the flights of the examples.
    FlightsAppend,
    /// Walk a log of flights, each decoded as a type that owns its data.
    FlightsReplay,
    /// Walk a log of flights, each decoded as a type that borrows from the record.
    FlightsReplayRef,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Extra {
    /// One thread commits without waiting for each, so many in flight.
    CommitPipelined(usize),
    /// One thread commits while another appends at full speed; the commits count.
    CommitMixed,
    /// Commit, and count how many waiting threads each flush carries.
    CommitShare,
    /// Read records by their LSN, in random order.
    PointReads,
    /// Find the first record at or after random times.
    SeekTime,
    /// One thread commits and another follows the log.
    Follow,
    /// Open a log whose writer was killed: a child appends and kills itself.
    OpenCrashed,
    /// Drop the oldest part of a log.
    TruncateBefore,
    /// Append through many small segments.
    AppendRotating,
    /// The same while another thread drops old segments.
    AppendTruncating,
}

impl Job {
    pub(crate) fn contract(self) -> &'static str {
        match self {
            Job::Append | Job::AppendBatch(_) | Job::Typed(Typed::Append | Typed::FlightsAppend) => "C1",
            Job::Extra(Extra::AppendRotating | Extra::AppendTruncating) => "C1",
            Job::Commit => "C2",
            Job::Extra(
                Extra::CommitPipelined(_) | Extra::CommitMixed | Extra::CommitShare | Extra::Follow,
            ) => "C2",
            _ => "-",
        }
    }

    pub(crate) fn unit(self) -> Unit {
        match self {
            Job::Commit | Job::Extra(Extra::CommitPipelined(_) | Extra::CommitMixed) => {
                Unit::CommitsPerSecond
            }
            Job::OpenClean | Job::Extra(Extra::OpenCrashed) => Unit::UsPerOpen,
            Job::ReplayMemory => Unit::PeakMib,
            Job::Extra(Extra::CommitShare) => Unit::PartOfWaiting,
            Job::Extra(Extra::SeekTime | Extra::TruncateBefore) => Unit::UsPerCall,
            Job::Extra(Extra::Follow) => Unit::UsDelay,
            _ => Unit::NsPerRecord,
        }
    }

    /// Whether rounds read one log, which is written before the first.
    pub(crate) fn needs_log(self) -> bool {
        matches!(
            self,
            Job::Replay
                | Job::ReplayCold
                | Job::ReplayMemory
                | Job::OpenClean
                | Job::Extra(
                    Extra::PointReads | Extra::SeekTime | Extra::OpenCrashed | Extra::TruncateBefore
                )
        )
    }

    /// What is watched in every run of the job. A reading of the clock costs nothing beside a commit.
    pub(crate) fn watch(self) -> Watch {
        match self {
            Job::Commit
            | Job::Extra(
                Extra::CommitMixed | Extra::Follow | Extra::AppendRotating | Extra::AppendTruncating,
            ) => Watch::Latency,
            _ => Watch::Nothing,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unit {
    NsPerRecord,
    CommitsPerSecond,
    UsPerOpen,
    UsPerCall,
    UsDelay,
    PeakMib,
    PartOfWaiting,
}

impl Unit {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Unit::NsPerRecord => "ns/record",
            Unit::CommitsPerSecond => "commits/s",
            Unit::UsPerOpen => "us/open",
            Unit::UsPerCall => "us/call",
            Unit::UsDelay => "us/delay",
            Unit::PeakMib => "MiB/peak",
            Unit::PartOfWaiting => "waiting",
        }
    }

    pub(crate) fn more_is_better(self) -> bool {
        matches!(self, Unit::CommitsPerSecond | Unit::PartOfWaiting)
    }

    /// How many times as fast `figure` is as `base`.
    pub(crate) fn speed_ratio(self, figure: f64, base: f64) -> f64 {
        if self.more_is_better() {
            figure / base
        } else {
            base / figure
        }
    }

    /// A run of `count` records that took `elapsed`, in this unit.
    pub(crate) fn figure(self, elapsed: Duration, count: u64) -> f64 {
        let seconds = elapsed.as_secs_f64();
        match self {
            Unit::NsPerRecord => seconds * 1e9 / count as f64,
            Unit::CommitsPerSecond => count as f64 / seconds,
            Unit::UsPerCall | Unit::UsDelay => seconds * 1e6 / count as f64,
            Unit::UsPerOpen => seconds * 1e6,
            Unit::PeakMib | Unit::PartOfWaiting => f64::NAN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_above_one_is_faster_whatever_the_unit() {
        for unit in [Unit::NsPerRecord, Unit::UsPerOpen, Unit::UsDelay, Unit::PeakMib] {
            assert_eq!(unit.speed_ratio(10.0, 50.0), 5.0);
        }
        assert_eq!(Unit::UsPerOpen.speed_ratio(50.0, 10.0), 0.2);
        assert_eq!(Unit::CommitsPerSecond.speed_ratio(50.0, 10.0), 5.0);
        assert_eq!(Unit::PartOfWaiting.speed_ratio(0.5, 1.0), 0.5);
    }

    #[test]
    fn figures_are_in_the_unit_they_are_labelled_with() {
        let second = Duration::from_secs(1);
        assert_eq!(Unit::NsPerRecord.figure(second, 1_000_000), 1_000.0);
        assert_eq!(Unit::CommitsPerSecond.figure(second * 2, 1_000), 500.0);
        assert_eq!(Unit::UsPerOpen.figure(second, 77), 1_000_000.0);
        assert_eq!(Unit::UsPerCall.figure(second, 1_000), 1_000.0);
    }
}
