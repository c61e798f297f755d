//! A writer does what it does between any two calls of who looks from outside: a healthy log is never called damaged, and
//! what was there all the time is not missed.

use wal_db::{Lsn, Staging, recovery::SalvageItem, testing::SimDisk};
use wal_tests::{
    Entry, assert_is, note, scale,
    written::{Kind, Op, State, Writer, Written, beside},
};

/// In segments or in one file, and what becomes of what was not written yet.
pub(super) const FORMS: [Kind; 4] = [
    (true, Staging::Mapped),
    (false, Staging::Mapped),
    (true, Staging::WriteThrough),
    (false, Staging::WriteThrough),
];

/// Small groups and large ones, segments that end, cuts at both ends, and another opening.
pub(super) const LIFE: &[Op] = &[
    Op::Append(100),
    Op::Sync,
    Op::Append(60_000),
    Op::Sync,
    Op::Append(30_000),
    Op::Append(40_000),
    Op::Append(20_000),
    Op::Sync,
    Op::Append(10),
    Op::CutBefore(2),
    Op::CutAfter(2),
    Op::Append(440),
    Op::Append(60_000),
    Op::Sync,
    Op::CutBefore(2),
    Op::Append(50),
    Op::Reopen,
    Op::Append(70),
];

/// What is done from outside, by a name for the message.
pub(super) type Look = fn(&SimDisk, &str) -> Option<(Vec<Entry>, Vec<Lsn>)>;

/// A look beside a writer, see [`beside`].
fn run(kind: Kind, before: usize, at: u64, count: usize, look: Look) -> u64 {
    let look = |disk: &SimDisk, _: &dyn Fn() -> usize, what: &str| look(disk, what);
    beside(LIFE, kind, before, &[(at, count)], look, |writer, found, what| {
        let Some((found, staged)) = found else { return };
        judge(&writer.states[before..], &found, what);
        if count == 0 && kind.1 == Staging::Mapped {
            let durable = writer.log.wal().status().durable;
            assert!(
                staged.iter().all(|lsn| *lsn >= durable),
                "{what}: {staged:?}, {durable}"
            );
        }
    })
}

/// What may be found in a log that went through these states meanwhile.
pub(super) fn judge(states: &[State], found: &[Entry], what: &str) {
    assert!(
        found.windows(2).all(|pair| pair[0].0 < pair[1].0),
        "{what}: not in order: {found:?}"
    );
    for entry in found {
        let ever = states.iter().any(|state| state.live.contains(entry));
        assert!(ever, "{what}: never there: {entry:?} of {states:?}");
    }
    for entry in states[0]
        .live
        .iter()
        .filter(|entry| states.iter().all(|state| state.live.contains(entry)))
    {
        assert!(found.contains(entry), "{what}: missed {entry:?}: {found:?}");
    }
}

/// Every place of the calls with every row of operations that begins and ends anywhere.
fn everywhere(look: Look) {
    let mut runs = 0u64;
    for form in FORMS {
        for before in 1..=LIFE.len() {
            let calls = run(form, before, u64::MAX, 0, look);
            let counts: &[usize] = if scale() > 1 {
                &[1, 2, 3, 4, 5, 6, 7, 8]
            } else {
                &[1, 3]
            };
            for count in counts
                .iter()
                .copied()
                .filter(|count| before + count <= LIFE.len())
            {
                for at in 0..calls + 2 {
                    run(form, before, at, count, look);
                    runs += 1;
                }
            }
        }
    }
    note(&format!("{runs} interleavings"));
}

#[test]
fn salvage_beside_a_writer_finds_what_is_there_and_no_damage() {
    everywhere(salvages);
}

pub(super) fn salvages(disk: &SimDisk, what: &str) -> Option<(Vec<Entry>, Vec<Lsn>)> {
    let (mut found, mut staged) = (Vec::new(), Vec::new());
    for item in disk.salvage(Written::NAME).unwrap() {
        let record = match item.unwrap_or_else(|error| panic!("{what}: {error:?}")) {
            SalvageItem::Record(record) => {
                assert!(staged.is_empty(), "{what}: what is staged comes last");
                record
            }
            SalvageItem::Staged(record) => {
                staged.push(record.lsn());
                record
            }
            other => panic!("{what}: {other:?} after {found:?}"),
        };
        found.push(Entry(record.lsn(), record.into_data()));
    }
    Some((found, staged))
}

#[test]
fn inspecting_beside_a_writer_finds_no_damage() {
    everywhere(inspects);
}

pub(super) fn inspects(disk: &SimDisk, what: &str) -> Option<(Vec<Entry>, Vec<Lsn>)> {
    let inspection = disk
        .inspect(Written::NAME)
        .unwrap_or_else(|error| panic!("{what}: {error:?}"));
    assert_eq!(inspection.damage, None, "{what}");
    assert_eq!(inspection.intact_manifest_copies, 2, "{what}");
    None
}

#[test]
fn salvage_of_a_log_whose_process_died_shows_what_is_staged_last() {
    let mut writer = Writer::new(true, Staging::Mapped);
    for op in [Op::Append(100), Op::Sync, Op::Append(200), Op::Append(300)] {
        writer.run(op);
    }
    let live = &writer.states[4].live;
    let dead = writer.log.disk.kill();
    let items: Vec<_> = dead.salvage(Written::NAME).unwrap().map(Result::unwrap).collect();
    assert_is!(items[..], [SalvageItem::Record(_), SalvageItem::Staged(a), SalvageItem::Staged(b)] if a.data() == live[1].1 && b.lsn() == live[2].0, "{items:?}");
}
