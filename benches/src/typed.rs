//! Typed events: what the typed layer adds to a codec.
//!
//! `ours` appends and decodes events; `limit` does the same job with bincode alone: it encodes, and appends the bytes to
//! a plain log with `Wal::append`; it decodes the same bytes without looking at a type, a version or a limit. Every event
//! is read back and compared.

use std::fmt::Debug;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wal_db::{MemStore, Record, Wal, WalRecord, event::WalDecodeOwned};

use crate::flights::{self, Work};
use crate::workload::Typed;

const SEGMENT_BYTES: u64 = 64 << 20;

/// How many different events are decoded in turn: enough to be no single one, few enough to stay in the cache.
const EVENTS: u64 = 4096;

/// An ordinary event: about 45 bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "transfer")]
struct Transfer {
    id: u64,
    from: String,
    to: String,
    cents: i64,
    at_us: u64,
}

/// The same, borrowed from the record.
#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "transfer")]
struct TransferRef<'a> {
    id: u64,
    from: &'a str,
    to: &'a str,
    cents: i64,
    at_us: u64,
}

/// What it was three releases ago, and the steps since.
mod history {
    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "payment", version = 1)]
    pub(super) struct PaymentV1 {
        pub(super) id: u32,
        pub(super) from: String,
        pub(super) to: String,
        pub(super) euros: f64,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "payment", version = 2, from = PaymentV1)]
    pub(super) struct PaymentV2 {
        id: u64,
        from: String,
        to: String,
        euros: f64,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "payment", version = 3, from = PaymentV2)]
    pub(super) struct PaymentV3 {
        id: u64,
        from: String,
        to: String,
        cents: i64,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "payment", version = 4, from = PaymentV3)]
    pub(super) struct Payment {
        id: u64,
        parties: (String, String),
        cents: i64,
    }

    impl From<PaymentV1> for PaymentV2 {
        fn from(PaymentV1 { id, from, to, euros }: PaymentV1) -> Self {
            let id = u64::from(id);
            PaymentV2 { id, from, to, euros }
        }
    }

    impl From<PaymentV2> for PaymentV3 {
        fn from(PaymentV2 { id, from, to, euros }: PaymentV2) -> Self {
            let cents = (euros * 100.0).round() as i64;
            PaymentV3 { id, from, to, cents }
        }
    }

    impl From<PaymentV3> for Payment {
        fn from(PaymentV3 { id, from, to, cents }: PaymentV3) -> Self {
            let parties = (from, to);
            Payment { id, parties, cents }
        }
    }
}

use history::{Payment, PaymentV1, PaymentV2, PaymentV3};

fn transfer(i: u64) -> Transfer {
    Transfer {
        id: i,
        from: format!("account-{:06}", i % 997),
        to: format!("account-{:06}", i % 991),
        cents: i as i64 * 37 - 1000,
        at_us: 1_700_000_000_000_000 + i,
    }
}

fn payment(i: u64) -> PaymentV1 {
    let Transfer { from, to, .. } = transfer(i);
    PaymentV1 {
        id: i as u32,
        from,
        to,
        euros: i as f64 / 4.0,
    }
}

/// The typed half of the contender `ours`.
pub(crate) fn ours(job: Typed, dir: &Path, count: u64) -> Result<Duration> {
    match job {
        Typed::Append => {
            let events: Vec<_> = (0..EVENTS).map(transfer).collect();
            let wal = Wal::open_segmented(dir.join("log"), SEGMENT_BYTES)?;
            let start = Instant::now();
            for i in 0..count {
                wal.append_typed(&events[(i % EVENTS) as usize])?;
            }
            let elapsed = start.elapsed();
            wal.close()?;
            let log = Wal::open_segmented(dir.join("log"), SEGMENT_BYTES)?.typed::<Transfer>()?;
            let mut seen = 0;
            for (i, event) in (0..count).zip(log.replay(..)?) {
                ensure!(
                    event?.event == events[(i % EVENTS) as usize],
                    "event {i} is another"
                );
                seen += 1;
            }
            ensure!(seen == count, "{seen} of {count} events were read back");
            Ok(elapsed)
        }
        Typed::Decode => decode_all(&records(transfer)?, count, transfer, |record| {
            Ok(record.decode::<Transfer>()?)
        }),
        Typed::DecodeRef => {
            let records = records(transfer)?;
            check_borrowed(&records)?;
            timed(&records, count, |record| {
                let event: TransferRef<'_> = record.decode_ref()?;
                Ok(event.id)
            })
        }
        Typed::Upcast => decode_all(&records(payment)?, count, upcast, |record| {
            Ok(record.decode::<Payment>()?)
        }),
        Typed::FlightsAppend => flights::ours(Work::Append, dir, count),
        Typed::FlightsReplay => flights::ours(Work::Replay, dir, count),
        Typed::FlightsReplayRef => flights::ours(Work::ReplayRef, dir, count),
    }
}

/// The typed half of the contender `limit`: the codec alone.
pub(crate) fn codec(job: Typed, dir: &Path, count: u64) -> Result<Duration> {
    match job {
        Typed::Append => {
            let events: Vec<_> = (0..EVENTS).map(transfer).collect();
            let wal = Wal::open_segmented(dir.join("log"), SEGMENT_BYTES)?;
            let mut buffer = Vec::new();
            let start = Instant::now();
            for i in 0..count {
                buffer.clear();
                encode_into(&events[(i % EVENTS) as usize], &mut buffer)?;
                wal.append(&buffer)?;
            }
            let elapsed = start.elapsed();
            for (i, record) in (0..count).zip(wal.iter()?) {
                let event: Transfer = decode(record?.data())?;
                ensure!(event == events[(i % EVENTS) as usize], "event {i} is another");
            }
            ensure!(wal.status().records == count, "events are missing");
            wal.close()?;
            Ok(elapsed)
        }
        Typed::Decode => decode_all(&bytes(transfer)?, count, transfer, |bytes| decode(bytes)),
        Typed::DecodeRef => timed(&bytes(transfer)?, count, |bytes| {
            let (event, _): (TransferRef<'_>, usize) =
                bincode::serde::borrow_decode_from_slice(bytes, bincode::config::standard())?;
            Ok(event.id)
        }),
        Typed::Upcast => decode_all(&bytes(payment)?, count, upcast, |bytes| {
            let first: PaymentV1 = decode(bytes)?;
            Ok(Payment::from(PaymentV3::from(PaymentV2::from(first))))
        }),
        Typed::FlightsAppend => flights::codec(Work::Append, dir, count),
        Typed::FlightsReplay => flights::codec(Work::Replay, dir, count),
        Typed::FlightsReplayRef => flights::codec(Work::ReplayRef, dir, count),
    }
}

fn upcast(i: u64) -> Payment {
    Payment::from(PaymentV3::from(PaymentV2::from(payment(i))))
}

/// The records of a log that holds each event once.
fn records<T: WalDecodeOwned>(event: impl Fn(u64) -> T) -> Result<Vec<Record>> {
    let wal = Wal::with_store(MemStore::new())?;
    for i in 0..EVENTS {
        wal.append_typed(&event(i))?;
    }
    Ok(wal.iter()?.collect::<wal_db::Result<_>>()?)
}

/// The same events as the codec writes them.
fn bytes<T: Serialize>(event: impl Fn(u64) -> T) -> Result<Vec<Vec<u8>>> {
    let encode = |i| {
        let mut bytes = Vec::new();
        encode_into(&event(i), &mut bytes)?;
        Ok(bytes)
    };
    (0..EVENTS).map(encode).collect()
}

pub(crate) fn encode_into<T: Serialize>(event: &T, out: &mut Vec<u8>) -> Result<()> {
    bincode::serde::encode_into_std_write(event, out, bincode::config::standard())?;
    Ok(())
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    Ok(bincode::serde::decode_from_slice(bytes, bincode::config::standard())?.0)
}

/// Decodes `count` events in turn, and compares each different one with what it should be.
fn decode_all<S, T: PartialEq + Debug>(
    stored: &[S],
    count: u64,
    expected: impl Fn(u64) -> T,
    decode: impl Fn(&S) -> Result<T>,
) -> Result<Duration> {
    for (i, stored) in (0..).zip(stored) {
        let event = decode(stored)?;
        ensure!(event == expected(i), "event {i} came back as {event:?}");
    }
    timed(stored, count, |stored| {
        Ok(std::hint::black_box(decode(stored)?)).map(|_| 1)
    })
}

fn check_borrowed(records: &[Record]) -> Result<()> {
    for (i, record) in (0..).zip(records) {
        let event: TransferRef<'_> = record.decode_ref()?;
        let expected = transfer(i);
        ensure!(
            (event.id, event.from, event.to) == (expected.id, &*expected.from, &*expected.to),
            "event {i} came back as {event:?}"
        );
    }
    Ok(())
}

fn timed<S>(stored: &[S], count: u64, decode: impl Fn(&S) -> Result<u64>) -> Result<Duration> {
    let mut sum = 0_u64;
    let start = Instant::now();
    for i in 0..count {
        sum = sum.wrapping_add(decode(&stored[i as usize % stored.len()])?);
    }
    let elapsed = start.elapsed();
    std::hint::black_box(sum);
    Ok(elapsed)
}
