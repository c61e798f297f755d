//! What stands in the log, as of release 2. `events_v1.rs` holds what release 1 wrote differently; logs of both are read.

use serde::{Deserialize, Serialize};
use wal_db::WalRecord;

use super::events_v1::ArrivedV1;

/// One event of an import. Times are local, as hours * 100 + minutes; delays are in minutes, early is negative.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, WalRecord)]
#[wal(name = "flights")]
pub(crate) enum FlightEvent {
    /// The first event of a log: which file the rows are from.
    #[wal(rename = "import_started", version = 1)]
    ImportStarted { csv_bytes: u64, csv_crc32: u32 },

    /// The file has grown at its end since. New in release 2.
    #[wal(rename = "file_grown", version = 1)]
    FileGrown { csv_bytes: u64, csv_crc32: u32 },

    /// A row of the file; rows count from 1, without the header.
    #[wal(rename = "scheduled", version = 1)]
    Scheduled {
        row: u32,
        carrier: String,
        flight: u16,
        tail_number: Option<String>,
        origin: String,
        dest: String,
        hour_utc: String,
        month: u8,
        day: u8,
        departs: u16,
        arrives: u16,
        distance_miles: u32,
    },

    /// It never left.
    #[wal(rename = "cancelled", version = 1)]
    Cancelled { row: u32 },

    /// It left. Release 1 did not say again which aircraft that was.
    #[wal(rename = "departed", version = 2)]
    Departed {
        row: u32,
        #[wal(since = 2, default)]
        tail_number: Option<String>,
        at: u16,
        delay_min: i32,
    },

    /// It flew its route. New in release 2; part of `Arrived` before.
    #[wal(rename = "flown", version = 1)]
    Flown { row: u32, air_time_min: u32 },

    /// It arrived where it was to. A departure without an arrival was diverted, or never reported.
    #[wal(rename = "arrived", version = 2, from = ArrivedV1, split = flown_and_arrived)]
    Arrived { row: u32, at: u16, delay_min: i32 },
}

/// What release 1 wrote as one event.
fn flown_and_arrived(old: ArrivedV1) -> [FlightEvent; 2] {
    let ArrivedV1 {
        row,
        at,
        delay_min,
        air_time_min,
    } = old;
    [
        FlightEvent::Flown { row, air_time_min },
        FlightEvent::Arrived { row, at, delay_min },
    ]
}
