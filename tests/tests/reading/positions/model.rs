//! Positions stored anywhere, in a log to which anything happens, against a list that knows what each call must answer.
//!
//! `WAL_TESTS_SCALE=10` runs ten times as many cases.

use proptest::{collection::vec, prelude::*, sample::Index};
use wal_db::{Lsn, Position, Record, Result, Retention, Start, Tail, Wal, WalError, read::Follow};
use wal_tests::{
    assert_is,
    files::{Form, Place},
    quiet_heap, scale,
};

use super::{KINDS, Kind};

#[derive(Debug, Clone)]
enum Step {
    /// Records of these lengths in one group.
    Append(Vec<usize>),
    /// A claim that is given up.
    Void,
    /// What was appended stays in memory for now.
    Stage(usize),
    TruncateAfter(Index),
    TruncateFrom(Index),
    TruncateBefore(Index),
    /// Everything is dropped.
    Retain,
    Reopen,
    /// A place is stored.
    Keep(Where, Index),
    /// The follower reads on.
    Follow(usize),
    /// A copy is made, which will grow on its own.
    BackUp,
}

/// Which place is stored.
#[derive(Debug, Clone, Copy)]
enum Where {
    Record,
    InRecord,
    EndOfRecord,
    End,
    Head,
    Durable,
    Follower,
    Anywhere,
}

fn step() -> impl Strategy<Value = Step> {
    // Frames that end on a sector with the header of their group, and others.
    let len = || prop_oneof![3 => Just(440usize), 1 => Just(952), 3 => 0usize..60, 1 => 0usize..3000, 1 => 20_000usize..70_000];
    let place = prop_oneof![
        3 => Just(Where::Record),
        1 => Just(Where::InRecord),
        2 => Just(Where::EndOfRecord),
        2 => Just(Where::End),
        1 => Just(Where::Head),
        1 => Just(Where::Durable),
        3 => Just(Where::Follower),
        2 => Just(Where::Anywhere),
    ];
    prop_oneof![
        8 => vec(len(), 1..4).prop_map(Step::Append),
        1 => Just(Step::Void),
        2 => len().prop_map(Step::Stage),
        4 => any::<Index>().prop_map(Step::TruncateAfter),
        2 => any::<Index>().prop_map(Step::TruncateFrom),
        2 => any::<Index>().prop_map(Step::TruncateBefore),
        1 => Just(Step::Retain),
        2 => Just(Step::Reopen),
        10 => (place, any::<Index>()).prop_map(|(place, at)| Step::Keep(place, at)),
        5 => (0usize..6).prop_map(Step::Follow),
        1 => Just(Step::BackUp),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Live,
    Cut,
    Dropped,
}

#[derive(Debug, Clone)]
struct Entry {
    lsn: u64,
    end: u64,
    number: u32,
    fate: Fate,
}

/// A cut: positions after the first number and up to the second have read what is gone; and when it was made.
#[derive(Debug, Clone, Copy)]
struct Gone {
    after: u64,
    upto: u64,
    step: usize,
}

#[derive(Debug, Clone)]
struct Kept {
    lsn: u64,
    position: Option<Position>,
    /// What was read ends here.
    read_to: u64,
    /// The step after which it was taken, as far as its taker had looked.
    step: usize,
}

/// What happened to a log.
#[derive(Debug, Clone, Default)]
struct History {
    entries: Vec<Entry>,
    cuts: Vec<Gone>,
    step: usize,
}

/// What a call must answer.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Truncated,
    BeyondEnd,
    CutBack,
    From(Vec<u32>),
}

impl History {
    fn live(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.fate == Fate::Live)
    }

    fn from(&self, lsn: u64) -> Vec<u32> {
        let later = self.live().filter(|entry| entry.lsn >= lsn);
        later.map(|entry| entry.number).collect()
    }

    fn refused(&self, lsn: u64, end: u64) -> Option<Answer> {
        let missed = |entry: &Entry| entry.fate == Fate::Dropped && entry.lsn >= lsn;
        if self.entries.iter().any(missed) {
            return Some(Answer::Truncated);
        }
        (lsn > end).then_some(Answer::BeyondEnd)
    }

    /// What iterating from a plain LSN gives.
    fn iterated(&self, lsn: u64, end: u64) -> Answer {
        self.refused(lsn, end)
            .unwrap_or_else(|| Answer::From(self.from(lsn)))
    }

    /// Whether somebody who follows from a plain LSN hears of a cut first.
    fn is_told(&self, lsn: u64) -> bool {
        self.cuts.iter().any(|cut| cut.after < lsn && lsn <= cut.upto)
    }

    /// What somebody hears who stands at `lsn` and has read up to `read_to`.
    fn followed(&self, (lsn, read_to): (u64, u64), end: u64) -> Answer {
        match self.refused(lsn, end) {
            Some(refused) => refused,
            None if self.is_told(read_to) => Answer::CutBack,
            None => Answer::From(self.from(lsn)),
        }
    }

    /// What a stored position gives.
    fn resolved(&self, kept: &Kept, end: u64) -> Answer {
        let is_told = |cut: &Gone| {
            cut.after < kept.read_to
                && (kept.lsn <= cut.upto || kept.lsn <= cut.upto + 64 && cut.step > kept.step)
        };
        match self.refused(kept.lsn, end) {
            Some(refused) => refused,
            None if self.cuts.iter().any(is_told) => Answer::CutBack,
            None => Answer::From(self.from(kept.lsn)),
        }
    }
}

/// Up to where somebody has read who stands at `lsn` and knows of these cuts.
fn read_to(cuts: &[Gone], lsn: u64) -> u64 {
    let behind = cuts.iter().find(|cut| cut.upto < lsn && lsn <= cut.upto + 64);
    behind.map_or(lsn, |cut| cut.after)
}

struct Model {
    kind: Kind,
    place: Place,
    wal: Option<Wal>,
    history: History,
    kept: Vec<Kept>,
    tail: Option<Tail>,
    /// Where what the follower has ends, without what it was told is gone.
    tail_read_to: u64,
    /// When the follower looked last.
    looked: usize,
    numbers: u32,
    backup: Option<(Place, History, Vec<Kept>)>,
}

fn number(record: &Record) -> u32 {
    u32::from_le_bytes(record.data()[..4].try_into().unwrap())
}

fn answer<T>(result: Result<T>, then: impl FnOnce(T) -> Vec<u32>) -> Answer {
    match result {
        Ok(value) => Answer::From(then(value)),
        Err(WalError::Truncated { .. }) => Answer::Truncated,
        Err(WalError::BeyondEnd { .. }) => Answer::BeyondEnd,
        Err(WalError::CutBack { .. }) => Answer::CutBack,
        Err(error) => panic!("{error}"),
    }
}

fn all(records: wal_db::WalIter) -> Vec<u32> {
    records.map(|record| number(&record.unwrap())).collect()
}

/// What is followed up to the end; everything is written.
fn follow(tail: Result<Tail>) -> Answer {
    let mut tail = match tail {
        Ok(tail) => tail.follow(Follow::Written),
        Err(error) => return answer(Err(error), |()| Vec::new()),
    };
    let mut found = Vec::new();
    loop {
        match tail.try_next() {
            Ok(Some(record)) => found.push(number(&record)),
            Ok(None) => return Answer::From(found),
            Err(error) => {
                assert!(found.is_empty(), "{error} after {found:?}");
                return answer(Err(error), |()| Vec::new());
            }
        }
    }
}

impl Model {
    fn new(kind: Kind) -> Self {
        let place = Place::fast(match kind {
            Kind::Segments => Form::Segmented,
            _ => Form::File,
        });
        let mut model = Model {
            kind,
            place,
            wal: None,
            history: History::default(),
            kept: Vec::new(),
            tail: None,
            tail_read_to: 0,
            looked: 0,
            numbers: 0,
            backup: None,
        };
        model.open();
        model
    }

    fn open(&mut self) {
        let wal = match self.kind {
            Kind::Memory => Wal::with_store_and_config(wal_db::MemStore::new(), quiet_heap()),
            _ => self.place.open(quiet_heap()),
        };
        let wal = wal.unwrap();
        let tail = wal.tail(Start::Head).unwrap();
        self.tail_read_to = read_to(&self.history.cuts, tail.next_lsn().get());
        self.tail = Some(tail);
        self.note_look();
        self.wal = Some(wal);
    }

    fn note_look(&mut self) {
        self.looked = self.history.step;
    }

    fn wal(&self) -> &Wal {
        self.wal.as_ref().unwrap()
    }

    fn end(&self) -> u64 {
        self.wal().end().get()
    }

    fn append(&mut self, len: usize) {
        self.numbers += 1;
        let mut data = self.numbers.to_le_bytes().to_vec();
        data.resize(len.max(4), 7);
        let lsn = self.wal().append(&data).unwrap().get();
        let end = lsn + (8 + data.len() as u64).next_multiple_of(8);
        self.history.entries.push(Entry {
            lsn,
            end,
            number: self.numbers,
            fate: Fate::Live,
        });
    }

    fn step(&mut self, step: &Step) {
        self.history.step += 1;
        match step {
            Step::Append(lens) => {
                lens.iter().for_each(|&len| self.append(len));
                self.wal().sync().unwrap();
            }
            Step::Stage(len) => self.append(*len),
            Step::Void => {
                let wal = self.wal().clone();
                let gave_up = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    wal.append_in_place(8, |_| std::panic::resume_unwind(Box::new(())))
                }));
                assert!(gave_up.is_err());
                self.wal().sync().unwrap();
            }
            Step::TruncateAfter(at) => self.truncate_after(at),
            Step::TruncateFrom(at) => self.truncate_from(at),
            Step::TruncateBefore(at) => self.truncate_before(at),
            Step::Retain => {
                self.wal().sync().unwrap();
                self.wal().retain(&Retention::new().with_max_bytes(0)).unwrap();
                self.drop_before(u64::MAX);
            }
            Step::Reopen if self.kind != Kind::Memory => self.reopen(),
            Step::Reopen => {}
            Step::Keep(place, at) => self.keep(*place, at),
            Step::Follow(records) => self.follow(*records),
            Step::BackUp if self.kind != Kind::Memory && self.backup.is_none() => {
                self.reopen();
                self.backup = Some((self.place.killed(), self.history.clone(), self.kept.clone()));
            }
            Step::BackUp => {}
        }
    }

    fn reopen(&mut self) {
        self.tail = None;
        self.wal.take().unwrap().close().unwrap();
        self.open();
    }

    fn truncate_after(&mut self, at: &Index) {
        let live: Vec<Entry> = self.history.live().cloned().collect();
        let Some(kept) = (!live.is_empty()).then(|| &live[at.index(live.len())]) else {
            return;
        };
        self.wal().truncate_after(Lsn::new(kept.lsn)).unwrap();
        if live.last().unwrap().lsn != kept.lsn {
            self.was_cut(kept.lsn + 1, kept.end);
        }
    }

    fn truncate_from(&mut self, at: &Index) {
        let live: Vec<Entry> = self.history.live().cloned().collect();
        let Some(at) = (!live.is_empty()).then(|| at.index(live.len())) else {
            return;
        };
        let first = live[at].lsn;
        self.wal().truncate_from(Lsn::new(first)).unwrap();
        let kept = at.checked_sub(1).map(|before| live[before].end);
        self.was_cut(first, kept.unwrap_or(first));
    }

    /// The live records from `first` on are gone, and a reader that has read beyond `after` has read some of them.
    fn was_cut(&mut self, first: u64, after: u64) {
        for entry in &mut self.history.entries {
            if entry.fate == Fate::Live && entry.lsn >= first {
                entry.fate = Fate::Cut;
            }
        }
        // The next group starts a header before the first record that may come.
        let (upto, step) = (self.end() - 64, self.history.step);
        let (mut after, cuts) = (after, &mut self.history.cuts);
        while let Some(last) = cuts.pop_if(|last| last.upto >= after) {
            after = after.min(last.after);
        }
        cuts.push(Gone { after, upto, step });
    }

    fn truncate_before(&mut self, at: &Index) {
        let entries = &self.history.entries;
        let Some(target) = (!entries.is_empty()).then(|| entries[at.index(entries.len())].lsn) else {
            return;
        };
        self.wal().truncate_before(Lsn::new(target)).unwrap();
        self.drop_before(target);
    }

    fn drop_before(&mut self, lsn: u64) {
        for entry in &mut self.history.entries {
            if entry.fate == Fate::Live && entry.lsn < lsn {
                entry.fate = Fate::Dropped;
            }
        }
    }

    fn keep(&mut self, place: Where, at: &Index) {
        let entries = &self.history.entries;
        let entry = (!entries.is_empty()).then(|| &entries[at.index(entries.len())]);
        let lsn = match (place, entry) {
            (Where::Record, Some(entry)) => entry.lsn,
            (Where::InRecord, Some(entry)) => entry.lsn + 1,
            (Where::EndOfRecord, Some(entry)) => entry.end,
            (Where::Head, _) => self.wal().status().head.get(),
            (Where::Durable, _) => self.wal().status().durable.get(),
            (Where::Follower, _) => return self.keep_follower(),
            (Where::Anywhere, _) => at.index(self.end() as usize + 600) as u64,
            _ => self.end(),
        };
        let position = Position::of(self.wal(), Lsn::new(lsn)).ok();
        self.kept.push(Kept {
            lsn,
            position,
            read_to: read_to(&self.history.cuts, lsn),
            step: self.history.step,
        });
    }

    fn keep_follower(&mut self) {
        let tail = self.tail.as_ref().unwrap();
        let lsn = tail.next_lsn().get();
        let position = Some(tail.position().unwrap());
        self.kept.push(Kept {
            lsn,
            position,
            read_to: self.tail_read_to,
            step: self.looked,
        });
    }

    /// The follower reads some records, which must be the next ones.
    fn follow(&mut self, records: usize) {
        self.wal().sync().unwrap();
        let mut tail = self.tail.take().unwrap();
        for _ in 0..records {
            let lsn = tail.next_lsn().get();
            let expected = self.history.followed((lsn, self.tail_read_to), u64::MAX);
            self.note_look();
            match (tail.try_next(), expected) {
                (Ok(found), Answer::From(rest)) => {
                    assert_eq!(found.as_ref().map(number), rest.first().copied(), "at {lsn}");
                    if let Some(found) = found {
                        assert!(found.lsn().get() >= lsn);
                        self.tail_read_to = found.lsn().get() + 1;
                    }
                }
                (Err(WalError::CutBack { kept_before, .. }), Answer::CutBack) => {
                    self.tail_read_to = kept_before.get();
                    assert!(!self.history.is_told(self.tail_read_to), "told once");
                }
                (Err(WalError::Truncated { .. }), Answer::Truncated) => {
                    tail = self.wal().tail(Start::Head).unwrap();
                    self.tail_read_to = read_to(&self.history.cuts, tail.next_lsn().get());
                }
                (found, expected) => panic!("at {lsn}: {found:?}, not {expected:?}"),
            }
        }
        self.tail = Some(tail);
    }

    /// Every place that was stored, in every call that takes one.
    fn look(&self) {
        let wal = self.wal();
        look(wal, &self.history, &self.kept);
        for entry in &self.history.entries {
            let read = wal.read(Lsn::new(entry.lsn));
            match entry.fate {
                Fate::Live => assert_eq!(number(&read.unwrap()), entry.number),
                Fate::Cut => {
                    let gone = matches!(
                        read,
                        Err(WalError::NoSuchRecord { .. } | WalError::Truncated { .. })
                    );
                    assert!(gone, "{read:?}");
                }
                Fate::Dropped => assert_is!(read, Err(WalError::Truncated { .. })),
            }
        }
        let forward: Vec<u32> = self.history.from(0);
        let mut back: Vec<u32> = wal
            .iter_rev()
            .unwrap()
            .map(|record| number(&record.unwrap()))
            .collect();
        back.reverse();
        assert_eq!(back, forward);
        assert_eq!(all(wal.iter().unwrap()), forward);
    }

    /// The copy grows on its own; what was stored since it was made belongs to another history.
    fn look_at_the_backup(&mut self) {
        let Some((place, mut history, kept)) = self.backup.take() else {
            return;
        };
        let wal = place.open(quiet_heap()).unwrap();
        history.step += 1;
        look(&wal, &history, &kept);
        let made = history.entries.len();
        for i in 0..self.history.entries.len() - made + 3 {
            // The same lengths as in the original as far as they go, so that the places are the same.
            let len = self
                .history
                .entries
                .get(made + i)
                .map_or(40, |entry| entry.end - entry.lsn - 8);
            wal.append_and_sync(&vec![0xee; len as usize]).unwrap();
        }
        for kept in &self.kept {
            let Some(position) = &kept.position else { continue };
            // Of what was dropped before it was taken, a position says nothing.
            let saw_more = |entry: &Entry| entry.fate == Fate::Live && entry.lsn < kept.lsn;
            let taken_since = kept.step >= history.step;
            if taken_since && self.history.entries[made..].iter().any(saw_more) {
                let resolved = wal.seek(position);
                assert_is!(
                    resolved,
                    Err(WalError::Diverged { .. }
                        | WalError::BeyondEnd { .. }
                        | WalError::Truncated { .. }
                        | WalError::CutBack { .. }),
                    "{kept:?}"
                );
            }
        }
    }
}

fn look(wal: &Wal, history: &History, kept: &[Kept]) {
    wal.drain().unwrap();
    let end = wal.end().get();
    for kept in kept {
        let lsn = Lsn::new(kept.lsn);
        let what = || format!("{kept:?} of {history:?}");
        let iterated = history.iterated(kept.lsn, end);
        assert_eq!(answer(wal.iter_from(lsn), all), iterated, "{}", what());
        assert_eq!(answer(wal.range(lsn..wal.end()), all), iterated, "{}", what());
        let cursor = answer(wal.hold(lsn), |_| history.from(kept.lsn));
        assert_eq!(cursor, iterated, "{}", what());
        assert_eq!(
            follow(wal.tail(lsn)),
            history.followed((kept.lsn, kept.lsn), end),
            "{}",
            what()
        );
        if let Some(position) = &kept.position {
            let expected = history.resolved(kept, end);
            assert_eq!(answer(wal.iter_from(position), all), expected, "{}", what());
            assert_eq!(follow(wal.tail(position)), expected, "{}", what());
            let again: Position = position.to_string().parse().unwrap();
            assert_eq!(&again, position);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 100 * scale(),
        failure_persistence: None,
        max_shrink_iters: 1000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_stored_place_is_answered_rightly(
        kind in prop::sample::select(&KINDS[..]),
        steps in vec(step(), 1..40),
        look_always in prop::bool::weighted(0.3),
    ) {
        let mut model = Model::new(kind);
        for step in &steps {
            model.step(step);
            if look_always {
                model.look();
            }
        }
        model.look();
        model.step(&Step::Reopen);
        model.look();
        model.look_at_the_backup();
    }
}
