//! A thermostat whose state can be asked for as it was at any moment, and which event made it so.
//!
//! Prints what happened in a house, then answers questions about the past: what the state was before an event and after so
//! many, what has changed between two moments, which events changed one field, and what would have been.

#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::{
    collections::BTreeMap,
    time::{Duration, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use wal_db::{
    Meta, Start, Wal, WalRecord,
    state::{At, State, StoreConfig, diff},
};

#[derive(Debug, Serialize, Deserialize, WalRecord)]
#[wal(name = "house")]
enum House {
    #[wal(rename = "set")]
    Set { room: String, celsius: i32 },
    #[wal(rename = "left")]
    Left,
    #[wal(rename = "came")]
    Came,
}

#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "heating")]
struct Heating {
    rooms: BTreeMap<String, i32>,
    somebody_is_there: bool,
}

impl State for Heating {
    type Event = House;

    fn apply(&mut self, event: House, _: At) {
        match event {
            House::Set { room, celsius } => {
                self.rooms.insert(room, celsius);
            }
            House::Left => self.somebody_is_there = false,
            House::Came => self.somebody_is_there = true,
        }
    }
}

impl Heating {
    /// What the heating aims at in a room.
    fn target(&self, room: &str) -> i32 {
        match self.somebody_is_there {
            true => self.rooms.get(room).copied().unwrap_or(18),
            false => 15,
        }
    }
}

fn set(room: &str, celsius: i32) -> House {
    let room = room.to_owned();
    House::Set { room, celsius }
}

fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let log = Wal::open(dir.path().join("house.wal"))?.typed::<House>()?;
    let heating = log.store::<Heating>(StoreConfig::new().with_snapshots("heating"))?;

    let morning = UNIX_EPOCH + Duration::from_secs(1_767_254_400);
    let day = [
        (0, House::Came),
        (1, set("kitchen", 21)),
        (2, set("study", 20)),
        (5, House::Left),
        (6, set("kitchen", 23)),
        (9, House::Came),
        (10, set("kitchen", 19)),
    ];
    let mut lsns = Vec::new();
    for (hour, event) in day {
        println!("hour {hour:2}: {event:?}");
        let time = morning + Duration::from_secs(hour * 3600);
        lsns.push(heating.commit_with_meta(event, Meta::new().with_time(time))?);
    }
    heating.snapshot()?;

    let before_they_left = heating.as_of(lsns[3])?;
    println!("\nbefore they left: {:?}", before_they_left.state);
    let events = heating.as_of(Start::Ordinal(5))?.events;
    println!(
        "after {events} events: {:?}",
        heating.as_of(lsns[events as usize])?.state
    );

    println!("\nsince then:");
    for difference in diff(&before_they_left.state, &heating.view()?.state)? {
        println!("  {difference}");
    }

    println!("\nwhat the heating of the kitchen was set to, and by which event:");
    for change in log.changes(.., |heating: &Heating| heating.target("kitchen"))? {
        let change = change?;
        println!("  LSN {:4}: {} -> {}", change.lsn, change.before, change.after);
    }

    let mut what = before_they_left.clone();
    what.suppose(set("kitchen", 25))?;
    println!(
        "\nif it had been 25: {} in the kitchen",
        what.state.target("kitchen")
    );

    anyhow::ensure!(
        heating.read(|heating| heating.target("kitchen"))? == 19,
        "nothing was appended"
    );
    anyhow::ensure!(
        before_they_left.state.target("kitchen") == 21,
        "nor was the past changed"
    );
    Ok(())
}
