//! What is printed: a table for people, JSON for programs.

use std::{collections::BTreeMap, fmt};

use anyhow::Result;
use chrono::NaiveDate;
use serde::Serialize;
use wal_db::state::StoreRecovery;

use crate::state::{Carrier, Flights};

#[derive(Debug, Serialize)]
pub(crate) struct Report<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<String>,
    totals: Totals,
    carriers: &'a BTreeMap<String, Carrier>,
    /// Of several routes with as many arrivals, the first by name.
    busiest_route: Option<(&'a str, &'a str)>,
    busiest_route_arrivals: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<Start>,
}

/// What the program began with.
#[derive(Debug, Serialize)]
struct Start {
    /// How many events were in the snapshot.
    snapshot_events: u64,
    /// How many were replayed after it.
    replayed_events: u64,
}

#[derive(Debug, Serialize)]
struct Totals {
    flights: u64,
    cancelled: u64,
    departed: u64,
    arrived: u64,
    diverted_or_unreported: u64,
    /// What happened to flights. How many events of which release say so does not matter, and neither does what the
    /// import notes about itself.
    events: u64,
}

impl<'a> Report<'a> {
    pub(crate) fn new(flights: &'a Flights) -> Self {
        let sum = |figure: fn(&Carrier) -> u64| flights.carriers.values().map(figure).sum();
        let mut totals = Totals {
            flights: sum(|carrier| carrier.scheduled),
            cancelled: sum(|carrier| carrier.cancelled),
            departed: sum(|carrier| carrier.departed),
            arrived: sum(|carrier| carrier.arrived),
            diverted_or_unreported: flights.open.len() as u64,
            events: 0,
        };
        totals.events = totals.flights + totals.cancelled + totals.departed + totals.arrived;
        let busiest = flights.routes.iter().rev().max_by_key(|(_, arrivals)| **arrivals);
        Report {
            as_of: None,
            totals,
            carriers: &flights.carriers,
            busiest_route: busiest.map(|((origin, dest), _)| (origin.as_str(), dest.as_str())),
            busiest_route_arrivals: busiest.map_or(0, |(_, arrivals)| *arrivals),
            start: None,
        }
    }

    pub(crate) fn with_as_of(mut self, day: Option<NaiveDate>) -> Self {
        self.as_of = day.map(|day| day.to_string());
        self
    }

    pub(crate) fn with_start(mut self, recovery: &StoreRecovery) -> Self {
        self.start = Some(Start {
            snapshot_events: recovery.snapshot.as_ref().map_or(0, |snapshot| snapshot.events),
            replayed_events: recovery.events,
        });
        self
    }

    pub(crate) fn json(&self) -> Result<String> {
        let indent = serde_json::ser::PrettyFormatter::with_indent(b" ");
        let mut json = serde_json::Serializer::with_formatter(Vec::new(), indent);
        self.serialize(&mut json)?;
        Ok(String::from_utf8(json.into_inner())?)
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(day) = &self.as_of {
            writeln!(f, "{:<22} {day:>9}", "as of")?;
        }
        if let Some(start) = &self.start {
            let (snapshot, replayed) = (start.snapshot_events, start.replayed_events);
            writeln!(
                f,
                "{:<22} {replayed:>9}, after {snapshot} in a snapshot",
                "events replayed"
            )?;
        }
        let totals = &self.totals;
        for (name, figure) in [
            ("flights", totals.flights),
            ("cancelled", totals.cancelled),
            ("departed", totals.departed),
            ("arrived", totals.arrived),
            ("diverted or unreported", totals.diverted_or_unreported),
            ("events", totals.events),
        ] {
            writeln!(f, "{name:<22} {figure:>9}")?;
        }
        if let Some((origin, dest)) = self.busiest_route {
            let arrivals = self.busiest_route_arrivals;
            writeln!(
                f,
                "{:<22} {origin:>5}-{dest}, {arrivals} arrivals",
                "busiest route"
            )?;
        }
        write!(
            f,
            "\n{:<7} {:>9} {:>9} {:>9} {:>9} {:>13} {:>13} {:>11}",
            "carrier",
            "scheduled",
            "departed",
            "arrived",
            "cancelled",
            "dep delay min",
            "arr delay min",
            "miles flown"
        )?;
        for (name, carrier) in self.carriers {
            write!(
                f,
                "\n{name:<7} {:>9} {:>9} {:>9} {:>9} {:>13} {:>13} {:>11}",
                carrier.scheduled,
                carrier.departed,
                carrier.arrived,
                carrier.cancelled,
                carrier.dep_delay_minutes,
                carrier.arr_delay_minutes,
                carrier.miles_flown
            )?;
        }
        Ok(())
    }
}
