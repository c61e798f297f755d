//! The owner of a crew and its threads, in every order.

use super::*;
use crate::sync::bounded;

fn crew(threads: usize) -> Crew<u32> {
    let mut crew = Crew::new(|job, _| *job *= 10);
    crew.start(threads);
    crew
}

/// All jobs, while two jobs at most are there at a time.
fn run() {
    let crew = crew(1);
    crew.give(0);
    for job in 1..4 {
        crew.give(job);
        assert_eq!(crew.next(), Some((job - 1) * 10));
    }
    assert_eq!(crew.next(), Some(30));
    assert_eq!(crew.next(), None);
}

#[test]
fn jobs_come_back_in_order_and_nobody_sleeps_for_ever() {
    bounded(0, run);
}

#[test]
fn two_threads_and_their_owner_do_every_job_once() {
    bounded(1, || {
        let crew = crew(2);
        crew.give(1);
        crew.give(2);
        assert_eq!(crew.next(), Some(10));
        assert_eq!(crew.next(), Some(20));
    });
}

#[test]
fn a_crew_may_end_before_its_jobs_are_done() {
    bounded(0, || {
        let crew = crew(1);
        crew.give(1);
        crew.give(2);
    });
}
