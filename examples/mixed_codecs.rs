//! Three wire formats in one log: every record says which one it is in, so a log outlives a change of codec.
//!
//! Prints each event, which all read alike, with its format and the bytes that it takes in it.

#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use serde::{Deserialize, Serialize};
use wal_db::{
    MemStore, Wal, WalRecord,
    codec::{Bincode, Codec, Json, Postcard},
};

#[derive(Debug, Serialize, Deserialize, WalRecord)]
#[wal(name = "sensor")]
enum Sensor {
    Found { id: u64, place: String },
    Measured { id: u64, celsius: f64 },
}

/// The codec is chosen where the log is opened, for what is appended; what is read does not depend on it.
fn write<C: Codec>(wal: &Wal, id: u64) -> wal_db::Result<()> {
    let log = wal.typed::<Sensor>()?.with_codec::<C>();
    log.append(&Sensor::Found {
        id,
        place: "roof".into(),
    })?;
    log.append(&Sensor::Measured { id, celsius: 21.5 })?;
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let wal = Wal::with_store(MemStore::new())?;
    write::<Bincode>(&wal, 1)?; // the default, with the feature `bincode`
    write::<Postcard>(&wal, 2)?; // with the feature `postcard`
    write::<Json>(&wal, 3)?; // with the feature `json`

    for event in wal.typed::<Sensor>()?.replay(..)? {
        let event = event?;
        let record = wal.read(event.lsn)?;
        let (codec, bytes) = (record.info()?.codec, record.len());
        println!("{:<11} {bytes:>3} bytes  {:?}", codec.to_string(), event.event);
    }
    Ok(())
}
