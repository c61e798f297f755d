//! Threads that send random commands about courses and students; a plain replay of the log finds no rule broken.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
};

use wal_db::{Event, Lsn, index::Indexed, state::TransactError};
use wal_tests::random::Rng;

use super::{
    Said,
    courses::{Campus, MAX_COURSES, define, join, leave, resize},
    log_of,
};

const THREADS: u64 = 20;
const COMMANDS: usize = 400;
const COURSES: usize = 24;
const STUDENTS: usize = 20;

/// What one thread has done.
#[derive(Default)]
struct Sent {
    /// Its events, and how many places were said to be left.
    appended: BTreeMap<Lsn, Option<u32>>,
    refused: BTreeMap<&'static str, usize>,
}

fn send(log: &Indexed<Campus>, rng: &mut Rng) -> Said<(Lsn, Option<u32>)> {
    let course = rng.below(COURSES) as u32;
    let student = rng.below(STUDENTS) as u32;
    let capacity = rng.below(6) as u32;
    let (lsns, left) = match rng.below(12) {
        0 => (define(log, course, capacity)?.lsns, None),
        1 => (resize(log, course, capacity)?.lsns, None),
        2..=3 => (leave(log, student, course)?.lsns, None),
        _ => {
            let joined = join(log, student, course)?;
            (joined.lsns, Some(joined.value))
        }
    };
    Ok((lsns[0], left))
}

/// Which rules the log keeps, by nothing but what it says.
#[derive(Default)]
struct Checker {
    capacities: BTreeMap<u32, u32>,
    members: BTreeSet<(u32, u32)>,
    /// How often a course was as full, and a student in as many, as can be.
    full: (usize, usize),
}

impl Checker {
    /// `left` is what the student was told.
    fn check(&mut self, event: &Event<Campus>, left: Option<u32>) {
        let in_course =
            |members: &BTreeSet<_>, course| members.range((course, 0)..(course + 1, 0)).count() as u32;
        match event.event {
            Campus::Defined { course, capacity } => {
                let before = self.capacities.insert(course, capacity);
                assert_eq!(before, None, "defined twice: {event:?}");
            }
            Campus::Resized { course, capacity } => {
                let before = self.capacities.insert(course, capacity);
                assert!(before.is_some_and(|before| before != capacity), "{event:?}");
                assert!(in_course(&self.members, course) <= capacity, "{event:?}");
            }
            Campus::Joined { student, course } => {
                assert!(self.members.insert((course, student)), "joined twice: {event:?}");
                let taken = in_course(&self.members, course);
                let capacity = self.capacities.get(&course).copied();
                let capacity = capacity.unwrap_or_else(|| panic!("no course: {event:?}"));
                assert!(taken <= capacity, "over {capacity}: {event:?}");
                assert_eq!(left, Some(capacity - taken), "{event:?}");
                let courses = self.members.iter().filter(|(_, member)| *member == student);
                let courses = courses.count() as u32;
                assert!(courses <= MAX_COURSES, "{courses} courses: {event:?}");
                self.full.0 += usize::from(taken == capacity);
                self.full.1 += usize::from(courses == MAX_COURSES);
            }
            Campus::Left { student, course } => {
                assert!(
                    self.members.remove(&(course, student)),
                    "was not in it: {event:?}"
                );
            }
        }
    }
}

#[test]
fn threads_break_no_rule_of_courses_and_students() {
    let log = log_of::<Campus>().indexed().unwrap();
    let work = |seed| {
        let mut rng = Rng::new(seed);
        let mut sent = Sent::default();
        for _ in 0..COMMANDS {
            match send(&log, &mut rng) {
                Ok((lsn, left)) => drop(sent.appended.insert(lsn, left)),
                Err(TransactError::Refused(why)) => *sent.refused.entry(why).or_default() += 1,
                Err(error) => panic!("{error:?}"),
            }
        }
        sent
    };
    let all: Vec<Sent> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|seed| scope.spawn(move || work(seed))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });

    let mut checker = Checker::default();
    let mut appended = BTreeMap::new();
    for sent in &all {
        appended.extend(&sent.appended);
    }
    for event in log.log().replay(..).unwrap() {
        let event = event.unwrap();
        let left = appended.remove(&event.lsn);
        checker.check(&event, left.unwrap_or_else(|| panic!("nobody sent {event:?}")));
    }
    assert!(appended.is_empty(), "not in the log: {appended:?}");
    // The rules were in the way of many.
    for why in [
        "there is such a course",
        "more students are in it",
        "the student is in it",
        "the course is full",
        "the student is in too many courses",
        "the student is not in it",
    ] {
        let times: usize = all.iter().filter_map(|sent| sent.refused.get(why)).sum();
        assert!(times > 0, "never said: {why}");
    }
    let (courses, students) = checker.full;
    assert!(courses > 20 && students > 20, "{courses} {students}");
}
