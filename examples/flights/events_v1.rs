//! What release 1 wrote in another shape. Nothing makes one any more; it is only read.

use serde::{Deserialize, Serialize};
use wal_db::WalRecord;

/// It arrived where it was to.
#[derive(Debug, Serialize, Deserialize, WalRecord)]
#[wal(name = "flights.arrived", version = 1)]
pub(crate) struct ArrivedV1 {
    pub(crate) row: u32,
    pub(crate) at: u16,
    pub(crate) delay_min: i32,
    pub(crate) air_time_min: u32,
}
