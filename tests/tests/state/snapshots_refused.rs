//! Snapshots that cannot be used: an older one is, or the whole log, or it is an error. No state is ever wrong.

use std::sync::Arc;

use wal_db::{
    EventLog, Lsn, MemStore, Wal, WalError, WalStore,
    state::{SnapshotError, Store, StoreConfig, forget, snapshots},
    store::SideFiles,
};
use wal_tests::{assert_is, scripted::Scripted};

use super::{
    History, Noted, noted,
    snapshots::{assert_reopened, by_hand, in_memory},
};

/// Snapshots after 10 and 20 of 25 events.
pub(super) fn with_two() -> MemStore {
    let memory = MemStore::new();
    let store = in_memory(&memory).store(by_hand()).unwrap();
    for number in 0..25 {
        if number > 0 && number % 10 == 0 {
            store.snapshot().unwrap();
        }
        store.commit(noted(number)).unwrap();
    }
    memory
}

pub(super) fn files(memory: &MemStore) -> Arc<dyn SideFiles> {
    memory.side_files().unwrap()
}

/// The newest first.
pub(super) fn names(memory: &MemStore) -> Vec<String> {
    let mut names = files(memory).list().unwrap();
    names.sort_unstable_by(|a, b| b.cmp(a));
    names
}

pub(super) fn bytes(memory: &MemStore, name: &str) -> Vec<u8> {
    let file = files(memory).open(name).unwrap();
    let mut bytes = vec![0; file.size_bytes().unwrap() as usize];
    assert_eq!(file.read_at(0, &mut bytes).unwrap(), bytes.len());
    bytes
}

pub(super) fn put(memory: &MemStore, name: &str, bytes: &[u8]) {
    files(memory).remove(name).unwrap();
    files(memory).create(name, &mut &*bytes).unwrap();
}

pub(super) fn records(log: &EventLog<Noted>) -> usize {
    log.replay(..).unwrap().map(Result::unwrap).count()
}

fn refused(log: &EventLog<Noted>) -> Vec<SnapshotError> {
    let store = log.store(by_hand()).unwrap();
    let mut refused = Vec::new();
    // Taken apart, because the recovery is the store's.
    for passed in &store.recovery().passed_over {
        assert!(passed.to_string().starts_with(&passed.file), "{passed}");
        refused.push(match &passed.error {
            SnapshotError::Damaged { offset, what, .. } => {
                assert!(!what.is_empty() && *offset < 10_000, "{passed}");
                continue;
            }
            SnapshotError::Log(error) => SnapshotError::Log(match &**error {
                WalError::OtherLog { .. } => Box::new(WalError::ReadOnly),
                _ => Box::new(WalError::Closed),
            }),
            other => panic!("{other:?}"),
        });
    }
    refused
}

#[test]
fn any_changed_byte_and_any_cut_means_the_one_before() {
    let memory = with_two();
    let newest = names(&memory).remove(0);
    let whole = bytes(&memory, &newest);
    let is_passed_over = |changed: &[u8]| {
        put(&memory, &newest, changed);
        let log = in_memory(&memory);
        assert_eq!(assert_reopened(&log, 25), 15, "the older one was used");
        let store = log.store(by_hand()).unwrap();
        store.recovery().passed_over[0].to_string()
    };
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0x10;
        let passed = is_passed_over(&changed);
        assert!(
            passed.contains("damaged") || passed.contains("version"),
            "{at}: {passed}"
        );
    }
    for len in [0, 1, 7, 8, 100, whole.len() / 2, whole.len() - 1] {
        let passed = is_passed_over(&whole[..len]);
        assert!(
            passed.contains(&format!("at byte {len}")) || len < 8,
            "{len}: {passed}"
        );
    }
    // The next one takes its place.
    let store = in_memory(&memory).store(by_hand()).unwrap();
    store.snapshot().unwrap().unwrap();
    drop(store);
    assert!(!names(&memory).contains(&newest), "it was removed");
    assert_eq!(assert_reopened(&in_memory(&memory), 25), 0);
}

#[test]
fn a_snapshot_of_another_log_or_name_is_not_used() {
    let (memory, other) = (with_two(), with_two());
    let newest = names(&memory).remove(0);
    put(&memory, &newest, &bytes(&other, &newest));
    assert!(matches!(
        refused(&in_memory(&memory))[..],
        [SnapshotError::Log(_)]
    ));
    assert_eq!(assert_reopened(&in_memory(&memory), 25), 15);

    let memory = with_two();
    let renamed = newest.replace("history", "ledger");
    put(&memory, &renamed, &bytes(&memory, &newest));
    let log = in_memory(&memory);
    let ledger = StoreConfig::new().with_snapshots("ledger");
    let store: Store<History> = log.store(ledger).unwrap();
    let error = &store.recovery().passed_over[0].error;
    assert!(
        matches!(error, SnapshotError::OtherName { file, .. } if *file == newest),
        "{error}"
    );
    assert_eq!(store.recovery().events, 25);
}

#[test]
fn what_was_cut_off_is_in_no_state() {
    let memory = with_two();
    let log = in_memory(&memory);
    let lsns: Vec<Lsn> = log.replay(..).unwrap().map(|event| event.unwrap().lsn).collect();
    log.wal().truncate_after(lsns[14]).unwrap();
    assert_eq!(assert_reopened(&log, 15), 5);
    // Nor if as much came instead.
    for number in 100..120 {
        log.append(&noted(number)).unwrap();
    }
    assert_eq!(assert_reopened(&log, 35), 25);
    let store = log.store(by_hand()).unwrap();
    assert!(matches!(
        store.recovery().passed_over[0].error,
        SnapshotError::Log(_)
    ));
    // A store that is open begins with what is left, too.
    log.wal().truncate_after(lsns[4]).unwrap();
    assert_eq!(store.peek(|history| history.all.len()).unwrap(), 5);
    store.snapshot().unwrap();
    let (kept, passed_over) = snapshots(log.wal()).unwrap();
    assert_eq!(
        (kept.len(), passed_over.len()),
        (1, 0),
        "what was cut off is gone"
    );
}

#[test]
fn a_log_without_its_beginning_and_without_a_snapshot_makes_no_state() {
    let memory = with_two();
    let log = in_memory(&memory);
    let store = log.store(by_hand()).unwrap();
    let compacted = store.compact().unwrap();
    assert_eq!(
        (compacted.head, records(&log)),
        (log.replay(..).unwrap().next().unwrap().unwrap().lsn, 16)
    );
    assert_eq!(store.compact().unwrap(), compacted);
    assert_is!(log.rebuild::<History>(), Err(WalError::Truncated { .. }));
    let whole = store.view().unwrap();
    drop(store);

    // One is enough, whichever it is.
    let [newest, older] = &names(&memory)[..] else {
        panic!("there are two");
    };
    let spoiled = [bytes(&memory, newest), bytes(&memory, older)];
    for (kept, lost, events) in [(newest, older, 5), (older, newest, 15)] {
        let content = bytes(&memory, lost);
        put(&memory, lost, &content[..content.len() - 1]);
        let store = log.store(by_hand()).unwrap();
        assert_eq!(store.recovery().snapshot.as_ref().unwrap().file, **kept);
        assert_eq!(store.recovery().events, events);
        assert_eq!(store.view().unwrap().state, whole.state);
        put(&memory, lost, &content);
    }
    for (name, content) in [newest, older].into_iter().zip(&spoiled) {
        put(&memory, name, &content[..content.len() - 1]);
    }
    let error = log.store(by_hand()).unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(&error, WalError::HistoryMissing { head, .. } if *head == compacted.head),
        "{error}"
    );
    assert!(
        text.contains(newest.as_str()) && text.contains(older.as_str()),
        "{text}"
    );
    forget(log.wal(), "history").unwrap();
    let text = log.store(by_hand()).unwrap_err().to_string();
    assert!(text.contains("there is none"), "{text}");
}

#[test]
fn a_log_keeps_what_a_state_with_less_than_two_snapshots_needs() {
    let memory = with_two();
    let log = in_memory(&memory);
    let store = log.store(by_hand()).unwrap();
    let ledger: Store<History> = log.store(StoreConfig::new().with_snapshots("ledger")).unwrap();
    assert_eq!(store.compact().unwrap().kept_for, "ledger");
    assert_eq!(records(&log), 25);
    ledger.snapshot().unwrap();
    assert_eq!(store.compact().unwrap().kept_for, "ledger");
    assert_eq!(records(&log), 25);
    ledger.commit(noted(25)).unwrap();
    ledger.snapshot().unwrap();
    assert_eq!(ledger.compact().unwrap().kept_for, "history");
    assert_eq!(records(&log), 17);
    // A damaged one does not count.
    let newest = names(&memory).remove(0);
    put(&memory, &newest, b"WALDBSNP");
    assert_eq!(store.compact().unwrap().kept_for, "ledger");
    assert_eq!(records(&log), 17);
    drop(ledger);
    forget(log.wal(), "ledger").unwrap();
    assert_eq!(store.compact().unwrap().kept_for, "history");
}

#[test]
fn what_cannot_be_is_said() {
    let memory = with_two();
    let log = in_memory(&memory);
    let named = |name: &str| StoreConfig::<History>::new().with_snapshots(name);
    for name in ["", "a/b", "..", "Bank", &"x".repeat(65)] {
        assert_is!(log.store(named(name)), Err(WalError::Config { .. }));
    }
    let store = log.store(by_hand()).unwrap();
    assert_is!(log.store(by_hand()), Err(WalError::StoreExists { .. }));
    assert_is!(forget(log.wal(), "history"), Err(WalError::StoreExists { .. }));
    drop(store);
    log.store(by_hand()).unwrap();
    let without = log.store::<History>(StoreConfig::new()).unwrap();
    assert_is!(without.snapshot(), Err(WalError::Config { .. }));
    assert_is!(without.compact(), Err(WalError::Config { .. }));
    assert_eq!(without.check().unwrap(), 25);

    let every = StoreConfig::<History>::new().with_snapshot_every(7);
    assert_is!(log.store(every), Err(WalError::Config { .. }));

    let no_place = Wal::with_store(Scripted::new(MemStore::new(), |_, _| Ok(None))).unwrap();
    let no_place = no_place.typed::<Noted>().unwrap();
    assert_is!(no_place.store(by_hand()), Err(WalError::Config { .. }));
}

#[test]
fn what_is_held_is_not_compacted() {
    let memory = with_two();
    let log = in_memory(&memory);
    let third = log.replay(..).unwrap().nth(3).unwrap().unwrap().lsn;
    let hold = log.wal().hold(third).unwrap();
    let store = log.store(by_hand()).unwrap();
    assert_eq!(store.compact().unwrap().head, third);
    drop(hold);
    assert!(store.compact().unwrap().head > third);
}

#[test]
fn snapshots_of_another_log_and_foreign_files_stay() {
    let (memory, other) = (with_two(), with_two());
    let newest = names(&other).remove(0);
    // A log that was put in the place of another one.
    for name in names(&memory) {
        files(&memory).remove(&name).unwrap();
    }
    put(&memory, &newest, &bytes(&other, &newest));
    let store = in_memory(&memory).store(by_hand()).unwrap();
    for number in 0..3 {
        store.commit(noted(number)).unwrap();
        store.snapshot().unwrap();
    }
    assert_eq!(names(&memory).len(), 3);
    assert_eq!(bytes(&memory, &newest), bytes(&other, &newest));

    let dir = tempfile::tempdir().unwrap();
    let open = || -> Store<History> {
        let wal = Wal::open(dir.path().join("log")).unwrap();
        wal.typed().unwrap().store(by_hand()).unwrap()
    };
    let store = open();
    let lsn = store.commit(noted(1)).unwrap().get() + 1;
    let state = dir.path().join("log.state");
    std::fs::create_dir(&state).unwrap();
    for end in ["snap", "snap.new"] {
        let foreign = state.join(format!("history.{lsn:020}.{end}"));
        std::fs::write(&foreign, "somebody else's").unwrap();
        let text = format!("{:?}", store.snapshot().unwrap_err());
        assert!(
            text.contains("somebody else's file") && text.contains("log.state"),
            "{text}"
        );
        assert_eq!(std::fs::read(&foreign).unwrap(), b"somebody else's");
        std::fs::remove_file(&foreign).unwrap();
    }
    store.snapshot().unwrap();
    // A process that died has left this.
    let left = state.join("history.00000000000000000007.snap.new");
    std::fs::write(&left, "WALDBSNP and more").unwrap();
    let foreign = state.join("history.00000000000000000008.snap.new");
    std::fs::write(&foreign, "a letter").unwrap();
    store.commit(noted(2)).unwrap();
    store.snapshot().unwrap();
    assert!(!left.exists() && foreign.exists());
    drop(store);
    let only_read = Wal::open_read_only(dir.path().join("log")).unwrap();
    assert_eq!(snapshots(&only_read).unwrap().0.len(), 2);
    assert_is!(forget(&only_read, "history"), Err(WalError::ReadOnly));
}
