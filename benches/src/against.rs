//! What changed since figures were saved.
//!
//! A machine is never as fast twice. The limit does the bare work of a job in the same run, so what it gained or lost is
//! the machine's part, and a contender is judged by what it gained or lost beside it.

use serde::Serialize;

use crate::contender::LIMIT;
use crate::line::Line;
use crate::table::number;
use crate::workload::WORKLOADS;

/// The contender that must not get slower.
const JUDGED: &str = "ours";

/// One contender in one workload, then and now.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Change {
    pub(crate) workload: String,
    pub(crate) contender: String,
    pub(crate) then: f64,
    pub(crate) now: f64,
    pub(crate) unit: String,
    /// How many times as fast as then.
    pub(crate) ratio: f64,
    /// The same relative to the limit of each run, where both runs have one.
    pub(crate) beside_limit: Option<f64>,
    pub(crate) is_regression: bool,
}

/// Everything that both runs measured with the same number of records.
pub(crate) fn changes(then: &[Line], now: &[Line], tolerance: f64) -> Vec<Change> {
    let change = |line: &Line| {
        let old = find(then, line, &line.contender)?;
        let workload = WORKLOADS.iter().find(|workload| workload.name == line.workload)?;
        let unit = workload.job.unit();
        let ratio = unit.speed_ratio(line.median, old.median);
        let limits = find(then, line, LIMIT).zip(find(now, line, LIMIT));
        let beside_limit = limits.map(|(old, new)| ratio / unit.speed_ratio(new.median, old.median));
        let is_regression = line.contender == JUDGED && beside_limit.unwrap_or(ratio) * tolerance < 1.0;
        Some(Change {
            workload: line.workload.clone(),
            contender: line.contender.clone(),
            then: old.median,
            now: line.median,
            unit: line.unit.clone(),
            ratio,
            beside_limit,
            is_regression,
        })
    };
    now.iter().filter_map(change).collect()
}

fn find<'a>(lines: &'a [Line], like: &Line, contender: &str) -> Option<&'a Line> {
    let same = |line: &&Line| {
        (&line.workload, line.count, line.contender.as_str()) == (&like.workload, like.count, contender)
    };
    lines.iter().find(same)
}

pub(crate) fn row(change: &Change) -> String {
    format!(
        "{:<25} {:<14} {:>11} -> {:>11} {:<9} {:>9}x as fast, {:>9} beside limit{}",
        change.workload,
        change.contender,
        number(change.then),
        number(change.now),
        change.unit,
        number(change.ratio),
        change
            .beside_limit
            .map_or("-".into(), |ratio| format!("{}x", number(ratio))),
        if change.is_regression { "  SLOWER" } else { "" },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::tests::{lines, outcome};

    fn run(ours: f64, peer: f64, limit: f64) -> Vec<Line> {
        lines(&[
            outcome("ours", ours),
            outcome("peer", peer),
            outcome(LIMIT, limit),
        ])
    }

    fn slower(then: &[Line], now: &[Line], tolerance: f64) -> Vec<String> {
        changes(then, now, tolerance)
            .into_iter()
            .filter(|change| change.is_regression)
            .map(|change| change.contender)
            .collect()
    }

    #[test]
    fn what_slows_down_with_the_limit_is_the_machine() {
        let then = run(100.0, 1000.0, 50.0);
        assert!(slower(&then, &run(300.0, 3000.0, 150.0), 1.25).is_empty());
        assert_eq!(slower(&then, &run(300.0, 3000.0, 50.0), 1.25), ["ours"]);
        assert_eq!(slower(&then, &run(100.0, 1000.0, 25.0), 1.25), ["ours"]);
    }

    #[test]
    fn the_tolerance_is_where_it_is_said_to_be() {
        let then = run(100.0, 1000.0, 50.0);
        assert!(slower(&then, &run(124.0, 1000.0, 50.0), 1.25).is_empty());
        assert_eq!(slower(&then, &run(126.0, 1000.0, 50.0), 1.25), ["ours"]);
        assert!(slower(&then, &run(126.0, 1000.0, 50.0), 1.3).is_empty());
    }

    #[test]
    fn without_a_limit_the_figures_themselves_are_compared() {
        let then = lines(&[outcome("ours", 100.0)]);
        assert_eq!(slower(&then, &run(200.0, 1.0, 1.0), 1.25), ["ours"]);
        assert_eq!(changes(&then, &run(200.0, 1.0, 1.0), 1.25)[0].beside_limit, None);
    }

    #[test]
    fn runs_of_other_sizes_are_not_compared() {
        let then = run(100.0, 1000.0, 50.0);
        let mut now = run(1000.0, 1000.0, 50.0);
        now.iter_mut().for_each(|line| line.count += 1);
        assert_eq!(changes(&then, &now, 1.25), []);
        assert_eq!(changes(&then, &run(50.0, 500.0, 50.0), 1.25)[1].ratio, 2.0);
    }
}
