//! What readers cost: they read what they need and no more, and take no lock of the file system that a writer waits for.

use wal_db::{Staging, Wal, WalConfig, read::Follow, testing::sim::Call};
use wal_tests::{
    all,
    files::{FORMS, Form, Place},
    note, put,
    written::Written,
};

/// How many bytes this thread has read so far, from files whether they were in memory or not.
fn bytes_read() -> Option<u64> {
    let counts = std::fs::read_to_string("/proc/thread-self/io").ok()?;
    let read = counts.lines().find_map(|line| line.strip_prefix("rchar: "))?;
    read.trim().parse().ok()
}

/// How many bytes a call reads; `None` where the system does not say.
fn cost<T>(call: impl FnOnce() -> T) -> Option<(T, u64)> {
    let before = bytes_read()?;
    let result = call();
    Some((result, bytes_read()? - before))
}

/// A log with staging memory of 8 MiB, some records in the store and some that wait.
fn live(form: Form) -> (Place, Wal) {
    let place = Place::new(form);
    let wal = place.open(WalConfig::new().with_background_flush(false)).unwrap();
    for seed in 0..5 {
        put(&wal, seed, 300);
    }
    wal.sync().unwrap();
    for seed in 5..12 {
        put(&wal, seed, 300);
    }
    (place, wal)
}

#[test]
fn who_looks_at_a_log_that_is_written_reads_only_what_is_there() {
    for form in FORMS {
        let (place, wal) = live(form);
        let Some((reader, opening)) = cost(|| Wal::open_read_only(place.path()).unwrap()) else {
            note("skipped: the system does not say how much a thread reads");
            return;
        };
        assert_eq!(reader.recovery().staged_records, 7, "{form:?}");
        assert_eq!(all(&reader).len(), 12);
        assert!(opening < 64 << 10, "{form:?}: opening reads {opening} bytes");
        let inspect = || wal_db::recovery::inspect(place.path()).unwrap();
        let (inspection, inspecting) = cost(inspect).unwrap();
        assert_eq!(inspection.recovery.unwrap().staged_records, 7);
        assert!(
            inspecting < 96 << 10,
            "{form:?}: inspecting reads {inspecting} bytes"
        );

        let mut tail = reader.tail(reader.status().head).unwrap().follow(Follow::Written);
        while tail.try_next().unwrap().is_some() {}
        let (none, looking) = cost(|| tail.try_next().unwrap().is_none()).unwrap();
        assert!(
            none && looking < 32 << 10,
            "{form:?}: a look reads {looking} bytes"
        );
        wal.close().unwrap();
    }
}

/// The writer waits while a name is looked up that is not there, and the next segment's is not for most of the time.
#[test]
fn who_follows_looks_for_no_name_before_the_log_comes_to_it() {
    for staging in [Staging::Mapped, Staging::WriteThrough] {
        let log = Written::new(true, staging);
        let (disk, wal) = (&log.disk, log.wal());
        let first = put(wal, 0, 100);
        wal.sync().unwrap();
        let reader = disk.open_read_only(Written::NAME, true, log.config).unwrap();
        let mut tail = reader.tail(first.0).unwrap().follow(Follow::Written);
        assert!(tail.try_next().unwrap().is_some());
        let asked = || [Call::Look, Call::Open].map(|call| disk.calls(Some(call)));
        let mut opened = 0;
        for seed in 1..40 {
            put(wal, seed, 10_000);
            wal.sync().unwrap();
            let before = asked();
            let (record, none) = (tail.try_next().unwrap(), tail.try_next().unwrap());
            let after = asked();
            assert!(record.is_some() && none.is_none(), "{staging:?}: {seed}");
            let there = after[1] - before[1];
            opened += there;
            assert!(there <= 1, "{staging:?}: {seed}: {there} files opened");
            let looks = after[0] - before[0];
            assert_eq!(looks, 0, "{staging:?}: {seed}: names asked for");
        }
        assert!((5..10).contains(&opened), "{staging:?}: {opened} segments");
    }
}

#[test]
fn who_opens_beside_a_writer_asks_for_no_name_that_is_not_there() {
    let log = Written::new(true, Staging::Mapped);
    put(log.wal(), 0, 100);
    log.wal().sync().unwrap();
    let asked = || log.disk.calls(Some(Call::Open));
    let before = asked();
    let reader = log.disk.open_read_only(Written::NAME, true, log.config).unwrap();
    let after = asked();
    assert_eq!(reader.iter().unwrap().count(), 1);
    // The manifest and the segment.
    assert_eq!(after - before, 2, "files opened");
}
