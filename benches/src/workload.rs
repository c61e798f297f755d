//! The table of workloads.

pub(crate) use crate::job::{Extra, Job, Typed};
use crate::watch::Watch;

/// One line of the comparison: a job under a contract, at one size and number of threads.
#[derive(Clone, Copy)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) job: Job,
    /// Threads that share one log.
    pub(crate) threads: u32,
    /// Payload bytes of one record.
    pub(crate) bytes: usize,
    /// Records in a run, over all threads.
    pub(crate) count: u64,
    /// The same for a quick comparison.
    pub(crate) quick_count: u64,
    pub(crate) watch: Watch,
    pub(crate) when: When,
}

/// When a workload that is not named is run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum When {
    Always,
    /// Unless it has to be quick.
    Unhurried,
    /// With `--all`: it takes minutes or gigabytes, or stands between two others.
    All,
}

impl Workload {
    const fn new(name: &'static str, job: Job, threads: u32, bytes: usize, counts: (u64, u64)) -> Workload {
        Workload {
            name,
            job,
            threads,
            bytes,
            count: counts.0,
            quick_count: counts.1,
            watch: Watch::Nothing,
            when: When::Always,
        }
    }

    const fn when(self, when: When) -> Workload {
        Workload { when, ..self }
    }

    const fn watching(self, watch: Watch) -> Workload {
        Workload { watch, ..self }
    }

    /// Whether logs of several contenders may not fit on the disk together.
    pub(crate) fn is_big(&self) -> bool {
        self.job.needs_log() && self.count * self.bytes as u64 > BIG_BYTES
    }
}

/// Records of `payload` bytes after an 8-byte header that fill `log_bytes`.
const fn records_in(log_bytes: u64, payload: u64) -> u64 {
    log_bytes / (payload + 8)
}

/// Counts for a log of `mib`, and of an eighth of that in a hurry.
const fn log_of(mib: u64, payload: u64) -> (u64, u64) {
    let records = records_in(mib * MIB, payload);
    (records, records / 8)
}

const MIB: u64 = 1 << 20;
const BIG_BYTES: u64 = 700 * MIB;

/// Records of 64 bytes that fit the staging memory of 8 MiB with room to spare.
const BURST: u64 = 50_000;

/// Append runs are sustained: at least half a million small records, several times what a log may stage in
/// memory, and, unless named so, below 512 MiB, so that the kernel's limit on dirty pages stays out of the figure.
pub(crate) const WORKLOADS: &[Workload] = &[
    Workload::new("append-64-1t", Job::Append, 1, 64, (4_000_000, 600_000)),
    Workload::new("append-64-2t", Job::Append, 2, 64, (4_000_000, 600_000)).when(When::Unhurried),
    Workload::new("append-64-4t", Job::Append, 4, 64, (4_000_000, 600_000)),
    Workload::new("append-64-8t", Job::Append, 8, 64, (4_000_000, 600_000)).when(When::Unhurried),
    Workload::new("append-64-16t", Job::Append, 16, 64, (4_000_000, 600_000)).when(When::Unhurried),
    Workload::new("append-256-1t", Job::Append, 1, 256, (1_000_000, 200_000)),
    Workload::new("append-256-2t", Job::Append, 2, 256, (1_000_000, 200_000)).when(When::All),
    Workload::new("append-256-4t", Job::Append, 4, 256, (1_000_000, 200_000)).when(When::Unhurried),
    Workload::new("append-256-16t", Job::Append, 16, 256, (1_000_000, 200_000)).when(When::All),
    Workload::new("append-1024-1t", Job::Append, 1, 1024, (400_000, 64_000)),
    Workload::new("append-1024-2t", Job::Append, 2, 1024, (400_000, 64_000)).when(When::All),
    Workload::new("append-1024-4t", Job::Append, 4, 1024, (400_000, 64_000)).when(When::Unhurried),
    Workload::new("append-1024-16t", Job::Append, 16, 1024, (400_000, 64_000)).when(When::All),
    Workload::new("append-16384-1t", Job::Append, 1, 16384, (24_000, 4_000)).when(When::Unhurried),
    Workload::new("append-16384-2t", Job::Append, 2, 16384, (24_000, 4_000)).when(When::All),
    Workload::new("append-16384-4t", Job::Append, 4, 16384, (24_000, 4_000)).when(When::All),
    Workload::new("append-16384-16t", Job::Append, 16, 16384, (24_000, 4_000)).when(When::All),
    Workload::new("burst-64-1t", Job::Append, 1, 64, (40 * BURST, 12 * BURST)).watching(Watch::Bursts(BURST)),
    Workload::new(
        "append-64-sustained",
        Job::Append,
        1,
        64,
        (60_000_000, 60_000_000),
    )
    .when(When::All),
    Workload::new(
        "append-16384-sustained",
        Job::Append,
        1,
        16384,
        log_of(8192, 16384),
    )
    .when(When::All),
    Workload::new(
        "append-64-batch-10",
        Job::AppendBatch(10),
        1,
        64,
        (4_000_000, 600_000),
    ),
    Workload::new(
        "append-64-batch-100",
        Job::AppendBatch(100),
        1,
        64,
        (4_000_000, 600_000),
    ),
    Workload::new("append-latency-64-1t", Job::Append, 1, 64, (4_000_000, 600_000)).watching(Watch::Latency),
    Workload::new("append-latency-64-16t", Job::Append, 16, 64, (4_000_000, 600_000))
        .watching(Watch::Latency)
        .when(When::Unhurried),
    Workload::new(
        "append-latency-rotating",
        Job::Extra(Extra::AppendRotating),
        1,
        64,
        (4_000_000, 600_000),
    )
    .when(When::Unhurried),
    Workload::new(
        "append-latency-truncating",
        Job::Extra(Extra::AppendTruncating),
        1,
        64,
        (4_000_000, 600_000),
    )
    .when(When::Unhurried),
    Workload::new("commit-256-1t", Job::Commit, 1, 256, (6_000, 300)),
    Workload::new("commit-256-2t", Job::Commit, 2, 256, (8_000, 1_000)).when(When::Unhurried),
    Workload::new("commit-256-8t", Job::Commit, 8, 256, (20_000, 2_400)),
    Workload::new("commit-256-32t", Job::Commit, 32, 256, (64_000, 8_000)),
    Workload::new("commit-256-64t", Job::Commit, 64, 256, (128_000, 16_000)).when(When::Unhurried),
    Workload::new("commit-256-256t", Job::Commit, 256, 256, (256_000, 25_600)).when(When::Unhurried),
    Workload::new(
        "commit-pipelined",
        Job::Extra(Extra::CommitPipelined(1000)),
        1,
        256,
        (200_000, 40_000),
    ),
    Workload::new("commit-mixed", Job::Extra(Extra::CommitMixed), 2, 256, (200, 60)).when(When::Unhurried),
    Workload::new(
        "commit-share-8t",
        Job::Extra(Extra::CommitShare),
        8,
        256,
        (20_000, 2_400),
    )
    .when(When::All),
    Workload::new(
        "commit-share-32t",
        Job::Extra(Extra::CommitShare),
        32,
        256,
        (64_000, 8_000),
    )
    .when(When::Unhurried),
    Workload::new(
        "commit-share-64t",
        Job::Extra(Extra::CommitShare),
        64,
        256,
        (128_000, 16_000),
    )
    .when(When::Unhurried),
    Workload::new("replay-64", Job::Replay, 1, 64, (2_000_000, 300_000)),
    Workload::new("replay-16384", Job::Replay, 1, 16384, (12_000, 2_000)),
    Workload::new("replay-cold-64", Job::ReplayCold, 1, 64, (2_000_000, 300_000)).when(When::Unhurried),
    Workload::new("replay-cold-16384", Job::ReplayCold, 1, 16384, (12_000, 2_000)).when(When::Unhurried),
    Workload::new("replay-4096-64m", Job::Replay, 1, 4096, log_of(64, 4096)).when(When::Unhurried),
    Workload::new("replay-4096-1g", Job::Replay, 1, 4096, log_of(1024, 4096)).when(When::All),
    Workload::new("replay-4096-8g", Job::Replay, 1, 4096, log_of(8192, 4096)).when(When::All),
    Workload::new(
        "replay-memory-256m",
        Job::ReplayMemory,
        1,
        4096,
        log_of(256, 4096),
    )
    .when(When::Unhurried),
    Workload::new("replay-memory-8g", Job::ReplayMemory, 1, 4096, log_of(8192, 4096)).when(When::All),
    Workload::new(
        "read-random-256",
        Job::Extra(Extra::PointReads),
        1,
        256,
        (400_000, 100_000),
    ),
    Workload::new(
        "seek-time",
        Job::Extra(Extra::SeekTime),
        1,
        256,
        (400_000, 100_000),
    )
    .when(When::Unhurried),
    Workload::new("follow-delay", Job::Extra(Extra::Follow), 1, 256, (4_000, 400)).when(When::Unhurried),
    Workload::new(
        "append-typed",
        Job::Typed(Typed::Append),
        1,
        45,
        (4_000_000, 400_000),
    ),
    Workload::new(
        "decode-typed",
        Job::Typed(Typed::Decode),
        1,
        45,
        (10_000_000, 1_000_000),
    ),
    Workload::new(
        "decode-ref",
        Job::Typed(Typed::DecodeRef),
        1,
        45,
        (20_000_000, 2_000_000),
    ),
    Workload::new(
        "upcast-3",
        Job::Typed(Typed::Upcast),
        1,
        41,
        (10_000_000, 1_000_000),
    ),
    Workload::new(
        "flights-append",
        Job::Typed(Typed::FlightsAppend),
        1,
        FLIGHT_BYTES,
        (2_000_000, 400_000),
    ),
    Workload::new(
        "flights-replay",
        Job::Typed(Typed::FlightsReplay),
        1,
        FLIGHT_BYTES,
        (2_000_000, 400_000),
    ),
    Workload::new(
        "flights-replay-ref",
        Job::Typed(Typed::FlightsReplayRef),
        1,
        FLIGHT_BYTES,
        (2_000_000, 400_000),
    ),
    Workload::new("open-clean-64m", Job::OpenClean, 1, 4096, log_of(64, 4096)),
    Workload::new("open-clean-1g", Job::OpenClean, 1, 4096, log_of(1024, 4096)).when(When::All),
    Workload::new("open-clean-8g", Job::OpenClean, 1, 4096, log_of(8192, 4096)).when(When::All),
    Workload::new(
        "open-crashed-64m",
        Job::Extra(Extra::OpenCrashed),
        1,
        4096,
        log_of(64, 4096),
    )
    .when(When::Unhurried),
    Workload::new(
        "open-crashed-1g",
        Job::Extra(Extra::OpenCrashed),
        1,
        4096,
        log_of(1024, 4096),
    )
    .when(When::All),
    Workload::new(
        "open-crashed-8g",
        Job::Extra(Extra::OpenCrashed),
        1,
        4096,
        log_of(8192, 4096),
    )
    .when(When::All),
    Workload::new(
        "truncate-before-64m",
        Job::Extra(Extra::TruncateBefore),
        1,
        4096,
        log_of(64, 4096),
    )
    .when(When::Unhurried),
    Workload::new(
        "truncate-before-1g",
        Job::Extra(Extra::TruncateBefore),
        1,
        4096,
        log_of(1024, 4096),
    )
    .when(When::All),
    Workload::new(
        "truncate-before-8g",
        Job::Extra(Extra::TruncateBefore),
        1,
        4096,
        log_of(8192, 4096),
    )
    .when(When::All),
];

/// Payload bytes of the average flight event, as the codec writes it.
pub(crate) const FLIGHT_BYTES: usize = 22;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_thread_gets_the_same_share() {
        for (index, workload) in WORKLOADS.iter().enumerate() {
            assert!(WORKLOADS[..index].iter().all(|other| other.name != workload.name));
            for count in [workload.count, workload.quick_count] {
                assert_eq!(count % u64::from(workload.threads), 0, "{}", workload.name);
            }
        }
    }

    #[test]
    fn append_runs_fill_any_staging_and_stay_below_512_mib_unless_named_otherwise() {
        for workload in WORKLOADS.iter().filter(|workload| workload.job == Job::Append) {
            let size = |count: u64| count * (workload.bytes as u64 + 8);
            let sustained = workload.name.ends_with("sustained");
            assert_eq!(size(workload.count) > 512 * MIB, sustained, "{}", workload.name);
            assert!(size(workload.quick_count) > 40 * MIB, "{}", workload.name);
        }
    }

    #[test]
    fn only_what_was_asked_for_takes_gigabytes() {
        let big = WORKLOADS.iter().filter(|workload| workload.is_big());
        assert!(big.clone().count() > 5);
        assert!(big.clone().all(|workload| workload.when == When::All));
    }

    #[test]
    fn runs_in_bursts_are_whole_bursts() {
        for workload in WORKLOADS {
            if let Watch::Bursts(burst) = workload.watch {
                assert_eq!((workload.count % burst, workload.quick_count % burst), (0, 0));
            }
        }
    }
}
