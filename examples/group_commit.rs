//! Group commit: threads that want durability at the same time share a flush, so commits per second grow with the threads
//! while flushes per second do not.
//!
//! Prints, for 1, 8 and 32 threads, the commits per second and how many records a flush took along, which is known from the
//! log itself: what one flush writes is one group.

#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::{thread, time::Instant};

use wal_db::Wal;

const COMMITS: usize = 3_200;
const RECORD: [u8; 256] = [7; 256];

fn main() -> anyhow::Result<()> {
    // A temporary directory is often one in memory, where a flush costs nothing; the build directory is on a disk.
    let mut beside = std::env::current_exe()?;
    beside.pop();
    println!("{COMMITS} durable commits of {} bytes", RECORD.len());
    println!("threads  commits/s  records per flush");
    for threads in [1, 8, 32] {
        let dir = tempfile::tempdir_in(&beside)?;
        let wal = Wal::open_segmented(dir.path().join("log"), 64 << 20)?;

        let begun = Instant::now();
        thread::scope(|scope| {
            let workers: Vec<_> = (0..threads)
                .map(|_| scope.spawn(|| commit(&wal, COMMITS / threads)))
                .collect();
            workers
                .into_iter()
                .try_for_each(|worker| worker.join().expect("a worker does not panic"))
        })?;
        let seconds = begun.elapsed().as_secs_f64();

        let read = wal.verify()?;
        println!(
            "{threads:>7}  {:>9.0}  {:>17.1}",
            COMMITS as f64 / seconds,
            read.records as f64 / read.groups as f64
        );
    }
    Ok(())
}

fn commit(wal: &Wal, commits: usize) -> wal_db::Result<()> {
    for _ in 0..commits {
        // Returns once the record survives a power cut.
        wal.append_and_sync(&RECORD)?;
    }
    Ok(())
}
