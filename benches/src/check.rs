//! How a log that is read back is compared with what went in.

use std::time::Instant;

use anyhow::{Result, bail, ensure};

use crate::load::{Load, Payloads, stamp};

/// Compares a log that is read back with the load that was written to it: nothing missing, nothing
/// twice, nothing changed, and each thread's records in the order it wrote them.
pub(crate) struct Check {
    threads: Vec<Expected>,
    /// When the first record was shown.
    pub(crate) begun: Option<Instant>,
}

struct Expected {
    payloads: Payloads<'static>,
    end: u64,
}

impl Check {
    pub(crate) fn new(load: &Load) -> Check {
        let count = load.count.checked_div(u64::from(load.threads)).unwrap_or(0);
        Check::ending(load, &vec![load.first + count; load.threads as usize])
    }

    /// For a load whose threads were stopped: `ends` are the numbers after the last record of each.
    pub(crate) fn ending(load: &Load, ends: &[u64]) -> Check {
        let threads = (0..).zip(ends).map(|(thread, &end)| Expected {
            payloads: Payloads::new(thread, load.bytes, load.first..end),
            end,
        });
        Check {
            threads: threads.collect(),
            begun: None,
        }
    }

    pub(crate) fn see(&mut self, payload: &[u8]) -> Result<()> {
        if self.begun.is_none() {
            self.begun = Some(Instant::now());
        }
        let Some((thread, sequence)) = stamp(payload) else {
            bail!(
                "a record of {} bytes was read back, too short for its stamp",
                payload.len()
            );
        };
        let Some(expected) = self.threads.get_mut(thread as usize) else {
            bail!("a record of thread {thread} was read back, which wrote none");
        };
        let (next, end) = (expected.payloads.left.start, expected.end);
        let Some(expected) = expected.payloads.next_payload() else {
            bail!("thread {thread}: record {sequence} was read back after all {end}");
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
        for (thread, Expected { payloads, end }) in (0..).zip(self.threads) {
            let thread: u32 = thread;
            let next = payloads.left.start;
            ensure!(
                next == end,
                "thread {thread}: {next} of {end} records were read back"
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

#[cfg(test)]
mod tests {
    use super::*;

    fn load() -> Load<'static> {
        Load::new(2, 20, 600)
    }

    /// The records of `load`, the threads taking turns.
    fn written() -> Vec<Vec<u8>> {
        let mut threads = [load().payloads(0), load().payloads(1)];
        let mut records = Vec::new();
        for _ in 0..load().count / 2 {
            for payloads in &mut threads {
                records.extend(payloads.next_payload().map(<[u8]>::to_vec));
            }
        }
        assert_eq!(records.len() as u64, load().count);
        records
    }

    fn verdict(records: &[Vec<u8>]) -> String {
        let mut check = Check::new(&load());
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
    fn of_a_load_without_threads_nothing_is_expected() {
        let mut check = Check::new(&Load::new(0, 0, 0));
        assert!(check.see(&[0; 20]).is_err());
        check.finish().unwrap();
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
        for position in 0..load().bytes {
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
        let load = Load { threads: 1, ..load() };
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
}
