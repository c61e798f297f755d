//! Crash images by the million, and the figures: `cargo run --release -p wal-tests --bin crash`.
//!
//! `--images N` (1,000,000), `--seed S` (1), `--threads T` (one for each processor), `--json`; `--design wal-db-1.1.0` for the
//! existing crate of the same name, and `--lies` for a disk whose flushes do nothing, which have to fail. The exit code is
//! 1 if any promise was broken.
#![allow(clippy::print_stdout, clippy::print_stderr)] // a command

use std::{process::ExitCode, time::Instant};

use wal_tests::sim::{
    campaign::{self, Figures, Plan},
    log::Design,
};

fn main() -> ExitCode {
    let (plan, json) = match arguments(std::env::args().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => return with_the_peer(),
        Err(wrong) => {
            eprintln!(
                "{wrong}\nusage: crash [--images N] [--seed S] [--threads T] [--json] [--lies] [--design ours|{PEER}]"
            );
            return ExitCode::from(2);
        }
    };
    let start = Instant::now();
    let figures = campaign::run(plan);
    let seconds = start.elapsed().as_secs_f64();
    let rows = rows(&figures);
    if json {
        let fields: Vec<_> = rows.iter().map(|(_, key, n)| format!("\"{key}\": {n}")).collect();
        let fields = fields.join(", ");
        println!(
            "{{\"design\": \"{}\", \"seed\": {}, {fields}, \"seconds\": {seconds:.1}}}",
            if plan.design == Design::Ours { "ours" } else { PEER },
            plan.seed
        );
    } else {
        for (name, _, number) in rows {
            println!("{name:<52}{number:>12}");
        }
        println!("{:<52}{seconds:>12.1}", "seconds");
    }
    for finding in &figures.findings {
        eprintln!("\n{finding}");
    }
    if figures.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn rows(figures: &Figures) -> [(&'static str, &'static str, u64); 20] {
    let damaged = figures.damaged;
    [
        ("runs", "runs", figures.runs),
        ("moments at which the power was lost", "points", figures.points),
        ("  of them with every subset", "exhaustive", figures.exhaustive),
        ("segments that were begun", "rotations", figures.rotations),
        ("segments that were removed", "removals", figures.removals),
        ("crash images", "images", figures.images),
        (
            "  of them second crashes, inside a recovery",
            "inside",
            figures.inside,
        ),
        (
            "  of them second crashes, after the flush after it",
            "behind",
            figures.behind,
        ),
        (
            "  of them of a process that died, no power loss",
            "deaths",
            figures.deaths,
        ),
        ("distinct images of a run", "distinct", figures.distinct),
        ("refused", "refused", figures.refused),
        ("resurrected", "resurrected", figures.resurrected),
        ("lost in the last flush", "lost_last", figures.lost_last),
        ("lost earlier", "lost_earlier", figures.lost_earlier),
        ("otherwise broken", "broken", figures.broken),
        ("damaged images", "damaged", damaged.images),
        ("  refused", "damaged_refused", damaged.refused),
        ("  read identical", "damaged_identical", damaged.identical),
        (
            "  zeroed in the last flush, read as torn",
            "damaged_torn",
            damaged.torn,
        ),
        ("  silently lost or changed", "damaged_silent", damaged.silent),
    ]
}

const PEER: &str = "wal-db-1.1.0";

#[cfg(feature = "wal-db-1-1-0")]
fn peer() -> Option<Design> {
    Some(Design::WalDb110)
}

#[cfg(not(feature = "wal-db-1-1-0"))]
fn peer() -> Option<Design> {
    None
}

/// Builds this program again, with the crate that nobody else needs, and runs it.
fn with_the_peer() -> ExitCode {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let build = ["run", "--quiet", "--release", "-p", "wal-tests", "--bin", "crash"];
    let status = std::process::Command::new(cargo)
        .args(build)
        .args(["--features", "wal-db-1-1-0", "--"])
        .args(std::env::args_os().skip(1))
        .status();
    match status {
        Ok(status) => status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .map_or(ExitCode::FAILURE, ExitCode::from),
        Err(error) => {
            eprintln!("cargo does not run: {error}");
            ExitCode::from(2)
        }
    }
}

/// What was asked for; nothing if it takes another build.
fn arguments(mut given: impl Iterator<Item = String>) -> Result<Option<(Plan, bool)>, String> {
    let mut plan = Plan {
        seed: 1,
        images: 1_000_000,
        lies: false,
        design: Design::Ours,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
    };
    let mut json = false;
    while let Some(name) = given.next() {
        let mut number = || {
            let text = given.next().ok_or(format!("{name} needs a number"))?;
            text.parse::<u64>()
                .map_err(|error| format!("{name} {text}: {error}"))
        };
        match name.as_str() {
            "--images" => plan.images = number()?,
            "--seed" => plan.seed = number()?,
            "--threads" => plan.threads = number()? as usize,
            "--json" => json = true,
            "--lies" => plan.lies = true,
            "--design" => match (given.next().as_deref(), peer()) {
                (Some("ours"), _) => {}
                (Some(PEER), Some(peer)) => plan.design = peer,
                (Some(PEER), None) => return Ok(None),
                (other, _) => return Err(format!("{name} {}: not a design", other.unwrap_or_default())),
            },
            _ => return Err(format!("{name} is not an option")),
        }
    }
    Ok(Some((plan, json)))
}
