//! Damage on disk: what was acknowledged is there, or an error says where it is damaged and not one byte has changed;
//! what was not acknowledged may be there, as a prefix, and never after something newer.

use std::{collections::BTreeSet, fs};

use wal_db::{Durability, OpenPolicy, Wal, WalError};
use wal_tests::{
    Entry, all, corruption,
    damage::{bytes, refused, salvaged, synced},
    disk::{Disk, EIO, Fault, Op, open},
    files::{FORMS, Form, GROUP_HEADER, Group, Place, SECTOR, assert_same_files},
    payload, put, quiet, quiet_heap,
};

// ---- torn writes and lost sectors ------------------------------------------------------------------------

#[test]
fn any_sectors_of_an_unsynced_tail_may_be_lost() {
    for form in FORMS {
        let place = Place::fast(form);
        let wal = place.open(quiet()).unwrap();
        let acked: Vec<Entry> = (0..3).map(|i| put(&wal, i, 300)).collect();
        wal.sync().unwrap();
        let mut tail = Vec::new();
        for i in 3..6 {
            tail.push(put(&wal, i, 600));
            wal.drain().unwrap();
        }
        let (from, to) = (wal.status().durable.get(), wal.end().get());
        let groups: Vec<Group> = place
            .groups()
            .into_iter()
            .filter(|group| group.pos >= from)
            .collect();
        assert_eq!((groups.len(), (to - from) / SECTOR), (3, 6));
        let image = place.without_staging();
        drop(wal);

        for lost in 0..1u32 << 6 {
            let is_lost = |sector: u64| lost >> sector & 1 == 1;
            let place = image.killed();
            for sector in (0..6).filter(|&sector| is_lost(sector)) {
                place.overwrite(from + sector * SECTOR, &[0; SECTOR as usize]);
            }
            let whole = |group: &&Group| {
                !(group.pos..group.next())
                    .step_by(512)
                    .any(|pos| is_lost((pos - from) / SECTOR))
            };
            let kept = groups.iter().take_while(whole).count();
            let expected = [&acked[..], &tail[..kept]].concat();

            let wal = place.open(quiet()).unwrap();
            assert_eq!(all(&wal), expected, "{form:?}, lost {lost:b}");
            let arrived_behind = (kept as u64 * 2..6).any(|sector| !is_lost(sector));
            assert_eq!(
                wal.recovery().cut.is_some(),
                arrived_behind,
                "{form:?}, lost {lost:b}"
            );
            assert_eq!(
                wal.recovery().cut.as_ref().map_or(0, |cut| cut.end - cut.start) > 0,
                arrived_behind
            );
            if let Some(cut) = &wal.recovery().cut {
                let kept_at = fs::read(cut.kept_at.as_ref().unwrap()).unwrap();
                assert_eq!(
                    kept_at,
                    image_of(&image, from, cut.start, cut.end, is_lost),
                    "kept bytes"
                );
            }

            // Nothing of the cut tail comes back after a record that is acknowledged now.
            let new = Entry(wal.append_and_sync(b"new").unwrap(), b"new".to_vec());
            let again = place.without_staging();
            drop(wal);
            let expected = [expected, vec![new]].concat();
            assert_eq!(
                all(&again.open(quiet()).unwrap()),
                expected,
                "{form:?}, lost {lost:b}, a second time"
            );
        }
    }
}

/// What the stream of `image` holds without the lost sectors.
fn image_of(image: &Place, tail: u64, start: u64, end: u64, is_lost: impl Fn(u64) -> bool) -> Vec<u8> {
    let mut bytes = image.stream(start, end - start);
    for (i, byte) in bytes.iter_mut().enumerate() {
        if is_lost((start + i as u64 - tail) / SECTOR) {
            *byte = 0;
        }
    }
    bytes
}

#[test]
fn a_file_that_ends_at_the_durable_mark_holds_all_that_was_acknowledged() {
    for form in FORMS {
        let (place, wal, entries) = synced(form);
        let durable = wal.status().durable.get();
        put(&wal, 99, 500);
        wal.drain().unwrap();
        let image = place.without_staging();
        image.cut_file(durable);
        let wal = image.open(quiet()).unwrap();
        assert_eq!(all(&wal), entries, "{form:?}");
        assert!(wal.verify().unwrap().is_intact());
    }
}

/// What follows in the next segment says that what is missing was durable.
#[test]
fn a_segment_that_is_cut_short_before_others_is_damage() {
    let place = Place::fast(Form::Segmented);
    let wal = place.open(quiet()).unwrap();
    for i in 0..3 {
        put(&wal, i, 40_000);
        wal.sync().unwrap();
    }
    let image = place.without_staging();
    // The second group reaches into the second segment, where the third one is.
    let second = image.groups()[1].pos;
    image.cut_file(second + 1000);
    assert_eq!(refused(&image).start, second);
}

/// A small log in memory after every power loss that leaves any of its unsynced sectors.
#[test]
fn after_every_subset_of_unsynced_sectors_the_acknowledged_records_are_there() {
    let disk = Disk::new();
    let wal = Wal::with_store_and_config(disk.clone(), quiet_heap()).unwrap();
    let mut acked: Vec<Entry> = Vec::new();
    let mut unacked: Vec<Entry> = Vec::new();
    let mut images = 0;
    for step in 0..8 {
        unacked.push(put(&wal, step, 200 + 150 * step));
        wal.drain().unwrap();
        if step % 3 == 2 {
            wal.sync().unwrap();
            acked.append(&mut unacked);
        }
        let unsynced = disk.unsynced();
        for subset in 0..1u64 << unsynced.len() {
            let arrives = |sector: u64| {
                unsynced
                    .iter()
                    .position(|&s| s == sector)
                    .is_some_and(|bit| subset >> bit & 1 == 1)
            };
            let image = disk.after_power_loss(arrives);
            let recovered = Wal::with_store_and_config(image.clone(), quiet_heap()).unwrap();
            let found = all(&recovered);
            let possible = [&acked[..], &unacked].concat();
            assert!(
                found.starts_with(&acked) && possible.starts_with(&found),
                "step {step}, subset {subset:b}"
            );
            // What recovery shows is durable, even if the power fails again at once.
            let once_more =
                Wal::with_store_and_config(image.after_power_loss(|_| false), quiet_heap()).unwrap();
            assert_eq!(
                all(&once_more),
                found,
                "step {step}, subset {subset:b}: a second power loss"
            );
            images += 1;
        }
    }
    assert!(images >= 100, "{images}");
}

/// What a dead process had written is in the system's cache only, and a flush that failed may have marked it clean. What
/// recovery shows of it survives the power from then on.
#[test]
fn what_recovery_shows_after_a_process_died_survives_the_power() {
    for failed_sync in [false, true] {
        let disk = Disk::new();
        let wal = Wal::with_store_and_config(disk.clone(), quiet_heap()).unwrap();
        let mut entries = vec![put(&wal, 1, 700)];
        wal.sync().unwrap();
        for i in 2..5 {
            entries.push(put(&wal, i, 700));
            wal.drain().unwrap();
        }
        if failed_sync {
            disk.set(Op::Sync, Fault::Fail(EIO));
            assert!(wal.sync().is_err());
            disk.heal();
        }
        let image = disk.image();
        assert!(!image.unsynced().is_empty());
        let recovered = Wal::with_store_and_config(image.clone(), quiet_heap()).unwrap();
        assert_eq!(all(&recovered), entries);
        assert_eq!(recovered.recovery().found_records, 4);
        // Neither a call nor a close: the power fails right after opening.
        let after = image.after_power_loss(|_| false);
        assert_eq!(
            all(&Wal::with_store_and_config(after, quiet_heap()).unwrap()),
            entries,
            "after a failed sync: {failed_sync}"
        );
    }
}

#[test]
fn a_zeroed_sector_of_the_last_flush_is_damage_once_it_is_certified() {
    for (durability, certified) in [(Durability::Flushed, false), (Durability::Certified, true)] {
        let disk = Disk::new();
        let config = quiet_heap().with_durability(durability);
        let wal = Wal::with_store_and_config(disk.clone(), config).unwrap();
        let first = Entry(wal.append_and_sync(b"first").unwrap(), b"first".to_vec());
        let lsn = wal.append_and_sync(&payload(1, 1500)).unwrap();
        let image = disk.image();
        // The second sector of the second group.
        let at = lsn.get() as usize + 512;
        image.edit(|row| row[at..at + 512].fill(0));
        let before = image.row();
        let opened = Wal::with_store_and_config(image.clone(), config);
        if certified {
            let damage = corruption(opened);
            assert!((damage.start..damage.end).contains(&(at as u64)), "{damage:?}");
            assert_eq!(image.row(), before);
        } else {
            // One flush cannot tell this from a crash; it is reported.
            let wal = opened.unwrap();
            assert_eq!(all(&wal), [first]);
            assert!(wal.recovery().cut.is_some());
        }
    }
}

// ---- flipped bits ----------------------------------------------------------------------------------------

#[test]
fn a_flipped_bit_below_the_watermark_is_reported_and_nothing_changes() {
    for form in FORMS {
        let (place, wal, entries) = synced(form);
        let durable = wal.status().durable.get();
        let groups = place.groups();
        // The fourth group lies in the second segment. Two bytes of its header, the first word of its second frame, a
        // byte of its third record.
        let group = groups[3];
        let second = entries[10].0.get() + GROUP_HEADER;
        let spots = [
            group.pos + 20,
            group.pos + 60,
            second,
            second + 5,
            entries[11].0.get() + GROUP_HEADER + 100,
        ];
        for image in [place.without_staging(), place.killed()] {
            for pos in spots {
                let place = image.killed();
                place.flip(pos);
                let damage = refused(&place);
                assert!(
                    (damage.start..damage.end).contains(&pos),
                    "{form:?}, {pos}: {damage:?}"
                );
                assert!(damage.end <= durable);
                assert_eq!(damage.segment, place.segment_of(group.pos), "{form:?}, {pos}");
                assert_eq!(damage.lsn.get(), group.pos - GROUP_HEADER, "{form:?}, {pos}");

                let before = place.bytes();
                let inspection = wal_db::recovery::inspect(place.path()).unwrap();
                // It does not look at staging memory, which may know of more that is durable.
                let inspected = inspection.damage.unwrap();
                assert_eq!(
                    (inspected.start, inspected.reason),
                    (damage.start, damage.reason),
                    "{form:?}, {pos}"
                );
                let (read, damage) = salvaged(&place);
                assert_eq!(damage.len(), 1, "{form:?}, {pos}: {damage:?}");
                let read: BTreeSet<Entry> = read.into_iter().collect();
                let lost: Vec<usize> = (0..18).filter(|&i| !read.contains(&entries[i])).collect();
                assert!(
                    lost.iter().all(|i| (9..12).contains(i)),
                    "{form:?}, {pos}: salvage lost {lost:?}"
                );
                assert_eq!(read.len() + lost.len(), 18, "salvage made records up");
                assert_same_files(&before, &place.bytes(), "inspect and salvage");
            }
        }
    }
}

#[test]
fn salvage_reads_the_records_of_a_group_whose_header_is_damaged() {
    let (place, _wal, entries) = synced(Form::Segmented);
    let image = place.without_staging();
    image.flip(place.groups()[3].pos + 20);
    let (read, damage) = salvaged(&image);
    assert_eq!(
        (read, damage.len()),
        (entries, 1),
        "every record is intact, only a header is not"
    );
}

#[test]
fn salvage_reads_on_behind_a_record_whose_length_is_damaged() {
    let (place, _wal, mut entries) = synced(Form::Segmented);
    let image = place.without_staging();
    // The high half of the first word of the fourth group's first frame: kind and length.
    image.flip(entries[9].0.get() + GROUP_HEADER + 5);
    entries.remove(9);
    let (read, damage) = salvaged(&image);
    assert_eq!(
        (read, damage.len()),
        (entries, 1),
        "two more records of that group are intact"
    );
}

#[test]
fn a_flipped_bit_in_the_last_flush_is_found_in_every_byte() {
    let disk = Disk::new();
    let wal = Wal::with_store_and_config(disk.clone(), quiet_heap()).unwrap();
    let entries: Vec<Entry> = (0..4)
        .map(|i| {
            let entry = put(&wal, i, 40 + i);
            wal.sync().unwrap();
            entry
        })
        .collect();
    let (start, used) = (3 * 512, GROUP_HEADER as usize + 8 + 48);
    for at in start..start + 512 {
        let image = disk.image();
        image.edit(|row| row[at] ^= 0x10);
        let before = image.row();
        let opened = Wal::with_store_and_config(image.clone(), quiet_heap());
        if at < start + used {
            let damage = corruption(opened);
            assert!(
                (damage.start..damage.end).contains(&(at as u64)),
                "byte {at}: {damage:?}"
            );
            assert_eq!(image.row(), before, "byte {at}");
        } else {
            assert_eq!(all(&opened.unwrap()), entries, "padding, byte {at}");
        }
    }
}

#[test]
fn junk_after_the_end_or_in_padding_never_changes_data() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        let entries: Vec<Entry> = (0..3).map(|i| put(&wal, i, 100)).collect();
        wal.close().unwrap();
        let groups = place.groups();
        let end = groups.last().unwrap().next();
        let padding = groups[0].pos + groups[0].len + 3;
        assert!(padding < groups[0].next());
        type Junk = (&'static str, u64, Vec<u8>, bool);
        let cases: [Junk; 4] = [
            ("padding", padding, vec![7], true),
            ("zeros", end, vec![0; 8192], true),
            ("junk at the end", end, payload(1, 5000), false),
            ("junk behind a gap", end + 20_000, payload(2, 5000), false),
        ];
        for with_staging in [true, false] {
            for (what, pos, junk, harmless) in &cases {
                let place = if with_staging {
                    place.killed()
                } else {
                    place.without_staging()
                };
                place.overwrite(*pos, junk);
                let before = bytes(&place);
                match place.open(quiet()) {
                    Ok(wal) => {
                        assert_eq!(all(&wal), entries, "{form:?}, {what}");
                        assert_eq!(
                            wal.recovery().cut.is_none(),
                            *harmless,
                            "{form:?}, {what}: reported"
                        );
                    }
                    Err(WalError::Corruption(_)) => {
                        assert!(!harmless, "{form:?}, {what}");
                        assert_same_files(&before, &bytes(&place), what);
                    }
                    Err(other) => panic!("{form:?}, {what}: {other:?}"),
                }
            }
        }
    }
}

#[test]
fn a_refused_opening_creates_no_file() {
    for form in FORMS {
        let (place, _wal, entries) = synced(form);
        let place = place.without_staging();
        place.flip(entries[10].0.get() + GROUP_HEADER + 50);
        let before = place.bytes();
        corruption(place.open(quiet()));
        assert_same_files(&before, &place.bytes(), "a refused opening");
    }
}

// ---- opening in spite of damage --------------------------------------------------------------------------

#[test]
fn truncate_at_damage_cuts_keeps_the_bytes_and_reports() {
    for form in FORMS {
        let (place, wal, entries) = synced(form);
        let (durable, group) = (wal.status().durable.get(), place.groups()[3]);
        let place = place.without_staging();
        drop(wal);
        place.flip(entries[10].0.get() + GROUP_HEADER + 50);
        let cut_bytes = place.stream(group.pos, durable - group.pos);
        let damage = refused(&place);

        let policy = quiet().with_open_policy(OpenPolicy::TruncateAtDamage);
        let wal = place.open(policy).unwrap();
        assert_eq!(all(&wal), entries[..9], "{form:?}");
        let report = wal.recovery().clone();
        assert_eq!(report.damage, Some(damage), "{form:?}");
        let cut = report.cut.unwrap();
        assert_eq!(cut.start, group.pos);
        let kept = fs::read(cut.kept_at.as_ref().unwrap()).unwrap();
        assert_eq!(
            kept,
            cut_bytes[..(cut.end - cut.start) as usize],
            "{form:?}: kept aside"
        );
        assert!(
            cut_bytes[kept.len()..].iter().all(|&byte| byte == 0),
            "{form:?}: all of it"
        );

        let new = put(&wal, 70, 100);
        wal.close().unwrap();
        let expected = [&entries[..9], &[new]].concat();
        for _ in 0..2 {
            let wal = place.open(quiet()).unwrap();
            assert_eq!(all(&wal), expected, "{form:?}");
            assert!(
                wal.recovery().damage.is_none() && wal.recovery().clean,
                "{form:?}"
            );
        }
    }
}

#[test]
fn kept_bytes_are_not_overwritten_by_the_next_cut() {
    let (place, wal, entries) = synced(Form::File);
    let place = place.without_staging();
    drop(wal);
    place.flip(entries[10].0.get() + GROUP_HEADER + 50);
    let policy = quiet().with_open_policy(OpenPolicy::TruncateAtDamage);
    let kept_at = |wal: &Wal| wal.recovery().cut.clone().unwrap().kept_at.unwrap();
    let wal = place.open(policy).unwrap();
    let first = kept_at(&wal);
    let evidence = fs::read(&first).unwrap();
    // The log goes on at the same place, and a power loss tears what comes there.
    put(&wal, 80, 2000);
    wal.drain().unwrap();
    let after = place.without_staging();
    let torn = wal.status().durable.get() + SECTOR;
    after.overwrite(torn, &[0; SECTOR as usize]);
    let wal = after.open(quiet()).unwrap();
    assert!(wal.recovery().cut.is_some());
    let first = after.root().join(first.file_name().unwrap());
    assert!(
        fs::read(first).unwrap() == evidence,
        "the only copy of what damage cut off is gone"
    );
}

/// A sector is written whole, so a header that alone is missing never came from a crash.
#[test]
fn a_zeroed_header_in_a_sector_that_is_not_zero_is_damage() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        let entry = put(&wal, 1, 100);
        wal.sync().unwrap();
        let image = place.without_staging();
        assert_eq!(all(&image.killed().open(quiet()).unwrap()), [entry]);
        image.overwrite(0, &[0; 64]);
        let damage = refused(&image);
        assert_eq!(
            (damage.start, damage.reason),
            (0, wal_db::recovery::CorruptionReason::GroupHeader),
            "{form:?}"
        );
    }
}

/// The manifest says where to scan from, and must not name a place that a power loss takes back.
#[test]
fn the_place_to_scan_from_is_durable() {
    let disk = Disk::new();
    let wal = open(&disk, quiet_heap());
    let kept: Vec<Entry> = (0..2).map(|i| put(&wal, i, 100)).collect();
    wal.sync().unwrap();
    put(&wal, 2, 2000);
    wal.drain().unwrap();
    wal.truncate_before(kept[1].0).unwrap();
    let after = disk.after_power_loss(|_| false);
    assert_eq!(all(&open(&after, quiet_heap())), kept[1..]);
}
