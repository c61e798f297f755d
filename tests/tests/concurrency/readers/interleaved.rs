//! A writer does what it does between any two calls of a reader. Every place in the reader's calls is tried with every
//! operation of the writer, and with every row of them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use wal_db::{Lsn, Staging, WalConfig, WalError, testing::SimDisk};
use wal_tests::{
    Entry, note, scale, until_error_of,
    written::{Kind, Op, State, Writer, Written, beside},
};

/// In segments or in one file, and what becomes of what was not written yet.
pub(super) const FORMS: [Kind; 3] = [
    (true, Staging::Mapped),
    (false, Staging::Mapped),
    (true, Staging::WriteThrough),
];

/// What a reader saw, and after which calls.
type Said = (Option<Seen>, String);

/// The records that a reader was shown, and what it was told at their end.
#[derive(Debug)]
pub(super) struct Seen {
    /// A cut may come between two of them: they were read from the newest on.
    pub(super) backwards: bool,
    /// What waits in staging memory is shown, too.
    pub(super) with_staged: bool,
    pub(super) entries: Vec<Entry>,
    pub(super) error: Option<WalError>,
    /// The records were asked for between these two states.
    pub(super) from: usize,
    pub(super) to: usize,
}

/// A reader beside a writer, see [`beside`].
fn run(kind: Kind, before: usize, during: &[(u64, usize)], read: ReadFn) -> u64 {
    let read = |disk: &SimDisk, now: &dyn Fn() -> usize, what: &str| read(disk, kind.0, now, what);
    beside(LIFE, kind, before, during, read, |writer, seen, what| {
        seen.into_iter()
            .for_each(|seen| judge(&writer.states, &seen, what));
    })
}

pub(super) type ReadFn = fn(&SimDisk, bool, &dyn Fn() -> usize, &str) -> Option<Seen>;

/// What may be seen of a log that went from one state to another meanwhile.
pub(super) fn judge(states: &[State], seen: &Seen, what: &str) {
    let Seen {
        backwards,
        with_staged,
        entries,
        error,
        from,
        to,
    } = seen;
    let span = &states[*from..=*to];
    match error {
        None => {}
        Some(WalError::Truncated { .. }) if states[*to].head_moved => {}
        Some(error) => panic!("{what}: {error:?}, after {entries:?}"),
    }
    assert!(
        entries.windows(2).all(|pair| pair[0].0 < pair[1].0),
        "{what}: not in order: {entries:?}"
    );
    let ever: BTreeMap<Lsn, &Entry> = span
        .iter()
        .flat_map(|state| &state.live)
        .map(|entry| (entry.0, entry))
        .collect();
    for entry in entries {
        assert_eq!(ever.get(&entry.0), Some(&entry), "{what}: never there: {entry:?}");
    }
    if error.is_some() {
        return;
    }
    // What was there all the time is not missed.
    let first = &span[0];
    let there = if *with_staged {
        first.live.len()
    } else {
        first.stored
    };
    for entry in first.live[..there]
        .iter()
        .filter(|entry| span.iter().all(|state| state.live.contains(entry)))
    {
        assert!(
            entries.contains(entry),
            "{what}: missed {entry:?} of {first:?}: {entries:?}"
        );
    }
    if *backwards {
        return;
    }
    // Nor is anything between two records that were there together.
    for state in span {
        let there = |entry: &&Entry| entries.contains(entry);
        let Some(last) = state.live.iter().rposition(|entry| there(&entry)) else {
            continue;
        };
        let Some(first) = state.live.iter().position(|entry| there(&entry)) else {
            continue;
        };
        let lasting = |entry: &&Entry| {
            span.iter().all(|other| {
                other.live.contains(entry) || other.live.last().is_none_or(|last| last.0 < entry.0)
            })
        };
        for entry in state.live[first..=last].iter().filter(lasting) {
            assert!(entries.contains(entry), "{what}: a gap at {entry:?}: {entries:?}");
        }
    }
}

pub(super) fn opens_and_reads(
    disk: &SimDisk,
    segmented: bool,
    now: &dyn Fn() -> usize,
    what: &str,
) -> Option<Seen> {
    let from = now();
    let wal = match disk.open_read_only(Written::NAME, segmented, quiet()) {
        Ok(wal) => wal,
        Err(error) => panic!("{what}: opening: {error:?}"),
    };
    assert!(!wal.recovery().manifest_copy_damaged, "{what}");
    let (entries, error) = wal_tests::until_error(&wal);
    Some(Seen {
        backwards: false,
        with_staged: true,
        entries,
        error,
        from,
        to: now(),
    })
}

fn opens_and_reads_backwards(
    disk: &SimDisk,
    segmented: bool,
    now: &dyn Fn() -> usize,
    what: &str,
) -> Option<Seen> {
    let from = now();
    let wal = disk
        .open_read_only(Written::NAME, segmented, quiet())
        .unwrap_or_else(|error| panic!("{what}: {error:?}"));
    let (mut entries, error) = until_error_of(wal.iter_rev());
    entries.reverse();
    if error.is_some() {
        // Of the newest ones only.
        entries.clear();
    }
    Some(Seen {
        backwards: true,
        with_staged: true,
        entries,
        error,
        from,
        to: now(),
    })
}

pub(super) fn verifies(disk: &SimDisk, segmented: bool, _: &dyn Fn() -> usize, what: &str) -> Option<Seen> {
    let wal = disk
        .open_read_only(Written::NAME, segmented, quiet())
        .unwrap_or_else(|error| panic!("{what}: {error:?}"));
    let report = wal
        .verify()
        .unwrap_or_else(|error| panic!("{what}: verify: {error:?}"));
    assert!(
        report.is_intact() && report.copies.is_empty(),
        "{what}: {report:?}"
    );
    None
}

/// A follower that starts at the head; what it missed or was shown twice is seen at the end.
pub(super) fn follows(disk: &SimDisk, segmented: bool, now: &dyn Fn() -> usize, what: &str) -> Option<Seen> {
    let from = now();
    let wal = disk
        .open_read_only(Written::NAME, segmented, quiet())
        .unwrap_or_else(|error| panic!("{what}: {error:?}"));
    let mut tail = loop {
        match wal.tail(wal.status().head) {
            Ok(tail) => break tail.follow(wal_db::read::Follow::Written),
            Err(WalError::Truncated { .. }) => {}
            Err(error) => panic!("{what}: following: {error:?}"),
        }
    };
    let mut entries: Vec<Entry> = Vec::new();
    let mut idle = 0;
    // Often enough for every switch to have come.
    while idle < 4 {
        match tail.try_next() {
            Ok(Some(record)) => {
                idle = 0;
                entries.push(Entry(record.lsn(), record.into_data()));
            }
            Ok(None) => idle += 1,
            Err(WalError::CutBack {
                kept_before, next, ..
            }) => {
                assert!(next >= kept_before, "{what}");
                entries.retain(|entry| entry.0 < kept_before);
            }
            Err(WalError::Truncated { head, .. }) => {
                // What was dropped before it was shown is gone for it.
                tail = wal.tail(head).unwrap().follow(wal_db::read::Follow::Written);
            }
            Err(error) => panic!("{what}: {error:?} after {entries:?}"),
        }
    }
    Some(Seen {
        backwards: false,
        with_staged: false,
        entries,
        error: None,
        from,
        to: now(),
    })
}

fn quiet() -> WalConfig {
    WalConfig::new().with_background_flush(false)
}

/// The writer's whole life: small groups and large ones, a segment that ends, cuts at both ends, and another process.
pub(super) const LIFE: &[Op] = &[
    Op::Append(100),
    Op::Sync,
    Op::Append(20_000),
    Op::Append(20_000),
    Op::Sync,
    Op::Append(30_000),
    Op::Flush,
    Op::Append(30_000),
    Op::Sync,
    Op::CutAfter(4),
    Op::Append(440),
    Op::Sync,
    Op::CutBefore(3),
    Op::Append(50),
    Op::Append(60),
    Op::Die,
    Op::Append(70),
    Op::Sync,
    Op::CutAfter(2),
    Op::Reopen,
    Op::Append(80),
    Op::Sync,
    Op::Append(90),
];

/// Every place of the reader's calls with every row of operations that begins and ends anywhere.
fn everywhere(read: ReadFn) {
    let mut runs = 0u64;
    for form in FORMS {
        for before in 1..=LIFE.len() {
            let calls = run(form, before, &[], read);
            let counts = if scale() > 1 { 1..=8 } else { 1..=2 };
            for count in counts.chain([5]).filter(|count| before + count <= LIFE.len()) {
                for at in 0..calls + 4 {
                    run(form, before, &[(at, count)], read);
                    runs += 1;
                }
            }
        }
    }
    note(&format!("{runs} interleavings"));
}

#[test]
fn a_log_is_opened_and_read_whatever_its_writer_does_meanwhile() {
    everywhere(opens_and_reads);
}

#[test]
fn a_log_is_read_backwards_whatever_its_writer_does_meanwhile() {
    everywhere(opens_and_reads_backwards);
}

#[test]
fn a_log_is_verified_whatever_its_writer_does_meanwhile() {
    everywhere(verifies);
}

#[test]
fn a_log_is_followed_whatever_its_writer_does_meanwhile() {
    everywhere(follows);
}

/// The other way round: a whole reader between any two calls of the writer, some of which do less than they were asked
/// to, so that it meets groups, manifests and openings that are half done.
fn between_any_two_calls(read: ReadFn) {
    let mut runs = 0;
    for (segmented, staging) in FORMS {
        for moods in [None, Some(7)] {
            let mut writer = Writer::new(segmented, staging);
            let done = Arc::new(AtomicUsize::new(0));
            let seen: Arc<Mutex<Vec<Said>>> = Arc::default();
            let disk = writer.log.disk.clone();
            writer.log.disk = disk.beside({
                let (disk, done, seen) = (disk.clone(), done.clone(), seen.clone());
                move || {
                    let now = done.load(Ordering::Relaxed);
                    let what = format!("{segmented} {staging:?} {moods:?}, in operation {now}");
                    let saw = read(&disk, segmented, &|| now, &what);
                    seen.lock().unwrap().push((saw, what));
                }
            });
            disk.behave(|behaviour| behaviour.moods = moods);
            // So that the writer has the disk with the reader in it.
            for op in std::iter::once(Op::Reopen).chain(LIFE.iter().copied()) {
                writer.run(op);
                let seen = std::mem::take(&mut *seen.lock().unwrap());
                runs += seen.len();
                let to = done.fetch_add(1, Ordering::Relaxed) + 1;
                for (seen, what) in seen {
                    if let Some(seen) = seen {
                        judge(&writer.states, &Seen { to, ..seen }, &format!("{what} {op:?}"));
                    }
                }
            }
        }
    }
    note(&format!("{runs} interleavings"));
}

#[test]
fn a_log_is_opened_and_read_between_any_two_calls_of_its_writer() {
    between_any_two_calls(opens_and_reads);
}

#[test]
fn a_log_is_verified_and_followed_between_any_two_calls_of_its_writer() {
    between_any_two_calls(verifies);
    between_any_two_calls(follows);
}
