//! What stands in the log.

use serde::{Deserialize, Serialize};
use wal_db::WalRecord;

/// One event of an import. Times are local, as hours * 100 + minutes; delays are in minutes, early is negative.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, WalRecord)]
#[wal(name = "flights", version = 1)]
pub(crate) enum FlightEvent {
    /// The first event of a log: which file the rows are from.
    #[wal(rename = "import_started", version = 1)]
    ImportStarted { csv_bytes: u64, csv_crc32: u32 },

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

    /// It left.
    #[wal(rename = "departed", version = 1)]
    Departed { row: u32, at: u16, delay_min: i32 },

    /// It arrived where it was to. A departure without an arrival was diverted, or never reported.
    #[wal(rename = "arrived", version = 1)]
    Arrived {
        row: u32,
        at: u16,
        delay_min: i32,
        air_time_min: u32,
    },
}
