//! Prints results: an aligned table for people, or one JSON object per line.

use std::io::{self, Write};

use anyhow::Result;
use serde::Serialize;

use crate::contender::{BASE, Contender, LIMIT};
use crate::disk::Disk;
use crate::runner::Outcome;
use crate::stats::Summary;
use crate::workload::{Unit, Workload};

/// One figure, as a line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    workload: &'a str,
    contender: &'a str,
    #[serde(flatten)]
    spread: Spread,
    unit: &'a str,
    contract: &'a str,
    threads: u32,
    bytes: usize,
    count: u64,
    /// Where it was measured; said once, on the line of the disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    dir: Option<String>,
}

#[derive(Serialize)]
struct Spread {
    median: f64,
    min: f64,
    max: f64,
    rounds: usize,
}

impl From<&Summary> for Spread {
    fn from(
        &Summary {
            median,
            min,
            max,
            rounds,
        }: &Summary,
    ) -> Spread {
        let rounded = |figure: f64| (figure * 1000.0).round() / 1000.0;
        Spread {
            median: rounded(median),
            min: rounded(min),
            max: rounded(max),
            rounds,
        }
    }
}

/// Where results go while the comparison runs.
pub(crate) struct Report {
    json: bool,
}

impl Report {
    pub(crate) fn new(json: bool) -> Report {
        Report { json }
    }

    /// Says what the disk itself costs, and heads the table.
    pub(crate) fn disk(&self, disk: &Disk) -> Result<()> {
        let place = match &disk.file_system {
            Some(file_system) => format!("{} ({file_system})", disk.dir.display()),
            None => disk.dir.display().to_string(),
        };
        if self.json {
            return print_json(&Line {
                workload: "disk-fdatasync",
                contender: "disk",
                spread: Spread::from(&disk.fdatasync_us),
                unit: "us/fdatasync",
                contract: "-",
                threads: 1,
                bytes: crate::disk::SECTOR_BYTES,
                count: 1,
                dir: Some(place),
            });
        }
        let Summary {
            median,
            min,
            max,
            rounds,
        } = disk.fdatasync_us;
        println!("written to      {place}");
        println!("disk-fdatasync  {median:.0} us median, {min:.0} to {max:.0} us, {rounds} probes");
        println!("ratios          how many times as fast as the contender that heads the column\n");
        println!("{}", header());
        Ok(io::stdout().flush()?)
    }

    /// Prints one workload. Failures go to standard error.
    pub(crate) fn workload(&self, workload: &Workload, count: u64, outcomes: &[Outcome]) -> Result<()> {
        for outcome in outcomes {
            match &outcome.result {
                Err(error) => eprintln!("error: {}: {error:#}", workload.name),
                Ok(summary) if self.json => print_json(&Line {
                    workload: workload.name,
                    contender: outcome.contender,
                    spread: Spread::from(summary),
                    unit: workload.job.unit().label(),
                    contract: outcome.note.unwrap_or(workload.job.contract()),
                    threads: workload.threads,
                    bytes: workload.bytes,
                    count,
                    dir: None,
                })?,
                Ok(summary) => println!("{}", row(workload, outcome, summary, outcomes)),
            }
        }
        if !self.json {
            println!();
        }
        Ok(io::stdout().flush()?)
    }
}

/// Prints what can be run, with the settings of the contenders.
pub(crate) fn list(workloads: &[&Workload], contenders: &[Box<dyn Contender>]) {
    println!(
        "{:<16} {:<8} {:>7} {:>6}  unit",
        "workload", "contract", "threads", "bytes"
    );
    for workload in workloads {
        let (contract, unit) = (workload.job.contract(), workload.job.unit().label());
        println!(
            "{:<16} {contract:<8} {:>7} {:>6}  {unit}",
            workload.name, workload.threads, workload.bytes
        );
    }
    println!("\nC1: survives a kill of the process when the call returns. C2: survives power loss.\n");
    for contender in contenders {
        println!("{:<14} {}", contender.name(), contender.settings());
    }
}

fn print_json(line: &Line) -> Result<()> {
    println!("{}", serde_json::to_string(line)?);
    Ok(io::stdout().flush()?)
}

fn header() -> String {
    format!(
        "{:<16} {:<14} {:>12} {:>12} {:>12}  {:<10} {:>8} {:>8}  {}",
        "workload", "contender", "median", "min", "max", "unit", "/1.1.0", "/limit", "contract"
    )
}

fn row(workload: &Workload, outcome: &Outcome, summary: &Summary, outcomes: &[Outcome]) -> String {
    let unit = workload.job.unit();
    format!(
        "{:<16} {:<14} {:>12} {:>12} {:>12}  {:<10} {:>8} {:>8}  {}",
        workload.name,
        outcome.contender,
        number(summary.median),
        number(summary.min),
        number(summary.max),
        unit.label(),
        ratio(unit, summary, BASE, outcomes),
        ratio(unit, summary, LIMIT, outcomes),
        outcome.note.unwrap_or(workload.job.contract()),
    )
}

fn ratio(unit: Unit, summary: &Summary, base: &str, outcomes: &[Outcome]) -> String {
    let base = outcomes.iter().find(|outcome| outcome.contender == base);
    match base.and_then(|outcome| outcome.result.as_ref().ok()) {
        Some(base) => format!("{}x", number(unit.speed_ratio(summary.median, base.median))),
        None => "-".into(),
    }
}

/// Three significant digits or more.
fn number(figure: f64) -> String {
    let decimals = match figure {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        0.1.. => 3,
        0.01.. => 4,
        _ => 6,
    };
    format!("{figure:.decimals$}")
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;
    use crate::workload::WORKLOADS;

    fn summary(median: f64) -> Summary {
        Summary {
            median,
            min: median / 2.0,
            max: median * 2.0,
            rounds: 5,
        }
    }

    #[test]
    fn a_row_lines_up_with_the_header_and_compares_with_both_bases() {
        let outcomes = [
            Outcome {
                contender: "ours",
                note: None,
                result: Ok(summary(50.0)),
            },
            Outcome {
                contender: BASE,
                note: None,
                result: Ok(summary(1000.0)),
            },
            Outcome {
                contender: LIMIT,
                note: None,
                result: Ok(summary(25.0)),
            },
        ];
        let row = row(&WORKLOADS[0], &outcomes[0], &summary(50.0), &outcomes);
        assert!(row.contains(" 20.0x ") && row.contains(" 0.500x "), "{row}");
        assert_eq!(header().find("contract"), row.find("C1"));
    }

    #[test]
    fn no_ratio_is_made_from_a_failed_base() {
        let outcomes = [Outcome {
            contender: BASE,
            note: None,
            result: Err(anyhow!("lost a record")),
        }];
        assert_eq!(ratio(Unit::NsPerRecord, &summary(50.0), BASE, &outcomes), "-");
        assert_eq!(ratio(Unit::NsPerRecord, &summary(50.0), LIMIT, &outcomes), "-");
    }
}
