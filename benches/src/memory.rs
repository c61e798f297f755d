//! The memory of this process, as the system tells it.

use std::fs;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

const MIB: f64 = 1024.0;

/// Resident memory in KiB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Resident {
    now: f64,
    /// Of that: not from a file.
    anonymous: f64,
    peak: f64,
}

/// By how many MiB it grew.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Growth {
    pub(crate) peak: f64,
    pub(crate) end: f64,
    pub(crate) end_anonymous: f64,
}

impl Resident {
    /// Takes the peak back to what is resident now, where that is allowed, and looks.
    pub(crate) fn start() -> Result<Resident> {
        // Without it the peak is that of the whole process, which is never less.
        let _ = fs::write("/proc/self/clear_refs", "5");
        Resident::now()
    }

    fn now() -> Result<Resident> {
        let status = fs::read_to_string("/proc/self/status").context("reading /proc/self/status")?;
        Resident::parse(&status).context("/proc/self/status has not the lines that are needed")
    }

    fn parse(status: &str) -> Option<Resident> {
        Some(Resident {
            now: number_in(status, "VmRSS")?,
            anonymous: number_in(status, "RssAnon")?,
            peak: number_in(status, "VmHWM")?,
        })
    }

    pub(crate) fn growth(self) -> Result<Growth> {
        let end = Resident::now()?;
        Ok(Growth {
            peak: (end.peak - self.now) / MIB,
            end: (end.now - self.now) / MIB,
            end_anonymous: (end.anonymous - self.anonymous) / MIB,
        })
    }
}

/// The number after a name, in what the system tells of a process or a thread.
pub(crate) fn number_in(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim_start_matches(':')
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_by_their_whole_name() {
        let status = "VmPeak:\t 99 kB\nVmHWM:\t   300 kB\nVmRSS:\t   200 kB\nRssAnon:\t 50 kB\n";
        let expected = Resident {
            now: 200.0,
            anonymous: 50.0,
            peak: 300.0,
        };
        assert_eq!(Resident::parse(status), Some(expected));
        assert_eq!(
            Resident::parse("VmHWM: 1 kB\nVmRSS: many kB\nRssAnon: 1 kB"),
            None
        );
    }

    #[test]
    fn memory_that_is_touched_and_given_back_is_in_the_peak() {
        let before = Resident::start().unwrap();
        drop(std::hint::black_box(vec![1_u8; 256 << 20]));
        assert!(before.growth().unwrap().peak > 128.0);
    }
}
