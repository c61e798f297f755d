//! Which schedules are run.

use shuttle::{
    Config, MaxSteps, Runner,
    rand::{Rng, thread_rng},
    scheduler::{PctScheduler, RandomScheduler, ReplayScheduler},
    thread::{self, JoinHandle},
};
use wal_db::{Durability, Staging, WalConfig};
use wal_tests::quiet_heap;

use super::{stalls::Stalls, witness::Witness};

/// The first schedule; `SHUTTLE_RANDOM_SEED` overrides it.
const SEED: u64 = 0x5eed;

/// So many steps do not end: somebody waits for something that never comes, and does not sleep.
const ENDLESS: usize = 300_000;

/// Runs a scenario under so many random schedules, as many with few preemptions at random places (PCT), and as many in
/// which threads are held up for long: some mistakes need the one, some the other.
pub(crate) fn explore(schedules: usize, scenario: fn()) {
    if let Ok(schedule) = std::env::var("WAL_TESTS_SCHEDULE") {
        let mut replay = ReplayScheduler::new_from_encoded(schedule.trim());
        replay.set_allow_incomplete();
        Runner::new(replay, config()).run(scenario);
        return;
    }
    let schedules = schedules * wal_tests::scale() as usize;
    Runner::new(RandomScheduler::new_from_seed(SEED, schedules), config()).run(scenario);
    Runner::new(PctScheduler::new_from_seed(SEED, 3, schedules), config()).run(scenario);
    Runner::new(Stalls::new(SEED, schedules), config()).run(scenario);
}

/// A log without background threads, as small as one can be.
pub(crate) fn quiet() -> WalConfig {
    quiet_heap().with_staging_bytes(64 << 10)
}

/// One of the ways in which a log can be used; the schedule chooses.
pub(crate) fn any_config() -> WalConfig {
    let config = quiet().with_background_flush(choose(2) == 0);
    match choose(8) {
        0 | 1 => config.with_durability(Durability::Certified),
        2 => config.with_staging(Staging::WriteThrough),
        _ => config,
    }
}

/// Starts threads that have a handle each.
pub(crate) fn start(log: &Witness, threads: &[fn(&Witness)]) -> Vec<JoinHandle<()>> {
    let spawn = |&run: &fn(&Witness)| {
        let log = log.clone();
        thread::spawn(move || run(&log))
    };
    threads.iter().map(spawn).collect()
}

/// Runs threads beside one another, to their ends.
pub(crate) fn beside(log: &Witness, threads: &[fn(&Witness)]) {
    join(start(log, threads));
}

/// Waits for their ends.
pub(crate) fn join(threads: Vec<JoinHandle<()>>) {
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// A number below `limit`; a part of the schedule, so that a replay makes the same choice.
pub(crate) fn choose(limit: usize) -> usize {
    thread_rng().gen_range(0..limit)
}

fn config() -> Config {
    let mut config = Config::new();
    config.stack_size = 1 << 20;
    config.max_steps = MaxSteps::FailAfter(ENDLESS);
    config.silence_warnings = true;
    config
}
