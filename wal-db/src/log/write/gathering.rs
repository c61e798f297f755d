//! Whom a flush waits for before it departs.
//!
//! The threads that a flush has woken mostly commit again at once, and come a few microseconds later. If the next flush
//! departed without them, they would wait for the whole of it. So the thread that leads waits for them while it holds the
//! committer, for a small part of the time that a flush takes. Those who did not come in that time are not waited for in the
//! next flush, and if they never come, not in 3, 7 and at last 63 flushes in a row.
//!
//! It spins, because to sleep and be woken takes as long as what it waits for. So it does not wait for more threads than the
//! other processors can run soon.

use std::time::{Duration, Instant};

use crate::sync::{SIMULATED, processors, spin_loop};

/// A flush waits for this part of the time that the last one took.
const PART: u32 = 4;

/// It never waits longer than this: who comes at once comes in this time, however slow the disk is.
const MAX_WAIT: Duration = Duration::from_micros(100);

/// The most flushes in a row that do not wait for those who are absent.
const MAX_PAUSE: u32 = 63;

pub(super) struct Gathering {
    flush_took: Duration,
    /// How many threads did not come in time.
    absent: u32,
    /// In how many flushes they are not waited for from now on.
    pause: u32,
    /// In how many they were not the last time.
    last_pause: u32,
    /// The most threads that a flush waits for: two for each other processor.
    most: u32,
}

impl Gathering {
    pub(super) fn new() -> Self {
        Gathering {
            flush_took: Duration::ZERO,
            absent: 0,
            pause: 0,
            last_pause: 0,
            most: 2 * (processors() - 1),
        }
    }

    pub(super) fn flush_took(&mut self, time: Duration) {
        self.flush_took = time;
    }

    /// Waits until nobody is missing but those who are absent, or too long.
    pub(super) fn wait(&mut self, missing: impl Fn() -> u32) {
        let at_first = missing();
        if SIMULATED || at_first == 0 || at_first > self.most {
            return;
        }
        if self.pause > 0 {
            self.pause -= 1;
        } else {
            self.absent = 0;
        }
        if at_first <= self.absent {
            return;
        }
        let wait = MAX_WAIT.min(self.flush_took / PART);
        let start = Instant::now();
        loop {
            let absent = missing();
            if absent <= self.absent {
                break;
            }
            if start.elapsed() > wait {
                self.absent = absent;
                self.last_pause = (2 * self.last_pause + 1).min(MAX_PAUSE);
                self.pause = self.last_pause;
                return;
            }
            spin_loop();
        }
        if self.absent == 0 {
            self.last_pause = 0;
        }
    }
}

#[cfg(all(test, not(any(wal_loom, wal_shuttle))))]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn on_many_processors() -> Gathering {
        Gathering {
            most: 30,
            ..Gathering::new()
        }
    }

    /// How often a flush asks who is missing, if these are one after the other, and the last one from then on.
    fn asks(gathering: &mut Gathering, missing: &[u32]) -> usize {
        let asked = Cell::new(0);
        gathering.wait(|| {
            let at = asked.replace(asked.get() + 1);
            missing[at.min(missing.len() - 1)]
        });
        asked.get()
    }

    /// The flushes, of so many, that wait for threads that never come.
    fn waits_in_vain(gathering: &mut Gathering, flushes: u32) -> Vec<u32> {
        (0..flushes).filter(|_| asks(gathering, &[5]) > 1).collect()
    }

    #[test]
    fn a_flush_that_waits_in_vain_is_followed_by_more_and_more_that_do_not() {
        let mut gathering = on_many_processors();
        assert_eq!(
            waits_in_vain(&mut gathering, 200),
            [0, 2, 6, 14, 30, 62, 126, 190]
        );
    }

    #[test]
    fn nobody_waits_alone_or_for_more_than_the_processors_can_run() {
        let mut gathering = on_many_processors();
        gathering.flush_took(Duration::MAX);
        assert_eq!(asks(&mut gathering, &[0]), 1);
        assert_eq!(asks(&mut gathering, &[31]), 1);
        gathering.most = 0;
        assert_eq!(asks(&mut gathering, &[1]), 1);
    }

    #[test]
    fn one_who_stays_away_is_not_waited_for_and_the_others_are() {
        let mut gathering = on_many_processors();
        // No flush has taken any time, so the wait is over when it is looked at.
        assert!(asks(&mut gathering, &[8, 1]) > 1);
        assert_eq!(asks(&mut gathering, &[1]), 1);
        assert!(asks(&mut gathering, &[8, 1]) > 1);
        assert_eq!(asks(&mut gathering, &[3, 1]), 2);
    }

    #[test]
    fn when_all_have_come_again_they_are_waited_for_again() {
        let mut gathering = on_many_processors();
        assert_eq!(waits_in_vain(&mut gathering, 7), [0, 2, 6]);
        gathering.pause = 0;
        assert_eq!(asks(&mut gathering, &[5, 0]), 2);
        assert_eq!(waits_in_vain(&mut gathering, 3), [0, 2]);
    }
}
