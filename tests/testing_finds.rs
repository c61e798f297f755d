//! What the testing kit finds: mistakes that programs make, planted one by one.
#![allow(clippy::unwrap_used)] // a setup that fails fails the test

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use wal_db::testing::sim::{CrashPlan, Promises, check_crash_prefix};
use wal_db::testing::{FixedClock, MemLog, ReadableType, SimDisk, check_history};
use wal_db::{At, EventLog, Json, MemStore, Postcard, Result, State, Wal, WalConfig, WalRecord};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "moved")]
struct Moved(i64);

fn open(disk: &SimDisk) -> Result<EventLog<Moved>> {
    disk.open(
        "ledger",
        WalConfig::new()
            .with_staging_bytes(64 << 10)
            .with_background_flush(false),
    )?
    .typed()
}

/// How many events there are, and their sum.
fn replay(disk: &SimDisk) -> Result<(u64, i64)> {
    open(disk)?.replay(..)?.try_fold((0, 0), |(count, sum), event| {
        Ok((count + 1, sum + event?.event.0))
    })
}

/// A transfer takes from one and gives to another: two events, which belong together.
fn transfers(
    disk: &SimDisk,
    promises: &mut Promises<(u64, i64)>,
    transfer: impl Fn(&EventLog<Moved>, i64) -> Result<()>,
) -> Result<()> {
    let log = open(disk)?;
    for n in 1..4 {
        promises.next((2 * n, 0));
        transfer(&log, n as i64)?;
        if n == 2 {
            log.wal().sync()?;
            promises.durable();
        }
    }
    Ok(())
}

#[test]
fn small_appends_that_belong_together_and_are_no_batch_are_found() {
    let apart = |disk: &SimDisk, promises: &mut Promises<_>| {
        transfers(disk, promises, |log, amount| {
            log.append(&Moved(-amount))?;
            log.append(&Moved(amount)).map(drop)
        })
    };
    let found = check_crash_prefix(CrashPlan::default(), apart, replay)
        .unwrap_err()
        .to_string();
    assert!(
        found.contains("gives (1, -1)") && found.contains("was killed"),
        "{found}"
    );
    let together = |disk: &SimDisk, promises: &mut Promises<_>| {
        transfers(disk, promises, |log, amount| {
            log.append_batch(&[Moved(-amount), Moved(amount)]).map(drop)
        })
    };
    let images = check_crash_prefix(CrashPlan::default(), together, replay).unwrap();
    assert!(images > 20, "{images}");
}

#[test]
fn a_replay_that_is_wrong_about_a_dead_process_is_found() {
    let program = |disk: &SimDisk, promises: &mut Promises<(u64, i64)>| {
        let log = open(disk)?;
        for n in 1..4 {
            promises.next((n, n as i64));
            log.append(&Moved(1))?;
        }
        log.wal().sync()?;
        promises.durable();
        Ok(())
    };
    check_crash_prefix(CrashPlan::default(), program, replay).unwrap();
    // It believes that what a dead process has left is always one event.
    let wrong = |disk: &SimDisk| {
        let log = open(disk)?;
        let staged = log.wal().recovery().staged_records;
        let all = replay_of(&log)?;
        Ok(if staged > 1 { (all.0 + 1, all.1 + 1) } else { all })
    };
    let found = check_crash_prefix(CrashPlan::default(), program, wrong)
        .unwrap_err()
        .to_string();
    assert!(
        found.contains("was killed") || found.contains("one more power loss"),
        "{found}"
    );
}

fn replay_of(log: &EventLog<Moved>) -> Result<(u64, i64)> {
    log.replay(..)?.try_fold((0, 0), |(count, sum), event| {
        Ok((count + 1, sum + event?.event.0))
    })
}

// ---- states that repeat ---------------------------------------------------------------------------------------------

/// Only the sum: it is the same again and again.
fn sum(disk: &SimDisk) -> Result<i64> {
    open(disk)?
        .replay(..)?
        .try_fold(0, |sum, event| Ok(sum + event?.event.0))
}

/// Moves there and back, and says that it is durable whenever `says` does.
fn there_and_back(
    disk: &SimDisk,
    promises: &mut Promises<i64>,
    says: impl Fn(&EventLog<Moved>, i64) -> Result<bool>,
) -> Result<()> {
    let log = open(disk)?;
    for n in 0..4 {
        let forth = n % 2 == 0;
        promises.next(i64::from(forth));
        log.append(&Moved(if forth { 1 } else { -1 }))?;
        if says(&log, n)? {
            promises.durable();
        }
    }
    Ok(())
}

#[test]
fn a_promise_that_is_made_too_early_is_found_behind_a_state_that_repeats() {
    let too_early =
        |disk: &SimDisk, promises: &mut Promises<i64>| there_and_back(disk, promises, |_, n| Ok(n == 1));
    let found = check_crash_prefix(CrashPlan::default(), too_early, sum)
        .unwrap_err()
        .to_string();
    assert!(
        found.contains("gives 0, which is also the state number 2 of the run, but the log goes up to the event of state number 0"),
        "{found}"
    );

    // No image gives another sum than 0, however many events are lost.
    for synced in [0, 1] {
        let batches = |disk: &SimDisk, promises: &mut Promises<i64>| {
            let log = open(disk)?;
            for n in 1..4 {
                promises.next(0);
                log.append_batch(&[Moved(n), Moved(-n)])?;
                if n <= synced {
                    log.wal().sync()?;
                }
            }
            promises.durable();
            Ok(())
        };
        let found = check_crash_prefix(CrashPlan::default(), batches, sum)
            .unwrap_err()
            .to_string();
        assert!(
            found.contains("which is also the state number 3") && found.contains("events were lost"),
            "{found}"
        );
    }
}

#[test]
fn a_program_whose_states_repeat_and_that_is_right_is_content() {
    let every = |disk: &SimDisk, promises: &mut Promises<i64>| {
        there_and_back(disk, promises, |log, _| log.wal().sync().map(|()| true))
    };
    assert!(check_crash_prefix(CrashPlan::default(), every, sum).unwrap() > 50);
    let last = |disk: &SimDisk, promises: &mut Promises<i64>| {
        there_and_back(disk, promises, |log, n| {
            if n == 3 {
                log.wal().sync()?;
            }
            Ok(n == 3)
        })
    };
    assert!(check_crash_prefix(CrashPlan::default(), last, sum).unwrap() > 20);
    // Batches, which lead to the state that was there, and records that are no events.
    let batches = |disk: &SimDisk, promises: &mut Promises<i64>| {
        let log = open(disk)?;
        for _ in 0..3 {
            promises.next(0);
            log.append_batch(&[Moved(1), Moved(-1)])?;
            log.wal().sync()?;
            promises.durable();
        }
        Ok(())
    };
    check_crash_prefix(CrashPlan::default(), batches, sum).unwrap();
}

// ---- histories ------------------------------------------------------------------------------------------------------

/// What the conversion below does to a record of version 1.
fn history_of<T: wal_db::WalDecodeOwned>(lock: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("wal.lock"), lock).unwrap();
    let found = check_history(dir.path(), &[ReadableType::of::<T>()], &[]);
    found.err().map_or_else(String::new, |failed| failed.to_string())
}

/// What is found about a conversion from version 1 to 2 that changes the field `it`.
macro_rules! planted {
    ($lock:literal, $name:literal, $field:ty, |$old:ident| $mistake:expr) => {{
        #[derive(Debug, Serialize, Deserialize, WalRecord)]
        #[wal(name = $name)]
        struct Old {
            it: $field,
        }

        #[derive(Debug, Serialize, Deserialize, WalRecord)]
        #[wal(name = $name, version = 2, from = Old)]
        struct New {
            it: $field,
            more: u8,
        }

        impl From<Old> for New {
            fn from($old: Old) -> Self {
                New {
                    it: $mistake,
                    more: 0,
                }
            }
        }

        let found = history_of::<New>($lock);
        assert!(found.contains("the field `it` was"), "{found:?}");
    }};
}

#[test]
fn zero_and_the_ends_of_a_type_are_tried() {
    planted!("limit 1 {it: u64}\n", "limit", u64, |old| if old.it == u64::MAX {
        0
    } else {
        old.it
    });
    planted!("count 1 {it: u64}\n", "count", u64, |old| old.it.max(1));
    planted!("least 1 {it: i64}\n", "least", i64, |old| if old.it == i64::MIN {
        0
    } else {
        old.it
    });
}

#[test]
fn numbers_that_just_do_not_fit_a_narrower_type_are_tried() {
    planted!("wide 1 {it: u64}\n", "wide", u64, |old| {
        if old.it <= u64::from(u32::MAX) + 1 {
            u64::from(old.it as u32)
        } else {
            old.it
        }
    });
}

#[test]
fn long_lists_and_texts_are_tried() {
    planted!("many 1 {it: [u64]}\n", "many", Vec<u64>, |old| {
        old.it.into_iter().take(255).collect()
    });
    planted!("text 1 {it: str}\n", "text", String, |old| {
        old.it.chars().take(64).collect()
    });
}

// ---- the rest -------------------------------------------------------------------------------------------------------

#[test]
fn a_clock_never_goes_back() {
    let far = SystemTime::UNIX_EPOCH + Duration::from_secs(i64::MAX as u64 - 10);
    let clock = FixedClock::new(far, Duration::from_secs(4));
    let times: Vec<_> = (0..10).map(|_| clock.now()).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(times[8], times[9], "it stands still");
}

#[test]
fn a_panic_in_a_conversion_ends_a_replay() {
    #[derive(Debug, Serialize, Deserialize, WalRecord)]
    #[wal(name = "fragile")]
    struct Before(u8);

    #[derive(Debug, Serialize, Deserialize, WalRecord)]
    #[wal(name = "fragile", version = 2, from = Before)]
    struct Now(u16);

    impl From<Before> for Now {
        fn from(old: Before) -> Self {
            assert_ne!(old.0, 2, "the conversion fails");
            Now(old.0.into())
        }
    }

    let wal = Wal::with_store(MemStore::new()).unwrap();
    for n in 1..4 {
        wal.append_typed(&Before(n)).unwrap();
    }
    let mut replay = wal.replay_of::<Now>(..).unwrap();
    assert_eq!(replay.next().unwrap().unwrap().event.0, 1);
    assert!(catch_unwind(AssertUnwindSafe(|| replay.next().is_some())).is_err());
    let after = replay.next();
    assert!(
        after.is_none(),
        "what follows a gap is never handed out: {after:?}"
    );
}

#[derive(Debug, Default, PartialEq)]
struct Balance(i64);

impl State for Balance {
    type Event = Moved;

    fn apply(&mut self, event: Moved, _: At) {
        self.0 += event.0;
    }
}

#[test]
fn states_and_logs_for_tests_serve_every_codec() {
    fn serves<C: wal_db::Codec>() {
        let log = MemLog::<Moved, C>::with_codec().unwrap();
        let mut live = log.live::<Balance>().unwrap();
        live.commit(Moved(7)).unwrap();
        log.append(&Moved(1)).unwrap();
        live.catch_up().unwrap();
        drop(live);
        let log = log.reopen().unwrap();
        assert_eq!(log.rebuild::<Balance>().unwrap().state, Balance(8), "{}", C::ID);
        assert_eq!(log.events().unwrap(), [Moved(7), Moved(1)]);
        let codecs = log
            .wal()
            .iter()
            .unwrap()
            .map(|record| record.unwrap().info().unwrap().codec);
        assert!(codecs.into_iter().all(|codec| codec == C::ID));
    }
    serves::<Postcard>();
    serves::<Json>();
    serves::<Own>();
}

/// An application's own format.
enum Own {}

impl wal_db::Codec for Own {
    const ID: wal_db::CodecId = wal_db::CodecId::new(200);

    fn encode<T: Serialize + ?Sized>(
        value: &T,
        out: &mut Vec<u8>,
    ) -> std::result::Result<(), wal_db::CodecError> {
        Postcard::encode(value, out)
    }

    fn decode<'de, S: serde::de::DeserializeSeed<'de>>(
        seed: S,
        bytes: &'de [u8],
    ) -> std::result::Result<(S::Value, usize), wal_db::CodecError> {
        Postcard::decode(seed, bytes)
    }
}
