//! What retention keeps: whatever is young, whatever the clock did, and as many bytes as it was told, cuts not counted.

use std::time::Duration;

use wal_db::{Lsn, MemStore, Retention, Start, Wal, testing::set_clock};
use wal_tests::{
    all,
    disk::{Disk, Op, open},
    put, quiet_heap,
    random::Rng,
    scale,
};

use super::{groups_at, hours_ago, today};

fn wal() -> Wal {
    Wal::with_store_and_config(MemStore::new(), quiet_heap()).unwrap()
}

fn hours(hours: u64) -> Retention {
    Retention::new().with_max_age(Duration::from_secs(hours * 3600))
}

const YEAR: u64 = 365 * 24;

#[test]
fn what_is_an_hour_old_stays_although_the_clock_was_a_year_back_in_between() {
    let wal = wal();
    let mut expected = groups_at(&wal, hours_ago(1), 10);
    expected.extend(groups_at(&wal, hours_ago(YEAR), 100));
    expected.extend(groups_at(&wal, hours_ago(0), 1));
    assert_eq!(wal.retain(&hours(2)).unwrap(), expected[0].0);
    assert_eq!(all(&wal), expected);
}

#[test]
fn what_is_old_goes_up_to_the_first_that_is_young() {
    let wal = wal();
    groups_at(&wal, hours_ago(YEAR), 7);
    groups_at(&wal, hours_ago(3), 20);
    let mut expected = groups_at(&wal, hours_ago(1), 1);
    expected.extend(groups_at(&wal, hours_ago(3), 2));
    set_clock(Some(today()));
    assert_eq!(wal.retain(&hours(2)).unwrap(), expected[0].0);
    assert_eq!(all(&wal), expected);
    // Time passes: now all of it is old.
    set_clock(Some(today() + Duration::from_secs(7200)));
    wal.retain(&hours(2)).unwrap();
    assert!(all(&wal).is_empty());
}

#[test]
fn whatever_the_clock_does_nothing_young_is_dropped() {
    let mut rng = Rng::new(7);
    for _ in 0..20 * scale() {
        let wal = wal();
        let mut ages = Vec::new();
        for _ in 0..40 {
            let age = [0, 1, 1, 2, 5, 6, YEAR][rng.below(7)];
            let entry = groups_at(&wal, hours_ago(age), 1).remove(0);
            ages.push((entry, age));
            if rng.below(8) == 0 {
                let keep = rng.below(ages.len());
                wal.truncate_after(ages[keep].0.0).unwrap();
                ages.truncate(keep + 1);
            }
        }
        set_clock(Some(today()));
        wal.retain(&hours(4)).unwrap();
        let first_young = ages.iter().position(|(_, age)| *age <= 4).unwrap_or(ages.len());
        let expected: Vec<_> = ages.drain(first_young..).map(|(entry, _)| entry).collect();
        assert_eq!(all(&wal), expected);
    }
}

#[test]
fn bytes_that_were_cut_off_do_not_count() {
    let wal = wal();
    let kept: Vec<_> = (0..100).map(|i| put(&wal, i, 1000)).collect();
    let before = wal.status().bytes;
    for i in 0..2000 {
        put(&wal, i, 1000);
    }
    wal.truncate_after(kept[99].0).unwrap();
    let mut expected = kept;
    expected.push(put(&wal, 7, 1000));
    assert_eq!(
        wal.retain(&Retention::new().with_max_bytes(1 << 20)).unwrap(),
        expected[0].0
    );
    assert_eq!(all(&wal), expected);
    let bytes = wal.status().bytes;
    assert!(
        (before..before + 4096).contains(&bytes),
        "{bytes}, {before} before"
    );
}

#[test]
fn half_of_what_is_left_between_many_cuts_is_kept_when_half_is_asked_for() {
    let wal = wal();
    let mut kept = Vec::new();
    for i in 0..100 {
        kept.push(put(&wal, i, 1000));
        put(&wal, i, 30_000);
        wal.truncate_after(kept[i].0).unwrap();
    }
    let bytes = wal.status().bytes;
    assert!((100_000..200_000).contains(&bytes), "{bytes}");
    wal.retain(&Retention::new().with_max_bytes(bytes / 2)).unwrap();
    let left = all(&wal);
    assert!(kept.ends_with(&left));
    assert!((49..=50).contains(&left.len()), "{}", left.len());
    assert!(wal.status().bytes <= bytes / 2);
}

#[test]
fn a_limit_holds_beside_appends_that_nobody_syncs() {
    const LIMIT: u64 = 100_000;
    let store = MemStore::new();
    let wal = Wal::with_store_and_config(store, quiet_heap()).unwrap();
    let retention = Retention::new().with_max_bytes(LIMIT);
    for i in 0..2000 {
        put(&wal, i, 1000);
        if i % 100 == 99 {
            let end = wal.end().get();
            let head = wal.retain(&retention).unwrap();
            assert!(end - head.get() <= LIMIT, "{} bytes", end - head.get());
            assert!(wal.status().bytes <= LIMIT);
        }
    }
}

#[test]
fn retention_and_seeking_jump_over_what_was_cut_off() {
    let disk = Disk::new();
    let wal = open(&disk, quiet_heap());
    let kept = groups_at(&wal, hours_ago(5), 3);
    for i in 0..16 {
        put(&wal, i, 1 << 20);
    }
    wal.truncate_after(kept[2].0).unwrap();
    let after = groups_at(&wal, hours_ago(1), 3);
    set_clock(Some(today()));
    let asked = |what: &str, run: &dyn Fn()| {
        let before = disk.bytes_asked();
        run();
        let asked = disk.bytes_asked() - before;
        assert!(asked < 4 << 20, "{what} reads {asked} bytes");
    };
    asked("from an ordinal", &|| {
        assert_eq!(wal.iter_from(Start::Ordinal(4)).unwrap().count(), 2);
    });
    asked("from a time", &|| {
        assert_eq!(wal.iter_from(hours_ago(2)).unwrap().count(), 3);
    });
    asked("retain", &|| {
        assert_eq!(wal.retain(&hours(2)).unwrap(), after[0].0);
    });
    assert_eq!(disk.calls(Op::Truncate), 0);
}

#[test]
fn a_lower_position_does_not_move_the_head_back() {
    let wal = wal();
    let entries: Vec<_> = (0..20).map(|i| put(&wal, i, 2000)).collect();
    wal.sync().unwrap();
    assert_eq!(wal.truncate_before(entries[10].0).unwrap(), entries[10].0);
    for lower in [entries[3].0, Lsn::ZERO, Lsn::new(entries[10].0.get() - 1)] {
        // Whether that is an error or nothing, the head stays.
        if let Ok(head) = wal.truncate_before(lower) {
            assert_eq!(head, entries[10].0);
        }
        assert_eq!(wal.status().head, entries[10].0);
        assert_eq!(all(&wal), entries[10..]);
        assert_eq!(wal.status().records, 10);
    }
}

#[test]
fn a_cursor_in_what_was_cut_off_keeps_what_came_instead_and_no_more() {
    let wal = wal();
    let entries: Vec<_> = (0..10).map(|i| put(&wal, i, 100)).collect();
    wal.sync().unwrap();
    let cursor = wal.hold(entries[7].0).unwrap();
    wal.truncate_after(entries[3].0).unwrap();
    let instead: Vec<_> = (0..10).map(|i| put(&wal, i, 100)).collect();
    let nothing = Retention::new().with_max_bytes(0);
    // It was after all that is left of what came before the cut.
    assert_eq!(wal.retain(&nothing).unwrap(), instead[0].0);
    assert_eq!(all(&wal), instead);
    assert!(cursor.lsn() <= instead[0].0);
    cursor.advance(instead[6].0).unwrap();
    assert_eq!(wal.retain(&nothing).unwrap(), instead[6].0);
    assert_eq!(all(&wal), instead[6..]);
}
