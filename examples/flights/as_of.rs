//! The figures of an earlier day, by the dates of the flights.

use anyhow::{Context, Result, bail, ensure};
use chrono::NaiveDate;
use wal_db::state::{Rebuilt, Store};

use crate::{
    events::FlightEvent,
    state::{Flights, RowSet},
};

/// What the events of all flights up to a day amount to.
///
/// Threads import the rows of two days side by side, so there may be no place in the log that separates the days. It is the
/// state before the first flight of a later day, and takes in the events of earlier ones that come after that.
pub(crate) fn as_of(store: &Store<Flights>, last: NaiveDate) -> Result<Flights> {
    let mut later = RowSet::default();
    let mut days: Option<(NaiveDate, NaiveDate)> = None;
    let mut then: Option<Rebuilt<Flights>> = None;
    for event in store.log().replay(..)? {
        let event = event?;
        if let FlightEvent::Scheduled { row, .. } = event.event {
            let day = day(&event.event).with_context(|| format!("row {row} has no date"))?;
            let (first, newest) = days.unwrap_or((day, day));
            days = Some((first.min(day), newest.max(day)));
            if day > last {
                later.insert(row);
            }
        }
        let is_later = row(&event.event).is_some_and(|row| later.contains(row));
        match &mut then {
            None if is_later => then = Some(store.as_of(event.lsn)?),
            Some(then) if !is_later => then.suppose(event.event)?,
            _ => {}
        }
    }
    let Some((first, newest)) = days else {
        bail!("it has no flights");
    };
    ensure!(
        (first..=newest).contains(&last),
        "it has no flights of {last}, but of {first} to {newest}"
    );
    match then {
        Some(then) => Ok(then.state),
        None => Ok(store.view()?.state.clone()),
    }
}

fn row(event: &FlightEvent) -> Option<u32> {
    match event {
        FlightEvent::ImportStarted { .. } | FlightEvent::FileGrown { .. } => None,
        FlightEvent::Scheduled { row, .. }
        | FlightEvent::Cancelled { row }
        | FlightEvent::Departed { row, .. }
        | FlightEvent::Flown { row, .. }
        | FlightEvent::Arrived { row, .. } => Some(*row),
    }
}

/// The day for which a flight was scheduled, in New York.
fn day(event: &FlightEvent) -> Option<NaiveDate> {
    let FlightEvent::Scheduled {
        hour_utc, month, day, ..
    } = event
    else {
        return None;
    };
    let year_utc: i32 = hour_utc.get(..4)?.parse().ok()?;
    // The evening of December 31 is in the next year of UTC.
    let is_next_year = *month == 12 && hour_utc.get(5..7)? == "01";
    NaiveDate::from_ymd_opt(year_utc - i32::from(is_next_year), (*month).into(), (*day).into())
}
