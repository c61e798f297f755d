//! The table for people.

use crate::contender::{BASE, LIMIT};
use crate::line::{Line, SavedFact};

/// The head of the table, as wide as its rows.
pub(crate) fn header() -> String {
    format!(
        "{:<25} {:<14} {:>11} {:>11} {:>11}  {:<9} {:>9} {:>9}  {}",
        "workload", "contender", "median", "min", "max", "unit", "/1.1.0", "/limit", "contract"
    )
}

pub(crate) fn row(line: &Line) -> String {
    format!(
        "{:<25} {:<14} {:>11} {:>11} {:>11}  {:<9} {:>9} {:>9}  {}",
        line.workload,
        line.contender,
        number(line.median),
        number(line.min),
        number(line.max),
        line.unit,
        times(line.to_base),
        times(line.to_limit),
        line.contract,
    )
}

/// What is told of a workload beneath its rows.
pub(crate) fn details(lines: &[Line]) -> Vec<String> {
    let p999 = |contender: &str| {
        let line = lines.iter().find(|line| line.contender == contender)?;
        Some(line.latency_ns?.p999 as f64)
    };
    let latencies = lines.iter().filter_map(|line| {
        let told = line.latency_ns?;
        let ratio = |base: Option<f64>| times(base.map(|base| base / told.p999.max(1) as f64));
        let us = |ns: u64| number(ns as f64 / 1e3);
        Some(format!(
            "  {:<23} {:<14} p50 {:>9}  p99 {:>9}  p99.9 {:>9}  max {:>9} us; p99.9 {:>7} {:>7}",
            "latency",
            line.contender,
            us(told.p50),
            us(told.p99),
            us(told.p999),
            us(told.max),
            ratio(p999(BASE)),
            ratio(p999(LIMIT)),
        ))
    });
    let facts = lines.iter().filter(|line| !line.facts.is_empty()).map(|line| {
        let facts: Vec<_> = line.facts.iter().map(fact).collect();
        format!("  {:<23} {:<14} {}", "besides", line.contender, facts.join(", "))
    });
    latencies.chain(facts).collect()
}

fn fact(SavedFact { name, value, unit }: &SavedFact) -> String {
    format!("{name} {} {unit}", number(*value))
}

fn times(ratio: Option<f64>) -> String {
    ratio.map_or("-".into(), |ratio| format!("{}x", number(ratio)))
}

/// Three significant digits or more.
pub(crate) fn number(figure: f64) -> String {
    let decimals = match figure.abs() {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        0.1.. => 3,
        0.01.. => 4,
        0.0 => 0,
        _ => 6,
    };
    format!("{figure:.decimals$}")
}

#[cfg(test)]
pub(crate) mod tests {
    use anyhow::anyhow;

    use super::*;
    use crate::latency::Percentiles;
    use crate::measured::{Fact, Findings, Outcome};
    use crate::stats::Summary;
    use crate::workload::WORKLOADS;

    pub(crate) fn outcome(contender: &'static str, median: f64) -> Outcome {
        Outcome {
            contender,
            note: None,
            result: Ok(Findings {
                summary: Summary {
                    median,
                    min: median / 2.0,
                    max: median * 2.0,
                    rounds: 5,
                },
                latencies: None,
                facts: vec![Fact::new("truncations", 12.0, "calls")],
            }),
        }
    }

    pub(crate) fn lines(outcomes: &[Outcome]) -> Vec<Line> {
        let line = |outcome| Line::of(&WORKLOADS[0], 100, outcome, outcomes);
        outcomes.iter().filter_map(line).collect()
    }

    fn percentiles(p999: u64) -> Option<Percentiles> {
        Some(Percentiles {
            p50: 100,
            p99: 1_000,
            p999,
            max: 50_000_000,
            samples: 9,
        })
    }

    #[test]
    fn a_row_lines_up_with_the_header_and_compares_with_both_bases() {
        let lines = lines(&[outcome("ours", 50.0), outcome(BASE, 1000.0), outcome(LIMIT, 25.0)]);
        let row = row(&lines[0]);
        assert!(row.contains(" 20.0x ") && row.contains(" 0.500x "), "{row}");
        assert_eq!(header().find("contract"), row.find("C1"));
    }

    #[test]
    fn every_name_fits_its_column() {
        let mut line = lines(&[outcome("ours", 50.0)]).remove(0);
        for workload in WORKLOADS {
            line.workload = workload.name.into();
            line.unit = workload.job.unit().label().into();
            assert_eq!(
                row(&line).find("C1"),
                header().find("contract"),
                "{}",
                workload.name
            );
        }
    }

    #[test]
    fn no_ratio_is_made_from_a_failed_base() {
        let failed = Outcome {
            contender: BASE,
            note: None,
            result: Err(anyhow!("lost a record")),
        };
        let lines = lines(&[outcome("ours", 50.0), failed]);
        assert_eq!(lines.len(), 1);
        assert_eq!((lines[0].to_base, lines[0].to_limit), (None, None));
    }

    #[test]
    fn latencies_are_compared_at_the_same_percentile_and_facts_stand_below() {
        let mut lines = lines(&[outcome("ours", 50.0), outcome(BASE, 1000.0)]);
        lines[0].latency_ns = percentiles(2_000);
        lines[1].latency_ns = percentiles(12_000);
        lines[1].facts.clear();
        let details = details(&lines);
        assert_eq!(details.len(), 3);
        assert!(
            details[0].contains("p99.9      2.00") && details[0].contains(" 6.00x"),
            "{details:?}"
        );
        assert!(details[1].contains(" 1.00x"), "{details:?}");
        assert!(details[2].ends_with("truncations 12.0 calls"), "{details:?}");
    }
}
