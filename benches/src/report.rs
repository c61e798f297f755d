//! Prints results: an aligned table for people, or one JSON object per line.

use std::io::{self, Write};

use anyhow::Result;

use crate::against::{self, Change};
use crate::contender::Contender;
use crate::disk::Disk;
use crate::line::{Line, SavedFact};
use crate::measured::Outcome;
use crate::plot::Curve;
use crate::stats::Summary;
use crate::table;
use crate::workload::{When, Workload};

/// Where results go while the comparison runs.
pub(crate) struct Report {
    json: bool,
    /// All that were reported.
    pub(crate) lines: Vec<Line>,
    /// What percentiles are drawn from.
    pub(crate) curves: Vec<Curve>,
}

impl Report {
    pub(crate) fn new(json: bool) -> Report {
        Report {
            json,
            lines: Vec::new(),
            curves: Vec::new(),
        }
    }

    /// Says what the disk itself and the clock cost, and heads the table.
    pub(crate) fn disk(&mut self, disk: &Disk, clock_ns: f64) -> Result<()> {
        let place = match &disk.file_system {
            Some(file_system) => format!("{} ({file_system})", disk.dir.display()),
            None => disk.dir.display().to_string(),
        };
        let Summary {
            median,
            min,
            max,
            rounds,
        } = disk.fdatasync_us.rounded();
        if !self.json {
            println!("written to      {place}");
            println!("disk-fdatasync  {median:.0} us median, {min:.0} to {max:.0} us, {rounds} probes");
            println!("clock           {clock_ns:.0} ns a reading; each latency holds one");
            println!("ratios          how many times as fast as the contender that heads the column\n");
            println!("{}", table::header());
        }
        self.keep(Line {
            workload: "disk-fdatasync".into(),
            contender: "disk".into(),
            median,
            min,
            max,
            rounds,
            unit: "us/fdatasync".into(),
            contract: "-".into(),
            threads: 1,
            bytes: crate::disk::SECTOR_BYTES,
            count: 1,
            to_base: None,
            to_limit: None,
            latency_ns: None,
            facts: vec![SavedFact {
                name: "clock".into(),
                value: clock_ns,
                unit: "ns/reading".into(),
            }],
            dir: Some(place),
        })?;
        Ok(io::stdout().flush()?)
    }

    /// Prints one workload. Failures go to standard error.
    pub(crate) fn workload(&mut self, workload: &Workload, count: u64, outcomes: &[Outcome]) -> Result<()> {
        let before = self.lines.len();
        for outcome in outcomes {
            match &outcome.result {
                Err(error) => eprintln!("error: {}: {error:#}", workload.name),
                Ok(findings) => self
                    .curves
                    .extend(findings.latencies.as_ref().map(|latencies| Curve {
                        workload: workload.name,
                        contender: outcome.contender,
                        latencies: latencies.clone(),
                    })),
            }
            if let Some(line) = Line::of(workload, count, outcome, outcomes) {
                if !self.json {
                    println!("{}", table::row(&line));
                }
                self.keep(line)?;
            }
        }
        if !self.json && !outcomes.is_empty() {
            for detail in table::details(&self.lines[before..]) {
                println!("{detail}");
            }
            println!();
        }
        Ok(io::stdout().flush()?)
    }

    /// Prints what changed, and returns whether all of it may be.
    pub(crate) fn changes(&self, changes: &[Change]) -> Result<bool> {
        for change in changes {
            if self.json {
                println!("{}", serde_json::to_string(change)?);
            } else {
                println!("{}", against::row(change));
            }
        }
        let slower = changes.iter().filter(|change| change.is_regression);
        slower.clone().for_each(|change| {
            eprintln!(
                "error: {}: {} got slower than the tolerance",
                change.workload, change.contender
            );
        });
        Ok(slower.count() == 0)
    }

    fn keep(&mut self, line: Line) -> Result<()> {
        if self.json {
            println!("{}", serde_json::to_string(&line)?);
        }
        self.lines.push(line);
        Ok(())
    }
}

/// Prints what can be run, with the settings of the contenders.
pub(crate) fn list(workloads: &[&Workload], contenders: &[Box<dyn Contender>]) {
    println!(
        "{:<25} {:<8} {:>7} {:>6}  {:<10} run",
        "workload", "contract", "threads", "bytes", "unit"
    );
    for workload in workloads {
        let (contract, unit) = (workload.job.contract(), workload.job.unit().label());
        let when = match workload.when {
            When::Always => "always",
            When::Unhurried => "not with --quick",
            When::All => "with --all or by name",
        };
        println!(
            "{:<25} {contract:<8} {:>7} {:>6}  {unit:<10} {when}",
            workload.name, workload.threads, workload.bytes
        );
    }
    println!("\nC1: survives a kill of the process when the call returns. C2: survives power loss.\n");
    for contender in contenders {
        println!("{:<14} {}", contender.name(), contender.settings());
    }
}
