//! The log of this workspace, committed to by tasks: one thread polls one for each of the workload's threads, as with
//! the peer that is asynchronous.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures::executor::block_on;
use futures::future::try_join_all;

use super::{Ours, open};
use crate::contender::Contender;
use crate::load::{Check, Load, Tally};
use crate::workload::Job;

pub(crate) struct OursInTasks;

impl Contender for OursInTasks {
    fn name(&self) -> &'static str {
        "ours-in-tasks"
    }

    fn settings(&self) -> &'static str {
        "ours, where a task awaits the ticket of each commit; one thread polls all tasks"
    }

    fn note(&self, _: Job) -> Option<&'static str> {
        Some("tasks of one thread")
    }

    fn supports(&self, job: Job) -> bool {
        job == Job::Commit
    }

    fn append(&self, dir: &Path, load: &Load, check: &mut Check) -> Result<Duration> {
        Ours.append(dir, load, check)
    }

    fn commit(&self, dir: &Path, load: &Load, check: &mut Check) -> Result<Duration> {
        let wal = open(dir)?;
        let tasks = (0..load.threads).map(|thread| {
            let (wal, mut payloads) = (wal.clone(), load.payloads(thread));
            async move {
                while let Some(payload) = payloads.next_payload() {
                    let _lsn = wal.ticket(wal.append(payload)?)?.await?;
                }
                anyhow::Ok(())
            }
        });
        let tasks = try_join_all(tasks);
        let start = Instant::now();
        let _: Vec<()> = block_on(tasks)?;
        let elapsed = start.elapsed();
        wal.close()?;
        self.read_back(dir, check)?;
        Ok(elapsed)
    }

    fn replay(&self, dir: &Path, check: &mut Check) -> Result<(Duration, Tally)> {
        Ours.replay(dir, check)
    }

    fn open(&self, dir: &Path) -> Result<Duration> {
        Ours.open(dir)
    }

    fn read_back(&self, dir: &Path, check: &mut Check) -> Result<()> {
        Ours.read_back(dir, check)
    }
}
