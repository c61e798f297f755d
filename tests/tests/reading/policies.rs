//! What cannot be read: an error by default, and passed over only where the reader says so; the reasons stay apart,
//! and damage of the log is never one of them.

use serde::{Deserialize, Serialize};
use wal_db::__private::{StoredEvent, Upcast};
use wal_db::{
    Lsn, MemStore, RecoveryPolicy, Replay, Wal, WalConfig, WalError, WalRecord, WalStore,
    codec::Codec,
    event::{Ahead, EventType, Retired, Skipped, TypedError, Unreadable, WalDecode},
};
use wal_tests::{assert_is, own::Own, record, wal};

/// What this program reads.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Job {
    Started(String),
    Done(u8),
    Blinked(Retired),
}

impl WalRecord for Job {
    const NAME: &'static str = "job";
    const RECORDS: &'static [EventType] = &[
        EventType::new("job.started", 2).aliases(&["job.begun"]),
        EventType::new("job.done", 3),
        EventType::new("job.blinked", 1).retire(),
    ];
    const FAMILY: bool = true;

    fn record_index(&self) -> usize {
        match self {
            Job::Started(_) => 0,
            Job::Done(_) => 1,
            Job::Blinked(never) => match *never {},
        }
    }
}

impl<'de> WalDecode<'de> for Job {
    fn decode_older<C: Codec>(
        stored: &StoredEvent<'de, C>,
        index: usize,
    ) -> Result<Upcast<Self>, TypedError> {
        match index {
            1 => stored.older::<DoneV2>()?.convert(stored),
            _ => Err(stored.no_migration()),
        }
    }
}

impl TryFrom<DoneV2> for Job {
    type Error = String;

    fn try_from(old: DoneV2) -> Result<Self, String> {
        let code = u8::try_from(old.0);
        code.map(Job::Done)
            .map_err(|_| format!("{} is no exit code", old.0))
    }
}

/// Types of other programs, or of other releases of this one.
macro_rules! stored_as {
    ($($type:ident($($field:ty),*) = $name:literal, $version:literal;)*) => {$(
        #[derive(Debug, Serialize, Deserialize)]
        struct $type($($field),*);

        record!($type, EventType::new($name, $version));
        impl WalDecode<'_> for $type {}
    )*};
}

stored_as! {
    StartedV1(u8) = "job.started", 1;
    StartedV4(u8, u8) = "job.started", 4;
    BegunV3(u8) = "job.begun", 3;
    DoneV2(i64) = "job.done", 2;
    Longer(u8, u8) = "job.done", 3;
    Shorter() = "job.done", 3;
    Blinked(u8) = "job.blinked", 1;
    Paused(u8) = "job.paused", 5;
}

fn append<T: WalRecord>(wal: &Wal, event: T) -> Lsn {
    wal.append_typed(&event).expect("append")
}

/// Makes a record that cannot be read.
type Append = fn(&Wal) -> Lsn;
type Counter = fn(&Skipped) -> u64;

/// One record for each reason, and the counter that it moves.
const UNREADABLE: [(Append, Counter); 9] = [
    (|wal| wal.append(b"plain").expect("append"), |s| s.not_typed),
    (|wal| append(wal, Paused(1)), |s| s.unknown_type),
    (|wal| append(wal, StartedV4(1, 2)), |s| s.newer_version),
    (|wal| append(wal, StartedV1(1)), |s| s.older_version),
    (|wal| append(wal, Blinked(1)), |s| s.retired),
    (|wal| append(wal, DoneV2(-1)), |s| s.not_upcast),
    (
        |wal| {
            // The format of another program, which the one that replays does not have.
            let log = wal.typed::<Longer>().expect("typed").with_codec::<Own>();
            log.append(&Longer(1, 2)).expect("append")
        },
        |s| s.unknown_codec,
    ),
    (|wal| append(wal, Longer(1, 2)), |s| s.wrong_shape),
    (|wal| append(wal, Shorter()), |s| s.broken),
];

fn replay(wal: &Wal) -> Replay<Job> {
    wal.typed::<Job>().expect("typed").replay(..).expect("replay")
}

fn event(item: Option<wal_db::Result<wal_db::Event<Job>>>) -> Job {
    item.expect("not the end").expect("an event").event
}

#[test]
fn by_default_the_first_record_that_cannot_be_read_ends_the_replay() {
    for (bad, counter) in UNREADABLE {
        let wal = wal();
        append(&wal, Job::Done(1));
        let at = bad(&wal);
        append(&wal, Job::Done(2));
        let mut replay = replay(&wal);
        assert_eq!(event(replay.next()), Job::Done(1));
        let second = replay.next().expect("not the end");
        let skipped = replay.skipped();
        if counter(&skipped) == 1 {
            assert_eq!(
                event(Some(second)),
                Job::Done(2),
                "retired: passed over in any case"
            );
            assert_eq!((skipped.retired, skipped.total()), (1, 1));
            continue;
        }
        let error = second.expect_err("what cannot be read").to_string();
        assert!(error.contains(&format!("LSN {at}")), "{error}");
        assert_eq!(skipped.total(), 0, "{error}");
        assert!(replay.next().is_none());
        assert!(replay.next().is_none());
    }
}

#[test]
fn skipping_counts_each_reason_by_itself() {
    for (bad, counter) in UNREADABLE {
        let wal = wal();
        append(&wal, Job::Done(1));
        bad(&wal);
        append(&wal, Job::Started("a".into()));
        bad(&wal);
        append(&wal, Job::Done(2));
        let mut replay = replay(&wal).on_unreadable(Unreadable::Skip);
        let events: Vec<_> = replay.by_ref().map(|item| event(Some(item))).collect();
        assert_eq!(events, [Job::Done(1), Job::Started("a".into()), Job::Done(2)]);
        let skipped = replay.skipped();
        assert_eq!((counter(&skipped), skipped.total()), (2, 2), "{skipped:?}");
        assert!(replay.take_collected().is_empty());
    }
}

#[test]
fn collecting_keeps_the_errors_in_the_order_of_the_log() {
    let wal = wal();
    let mut bad = Vec::new();
    for (unreadable, counter) in UNREADABLE {
        let lsn = unreadable(&wal);
        let mut only_retired = Skipped::default();
        only_retired.retired = 1;
        if counter(&only_retired) == 0 {
            bad.push(lsn);
        }
        append(&wal, Job::Done(1));
    }
    let mut replay = replay(&wal).on_unreadable(Unreadable::Collect);
    event(replay.next());
    let first = replay.take_collected();
    assert_eq!(first.len(), 1);
    assert_eq!(replay.by_ref().count(), UNREADABLE.len() - 1);
    let rest = replay.take_collected();
    assert!(replay.take_collected().is_empty(), "they were taken");
    let said: Vec<_> = first.iter().chain(&rest).map(ToString::to_string).collect();
    assert_eq!(said.len(), bad.len(), "{said:#?}");
    for (said, lsn) in said.iter().zip(bad) {
        assert!(said.contains(&format!("LSN {lsn}")), "{lsn}: {said}");
    }
    let skipped = replay.skipped();
    assert_eq!(skipped.total(), UNREADABLE.len() as u64);
    for (_, counter) in UNREADABLE {
        assert_eq!(counter(&skipped), 1, "{skipped:?}");
    }
}

#[test]
fn another_type_than_the_struct_asked_for_is_an_unknown_one() {
    let wal = wal();
    append(&wal, Paused(1));
    append(&wal, Longer(1, 2));
    let log = wal.typed::<Longer>().expect("typed");
    let mut replay = log.replay(..).expect("replay").on_unreadable(Unreadable::Skip);
    assert_eq!(replay.by_ref().count(), 1);
    assert_eq!((replay.skipped().unknown_type, replay.skipped().total()), (1, 1));
    let ahead = replay.ahead();
    assert_is!(ahead, [ahead] if ahead.type_id == Paused::RECORDS[0].id && ahead.known == 0);
}

#[test]
fn damage_of_the_log_is_never_skipped() {
    for recovery in [RecoveryPolicy::StopAtFirstError, RecoveryPolicy::SkipBadRecords] {
        for policy in [Unreadable::Error, Unreadable::Skip, Unreadable::Collect] {
            let store = MemStore::new();
            let config = WalConfig::new().with_recovery_policy(recovery);
            let wal = Wal::with_store_and_config(store.clone(), config).expect("wal");
            append(&wal, Job::Done(1));
            append(&wal, Job::Started("here it breaks".into()));
            append(&wal, Job::Done(2));
            wal.sync().expect("sync");
            flip_in(&store, b"breaks");

            let mut replay = replay(&wal).on_unreadable(policy);
            assert_eq!(event(replay.next()), Job::Done(1));
            let error = replay.next().expect("not the end").expect_err("the damage");
            assert_is!(error, WalError::Corruption(_));
            assert!(replay.next().is_none(), "{policy:?}");
            assert_eq!(replay.skipped().total(), 0);
            assert!(replay.take_collected().is_empty());
        }
    }
}

/// Flips a bit in the only place of the store that holds these bytes.
fn flip_in(store: &MemStore, bytes: &[u8]) {
    let mut all = vec![0; store.len().expect("len") as usize];
    let read = store.read_at(0, &mut all).expect("read");
    let places: Vec<_> = all[..read]
        .windows(bytes.len())
        .enumerate()
        .filter(|(_, window)| *window == bytes)
        .collect();
    let [(at, _)] = places[..] else {
        panic!("it stands in {} places", places.len())
    };
    store.write_at(at as u64, &[bytes[0] ^ 1]).expect("write");
}

fn told(ahead: &[Ahead]) -> Vec<(Option<&str>, u16, u16)> {
    ahead
        .iter()
        .map(|ahead| (ahead.name.as_deref(), ahead.stored, ahead.known))
        .collect()
}

#[test]
fn an_older_release_sees_that_a_newer_one_writes() {
    let wal = wal();
    append(&wal, Job::Done(1));
    append(&wal, BegunV3(1));
    append(&wal, Paused(1));
    append(&wal, StartedV4(1, 2));
    append(&wal, StartedV1(1));
    append(&wal, Job::Done(2));
    let mut skipping = replay(&wal).on_unreadable(Unreadable::Skip);
    assert!(skipping.ahead().is_empty(), "nothing was read yet");
    assert_eq!(skipping.by_ref().count(), 2);
    // The alias is the same type, and an older version is nothing new.
    assert_eq!(
        told(skipping.ahead()),
        [(Some("job.started"), 4, 2), (None, 5, 0)]
    );
    assert_eq!(skipping.ahead()[1].type_id, Paused::RECORDS[0].id);
    assert_eq!(
        (skipping.skipped().newer_version, skipping.skipped().unknown_type),
        (2, 1)
    );

    let mut failing = replay(&wal);
    assert!(failing.find_map(Result::err).is_some());
    assert_eq!(
        told(failing.ahead()),
        [(Some("job.started"), 3, 2)],
        "it is why it ended"
    );
}

#[test]
fn a_filter_comes_before_the_policy() {
    let wal = wal();
    for (bad, _) in UNREADABLE {
        bad(&wal);
    }
    append(&wal, Job::Done(1));
    let mut all = wal
        .typed::<Job>()
        .expect("replay")
        .replay(..)
        .expect("replay")
        .among_others()
        .on_unreadable(Unreadable::Skip);
    assert_eq!(event(all.next()), Job::Done(1));
    let skipped = all.skipped();
    assert_eq!(
        (skipped.not_typed, skipped.unknown_type),
        (0, 0),
        "of no type that was asked for"
    );
    assert_eq!(skipped.total(), UNREADABLE.len() as u64 - 2);

    let mut tagged = replay(&wal).tagged("none");
    assert!(tagged.next().is_none());
    assert_eq!(tagged.skipped().total(), 0);
}
