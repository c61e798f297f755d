//! The flights of the examples: what typed events cost where a program uses them.
//!
//! `limit` does the same with the codec and a plain log: it encodes into a buffer and appends that, and replays the bytes
//! and decodes them, without a look at a type, a version or a limit.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use csv::ByteRecord;
use serde::{Deserialize, Serialize};
use wal_db::{RecordRef, Wal, WalRecord};

use crate::events::FlightEvent;
use crate::row;
use crate::typed::{decode, encode_into};

const FLIGHTS: &str = include_str!("../../examples/data/flights-2013-01.csv");
const SEGMENT_BYTES: u64 = 64 << 20;

/// As much of [`FlightEvent`] as can be, borrowed from the record.
#[derive(Debug, Serialize, Deserialize, WalRecord)]
#[wal(name = "flights")]
enum FlightRef<'a> {
    #[wal(rename = "import_started", version = 1)]
    ImportStarted { csv_bytes: u64, csv_crc32: u32 },
    #[wal(rename = "file_grown", version = 1)]
    FileGrown { csv_bytes: u64, csv_crc32: u32 },
    #[wal(rename = "scheduled", version = 1)]
    Scheduled {
        row: u32,
        #[serde(borrow)]
        carrier: &'a str,
        flight: u16,
        tail_number: Option<&'a str>,
        origin: &'a str,
        dest: &'a str,
        hour_utc: &'a str,
        month: u8,
        day: u8,
        departs: u16,
        arrives: u16,
        distance_miles: u32,
    },
    #[wal(rename = "cancelled", version = 1)]
    Cancelled { row: u32 },
    #[wal(rename = "departed", version = 2)]
    Departed {
        row: u32,
        #[wal(since = 2, default)]
        tail_number: Option<&'a str>,
        at: u16,
        delay_min: i32,
    },
    #[wal(rename = "flown", version = 1)]
    Flown { row: u32, air_time_min: u32 },
    #[wal(rename = "arrived", version = 2, since = 2)]
    Arrived { row: u32, at: u16, delay_min: i32 },
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Append,
    Replay,
    ReplayRef,
}

/// Events of the month, in the order of its rows.
fn month() -> Result<Vec<FlightEvent>> {
    let mut reader = csv::Reader::from_reader(FLIGHTS.as_bytes());
    let mut record = ByteRecord::new();
    let mut events = Vec::new();
    let mut row = 0;
    while reader.read_byte_record(&mut record)? {
        row += 1;
        events.extend(row::events(row, &record)?);
    }
    Ok(events)
}

/// Does `work` with `count` events, again and again those of the month.
pub(crate) fn ours(work: Work, dir: &Path, count: u64) -> Result<Duration> {
    let month = month()?;
    let written = write(dir, &month, count, |wal, event| {
        wal.append_typed(event)?;
        Ok(())
    })?;
    let walked = match work {
        Work::Append => written,
        Work::Replay => walk(dir, |record| {
            black_box(record.decode::<FlightEvent>()?);
            Ok(1)
        })?,
        Work::ReplayRef => walk(dir, |record| Ok(row_of(&record.decode_ref()?)))?,
    };
    compare(dir, &month, count, |record, event| {
        let borrowed: FlightRef<'_> = record.decode_ref()?;
        // Both print the same, for the name of their type is not printed.
        Ok(record.decode::<FlightEvent>()? == *event && format!("{borrowed:?}") == format!("{event:?}"))
    })?;
    Ok(walked)
}

/// The same with the codec alone.
pub(crate) fn codec(work: Work, dir: &Path, count: u64) -> Result<Duration> {
    let month = month()?;
    let mut buffer = Vec::new();
    let written = write(dir, &month, count, |wal, event| {
        buffer.clear();
        encode_into(event, &mut buffer)?;
        wal.append(&buffer)?;
        Ok(())
    })?;
    let walked = match work {
        Work::Append => written,
        Work::Replay => walk(dir, |record| {
            black_box(decode::<FlightEvent>(record.data())?);
            Ok(1)
        })?,
        Work::ReplayRef => walk(dir, |record| Ok(row_of(&borrow(record.data())?)))?,
    };
    compare(dir, &month, count, |record, event| {
        Ok(decode::<FlightEvent>(record.data())? == *event)
    })?;
    Ok(walked)
}

fn borrow(bytes: &[u8]) -> Result<FlightRef<'_>> {
    Ok(bincode::serde::borrow_decode_from_slice(bytes, bincode::config::standard())?.0)
}

fn write(
    dir: &Path,
    month: &[FlightEvent],
    count: u64,
    mut append: impl FnMut(&Wal, &FlightEvent) -> Result<()>,
) -> Result<Duration> {
    let wal = open(dir)?;
    let start = Instant::now();
    for (event, _) in month.iter().cycle().zip(0..count) {
        append(&wal, event)?;
    }
    let elapsed = start.elapsed();
    wal.close()?;
    Ok(elapsed)
}

fn walk(dir: &Path, decode: impl Fn(&RecordRef<'_>) -> Result<u64>) -> Result<Duration> {
    let wal = open(dir)?;
    let mut records = wal.iter()?;
    let mut seen = 0_u64;
    let start = Instant::now();
    while let Some(record) = records.next_ref() {
        seen = seen.wrapping_add(decode(&record?)?);
    }
    let elapsed = start.elapsed();
    black_box(seen);
    Ok(elapsed)
}

/// Every record is counted. The first month is compared by `is_same`, the repeated ones with the first, byte for byte.
fn compare(
    dir: &Path,
    month: &[FlightEvent],
    count: u64,
    is_same: impl Fn(&RecordRef<'_>, &FlightEvent) -> Result<bool>,
) -> Result<()> {
    let wal = open(dir)?;
    let (mut records, mut first) = (wal.iter()?, wal.iter()?);
    for number in 0..count {
        let Some(record) = records.next_ref().transpose()? else {
            bail!("{number} of {count} events were read back");
        };
        let same = match month.get(number as usize) {
            Some(event) => is_same(&record, event)?,
            None => {
                if number % month.len() as u64 == 0 {
                    first = wal.iter()?;
                }
                let before = first.next_ref().transpose()?;
                before.is_some_and(|before| before.data() == record.data())
            }
        };
        ensure!(same, "event {number} is another");
    }
    ensure!(
        records.next_ref().is_none(),
        "more than {count} events were read back"
    );
    Ok(())
}

fn open(dir: &Path) -> Result<Wal> {
    Ok(Wal::open_segmented(dir.join("log"), SEGMENT_BYTES)?)
}

fn row_of(event: &FlightRef) -> u64 {
    match *event {
        FlightRef::ImportStarted { csv_bytes, .. } | FlightRef::FileGrown { csv_bytes, .. } => csv_bytes,
        FlightRef::Scheduled { row, .. }
        | FlightRef::Cancelled { row }
        | FlightRef::Departed { row, .. }
        | FlightRef::Flown { row, .. }
        | FlightRef::Arrived { row, .. } => u64::from(row),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_size_is_that_of_the_table() {
        let mut bytes = Vec::new();
        let month = month().unwrap();
        for event in &month {
            encode_into(event, &mut bytes).unwrap();
        }
        let mean = bytes.len() as f64 / month.len() as f64;
        assert_eq!(mean.round() as usize, crate::workload::FLIGHT_BYTES);
    }

    #[test]
    fn a_flight_that_is_lost_or_another_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let month = month().unwrap();
        let append = |wal: &Wal, event: &FlightEvent| Ok(wal.append_typed(event).map(drop)?);
        write(dir.path(), &month[..100], 250, append).unwrap();
        let same =
            |record: &RecordRef<'_>, event: &FlightEvent| Ok(record.decode::<FlightEvent>()? == *event);
        let verdict = |month: &[FlightEvent], count| compare(dir.path(), month, count, same);
        assert!(verdict(&month[..100], 250).is_ok());
        assert!(verdict(&month[..100], 249).is_err());
        assert!(verdict(&month[..100], 251).is_err());
        assert!(verdict(&month[..99], 250).is_err());
        assert!(verdict(&month[1..101], 250).is_err());
    }
}
