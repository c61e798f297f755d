//! How long it takes to verify a long log, by how many threads.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, ensure};
use clap::Args;
use wal_db::{
    Wal, WalConfig,
    recovery::{self, VerifyConfig},
};

use crate::threads;

#[derive(Args)]
pub(crate) struct Verify {
    /// How long the log is.
    #[arg(long, value_name = "N", default_value_t = 4)]
    gib: u64,
    /// Bytes of a record.
    #[arg(long, value_name = "BYTES", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(8..))]
    record: u32,
    /// The most threads, as many as there are processors if it is not given. 1, 2, 4 and so on below it are measured, too.
    #[arg(long, value_name = "T")]
    threads: Option<usize>,
    /// How often each has its turn.
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: usize,
    /// Where the log is written.
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    dir: PathBuf,
}

const SEGMENT: u64 = 256 << 20;

pub(crate) fn run(args: &Verify) -> Result<bool> {
    let root = tempfile::Builder::new()
        .prefix("wal-benches-")
        .tempdir_in(&args.dir)?;
    let records = (args.gib << 30) / u64::from(args.record);
    let wal = Wal::open_segmented_with(root.path().join("log"), SEGMENT, WalConfig::new())?;
    let payload: Vec<u8> = (0..args.record).map(|at| at as u8).collect();
    for _ in 0..records {
        let _lsn = wal.append(&payload)?;
    }
    wal.sync()?;

    let counts = threads::counts(args.threads)?;
    let mut seconds: Vec<Vec<f64>> = vec![Vec::new(); counts.len()];
    for _ in 0..args.rounds.max(1) {
        for (&threads, seconds) in counts.iter().zip(&mut seconds) {
            let start = Instant::now();
            let report = recovery::verify(&wal, &VerifyConfig::new().with_threads(threads))?;
            seconds.push(start.elapsed().as_secs_f64());
            ensure!(
                report.is_intact() && report.records == records,
                "not what was written: {report:?}"
            );
        }
    }
    println!(
        "{records} records of {} bytes, {} rounds, medians",
        args.record,
        args.rounds.max(1)
    );
    println!(
        "{:>8}{:>10}{:>10}{:>16}",
        "threads", "s", "GiB/s", "of one thread"
    );
    let medians = threads::medians(&seconds)?;
    for (threads, median) in counts.iter().zip(&medians) {
        let rate = args.gib as f64 / median;
        println!(
            "{threads:>8}{median:>10.2}{rate:>10.2}{:>15.2}x",
            medians[0] / median
        );
    }
    Ok(true)
}
