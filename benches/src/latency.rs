//! Latencies: how they are collected, merged over threads and rounds, and told.

use std::hint::black_box;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Longer ones count as this.
const LONGEST: Duration = Duration::from_secs(100);

/// Relative error below one in a thousand.
const DIGITS: u8 = 3;

const CLOCK_READINGS: u32 = 100_000;

/// The latencies of one contender in one workload, in nanoseconds.
#[derive(Clone, Debug)]
pub(crate) struct Latencies(Histogram<u64>);

/// What people are told of them, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Percentiles {
    pub(crate) p50: u64,
    pub(crate) p99: u64,
    pub(crate) p999: u64,
    pub(crate) max: u64,
    pub(crate) samples: u64,
}

impl Latencies {
    pub(crate) fn new() -> Latencies {
        let histogram = Histogram::new_with_bounds(1, LONGEST.as_nanos() as u64, DIGITS);
        Latencies(histogram.expect("the bounds are constants that fit"))
    }

    #[inline]
    pub(crate) fn record(&mut self, latency: Duration) {
        self.0.saturating_record(latency.as_nanos() as u64);
    }

    pub(crate) fn merge(&mut self, other: &Latencies) {
        self.0.add(&other.0).expect("all have the same bounds");
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn percentiles(&self) -> Percentiles {
        Percentiles {
            p50: self.at(0.5),
            p99: self.at(0.99),
            p999: self.at(0.999),
            max: self.0.max(),
            samples: self.0.len(),
        }
    }

    /// The latency in nanoseconds that this part of all samples does not exceed.
    pub(crate) fn at(&self, quantile: f64) -> u64 {
        self.0.value_at_quantile(quantile).min(self.0.max())
    }
}

/// Where the threads of one run leave what they measured.
#[derive(Debug)]
pub(crate) struct Sink(Mutex<Found>);

/// What was left there.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) latencies: Latencies,
    pub(crate) bursts: Vec<Duration>,
}

impl Sink {
    pub(crate) fn new() -> Sink {
        Sink(Mutex::new(Found {
            latencies: Latencies::new(),
            bursts: Vec::new(),
        }))
    }

    pub(crate) fn take(self) -> Found {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, latencies: &Latencies, bursts: &[Duration]) {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        found.latencies.merge(latencies);
        found.bursts.extend(bursts);
    }
}

impl Found {
    /// The burst in the middle.
    pub(crate) fn median_burst(&self) -> Option<Duration> {
        let mut sorted = self.bursts.clone();
        sorted.sort();
        sorted.get(sorted.len() / 2).copied()
    }
}

/// Nanoseconds of one reading of the clock. A latency holds about one.
pub(crate) fn clock_ns() -> f64 {
    let start = Instant::now();
    for _ in 0..CLOCK_READINGS {
        black_box(Instant::now());
    }
    start.elapsed().as_nanos() as f64 / f64::from(CLOCK_READINGS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latencies(ns: impl IntoIterator<Item = u64>) -> Latencies {
        let mut latencies = Latencies::new();
        ns.into_iter()
            .for_each(|ns| latencies.record(Duration::from_nanos(ns)));
        latencies
    }

    #[test]
    fn merged_threads_have_the_percentiles_of_all_samples() {
        let mut merged = latencies(1..=500);
        merged.merge(&latencies(501..=999));
        merged.merge(&latencies([1_000_000]));
        let Percentiles {
            p50,
            p99,
            p999,
            max,
            samples,
        } = merged.percentiles();
        assert_eq!((p50, p99, p999, samples), (500, 990, 999, 1000));
        assert!(max.abs_diff(1_000_000) <= 1_000, "{max}");
    }

    #[test]
    fn a_percentile_is_never_beyond_the_longest_sample() {
        let all = latencies([123_456_789]);
        assert_eq!(all.at(0.999), all.percentiles().max);
        assert_eq!(latencies([0]).percentiles().samples, 1);
    }

    #[test]
    fn what_threads_leave_in_a_sink_adds_up() {
        let sink = Sink::new();
        let ms = Duration::from_millis;
        sink.add(&latencies([10, 20]), &[ms(9), ms(2)]);
        sink.add(&latencies([30]), &[ms(5)]);
        let found = sink.take();
        assert_eq!(found.latencies.percentiles().samples, 3);
        assert_eq!(found.median_burst(), Some(ms(5)));
    }
}
