//! What was cut off a log and kept aside can be read: `salvage` takes the path of the file.

use std::fs;

use wal_db::{Lsn, OpenPolicy, WalError, recovery::SalvageItem};
use wal_tests::{
    Entry, assert_is,
    damage::synced,
    files::{FORMS, Place, assert_same_files},
    put, quiet,
};

fn read(path: &std::path::Path) -> Vec<Entry> {
    let items = wal_db::recovery::salvage(path).unwrap().map(Result::unwrap);
    items
        .filter_map(|item| match item {
            SalvageItem::Record(record) => Some(Entry(record.lsn(), record.into_data())),
            _ => None,
        })
        .collect()
}

#[test]
fn salvage_reads_what_was_cut_at_damage_with_its_lsns() {
    for form in FORMS {
        for with_staging in [false, true] {
            let (place, wal, mut entries) = synced(form);
            entries.extend((0..4).map(|seed| put(&wal, 100 + seed, 300)));
            let image: Place = if with_staging {
                place.killed()
            } else {
                place.without_staging()
            };
            let there = if with_staging {
                entries.len()
            } else {
                entries.len() - 4
            };
            let group = image.groups()[2];
            image.flip(group.pos + 100);
            let policy = quiet().with_open_policy(OpenPolicy::TruncateAtDamage);
            let cut = image.open(policy).unwrap();
            let report = cut.recovery().clone();
            drop(cut);
            let kept = report.cut.unwrap().kept_at.unwrap();
            let what = format!("{form:?}, staging: {with_staging}, {}", kept.display());
            let before = image.bytes();
            // All but the record that is damaged.
            assert_eq!(read(&kept), entries[7..there], "{what}");
            assert_same_files(&before, &image.bytes(), &what);
            assert_eq!(
                wal_db::recovery::inspect(image.path()).unwrap().kept,
                std::slice::from_ref(&kept),
                "{what}"
            );
            // A second file of the same place has a longer name.
            let mut name = kept.clone().into_os_string();
            name.push("-1");
            fs::copy(&kept, &name).unwrap();
            assert_eq!(read(name.as_ref()), entries[7..there], "{what}");
            assert_eq!(
                wal_db::recovery::inspect(image.path()).unwrap().kept.len(),
                2,
                "{what}"
            );
        }
    }
}

#[test]
fn residue_of_a_crash_that_was_kept_can_be_read() {
    for form in FORMS {
        let (place, _wal, entries) = synced(form);
        let image = place.without_staging();
        let groups = image.groups();
        // The last group never arrived as a whole: some of its sectors are zero.
        let last = groups.last().unwrap();
        image.overwrite(last.pos + 7 * 512, &[0; 512]);
        let wal = image.open(quiet()).unwrap();
        let kept = wal.recovery().cut.clone().unwrap().kept_at.unwrap();
        let found = read(&kept);
        assert!(!found.is_empty() && found.len() < 3, "{form:?}: {found:?}");
        assert!(
            found.iter().all(|entry| entries[15..].contains(entry)),
            "{form:?}: {found:?}"
        );
        assert!(found.iter().all(|entry| entry.0 >= Lsn::new(last.pos)));
    }
}

#[test]
fn a_name_alone_makes_no_kept_file() {
    for form in FORMS {
        let (place, _wal, _) = synced(form);
        let dir = place.path().with_file_name("elsewhere");
        fs::create_dir(&dir).unwrap();
        for name in [
            "cut-0",
            "log.cut-0",
            "cut-",
            "cut-x",
            "cut-1-",
            "cut--1",
            ".cut-7",
        ] {
            fs::write(dir.join(name), "no bytes of a log").unwrap();
            let salvaged = wal_db::recovery::salvage(dir.join(name));
            assert_is!(
                salvaged,
                Err(WalError::NotALog { .. } | WalError::Io { .. }),
                "{form:?}, {name}"
            );
        }
        assert!(wal_db::recovery::inspect(place.path()).unwrap().kept.is_empty());
    }
}
