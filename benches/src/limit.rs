//! The limit: the bare system calls and memory copies that each job needs, and nothing a log adds.
//!
//! It is a floor to measure the distance from, not a log, and it promises less than its contract:
//!
//! - *append*: copy the record and its crc32 into a buffer, write the buffer to a new file with one
//!   pwrite per MiB. Records in the buffer would be lost with the process. Each thread has a buffer and
//!   they share nothing but the place of the next MiB. All work is done by the appending threads: a
//!   log that writes from another core can be faster than this.
//! - *append through small files*: as *append*; each thread has files of its own, and flushes each when it is full.
//! - *commit*: group commit without the hand-over. One thread writes the records of all N threads with
//!   one pwrite, aligned to whole sectors, and one fdatasync, into a file that was written full of
//!   zeros before, so that no file metadata has to follow.
//! - *bursts*: the copy and the crc32 alone; what a burst leaves in the buffer is written when it is over.
//! - *replay*: sequential reads of 1 MiB, crc32 of each record.
//! - *reads by position*: one pread of the record, crc32.
//! - *open*: open, lock, fstat, and one read of 4 KiB.
//! - *typed*: the codec alone, see `typed`.
//!
//! The file is a header page and then blocks of one size. A block holds frames `[crc32][length][payload]`
//! and ends where a frame would have the length zero, or with the file.

mod in_threads;
mod rotating;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::contender::{Contender, LIMIT};
use crate::disk::{self, SECTOR_BYTES};
use crate::load::{Check, Load, Payloads, Tally, in_random_order, stamp};
use crate::measured::Measured;
use crate::typed;
use crate::workload::{Extra, Job, Typed};

pub(crate) use in_threads::LimitInThreads;

const FILE: &str = "limit";
const HEADER_BYTES: usize = 4096;
const FRAME_BYTES: usize = 8;
const APPEND_BLOCK_BYTES: usize = 1 << 20;

pub(crate) struct Limit;

impl Contender for Limit {
    fn name(&self) -> &'static str {
        LIMIT
    }

    fn settings(&self) -> &'static str {
        "no log: memory copy + crc32 + 1 MiB pwrites; one pwrite + fdatasync per N; 1 MiB reads + crc32"
    }

    fn supports(&self, job: Job) -> bool {
        !matches!(job, Job::AppendBatch(_))
    }

    fn supports_extra(&self, extra: Extra) -> bool {
        matches!(extra, Extra::PointReads | Extra::AppendRotating)
    }

    fn extra(&self, extra: Extra, dir: &Path, load: &Load, check: &mut Check) -> Result<Measured> {
        match extra {
            Extra::PointReads => point_reads(dir, load, check),
            Extra::AppendRotating => rotating::append(dir, load, check),
            _ => bail!("the limit cannot {extra:?}"),
        }
    }

    fn typed(&self, job: Typed, dir: &Path, count: u64) -> Result<Duration> {
        typed::codec(job, dir, count)
    }

    fn append(&self, dir: &Path, load: &Load, check: &mut Check) -> Result<Duration> {
        let block_bytes = match load.burst() {
            Some(records) => records as usize * (FRAME_BYTES + load.bytes),
            None => APPEND_BLOCK_BYTES,
        };
        let file = create(&dir.join(FILE), block_bytes)?;
        let next = AtomicU64::new(0);
        let elapsed = load.drive(|payloads| append_all(Blocks::new(&file, &next, block_bytes), payloads))?;
        show(&file, check)?;
        Ok(elapsed)
    }

    fn commit(&self, dir: &Path, load: &Load, check: &mut Check) -> Result<Duration> {
        let groups = load.count / u64::from(load.threads);
        let (file, block_bytes) = file_of_groups(dir, load)?;

        let mut threads: Vec<_> = (0..load.threads).map(|thread| load.payloads(thread)).collect();
        let mut block = Vec::with_capacity(block_bytes);
        let start = Instant::now();
        for group in 0..groups {
            block.clear();
            for payload in threads.iter_mut().filter_map(Payloads::next_payload) {
                push_frame(&mut block, payload);
            }
            block.resize(block_bytes, 0);
            file.write_all_at(&block, block_offset(group, block_bytes))?;
            file.sync_data()?;
        }
        let elapsed = start.elapsed();
        show(&file, check)?;
        Ok(elapsed)
    }

    fn replay(&self, dir: &Path, check: &mut Check) -> Result<(Duration, Tally)> {
        let file = File::open(dir.join(FILE))?;
        let mut tally = Tally::default();
        let start = Instant::now();
        walk(&file, |payload| {
            tally.add(payload);
            Ok(())
        })?;
        let elapsed = start.elapsed();
        show(&file, check)?;
        Ok((elapsed, tally))
    }

    fn open(&self, dir: &Path) -> Result<Duration> {
        let path = dir.join(FILE);
        let start = Instant::now();
        let file = File::options().read(true).write(true).open(path)?;
        file.try_lock()?;
        let len = file.metadata()?.len();
        let block_bytes = read_header(&file)?;
        let elapsed = start.elapsed();
        ensure!(len > 0 && block_bytes > 0, "the file is empty");
        Ok(elapsed)
    }

    fn read_back(&self, dir: &Path, check: &mut Check) -> Result<()> {
        show(&File::open(dir.join(FILE))?, check)
    }
}

fn point_reads(dir: &Path, load: &Load, check: &mut Check) -> Result<Measured> {
    let file = File::open(dir.join(FILE))?;
    let frame_bytes = FRAME_BYTES + load.bytes;
    let per_block = (APPEND_BLOCK_BYTES / frame_bytes) as u64;
    let mut frame = vec![0; frame_bytes];
    let elapsed = in_random_order(load.count, |number| {
        let block = block_offset(number / per_block, APPEND_BLOCK_BYTES);
        file.read_exact_at(&mut frame, block + number % per_block * frame_bytes as u64)?;
        walk_block(&frame, &mut |payload| {
            ensure!(stamp(payload) == Some((0, number)), "another record is there");
            Ok(())
        })
    })?;
    show(&file, check)?;
    Ok(Measured::time(elapsed))
}

/// A file full of zeros for groups of one record of each thread, and how long the block of a group is.
fn file_of_groups(dir: &Path, load: &Load) -> Result<(File, usize)> {
    let group_bytes = load.threads as usize * (FRAME_BYTES + load.bytes);
    let block_bytes = group_bytes.next_multiple_of(SECTOR_BYTES);
    let groups = load.count / u64::from(load.threads);
    let file = disk::zeroed(&dir.join(FILE), block_offset(groups, block_bytes))?;
    write_header(&file, block_bytes)?;
    file.sync_all()?;
    Ok((file, block_bytes))
}

/// Called, not inlined, as that of ours.
#[inline(never)]
fn append_all(mut blocks: Blocks, payloads: &mut Payloads) -> Result<()> {
    while let Some(payload) = payloads.next_payload() {
        blocks.push(payload)?;
        if payloads.burst_over() {
            blocks.write()?;
        }
    }
    blocks.write()
}

/// Collects frames, and writes them a block at a time to the next free place of a file.
struct Blocks<'a> {
    file: &'a File,
    next: &'a AtomicU64,
    block_bytes: usize,
    block: Vec<u8>,
}

impl<'a> Blocks<'a> {
    fn new(file: &'a File, next: &'a AtomicU64, block_bytes: usize) -> Blocks<'a> {
        let block = Vec::with_capacity(block_bytes);
        Blocks {
            file,
            next,
            block_bytes,
            block,
        }
    }

    #[inline]
    fn push(&mut self, payload: &[u8]) -> Result<()> {
        if self.block.len() + FRAME_BYTES + payload.len() > self.block_bytes {
            self.write()?;
        }
        push_frame(&mut self.block, payload);
        Ok(())
    }

    fn write(&mut self) -> Result<()> {
        if !self.block.is_empty() {
            let place = self.next.fetch_add(1, Ordering::Relaxed);
            self.file
                .write_all_at(&self.block, block_offset(place, self.block_bytes))?;
            self.block.clear();
        }
        Ok(())
    }
}

/// A new file for blocks of `block_bytes`.
fn create(path: &Path, block_bytes: usize) -> Result<File> {
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)?;
    write_header(&file, block_bytes)?;
    Ok(file)
}

#[inline]
fn push_frame(block: &mut Vec<u8>, payload: &[u8]) {
    let mut head = [0; FRAME_BYTES];
    head[..4].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
    head[4..].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    block.extend_from_slice(&head);
    block.extend_from_slice(payload);
}

fn show(file: &File, check: &mut Check) -> Result<()> {
    walk(file, |payload| check.see(payload))
}

/// Reads block after block and hands out every payload whose checksum is right.
fn walk(file: &File, mut visit: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let block_bytes = read_header(file)?;
    let file_bytes = file.metadata()?.len();
    let mut block = vec![0; block_bytes];
    for index in 0.. {
        let offset = block_offset(index, block_bytes);
        if offset >= file_bytes {
            break;
        }
        let present = (file_bytes - offset).min(block_bytes as u64) as usize;
        file.read_exact_at(&mut block[..present], offset)?;
        walk_block(&block[..present], &mut visit)?;
    }
    Ok(())
}

#[inline]
fn walk_block(mut rest: &[u8], visit: &mut impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    while let Some((crc, after_crc)) = rest.split_first_chunk() {
        let Some((len, body)) = after_crc.split_first_chunk() else {
            break;
        };
        let len = u32::from_le_bytes(*len) as usize;
        if len == 0 {
            break;
        }
        let payload = body.get(..len).context("a frame is longer than its block")?;
        ensure!(
            crc32fast::hash(payload) == u32::from_le_bytes(*crc),
            "a checksum does not match"
        );
        visit(payload)?;
        rest = &body[len..];
    }
    Ok(())
}

fn block_offset(index: u64, block_bytes: usize) -> u64 {
    HEADER_BYTES as u64 + index * block_bytes as u64
}

fn write_header(file: &File, block_bytes: usize) -> Result<()> {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(&(block_bytes as u64).to_le_bytes());
    Ok(file.write_all_at(&header, 0)?)
}

fn read_header(file: &File) -> Result<usize> {
    let mut header = [0; HEADER_BYTES];
    file.read_exact_at(&mut header, 0)?;
    let (block_bytes, _) = header.split_first_chunk().context("the header is short")?;
    Ok(u64::from_le_bytes(*block_bytes) as usize)
}
