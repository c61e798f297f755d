//! Processes of several steps: a state that knows where each one is, and a consumer that decides on the next step.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wal_db::{
    EventLog, Lsn, Result, Start, WalError, WalRecord,
    consumer::ConsumerConfig,
    state::{At, Decision, State, Store, StoreConfig, TransactError},
    testing::sim::{CrashPlan, SimDisk, check_crash_prefix},
};

#[derive(Debug, Clone, Copy, Serialize, Deserialize, WalRecord)]
#[wal(name = "transfer")]
enum Transfer {
    Asked { id: u64, cents: u64 },
    Debited { id: u64 },
    Credited { id: u64 },
    Looked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Asked,
    Debited,
    Credited,
}

#[derive(Debug, Default)]
struct Transfers {
    steps: BTreeMap<u64, (Step, u64)>,
    debits: u64,
    credits: u64,
}

impl State for Transfers {
    type Event = Transfer;

    fn apply(&mut self, event: Transfer, _: At<'_>) {
        let (id, step) = match event {
            Transfer::Asked { id, cents } => {
                self.steps.insert(id, (Step::Asked, cents));
                return;
            }
            Transfer::Debited { id } => (id, Step::Debited),
            Transfer::Credited { id } => (id, Step::Credited),
            Transfer::Looked => return,
        };
        let found = self.steps.get_mut(&id).expect("it was asked for");
        found.0 = step;
        match step {
            Step::Debited => self.debits += found.1,
            _ => self.credits += found.1,
        }
    }
}

impl Transfers {
    /// The next step of a transfer, if that is where it is.
    fn next(&self, id: u64, at: Step, event: Transfer) -> std::result::Result<Decision<Transfer>, ()> {
        match self.steps.get(&id) {
            Some((step, _)) if *step == at => Ok(Decision::new(()).event(event)),
            _ => Err(()),
        }
    }
}

fn open(disk: &SimDisk) -> Result<(EventLog<Transfer>, Store<Transfers>)> {
    let log = disk
        .open_segmented("log", 64 << 10, wal_tests::quiet_heap())?
        .typed::<Transfer>()?;
    let store = log.store(StoreConfig::new())?;
    Ok((log, store))
}

fn decide(store: &Store<Transfers>, id: u64, at: Step, event: Transfer) -> Result<()> {
    match store.transact(|transfers, _| transfers.next(id, at, event)) {
        Ok(_) | Err(TransactError::Refused(())) => Ok(()),
        Err(TransactError::Wal(error)) => Err(error),
    }
}

/// Takes each transfer as far as it goes, until a look that comes after all of them.
fn work(log: &EventLog<Transfer>, store: &Store<Transfers>) -> Result<()> {
    let consumer = log.consumer(
        "transfers",
        ConsumerConfig::new().with_start(Start::Head).with_attempts(1),
    )?;
    let mut last = store.commit(Transfer::Looked)?;
    let mut failed = None;
    let ran = consumer.run(|event, _| {
        let decided = match event.event {
            Transfer::Asked { id, .. } => decide(store, id, Step::Asked, Transfer::Debited { id }),
            Transfer::Debited { id } => decide(store, id, Step::Debited, Transfer::Credited { id }),
            Transfer::Credited { .. } => Ok(()),
            Transfer::Looked if event.lsn < last => Ok(()),
            // What was decided since comes after it.
            Transfer::Looked => match log.wal().last_lsn()? == Some(last) {
                true => {
                    consumer.stop();
                    Ok(())
                }
                false => store.commit(Transfer::Looked).map(|lsn: Lsn| last = lsn),
            },
        };
        decided.map_err(|error: WalError| {
            let text = error.to_string();
            failed = Some(error);
            text.into()
        })
    });
    match failed {
        Some(error) => Err(error),
        None => ran,
    }
}

#[test]
fn a_process_of_two_steps_takes_each_once_whenever_the_power_is_lost() {
    let checked = check_crash_prefix(
        CrashPlan::default(),
        |disk, promises| {
            let (log, store) = open(disk)?;
            let mut asked = Vec::new();
            for id in 0..5 {
                asked.push(id);
                promises.next(asked.clone());
                log.append(&Transfer::Asked { id, cents: 100 + id })?;
                if id % 2 == 0 {
                    work(&log, &store)?;
                    promises.durable();
                }
            }
            Ok(())
        },
        |disk| {
            let (log, store) = open(disk)?;
            work(&log, &store)?;
            let (mut asked, mut steps) = (Vec::new(), BTreeMap::<_, Vec<u64>>::new());
            for event in log.replay(..)? {
                match event?.event {
                    Transfer::Asked { id, .. } => asked.push(id),
                    Transfer::Debited { id } => steps.entry("debited").or_default().push(id),
                    Transfer::Credited { id } => steps.entry("credited").or_default().push(id),
                    Transfer::Looked => {}
                }
            }
            for (step, mut ids) in steps {
                ids.sort_unstable();
                assert_eq!(ids, asked, "{step}");
            }
            store.read(|transfers| {
                assert!(transfers.steps.values().all(|(step, _)| *step == Step::Credited));
                assert_eq!(transfers.debits, transfers.credits);
            })?;
            Ok(asked)
        },
    );
    let images = checked.unwrap_or_else(|failed| panic!("{failed}"));
    assert!(images > 100, "{images}");
}
