//! Damage and crashes on disk: what was acknowledged is there, or an error says where it is damaged and not one
//! byte has changed; what was not acknowledged may be there, as a prefix, and never behind something newer.
#![allow(clippy::unwrap_used)] // a setup that fails fails the test

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, OpenOptions},
    path::PathBuf,
};

use wal_db::{
    Corruption, CorruptionReason, Durability, Lsn, OpenPolicy, SalvageItem, Staging, Wal, WalError,
};
use wal_tests::{
    Entry, all, corruption,
    disk::Disk,
    files::{FORMS, Form, GROUP_HEADER, Group, Place, SECTOR, SEGMENT, assert_same_files},
    payload, quiet, quiet_heap, until_error,
};

/// Appends a record and returns it as it will be read.
fn put(wal: &Wal, seed: usize, len: usize) -> Entry {
    let data = payload(seed, len);
    Entry(wal.append(&data).unwrap(), data)
}

/// A log of six synced groups of three records, open, of which 70 % lie behind the first segment.
fn synced(form: Form) -> (Place, Wal, Vec<Entry>) {
    let place = Place::new(form);
    let wal = place.open(quiet()).unwrap();
    let mut entries = Vec::new();
    for group in 0..6 {
        for record in 0..3 {
            entries.push(put(&wal, group * 3 + record, 6000 + 100 * record));
        }
        wal.sync().unwrap();
    }
    assert!(wal.durable_lsn().get() > SEGMENT);
    (place, wal, entries)
}

/// The records that salvage reads, and the damage that it meets.
fn salvaged(place: &Place) -> (Vec<Entry>, Vec<Corruption>) {
    let (mut entries, mut damage) = (Vec::new(), Vec::new());
    for item in Wal::salvage(place.path()).unwrap() {
        match item.unwrap() {
            SalvageItem::Record(record) => entries.push(Entry(record.lsn(), record.into_data())),
            SalvageItem::Damage(place) => damage.push(place),
            _ => {}
        }
    }
    (entries, damage)
}

/// Every file with its bytes, but for a staging file without any.
fn bytes(place: &Place) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = place.bytes();
    let staging = place.staging();
    let name = staging.strip_prefix(place.root()).unwrap();
    if files.get(name).is_some_and(Vec::is_empty) {
        files.remove(name);
    }
    files
}

/// Opening is refused for damage, and no byte of any file changes.
fn refused(place: &Place) -> Corruption {
    let before = bytes(place);
    let damage = corruption(place.open(quiet()));
    assert_same_files(&before, &bytes(place), "a refused opening");
    assert_eq!(corruption(place.open(quiet())), damage, "a second opening");
    damage
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

/// Damage somewhere in the log: opening is refused without a change, or every way to read everything ends in an
/// error, after records that are right.
fn never_silent(place: &Place, expected: &[Entry], what: &str) {
    let before = place.bytes();
    match place.open(quiet()) {
        // Which error it has to be is the subject of `damage_of_the_first_segment_is_corruption_and_not_truncation`.
        Err(WalError::Corruption(_) | WalError::Truncated { .. }) => {
            assert_same_files(&before, &bytes(place), what);
        }
        Err(other) => panic!("{what}: {other:?}"),
        Ok(wal) => {
            let (read, error) = until_error(&wal);
            assert!(expected.starts_with(&read), "{what}: wrong records");
            assert!(error.is_some(), "{what}: ends silently after {} of {}", read.len(), expected.len());
            assert!(!wal.verify().is_ok_and(|report| report.is_intact()), "{what}: verify");
        }
    }
}

// ---- torn writes and lost sectors -----------------------------------------------------------------------------

#[test]
fn any_sectors_of_an_unsynced_tail_may_be_lost() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        let acked: Vec<Entry> = (0..3).map(|i| put(&wal, i, 300)).collect();
        wal.sync().unwrap();
        let mut tail = Vec::new();
        for i in 3..6 {
            tail.push(put(&wal, i, 600));
            wal.flush().unwrap();
        }
        let (from, to) = (wal.durable_lsn().get(), wal.len());
        let groups: Vec<Group> = place.groups().into_iter().filter(|group| group.pos >= from).collect();
        assert_eq!((groups.len(), (to - from) / SECTOR), (3, 6));
        let image = place.without_staging();
        drop(wal);

        for lost in 0..1u32 << 6 {
            let is_lost = |sector: u64| lost >> sector & 1 == 1;
            let place = image.killed();
            for sector in (0..6).filter(|&sector| is_lost(sector)) {
                place.overwrite(from + sector * SECTOR, &[0; SECTOR as usize]);
            }
            let whole = |group: &&Group| !(group.pos..group.next()).step_by(512).any(|pos| is_lost((pos - from) / SECTOR));
            let kept = groups.iter().take_while(whole).count();
            let expected = [&acked[..], &tail[..kept]].concat();

            let wal = place.open(quiet()).unwrap();
            assert_eq!(all(&wal), expected, "{form:?}, lost {lost:b}");
            let arrived_behind = (kept as u64 * 2..6).any(|sector| !is_lost(sector));
            assert_eq!(wal.recovery().cut.is_some(), arrived_behind, "{form:?}, lost {lost:b}");
            assert_eq!(wal.truncated_on_open() > 0, arrived_behind);
            if let Some(cut) = &wal.recovery().cut {
                let kept_at = fs::read(cut.kept_at.as_ref().unwrap()).unwrap();
                assert_eq!(kept_at, image_of(&image, from, cut.start, cut.end, is_lost), "kept bytes");
            }

            // Nothing of the cut tail comes back behind a record that is acknowledged now.
            let new = Entry(wal.append_and_sync(b"new").unwrap(), b"new".to_vec());
            let again = place.without_staging();
            drop(wal);
            let expected = [expected, vec![new]].concat();
            assert_eq!(all(&again.open(quiet()).unwrap()), expected, "{form:?}, lost {lost:b}, a second time");
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
        let durable = wal.durable_lsn().get();
        put(&wal, 99, 500);
        wal.flush().unwrap();
        let image = place.without_staging();
        let (path, offset) = image.locate(durable);
        OpenOptions::new().write(true).open(path).unwrap().set_len(offset).unwrap();
        let wal = image.open(quiet()).unwrap();
        assert_eq!(all(&wal), entries, "{form:?}");
        assert!(wal.verify().unwrap().is_intact());
    }
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
        wal.flush().unwrap();
        if step % 3 == 2 {
            wal.sync().unwrap();
            acked.append(&mut unacked);
        }
        let unsynced = disk.unsynced();
        for subset in 0..1u64 << unsynced.len() {
            let arrives = |sector: u64| {
                unsynced.iter().position(|&s| s == sector).is_some_and(|bit| subset >> bit & 1 == 1)
            };
            let image = disk.after_power_loss(arrives);
            let recovered = Wal::with_store_and_config(image.clone(), quiet_heap()).unwrap();
            let found = all(&recovered);
            let possible = [&acked[..], &unacked].concat();
            assert!(found.starts_with(&acked) && possible.starts_with(&found), "step {step}, subset {subset:b}");
            // What recovery shows is durable, even if the power fails again at once.
            let once_more = Wal::with_store_and_config(image.after_power_loss(|_| false), quiet_heap()).unwrap();
            assert_eq!(all(&once_more), found, "step {step}, subset {subset:b}: a second power loss");
            images += 1;
        }
    }
    assert!(images >= 100, "{images}");
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

// ---- flipped bits -----------------------------------------------------------------------------------------------

#[test]
fn a_flipped_bit_below_the_watermark_is_reported_and_nothing_changes() {
    for form in FORMS {
        let (place, wal, entries) = synced(form);
        let durable = wal.durable_lsn().get();
        let groups = place.groups();
        // The fourth group lies in the second segment. Two bytes of its header, the first word of its second frame, a
        // byte of its third record.
        let group = groups[3];
        let second = entries[10].0.get() + GROUP_HEADER;
        let spots = [group.pos + 20, group.pos + 60, second, second + 5, entries[11].0.get() + GROUP_HEADER + 100];
        for image in [place.without_staging(), place.killed()] {
            for pos in spots {
                let place = image.killed();
                place.flip(pos);
                let damage = refused(&place);
                assert!((damage.start..damage.end).contains(&pos), "{form:?}, {pos}: {damage:?}");
                assert!(damage.end <= durable);
                assert_eq!(damage.segment, place.segment_of(group.pos), "{form:?}, {pos}");
                assert_eq!(damage.lsn.get(), group.pos - GROUP_HEADER, "{form:?}, {pos}");

                let before = place.bytes();
                let inspection = Wal::inspect(place.path()).unwrap();
                // It does not look at staging memory, which may know of more that is durable.
                let inspected = inspection.damage.unwrap();
                assert_eq!((inspected.start, inspected.reason), (damage.start, damage.reason), "{form:?}, {pos}");
                let (read, damage) = salvaged(&place);
                assert_eq!(damage.len(), 1, "{form:?}, {pos}: {damage:?}");
                let read: BTreeSet<Entry> = read.into_iter().collect();
                let lost: Vec<usize> = (0..18).filter(|&i| !read.contains(&entries[i])).collect();
                assert!(lost.iter().all(|i| (9..12).contains(i)), "{form:?}, {pos}: salvage lost {lost:?}");
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
    assert_eq!((read, damage.len()), (entries, 1), "every record is intact, only a header is not");
}

#[test]
fn salvage_reads_on_behind_a_record_whose_length_is_damaged() {
    let (place, _wal, mut entries) = synced(Form::Segmented);
    let image = place.without_staging();
    // The high half of the first word of the fourth group's first frame: kind and length.
    image.flip(entries[9].0.get() + GROUP_HEADER + 5);
    entries.remove(9);
    let (read, damage) = salvaged(&image);
    assert_eq!((read, damage.len()), (entries, 1), "two more records of that group are intact");
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
            assert!((damage.start..damage.end).contains(&(at as u64)), "byte {at}: {damage:?}");
            assert_eq!(image.row(), before, "byte {at}");
        } else {
            assert_eq!(all(&opened.unwrap()), entries, "padding, byte {at}");
        }
    }
}

#[test]
fn every_byte_of_a_small_log_flipped_zeroed_or_set_is_an_error_or_harmless() {
    let disk = Disk::new();
    let wal = Wal::with_store_and_config(disk.clone(), quiet_heap()).unwrap();
    let mut entries = Vec::new();
    for group in 0..3 {
        entries.extend((0..2).map(|i| put(&wal, group * 2 + i, 100)));
        wal.sync().unwrap();
    }
    drop(wal); // closed and sealed
    let mut refused = 0;
    let len = disk.row().len();
    for at in 0..len {
        for change in [|byte: u8| byte ^ 0x80, |_| 0, |_| 0xff] {
            let image = disk.image();
            image.edit(|row| row[at] = change(row[at]));
            let before = image.row();
            let changed = before != disk.row();
            match Wal::with_store_and_config(image.clone(), quiet_heap()) {
                Err(WalError::Corruption(_)) => {
                    assert_eq!(image.row(), before, "byte {at}");
                    refused += 1;
                }
                Err(other) => panic!("byte {at}: {other:?}"),
                Ok(wal) => {
                    let (read, error) = until_error(&wal);
                    assert!(entries.starts_with(&read), "byte {at}");
                    assert!(error.is_some() || read.len() == entries.len(), "byte {at}: ends silently");
                    assert!(changed || error.is_none());
                    refused += usize::from(error.is_some());
                }
            }
        }
    }
    assert!(refused > len, "{refused} of {len}");
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
                let place = if with_staging { place.killed() } else { place.without_staging() };
                place.overwrite(*pos, junk);
                let before = bytes(&place);
                match place.open(quiet()) {
                    Ok(wal) => {
                        assert_eq!(all(&wal), entries, "{form:?}, {what}");
                        assert_eq!(wal.recovery().cut.is_none(), *harmless, "{form:?}, {what}: reported");
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

// ---- segments ---------------------------------------------------------------------------------------------------

/// A closed log of several segments, and an image of it before it was closed.
fn many_segments() -> (Place, Place, Vec<Entry>) {
    let place = Place::new(Form::Segmented);
    let wal = place.open(quiet()).unwrap();
    let mut entries = Vec::new();
    for i in 0..60 {
        entries.push(put(&wal, i, 5000));
        if i % 5 == 4 {
            wal.sync().unwrap();
        }
    }
    assert!(wal.len() > 4 * SEGMENT);
    let image = place.without_staging();
    wal.close().unwrap();
    assert!(place.segment(4).exists() && !place.segment(5).exists());
    (place, image, entries)
}

#[test]
fn a_missing_segment_is_named_and_nothing_is_unlinked() {
    let (closed, image, _) = many_segments();
    for place in [&closed, &image] {
        for index in 0..5 {
            let place = place.killed();
            fs::remove_file(place.segment(index)).unwrap();
            let damage = refused(&place);
            assert_eq!((damage.reason, damage.segment), (CorruptionReason::MissingSegment, Some(index)));
            assert_eq!((damage.start, damage.end), (index * SEGMENT, (index + 1) * SEGMENT));
        }
    }
}

#[test]
fn swapped_duplicated_and_foreign_segments_are_never_read() {
    let (closed, image, entries) = many_segments();
    let (other, _, _) = many_segments();
    for place in [&closed, &image] {
        for index in 0..5u64 {
            let damaged = place.killed();
            fs::copy(place.segment((index + 1) % 5), damaged.segment(index)).unwrap();
            fs::copy(place.segment(index), damaged.segment((index + 1) % 5)).unwrap();
            never_silent(&damaged, &entries, &format!("segment {index} swapped with the next"));

            let damaged = place.killed();
            fs::copy(place.segment((index + 2) % 5), damaged.segment(index)).unwrap();
            never_silent(&damaged, &entries, &format!("segment {index} replaced by another"));

            let damaged = place.killed();
            fs::copy(other.segment(index), damaged.segment(index)).unwrap();
            never_silent(&damaged, &entries, &format!("segment {index} of another log"));
        }
    }
}

#[test]
fn damage_of_the_first_segment_is_corruption_and_not_truncation() {
    let (closed, _, _) = many_segments();
    fs::copy(closed.segment(1), closed.segment(0)).unwrap();
    let wal = closed.open(quiet()).unwrap();
    let (_, error) = until_error(&wal);
    assert!(matches!(error, Some(WalError::Corruption(_))), "iter: {error:?}");
    assert!(!wal.verify().unwrap().is_intact());
}

#[test]
fn a_copy_of_a_segment_behind_the_last_one_changes_nothing() {
    let (closed, _, entries) = many_segments();
    for index in [5, 7] {
        let place = closed.killed();
        fs::copy(place.segment(2), place.segment(index)).unwrap();
        let before = place.bytes();
        match place.open(quiet()) {
            Ok(wal) => assert_eq!(all(&wal), entries, "{index}"),
            Err(WalError::Corruption(damage)) => {
                assert_same_files(&before, &place.bytes(), &format!("{damage:?}"));
            }
            Err(other) => panic!("{index}: {other:?}"),
        }
    }
}

#[test]
fn a_segment_from_an_older_state_of_the_log_is_never_read() {
    let place = Place::new(Form::Segmented);
    let wal = place.open(quiet()).unwrap();
    let mut entries: Vec<Entry> = (0..20).map(|i| put(&wal, i, 5000)).collect();
    wal.close().unwrap();
    let old = place.killed();
    // Cut, and go on: the same segments hold other records of a newer epoch.
    let wal = place.open(quiet()).unwrap();
    wal.truncate_after(entries[14].0).unwrap();
    entries.truncate(15);
    entries.extend((20..45).map(|i| put(&wal, i, 5000)));
    wal.close().unwrap();
    for index in 0..2 {
        let damaged = place.killed();
        fs::copy(old.segment(index), damaged.segment(index)).unwrap();
        if damaged.bytes() != place.bytes() {
            never_silent(&damaged, &entries, &format!("segment {index} of an older state"));
        }
    }
}

#[test]
fn a_segment_that_was_cut_short_is_never_passed_over() {
    let (closed, image, entries) = many_segments();
    for place in [&closed, &image] {
        for index in 0..4 {
            for len in [0, 52, 4096, 4096 + 512, 4096 + 33_333, 4096 + SEGMENT - 512] {
                let damaged = place.killed();
                let file = OpenOptions::new().write(true).open(damaged.segment(index)).unwrap();
                file.set_len(len).unwrap();
                never_silent(&damaged, &entries, &format!("segment {index} cut to {len} bytes"));
            }
        }
    }
}

#[test]
fn a_closed_log_whose_end_is_missing_is_refused() {
    for form in FORMS {
        let (place, wal, _) = synced(form);
        wal.close().unwrap();
        let (path, _) = place.locate(place.groups().last().unwrap().pos);
        let full = fs::metadata(&path).unwrap().len();
        for missing in [512, 4096, 10_000] {
            let place = place.killed();
            let (path, _) = place.locate(place.groups().last().unwrap().pos);
            OpenOptions::new().write(true).open(path).unwrap().set_len(full - missing).unwrap();
            let damage = refused(&place);
            assert_eq!(damage.reason, CorruptionReason::Short, "{form:?}, {missing} bytes");
        }
    }
}

#[test]
fn a_segment_name_with_a_huge_number_is_no_panic() {
    let (closed, _, entries) = many_segments();
    fs::copy(closed.segment(0), closed.path().join(format!("{}.seg", u64::MAX))).unwrap();
    let before = closed.bytes();
    match closed.open(quiet()) {
        Ok(wal) => assert_eq!(all(&wal), entries),
        Err(WalError::Corruption(damage)) => assert_same_files(&before, &closed.bytes(), &format!("{damage:?}")),
        Err(other) => panic!("{other:?}"),
    }
}

// ---- the manifest -----------------------------------------------------------------------------------------------

fn damage_slot(place: &Place, slot: u64, damage: impl Fn(&mut [u8])) {
    let mut bytes = fs::read(place.manifest()).unwrap();
    let from = (slot * wal_tests::files::SLOT) as usize;
    let to = bytes.len().min(from + wal_tests::files::SLOT as usize);
    damage(&mut bytes[from..to]);
    let file = OpenOptions::new().write(true).open(place.manifest()).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0).unwrap();
}

#[test]
fn one_damaged_copy_of_the_manifest_is_reported_and_mended() {
    for form in FORMS {
        let (place, wal, entries) = synced(form);
        wal.close().unwrap();
        for slot in 0..2 {
            for at in [0, 8, 20, 30, 85, 140] {
                let place = place.killed();
                damage_slot(&place, slot, |bytes| bytes[at] ^= 4);
                assert_eq!(Wal::inspect(place.path()).unwrap().intact_manifest_copies, 1);
                let wal = place.open(quiet()).unwrap();
                assert!(wal.recovery().manifest_copy_damaged, "{form:?}, slot {slot}, byte {at}");
                assert_eq!(all(&wal), entries, "{form:?}, slot {slot}, byte {at}");
                drop(wal);
                assert_eq!(Wal::inspect(place.path()).unwrap().intact_manifest_copies, 2);
                assert!(!place.open(quiet()).unwrap().recovery().manifest_copy_damaged);
            }
        }
    }
}

#[test]
fn a_copy_of_the_manifest_that_reads_as_zeros_is_reported() {
    for form in FORMS {
        let (place, wal, entries) = synced(form);
        wal.close().unwrap();
        for slot in 0..2 {
            let place = place.killed();
            damage_slot(&place, slot, |bytes| bytes.fill(0));
            let wal = place.open(quiet()).unwrap();
            assert_eq!(all(&wal), entries);
            assert!(wal.recovery().manifest_copy_damaged, "{form:?}, slot {slot}");
        }
    }
}

#[test]
fn a_log_with_two_damaged_copies_of_the_manifest_is_refused_and_salvaged() {
    for form in FORMS {
        let (place, wal, entries) = synced(form);
        wal.close().unwrap();
        for slot in 0..2 {
            damage_slot(&place, slot, |bytes| bytes[60] ^= 1);
        }
        let damage = refused(&place);
        assert_eq!(damage.reason, CorruptionReason::Manifest, "{form:?}");
        let inspection = Wal::inspect(place.path()).unwrap();
        assert_eq!(inspection.intact_manifest_copies, 0);
        assert_eq!(inspection.damage.unwrap().reason, CorruptionReason::Manifest);
        assert_eq!(salvaged(&place), (entries, vec![]), "{form:?}");
    }
}

#[test]
fn an_empty_log_with_two_damaged_copies_of_the_manifest_is_not_changed() {
    for form in FORMS {
        let place = Place::new(form);
        place.open(quiet()).unwrap().close().unwrap();
        for slot in 0..2 {
            damage_slot(&place, slot, |bytes| bytes[60] ^= 1);
        }
        assert_eq!(refused(&place).reason, CorruptionReason::Manifest, "{form:?}");
    }
}

#[test]
fn segments_without_a_manifest_are_refused_and_salvaged() {
    let (place, _, entries) = many_segments();
    fs::remove_file(place.manifest()).unwrap();
    assert_eq!(refused(&place).reason, CorruptionReason::MissingManifest);
    assert_eq!(salvaged(&place), (entries, vec![]));
}

// ---- a file that is cut under an open log -----------------------------------------------------------------------

/// An open log of which only the first `keep` bytes of the stream are left on disk.
fn cut_under_an_open_log(form: Form) -> (Place, Wal, Vec<Entry>, u64) {
    let (place, wal, entries) = synced(form);
    // Inside the second record of the fourth group.
    let keep = entries[10].0.get() + 3000;
    let (path, offset) = place.locate(keep);
    OpenOptions::new().write(true).open(path).unwrap().set_len(offset).unwrap();
    (place, wal, entries, keep)
}

#[test]
fn a_file_cut_under_an_open_log_is_an_error_item() {
    for form in FORMS {
        let (_place, wal, entries, _) = cut_under_an_open_log(form);
        let (read, error) = until_error(&wal);
        assert_eq!(read, entries[..10], "{form:?}");
        assert!(matches!(error, Some(WalError::Corruption(_))), "{form:?}: {error:?}");
        for (i, Entry(lsn, _)) in entries.iter().enumerate() {
            let items: Vec<_> = wal.iter_from(*lsn).into_iter().flatten().collect();
            assert!(items.last().is_none_or(Result::is_err), "{form:?}: from record {i}");
            if i < 10 {
                assert_eq!(items.len(), 10 - i + 1, "{form:?}: from record {i}");
            }
        }
        assert!(!wal.verify().unwrap().is_intact());
    }
}

#[test]
fn a_file_cut_under_an_open_log_is_an_error_backwards() {
    for form in FORMS {
        let (_place, wal, entries, _) = cut_under_an_open_log(form);
        let first = wal.iter_rev().map(|mut records| records.next());
        match first {
            Err(WalError::Corruption(_)) | Ok(Some(Err(WalError::Corruption(_)))) => {}
            Ok(Some(Ok(record))) => {
                let at = entries.iter().position(|entry| entry.0 == record.lsn());
                panic!("{form:?}: begins with record {at:?} of 18 as if it were the newest");
            }
            other => panic!("{form:?}: {other:?}"),
        }
    }
}

#[test]
fn a_record_cut_off_under_an_open_log_is_damage_and_not_missing() {
    for form in FORMS {
        let (_place, wal, entries, _) = cut_under_an_open_log(form);
        for (i, Entry(lsn, data)) in entries.iter().enumerate() {
            match wal.read(*lsn) {
                Ok(record) if i < 10 => assert_eq!(record.data(), data),
                Err(WalError::Corruption(_)) if i >= 10 => {}
                other => panic!("{form:?}, record {i}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_lost_sector_under_an_open_log_is_damage_to_every_reader() {
    for form in FORMS {
        let (place, wal, entries) = synced(form);
        // The header of the last group and the beginning of its first record.
        place.overwrite(place.groups()[5].pos, &[0; SECTOR as usize]);
        let (read, error) = until_error(&wal);
        assert_eq!((read.len(), error.is_some()), (15, true), "{form:?}: iter");
        let result = wal.read(entries[15].0);
        assert!(matches!(result, Err(WalError::Corruption(_))), "{form:?}: read: {result:?}");
        let newest = wal.iter_rev().and_then(|mut records| records.next().transpose());
        assert!(!matches!(&newest, Ok(Some(r)) if r.lsn() < entries[15].0), "{form:?}: iter_rev: {newest:?}");
    }
}

// ---- process crashes --------------------------------------------------------------------------------------------

/// P1: every append that returned is there, whatever was going on.
#[test]
fn a_killed_process_loses_no_append() {
    for form in FORMS {
        for staging in [Staging::Mapped, Staging::WriteThrough] {
            let what = format!("{form:?}, {staging:?}");
            let place = Place::new(form);
            let wal = place.open(quiet().with_staging(staging)).unwrap();
            let mut entries: Vec<Entry> = Vec::new();
            let check = |entries: &[Entry], step: &str| {
                let image = place.killed();
                let wal = image.open(quiet()).unwrap();
                assert_eq!(all(&wal), entries, "{what}: {step}");
                assert!(wal.verify().unwrap().is_intact(), "{what}: {step}");
                let report = wal.recovery().clone();
                // What was recovered is durable: the power may fail now.
                let image = image.without_staging();
                assert_eq!(all(&image.open(quiet()).unwrap()), entries, "{what}: {step}: reopened twice");
                report
            };
            check(&entries, "nothing");
            entries.push(put(&wal, 1, 10));
            let report = check(&entries, "one record");
            assert_eq!(report.staged_records == 1, staging == Staging::Mapped, "{what}: {report:?}");
            entries.push(put(&wal, 2, 0));
            wal.sync().unwrap();
            check(&entries, "synced");
            for i in 0..200 {
                entries.push(put(&wal, i, 1000)); // several laps of the ring
                if i % 40 == 17 {
                    check(&entries, "filling the ring");
                }
            }
            check(&entries, "a full ring");
            entries.push(put(&wal, 3, 200_000));
            entries.push(put(&wal, 4, 20));
            check(&entries, "a large record");
            let batch: Vec<Vec<u8>> = (0..5).map(|i| payload(i, 30 * i)).collect();
            let lsns = wal.append_batch(&batch).unwrap();
            entries.extend(lsns.into_iter().zip(batch).map(|(lsn, data)| Entry(lsn, data)));
            check(&entries, "a batch");
        }
    }
}

#[test]
fn void_bytes_are_those_of_unpublished_claims_only() {
    let place = Place::new(Form::File);
    let wal = place.open(quiet()).unwrap();
    // The ring is 64 KiB long; these records do not fit its end, whose rest is filled with a void.
    let mut entries: Vec<Entry> = (0..18).map(|i| put(&wal, i, 3000)).collect();
    wal.sync().unwrap();
    entries.extend((18..24).map(|i| put(&wal, i, 3000)));
    let wal = place.killed().open(quiet()).unwrap();
    assert_eq!(all(&wal), entries);
    assert_eq!(wal.recovery().void_bytes, 0, "every append returned");
}

#[test]
fn a_killed_process_keeps_what_a_heap_had_flushed() {
    let place = Place::new(Form::File);
    let wal = place.open(quiet().with_staging(Staging::Heap)).unwrap();
    let first = put(&wal, 1, 100);
    wal.flush().unwrap();
    put(&wal, 2, 100);
    assert_eq!(all(&place.killed().open(quiet()).unwrap()), [first]);
}

#[test]
fn a_crash_after_truncate_after_keeps_the_cut_and_what_followed() {
    for form in FORMS {
        let (place, wal, mut entries) = synced(form);
        put(&wal, 50, 100);
        wal.truncate_after(entries[7].0).unwrap();
        entries.truncate(8);
        for image in [place.killed(), place.without_staging()] {
            assert_eq!(all(&image.open(quiet()).unwrap()), entries, "{form:?}: at once");
        }
        entries.push(put(&wal, 60, 100));
        assert_eq!(all(&place.killed().open(quiet()).unwrap()), entries, "{form:?}: staged");
        wal.sync().unwrap();
        assert_eq!(all(&place.without_staging().open(quiet()).unwrap()), entries, "{form:?}: synced");
    }
}

#[test]
fn a_crash_after_truncate_before_opens() {
    for form in FORMS {
        for target in [2, 9, 17] {
            let (place, wal, mut entries) = synced(form);
            assert_eq!(wal.truncate_before(entries[target].0).unwrap(), entries[target].0);
            entries.drain(..target);
            for image in [place.killed(), place.without_staging()] {
                let wal = image.open(quiet());
                let wal = wal.unwrap_or_else(|error| panic!("{form:?}, before record {target}: {error}"));
                assert_eq!(all(&wal), entries, "{form:?}, before record {target}");
            }
        }
    }
}

#[test]
fn a_crash_after_truncate_before_the_end_opens() {
    for form in FORMS {
        let (place, wal, _) = synced(form);
        let head = wal.truncate_before(Lsn::new(u64::MAX)).unwrap();
        assert_eq!(all(&wal), []);
        let new = put(&wal, 1, 50);
        assert!(new.0 >= head);
        let wal = place.killed().open(quiet());
        assert_eq!(all(&wal.unwrap_or_else(|error| panic!("{form:?}: {error}"))), [new], "{form:?}");
    }
}

// ---- staging memory ---------------------------------------------------------------------------------------------

#[test]
fn an_unpublished_claim_becomes_a_void_and_what_follows_stays() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        let first = put(&wal, 1, 100);
        let (claimed, go_on) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
        let (behind, image) = std::thread::scope(|scope| {
            scope.spawn(|| {
                wal.append_with(300, |space| {
                    space[..10].fill(9);
                    claimed.wait();
                    go_on.wait();
                })
            });
            claimed.wait();
            let behind = put(&wal, 2, 100);
            let image = place.killed();
            go_on.wait();
            (behind, image)
        });

        let same_boot = image.killed().open(quiet()).unwrap();
        assert_eq!(all(&same_boot), [first.clone(), behind], "{form:?}");
        assert!((300..=400).contains(&same_boot.recovery().void_bytes), "{:?}", same_boot.recovery());
        assert!(same_boot.verify().unwrap().is_intact());

        // After a reboot only what stands before the gap is known to be whole.
        patch_staging(&image, |header| header[24..40].fill(7));
        let rebooted = image.open(quiet()).unwrap();
        assert_eq!(all(&rebooted), [first], "{form:?}");
        assert_eq!(rebooted.recovery().void_bytes, 0);
    }
}

/// Changes the header of the staging file, with a checksum that is right again.
fn patch_staging(place: &Place, change: impl FnOnce(&mut [u8])) {
    let mut bytes = fs::read(place.staging()).unwrap();
    change(&mut bytes[..60]);
    let crc = crc32fast::hash(&bytes[..60]);
    bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    fs::write(place.staging(), bytes).unwrap();
}

#[test]
fn staging_that_is_lost_stale_or_not_ours_is_ignored_and_reported() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        put(&wal, 90, 100);
        let stale = place.killed();
        let mut entries = vec![Entry(Lsn::ZERO, payload(90, 100))];
        drop(wal);
        let wal = place.open(quiet()).unwrap();
        entries.push(put(&wal, 1, 200));
        wal.sync().unwrap();
        put(&wal, 2, 300);
        let image = place.killed();
        let (other, other_wal, _) = synced(form);
        put(&other_wal, 3, 100);

        let healthy = fs::read(image.staging()).unwrap();
        let mut garbage = payload(5, healthy.len());
        garbage[..8].copy_from_slice(&healthy[..8]);
        let mut wrong_sum = healthy.clone();
        wrong_sum[61] ^= 1;
        let cases = [
            ("lost", None),
            ("empty", Some(vec![])),
            ("stale", Some(fs::read(stale.staging()).unwrap())),
            ("of another log", Some(fs::read(other.staging()).unwrap())),
            ("garbage", Some(garbage)),
            ("a header with a wrong checksum", Some(wrong_sum)),
            ("a header without its ring", Some(healthy[..4096].to_vec())),
            ("half", Some(healthy[..healthy.len() / 2].to_vec())),
        ];
        for (what, bytes) in cases {
            let place = image.killed();
            let ignored = bytes.as_ref().is_some_and(|bytes| !bytes.is_empty());
            match bytes {
                Some(bytes) => fs::write(place.staging(), bytes).unwrap(),
                None => fs::remove_file(place.staging()).unwrap(),
            }
            let wal = place.open(quiet()).unwrap();
            assert_eq!(all(&wal), entries, "{form:?}, {what}");
            assert_eq!(wal.recovery().staging_ignored, ignored, "{form:?}, {what}");
            assert_eq!(wal.recovery().staged_records, 0, "{form:?}, {what}");
        }
    }
}

#[test]
fn no_flipped_bit_in_staging_brings_a_wrong_record() {
    let place = Place::new(Form::File);
    let wal = place.open(quiet()).unwrap();
    let mut entries = vec![put(&wal, 0, 30)];
    wal.sync().unwrap();
    entries.extend((1..4).map(|i| put(&wal, i, 40)));
    let image = place.killed();
    // The header, the words of the released and the durable position, the open group in the ring.
    let spots = (0..64).chain(512..520).chain(1024..1040).chain(4096 + 512..4096 + 512 + 64 + 3 * 48);
    for at in spots {
        let place = image.killed();
        let mut bytes = fs::read(place.staging()).unwrap();
        bytes[at] ^= 0x08;
        fs::write(place.staging(), bytes).unwrap();
        match place.open(quiet()) {
            Ok(wal) => {
                let found = all(&wal);
                assert_eq!(found[..1], entries[..1], "byte {at}");
                assert!(found.iter().all(|entry| entries.contains(entry)), "byte {at}: {found:?}");
                assert!(wal.verify().unwrap().is_intact(), "byte {at}");
            }
            Err(WalError::Corruption(_)) => {}
            Err(other) => panic!("byte {at}: {other:?}"),
        }
    }
}

// ---- opening in spite of damage ---------------------------------------------------------------------------------

#[test]
fn truncate_at_damage_cuts_keeps_the_bytes_and_reports() {
    for form in FORMS {
        let (place, wal, entries) = synced(form);
        let (durable, group) = (wal.durable_lsn().get(), place.groups()[3]);
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
        assert_eq!(kept, cut_bytes[..(cut.end - cut.start) as usize], "{form:?}: kept aside");
        assert!(cut_bytes[kept.len()..].iter().all(|&byte| byte == 0), "{form:?}: all of it");

        let new = put(&wal, 70, 100);
        wal.close().unwrap();
        let expected = [&entries[..9], &[new]].concat();
        for _ in 0..2 {
            let wal = place.open(quiet()).unwrap();
            assert_eq!(all(&wal), expected, "{form:?}");
            assert!(wal.recovery().damage.is_none() && wal.recovery().clean, "{form:?}");
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
    wal.flush().unwrap();
    let after = place.without_staging();
    let torn = wal.durable_lsn().get() + SECTOR;
    after.overwrite(torn, &[0; SECTOR as usize]);
    let wal = after.open(quiet()).unwrap();
    assert!(wal.recovery().cut.is_some());
    let first = after.root().join(first.file_name().unwrap());
    assert!(fs::read(first).unwrap() == evidence, "the only copy of what damage cut off is gone");
}
