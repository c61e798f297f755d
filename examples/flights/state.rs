//! What the events amount to. All of it comes from the log, and with `--snapshot` from a copy that is kept beside it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wal_db::{
    WalRecord, WalSchema,
    state::{At, State},
};

use crate::events::FlightEvent;

#[derive(Debug, Default, Clone, Serialize, Deserialize, WalRecord)]
#[wal(name = "flight_figures")]
pub(crate) struct Flights {
    /// Bytes and CRC-32 of the file that the log is made from, as it was last.
    pub(crate) source: Option<(u64, u32)>,
    pub(crate) rows: RowSet,
    pub(crate) carriers: BTreeMap<String, Carrier>,
    /// Arrivals by origin and destination.
    pub(crate) routes: BTreeMap<(String, String), u64>,
    /// Scheduled, and neither cancelled nor arrived yet.
    pub(crate) open: BTreeMap<u32, Flight>,
    /// Events that contradict those before them. A correct program leaves none.
    pub(crate) misfits: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize, WalSchema)]
pub(crate) struct Flight {
    carrier: String,
    route: (String, String),
    distance_miles: u32,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, WalSchema)]
enum Stage {
    Scheduled,
    Departed,
    Flown,
}

/// The figures of one carrier, in the order in which they are reported.
#[derive(Debug, Default, Clone, Serialize, Deserialize, WalSchema)]
pub(crate) struct Carrier {
    pub(crate) scheduled: u64,
    pub(crate) departed: u64,
    pub(crate) arrived: u64,
    pub(crate) cancelled: u64,
    pub(crate) dep_delay_minutes: i64,
    pub(crate) arr_delay_minutes: i64,
    pub(crate) miles_flown: u64,
}

impl State for Flights {
    type Event = FlightEvent;

    fn apply(&mut self, event: FlightEvent, _: At) {
        if self.take(event).is_none() {
            self.misfits += 1;
        }
    }
}

impl Flights {
    /// `None` if the event does not fit what came before.
    fn take(&mut self, event: FlightEvent) -> Option<()> {
        match event {
            FlightEvent::ImportStarted { csv_bytes, csv_crc32 } => {
                (self.source.is_none() && self.rows.is_empty()).then_some(())?;
                self.source = Some((csv_bytes, csv_crc32));
            }
            FlightEvent::FileGrown { csv_bytes, csv_crc32 } => {
                self.source.filter(|(bytes, _)| *bytes < csv_bytes)?;
                self.source = Some((csv_bytes, csv_crc32));
            }
            FlightEvent::Scheduled {
                row,
                carrier,
                origin,
                dest,
                distance_miles,
                ..
            } => {
                (self.source.is_some() && self.rows.insert(row)).then_some(())?;
                let flight = Flight {
                    carrier,
                    route: (origin, dest),
                    distance_miles,
                    stage: Stage::Scheduled,
                };
                self.carrier(&flight).scheduled += 1;
                self.open.insert(row, flight);
            }
            FlightEvent::Cancelled { row } => {
                let flight = self.close(row, Stage::Scheduled)?;
                self.carrier(&flight).cancelled += 1;
            }
            FlightEvent::Departed { row, delay_min, .. } => {
                let flight = self.close(row, Stage::Scheduled)?;
                let carrier = self.carrier(&flight);
                carrier.departed += 1;
                carrier.dep_delay_minutes += i64::from(delay_min);
                self.reopen(row, flight, Stage::Departed);
            }
            FlightEvent::Flown { row, .. } => {
                let flight = self.close(row, Stage::Departed)?;
                self.carrier(&flight).miles_flown += u64::from(flight.distance_miles);
                self.reopen(row, flight, Stage::Flown);
            }
            FlightEvent::Arrived { row, delay_min, .. } => {
                let flight = self.close(row, Stage::Flown)?;
                let carrier = self.carrier(&flight);
                carrier.arrived += 1;
                carrier.arr_delay_minutes += i64::from(delay_min);
                *self.routes.entry(flight.route).or_default() += 1;
            }
        }
        Some(())
    }

    fn close(&mut self, row: u32, stage: Stage) -> Option<Flight> {
        self.open.remove(&row).filter(|flight| flight.stage == stage)
    }

    fn reopen(&mut self, row: u32, flight: Flight, stage: Stage) {
        self.open.insert(row, Flight { stage, ..flight });
    }

    fn carrier(&mut self, flight: &Flight) -> &mut Carrier {
        self.carriers.entry(flight.carrier.clone()).or_default()
    }
}

/// Row numbers as ranges, of which there are few however many rows there are: threads leave holes only where they
/// were at work.
#[derive(Debug, Default, Clone, Serialize, Deserialize, WalSchema)]
pub(crate) struct RowSet {
    /// From the first row of each range to the one after its last.
    ranges: BTreeMap<u64, u64>,
}

impl RowSet {
    /// False if the row was there already.
    pub(crate) fn insert(&mut self, row: u32) -> bool {
        let row = u64::from(row);
        let below = self
            .ranges
            .range(..=row)
            .next_back()
            .map(|(&from, &to)| (from, to));
        let from = match below {
            Some((_, to)) if row < to => return false,
            Some((from, to)) if row == to => from,
            _ => row,
        };
        let to = self.ranges.remove(&(row + 1)).unwrap_or(row + 1);
        self.ranges.insert(from, to);
        true
    }

    pub(crate) fn contains(&self, row: u32) -> bool {
        let row = u64::from(row);
        let below = self.ranges.range(..=row).next_back();
        below.is_some_and(|(_, &to)| row < to)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    pub(crate) fn len(&self) -> u64 {
        self.ranges.iter().map(|(from, to)| to - from).sum()
    }
}
