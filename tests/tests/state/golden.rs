//! A log and its snapshots, as they were written when the format was version 1: what is opened from them never changes.

use std::{collections::BTreeMap, fmt::Debug, fs, path::Path};

use serde::{Deserialize, Serialize};
use wal_db::{
    EventLog, Lsn, Meta, Wal, WalError, WalRecord,
    event::WalDecodeOwned,
    state::{At, State, Store, snapshots},
    testing::GoldenMode,
};
use wal_tests::{
    assert_is,
    files::{SEGMENT, copy_tree},
    quiet,
};

use super::snapshots::by_hand_as;

/// These three types stay as they are.
#[derive(Debug, Serialize, Deserialize, WalRecord)]
#[wal(name = "paid")]
struct Paid {
    account: u16,
    cents: i64,
}

#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "ledger")]
struct Ledger {
    accounts: BTreeMap<u16, (i64, Vec<u32>)>,
    newest: Option<i64>,
    note: String,
}

impl State for Ledger {
    type Event = Paid;
    const REVISION: u32 = 7;

    fn apply(&mut self, event: Paid, at: At) {
        let (cents, lsns) = self.accounts.entry(event.account).or_default();
        *cents += event.cents;
        lsns.push(at.lsn.get() as u32);
        self.newest = at.time_us();
        self.note = format!("{} \u{20ac}", event.cents / 100);
    }
}

#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "light")]
enum Light {
    #[default]
    Off,
    On {
        since: Option<i64>,
    },
}

impl State for Light {
    type Event = Paid;

    fn apply(&mut self, _: Paid, at: At) {
        *self = match self {
            Light::Off => Light::On { since: at.time_us() },
            Light::On { .. } => Light::Off,
        };
    }
}

const EVENTS: u64 = 25;
/// In the snapshots, the newer one first.
const IN_SNAPSHOTS: [u64; 2] = [20, 11];

fn paid(number: u64) -> (Paid, Meta) {
    let event = Paid {
        account: (number % 3) as u16,
        cents: number as i64 * 777 - 5000,
    };
    let meta = match number % 2 {
        0 => Meta::new(),
        _ => Meta::new().with_time_us(1_800_000_000_000_000 + number as i64),
    };
    (event, meta)
}

/// Each event was flushed by itself, so each is in a group with a sector of its own; in the first one, after the schema.
fn lsns() -> Vec<u64> {
    (0..EVENTS).map(|number| (number * 512).max(56)).collect()
}

/// The state of so many events, whose LSNs these are.
fn fold<S: State<Event = Paid> + Default>(lsns: &[u64]) -> S {
    let mut state = S::default();
    for (number, lsn) in (0..).zip(lsns) {
        let (event, meta) = paid(number);
        state.apply(event, At::replayed(Lsn::new(*lsn)).with_meta(&meta));
    }
    state
}

fn open(dir: &Path) -> EventLog<Paid> {
    let wal = Wal::open_segmented_with(dir, SEGMENT, quiet()).unwrap();
    wal.typed().unwrap()
}

fn store<S>(log: &EventLog<Paid>, name: &str) -> Store<S>
where
    S: State<Event = Paid> + WalDecodeOwned + Default + 'static,
{
    log.store(by_hand_as(name)).unwrap()
}

/// Writes the log; its beginning is dropped, so that a state comes from a snapshot or not at all.
fn make(dir: &Path) {
    let log = open(dir);
    let (ledger, light) = (store::<Ledger>(&log, "ledger"), store::<Light>(&log, "light-1"));
    for number in 0..EVENTS {
        if IN_SNAPSHOTS.contains(&number) {
            ledger.snapshot().unwrap();
            light.snapshot().unwrap();
        }
        let (event, meta) = paid(number);
        log.append_with_meta(&event, &meta).unwrap();
        log.wal().sync().unwrap();
    }
    ledger.compact().unwrap();
    drop((ledger, light, log));
    fs::remove_file(dir.join("staging")).unwrap();
}

/// `WAL_GOLDEN=new` makes the log if it is not there. It is never made again once it was released.
#[test]
fn the_log_that_is_kept_is_opened_from_its_snapshots() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/snapshots-1.log");
    if GoldenMode::from_env() == GoldenMode::New && !kept.exists() {
        make(&kept);
    }
    let dir = tempfile::tempdir().unwrap();
    copy_tree(&kept, dir.path());
    let lsns = lsns();
    let log = open(dir.path());
    assert_is!(log.rebuild::<Ledger>(), Err(WalError::Truncated { .. }));
    let (all, passed_over) = snapshots(log.wal()).unwrap();
    assert_eq!((all.len(), passed_over.len()), (4, 0), "{passed_over:?}");

    assert_opened::<Ledger>(&log, "ledger", 7, &lsns);
    assert_opened::<Light>(&log, "light-1", 0, &lsns);
}

fn assert_opened<S>(log: &EventLog<Paid>, name: &str, revision: u32, lsns: &[u64])
where
    S: State<Event = Paid> + WalDecodeOwned + Default + Clone + PartialEq + Debug + 'static,
{
    let store = store::<S>(log, name);
    let recovery = store.recovery();
    assert!(recovery.passed_over.is_empty(), "{recovery:?}");
    let snapshot = recovery.snapshot.as_ref().expect("it is there");
    let [newer, older] = IN_SNAPSHOTS.map(|events| events as usize);
    let last = Lsn::new(lsns[newer - 1]);
    assert_eq!(snapshot.name, name);
    assert_eq!(snapshot.file, format!("{name}.{:020}.snap", last.get() + 1));
    assert_eq!(
        (snapshot.last, snapshot.next),
        (Some(last), Lsn::new(last.get() + 1))
    );
    assert_eq!((snapshot.events, snapshot.revision), (newer as u64, revision));
    assert_eq!(snapshot.time_us, paid(newer as u64 - 1).1.time_us());
    assert_eq!(recovery.events, EVENTS - newer as u64);
    assert_eq!(store.view().unwrap().state, fold::<S>(lsns));
    // From the other one.
    let then = store.as_of(Lsn::new(lsns[older + 1])).unwrap();
    assert_eq!(
        (&then.state, then.events),
        (&fold(&lsns[..older + 1]), older as u64 + 1)
    );
    let then = store.as_of(Lsn::new(lsns[older])).unwrap();
    assert_eq!((&then.state, then.events), (&fold(&lsns[..older]), older as u64));
}
