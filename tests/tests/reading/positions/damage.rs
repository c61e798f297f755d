//! Damage beside what is asked for, and damage in it.

use std::time::Duration;

use wal_db::{Lsn, RecoveryPolicy, Result, Start, Wal, WalConfig, WalError};
use wal_tests::{
    assert_is,
    disk::{Disk, EIO, Fault, Op},
    quiet_heap, within,
};

const SKIP: WalConfig = quiet_heap().with_recovery_policy(RecoveryPolicy::SkipBadRecords);

/// Groups of ten records of one byte, their number.
fn log(groups: u8, config: WalConfig) -> (Disk, Wal, Vec<Lsn>) {
    let disk = Disk::new();
    let wal = Wal::with_store_and_config(disk.clone(), config).unwrap();
    let mut lsns = Vec::new();
    for i in 0..10 * groups {
        lsns.push(wal.append(&[i]).unwrap());
        if i % 10 == 9 {
            wal.sync().unwrap();
        }
    }
    (disk, wal, lsns)
}

/// Flips a bit in the payload of the record at `lsn`.
fn damage(disk: &Disk, lsn: Lsn) {
    disk.edit(|row| row[lsn.get() as usize + 64 + 8] ^= 0x40);
}

/// Flips a bit in the header of the group whose first record is at `lsn`.
fn damage_header(disk: &Disk, lsn: Lsn) {
    disk.edit(|row| row[lsn.get() as usize + 30] ^= 0x40);
}

/// What a reader yields: numbers of records, and `None` for damage.
fn seen(records: impl IntoIterator<Item = Result<wal_db::Record>>) -> Vec<Option<u8>> {
    let number = |record: Result<wal_db::Record>| match record {
        Ok(record) => Some(record.data()[0]),
        Err(WalError::Corruption(_)) => None,
        Err(error) => panic!("{error}"),
    };
    records.into_iter().map(number).collect()
}

fn numbers(range: impl Iterator<Item = u8>) -> Vec<Option<u8>> {
    range.map(Some).collect()
}

fn followed(wal: &Wal, from: Lsn) -> Vec<Option<u8>> {
    let mut tail = wal.tail(from).unwrap();
    let mut found = Vec::new();
    while let Some(record) = tail.try_next().transpose() {
        let failed = record.is_err();
        found.extend(seen([record]));
        if failed {
            break;
        }
    }
    found
}

#[test]
fn damage_before_a_position_does_not_concern_who_starts_there() {
    for config in [quiet_heap(), SKIP] {
        let (disk, wal, lsns) = log(1, config);
        damage(&disk, lsns[3]);
        for i in 4..10u8 {
            let from = lsns[usize::from(i)];
            let rest = numbers(i..10);
            assert_eq!(seen(wal.iter_from(from).unwrap()), rest);
            assert_eq!(seen(wal.range(from..=lsns[9]).unwrap()), rest);
            assert_eq!(seen(wal.iter_from(Start::Ordinal(u64::from(i))).unwrap()), rest);
            assert_eq!(followed(&wal, from), rest);
            assert_eq!(wal.locate(from).unwrap().ordinal, u64::from(i));
            let read = wal.read_ordinal(u64::from(i)).unwrap().unwrap();
            assert_eq!((read.lsn(), read.data()), (from, &[i][..]));
        }
        // Between two records, too.
        assert_eq!(
            seen(wal.iter_from(Lsn::new(lsns[3].get() + 9)).unwrap()).first(),
            Some(&None)
        );
        assert_eq!(
            seen(wal.iter_from(Lsn::new(lsns[4].get() + 1)).unwrap()),
            numbers(5..10)
        );
    }
}

#[test]
fn damage_from_a_position_on_is_handed_out() {
    for skip in [false, true] {
        let (disk, wal, lsns) = log(1, if skip { SKIP } else { quiet_heap() });
        damage(&disk, lsns[3]);
        damage(&disk, lsns[6]);
        for i in 0..=6u8 {
            let expected: Vec<Option<u8>> = (i..10)
                .map(|n| Some(n).filter(|n| ![3, 6].contains(n)))
                .scan(false, |over, n| {
                    (!*over).then(|| {
                        *over = n.is_none() && !skip;
                        n
                    })
                })
                .collect();
            let from = lsns[usize::from(i)];
            assert_eq!(seen(wal.iter_from(from).unwrap()), expected, "{i} {skip}");
            // Which records lie between two damages nobody can count.
            let first = expected[0].filter(|&n| n < 3);
            let by_number = seen(wal.iter_from(Start::Ordinal(u64::from(i))).unwrap());
            assert_eq!(by_number.first(), Some(&first), "{i} {skip}");
        }
        // A range that ends before the damage has none.
        assert_eq!(seen(wal.range(..lsns[3]).unwrap()), numbers(0..3));
        assert_eq!(seen(wal.range(lsns[4]..lsns[6]).unwrap()), numbers(4..6));
    }
}

#[test]
fn a_damaged_last_record_does_not_concern_who_has_read_it() {
    let (disk, wal, lsns) = log(1, quiet_heap());
    let mut tail = wal.tail(lsns[0]).unwrap();
    while tail.try_next().unwrap().is_some() {}
    damage(&disk, lsns[9]);
    assert_eq!(seen(wal.iter_from(tail.next_lsn()).unwrap()), []);
    let mut later = wal.tail(tail.next_lsn()).unwrap();
    wal.append_and_sync(&[10]).unwrap();
    assert_eq!(later.try_next().unwrap().unwrap().data(), [10]);
    assert_eq!(seen(wal.iter_from(lsns[9]).unwrap()), [None]);
}

#[test]
fn a_lost_header_is_handed_out_to_who_starts_in_its_group() {
    let (disk, wal, lsns) = log(3, SKIP);
    damage_header(&disk, lsns[10]);
    let mut rest = vec![None];
    rest.extend(numbers(15..30));
    assert_eq!(seen(wal.iter_from(lsns[15]).unwrap()), rest);
    assert_eq!(seen(wal.iter_from(lsns[20]).unwrap()), numbers(20..30));
    assert_eq!(seen(wal.range(lsns[5]..lsns[10]).unwrap()), numbers(5..10));
}

#[test]
fn a_log_is_cut_on_either_side_of_a_place_behind_damage() {
    for (keep_from, keep_to) in [(5, 9), (5, 7), (0, 7)] {
        let (disk, wal, lsns) = log(1, quiet_heap());
        damage(&disk, lsns[3]);
        if keep_to < 9 {
            wal.truncate_after(lsns[keep_to]).unwrap();
        }
        if keep_from > 0 {
            assert_eq!(wal.truncate_before(lsns[keep_from]).unwrap(), lsns[keep_from]);
            assert_eq!(wal.status().records, (keep_to - keep_from + 1) as u64);
            assert_eq!(wal.status().head_ordinal, keep_from as u64);
        } else {
            assert_eq!(wal.status().records, keep_to as u64 + 1);
        }
        let last = wal.append_and_sync(&[77]).unwrap();
        assert_eq!(wal.locate(last).unwrap().ordinal, keep_to as u64 + 1);
        let mut kept = numbers(5..keep_to as u8 + 1);
        kept.push(Some(77));
        assert_eq!(seen(wal.iter_from(lsns[5]).unwrap()), kept);
    }
}

#[test]
fn the_newest_records_come_before_the_damage_when_a_log_is_read_backwards() {
    for skip in [false, true] {
        let (disk, wal, lsns) = log(3, if skip { SKIP } else { quiet_heap() });
        damage(&disk, lsns[13]);
        let mut expected = numbers((14..30).rev());
        expected.push(None);
        if skip {
            expected.extend(numbers((0..13).rev()));
        }
        assert_eq!(seen(wal.iter_rev().unwrap()), expected);
        assert_eq!(wal.last_lsn().unwrap(), lsns.last().copied());
    }
}

#[test]
fn a_lost_header_ends_a_backward_reading_unless_it_is_to_be_passed_over() {
    for skip in [false, true] {
        for group in 0..3u8 {
            let (disk, wal, lsns) = log(3, if skip { SKIP } else { quiet_heap() });
            damage_header(&disk, lsns[usize::from(group) * 10]);
            let records = seen(wal.iter_rev().unwrap());
            // The group's own records are as intact as they were, and come before the damage, which is at its header.
            let mut expected = numbers((group * 10..30).rev());
            expected.push(None);
            if skip {
                expected.extend(numbers((0..group * 10).rev()));
            }
            assert_eq!(records, expected, "{skip} {group}");
        }
    }
}

#[test]
fn a_follower_says_what_lasts_once_and_ends() {
    within("a follower that ends", || {
        let (disk, wal, lsns) = log(1, quiet_heap());
        damage(&disk, lsns[3]);
        assert_eq!(
            seen(wal.tail(lsns[0]).unwrap()),
            [Some(0), Some(1), Some(2), None]
        );

        let (disk, wal, lsns) = log(1, quiet_heap());
        let tail = wal.tail(lsns[0]).unwrap();
        disk.set(Op::Write, Fault::Fail(EIO));
        wal.append_and_sync(b"x").unwrap_err();
        let ends: Vec<_> = tail.skip(10).collect();
        assert_is!(ends[..], [Err(WalError::Poisoned { .. })], "{ends:?}");

        let (_, wal, lsns) = log(2, quiet_heap());
        let mut tail = wal.tail(lsns[0]).unwrap();
        wal.truncate_before(lsns[15]).unwrap();
        assert_is!(tail.next(), Some(Err(WalError::Truncated { .. })));
        assert!(tail.next().is_none());
        assert_is!(tail.next_timeout(Duration::ZERO), Err(WalError::Truncated { .. }));

        // What is over once it was told does not end it.
        let (_, wal, lsns) = log(1, quiet_heap());
        let mut tail = wal.tail(lsns[0]).unwrap();
        assert_eq!(tail.by_ref().take(10).filter(Result::is_ok).count(), 10);
        wal.truncate_after(lsns[3]).unwrap();
        assert_is!(tail.next(), Some(Err(WalError::CutBack { .. })));
        wal.append_and_sync(&[44]).unwrap();
        assert_eq!(tail.next().unwrap().unwrap().data(), [44]);
        wal.close().unwrap();
        assert!(tail.next().is_none());
    });
}

/// A read may reach from one segment into the next; what is wrong with the next is no reason to lose the first.
#[test]
fn a_damaged_header_costs_no_record_of_the_segment_before() {
    let place = wal_tests::files::Place::new(wal_tests::files::Form::Segmented);
    let wal = place.open(wal_tests::quiet()).unwrap();
    let mut entries = Vec::new();
    for i in 0..180 {
        entries.push(wal_tests::put(&wal, i, 1000));
        if i % 10 == 9 {
            wal.sync().unwrap();
        }
    }
    wal.close().unwrap();
    let mut bytes = std::fs::read(place.segment(1)).unwrap();
    bytes[20] ^= 1;
    std::fs::write(place.segment(1), bytes).unwrap();

    const SEGMENT: u64 = 64 << 10;
    let end = |entry: &wal_tests::Entry| entry.0.get() + 64 + 8 + 1000;
    let before = entries.iter().filter(|entry| end(entry) <= SEGMENT).count();
    let wal = wal_db::Wal::open_read_only(place.path()).unwrap();
    let (found, error) = wal_tests::until_error(&wal);
    assert_eq!(
        found,
        entries[..before],
        "everything that ends before the segment"
    );
    match error {
        Some(wal_db::WalError::Corruption(damage)) => {
            assert_eq!((damage.segment, damage.start), (Some(1), SEGMENT), "{damage:?}");
        }
        other => panic!("not damage: {other:?}"),
    }

    let salvaged: Vec<_> = wal_db::recovery::salvage(place.path())
        .unwrap()
        .filter_map(|item| match item.unwrap() {
            wal_db::recovery::SalvageItem::Record(record) => Some(record.lsn()),
            _ => None,
        })
        .collect();
    let behind = entries
        .iter()
        .filter(|entry| entry.0.get() >= 2 * SEGMENT + 16 * 1024);
    for entry in entries[..before].iter().chain(behind) {
        assert!(salvaged.contains(&entry.0), "{entry:?} is not salvaged");
    }
}
