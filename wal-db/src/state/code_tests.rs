//! The program's code in the middle of it: states that panic, conversions, and code that uses the log where it must not.

use super::*;

/// Stored whole, and read as its halves since version 2; a half of 0 is none.
#[derive(Debug, Serialize, Deserialize, WalRecord)]
#[wal(name = "pair")]
struct Pair(u32, u32);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Half(u32);

impl WalRecord for Half {
    const NAME: &'static str = "pair";
    const RECORDS: &'static [EventType] = &[EventType::new("pair", 2)];
    const FAMILY: bool = false;

    fn record_index(&self) -> usize {
        0
    }
}

impl<'de> WalDecode<'de> for Half {
    fn decode_older<C: Codec>(
        stored: &StoredEvent<'de, C>,
        _: usize,
    ) -> std::result::Result<Upcast<Self>, TypedError> {
        Ok(stored.older::<Pair>()?.split(|pair| {
            let halves = [Half(pair.0), Half(pair.1)];
            halves.into_iter().filter(|half| half.0 > 0)
        }))
    }
}

/// Panics once at the event that it is told to, after it has taken it in.
#[derive(Debug, Default)]
struct Halves {
    seen: Vec<(u32, u64, bool)>,
    panics_at: Option<u32>,
}

impl State for Halves {
    type Event = Half;

    fn apply(&mut self, event: Half, at: At) {
        self.seen.push((event.0, at.lsn.get(), at.replaying));
        if self.panics_at == Some(event.0) {
            self.panics_at = None;
            panic!("at {}", event.0);
        }
    }
}

impl Halves {
    fn of(store: &Store<Halves>) -> Vec<(u32, u64, bool)> {
        store.peek(|halves| halves.seen.clone()).expect("the state")
    }
}

fn halves() -> (EventLog<Half>, Store<Halves>) {
    let log: EventLog<Half> = Wal::with_store(MemStore::new())
        .expect("wal")
        .typed()
        .expect("typed");
    let store = log.store::<Halves>(StoreConfig::new()).expect("a store");
    (log, store)
}

#[test]
fn both_halves_of_a_split_event_are_applied_once() {
    let (log, store) = halves();
    let pair = |a, b| log.wal().append_typed(&Pair(a, b)).expect("append").get();
    let first = pair(1, 2);
    assert_eq!(Halves::of(&store).len(), 2);
    assert_eq!(Halves::of(&store).len(), 2);
    let second = pair(3, 4);
    pair(0, 0);
    let own = store.commit(Half(5)).expect("commit").get();
    let last = pair(0, 6);
    let kept = [
        (1, first, true),
        (2, first, true),
        (3, second, true),
        (4, second, true),
        (5, own, false),
        (6, last, true),
    ];
    assert_eq!(Halves::of(&store), kept);
    let rebuilt = log.rebuild::<Halves>().expect("rebuild");
    assert_eq!(rebuilt.state.seen, kept.map(|(half, lsn, _)| (half, lsn, true)));
    assert_eq!(
        (rebuilt.events, rebuilt.next),
        (6, store.next_lsn().expect("next"))
    );
}

thread_local! {
    static USED: std::cell::RefCell<Option<Store<Meddling>>> = const { std::cell::RefCell::new(None) };
    static TOLD: std::cell::RefCell<Vec<&'static str>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// Code of the program that uses the log where others wait for it.
fn meddle(place: &'static str) {
    let Some(store) = USED.with_borrow(Clone::clone) else {
        return;
    };
    let outcomes = [
        store.log().append(&Odd(9)).map(drop),
        store.commit(Odd(9)).map(drop),
        store.peek(|_| ()),
    ];
    for outcome in outcomes {
        assert!(
            matches!(outcome, Err(WalError::Reentrant)),
            "{place}: {outcome:?}"
        );
    }
    TOLD.with_borrow_mut(|told| told.push(place));
}

#[derive(Debug, Serialize, Deserialize, WalRecord)]
#[wal(name = "odd")]
struct OddV1(u32);

/// Read from an earlier version by a conversion that meddles.
#[derive(Debug, Serialize, Deserialize, WalRecord)]
#[wal(name = "odd", version = 2, from = OddV1)]
struct Odd(u64);

impl From<OddV1> for Odd {
    fn from(old: OddV1) -> Odd {
        meddle("conversion");
        Odd(old.0.into())
    }
}

struct Meddling(Vec<u64>);

impl Default for Meddling {
    fn default() -> Self {
        meddle("default");
        Meddling(Vec::new())
    }
}

impl Drop for Meddling {
    fn drop(&mut self) {
        meddle("drop");
    }
}

impl State for Meddling {
    type Event = Odd;

    fn apply(&mut self, event: Odd, _: At) {
        meddle("apply");
        self.0.push(event.0);
    }
}

/// What runs while others wait is told so instead of waiting for itself.
#[test]
fn code_that_meddles_is_refused_wherever_it_runs() {
    let wal = Wal::with_store(MemStore::new()).expect("a log in memory");
    let first = wal.append_typed(&OddV1(1)).expect("append");
    let log = wal.typed::<Odd>().expect("both versions are read");
    let store = log.store::<Meddling>(StoreConfig::new()).expect("a store");
    USED.set(Some(store.clone()));
    store.commit(Odd(2)).expect("commit");
    wal.append_typed(&OddV1(3)).expect("append");
    let seen = || store.peek(|state| state.0.clone()).expect("the state");
    assert_eq!(seen(), [1, 2, 3]);
    wal.truncate_after(first).expect("cut");
    assert_eq!(seen(), [1]);
    let mut told = TOLD.take();
    told.sort_unstable();
    told.dedup();
    assert_eq!(told, ["apply", "conversion", "default", "drop"]);
    USED.set(None);
}

/// Panics at 13 as long as it is told to.
#[derive(Debug, Default)]
struct Superstitious(Vec<u32>);

thread_local! {
    static PANICS: std::cell::Cell<bool> = const { std::cell::Cell::new(true) };
    static APPLIED: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

impl State for Superstitious {
    type Event = Note;

    fn apply(&mut self, event: Note, _: At) {
        APPLIED.set(APPLIED.get() + 1);
        self.0.push(event.0);
        assert!(!(event.0 == 13 && PANICS.get()), "it is 13");
    }
}

#[test]
fn a_state_that_panics_is_folded_again_once_and_tells_the_event() {
    let log = log();
    let store = log.store::<Superstitious>(StoreConfig::new()).expect("a store");
    store.commit(Note(1)).expect("commit");
    let decided = store.transact(|_, _| Ok::<_, ()>(Decision::new(()).events([Note(13), Note(14)])));
    let Err(TransactError::Wal(WalError::ApplyPanicked {
        lsn,
        message,
        replaying: false,
    })) = decided
    else {
        panic!("{decided:?}");
    };
    assert_eq!(
        (log.read(lsn).expect("it is a fact").event, &*message),
        (Note(13), "it is 13")
    );
    assert_eq!(log.wal().status().records, 3);

    APPLIED.set(0);
    for _ in 0..3 {
        let error = store.peek(|_| ()).expect_err("the state is none");
        assert!(
            matches!(error, WalError::ApplyPanicked { lsn: at, .. } if at == lsn),
            "{error}"
        );
        store.commit(Note(15)).expect_err("the state is none");
    }
    assert_eq!(APPLIED.get(), 2, "the log was folded once");
    assert_eq!(log.wal().status().records, 3);

    // Events of others do not help, and a cut does.
    log.append(&Note(16)).expect("append");
    store.read(|_| ()).expect_err("of an event in the log");
    assert_eq!(APPLIED.get(), 2);
    log.wal().truncate_from(lsn).expect("cut");
    assert_eq!(store.read(|state| state.0.clone()).expect("it is gone"), [1]);

    // One that comes from another handle, and a state that takes it the second time.
    log.append(&Note(13)).expect("append");
    let error = store.read(|_| ()).expect_err("it is 13");
    assert!(
        matches!(error, WalError::ApplyPanicked { replaying: true, .. }),
        "{error}"
    );
    log.store::<Superstitious>(StoreConfig::new())
        .expect_err("13 is there");
    PANICS.set(false);
    assert_eq!(store.peek(|state| state.0.clone()).expect("it is one"), [1, 13]);
    PANICS.set(true);
}

#[test]
fn a_panic_between_the_halves_is_told_and_mended_by_a_fold() {
    let (log, store) = halves();
    let first = log.wal().append_typed(&Pair(1, 2)).expect("append");
    store.shared().kept.write().rebuilt.state.panics_at = Some(1);
    let error = store.peek(|_| ()).expect_err("the state panics");
    assert!(matches!(error, WalError::ApplyPanicked { lsn, .. } if lsn == first));
    let seen = Halves::of(&store);
    assert_eq!(seen, [(1, first.get(), true), (2, first.get(), true)]);
}

#[derive(Debug, Default, PartialEq)]
struct Count(u32);

impl State for Count {
    type Event = Note;

    fn apply(&mut self, _: Note, _: At) {
        self.0 += 1;
    }
}

#[test]
fn a_tuple_of_states_is_fed_by_one_replay() {
    let log = log();
    log.append(&Note(1)).expect("append");
    let store = log.store::<(Count, Seen)>(StoreConfig::new()).expect("a store");
    store.commit(Note(2)).expect("commit");
    let seen = store.read(|(count, seen)| (count.0, values(seen))).expect("read");
    assert_eq!(seen, (2, vec![1, 2]));
    assert_eq!(log.rebuild::<(Count,)>().expect("rebuild").state, (Count(2),));
}

#[derive(Debug, Default)]
struct Seeds(Vec<u64>);

impl State for Seeds {
    type Event = Half;

    fn apply(&mut self, _: Half, at: At) {
        self.0.push(at.seed());
    }
}

#[test]
fn every_event_of_every_log_has_a_seed_of_its_own() {
    let mut all = Vec::new();
    for _ in 0..2 {
        let (log, _) = halves();
        let store = log.store::<Seeds>(StoreConfig::new()).expect("a store");
        store.commit(Half(1)).expect("commit");
        log.wal().append_typed(&Pair(1, 2)).expect("append");
        let seeds = store.read(|seeds| seeds.0.clone()).expect("read");
        assert_eq!(log.rebuild::<Seeds>().expect("rebuild").state.0, seeds);
        all.extend(seeds);
    }
    assert_eq!(all.len(), 6);
    assert_eq!(all.iter().collect::<std::collections::HashSet<_>>().len(), 6);
}

/// Where nobody needs to know of every record, appends go their own way again.
#[test]
fn the_turnstile_is_open_when_the_last_store_is_gone() {
    let log = log();
    let counting = log.wal().count_records().expect("open");
    let store = log.store::<Seen>(StoreConfig::new()).expect("a store");
    let passed = || counting.passed();
    log.append(&Note(1)).expect("append");
    assert_eq!(passed(), 1);
    drop(store);
    log.append_batch(&[Note(2), Note(3)]).expect("append");
    assert_eq!(passed(), 2, "it is still asked for");
    log.wal().append(&vec![0; 200_000]).expect("append apart");
    log.wal().append_in_place(8, |_| ()).expect("append in place");
    assert_eq!(passed(), 4);
    let last = log.wal().count_records().expect("open");
    drop(counting);
    drop(last);
    let counting = log.wal().count_records().expect("open");
    let before = counting.passed();
    drop(counting);
    log.append(&Note(4)).expect("append");
    let counting = log.wal().count_records().expect("open");
    assert_eq!(counting.passed(), before);
    log.wal().append_batch::<&[u8]>(&[]).expect("nothing");
    assert_eq!(counting.passed(), before, "no record");
}
