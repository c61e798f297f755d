//! The limit of appending through many small files: as `append`, each thread has files of its own, and flushes each when
//! it is full. So the longest call holds one fdatasync of a file.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;

use super::{APPEND_BLOCK_BYTES, Blocks, FRAME_BYTES, create, show};
use crate::load::{Check, Load};
use crate::measured::{Fact, Measured};
use crate::ours::SMALL_SEGMENT_BYTES;

pub(super) fn append(dir: &Path, load: &Load, check: &mut Check) -> Result<Measured> {
    let files = AtomicU64::new(0);
    let path = |number: u64| -> PathBuf { dir.join(number.to_string()) };
    let per_file = SMALL_SEGMENT_BYTES / (FRAME_BYTES + load.bytes) as u64;
    let elapsed = load.drive(|payloads| {
        while !payloads.left.is_empty() {
            let file = create(&path(files.fetch_add(1, Ordering::Relaxed)), APPEND_BLOCK_BYTES)?;
            let next = AtomicU64::new(0);
            let mut blocks = Blocks::new(&file, &next, APPEND_BLOCK_BYTES);
            for _ in 0..per_file {
                let Some(payload) = payloads.next_payload() else {
                    break;
                };
                blocks.push(payload)?;
            }
            blocks.write()?;
            file.sync_data()?;
        }
        Ok(())
    })?;
    let files = files.into_inner();
    for number in 0..files {
        show(&File::open(path(number))?, check)?;
    }
    Ok(Measured::time(elapsed).with(Fact::new("segments", files as f64, "files")))
}
