//! What is written, and how it is recognised again.
//!
//! A payload is `[thread: u32][sequence: u64][pseudo-random bytes]`. All of it follows from the thread and
//! the sequence number, so a log that is read back can be compared byte for byte with what went in.

use std::ops::Range;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

pub(crate) use crate::check::{Check, Tally};
use crate::latency::Sink;
use crate::watch::{Stopwatch, Watch};

const THREAD_BYTES: usize = 4;
const STAMP_BYTES: usize = THREAD_BYTES + 8;
const SEED: u64 = 0x5EED_0F10_6B00_C0DE;

/// Distinct random bodies per thread. Few enough to stay in the cache: making a payload must cost
/// next to nothing beside an append of tens of nanoseconds.
const BODIES: usize = 128;

/// Records to write: `count` of `bytes` each, spread evenly over `threads`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load<'a> {
    pub(crate) threads: u32,
    pub(crate) bytes: usize,
    pub(crate) count: u64,
    /// The number of each thread's first record.
    pub(crate) first: u64,
    pub(crate) watched: Option<(Watch, &'a Sink)>,
}

impl<'a> Load<'a> {
    pub(crate) fn new(threads: u32, bytes: usize, count: u64) -> Load<'a> {
        Load {
            threads,
            bytes,
            count,
            first: 0,
            watched: None,
        }
    }

    /// The records of one thread, in order.
    pub(crate) fn payloads(&self, thread: u32) -> Payloads<'a> {
        let mut payloads = self.unwatched(thread);
        payloads.watch = self.watched.map(|(watch, sink)| Stopwatch::new(watch, sink));
        payloads
    }

    /// The same, to compare with.
    pub(crate) fn unwatched(&self, thread: u32) -> Payloads<'a> {
        let count = self.count / u64::from(self.threads);
        Payloads::new(thread, self.bytes, self.first..self.first + count)
    }

    /// How many records one burst has, if they come in bursts.
    pub(crate) fn burst(&self) -> Option<u64> {
        match self.watched {
            Some((Watch::Bursts(records), _)) => Some(records),
            _ => None,
        }
    }

    /// Runs `work` once in each thread, all starting together, and returns the time from the first
    /// start to the last end.
    pub(crate) fn drive(&self, work: impl Fn(&mut Payloads<'a>) -> Result<()> + Sync) -> Result<Duration> {
        let barrier = Barrier::new(self.threads as usize);
        let run = |thread| {
            let mut payloads = self.payloads(thread);
            barrier.wait();
            let start = Instant::now();
            work(&mut payloads)?;
            Ok((start, Instant::now()))
        };
        let spans = thread::scope(|scope| {
            let workers: Vec<_> = (0..self.threads)
                .map(|thread| scope.spawn(move || run(thread)))
                .collect();
            workers
                .into_iter()
                .map(|worker| {
                    worker
                        .join()
                        .unwrap_or_else(|_| Err(anyhow!("a writing thread panicked")))
                })
                .collect::<Result<Vec<_>>>()
        })?;
        let start = spans.iter().map(|span| span.0).min();
        let end = spans.iter().map(|span| span.1).max();
        Ok(end.zip(start).map(|(end, start)| end - start).unwrap_or_default())
    }

    /// What a replay of this load, written by one thread, must tally.
    pub(crate) fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        let mut payloads = self.unwatched(0);
        while let Some(payload) = payloads.next_payload() {
            tally.add(payload);
        }
        tally
    }
}

/// The payloads of one thread, each lent until the next is asked for.
pub(crate) struct Payloads<'a> {
    bytes: usize,
    /// The numbers of those that are still to come.
    pub(crate) left: Range<u64>,
    bodies: Vec<u8>,
    watch: Option<Stopwatch<'a>>,
}

impl<'a> Payloads<'a> {
    pub(crate) fn new(thread: u32, bytes: usize, numbers: Range<u64>) -> Payloads<'a> {
        assert!(
            bytes >= STAMP_BYTES,
            "a payload of {bytes} bytes cannot carry its stamp"
        );
        let mut bodies = vec![0; bytes * BODIES];
        let mut state = SEED ^ (u64::from(thread) << 40);
        for chunk in bodies.chunks_mut(8) {
            let random = split_mix(&mut state).to_le_bytes();
            chunk.copy_from_slice(&random[..chunk.len()]);
        }
        for body in bodies.chunks_mut(bytes) {
            body[..THREAD_BYTES].copy_from_slice(&thread.to_le_bytes());
        }
        Payloads {
            bytes,
            left: numbers,
            bodies,
            watch: None,
        }
    }

    #[inline]
    pub(crate) fn next_payload(&mut self) -> Option<&[u8]> {
        if self.watch.is_some() {
            return self.next_watched();
        }
        self.make_next()
    }

    #[inline(never)]
    fn next_watched(&mut self) -> Option<&[u8]> {
        let mut watch = self.watch.take()?;
        watch.asked();
        let made = self.make_next().is_some();
        if made {
            watch.handing_out();
        } else {
            watch.ended();
        }
        self.watch = Some(watch);
        made.then(|| &*self.body(self.left.start - 1))
    }

    /// Whether a burst ends with the last payload. The caller drains it before the next one, untimed; for those who do
    /// not ask there is a pause.
    #[inline]
    pub(crate) fn burst_over(&mut self) -> bool {
        self.watch.as_mut().is_some_and(Stopwatch::burst_over)
    }

    #[inline]
    fn make_next(&mut self) -> Option<&[u8]> {
        let number = self.left.next()?;
        let payload = self.body(number);
        payload[THREAD_BYTES..STAMP_BYTES].copy_from_slice(&number.to_le_bytes());
        Some(payload)
    }

    #[inline]
    fn body(&mut self, number: u64) -> &mut [u8] {
        let start = (number as usize % BODIES) * self.bytes;
        &mut self.bodies[start..start + self.bytes]
    }
}

/// Records of one size for one call, copied out of [`Payloads`].
pub(crate) struct Batch {
    bytes: usize,
    records: Vec<u8>,
}

impl Payloads<'_> {
    /// Fills `batch` with at most `records` payloads; returns whether there were any.
    #[inline]
    pub(crate) fn next_batch(&mut self, batch: &mut Batch, records: usize) -> bool {
        batch.bytes = self.bytes;
        batch.records.clear();
        for _ in 0..records {
            let Some(payload) = self.next_payload() else { break };
            batch.records.extend_from_slice(payload);
        }
        !batch.records.is_empty()
    }
}

impl Batch {
    pub(crate) fn new() -> Batch {
        Batch {
            bytes: 1,
            records: Vec::new(),
        }
    }

    #[inline]
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        self.records.chunks_exact(self.bytes)
    }
}

#[inline]
pub(crate) fn stamp(payload: &[u8]) -> Option<(u32, u64)> {
    let (thread, rest) = payload.split_first_chunk()?;
    let (sequence, _) = rest.split_first_chunk()?;
    Some((u32::from_le_bytes(*thread), u64::from_le_bytes(*sequence)))
}

/// Calls `visit` with every number below `count` once, in random order, and returns how long that took.
pub(crate) fn in_random_order(count: u64, mut visit: impl FnMut(u64) -> Result<()>) -> Result<Duration> {
    let mut numbers: Vec<u64> = (0..count).collect();
    let mut state = SEED;
    for left in (1..numbers.len()).rev() {
        numbers.swap(left, (split_mix(&mut state) % (left as u64 + 1)) as usize);
    }
    let start = Instant::now();
    numbers.into_iter().try_for_each(&mut visit)?;
    Ok(start.elapsed())
}

/// The SplitMix64 generator.
pub(crate) fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn driving_hands_every_thread_its_own_payloads() {
        let seen = Mutex::new(Vec::new());
        let load = Load::new(2, 20, 600);
        load.drive(|payloads| {
            while let Some(payload) = payloads.next_payload() {
                seen.lock().unwrap().push(payload.to_vec());
            }
            Ok(())
        })
        .unwrap();
        let mut check = Check::new(&load);
        let mut seen = seen.into_inner().unwrap().into_iter();
        seen.try_for_each(|payload| check.see(&payload)).unwrap();
        check.finish().unwrap();
    }

    #[test]
    fn a_watched_load_hands_out_the_same_payloads() {
        let all = |mut payloads: Payloads| {
            let mut all = Vec::new();
            while let Some(payload) = payloads.next_payload() {
                all.push(payload.to_vec());
            }
            all
        };
        let (sink, mut load) = (Sink::new(), Load::new(2, 20, 600));
        load.first = 40;
        load.watched = Some((Watch::Latency, &sink));
        assert_eq!(all(load.payloads(1)), all(load.unwatched(1)));
        assert_eq!(sink.take().latencies.percentiles().samples, 300);
    }
}
