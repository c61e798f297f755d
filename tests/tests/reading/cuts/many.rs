//! As many cuts as a log is given: what the manifest has no room for is in a table of its own.

use std::{
    fs, io,
    sync::{Arc, Mutex},
};

use wal_db::{
    MemStore, Retention, Start, Wal, WalConfig, WalError, WalStore,
    recovery::CorruptionReason,
    testing::sim::{Image, Medium, SimDisk},
};
use wal_tests::{
    Entry, all, assert_is, corruption,
    disk::Disk,
    files::{FORMS, Form, Place},
    put, quiet, quiet_heap,
    random::Rng,
    scale,
    scripted::{Op, Scripted},
    verified,
};

use super::kinds::{Counted, counted};

/// With a table after a few cuts.
fn small(config: WalConfig) -> WalConfig {
    config.with_timeline_entries(8)
}

/// The two copies of the table.
fn copies(place: &Place) -> [std::path::PathBuf; 2] {
    [0, 1].map(|copy| match place.form {
        Form::File => place.root().join(format!("log.cuts-{copy}")),
        Form::Segmented => place.path().join(format!("cuts-{copy}")),
    })
}

#[test]
fn a_log_takes_more_cuts_than_a_manifest_has_room_for() {
    let store = MemStore::new();
    let mut wal = Wal::with_store_and_config(store.clone(), quiet_heap()).unwrap();
    let mut kept = Vec::new();
    for i in 0..6000 * scale() as usize {
        kept.push(put(&wal, i, 20));
        put(&wal, i, 20);
        wal.truncate_after(kept[i].0)
            .unwrap_or_else(|error| panic!("cut {i}: {error}"));
        if i % 1000 == 500 {
            drop(wal);
            wal = Wal::with_store_and_config(store.clone(), quiet_heap()).unwrap();
        }
    }
    assert_eq!(all(&wal), kept);
    drop(wal);
    let wal = Wal::with_store_and_config(store, quiet_heap()).unwrap();
    assert_eq!(all(&wal), kept);
    for at in [0, 1, 1000, 3000, kept.len() - 1] {
        assert_eq!(wal.read(kept[at].0).unwrap().data(), kept[at].1);
        assert_eq!(
            wal.iter_from(Start::Ordinal(at as u64)).unwrap().count(),
            kept.len() - at
        );
    }
    assert!(verified(&wal).unwrap().is_intact());
    // And all of them are cut off again.
    wal.truncate_after(kept[10].0).unwrap();
    assert_eq!(all(&wal), kept[..=10]);
}

/// Cuts the end off after each record; what was kept, and why the last one was refused.
fn cut_until_refused(wal: &Wal) -> (Vec<Entry>, WalError) {
    let mut kept = vec![put(wal, 0, 20)];
    loop {
        put(wal, 1, 20);
        if let Err(error) = wal.truncate_after(kept[kept.len() - 1].0) {
            return (kept, error);
        }
        kept.push(put(wal, kept.len(), 20));
        assert!(kept.len() < 20);
    }
}

#[test]
fn a_store_with_two_slots_says_what_it_lacks() {
    let disk = Disk::new();
    let wal = Wal::with_store_and_config(disk.clone(), small(quiet_heap())).unwrap();
    let (_, refused) = cut_until_refused(&wal);
    assert_is!(refused, WalError::TooManyTruncations { .. });
    assert!(refused.to_string().contains("slots"), "{refused}");
    wal.append_and_sync(b"the log goes on").unwrap();
}

/// Every kind of cut and opening, on every store, against a list.
#[test]
fn any_cuts_leave_what_a_list_has() {
    for seed in 0..12 * u64::from(scale()) {
        let mut rng = Rng::new(seed);
        let place = Place::fast(FORMS[seed as usize % 2]);
        let memory = MemStore::new();
        let in_memory = seed % 3 == 0;
        let config = small(if in_memory { quiet_heap() } else { quiet() });
        let open = || match in_memory {
            true => Wal::with_store_and_config(memory.clone(), config),
            false => place.open(config),
        };
        let mut wal = open().unwrap();
        let mut list: Vec<(Entry, u64)> = Vec::new();
        for step in 0..300 {
            let what = format!("seed {seed}, step {step}");
            match rng.below(12) {
                0..=3 => {
                    let number = rng.number();
                    let log = wal
                        .typed::<Counted>()
                        .unwrap_or_else(|error| panic!("{what}: {error}"));
                    let lsn = log.append(&counted(number)).unwrap();
                    let data = wal.read(lsn).unwrap().into_data();
                    list.push((Entry(lsn, data), number));
                }
                4..=8 if !list.is_empty() => {
                    // Often of little, now and then of much.
                    let most = if rng.below(12) == 0 {
                        list.len()
                    } else {
                        3.min(list.len())
                    };
                    let keep = list.len() - 1 - rng.below(most);
                    wal.truncate_after(list[keep].0.0)
                        .unwrap_or_else(|error| panic!("{what}: {error}"));
                    list.truncate(keep + 1);
                }
                9 if rng.below(10) == 0 => {
                    let before = wal.status().bytes;
                    wal.retain(&Retention::new().with_max_bytes(before / 2))
                        .unwrap_or_else(|error| panic!("{what}: {error}"));
                    assert!(wal.status().bytes <= before / 2, "{what}");
                    let head = wal.status().head;
                    list.retain(|(entry, _)| entry.0 >= head);
                }
                10 => {
                    drop(wal);
                    wal = open().unwrap_or_else(|error| panic!("{what}: {error}"));
                }
                _ => wal.sync().unwrap(),
            }
            if step % 10 == 0 {
                let expected: Vec<_> = list.iter().map(|(entry, _)| entry.clone()).collect();
                assert_eq!(all(&wal), expected, "{what}");
                assert_eq!(wal.status().records, expected.len() as u64, "{what}");
            }
        }
        drop(wal);
        let wal = open().unwrap();
        assert!(verified(&wal).unwrap().is_intact(), "seed {seed}");
        let log = wal.typed::<Counted>().unwrap();
        let read: Vec<_> = log
            .replay(..)
            .unwrap()
            .map(|event| event.unwrap().event.number)
            .collect();
        assert!(
            read.iter().eq(list.iter().map(|(_, number)| number)),
            "seed {seed}"
        );
    }
}

/// A log on the disk with a table, and its records.
fn with_a_table(form: Form) -> (Place, Vec<Entry>) {
    let place = Place::fast(form);
    let wal = place.open(small(quiet())).unwrap();
    let mut kept = Vec::new();
    for i in 0..30 {
        kept.push(put(&wal, i, 20));
        put(&wal, i, 20);
        wal.truncate_after(kept[i].0).unwrap();
    }
    wal.close().unwrap();
    (place, kept)
}

#[test]
fn one_copy_of_the_table_is_enough_and_none_is_damage() {
    for form in FORMS {
        let (place, kept) = with_a_table(form);
        let flip = |copy: usize| {
            let mut bytes = fs::read(&copies(&place)[copy]).unwrap();
            bytes[40] ^= 1;
            fs::write(&copies(&place)[copy], bytes).unwrap();
        };
        for copy in [0, 1] {
            flip(copy);
            let reader = Wal::open_read_only(place.path()).unwrap();
            assert_eq!(all(&reader), kept, "{form:?}");
            drop(reader);
            // Openings read the copies in turn; one of the next ones mends it.
            let is_mended = (0..16).any(|_| {
                assert_eq!(all(&place.open(quiet()).unwrap()), kept, "{form:?}");
                let [one, other] = copies(&place).map(|copy| fs::read(copy).unwrap());
                one == other
            });
            assert!(is_mended, "{form:?}, copy {copy}");
        }
        flip(0);
        flip(1);
        assert_eq!(corruption(place.open(quiet())).reason, CorruptionReason::Manifest);
        assert_eq!(
            corruption(Wal::open_read_only(place.path())).reason,
            CorruptionReason::Manifest
        );
    }
}

/// The first read of a copy takes in what most manifests need.
#[test]
fn a_long_manifest_is_read_whole() {
    for form in FORMS {
        let place = Place::fast(form);
        let wal = place.open(quiet()).unwrap();
        let mut kept = Vec::new();
        for i in 0..300 {
            kept.push(put(&wal, i, 20));
            put(&wal, i, 20);
            wal.truncate_after(kept[i].0).unwrap();
        }
        let image = place.killed();
        drop(wal);
        for place in [place, image] {
            let wal = place.open(quiet()).unwrap();
            assert_eq!(all(&wal), kept, "{form:?}");
            assert!(!wal.recovery().manifest_copy_damaged, "{form:?}");
        }
    }
}

#[test]
fn a_foreign_file_under_the_name_of_the_table_is_not_touched() {
    for form in FORMS {
        let place = Place::fast(form);
        let wal = place.open(small(quiet())).unwrap();
        fs::write(&copies(&place)[0], b"somebody's diary").unwrap();
        let (kept, refused) = cut_until_refused(&wal);
        assert_is!(refused, WalError::Io { .. });
        assert_eq!(fs::read(&copies(&place)[0]).unwrap(), b"somebody's diary");
        drop(wal);
        fs::remove_file(&copies(&place)[0]).unwrap();
        let wal = place.open(small(quiet())).unwrap();
        assert!(all(&wal).starts_with(&kept), "{form:?}");
    }
}

#[test]
fn a_store_in_memory_has_room_for_a_table() {
    assert_eq!(MemStore::new().slots(), 4);
}

#[test]
fn a_store_that_says_nothing_of_slots_has_those_of_the_manifest() {
    assert_eq!(Disk::new().slots(), 2);
}

/// A log with a table on a simulated disk; the last cuts bring the next one.
fn cut_on(disk: &SimDisk, cuts: usize) -> Wal {
    let wal = disk.open("log", small(quiet())).unwrap();
    for i in 0..cuts {
        let kept = put(&wal, i, 20);
        put(&wal, i, 20);
        wal.truncate_after(kept.0).unwrap();
    }
    wal
}

#[test]
fn a_table_is_durable_before_a_manifest_names_it() {
    // Wherever the power goes, and nothing that was not flushed has arrived, what was kept is there.
    let disk = SimDisk::new();
    let wal = cut_on(&disk, 40);
    let kept = all(&wal);
    let journal = disk.journal();
    drop(disk.kill());
    drop(wal);
    let mut medium = Medium::of(Image::default());
    let mut most = 0;
    for step in &journal {
        medium.apply(step);
        let image = medium.after(&medium.nothing());
        let disk = SimDisk::of(image);
        let Ok(wal) = disk.open("log", small(quiet())) else {
            panic!("refused after {step}");
        };
        // The last one may be under way.
        let found = all(&wal);
        let same = found
            .iter()
            .zip(&kept)
            .take_while(|(one, other)| one == other)
            .count();
        assert!(same + 2 >= found.len(), "{same} of {} after {step}", found.len());
        assert!(same + 1 >= most, "{same} after {step}, {most} before");
        most = most.max(same);
        drop(disk.kill());
    }
    assert_eq!(most, kept.len());
}

#[test]
fn a_table_is_never_written_over_the_only_good_one() {
    // Which copies of the table are written; there is no space for the second one at first.
    let written = Arc::new(Mutex::new(Vec::new()));
    let (notes, bytes) = (written.clone(), MemStore::new());
    let mut store = Scripted::new(bytes.clone(), move |_, call| {
        if call.op == Op::WriteSlot && call.at > 1 {
            let mut written = notes.lock().unwrap();
            written.push(call.at);
            if written.len() == 2 {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        Ok(None)
    });
    store.slots = 4;
    let wal = Wal::with_store_and_config(store, small(quiet_heap())).unwrap();
    let mut kept = Vec::new();
    while written.lock().unwrap().len() < 4 {
        kept.push(put(&wal, kept.len(), 20));
        put(&wal, 1, 20);
        wal.truncate_after(kept[kept.len() - 1].0).unwrap();
    }
    assert_eq!(*written.lock().unwrap(), [2, 3, 3, 2]);
    drop(wal);
    assert_eq!(all(&Wal::with_store(bytes).unwrap()), kept);
}

#[test]
fn an_opening_writes_no_table_that_is_whole() {
    let written = Arc::new(Mutex::new(0));
    let (count, bytes) = (written.clone(), MemStore::new());
    let open = || {
        let count = count.clone();
        let store = Scripted::new(bytes.clone(), move |_, call| {
            *count.lock().unwrap() += u32::from(call.op == Op::WriteSlot && call.at > 1);
            Ok(None)
        });
        Wal::with_store_and_config(store, small(quiet_heap())).unwrap()
    };
    let wal = open();
    let mut kept = Vec::new();
    for i in 0..20 {
        kept.push(put(&wal, i, 20));
        put(&wal, i, 20);
        wal.truncate_after(kept[i].0).unwrap();
    }
    wal.close().unwrap();
    let there = *written.lock().unwrap();
    assert!(there >= 2, "both copies of one");
    for _ in 0..10 {
        assert_eq!(all(&open()), kept);
    }
    assert_eq!(*written.lock().unwrap(), there);
}
