//! One figure as a line of JSON: printed, saved and read again.

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
