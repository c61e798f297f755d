//! The table of workloads.

/// One line of the comparison: a job under a contract, at one size and number of threads.
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
}

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
    /// Open a cleanly closed log.
    OpenClean,
    /// Typed events.
    Typed(Typed),
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
}

impl Job {
    pub(crate) fn contract(self) -> &'static str {
        match self {
            Job::Append | Job::AppendBatch(_) | Job::Typed(Typed::Append) => "C1",
            Job::Commit => "C2",
            Job::Replay | Job::OpenClean | Job::Typed(_) => "-",
        }
    }

    pub(crate) fn unit(self) -> Unit {
        match self {
            Job::Append | Job::AppendBatch(_) | Job::Replay | Job::Typed(_) => Unit::NsPerRecord,
            Job::Commit => Unit::CommitsPerSecond,
            Job::OpenClean => Unit::UsPerOpen,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unit {
    NsPerRecord,
    CommitsPerSecond,
    UsPerOpen,
}

impl Unit {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Unit::NsPerRecord => "ns/record",
            Unit::CommitsPerSecond => "commits/s",
            Unit::UsPerOpen => "us/open",
        }
    }

    /// How many times as fast `figure` is as `base`.
    pub(crate) fn speed_ratio(self, figure: f64, base: f64) -> f64 {
        match self {
            Unit::NsPerRecord | Unit::UsPerOpen => base / figure,
            Unit::CommitsPerSecond => figure / base,
        }
    }
}

/// Records of `payload` bytes behind an 8-byte header that fill `log_bytes`.
const fn records_in(log_bytes: u64, payload: u64) -> u64 {
    log_bytes / (payload + 8)
}

const MIB: u64 = 1 << 20;

/// Append runs are sustained: at least 2 million small records, many times what a log may stage in
/// memory, and below 512 MiB, so that the kernel's limit on dirty pages stays out of the figure.
pub(crate) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "append-64-1t",
        job: Job::Append,
        threads: 1,
        bytes: 64,
        count: 4_000_000,
        quick_count: 2_000_000,
    },
    Workload {
        name: "append-64-4t",
        job: Job::Append,
        threads: 4,
        bytes: 64,
        count: 4_000_000,
        quick_count: 2_000_000,
    },
    Workload {
        name: "append-256-1t",
        job: Job::Append,
        threads: 1,
        bytes: 256,
        count: 1_000_000,
        quick_count: 400_000,
    },
    Workload {
        name: "append-64-batch-10",
        job: Job::AppendBatch(10),
        threads: 1,
        bytes: 64,
        count: 4_000_000,
        quick_count: 2_000_000,
    },
    Workload {
        name: "append-64-batch-100",
        job: Job::AppendBatch(100),
        threads: 1,
        bytes: 64,
        count: 4_000_000,
        quick_count: 2_000_000,
    },
    Workload {
        name: "commit-256-1t",
        job: Job::Commit,
        threads: 1,
        bytes: 256,
        count: 6_000,
        quick_count: 1_500,
    },
    Workload {
        name: "commit-256-8t",
        job: Job::Commit,
        threads: 8,
        bytes: 256,
        count: 20_000,
        quick_count: 6_000,
    },
    Workload {
        name: "commit-256-32t",
        job: Job::Commit,
        threads: 32,
        bytes: 256,
        count: 64_000,
        quick_count: 16_000,
    },
    Workload {
        name: "replay-64",
        job: Job::Replay,
        threads: 1,
        bytes: 64,
        count: 2_000_000,
        quick_count: 500_000,
    },
    Workload {
        name: "append-typed",
        job: Job::Typed(Typed::Append),
        threads: 1,
        bytes: 45,
        count: 4_000_000,
        quick_count: 2_000_000,
    },
    Workload {
        name: "decode-typed",
        job: Job::Typed(Typed::Decode),
        threads: 1,
        bytes: 45,
        count: 10_000_000,
        quick_count: 2_000_000,
    },
    Workload {
        name: "decode-ref",
        job: Job::Typed(Typed::DecodeRef),
        threads: 1,
        bytes: 45,
        count: 20_000_000,
        quick_count: 4_000_000,
    },
    Workload {
        name: "upcast-3",
        job: Job::Typed(Typed::Upcast),
        threads: 1,
        bytes: 41,
        count: 10_000_000,
        quick_count: 2_000_000,
    },
    Workload {
        name: "open-clean",
        job: Job::OpenClean,
        threads: 1,
        bytes: 256,
        count: records_in(64 * MIB, 256),
        quick_count: records_in(8 * MIB, 256),
    },
    Workload {
        name: BIG,
        job: Job::OpenClean,
        threads: 1,
        bytes: 65_000,
        count: records_in(2048 * MIB, 65_000),
        quick_count: records_in(256 * MIB, 65_000),
    },
];

/// Takes minutes and gigabytes, so it runs only when it is asked for by name.
pub(crate) const BIG: &str = "open-clean-2g";

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
    fn append_runs_are_sustained_and_stay_below_512_mib() {
        for workload in WORKLOADS.iter().filter(|workload| workload.job == Job::Append) {
            let size = |count: u64| count * (workload.bytes as u64 + 8);
            assert!(size(workload.count) < 512 * MIB, "{}", workload.name);
            assert!(size(workload.quick_count) > 64 * MIB, "{}", workload.name);
            assert!(
                workload.bytes > 64 || workload.quick_count >= 2_000_000,
                "{}",
                workload.name
            );
        }
    }

    #[test]
    fn a_ratio_above_one_is_faster_whatever_the_unit() {
        assert_eq!(Unit::NsPerRecord.speed_ratio(10.0, 50.0), 5.0);
        assert_eq!(Unit::UsPerOpen.speed_ratio(50.0, 10.0), 0.2);
        assert_eq!(Unit::CommitsPerSecond.speed_ratio(50.0, 10.0), 5.0);
    }
}
