//! Counts against a model that is told of every call, where nothing happens unless a call does it.

use wal_db::{
    MemStore, Wal, WalConfig,
    metrics::Metrics,
    testing::{
        SimDisk,
        sim::{Call, Fault},
    },
};
use wal_tests::{
    assert_is,
    disk::{Disk, Op, open},
    payload, put, quiet, quiet_heap, within,
};

const SEGMENT: u64 = 64 << 10;

/// What the figures have to be.
#[derive(Debug, Default, PartialEq)]
struct Model {
    appends: u64,
    append_bytes: u64,
    commits: u64,
    committed_records: f64,
    rotations: u64,
    head_truncations: u64,
    tail_truncations: u64,
}

impl Model {
    fn of(metrics: &Metrics) -> Model {
        Model {
            appends: metrics.appends,
            append_bytes: metrics.append_bytes,
            commits: metrics.commit.count(),
            committed_records: metrics.commit_records.sum(),
            rotations: metrics.rotations,
            head_truncations: metrics.head_truncations,
            tail_truncations: metrics.tail_truncations,
        }
    }
}

#[test]
fn what_is_counted_is_what_was_done() {
    let disk = SimDisk::new();
    let wal = disk.open_segmented("log", SEGMENT, quiet()).unwrap();
    let (mut model, mut lsns, mut waiting) = (Model::default(), Vec::new(), 0);
    // Sizes up to some that have a group of their own, and three that have several segments.
    for step in 0..400usize {
        let len = match step % 97 {
            96 => 150_000,
            n if n % 31 == 30 => 70_000,
            n => n * 7,
        };
        if step % 5 == 0 {
            let batch = [payload(step, len), payload(step, 10), Vec::new()];
            lsns.extend(wal.append_batch(&batch).unwrap());
            (model.appends, waiting) = (model.appends + 3, waiting + 3);
            model.append_bytes += len as u64 + 10;
        } else {
            lsns.push(put(&wal, step, len).0);
            (model.appends, waiting) = (model.appends + 1, waiting + 1);
            model.append_bytes += len as u64;
        }
        if step % 9 == 8 {
            wal.sync().unwrap();
            model.commits += 1;
            model.committed_records += f64::from(std::mem::take(&mut waiting));
            // Nothing is left for this one.
            wal.sync().unwrap();
        }
        if step % 50 == 40 {
            wal.drain().unwrap();
            assert_eq!(wal.metrics().appends, model.appends, "step {step}");
        }
    }
    wal.sync().unwrap();
    model.commits += 1;
    model.committed_records += f64::from(waiting);
    model.rotations = (wal.end().get() - 1) / SEGMENT;
    assert_eq!(Model::of(&wal.metrics()), model);
    assert!(model.rotations > 10, "{model:?}");

    let before = wal.metrics();
    let head = wal.truncate_before(lsns[200]).unwrap();
    wal.truncate_before(lsns[100]).unwrap();
    wal.truncate_after(lsns[300]).unwrap();
    wal.truncate_after(lsns[300]).unwrap();
    let metrics = wal.metrics();
    (model.head_truncations, model.tail_truncations) = (1, 1);
    assert_eq!(Model::of(&metrics), model);
    assert_eq!((metrics.head, metrics.records), (head, 101));
    let removed = metrics.head_truncated_bytes + metrics.tail_truncated_bytes;
    let size = wal.status().bytes;
    // What is left between the cut and where the log goes on is less than a group's header and two sectors.
    assert!(
        (0..1200).contains(&(size + removed - before.size_bytes)),
        "{metrics:?}"
    );
    assert_eq!(metrics.group_bytes, before.group_bytes);
}

#[test]
fn gauges_are_what_the_status_says() {
    let disk = SimDisk::new();
    let wal = disk.open_segmented("log", SEGMENT, quiet()).unwrap();
    for step in 0..30 {
        put(&wal, step, 9_000);
        if step % 4 == 0 {
            wal.sync().unwrap();
        }
        let (metrics, status) = (wal.metrics(), wal.status());
        assert_eq!(
            (metrics.head, metrics.end, metrics.durable),
            (status.head, status.end, status.durable)
        );
        assert_eq!(
            (metrics.records, metrics.size_bytes),
            (status.records, status.bytes)
        );
        assert_eq!(
            (metrics.staged_bytes, metrics.undurable_bytes),
            (status.staged_bytes, status.undurable_bytes)
        );
        assert_eq!(metrics.segments, status.end.get() / SEGMENT + 1);
    }
    wal.truncate_before(wal.last_lsn().unwrap().unwrap()).unwrap();
    let metrics = wal.metrics();
    assert_eq!(
        metrics.segments,
        metrics.end.get() / SEGMENT - metrics.head.get() / SEGMENT + 1
    );
}

#[test]
fn a_log_that_is_opened_again_counts_from_0_and_says_what_it_has_found() {
    let disk = SimDisk::new();
    let wal = disk.open_segmented("log", SEGMENT, quiet()).unwrap();
    assert!(wal.metrics().clean_open && wal.metrics().open_duration.as_nanos() > 0);
    (0..10).for_each(|seed| drop(put(&wal, seed, 100)));
    wal.drain().unwrap();
    (10..14).for_each(|seed| drop(put(&wal, seed, 100)));
    let disk = disk.kill();
    drop(wal);
    let wal = disk.open_segmented("log", SEGMENT, quiet()).unwrap();
    let metrics = wal.metrics();
    assert_eq!(Model::of(&metrics), Model::default());
    let found = (
        metrics.recovered_from_store,
        metrics.recovered_from_staging,
        metrics.records,
    );
    assert_eq!((found, metrics.clean_open), ((10, 4, 14), false));
    assert_eq!(metrics.timeline_entries, 2);
}

#[test]
fn a_poisoned_log_says_so_and_counts_no_commit_that_failed() {
    let disk = SimDisk::new();
    let wal = disk.open("log", quiet()).unwrap();
    put(&wal, 1, 100);
    wal.sync().unwrap();
    assert!(!wal.metrics().poisoned);
    put(&wal, 2, 100);
    disk.behave(|disk| {
        disk.fault = Some(Fault {
            call: Some(Call::Sync),
            after: 0,
            error: 5,
            forever: true,
        });
    });
    wal.sync().unwrap_err();
    let metrics = wal.metrics();
    assert!(metrics.poisoned);
    assert_eq!((metrics.commit.count(), metrics.fsync.count()), (1, 1));
    assert!(metrics.fsync_pending.is_zero() && metrics.undurable_bytes > 0);
}

#[test]
fn a_disk_without_space_is_counted_for_each_record_that_it_refuses() {
    let disk = SimDisk::new();
    let wal = disk.open("log", quiet().with_staging_bytes(64 << 10)).unwrap();
    assert_eq!(wal.metrics().full, 0);
    disk.behave(|behaviour| behaviour.space = Some(0));
    // Each has a group of its own, and asks for its space before it is taken.
    let refused = |times: u64| {
        for _ in 0..times {
            while wal.append(&[7; 70_000]).is_ok() {}
        }
    };
    refused(1);
    assert_eq!(wal.metrics().full, 1);
    refused(4);
    assert_eq!(wal.metrics().full, 5);
    assert_is!(wal.metrics().waits_for_space.count, 5..);
    disk.heal();
    put(&wal, 2, 70_000);
    assert_eq!(wal.metrics().full, 5);
}

#[test]
fn an_append_that_finds_staging_memory_full_is_counted_as_one_that_waited() {
    let config = quiet_heap().with_staging_bytes(64 << 10);
    let wal = Wal::with_store_and_config(MemStore::new(), config).unwrap();
    put(&wal, 1, 1000);
    let before = wal.metrics().waits_for_ring;
    assert_eq!(before.count, 0);
    (0..1000).for_each(|seed| drop(put(&wal, seed, 1000)));
    let after = wal.metrics().waits_for_ring;
    assert!(after.count >= 10 && !after.time.is_zero(), "{after:?}");
}

#[test]
fn nothing_that_waits_has_no_age() {
    let wal = Wal::with_store_and_config(MemStore::new(), quiet_heap()).unwrap();
    assert!(wal.metrics().undurable_age.is_zero(), "of an empty log");
    put(&wal, 1, 100);
    // The first snapshot has only just seen it.
    assert!(wal.metrics().undurable_age.is_zero());
    let first = wal.metrics().undurable_age;
    assert!(!first.is_zero());
    put(&wal, 2, 100);
    let second = wal.metrics().undurable_age;
    assert!(second > first, "what came later does not make it younger");
    wal.sync().unwrap();
    assert!(wal.metrics().undurable_age.is_zero(), "after a sync");
    put(&wal, 3, 100);
    assert!(wal.metrics().undurable_age.is_zero(), "a new record is young");
}

#[test]
fn a_flush_that_hangs_is_seen_while_it_does() {
    within("figures beside a flush that hangs", || {
        let disk = Disk::new();
        let wal = open(&disk, quiet_heap());
        put(&wal, 1, 100);
        assert!(wal.metrics().fsync_pending.is_zero());
        disk.hold(Op::Sync);
        std::thread::scope(|scope| {
            scope.spawn(|| wal.sync().unwrap());
            disk.wait_for_held();
            let first = wal.metrics();
            while wal.metrics().fsync_pending <= first.fsync_pending {}
            assert!(!wal.metrics().undurable_age.is_zero());
            disk.let_go();
        });
        let metrics = wal.metrics();
        assert!(metrics.fsync_pending.is_zero() && metrics.undurable_age.is_zero());
        assert_eq!(metrics.fsync.count(), 1);
    });
}

#[test]
fn a_flush_is_slow_from_the_threshold_on() {
    for (threshold, slow) in [(0, 3), (u64::MAX, 0)] {
        let config = quiet_heap().with_slow_flush_ms(threshold);
        let wal = Wal::with_store_and_config(MemStore::new(), config).unwrap();
        for seed in 0..3 {
            put(&wal, seed, 10);
            wal.sync().unwrap();
        }
        assert_eq!(
            (wal.metrics().slow_fsyncs, wal.metrics().fsync.count()),
            (slow, 3)
        );
    }
}

#[test]
fn threads_and_tickets_that_one_commit_answers_are_counted_together() {
    let wal = Wal::with_store_and_config(MemStore::new(), quiet_heap()).unwrap();
    wal.append_and_sync(b"alone").unwrap();
    let waiters = wal.metrics().commit_waiters;
    assert_eq!((waiters.count(), waiters.sum()), (1, 1.0));
}

/// The counters of a snapshot by their names, each with its value.
fn counters(metrics: &Metrics) -> Vec<(String, f64)> {
    let text = metrics.to_string();
    let is_counter = |line: &&str| {
        let name = line.split(['{', ' ']).next().unwrap();
        ["_total", "_count", "_sum", "_bucket"]
            .iter()
            .any(|end| name.ends_with(end))
    };
    let value = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    text.lines().filter(is_counter).map(value).collect()
}

#[test]
fn counters_never_go_back_while_others_append() {
    const RECORDS: u64 = 3000;
    let config = WalConfig::new()
        .with_staging_bytes(64 << 10)
        .with_slow_flush_ms(0);
    let disk = SimDisk::new();
    let wal = disk.open_segmented("log", SEGMENT, config).unwrap();
    std::thread::scope(|scope| {
        let threads = [0, 1, 2, 3].map(|thread| {
            let wal = &wal;
            scope.spawn(move || {
                for record in 0..RECORDS {
                    wal.append(&payload(record as usize, 50)).unwrap();
                    if record % 500 == thread {
                        wal.sync().unwrap();
                    }
                }
            })
        });
        let mut before = counters(&wal.metrics());
        assert!(before.len() > 300, "{before:?}");
        while threads.iter().any(|thread| !thread.is_finished()) {
            let now = counters(&wal.metrics());
            for (before, now) in before.iter().zip(&now) {
                assert!(before.0 == now.0 && before.1 <= now.1, "{before:?} {now:?}");
            }
            before = now;
        }
    });
    wal.sync().unwrap();
    let metrics = wal.metrics();
    assert_eq!(
        (metrics.appends, metrics.append_bytes),
        (4 * RECORDS, 4 * RECORDS * 50)
    );
    assert_eq!(metrics.slow_fsyncs, metrics.fsync.count());
    assert_is!(metrics.commit.count(), 1..);
}

#[test]
fn a_handle_that_only_reads_has_figures_too() {
    let disk = SimDisk::new();
    let wal = disk.open_segmented("log", SEGMENT, quiet()).unwrap();
    (0..5).for_each(|seed| drop(put(&wal, seed, 100)));
    wal.sync().unwrap();
    let reader = disk.open_read_only("log", true, quiet()).unwrap();
    let metrics = reader.metrics();
    assert_eq!(
        (metrics.records, metrics.appends, metrics.poisoned),
        (5, 0, false)
    );
    assert!(metrics.undurable_age.is_zero());
}
