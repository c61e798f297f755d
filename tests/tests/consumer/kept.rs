//! What is kept of consumers in files.

use std::{fs, path::PathBuf};

use wal_db::{
    EventLog, Wal,
    consumer::{ConsumerConfig, ConsumerError, consumers, forget},
};
use wal_tests::quiet;

use super::{Step, drained, fault, from_head, take};

struct World {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

impl World {
    fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        World {
            path: dir.path().join("log"),
            _dir: dir,
        }
    }

    /// Without threads of its own, so that files that are copied meanwhile are of one moment.
    fn open(&self) -> EventLog<Step> {
        let wal = Wal::open_segmented_with(&self.path, 1 << 20, quiet());
        wal.unwrap().typed().unwrap()
    }

    /// The files of consumers, by name.
    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = fs::read_dir(self.path.join("state"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        files
    }

    fn only_file(&self) -> PathBuf {
        let files = self.files();
        assert_eq!(files.len(), 1, "{files:?}");
        files[0].clone()
    }
}

/// A log of ten events and a consumer that has handled them.
fn handled(world: &World) {
    let log = world.open();
    take(&log, 0..10);
    let consumer = log.consumer("mailer", from_head()).unwrap();
    drained(&consumer);
}

#[test]
fn a_process_that_is_killed_loses_no_place() {
    let world = World::new();
    let log = world.open();
    take(&log, 0..10);
    let consumer = log.consumer("mailer", from_head()).unwrap();
    drained(&consumer);
    // Nothing of it is dropped.
    let copy = World::new();
    copy_dir(&world.path, &copy.path);
    let log = copy.open();
    take(&log, 10..12);
    assert_eq!(
        drained(&log.consumer("mailer", ConsumerConfig::new()).unwrap()),
        [10, 11]
    );
}

fn copy_dir(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &to);
        } else if entry.file_name() != "lock" {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn any_bit_of_the_file_that_flips_is_found_or_only_repeats() {
    let world = World::new();
    handled(&world);
    let file = world.only_file();
    let whole = fs::read(&file).unwrap();
    let log = world.open();
    for bit in 0..whole.len() * 8 {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        fs::write(&file, &damaged).unwrap();
        // What is not used is zero, and may be anything.
        let is_used = |byte: usize| byte < 44 || (512..580).contains(&byte) || byte >= 1536;
        match consumers(log.wal()) {
            Ok(all) => {
                assert!(!is_used(bit / 8), "bit {bit} of {file:?}: {all:?}");
                assert_eq!(all[0].name, "mailer");
            }
            Err(error) => {
                let error = fault::<()>(Err(error));
                assert!(is_used(bit / 8), "bit {bit}");
                assert!(
                    matches!(&error, ConsumerError::Damaged { name, .. } if name == "mailer"),
                    "{error:?}"
                );
            }
        }
    }
    for len in 0..whole.len() {
        fs::write(&file, &whole[..len]).unwrap();
        assert!(matches!(
            fault(log.consumer("mailer", from_head())),
            ConsumerError::Damaged { .. }
        ));
    }
    forget(log.wal(), "mailer").unwrap();
    assert_eq!(drained(&log.consumer("mailer", from_head()).unwrap()).len(), 10);
}

#[test]
fn a_later_format_is_no_damage() {
    let world = World::new();
    handled(&world);
    let file = world.only_file();
    let mut bytes = fs::read(&file).unwrap();
    bytes[8] = 2;
    let crc = crc32fast::hash(&bytes[..40]).to_le_bytes();
    bytes[40..44].copy_from_slice(&crc);
    fs::write(&file, &bytes).unwrap();
    let log = world.open();
    let newer = fault(log.consumer("mailer", from_head()));
    assert!(
        matches!(newer, ConsumerError::NewerFormat { version: 2, .. }),
        "{newer:?}"
    );
}

#[test]
fn an_older_file_that_a_crash_has_left_is_passed_over_and_removed() {
    let world = World::new();
    let log = world.open();
    take(&log, 0..10);
    let consumer = log.consumer("mailer", from_head()).unwrap();
    let older = world.only_file();
    let at_first = fs::read(&older).unwrap();
    drained(&consumer);
    drop(consumer);
    let newest = world.only_file();
    assert_ne!(older, newest);
    fs::write(&older, at_first).unwrap();
    let unfinished = newest.with_file_name("mailer.00000000000000000009.consumer.new");
    fs::write(&unfinished, b"WALDBCO").unwrap();
    let consumer = log.consumer("mailer", ConsumerConfig::new()).unwrap();
    assert_eq!(drained(&consumer), [0; 0]);
    consumer.pause().unwrap();
    assert!(!older.exists());
    drop(consumer);
    forget(log.wal(), "mailer").unwrap();
    assert!(world.files().is_empty());
}

#[test]
fn somebody_elses_file_is_left_alone() {
    let world = World::new();
    handled(&world);
    let file = world.only_file().with_file_name("mailer.txt");
    fs::write(&file, b"notes").unwrap();
    let log = world.open();
    forget(log.wal(), "mailer").unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"notes");
}

#[test]
fn where_nothing_can_be_saved_the_consumer_goes_on_and_says_so() {
    let world = World::new();
    let log = world.open();
    take(&log, 0..5);
    let consumer = log.consumer("mailer", from_head()).unwrap();
    fs::rename(world.path.join("state"), world.path.join("elsewhere")).unwrap();
    assert_eq!(drained(&consumer), (0..5).collect::<Vec<_>>());
    assert!(consumer.status().unwrap().failure.is_some());
    fs::rename(world.path.join("elsewhere"), world.path.join("state")).unwrap();
    take(&log, 5..6);
    assert_eq!(drained(&consumer), [5]);
    assert_eq!(consumer.status().unwrap().failure, None);
}
