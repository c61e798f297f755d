//! Cutting a log: what a cut removes and what it must not, how many cuts a log takes, and what is left when one fails.

mod chain;
mod damage;
mod failing;
mod followers;
mod from;
mod kinds;
mod lives;
mod many;
mod openings;
mod retention;
mod straddling;

use std::time::{Duration, SystemTime};

use wal_db::{Wal, testing::set_clock};
use wal_tests::{Entry, put};

/// A time of the writer's clock: so many hours before some day.
fn hours_ago(hours: u64) -> SystemTime {
    today() - Duration::from_secs(hours * 3600)
}

/// When the tests take place.
fn today() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

/// Groups of one record each, written while the clock shows this.
fn groups_at(wal: &Wal, time: SystemTime, count: usize) -> Vec<Entry> {
    set_clock(Some(time));
    let entries = (0..count).map(|i| {
        let entry = put(wal, i, 1000);
        wal.sync().unwrap();
        entry
    });
    entries.collect()
}
