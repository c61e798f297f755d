//! Power cuts at every step of one short run on a simulated disk, where names and what is in the files arrive each by
//! itself; what calls promise of names; and calls that do less than they were asked to.

use std::{collections::BTreeSet, path::PathBuf};

use wal_db::{
    Wal, WalConfig, WalStore,
    testing::sim::{Image, Medium, SECTOR, SimDisk, Step},
};
use wal_tests::{
    Entry, all,
    files::SOME_LOG,
    files::{FORMS, Form, SEGMENT},
    put, quiet,
    random::Rng,
    scale,
    sim::log::{self, Design, Opening},
};

const SMALL_RING: WalConfig = quiet().with_staging_bytes(64 << 10);

/// The file that holds a byte of the stream, and where in it.
fn locate(form: Form, pos: usize) -> (PathBuf, usize) {
    let opening = Opening {
        design: Design::Ours,
        form,
        segment: SEGMENT,
        config: SMALL_RING,
    };
    opening.locate(pos)
}

/// What the power leaves if of everything that was not flushed nothing arrives.
fn nothing_arrives(disk: &SimDisk) -> Image {
    let mut medium = Medium::default();
    disk.journal().iter().for_each(|step| medium.apply(step));
    medium.after(&medium.nothing())
}

/// Makes a log, fills it over the ends of segments, lets its process die with a part unflushed, opens it again, and goes
/// on. Returns everything that was appended; each mark is the number of records that are durable.
fn write_die_and_go_on(form: Form) -> (SimDisk, Vec<Entry>) {
    let disk = SimDisk::new();
    let mut entries = Vec::new();
    let grow = |wal: &Wal, entries: &mut Vec<Entry>, count| {
        (0..count).for_each(|_| entries.push(put(wal, entries.len(), 15_000)));
    };
    let wal = log::open(&disk, form, SMALL_RING).unwrap();
    for count in [1, 1, 4, 4] {
        grow(&wal, &mut entries, count);
        wal.sync().unwrap();
        disk.mark(entries.len());
    }
    grow(&wal, &mut entries, 5);
    wal.drain().unwrap();
    let disk = disk.kill();
    drop(wal);
    let wal = log::open(&disk, form, SMALL_RING).unwrap();
    assert_eq!(all(&wal), entries, "{form:?}");
    disk.mark(entries.len());
    grow(&wal, &mut entries, 1);
    wal.close().unwrap();
    disk.mark(entries.len());
    (disk, entries)
}

#[test]
fn whatever_names_and_sectors_arrive_what_was_acknowledged_is_there() {
    for form in FORMS {
        let (disk, entries) = write_die_and_go_on(form);
        let (mut medium, mut acked) = (Medium::default(), 0);
        let (mut rng, mut seen) = (Rng::new(1), BTreeSet::new());
        for (at, step) in disk.journal().iter().enumerate() {
            medium.apply(step);
            if let Step::Mark(mark) = step {
                acked = *mark;
            }
            let mut arrivals = vec![medium.nothing(), medium.all()];
            arrivals.extend((0..16 * scale()).map(|_| medium.any(&mut || rng.number())));
            for arrival in arrivals {
                let image = medium.after(&arrival);
                if !seen.insert((image.hash(), acked)) {
                    continue;
                }
                let what = || {
                    format!(
                        "{form:?}, behind step {at}, {step}: {}",
                        medium.describe(&arrival)
                    )
                };
                let disk = SimDisk::of(image);
                let opened = log::open(&disk, form, SMALL_RING);
                let wal = opened.unwrap_or_else(|error| panic!("{error}: {}", what()));
                let found = all(&wal);
                assert!(found.len() >= acked, "{} of {acked}: {}", found.len(), what());
                assert!(entries.starts_with(&found), "{found:?}: {}", what());
                let _dead = disk.kill();
            }
        }
        assert!(seen.len() > 500, "{}", seen.len());
    }
}

/// Names arrive in any order: the second segment may be gone while the third one is still there.
#[test]
fn segments_that_recovery_removes_leave_no_hole() {
    let disk = SimDisk::new();
    let wal = log::open(&disk, Form::Segmented, SMALL_RING).unwrap();
    let acked = put(&wal, 0, 100);
    wal.sync().unwrap();
    // Into the third segment, and none of it arrives.
    put(&wal, 1, 50_000);
    put(&wal, 2, 50_000);
    put(&wal, 3, 50_000);
    let left = nothing_arrives(&disk.kill());
    drop(wal);
    let disk = SimDisk::of(left.clone());
    drop(log::open(&disk, Form::Segmented, SMALL_RING).unwrap());
    let (mut medium, mut images) = (Medium::of(left), 0);
    for step in disk.kill().journal() {
        medium.apply(&step);
        medium.arrivals(&mut || 0, 1 << 12, 64, |arrival| {
            let again = log::open(&SimDisk::of(medium.after(arrival)), Form::Segmented, SMALL_RING);
            let again = again.unwrap_or_else(|error| panic!("{error}: {}", medium.describe(arrival)));
            assert!(all(&again).starts_with(std::slice::from_ref(&acked)));
            images += 1;
        });
    }
    assert!(images > 10, "{images}");
}

#[test]
fn segments_that_were_removed_stay_removed() {
    let disk = SimDisk::new();
    let wal = log::open(&disk, Form::Segmented, SMALL_RING).unwrap();
    let entries: Vec<Entry> = (0..12).map(|i| put(&wal, i, 15_000)).collect();
    wal.sync().unwrap();
    wal.truncate_before(entries[11].0).unwrap();
    let left = nothing_arrives(&disk);
    assert_eq!(segments(&left), segments(&disk.seen()));
    assert!(
        !segments(&left).contains(&"log/0000000000.seg"),
        "{:?}",
        segments(&left)
    );
}

/// A store removes durably what it is told to cut off, in whole segments or in a part of one.
#[test]
fn what_a_store_has_cut_off_stays_cut_off() {
    for form in FORMS {
        for len in [SEGMENT / 2, SEGMENT + 512] {
            let disk = SimDisk::new();
            let store: Box<dyn WalStore> = match form {
                Form::File => Box::new(disk.file_store("log").unwrap()),
                Form::Segmented => Box::new(disk.segmented_store("log", SEGMENT).unwrap()),
            };
            store.attach(&SOME_LOG).unwrap();
            store.prepare(3 * SEGMENT).unwrap();
            store.write_at(0, &vec![1; 3 * SEGMENT as usize]).unwrap();
            store.sync().unwrap();
            store.truncate(len).unwrap();
            let left = nothing_arrives(&disk);
            let (path, end) = locate(form, len as usize - 1);
            assert_eq!(left.file(path).unwrap().len(), end + 1, "{form:?}, {len}");
            assert_eq!(segments(&left), segments(&disk.seen()), "{form:?}, {len}");
        }
    }
}

#[test]
fn what_was_kept_aside_stays() {
    for form in FORMS {
        let disk = SimDisk::new();
        let wal = log::open(&disk, form, SMALL_RING).unwrap();
        put(&wal, 0, 15_000);
        wal.sync().unwrap();
        let end = wal.status().durable.get() as usize;
        put(&wal, 1, 15_000);
        wal.drain().unwrap();
        let mut image = disk.seen();
        let _dead = disk.kill();
        drop(wal);
        // The power goes, and of the second record all but the first sector arrives.
        image.staging.clear();
        let (path, offset) = locate(form, end);
        image.file_mut(path).unwrap().clear(offset, offset + SECTOR);
        let (disk, mut medium) = (SimDisk::of(image.clone()), Medium::of(image));
        let wal = log::open(&disk, form, SMALL_RING).unwrap();
        disk.journal().iter().for_each(|step| medium.apply(step));
        let left = medium.after(&medium.nothing());
        let cut = wal.recovery().cut.clone().unwrap();
        let kept = left.file(cut.kept_at.unwrap()).map(|file| file.len() as u64);
        assert_eq!(kept, Some(cut.end - cut.start), "{form:?}");
    }
}

fn segments(image: &Image) -> Vec<&str> {
    let names = image.names.keys().filter_map(|path| path.to_str());
    names.filter(|name| name.ends_with(".seg")).collect()
}

#[test]
fn calls_that_are_interrupted_and_do_less_than_they_were_asked_to_are_made_again() {
    for form in FORMS {
        for mood in 0..4 {
            let disk = SimDisk::new();
            disk.behave(|disk| disk.moods = Some(mood));
            let wal = log::open(&disk, form, SMALL_RING).unwrap();
            let entries: Vec<Entry> = (0..12).map(|i| put(&wal, i, SEGMENT as usize / 5)).collect();
            wal.sync().unwrap();
            assert_eq!(all(&wal), entries, "{form:?}, mood {mood}");
            let disk = disk.kill();
            drop(wal);
            assert_eq!(
                all(&log::open(&disk, form, SMALL_RING).unwrap()),
                entries,
                "{form:?}, mood {mood}"
            );
        }
    }
}
