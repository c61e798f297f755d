//! What is watched while payloads are handed out: how long the contender takes with each, or with a burst of them.
//!
//! A contender asks for the next payload when it is done with the last. So the time between is what its call took, and no
//! contender has to measure anything.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, getpid, kill_process};

use crate::latency::{Latencies, Sink};

/// How long a contender that does not say when it has drained a burst is given to do so.
const REST: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Watch {
    Nothing,
    /// The time from each payload to the next.
    Latency,
    /// The time of so many payloads in a row, and then a rest that is not timed.
    Bursts(u64),
    /// Not watched: the process is killed when all payloads are written.
    KillAtEnd,
}

/// One thread's watch. What it saw goes to the sink with it.
pub(crate) struct Stopwatch<'a> {
    watch: Watch,
    sink: &'a Sink,
    /// When the last payload, or the first of this burst, was handed out.
    since: Option<Instant>,
    in_burst: u64,
    latencies: Latencies,
    bursts: Vec<Duration>,
}

impl<'a> Stopwatch<'a> {
    pub(crate) fn new(watch: Watch, sink: &'a Sink) -> Stopwatch<'a> {
        Stopwatch {
            watch,
            sink,
            since: None,
            in_burst: 0,
            latencies: Latencies::new(),
            bursts: Vec::new(),
        }
    }

    /// The next payload is asked for.
    #[inline]
    pub(crate) fn asked(&mut self) {
        match self.watch {
            Watch::Latency => {
                if let Some(since) = self.since.take() {
                    self.latencies.record(since.elapsed());
                }
            }
            Watch::Bursts(length) if self.in_burst == length => {
                if self.end_burst() {
                    thread::sleep(REST);
                }
                self.in_burst = 0;
            }
            _ => {}
        }
    }

    /// It is there.
    #[inline]
    pub(crate) fn handing_out(&mut self) {
        self.in_burst += 1;
        if self.watch == Watch::Latency || self.in_burst == 1 {
            self.since = Some(Instant::now());
        }
    }

    /// There is none.
    pub(crate) fn ended(&mut self) {
        if self.watch == Watch::KillAtEnd {
            // Nothing runs after it: no destructor, no flush of the contender.
            let _ = kill_process(getpid(), Signal::KILL);
        }
    }

    /// Whether a burst ends here. The caller drains it before the next payload, untimed.
    #[inline]
    pub(crate) fn burst_over(&mut self) -> bool {
        match self.watch {
            Watch::Bursts(length) if self.in_burst == length => self.end_burst(),
            _ => false,
        }
    }

    /// Whether it had not been ended before.
    fn end_burst(&mut self) -> bool {
        let since = self.since.take();
        self.bursts.extend(since.map(|since| since.elapsed()));
        since.is_some()
    }
}

impl Drop for Stopwatch<'_> {
    fn drop(&mut self) {
        self.sink.add(&self.latencies, &self.bursts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hand_out(
        watch: Watch,
        payloads: u64,
        mut between: impl FnMut(&mut Stopwatch),
    ) -> crate::latency::Found {
        let sink = Sink::new();
        let mut stopwatch = Stopwatch::new(watch, &sink);
        for _ in 0..payloads {
            stopwatch.asked();
            stopwatch.handing_out();
            between(&mut stopwatch);
        }
        stopwatch.asked();
        drop(stopwatch);
        sink.take()
    }

    #[test]
    fn every_payload_has_one_latency() {
        let found = hand_out(Watch::Latency, 7, |_| ());
        assert_eq!(found.latencies.percentiles().samples, 7);
        assert!(found.bursts.is_empty());
    }

    #[test]
    fn every_whole_burst_is_timed_once_whoever_ends_it() {
        let asks = |stopwatch: &mut Stopwatch| {
            stopwatch.burst_over();
        };
        for between in [asks, |_: &mut Stopwatch| ()] {
            let found = hand_out(Watch::Bursts(3), 8, between);
            assert_eq!(found.bursts.len(), 2);
            assert!(found.latencies.is_empty());
        }
    }

    #[test]
    fn a_burst_is_over_once() {
        let mut over = Vec::new();
        hand_out(Watch::Bursts(2), 4, |stopwatch| {
            over.push((stopwatch.burst_over(), stopwatch.burst_over()));
        });
        let (within, at_the_end) = ((false, false), (true, false));
        assert_eq!(over, [within, at_the_end, within, at_the_end]);
    }
}
