//! What the check of crash images finds, and that it blames no program that is right.

use serde::{Deserialize, Serialize};
use wal_db::{
    EventLog, Result, WalConfig, WalRecord,
    testing::{
        SimDisk,
        sim::{CrashPlan, Promises, check_crash_prefix},
    },
};

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

/// What the check finds wrong with a program and its replay.
fn finding<T: Default + PartialEq + std::fmt::Debug>(
    program: impl FnOnce(&SimDisk, &mut Promises<T>) -> Result<()>,
    replay: impl Fn(&SimDisk) -> Result<T>,
) -> String {
    let checked = check_crash_prefix(CrashPlan::default(), program, replay);
    checked.unwrap_err().to_string()
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
    let found = finding(apart, replay);
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
    let found = finding(program, wrong);
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
    let found = finding(too_early, sum);
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
        let found = finding(batches, sum);
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

/// Programs that keep every promise, with states that repeat, records that are no events, and all that moves the ends of
/// a log: none may be blamed.
#[test]
fn programs_that_are_right_are_never_blamed() {
    fn log_of(disk: &SimDisk, segmented: bool) -> Result<EventLog<Moved>> {
        let config = WalConfig::new()
            .with_staging_bytes(64 << 10)
            .with_background_flush(false);
        let wal = if segmented {
            disk.open_segmented("ledger", 4 << 10, config)?
        } else {
            disk.open("ledger", config)?
        };
        wal.typed()
    }

    fn parity(disk: &SimDisk, segmented: bool) -> Result<u8> {
        let log = log_of(disk, segmented)?;
        let all = log.wal().status().head_ordinal + log.wal().iter()?.count() as u64;
        Ok((all % 2) as u8)
    }

    for seed in 0..6 * u64::from(wal_tests::scale()) {
        let segmented = seed % 2 == 1;
        let mut rng = wal_tests::random::Rng::new(seed);
        let mut pick = |end: usize| rng.below(end);
        let mut choices: Vec<usize> = (0..10).map(|_| pick(7)).collect();
        choices.push(0);
        let program = |disk: &SimDisk, promises: &mut Promises<u8>| {
            let (mut log, mut count) = (log_of(disk, segmented)?, 0_u64);
            for choice in &choices {
                match choice {
                    // Both are one record: the state counts records by their parity alone.
                    0..3 => {
                        count += 1;
                        promises.next((count % 2) as u8);
                        log.append(&Moved(count as i64))?;
                    }
                    3 => {
                        count += 2;
                        promises.next((count % 2) as u8);
                        log.append_batch(&[Moved(1), Moved(2)])?;
                    }
                    4 => {
                        log.wal().sync()?;
                        promises.durable();
                    }
                    5 => {
                        log.wal().clone().close()?;
                        promises.durable();
                        log = log_of(disk, segmented)?;
                    }
                    _ => {
                        log.wal().sync()?;
                        promises.durable();
                        if let Some(last) = log.wal().last_lsn()? {
                            log.wal().truncate_before(last)?;
                        }
                    }
                }
            }
            log.wal().sync()?;
            promises.durable();
            Ok(())
        };
        let checked = check_crash_prefix(CrashPlan::default(), program, |disk| parity(disk, segmented));
        if let Err(failed) = checked {
            panic!("seed {seed}: {choices:?}: {failed}");
        }
    }
}
