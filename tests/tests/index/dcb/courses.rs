//! Courses that students join: a course has so many places, and a student joins so many courses at most.

use serde::{Deserialize, Serialize};
use wal_db::{
    Meta, WalRecord,
    index::{Indexed, Item},
};

use super::{Answer, Happens, Projection, given, happens, project};

/// So many courses a student may be in.
pub(super) const MAX_COURSES: u32 = 5;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "campus")]
pub(super) enum Campus {
    Defined { course: u32, capacity: u32 },
    Resized { course: u32, capacity: u32 },
    Joined { student: u32, course: u32 },
    Left { student: u32, course: u32 },
}

use Campus::{Defined, Joined, Left, Resized};

impl Happens for Campus {
    fn meta(&self) -> Meta {
        match self {
            Defined { course, .. } | Resized { course, .. } => Meta::new().with_tag(&of_course(*course)),
            Joined { student, course } | Left { student, course } => Meta::new()
                .with_tag(&of_course(*course))
                .with_tag(&of_student(*student)),
        }
    }
}

pub(super) fn of_course(course: u32) -> String {
    format!("course:{course}")
}

pub(super) fn of_student(student: u32) -> String {
    format!("student:{student}")
}

/// How many places a course has; `None` if there is no such course.
fn capacity(course: u32) -> Projection<Campus, Option<u32>> {
    let sizes = Item::of(["campus.defined", "campus.resized"]).tag(of_course(course));
    project(sizes, None, |capacity, event, _| {
        if let Defined { capacity: new, .. } | Resized { capacity: new, .. } = event {
            *capacity = Some(new);
        }
    })
}

/// How many more students have joined than left, among those events with all of these tags.
fn joined<const N: usize>(tags: [String; N]) -> Projection<Campus, u32> {
    let comings = Item::of(["campus.joined", "campus.left"]);
    let comings = tags.into_iter().fold(comings, Item::tag);
    project(comings, 0, |count, event, _| match event {
        Joined { .. } => *count += 1,
        Left { .. } => *count -= 1,
        Defined { .. } | Resized { .. } => panic!("{event:?} is not in the query"),
    })
}

pub(super) fn define(log: &Indexed<Campus>, course: u32, capacity: u32) -> Answer {
    log.decide(self::capacity(course), |existing, _| {
        if existing.value.is_some() {
            return Err("there is such a course");
        }
        Ok(happens((), Defined { course, capacity }))
    })
}

pub(super) fn resize(log: &Indexed<Campus>, course: u32, capacity: u32) -> Answer {
    let models = (self::capacity(course), joined([of_course(course)]));
    log.decide(models, |(existing, taken), _| match existing.value {
        None => Err("there is no such course"),
        Some(existing) if existing == capacity => Err("it has that capacity"),
        Some(_) if taken.value > capacity => Err("more students are in it"),
        Some(_) => Ok(happens((), Resized { course, capacity })),
    })
}

/// Answers how many places are left.
pub(super) fn join(log: &Indexed<Campus>, student: u32, course: u32) -> Answer<u32> {
    let models = (
        capacity(course),
        joined([of_course(course)]),
        joined([of_student(student)]),
        joined([of_course(course), of_student(student)]),
    );
    log.decide(models, |(capacity, taken, courses, twice), _| {
        let Some(capacity) = capacity.value else {
            return Err("there is no such course");
        };
        if twice.value > 0 {
            return Err("the student is in it");
        }
        if taken.value >= capacity {
            return Err("the course is full");
        }
        if courses.value >= MAX_COURSES {
            return Err("the student is in too many courses");
        }
        let left = capacity - taken.value - 1;
        Ok(happens(left, Joined { student, course }))
    })
}

pub(super) fn leave(log: &Indexed<Campus>, student: u32, course: u32) -> Answer {
    let there = joined([of_student(student), of_course(course)]);
    log.decide(there, |there, _| match there.value {
        0 => Err("the student is not in it"),
        _ => Ok(happens((), Left { student, course })),
    })
}

fn defined(course: u32, capacity: u32) -> Campus {
    Defined { course, capacity }
}

fn resized(course: u32, capacity: u32) -> Campus {
    Resized { course, capacity }
}

fn came(student: u32, course: u32) -> Campus {
    Joined { student, course }
}

fn went(student: u32, course: u32) -> Campus {
    Left { student, course }
}

#[test]
fn a_course_is_defined_once() {
    given([])
        .when(|log| define(log, 1, 10))
        .then((), [defined(1, 10)]);
    given([defined(2, 10)])
        .when(|log| define(log, 1, 10))
        .then((), [defined(1, 10)]);
    given([defined(1, 10)])
        .when(|log| define(log, 1, 15))
        .refused("there is such a course");
}

#[test]
fn the_capacity_of_a_course_changes() {
    given([])
        .when(|log| resize(log, 1, 5))
        .refused("there is no such course");
    given([defined(2, 12)])
        .when(|log| resize(log, 1, 5))
        .refused("there is no such course");
    given([defined(1, 12)])
        .when(|log| resize(log, 1, 12))
        .refused("it has that capacity");
    given([defined(1, 10), resized(1, 12)])
        .when(|log| resize(log, 1, 12))
        .refused("it has that capacity");
    given([defined(1, 10), resized(1, 12)])
        .when(|log| resize(log, 1, 10))
        .then((), [resized(1, 10)]);
    given([defined(1, 12), defined(2, 15)])
        .when(|log| resize(log, 1, 15))
        .then((), [resized(1, 15)]);
    given([defined(1, 3), came(1, 1), came(2, 1)])
        .when(|log| resize(log, 1, 1))
        .refused("more students are in it");
    given([defined(1, 3), came(1, 1), came(2, 1), went(1, 1)])
        .when(|log| resize(log, 1, 1))
        .then((), [resized(1, 1)]);
}

#[test]
fn students_join_a_course_until_it_is_full() {
    given([])
        .when(|log| join(log, 7, 1))
        .refused("there is no such course");
    given([defined(1, 3)])
        .when(|log| join(log, 7, 1))
        .then(2, [came(7, 1)]);
    given([defined(1, 3), came(1, 1), came(2, 1), came(3, 1)])
        .when(|log| join(log, 7, 1))
        .refused("the course is full");
    given([defined(1, 3), came(1, 1), came(2, 1)])
        .when(|log| join(log, 7, 1))
        .then(0, [came(7, 1)]);
    // Others are in another one.
    given([defined(1, 1), defined(2, 3), came(1, 2), came(2, 2)])
        .when(|log| join(log, 7, 1))
        .then(0, [came(7, 1)]);
}

#[test]
fn a_student_joins_a_course_once() {
    given([defined(1, 10), came(7, 1)])
        .when(|log| join(log, 7, 1))
        .refused("the student is in it");
    given([defined(1, 10), defined(2, 10), came(7, 2), came(8, 1)])
        .when(|log| join(log, 7, 1))
        .then(8, [came(7, 1)]);
    given([defined(1, 10), came(7, 1), went(7, 1)])
        .when(|log| join(log, 7, 1))
        .then(9, [came(7, 1)]);
}

#[test]
fn places_come_and_go_with_the_capacity() {
    given([defined(1, 1), came(1, 1), resized(1, 2)])
        .when(|log| join(log, 7, 1))
        .then(0, [came(7, 1)]);
    given([defined(1, 4), came(1, 1), came(2, 1), resized(1, 2)])
        .when(|log| join(log, 7, 1))
        .refused("the course is full");
    given([defined(1, 2), came(1, 1), came(2, 1), went(1, 1)])
        .when(|log| join(log, 7, 1))
        .then(0, [came(7, 1)]);
    given([defined(1, 0)])
        .when(|log| join(log, 7, 1))
        .refused("the course is full");
}

#[test]
fn a_student_joins_five_courses_at_most() {
    let courses = (1..=6).map(|course| defined(course, 10));
    let five = (1..=5).map(|course| came(7, course));
    given(courses.clone().chain(five.clone()))
        .when(|log| join(log, 7, 6))
        .refused("the student is in too many courses");
    given(courses.clone().chain(five.clone().take(4)))
        .when(|log| join(log, 7, 6))
        .then(9, [came(7, 6)]);
    given(courses.clone().chain(five.clone()))
        .when(|log| join(log, 8, 6))
        .then(9, [came(8, 6)]);
    given(courses.chain(five).chain([went(7, 3)]))
        .when(|log| join(log, 7, 6))
        .then(9, [came(7, 6)]);
}

#[test]
fn a_student_leaves_a_course_that_he_is_in() {
    given([defined(1, 10)])
        .when(|log| leave(log, 7, 1))
        .refused("the student is not in it");
    given([defined(1, 10), came(7, 1)])
        .when(|log| leave(log, 7, 1))
        .then((), [went(7, 1)]);
    given([defined(1, 10), came(8, 1), came(7, 1), went(7, 1)])
        .when(|log| leave(log, 7, 1))
        .refused("the student is not in it");
}
