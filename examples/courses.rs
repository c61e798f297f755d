//! Courses that students join: a rule may be about several things at once, here a course and a student.
//!
//! A course has so many places, and a student joins at most two courses. The events of a course have its tag, and those of
//! a student have the student's. A decision names the events that it rests on, and its own is appended only if none of
//! those has come meanwhile: threads that join other courses are not in the way.
//!
//! Prints how students join, one after the other and then all at once, starts again, and prints what one student has done,
//! for which it reads no other event.

#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::{collections::BTreeMap, path::Path, thread};

use serde::{Deserialize, Serialize};
use wal_db::{
    Meta, Wal, WalError, WalRecord,
    index::{Indexed, Item, Query},
    state::{At, Decision, Model, State, TransactError},
};

const MAX_COURSES: u32 = 2;

#[derive(Debug, Serialize, Deserialize, WalRecord)]
#[wal(name = "course")]
enum Course {
    #[wal(rename = "offered")]
    Offered { course: String, places: u32 },
    #[wal(rename = "joined")]
    Joined { course: String, student: u32 },
}

impl Course {
    /// The tags by which the event is found.
    fn meta(&self) -> Meta {
        match self {
            Course::Offered { course, .. } => Meta::new().with_tag(&of_course(course)),
            Course::Joined { course, student } => Meta::new()
                .with_tag(&of_course(course))
                .with_tag(&of_student(*student)),
        }
    }
}

fn of_course(course: &str) -> String {
    format!("course:{course}")
}

fn of_student(student: u32) -> String {
    format!("student:{student}")
}

/// What a decision needs to know of a course. It is made anew from a few events each time, and kept nowhere.
struct Places {
    course: String,
    /// `None` if there is no such course.
    free: Option<u32>,
}

impl State for Places {
    type Event = Course;

    fn apply(&mut self, event: Course, _: At) {
        match event {
            Course::Offered { places, .. } => self.free = Some(places),
            Course::Joined { .. } => self.free = self.free.map(|free| free - 1),
        }
    }
}

impl Model for Places {
    fn query(&self) -> Query {
        Item::any().tag(of_course(&self.course)).into()
    }
}

/// What it needs to know of a student.
struct Timetable {
    student: u32,
    courses: Vec<String>,
}

impl State for Timetable {
    type Event = Course;

    fn apply(&mut self, event: Course, _: At) {
        if let Course::Joined { course, .. } = event {
            self.courses.push(course);
        }
    }
}

impl Model for Timetable {
    fn query(&self) -> Query {
        Item::of(["course.joined"]).tag(of_student(self.student)).into()
    }
}

#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("there is no such course")]
    NoCourse,
    #[error("the course is full")]
    Full,
    #[error("the student is in it already")]
    InIt,
    #[error("the student is in {MAX_COURSES} courses")]
    TooMany,
}

/// Decides, and returns how many places are left. It is asked again if something has come meanwhile.
fn may_join(places: &Places, timetable: &Timetable) -> Result<Decision<Course, u32>, Refused> {
    let free = places.free.ok_or(Refused::NoCourse)?;
    if timetable.courses.contains(&places.course) {
        return Err(Refused::InIt);
    }
    if timetable.courses.len() >= MAX_COURSES as usize {
        return Err(Refused::TooMany);
    }
    let left = free.checked_sub(1).ok_or(Refused::Full)?;
    let (course, student) = (places.course.clone(), timetable.student);
    let event = Course::Joined { course, student };
    let meta = event.meta();
    Ok(Decision::new(left).event_with_meta(event, meta))
}

fn join(log: &Indexed<Course>, student: u32, course: &str) -> Result<u32, TransactError<Refused>> {
    let (course, courses) = (course.to_owned(), Vec::new());
    let models = (Places { course, free: None }, Timetable { student, courses });
    let decided = log.decide(models, |(places, timetable), _| may_join(places, timetable))?;
    Ok(decided.value)
}

/// Wants all three, beginning with another one than the next student. Nothing keeps the threads apart but the log.
fn join_all(log: &Indexed<Course>, student: u32) -> Result<(), WalError> {
    for i in 0..3 {
        let course = ["algebra", "biology", "chess"][(student + i) as usize % 3];
        match join(log, student, course) {
            Ok(_) | Err(TransactError::Refused(_)) => {}
            Err(TransactError::Wal(error)) => return Err(error),
        }
    }
    Ok(())
}

fn open(dir: &Path) -> anyhow::Result<Indexed<Course>> {
    Ok(Wal::open_segmented(dir, 16 << 20)?.typed::<Course>()?.indexed()?)
}

fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let dir = dir.path().join("courses");
    let log = open(&dir)?;
    for (course, places) in [("algebra", 3), ("biology", 30), ("chess", 8)] {
        let course = course.to_owned();
        let event = Course::Offered { course, places };
        log.log().append_with_meta(&event, &event.meta())?;
    }

    for course in ["algebra", "algebra", "botany", "biology", "chess"] {
        match join(&log, 1, course) {
            Ok(left) => println!("student 1 joins {course}: {left} places left"),
            Err(TransactError::Refused(why)) => println!("student 1 does not join {course}: {why}"),
            Err(TransactError::Wal(error)) => return Err(error.into()),
        }
    }

    thread::scope(|scope| {
        let log = &log;
        let students: Vec<_> = (2..=12)
            .map(|student| scope.spawn(move || join_all(log, student)))
            .collect();
        for student in students {
            student
                .join()
                .map_err(|_| anyhow::anyhow!("a thread panicked"))??;
        }
        anyhow::Ok(())
    })?;
    drop(log);

    // The index is in memory: it is made again from the log.
    let log = open(&dir)?;
    let mut members = BTreeMap::new();
    for event in log.select(Item::of(["course.joined"]), ..)? {
        if let Course::Joined { course, .. } = event?.event {
            *members.entry(course).or_insert(0) += 1;
        }
    }
    println!("after all have joined: {members:?}");
    anyhow::ensure!(members["algebra"] == 3 && members["chess"] <= 8, "too many");

    println!("student 1:");
    for event in log.select(Item::any().tag(of_student(1)), ..)? {
        let event = event?;
        println!("  LSN {:5}: {:?}", event.lsn, event.event);
    }
    Ok(())
}
