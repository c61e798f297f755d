//! Entities whose code panics or uses the log, and logs that fail.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use serde::{Deserialize, Serialize};
use wal_db::{
    MemStore, Meta, Wal, WalError, WalRecord,
    index::Indexed,
    state::{At, Decision, Entities, EntitiesConfig, State, TransactError},
    testing::{SimDisk, sim::Call},
};
use wal_tests::faults::{EIO, ENOSPC, from_then_on, once};

use super::{
    Thing,
    entities::{accounts, append, of, pay},
    indexed, made,
};

static FUSSY: AtomicBool = AtomicBool::new(true);

/// Does not know what to do when something is lost, for a while.
#[derive(Debug, Default)]
struct Fussy(u64);

impl State for Fussy {
    type Event = Thing;

    fn apply(&mut self, event: Thing, _: At) {
        // A state that is left half changed.
        self.0 += 1;
        assert!(event != Thing::Lost || !FUSSY.load(Ordering::Relaxed), "lost");
    }
}

#[test]
fn a_state_that_panics_is_told_and_folded_again() {
    let log = indexed();
    let fussy = log.entities::<Fussy>(EntitiesConfig::new());
    let lose = || fussy.transact("a", |_, _| Ok::<_, &str>(Decision::new(()).event(Thing::Lost)));
    let decided = fussy.transact("a", |_, _| Ok::<_, &str>(Decision::new(()).event(made(1))));
    decided.unwrap();
    let lost = match lose() {
        Err(TransactError::Wal(WalError::ApplyPanicked {
            lsn,
            replaying,
            message,
            ..
        })) => {
            assert_eq!((replaying, message.as_str()), (false, "lost"));
            lsn
        }
        other => panic!("{other:?}"),
    };
    let seen = fussy.read("a", |fussy| fussy.0).unwrap_err();
    assert!(
        matches!(seen, WalError::ApplyPanicked { lsn, replaying: true, .. } if lsn == lost),
        "{seen}"
    );
    assert_eq!(fussy.read("b", |fussy| fussy.0).unwrap(), 0);
    FUSSY.store(false, Ordering::Relaxed);
    assert_eq!(fussy.read("a", |fussy| fussy.0).unwrap(), 2);
}

#[test]
fn a_decision_that_panics_changes_nothing() {
    let log = indexed();
    let accounts = accounts(&log, 10);
    append(&log, "a", 5);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = accounts.transact("a", |_, _| -> Result<Decision<Thing>, &str> { panic!("no") });
    }));
    assert!(panicked.is_err());
    assert_eq!(accounts.read("a", |account| account.cents).unwrap(), 5);
    assert_eq!(log.log().replay(..).unwrap().count(), 1);
}

#[test]
fn closures_that_use_entities_are_told() {
    let log = indexed();
    let accounts = accounts(&log, 10);
    let decided = accounts.transact("a", |_, _| {
        Err::<Decision<Thing>, _>(accounts.peek("b", |account| account.cents))
    });
    let Err(TransactError::Refused(Err(error))) = decided else {
        panic!("{decided:?}");
    };
    assert!(matches!(error, WalError::Reentrant), "{error}");
    let error = accounts
        .read("a", |_| accounts.read("a", |account| account.cents).unwrap_err())
        .unwrap();
    assert!(matches!(error, WalError::Reentrant), "{error}");
}

#[derive(Debug, Clone, Serialize, Deserialize, WalRecord)]
#[wal(name = "note")]
struct OldNote {
    number: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize, WalRecord)]
#[wal(name = "note", version = 2, from = OldNote)]
struct Note {
    number: u64,
}

type Notes = Entities<Noted>;

static NOTES: Mutex<Option<Notes>> = Mutex::new(None);

/// What using the entities says, if they are there; nobody holds a lock of the test meanwhile.
fn use_notes() -> Option<WalError> {
    let notes = NOTES.lock().unwrap().clone()?;
    notes.peek("a", |_| ()).err()
}

impl From<OldNote> for Note {
    fn from(old: OldNote) -> Self {
        match use_notes() {
            None | Some(WalError::Reentrant) => Note { number: old.number },
            Some(error) => panic!("{error}"),
        }
    }
}

/// Looks at the log wherever it has a chance.
#[derive(Debug)]
struct Noted(u64);

impl Default for Noted {
    fn default() -> Self {
        let _ = use_notes();
        Noted(0)
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        let _ = use_notes();
    }
}

impl State for Noted {
    type Event = Note;

    fn apply(&mut self, event: Note, _: At) {
        assert!(matches!(use_notes(), None | Some(WalError::Reentrant)));
        self.0 += event.number;
    }
}

#[test]
fn code_of_events_and_states_that_uses_entities_waits_for_nothing() {
    wal_tests::within("entities in entities", || {
        let wal = Wal::with_store_and_config(MemStore::new(), wal_tests::quiet_heap()).unwrap();
        let old = wal.typed::<OldNote>().unwrap();
        for number in 1..=3 {
            let _ = old.append_with_meta(&OldNote { number }, &of("a")).unwrap();
        }
        let log = wal.typed::<Note>().unwrap().indexed().unwrap();
        let notes = log.entities::<Noted>(EntitiesConfig::new().with_cached(1));
        *NOTES.lock().unwrap() = Some(notes.clone());
        // Folded, put out of memory, and folded again after a cut.
        assert_eq!(notes.read("a", |noted| noted.0).unwrap(), 6);
        assert_eq!(notes.read("b", |noted| noted.0).unwrap(), 0);
        assert_eq!(notes.read("a", |noted| noted.0).unwrap(), 6);
        let last = wal.last_lsn().unwrap().unwrap();
        wal.truncate_from(last).unwrap();
        assert_eq!(notes.read("a", |noted| noted.0).unwrap(), 3);
        let elsewhere = notes.transact("a", |_, _| {
            Ok::<_, &str>(Decision::new(()).event_with_meta(Note { number: 9 }, of("b")))
        });
        elsewhere.unwrap();
        assert_eq!(notes.read("b", |noted| noted.0).unwrap(), 9);
        *NOTES.lock().unwrap() = None;
    });
}

/// Asks for an entity when it is dropped, wherever that is.
#[derive(Debug, Serialize, Deserialize, WalRecord)]
#[wal(name = "loud")]
struct Loud {
    number: u64,
}

static LOUD: Mutex<Option<Entities<Count>>> = Mutex::new(None);
static REFUSED: AtomicUsize = AtomicUsize::new(0);

impl Drop for Loud {
    fn drop(&mut self) {
        let Some(entities) = LOUD.lock().unwrap().clone() else {
            return;
        };
        if let Err(WalError::Reentrant) = entities.peek("a", |_| ()) {
            REFUSED.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[derive(Debug, Default)]
struct Count(u64);

impl State for Count {
    type Event = Loud;

    fn apply(&mut self, event: Loud, _: At) {
        self.0 += 1;
        assert!(event.number != 13, "bad luck");
    }
}

#[test]
fn events_that_use_entities_when_they_are_dropped_wait_for_nothing() {
    wal_tests::within("entities in drops of events", || {
        let wal = Wal::with_store_and_config(MemStore::new(), wal_tests::quiet_heap()).unwrap();
        let log = wal.typed::<Loud>().unwrap().indexed().unwrap();
        let entities = log.entities::<Count>(EntitiesConfig::new());
        *LOUD.lock().unwrap() = Some(entities.clone());
        let decide = |numbers: &[u64], meta: Meta| {
            let events = |decision: Decision<Loud>, &number: &u64| decision.event(Loud { number });
            entities.transact("a", |_, _| {
                let decision = numbers.iter().fold(Decision::new(()), events);
                Ok::<_, &str>(decision.event_with_meta(Loud { number: 0 }, meta.clone()))
            })
        };
        decide(&[1, 2], Meta::new()).unwrap();
        assert_eq!(entities.read("a", |count| count.0).unwrap(), 3);
        let before = REFUSED.load(Ordering::Relaxed);
        // Metadata that cannot be stored, another stream, and a state that panics in the middle.
        decide(&[3], Meta::new().with_entry(1, b"reserved")).unwrap_err();
        assert!(REFUSED.load(Ordering::Relaxed) >= before + 2);
        decide(&[4], of("b")).unwrap();
        decide(&[13, 5], Meta::new()).unwrap_err();
        *LOUD.lock().unwrap() = None;
    });
}

#[test]
fn what_was_taken_in_before_an_event_that_could_not_be_read_is_durable_when_it_is_told() {
    let mut failed = 0;
    for nth in 0.. {
        let disk = SimDisk::new();
        let wal = disk.open("log", wal_tests::quiet()).unwrap();
        let log: Indexed<Thing> = wal.typed().unwrap().indexed().unwrap().with_others(true);
        // They are read one by one.
        let large = |number| Thing::Moved {
            number,
            ballast: vec![0; 3000],
        };
        let lsns = [1, 2, 3].map(|number| log.log().append_with_meta(&large(number), &of("a")).unwrap());
        // One that is passed over.
        let other = OldNote { number: 4 };
        let _ = wal.typed().unwrap().append_with_meta(&other, &of("a")).unwrap();
        wal.drain().unwrap();
        let accounts = accounts(&log, 10);
        disk.behave(|behaviour| behaviour.fault = once(Call::Read, nth, EIO));
        let first = accounts.read("a", |account| account.cents);
        disk.heal();
        assert_eq!(accounts.read("a", |account| account.cents).unwrap(), 3);
        assert!(wal.status().durable > lsns[2], "{nth}: {first:?}");
        match first {
            Ok(_) => break,
            Err(_) => failed += 1,
        }
    }
    assert!(failed > 3, "{failed}");
}

#[test]
fn a_full_disk_and_a_failed_log_append_nothing_and_say_so() {
    let disk = SimDisk::new();
    let quiet = wal_tests::quiet().with_staging_bytes(64 << 10);
    let wal = disk.open("log", quiet).unwrap();
    let log: Indexed<Thing> = wal.typed().unwrap().indexed().unwrap();
    let accounts = accounts(&log, 10);
    let attempt = || accounts.transact("a", |account, _| Ok::<_, &str>(pay(account, 1)));
    attempt().unwrap();
    append(&log, "a", 2);
    disk.behave(|behaviour| behaviour.fault = from_then_on(Call::Write, 0, ENOSPC));
    for _ in 0..2 {
        let refused = attempt().unwrap_err();
        assert!(
            matches!(refused, TransactError::Wal(WalError::Full { .. })),
            "{refused}"
        );
        for refused in [
            accounts.read("a", |_| ()).unwrap_err(),
            accounts.peek("a", |_| ()).unwrap_err(),
        ] {
            assert!(matches!(refused, WalError::NotDurable { .. }), "{refused}");
        }
    }
    disk.heal();
    assert_eq!(attempt().unwrap().value, 3);

    disk.behave(|behaviour| behaviour.fault = from_then_on(Call::Write, 0, EIO));
    let failed = attempt().unwrap_err();
    assert!(
        matches!(failed, TransactError::Wal(WalError::InDoubt { lsn: Some(_), .. })),
        "{failed}"
    );
    let refused = attempt().unwrap_err();
    assert!(
        matches!(refused, TransactError::Wal(WalError::Poisoned { .. })),
        "{refused}"
    );
    let refused = accounts.read("a", |account| account.cents).unwrap_err();
    assert!(matches!(refused, WalError::Poisoned { .. }), "{refused}");
    assert_eq!(accounts.peek("a", |account| account.cents).unwrap(), 5);
}
