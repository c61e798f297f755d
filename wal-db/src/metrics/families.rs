//! Every figure of a log with its name, unit, labels and meaning: what is printed, and what is handed to a recorder.

use std::time::Duration;

use super::{
    Metrics, Wait,
    text::{
        Kind::{self, Counter, Gauge, Histogram},
        Label, Sample,
    },
};

/// Figures of one kind under one name.
pub(crate) struct Family {
    /// Without what its kind adds to it; ends with the unit, if it has one.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) help: &'static str,
    pub(crate) samples: fn(&Metrics) -> Vec<(Label, Sample<'_>)>,
}

const fn family(
    name: &'static str,
    kind: Kind,
    help: &'static str,
    samples: fn(&Metrics) -> Vec<(Label, Sample<'_>)>,
) -> Family {
    Family {
        name,
        kind,
        help,
        samples,
    }
}

fn whole<'a>(value: u64) -> Vec<(Label, Sample<'a>)> {
    vec![(None, Sample::Whole(value))]
}

fn seconds<'a>(value: Duration) -> Vec<(Label, Sample<'a>)> {
    vec![(None, Sample::Part(value.as_secs_f64()))]
}

fn spread(histogram: &super::Histogram) -> Vec<(Label, Sample<'_>)> {
    vec![(None, Sample::Histogram(histogram))]
}

/// One sample for each value of a label.
fn by<'a, const N: usize>(
    label: &'static str,
    samples: [(&'static str, Sample<'a>); N],
) -> Vec<(Label, Sample<'a>)> {
    let labelled = samples.into_iter();
    labelled
        .map(|(value, sample)| (Some((label, value)), sample))
        .collect()
}

fn by_reason<'a>(log: &Metrics, sample: fn(&Wait) -> Sample<'a>) -> Vec<(Label, Sample<'a>)> {
    let waits = [
        ("ring", &log.waits_for_ring),
        ("space", &log.waits_for_space),
        ("backlog", &log.waits_for_backlog),
        ("cut", &log.waits_for_cut),
    ];
    by("reason", waits.map(|(reason, wait)| (reason, sample(wait))))
}

fn ends<'a>(head: u64, tail: u64) -> Vec<(Label, Sample<'a>)> {
    by(
        "end",
        [("head", Sample::Whole(head)), ("tail", Sample::Whole(tail))],
    )
}

/// In the order of a record's way to the disk; after that what there is, and what opening has found.
pub(crate) static FAMILIES: &[Family] = &[
    family(
        "wal_appends",
        Counter,
        "Records that were appended and written to the store.",
        |log| whole(log.appends),
    ),
    family(
        "wal_append_bytes",
        Counter,
        "Bytes of the records that were appended and written to the store.",
        |log| whole(log.append_bytes),
    ),
    family(
        "wal_append_waits",
        Counter,
        "Waits of appends: for staging memory, for space on the disk, for the backlog of what is not flushed, for a cut.",
        |log| by_reason(log, |wait| Sample::Whole(wait.count)),
    ),
    family(
        "wal_append_wait_seconds",
        Counter,
        "Time that appends have waited, all threads together.",
        |log| by_reason(log, |wait| Sample::Part(wait.time.as_secs_f64())),
    ),
    family(
        "wal_groups",
        Counter,
        "Groups of records that were written to the store.",
        |log| whole(log.groups),
    ),
    family(
        "wal_write_bytes",
        Counter,
        "Bytes that were written to the store: groups with all that is around their records, and zeros ahead of them.",
        |log| {
            by(
                "kind",
                [
                    ("groups", Sample::Whole(log.group_bytes)),
                    ("zeros", Sample::Whole(log.zero_bytes)),
                ],
            )
        },
    ),
    family(
        "wal_write_duration_seconds",
        Histogram,
        "Time of a write to the store, without a flush.",
        |log| spread(&log.write),
    ),
    family(
        "wal_fsyncs",
        Counter,
        "Flushes of the store that ended well, and durable writes of a copy of the manifest.",
        |log| {
            let counts = [("log", &log.fsync), ("manifest", &log.manifest)];
            by(
                "file",
                counts.map(|(file, fsync)| (file, Sample::Whole(fsync.count()))),
            )
        },
    ),
    family(
        "wal_fsync_duration_seconds",
        Histogram,
        "Time of a flush of the store, and of a durable write of a copy of the manifest.",
        |log| {
            let fsyncs = [("log", &log.fsync), ("manifest", &log.manifest)];
            by(
                "file",
                fsyncs.map(|(file, fsync)| (file, Sample::Histogram(fsync))),
            )
        },
    ),
    family(
        "wal_slow_fsyncs",
        Counter,
        "Flushes of the store that took as long as the threshold for slow ones, or longer.",
        |log| whole(log.slow_fsyncs),
    ),
    family(
        "wal_fsync_pending_seconds",
        Gauge,
        "How long the flush that goes on has taken by now; 0 if none does.",
        |log| seconds(log.fsync_pending),
    ),
    family(
        "wal_commits",
        Counter,
        "Commits that made something durable.",
        |log| whole(log.commit.count()),
    ),
    family(
        "wal_commit_duration_seconds",
        Histogram,
        "Time of a commit, from the write of what was appended to its durability.",
        |log| spread(&log.commit),
    ),
    family(
        "wal_commit_records",
        Histogram,
        "Records that a commit made durable.",
        |log| spread(&log.commit_records),
    ),
    family(
        "wal_commit_bytes",
        Histogram,
        "Bytes of the log that a commit made durable.",
        |log| spread(&log.commit_bytes),
    ),
    family(
        "wal_commit_waiters",
        Histogram,
        "Threads and tickets that a commit answered at once; tasks are not counted.",
        |log| spread(&log.commit_waiters),
    ),
    family(
        "wal_full",
        Counter,
        "Times that the disk had no space: for a record, or for a group of records.",
        |log| whole(log.full),
    ),
    family("wal_rotations", Counter, "Segments that were begun.", |log| {
        whole(log.rotations)
    }),
    family(
        "wal_truncations",
        Counter,
        "Truncations that removed something, by the end of the log at which they did.",
        |log| ends(log.head_truncations, log.tail_truncations),
    ),
    family(
        "wal_truncated_bytes",
        Counter,
        "Bytes that were removed from the log, by the end from which they were.",
        |log| ends(log.head_truncated_bytes, log.tail_truncated_bytes),
    ),
    family(
        "wal_staged_bytes",
        Gauge,
        "Bytes that were appended and are not in the store yet.",
        |log| whole(log.staged_bytes),
    ),
    family(
        "wal_undurable_bytes",
        Gauge,
        "Bytes that were appended and are not durable yet.",
        |log| whole(log.undurable_bytes),
    ),
    family(
        "wal_undurable_age_seconds",
        Gauge,
        "For how long something has waited to be flushed, as far as collections have seen it; 0 if nothing waits.",
        |log| seconds(log.undurable_age),
    ),
    family("wal_head_lsn", Gauge, "Where the log starts.", |log| {
        whole(log.head.get())
    }),
    family("wal_end_lsn", Gauge, "Where the log ends.", |log| {
        whole(log.end.get())
    }),
    family(
        "wal_durable_lsn",
        Gauge,
        "Every record before it is durable.",
        |log| whole(log.durable.get()),
    ),
    family(
        "wal_records",
        Gauge,
        "Records in the store, from the head on.",
        |log| whole(log.records),
    ),
    family(
        "wal_size_bytes",
        Gauge,
        "Bytes of the log from its first record on, framing included.",
        |log| whole(log.size_bytes),
    ),
    family(
        "wal_segments",
        Gauge,
        "Segment files from the head to the end; 0 for a log that has none.",
        |log| whole(log.segments),
    ),
    family(
        "wal_timeline_entries",
        Gauge,
        "Entries of the manifest's timeline, of which there is a largest number.",
        |log| whole(log.timeline_entries),
    ),
    family(
        "wal_poisoned",
        Gauge,
        "1 if a write or a flush has failed, after which the log takes nothing more.",
        |log| whole(u64::from(log.poisoned)),
    ),
    family(
        "wal_open_duration_seconds",
        Gauge,
        "Time that opening the log took.",
        |log| seconds(log.open_duration),
    ),
    family(
        "wal_clean_open",
        Gauge,
        "1 if nothing had to be recovered when the log was opened.",
        |log| whole(u64::from(log.clean_open)),
    ),
    family(
        "wal_recovered_records",
        Gauge,
        "Records that opening found after the manifest's mark, and in the staging memory of a dead process.",
        |log| {
            by(
                "from",
                [
                    ("store", Sample::Whole(log.recovered_from_store)),
                    ("staging", Sample::Whole(log.recovered_from_staging)),
                ],
            )
        },
    ),
    family(
        "wal_recovery_cut_bytes",
        Gauge,
        "Bytes that opening cut off the end of the log.",
        |log| whole(log.recovery_cut_bytes),
    ),
];
