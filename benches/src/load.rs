//! What is written, and how it is recognised again.
//!
//! A payload is `[thread: u32][sequence: u64][pseudo-random bytes]`. All of it follows from the thread and
//! the sequence number, so a log that is read back can be compared byte for byte with what went in.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail, ensure};

const THREAD_BYTES: usize = 4;
const STAMP_BYTES: usize = THREAD_BYTES + 8;
const SEED: u64 = 0x5EED_0F10_6B00_C0DE;

/// Distinct random bodies per thread. Few enough to stay in the cache: making a payload must cost
/// next to nothing beside an append of tens of nanoseconds.
const BODIES: usize = 128;

/// Records to write: `count` of `bytes` each, spread evenly over `threads`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) threads: u32,
    pub(crate) bytes: usize,
    pub(crate) count: u64,
}

impl Load {
    /// The records of one thread, in order.
    pub(crate) fn payloads(&self, thread: u32) -> Payloads {
        Payloads::new(thread, self.bytes, self.count / u64::from(self.threads))
    }

    /// Runs `work` once in each thread, all starting together, and returns the time from the first
    /// start to the last end.
    pub(crate) fn drive(&self, work: impl Fn(&mut Payloads) -> Result<()> + Sync) -> Result<Duration> {
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
        let mut payloads = self.payloads(0);
        while let Some(payload) = payloads.next_payload() {
            tally.add(payload);
        }
        tally
    }
}

/// The payloads of one thread, each lent until the next is asked for.
pub(crate) struct Payloads {
    thread: u32,
    bytes: usize,
    next: u64,
    count: u64,
    bodies: Vec<u8>,
}

impl Payloads {
    fn new(thread: u32, bytes: usize, count: u64) -> Payloads {
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
            thread,
            bytes,
            next: 0,
            count,
            bodies,
        }
    }

    #[inline]
    pub(crate) fn next_payload(&mut self) -> Option<&[u8]> {
        if self.next == self.count {
            return None;
        }
        let start = (self.next as usize % BODIES) * self.bytes;
        let payload = &mut self.bodies[start..start + self.bytes];
        payload[THREAD_BYTES..STAMP_BYTES].copy_from_slice(&self.next.to_le_bytes());
        self.next += 1;
        Some(payload)
    }
}

/// Records of one size for one call, copied out of [`Payloads`].
pub(crate) struct Batch {
    bytes: usize,
    records: Vec<u8>,
}

impl Payloads {
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

/// Compares a log that is read back with the load that was written to it: nothing missing, nothing
/// twice, nothing changed, and each thread's records in the order it wrote them.
pub(crate) struct Check {
    threads: Vec<Payloads>,
}

impl Check {
    pub(crate) fn new(load: &Load) -> Check {
        Check {
            threads: (0..load.threads).map(|thread| load.payloads(thread)).collect(),
        }
    }

    pub(crate) fn see(&mut self, payload: &[u8]) -> Result<()> {
        let Some((thread, sequence)) = stamp(payload) else {
            bail!(
                "a record of {} bytes was read back, too short for its stamp",
                payload.len()
            );
        };
        let Some(expected) = self.threads.get_mut(thread as usize) else {
            bail!("a record of thread {thread} was read back, which wrote none");
        };
        let (next, count) = (expected.next, expected.count);
        let Some(expected) = expected.next_payload() else {
            bail!("thread {thread}: record {sequence} was read back after all {count}");
        };
        ensure!(
            sequence == next,
            "thread {thread}: record {sequence} was read back in place of {next}"
        );
        ensure!(
            payload == expected,
            "thread {thread}: record {sequence} was read back with other contents"
        );
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<()> {
        for Payloads {
            thread, next, count, ..
        } in self.threads
        {
            ensure!(
                next == count,
                "thread {thread}: {next} of {count} records were read back"
            );
        }
        Ok(())
    }
}

/// A cheap proof that a timed walk saw every record, in order. Contents are compared afterwards.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Tally {
    pub(crate) records: u64,
    digest: u64,
}

impl Tally {
    #[inline]
    pub(crate) fn add(&mut self, payload: &[u8]) {
        let sequence = stamp(payload).map_or(u64::MAX, |(_, sequence)| sequence);
        self.records += 1;
        self.digest = self.digest.rotate_left(7) ^ sequence;
    }
}

#[inline]
fn stamp(payload: &[u8]) -> Option<(u32, u64)> {
    let (thread, rest) = payload.split_first_chunk()?;
    let (sequence, _) = rest.split_first_chunk()?;
    Some((u32::from_le_bytes(*thread), u64::from_le_bytes(*sequence)))
}

/// The SplitMix64 generator.
fn split_mix(state: &mut u64) -> u64 {
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

    const LOAD: Load = Load {
        threads: 2,
        bytes: 20,
        count: 600,
    };

    /// The records of `LOAD`, the threads taking turns.
    fn written() -> Vec<Vec<u8>> {
        let mut threads = [LOAD.payloads(0), LOAD.payloads(1)];
        let mut records = Vec::new();
        for _ in 0..LOAD.count / 2 {
            for payloads in &mut threads {
                records.extend(payloads.next_payload().map(<[u8]>::to_vec));
            }
        }
        assert_eq!(records.len() as u64, LOAD.count);
        records
    }

    fn verdict(records: &[Vec<u8>]) -> String {
        let mut check = Check::new(&LOAD);
        let result = records.iter().try_for_each(|record| check.see(record));
        match result.and_then(|()| check.finish()) {
            Ok(()) => "passed".into(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_was_written_passes_in_any_interleaving_of_the_threads() {
        let mut records = written();
        assert_eq!(verdict(&records), "passed");
        records.sort_by_key(|record| stamp(record));
        assert_eq!(verdict(&records), "passed");
    }

    #[test]
    fn a_missing_record_is_named() {
        let mut last_missing = written();
        last_missing.pop();
        assert_eq!(
            verdict(&last_missing),
            "thread 1: 299 of 300 records were read back"
        );
        let mut inner_missing = written();
        inner_missing.remove(10);
        assert_eq!(
            verdict(&inner_missing),
            "thread 0: record 6 was read back in place of 5"
        );
    }

    #[test]
    fn records_out_of_order_or_twice_are_named() {
        let mut swapped = written();
        swapped.swap(3, 5);
        assert_eq!(
            verdict(&swapped),
            "thread 1: record 2 was read back in place of 1"
        );
        let mut twice = written();
        twice.push(twice[599].clone());
        assert_eq!(
            verdict(&twice),
            "thread 1: record 299 was read back after all 300"
        );
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        for position in 0..LOAD.bytes {
            let mut changed = written();
            changed[300][position] ^= 1;
            assert_ne!(verdict(&changed), "passed", "byte {position}");
        }
        let mut contents = written();
        contents[300][19] ^= 1;
        assert_eq!(
            verdict(&contents),
            "thread 0: record 150 was read back with other contents"
        );
    }

    #[test]
    fn a_record_of_another_length_is_noticed() {
        for length in [0, 11, 19, 21] {
            let mut changed = written();
            changed[7].resize(length, 0);
            assert_ne!(verdict(&changed), "passed", "length {length}");
        }
    }

    #[test]
    fn a_tally_sees_count_and_order() {
        let load = Load { threads: 1, ..LOAD };
        let records = {
            let mut payloads = load.payloads(0);
            let mut records = Vec::new();
            while let Some(payload) = payloads.next_payload() {
                records.push(payload.to_vec());
            }
            records
        };
        let tally_of = |records: &[Vec<u8>]| {
            let mut tally = Tally::default();
            records.iter().for_each(|record| tally.add(record));
            tally
        };
        assert_eq!(tally_of(&records), load.tally());
        assert_ne!(tally_of(&records[1..]), load.tally());
        let mut swapped = records.clone();
        swapped.swap(20, 21);
        assert_ne!(tally_of(&swapped), load.tally());
    }

    #[test]
    fn driving_hands_every_thread_its_own_payloads() {
        let seen = Mutex::new(Vec::new());
        LOAD.drive(|payloads| {
            while let Some(payload) = payloads.next_payload() {
                seen.lock().unwrap().push(payload.to_vec());
            }
            Ok(())
        })
        .unwrap();
        assert_eq!(verdict(&seen.into_inner().unwrap()), "passed");
    }
}
