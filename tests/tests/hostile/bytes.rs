//! Bytes that somebody made up, with checksums that are right: no panic, no work or memory beyond the bytes that are
//! there, and no record that was never appended.

use std::{
    fs::OpenOptions,
    os::unix::fs::FileExt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use wal_db::{
    Lsn, OpenPolicy, RecoveryPolicy, Start, Wal, WalError,
    recovery::{CorruptionReason, SalvageItem},
};
use wal_tests::{
    Entry, all, corruption,
    damage::{many_segments, salvaged},
    disk::Disk,
    files::{FORMS, Form, GROUP_HEADER, Place, SECTOR, SEGMENT_ROW, SLOT, patch_group, patch_manifest},
    lsns_of, put, quiet, quiet_heap, until_error, within,
};

/// Three synced groups of two records each, the process killed.
fn small() -> (Disk, Vec<Entry>) {
    let disk = Disk::new();
    let wal = Wal::with_store_and_config(disk.clone(), quiet_heap()).unwrap();
    let mut entries = Vec::new();
    for group in 0..3 {
        entries.extend((0..2).map(|i| put(&wal, group * 2 + i, 100)));
        wal.sync().unwrap();
    }
    (disk.image(), entries)
}

/// Opens it and reads everything in every way. Whatever comes of that, it is not a panic and not a hang, and every
/// record is one of `entries`.
fn survives(disk: &Disk, entries: &[Entry], what: &str) {
    let outcome = within(what, {
        let disk = disk.clone();
        move || {
            catch_unwind(AssertUnwindSafe(|| {
                let config = quiet_heap().with_recovery_policy(RecoveryPolicy::SkipBadRecords);
                let Ok(wal) = Wal::with_store_and_config(disk, config) else {
                    return Vec::new();
                };
                let mut found = Vec::new();
                for record in wal.iter().into_iter().flatten().take(1000).flatten() {
                    found.push(Entry(record.lsn(), record.into_data()));
                }
                let _ = wal.iter_rev().map(|records| records.take(1000).count());
                let _ = wal
                    .iter_from(Start::Ordinal(2))
                    .map(|records| records.take(1000).count());
                let _ = wal.verify();
                for pos in (0..2048).step_by(8) {
                    found.extend(
                        wal.read(Lsn::new(pos))
                            .map(|record| Entry(record.lsn(), record.into_data())),
                    );
                }
                let _ = wal.truncate_before(Lsn::new(600));
                let _ = (wal.len(), wal.status().records, wal.is_empty(), wal.status());
                found
            }))
        }
    });
    match outcome {
        Ok(found) => assert!(
            found.iter().all(|entry| entries.contains(entry)),
            "{what}: {found:?}"
        ),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            panic!("{what}: panics: {text:?}");
        }
    }
}

const HOSTILE: [u64; 8] = [0, 1, 511, 4096, 1 << 31, 1 << 62, u64::MAX - 511, u64::MAX];

/// The fields of the manifest, by their offsets; see `docs/format.md`.
const MANIFEST_FIELDS: [(&str, usize); 15] = [
    ("generation", 40),
    ("segment_len", 48),
    ("head", 56),
    ("head_group", 64),
    ("head_ordinal", 72),
    ("mark.pos", 80),
    ("mark.ordinal", 88),
    ("mark.prev", 96),
    ("mark.digest_and_epoch", 104),
    ("newest_segment", 112),
    ("forgotten_before", 120),
    ("epoch count", 128),
    ("epoch start", 136),
    ("epoch cut", 144),
    ("epoch", 152),
];

#[test]
fn no_number_in_the_manifest_makes_it_panic() {
    let (disk, entries) = small();
    let mut panics = Vec::new();
    for (field, at) in MANIFEST_FIELDS {
        for value in HOSTILE {
            let image = disk.image();
            image.edit_slots(|bytes| {
                patch_manifest(bytes, |bytes| {
                    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes())
                });
            });
            let what = format!("{field} = {value:#x}");
            // `epoch` and its kin change which records are the log's; none may be made up.
            let outcome = catch_unwind(AssertUnwindSafe(|| survives(&image, &entries, &what)));
            if let Err(panic) = outcome {
                panics.push(panic.downcast_ref::<String>().cloned().unwrap_or_default());
            }
        }
    }
    assert!(
        panics.is_empty(),
        "{} of {}:\n{}",
        panics.len(),
        MANIFEST_FIELDS.len() * 8,
        panics.join("\n")
    );
}

#[test]
fn a_mark_that_names_another_group_than_the_one_before_it_is_refused() {
    let (disk, entries) = small();
    drop(Wal::with_store_and_config(disk.clone(), quiet_heap()).unwrap());
    let image = disk.image();
    let row = image.row();
    let mark = u64::from_le_bytes(image.slot(0)[80..88].try_into().unwrap());
    assert!(mark >= 1536, "behind the three groups");
    image.edit_slots(|bytes| {
        patch_manifest(bytes, |bytes| {
            bytes[96..104].copy_from_slice(&512_u64.to_le_bytes());
            bytes[104..108].copy_from_slice(&row[512..516]);
        });
    });
    let config = quiet_heap().with_open_policy(OpenPolicy::TruncateAtDamage);
    let damage = corruption(Wal::with_store_and_config(image.clone(), config));
    assert_eq!((damage.reason, damage.start), (CorruptionReason::Chain, 512));
    assert_eq!(image.row(), row);
    assert_eq!(all(&Wal::with_store_and_config(disk, config).unwrap()), entries);
}

/// The fields of a group's header.
const GROUP_FIELDS: [(&str, usize, usize); 10] = [
    ("len", 16, 4),
    ("count", 20, 4),
    ("ordinal", 24, 8),
    ("epoch", 32, 4),
    ("prev_digest", 36, 4),
    ("durable_back", 40, 4),
    ("prev_back", 44, 4),
    ("payload_digest", 48, 4),
    ("zero_sectors and flags", 52, 4),
    ("time", 56, 8),
];

#[test]
fn no_number_in_a_group_header_makes_it_panic_or_invent_records() {
    let (disk, entries) = small();
    let log_id = disk.slot(0)[24..40].to_vec();
    for group in [0, 512, 1024] {
        for (field, at, len) in GROUP_FIELDS {
            for value in HOSTILE {
                // `a_group_that_claims_more_than_there_is_costs_no_more_than_there_is` is about longer ones.
                let value = if field == "len" { value & 0xff_fff8 } else { value };
                let image = disk.image();
                image.edit(|row| {
                    patch_group(&log_id, group as u64, &mut row[group..group + 64], |header| {
                        header[at..at + len].copy_from_slice(&value.to_le_bytes()[..len]);
                    });
                });
                survives(
                    &image,
                    &entries,
                    &format!("group at {group}: {field} = {value:#x}"),
                );
            }
        }
    }
}

#[test]
fn no_length_in_a_frame_makes_it_panic_or_invent_records() {
    let (disk, entries) = small();
    let log_id = disk.slot(0)[24..40].to_vec();
    // Closed, so that it opens whatever its groups are.
    drop(Wal::with_store_and_config(disk.clone(), quiet_heap()).unwrap());
    // Where the group's checksum fits, only the frame is left to find out, and only the first one of a group is checked.
    for (group, frame, fits) in [
        (0, 64, true),
        (0, 64 + 112, false),
        (512, 512 + 64, true),
        (512, 512 + 64 + 112, false),
    ] {
        for high in [
            0u32,
            7,
            0x1000_0000,
            0x1fff_ffff,
            0x2fff_fff8,
            0x4fff_ffff,
            0x4000_0008,
            0x9000_0001,
            0x6000_0070,
            0xf150_4f47,
            u32::MAX,
        ] {
            let image = disk.image();
            image.edit(|row| {
                row[frame + 4..frame + 8].copy_from_slice(&high.to_le_bytes());
                let digest = crc32fast::hash(&row[group + 64..group + 64 + 2 * 112]);
                if fits {
                    patch_group(&log_id, group as u64, &mut row[group..group + 64], |header| {
                        header[48..52].copy_from_slice(&digest.to_le_bytes());
                    });
                }
            });
            let what = format!("frame at {frame}: {high:#x}");
            let wal = Wal::with_store_and_config(image.image(), quiet_heap());
            assert!(wal.is_ok(), "{what}: {:?}", wal.err());
            survives(&image, &entries, &what);
        }
    }
}

#[test]
fn a_group_that_claims_more_than_there_is_costs_no_more_than_there_is() {
    let (disk, _) = small();
    let log_id = disk.slot(0)[24..40].to_vec();
    disk.edit(|row| {
        patch_group(&log_id, 1024, &mut row[1024..1088], |header| {
            header[16..20].copy_from_slice(&(1u32 << 30).to_le_bytes());
        });
    });
    let there = disk.row().len() as u64;
    let before = disk.bytes_asked();
    let _ = Wal::with_store_and_config(disk.clone(), quiet_heap());
    let asked = disk.bytes_asked() - before;
    assert!(
        asked < there + (4 << 20),
        "{asked} bytes were asked for, {there} are there"
    );
}

#[test]
fn clocks_that_jump_change_neither_order_nor_recovery() {
    let (disk, entries) = small();
    let log_id = disk.slot(0)[24..40].to_vec();
    disk.edit(|row| {
        // Tomorrow, 1970, the end of time; each header repeats the checksum of the one before.
        let mut previous = [0; 4];
        for (group, time) in [(0, 4_000_000_000_000_000), (512, 0), (1024, u64::MAX)] {
            patch_group(&log_id, group as u64, &mut row[group..group + 64], |header| {
                header[56..64].copy_from_slice(&u64::to_le_bytes(time));
                if group > 0 {
                    header[36..40].copy_from_slice(&previous);
                }
            });
            previous.copy_from_slice(&row[group..group + 4]);
        }
    });
    let wal = Wal::with_store_and_config(disk.clone(), quiet_heap()).unwrap();
    assert_eq!(all(&wal), entries);
    let new = put(&wal, 9, 100);
    assert!(new.0 > entries[5].0);
    assert!(wal.verify().unwrap().is_intact());
    for time in [std::time::SystemTime::UNIX_EPOCH, std::time::SystemTime::now()] {
        let found = lsns_of(wal.iter_from(time));
        assert!(found.is_sorted());
    }
    drop(wal);
    let wal = Wal::with_store_and_config(disk, quiet_heap()).unwrap();
    assert_eq!(all(&wal), [entries, vec![new]].concat());
}

#[test]
fn payloads_that_hold_copies_of_the_log_are_never_resynchronised_into() {
    let place = Place::new(Form::File);
    let wal = place
        .open(quiet().with_recovery_policy(RecoveryPolicy::SkipBadRecords))
        .unwrap();
    let mut entries = vec![put(&wal, 1, 100), put(&wal, 2, 700)];
    wal.sync().unwrap();
    // Records that hold the whole log so far: headers of groups and frames, at every alignment that matters.
    for shift in [0, 8, 56, 64, 400, 440, 448, 504] {
        let mut data = vec![0; shift];
        data.extend(place.stream(0, wal.end().get().max(4096)));
        data.truncate(7000);
        let lsn = wal.append(&data).unwrap();
        entries.push(Entry(lsn, data));
        entries.push(put(&wal, shift, 40));
        wal.sync().unwrap();
    }
    assert_eq!(all(&wal), entries);
    // Damage the frame word, the header of the group, or the payload of each of them.
    for (i, victim) in entries
        .iter()
        .enumerate()
        .filter(|(_, entry)| entry.1.len() > 4000)
    {
        let frame = victim.0.get() + GROUP_HEADER;
        let header = frame / SECTOR * SECTOR;
        for at in [frame + 5, frame + 4, frame, frame + 20, header + 16, header + 3] {
            place.flip(at);
            let mut read = Vec::new();
            let mut errors = 0;
            for item in wal.iter().unwrap() {
                match item {
                    Ok(record) => read.push(Entry(record.lsn(), record.into_data())),
                    Err(WalError::Corruption(_)) => errors += 1,
                    Err(other) => panic!("{other:?}"),
                }
            }
            assert!(errors > 0, "record {i}, byte {at}");
            assert!(
                read.iter().all(|entry| entries.contains(entry)),
                "record {i}, byte {at}: forged"
            );
            assert!(
                read.windows(2).all(|pair| pair[0].0 < pair[1].0),
                "record {i}: out of order"
            );
            // What stands in other groups is not lost.
            let lost: Vec<_> = (0..entries.len())
                .filter(|&k| !read.contains(&entries[k]))
                .collect();
            assert!(
                lost.iter().all(|&k| k == i || k == i + 1),
                "record {i}, byte {at}: lost {lost:?}"
            );

            let salvaged: Vec<_> = wal_db::recovery::salvage(place.path())
                .unwrap()
                .map(Result::unwrap)
                .collect();
            for item in salvaged {
                if let SalvageItem::Record(record) = item {
                    let entry = Entry(record.lsn(), record.into_data());
                    assert!(
                        entries.contains(&entry),
                        "record {i}, byte {at}: salvage forged {entry:?}"
                    );
                }
            }
            place.flip(at);
        }
    }
    assert_eq!(all(&wal), entries, "every byte is back");
}

#[test]
fn salvage_ends_wherever_the_file_ends() {
    let place = Place::new(Form::File);
    let wal = place.open(quiet()).unwrap();
    let entries = vec![put(&wal, 1, 100), put(&wal, 2, 100)];
    wal.sync().unwrap();
    put(&wal, 3, 100);
    wal.sync().unwrap();
    let group = place.groups()[1].pos;
    for left in [1, 7, 8, 63, 64, 65, 513, 1025] {
        let place = place.killed();
        // Every byte up to the end says that there is something.
        place.overwrite(group, &[0xa5; 2048]);
        place.cut_file(group + left);
        let items: Vec<_> = wal_db::recovery::salvage(place.path())
            .unwrap()
            .take(100)
            .collect();
        assert!(items.len() < 100, "{left} bytes behind the last group: no end");
        let records = items.into_iter().filter_map(|item| match item.unwrap() {
            SalvageItem::Record(record) => Some(Entry(record.lsn(), record.into_data())),
            _ => None,
        });
        assert_eq!(
            records.collect::<Vec<_>>(),
            entries,
            "{left} bytes behind the last group"
        );
    }
}

#[test]
fn salvage_ends_behind_a_last_segment_that_is_short_and_not_the_right_one() {
    let (place, _, entries) = many_segments();
    let file = OpenOptions::new().write(true).open(place.segment(4)).unwrap();
    file.write_all_at(b"another index", 32).unwrap();
    file.set_len(SEGMENT_ROW + 2 * SECTOR).unwrap();
    let (found, damage) = salvaged(&place);
    assert!(entries.starts_with(&found));
    let reasons: Vec<_> = damage
        .iter()
        .map(|damage| (damage.reason, damage.segment))
        .collect();
    assert_eq!(reasons, [(CorruptionReason::WrongSegment, Some(4))]);
}

#[test]
fn inspect_and_salvage_go_by_the_copy_of_the_manifest_that_counts() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        let entries: Vec<Entry> = (0..3).map(|i| put(&wal, i, 100)).collect();
        wal.sync().unwrap();
        let old = place.killed();
        wal.truncate_before(entries[1].0).unwrap();
        wal.close().unwrap();
        // One copy as it was before the truncation, as if the power had gone between the two.
        for slot in 0..2 {
            let crashed = place.killed();
            let offset = slot * SLOT;
            let bytes = std::fs::read(old.manifest()).unwrap();
            let end = bytes.len().min((offset + SLOT) as usize);
            let manifest = OpenOptions::new().write(true).open(crashed.manifest()).unwrap();
            manifest
                .write_all_at(&bytes[offset as usize..end], offset)
                .unwrap();
            let inspection = wal_db::recovery::inspect(crashed.path()).unwrap();
            assert_eq!(inspection.intact_manifest_copies, 2, "{form:?}");
            assert_eq!(
                inspection.head,
                Some(entries[1].0),
                "{form:?}, slot {slot} is old"
            );
            assert_eq!(salvaged(&crashed).0, entries[1..], "{form:?}, slot {slot} is old");
        }
        // Two that are equally new, and only the first of which is this log's.
        place.patch_manifest(1, |bytes| bytes[24] ^= 1);
        let read = all(&Wal::open_read_only(place.path()).unwrap());
        assert_eq!(
            (read, salvaged(&place).0),
            (entries[1..].to_vec(), entries[1..].to_vec()),
            "{form:?}"
        );
    }
}

#[test]
fn skip_bad_records_yields_each_damage_once_and_goes_on() {
    let disk = Disk::new();
    let config = quiet_heap().with_recovery_policy(RecoveryPolicy::SkipBadRecords);
    let wal = Wal::with_store_and_config(disk.clone(), config).unwrap();
    let entries: Vec<Entry> = (0..5).map(|i| put(&wal, i, 50)).collect();
    wal.sync().unwrap();
    let later: Vec<Entry> = (5..8).map(|i| put(&wal, i, 50)).collect();
    wal.sync().unwrap();
    let payload_of = |entry: &Entry| (entry.0.get() + GROUP_HEADER + 8) as usize;
    disk.edit(|row| {
        row[payload_of(&entries[1])] ^= 1;
        row[payload_of(&entries[3]) + 10] ^= 1;
        row[payload_of(&later[2]) + 49] ^= 1;
    });
    let items: Vec<_> = wal
        .iter()
        .unwrap()
        .map(|item| item.map(|r| r.lsn()).map_err(|_| ()))
        .collect();
    let good = |entry: &Entry| Ok(entry.0);
    let expected = [
        good(&entries[0]),
        Err(()),
        good(&entries[2]),
        Err(()),
        good(&entries[4]),
        good(&later[0]),
        good(&later[1]),
        Err(()),
    ];
    assert_eq!(items, expected);
    // The default ends at the first.
    drop(wal);
    let wal = Wal::with_store_and_config(disk, quiet_heap()).unwrap();
    let (read, error) = until_error(&wal);
    assert_eq!((read, error.is_some()), (entries[..1].to_vec(), true));
}
