//! The text of logs at work.

use wal_db::{
    MemStore, Wal, WalConfig,
    metrics::{self, Metrics},
    testing::SimDisk,
};
use wal_tests::{payload, put, quiet_heap};

use crate::openmetrics::{Family, parse};

/// The value of a sample of one log with these labels.
fn value(family: &Family, name: &str, labels: &[(&str, &str)]) -> f64 {
    let has = |sample: &&crate::openmetrics::Sample| {
        let is_there =
            |&(label, value): &(&str, &str)| sample.labels.get(label).is_some_and(|is| is == value);
        sample.name == name && labels.iter().all(is_there) && sample.labels.len() == labels.len()
    };
    let found: Vec<_> = family.samples.iter().filter(has).collect();
    assert_eq!(found.len(), 1, "{name} {labels:?}: {family:?}");
    found[0].value
}

#[test]
fn the_text_of_a_log_at_work_is_read_by_a_strict_reader() {
    let disk = SimDisk::new();
    let wal = disk.open_segmented("log", 64 << 10, WalConfig::new()).unwrap();
    std::thread::scope(|scope| {
        let work = scope.spawn(|| {
            for step in 0..2000 {
                let lsn = wal.append(&payload(step, step % 900)).unwrap();
                match step % 100 {
                    50 => wal.sync().unwrap(),
                    99 => drop(wal.truncate_before(lsn).unwrap()),
                    _ => {}
                }
            }
        });
        while !work.is_finished() {
            parse(&wal.metrics().to_string()).unwrap();
        }
    });
    let families = parse(&wal.metrics().to_string()).unwrap();
    let all = families.values();
    assert!(all.clone().all(|family| !family.samples.is_empty()));
    assert!(families.contains_key("wal_fsync_duration_seconds"));
    let units = all.filter(|family| !family.unit.is_empty()).count();
    assert!(units > 10 && families.keys().all(|name| name.starts_with("wal_")));
}

#[test]
fn what_is_printed_is_what_the_fields_say() {
    let wal = Wal::with_store_and_config(MemStore::new(), quiet_heap()).unwrap();
    for seed in 0..7 {
        put(&wal, seed, 100);
        wal.sync().unwrap();
    }
    put(&wal, 8, 100);
    let metrics = wal.metrics();
    let families = parse(&metrics.to_string()).unwrap();
    let plain = |family: &str, name: &str| value(&families[family], name, &[]);
    assert_eq!(plain("wal_appends", "wal_appends_total"), 7.0);
    assert_eq!(plain("wal_append_bytes", "wal_append_bytes_total"), 700.0);
    assert_eq!(plain("wal_commits", "wal_commits_total"), 7.0);
    assert_eq!(plain("wal_commit_records", "wal_commit_records_sum"), 7.0);
    assert_eq!(plain("wal_records", "wal_records"), 7.0);
    assert_eq!(plain("wal_end_lsn", "wal_end_lsn"), wal.end().get() as f64);
    assert_eq!(
        plain("wal_staged_bytes", "wal_staged_bytes"),
        metrics.staged_bytes as f64
    );
    let (fsync, name) = (
        &families["wal_fsync_duration_seconds"],
        "wal_fsync_duration_seconds_count",
    );
    assert_eq!(value(fsync, name, &[("file", "log")]), 7.0);
    let manifests = value(
        &families["wal_fsyncs"],
        "wal_fsyncs_total",
        &[("file", "manifest")],
    );
    assert!(
        manifests >= 4.0,
        "making the log and opening it write both copies: {manifests}"
    );
    assert_eq!(
        value(fsync, name, &[("file", "manifest")]),
        manifests,
        "one number under two names"
    );
}

#[test]
fn several_logs_are_told_apart_by_their_names_in_families_that_are_there_once() {
    let names = ["orders", "a \"quoted\\\nname", "ünïcode"];
    let logs: Vec<Metrics> = names
        .iter()
        .enumerate()
        .map(|(at, &name)| {
            let wal = Wal::with_store_and_config(MemStore::new(), quiet_heap()).unwrap();
            (0..=at).for_each(|seed| drop(put(&wal, seed, 10)));
            wal.sync().unwrap();
            wal.metrics().with_log(name)
        })
        .collect();
    let mut text = String::new();
    metrics::write_all(&mut text, &logs).unwrap();
    let families = parse(&text).unwrap();
    for (at, name) in names.iter().enumerate() {
        let appends = value(&families["wal_appends"], "wal_appends_total", &[("log", name)]);
        assert_eq!(appends, at as f64 + 1.0, "{name:?}");
    }
    let one = parse(&logs[0].to_string()).unwrap();
    assert!(one.keys().eq(families.keys()));
    assert!(
        one.iter()
            .all(|(name, family)| 3 * family.samples.len() == families[name].samples.len())
    );
    let mut nothing = String::new();
    metrics::write_all(&mut nothing, &[]).unwrap();
    assert!(
        parse(&nothing)
            .unwrap()
            .values()
            .all(|family| family.samples.is_empty())
    );
}

/// Nothing of where a log is gets into a label.
#[test]
fn the_text_does_not_say_where_a_log_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret-place");
    let wal = Wal::open_segmented(&path, 64 << 10).unwrap();
    wal.append_and_sync(b"a record").unwrap();
    let text = wal.metrics().with_log("orders").to_string();
    assert!(
        text.contains("log=\"orders\"") && !text.contains("secret"),
        "{text}"
    );
    assert!(!text.contains(dir.path().to_str().unwrap()));
}
