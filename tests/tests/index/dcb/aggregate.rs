//! An aggregate: one thing whose events are a stream, and which changes only as it was when it was loaded.

use serde::{Deserialize, Serialize};
use wal_db::{
    Lsn, Meta, WalError, WalRecord,
    index::{Condition, Indexed, Item},
};

use super::{Answer, Happens, Projection, given, happens, log_of, project};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "class")]
enum Class {
    Defined { class: u64, capacity: u32 },
    Resized { class: u64, capacity: u32 },
    Entered { class: u64, student: u32 },
}

use Class::{Defined, Entered, Resized};

impl Happens for Class {
    fn meta(&self) -> Meta {
        let (Defined { class, .. } | Resized { class, .. } | Entered { class, .. }) = self;
        Meta::new().with_stream(*class)
    }
}

/// A class as its events say, and what it does.
#[derive(Debug, Clone, PartialEq, Default)]
struct Room {
    capacity: Option<u32>,
    students: Vec<u32>,
}

impl Room {
    fn apply(&mut self, event: Class) {
        match event {
            Defined { capacity, .. } | Resized { capacity, .. } => self.capacity = Some(capacity),
            Entered { student, .. } => self.students.push(student),
        }
    }

    fn define(&self, class: u64, capacity: u32) -> Result<Class, &'static str> {
        match self.capacity {
            Some(_) => Err("there is such a class"),
            None => Ok(defined(class, capacity)),
        }
    }

    fn resize(&self, class: u64, capacity: u32) -> Result<Class, &'static str> {
        match self.capacity {
            None => Err("there is no such class"),
            Some(old) if old == capacity => Err("it has that capacity"),
            Some(_) => Ok(Resized { class, capacity }),
        }
    }

    fn enter(&self, class: u64, student: u32) -> Result<Class, &'static str> {
        match self.capacity {
            None => Err("there is no such class"),
            Some(_) if self.students.contains(&student) => Err("the student is in it"),
            Some(capacity) if self.students.len() >= capacity as usize => Err("the class is full"),
            Some(_) => Ok(entered(class, student)),
        }
    }
}

fn room(class: u64) -> Projection<Class, Room> {
    let stream = Item::any().stream(class);
    project(stream, Room::default(), |room, event, _| room.apply(event))
}

/// Loads a class, asks it, and appends what it says.
fn ask(log: &Indexed<Class>, class: u64, what: impl Fn(&Room) -> Result<Class, &'static str>) -> Answer {
    log.decide(room(class), |room, _| Ok(happens((), what(&room.value)?)))
}

fn defined(class: u64, capacity: u32) -> Class {
    Defined { class, capacity }
}

fn entered(class: u64, student: u32) -> Class {
    Entered { class, student }
}

fn resized(class: u64, capacity: u32) -> Class {
    Resized { class, capacity }
}

#[test]
fn an_aggregate_is_asked_as_its_events_made_it() {
    given([])
        .when(|log| ask(log, 1, |room| room.define(1, 2)))
        .then((), [defined(1, 2)]);
    given([defined(1, 2)])
        .when(|log| ask(log, 1, |room| room.define(1, 3)))
        .refused("there is such a class");
    given([defined(2, 2)])
        .when(|log| ask(log, 1, |room| room.enter(1, 7)))
        .refused("there is no such class");
    given([defined(1, 2), defined(2, 9), resized(1, 1), entered(1, 7)])
        .when(|log| ask(log, 1, |room| room.enter(1, 8)))
        .refused("the class is full");
    given([defined(1, 1), entered(1, 7), defined(2, 9), entered(2, 8)])
        .when(|log| ask(log, 1, |room| room.resize(1, 2)))
        .then((), [resized(1, 2)]);
    given([defined(1, 1), resized(1, 2)])
        .when(|log| ask(log, 1, |room| room.resize(1, 2)))
        .refused("it has that capacity");
    given([defined(1, 2), entered(1, 7)])
        .when(|log| ask(log, 1, |room| room.enter(1, 7)))
        .refused("the student is in it");
    given([defined(1, 2), entered(2, 7)])
        .when(|log| ask(log, 1, |room| room.enter(1, 7)))
        .then((), [entered(1, 7)]);
}

/// The same with the calls of a repository, as one that has loaded its aggregate before the user decides.
struct Loaded {
    class: u64,
    room: Room,
    last: Option<Lsn>,
}

fn load(log: &Indexed<Class>, class: u64) -> Loaded {
    let mut loaded = Loaded {
        class,
        room: Room::default(),
        last: None,
    };
    for event in log.stream(class).unwrap() {
        let event = event.unwrap();
        loaded.last = Some(event.lsn);
        loaded.room.apply(event.event);
    }
    loaded
}

fn save(log: &Indexed<Class>, loaded: &Loaded, event: Class) -> Result<Vec<Lsn>, WalError> {
    let as_loaded = Condition::new().stream(loaded.class, loaded.last);
    let meta = event.meta();
    log.append_if_and_sync(&[(event, meta)], &as_loaded)
}

#[test]
fn an_aggregate_is_saved_only_if_nobody_else_has_saved_it() {
    let log = log_of::<Class>().indexed().unwrap();
    let (first, second, other) = (load(&log, 1), load(&log, 1), load(&log, 2));
    let by_first = first.room.define(1, 2).unwrap();
    let by_second = second.room.define(1, 3).unwrap();
    let lsn = save(&log, &first, by_first).unwrap()[0];
    let conflict = save(&log, &second, by_second).unwrap_err();
    assert!(
        matches!(conflict, WalError::Conflict { lsn: Some(at), .. } if at == lsn),
        "{conflict}"
    );
    // Another one is not in the way.
    let by_other = other.room.define(2, 4).unwrap();
    let _ = save(&log, &other, by_other).unwrap();

    let (first, second) = (load(&log, 1), load(&log, 1));
    assert_eq!((first.last, first.room.capacity), (Some(lsn), Some(2)));
    let by_first = first.room.enter(1, 7).unwrap();
    let by_second = second.room.enter(1, 8).unwrap();
    let lsn = save(&log, &first, by_first).unwrap()[0];
    let conflict = save(&log, &second, by_second).unwrap_err();
    assert!(
        matches!(conflict, WalError::Conflict { lsn: Some(at), .. } if at == lsn),
        "{conflict}"
    );
    // The second one loads it again, and sees what has come.
    let second = load(&log, 1);
    assert_eq!(second.room.students, [7]);
    let by_second = second.room.enter(1, 8).unwrap();
    let _ = save(&log, &second, by_second).unwrap();

    let events = log.log().replay(..).unwrap();
    let events: Vec<_> = events.map(|event| event.unwrap().event).collect();
    let expected = [defined(1, 2), defined(2, 4), entered(1, 7), entered(1, 8)];
    assert_eq!(events, expected);
}
