//! The files of an index: whatever becomes of them, it finds what a scan of the log finds.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
};

use wal_db::{
    EventLog, Lsn, Meta, Result, Wal, WalConfig, WalError,
    index::{IndexConfig, Indexed, Item},
    testing::{
        SimDisk, assert_crash_prefix,
        sim::{Call, Promises},
    },
};
use wal_tests::{
    faults::{BESIDE_A_LOG, EIO, ENOSPC, from_then_on, once},
    random::Rng,
};

use super::{Thing, made};

fn open(disk: &SimDisk, name: &str) -> Result<EventLog<Thing>> {
    let quiet = WalConfig::new()
        .with_staging_bytes(64 << 10)
        .with_background_flush(false);
    disk.open_segmented(name, 64 << 10, quiet)?.typed::<Thing>()
}

/// With runs of a few events.
fn small() -> IndexConfig {
    IndexConfig::new().with_run_bytes(300)
}

fn append(log: &EventLog<Thing>, number: u64) -> Result<Lsn> {
    let meta = Meta::new()
        .with_stream(number % 3)
        .with_tag(&format!("t{}", number % 5));
    log.append_with_meta(&made(number), &meta)
}

fn number_of(event: &Thing) -> u64 {
    match event {
        Thing::Made { number } => *number,
        other => panic!("{other:?}"),
    }
}

fn selected(index: &Indexed<Thing>, item: Item) -> Result<Vec<u64>> {
    index
        .select(item, ..)?
        .map(|event| Ok(number_of(&event?.event)))
        .collect()
}

/// All numbers in the log, once it is sure that the index finds them by every term.
fn found(index: &Indexed<Thing>) -> Result<Vec<u64>> {
    let all: Vec<u64> = index
        .log()
        .replay(..)?
        .map(|event| Ok(number_of(&event?.event)))
        .collect::<Result<_>>()?;
    let of = |which: &dyn Fn(u64) -> bool| {
        all.iter()
            .copied()
            .filter(|number| which(*number))
            .collect::<Vec<_>>()
    };
    assert_eq!(selected(index, Item::any())?, all);
    for stream in 0..3 {
        assert_eq!(
            selected(index, Item::any().stream(stream))?,
            of(&|number| number % 3 == stream)
        );
    }
    for tag in 0..5 {
        let item = Item::of(["thing.made"]).tag(format!("t{tag}"));
        assert_eq!(selected(index, item)?, of(&|number| number % 5 == tag));
    }
    Ok(all)
}

#[test]
fn power_loss_at_any_call_leaves_an_index_that_finds_everything() {
    let images = assert_crash_prefix(
        |disk, promises: &mut Promises<Vec<u64>>| {
            let log = open(disk, "log")?;
            let mut numbers = Vec::new();
            for number in 0..24 {
                numbers.push(number);
                promises.next(numbers.clone());
                append(&log, number)?;
                if number % 8 == 7 {
                    // Some of it is not durable before.
                    drop(log.indexed_with(small())?);
                    log.wal().sync()?;
                    promises.durable();
                }
            }
            Ok(())
        },
        |disk| found(&open(disk, "log")?.indexed_with(small())?),
    );
    assert!(images > 200, "{images}");
}

#[test]
fn any_call_may_fail_while_a_log_is_indexed() {
    let mut failed = 0;
    for call in BESIDE_A_LOG {
        for after in 0.. {
            let disk = SimDisk::new();
            let log = open(&disk, "log").unwrap();
            for number in 0..12 {
                append(&log, number).unwrap();
            }
            drop(log.indexed_with(small()).unwrap());
            for number in 12..18 {
                append(&log, number).unwrap();
            }
            log.wal().sync().unwrap();
            disk.behave(|behaviour| behaviour.fault = once(call, after, EIO));
            let indexed = log.indexed_with(small());
            let before = indexed.as_ref().map(found);
            if disk.heal() == 0 {
                indexed.unwrap();
                break;
            }
            failed += 1;
            let what = format!("{call:?} after {after}");
            match before {
                // What could not be read, or written, is known from the log.
                Ok(Ok(numbers)) => assert_eq!(numbers.len(), 18, "{what}"),
                Ok(Err(WalError::Io { .. })) | Err(WalError::Io { .. }) => {}
                other => panic!("{what}: {other:?}"),
            }
            drop(indexed);
            append(&log, 18).unwrap();
            assert_eq!(
                found(&log.indexed_with(small()).unwrap()).unwrap().len(),
                19,
                "{what}"
            );
            drop(log);
            let log = open(&disk, "log").unwrap();
            assert_eq!(
                found(&log.indexed_with(small()).unwrap()).unwrap().len(),
                19,
                "{what}"
            );
        }
    }
    assert!(failed > 20, "{failed}");
}

#[test]
fn what_cannot_be_written_stays_in_memory_and_is_told() {
    let disk = SimDisk::new();
    let log = open(&disk, "log").unwrap();
    let index = log.indexed_with(small()).unwrap();
    disk.behave(|behaviour| behaviour.fault = from_then_on(Call::CreateDir, 0, ENOSPC));
    let mut last = 0;
    let mut append_and_wait = |count: u64| {
        for _ in 0..count {
            append(&log, last).unwrap();
            last += 1;
        }
        // Parts are written once they are durable, and tried when one becomes full.
        log.wal().sync().unwrap();
        thread::yield_now();
        last
    };
    while index.status().unwrap().failure.is_none() {
        append_and_wait(4);
    }
    let failure = index.status().unwrap().failure.unwrap();
    assert!(failure.contains("writing a run of an index"), "{failure}");
    let last = append_and_wait(1);
    assert_eq!(found(&index).unwrap().len() as u64, last);
    disk.heal();
    while index.status().unwrap().runs == 0 || index.status().unwrap().failure.is_some() {
        append_and_wait(4);
    }
    let last = append_and_wait(1);
    assert_eq!(found(&index).unwrap().len() as u64, last);
}

fn runs_in(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir.join("state"))
        .unwrap()
        .map(|file| file.unwrap().path());
    let mut runs: Vec<PathBuf> = files
        .filter(|file| file.extension().is_some_and(|end| end == "run"))
        .collect();
    runs.sort();
    runs
}

fn copy_runs(from: &Path, to: &Path) -> Vec<PathBuf> {
    fs::create_dir_all(to.join("state")).unwrap();
    let runs = runs_in(from);
    assert!(!runs.is_empty());
    let copied = runs.iter().map(|run| {
        let copy = to.join("state").join(run.file_name().unwrap());
        fs::copy(run, &copy).unwrap();
        copy
    });
    copied.collect()
}

fn open_in(dir: &Path) -> EventLog<Thing> {
    Wal::open_segmented_with(dir, 64 << 10, wal_tests::quiet_heap())
        .unwrap()
        .typed()
        .unwrap()
}

#[test]
fn runs_of_another_log_are_left_alone_and_those_of_another_history_are_not_used() {
    let temp = tempfile::tempdir().unwrap();
    let dir = |name: &str| temp.path().join(name);
    let log = open_in(&dir("log"));
    for number in 0..10 {
        append(&log, number).unwrap();
    }
    log.wal().backup_to(dir("copy")).unwrap();
    for number in 10..30 {
        append(&log, number).unwrap();
    }
    drop(log.indexed_with(small()).unwrap());
    drop(log);

    // The copy goes on otherwise, up to the same LSNs.
    let copy = open_in(&dir("copy"));
    for number in 10..30 {
        append(&copy, 1_000 + number).unwrap();
    }
    copy.wal().sync().unwrap();
    let theirs = copy_runs(&dir("log"), &dir("copy"));
    assert_eq!(
        found(&copy.indexed_with(small()).unwrap()).unwrap()[10..],
        (1_010..1_030).collect::<Vec<_>>()
    );
    assert!(
        theirs
            .iter()
            .all(|run| !run.exists() || runs_in(&dir("copy")).contains(run))
    );

    let other = open_in(&dir("other"));
    for number in 500..530 {
        append(&other, number).unwrap();
    }
    let foreign = copy_runs(&dir("log"), &dir("other"));
    assert_eq!(
        found(&other.indexed_with(small()).unwrap()).unwrap(),
        (500..530).collect::<Vec<_>>()
    );
    // A run of its own may have had to have the same name.
    let own = runs_in(&dir("other"));
    assert!(foreign.iter().all(|run| own.contains(run)), "{foreign:?} {own:?}");
}

/// Indexes the log, and waits until nothing is left to be written and merged.
fn indexed_in_peace(log: &EventLog<Thing>, config: IndexConfig) -> Indexed<Thing> {
    let index = log.indexed_with(config).unwrap();
    while index.status().unwrap().is_writing {
        thread::yield_now();
    }
    index
}

/// A read for each event, and one for each run that has some of them; nothing else of the log or the index.
#[test]
fn ten_events_of_a_stream_are_found_with_twelve_reads() {
    let disk = SimDisk::new();
    let open = || {
        disk.open("log", wal_tests::quiet())
            .unwrap()
            .typed::<Thing>()
            .unwrap()
    };
    let config = IndexConfig::new().with_run_bytes(40 << 10);
    for numbers in [0..13_500_u64, 13_500..15_000] {
        let log = open();
        for number in numbers {
            let stream = if number % 1_500 == 700 {
                7
            } else {
                1_000_000 + number
            };
            let _ = log
                .append_with_meta(&made(number), &Meta::new().with_stream(stream))
                .unwrap();
        }
        log.wal().sync().unwrap();
        drop(indexed_in_peace(&log, config));
    }
    let log = open();
    let index = indexed_in_peace(&log, config);
    // The shapes of the types are read once.
    assert_eq!(selected(&index, Item::any().stream(1_000_001)).unwrap(), [1]);
    let before = disk.calls(Some(Call::Read));
    let numbers = selected(&index, Item::any().stream(7)).unwrap();
    let reads = disk.calls(Some(Call::Read)) - before;
    assert_eq!(numbers, (0..10).map(|i| 1_500 * i + 700).collect::<Vec<_>>());
    let runs = index.status().unwrap().runs;
    assert!(runs == 2 && reads <= 12, "{reads} reads with {runs} runs");
}

/// Copies the files of a log, but for those of the index.
fn copy_log(from: &Path, to: &Path) {
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
}

/// An older copy of the log comes back beside the files of the index, which have seen more, or the same with other cuts.
#[test]
fn whatever_copy_of_the_log_comes_back_all_of_it_is_found() {
    for seed in 0..12 {
        let mut rng = Rng::new(seed);
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("log");
        let config = IndexConfig::new().with_run_bytes([1, 400, 3_000][rng.below(3)]);
        let mut number = 0;
        let mut copies = 0;
        for _ in 0..60 {
            let log = open_in(&dir);
            let lsns: Vec<Lsn> = log
                .wal()
                .iter()
                .unwrap()
                .map(|record| record.unwrap().lsn())
                .collect();
            let any_of = |rng: &mut Rng| (!lsns.is_empty()).then(|| lsns[rng.below(lsns.len())]);
            let mut log = Some(log);
            match rng.below(10) {
                0 => {
                    let copy = temp.path().join(format!("copy-{copies}"));
                    log.as_ref().unwrap().wal().backup_to(&copy).unwrap();
                    copies += 1;
                }
                1 if copies > 0 => {
                    let copy = temp.path().join(format!("copy-{}", rng.below(copies)));
                    log = None;
                    for file in fs::read_dir(&dir).unwrap() {
                        let file = file.unwrap();
                        if file.file_type().unwrap().is_file() {
                            fs::remove_file(file.path()).unwrap();
                        }
                    }
                    copy_log(&copy, &dir);
                }
                2 => {
                    if let Some(lsn) = any_of(&mut rng) {
                        log.as_ref().unwrap().wal().truncate_after(lsn).unwrap();
                    }
                }
                3 => {
                    if let Some(lsn) = any_of(&mut rng) {
                        let _ = log.as_ref().unwrap().wal().truncate_before(lsn).unwrap();
                    }
                }
                4 => {
                    for _ in 0..5 {
                        let _ = log.as_ref().unwrap().wal().append(&[0; 100]).unwrap();
                    }
                }
                _ => {
                    let log = log.as_ref().unwrap();
                    let index = (rng.below(2) == 0).then(|| indexed_in_peace(log, config));
                    for _ in 0..rng.below(20) {
                        append(log, number).unwrap();
                        number += 1;
                    }
                    log.wal().sync().unwrap();
                    drop(index);
                }
            }
            drop(log);
            let log = open_in(&dir);
            let index = indexed_in_peace(&log, config);
            let of = |which: &dyn Fn(u64) -> bool| -> Vec<u64> {
                let events = log.replay(..).unwrap().among_others();
                let numbers = events.map(|event| number_of(&event.unwrap().event));
                numbers.filter(|number| which(*number)).collect()
            };
            assert_eq!(
                selected(&index, Item::any()).unwrap(),
                of(&|_| true),
                "seed {seed}"
            );
            let third = rng.below(3) as u64;
            assert_eq!(
                selected(&index, Item::any().stream(third)).unwrap(),
                of(&|n| n % 3 == third),
                "seed {seed}"
            );
        }
    }
}
