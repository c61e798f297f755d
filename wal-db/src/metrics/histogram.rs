//! How often something took how long, or was how large.

use crate::sync::{Counter, Ordering};

/// Which numbers a histogram tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Nanoseconds that are shown as seconds: 53 bounds from 1 microsecond to 67 seconds, each the square root of 2 times
    /// the one before.
    Time,
    /// Whole numbers: 33 bounds, the powers of 2 from 1 to 2^32.
    Count,
}

static TIMES: [u64; 53] = times();
static COUNTS: [u64; 33] = counts();

const fn times() -> [u64; 53] {
    let mut bounds = [0; 53];
    let mut at = 0;
    while at < bounds.len() {
        // Four digits of the square root of 2 are what people read.
        let base = if at % 2 == 0 { 1000 } else { 1414 };
        bounds[at] = base << (at / 2);
        at += 1;
    }
    bounds
}

const fn counts() -> [u64; 33] {
    let mut bounds = [0; 33];
    let mut at = 0;
    while at < bounds.len() {
        bounds[at] = 1 << at;
        at += 1;
    }
    bounds
}

impl Scale {
    fn bounds(self) -> &'static [u64] {
        match self {
            Scale::Time => &TIMES,
            Scale::Count => &COUNTS,
        }
    }

    fn shown(self, value: u64) -> f64 {
        match self {
            Scale::Time => value as f64 / 1e9,
            Scale::Count => value as f64,
        }
    }
}

/// A histogram that grows.
pub(crate) struct Recorder {
    scale: Scale,
    /// One for each bound, and one for what is above all of them.
    buckets: Box<[Counter]>,
    sum: Counter,
}

impl Recorder {
    pub(crate) fn new(scale: Scale) -> Recorder {
        Recorder {
            scale,
            buckets: (0..=scale.bounds().len()).map(|_| Counter::new(0)).collect(),
            sum: Counter::new(0),
        }
    }

    pub(crate) fn record(&self, value: u64) {
        let bucket = self.scale.bounds().partition_point(|&bound| bound < value);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> Histogram {
        Histogram {
            scale: self.scale,
            buckets: self
                .buckets
                .iter()
                .map(|count| count.load(Ordering::Relaxed))
                .collect(),
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}

/// How often something took how long, or was how large, since the log was opened.
///
/// Times are in seconds, and told apart in steps of the square root of 2 from a microsecond to 67 seconds; everything else
/// in steps of 2 from 1 to 2^32.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    scale: Scale,
    buckets: Vec<u64>,
    sum: u64,
}

impl Histogram {
    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// All of them together.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.scale.shown(self.sum)
    }

    /// The bounds, and how many were not above each. The last bound is infinite, and its number is
    /// [`count`](Self::count).
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let mut below = 0;
        self.bounds().zip(&self.buckets).map(move |(bound, count)| {
            below += count;
            (bound, below)
        })
    }

    /// The bound that so large a part was not above, 0.99 for the 99th percentile: what was looked for is at most the
    /// square root of 2, or 2, times smaller. `None` if there were none; infinite if it is above all bounds.
    ///
    /// ```
    /// # use wal_db::{MemStore, Wal};
    /// let wal = Wal::with_store(MemStore::new())?;
    /// wal.append_and_sync(b"a record")?;
    /// let fsync = wal.metrics().fsync;
    /// assert_eq!(fsync.count(), 1);
    /// assert!(fsync.quantile(0.99).is_some_and(|seconds| seconds > 0.0));
    /// # Ok::<(), wal_db::WalError>(())
    /// ```
    #[must_use]
    pub fn quantile(&self, part: f64) -> Option<f64> {
        let count = self.count();
        let wanted = (count as f64 * part.clamp(0.0, 1.0)).ceil().max(1.0);
        let mut buckets = self.buckets().filter(|_| count > 0);
        buckets
            .find(|&(_, below)| below as f64 >= wanted)
            .map(|(bound, _)| bound)
    }

    fn bounds(&self) -> impl Iterator<Item = f64> + use<> {
        let scale = self.scale;
        let bounds = scale.bounds().iter().map(move |&bound| scale.shown(bound));
        bounds.chain([f64::INFINITY])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_counted_under_the_first_bound_that_it_is_not_above() {
        for scale in [Scale::Time, Scale::Count] {
            for (at, &bound) in scale.bounds().iter().enumerate() {
                let recorder = Recorder::new(scale);
                (bound - 1..=bound + 1).for_each(|value| recorder.record(value));
                let counts = recorder.now().buckets;
                // The number below a bound of 1 or 2 is a bound itself.
                let is_small = bound < 3;
                let first = if is_small && at > 0 { at - 1 } else { at };
                let mut expected = vec![0; counts.len()];
                expected[first] += 1;
                expected[at] += 1;
                expected[at + 1] += 1;
                assert_eq!(counts, expected, "{scale:?} {bound}");
            }
        }
    }

    #[test]
    fn bounds_grow_by_one_factor_and_reach_as_far_as_is_said() {
        assert_eq!((TIMES[0], COUNTS[0], COUNTS[32]), (1000, 1, 1 << 32));
        assert!((64e9..68e9).contains(&(TIMES[52] as f64)), "{}", TIMES[52]);
        for two in TIMES.windows(2) {
            let factor = two[1] as f64 / two[0] as f64;
            assert!((1.414..1.4145).contains(&factor), "{two:?}");
        }
    }

    #[test]
    fn a_quantile_is_the_bound_above_it() {
        let recorder = Recorder::new(Scale::Count);
        assert_eq!(recorder.now().quantile(0.5), None);
        (1..=100).for_each(|value| recorder.record(value));
        let histogram = recorder.now();
        let quantiles = [0.0, 0.5, 0.64, 0.65, 1.0].map(|part| histogram.quantile(part));
        assert_eq!(quantiles, [1.0, 64.0, 64.0, 128.0, 128.0].map(Some));
        assert_eq!((histogram.count(), histogram.sum()), (100, 5050.0));
        recorder.record(u64::MAX >> 1);
        assert_eq!(recorder.now().quantile(1.0), Some(f64::INFINITY));
    }
}
