//! One figure as a line of JSON: printed, saved and read again.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::latency::{Latencies, Percentiles};
use crate::measured::{Fact, Findings, Outcome};
use crate::stats::Summary;
use crate::workload::Workload;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) workload: String,
    pub(crate) contender: String,
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) rounds: usize,
    pub(crate) unit: String,
    /// C1, C2, or the note of a contender that promises less or does more.
    pub(crate) contract: String,
    pub(crate) threads: u32,
    pub(crate) bytes: usize,
    pub(crate) count: u64,
    /// How many times as fast as the base contenders of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) to_base: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) to_limit: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) latency_ns: Option<Percentiles>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) facts: Vec<SavedFact>,
    /// Where it was measured; said once, on the line of the disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dir: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedFact {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: String,
}

impl Line {
    /// The line of one outcome; `None` if it failed.
    pub(crate) fn of(workload: &Workload, count: u64, outcome: &Outcome, others: &[Outcome]) -> Option<Line> {
        let Findings {
            summary,
            latencies,
            facts,
        } = outcome.result.as_ref().ok()?;
        let unit = workload.job.unit();
        let ratio = |base: &str| {
            let base = others.iter().find(|other| other.contender == base)?;
            let base = base.result.as_ref().ok()?.summary.median;
            Some(unit.speed_ratio(summary.median, base))
        };
        let Summary {
            median,
            min,
            max,
            rounds,
        } = summary.rounded();
        Some(Line {
            workload: workload.name.into(),
            contender: outcome.contender.into(),
            median,
            min,
            max,
            rounds,
            unit: unit.label().into(),
            contract: outcome.note.unwrap_or(workload.job.contract()).into(),
            threads: workload.threads,
            bytes: workload.bytes,
            count,
            to_base: ratio(crate::contender::BASE),
            to_limit: ratio(crate::contender::LIMIT),
            latency_ns: latencies.as_ref().map(Latencies::percentiles),
            facts: facts.iter().map(SavedFact::from).collect(),
            dir: None,
        })
    }
}

impl From<&Fact> for SavedFact {
    fn from(fact: &Fact) -> SavedFact {
        SavedFact {
            name: fact.name.into(),
            value: fact.value,
            unit: fact.unit.into(),
        }
    }
}

/// Writes all lines to the file at `path`.
pub(crate) fn save(path: &Path, lines: &[Line]) -> Result<()> {
    let mut text = String::new();
    for line in lines {
        text.push_str(&serde_json::to_string(line)?);
        text.push('\n');
    }
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

pub(crate) fn load(path: &Path) -> Result<Vec<Line>> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let line = |text| serde_json::from_str(text).with_context(|| format!("a line of {}", path.display()));
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Latencies;
    use crate::table::tests::{lines, outcome};

    #[test]
    fn what_is_saved_is_what_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("figures");
        let mut lines = lines(&[outcome("ours", 50.125), outcome("limit", 12.5)]);
        lines[1].latency_ns = Some(Latencies::new().percentiles());
        lines[1].facts.clear();
        save(&path, &lines).unwrap();
        assert_eq!(load(&path).unwrap(), lines);
        fs::write(&path, "{}\n").unwrap();
        assert!(load(&path).is_err());
    }
}
