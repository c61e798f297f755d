//! The disk under the comparison: its flush cost, its file system, and how to let it settle.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use rustix::fs::{Advice, fadvise};

use crate::stats::Summary;

pub(crate) const SECTOR_BYTES: usize = 512;
const PROBES: usize = 200;

/// What was measured of the disk itself.
pub(crate) struct Disk {
    pub(crate) dir: PathBuf,
    /// Type and mount point, where the system tells.
    pub(crate) file_system: Option<String>,
    /// Microseconds of one fdatasync after one sector was written.
    pub(crate) fdatasync_us: Summary,
}

/// Times fdatasync in `dir`: one new sector at a time, in a file that is already written full, so
/// that no file metadata has to reach the disk with it.
pub(crate) fn probe(dir: &Path) -> Result<Disk> {
    let path = dir.join("probe");
    let file = zeroed(&path, (PROBES * SECTOR_BYTES) as u64)?;
    let mut samples = Vec::with_capacity(PROBES);
    for probe in 0..PROBES {
        file.write_all_at(&[1; SECTOR_BYTES], (probe * SECTOR_BYTES) as u64)?;
        let start = Instant::now();
        file.sync_data()?;
        samples.push(start.elapsed().as_secs_f64() * 1e6);
    }
    fs::remove_file(path)?;
    let fdatasync_us = Summary::of(&samples).context("no probe was made")?;
    Ok(Disk {
        dir: dir.to_path_buf(),
        file_system: file_system(dir),
        fdatasync_us,
    })
}

/// Creates a file of `len` written and durable zero bytes.
pub(crate) fn zeroed(path: &Path, len: u64) -> io::Result<File> {
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)?;
    let zeros = vec![0; 1 << 20];
    let mut offset = 0;
    while offset < len {
        let part = (len - offset).min(zeros.len() as u64);
        file.write_all_at(&zeros[..part as usize], offset)?;
        offset += part;
    }
    file.sync_all()?;
    Ok(file)
}

/// Writes back what an earlier run left under `dir`, so that the next one does not pay for it. The
/// sync of the directory also carries out earlier removals.
pub(crate) fn settle(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            settle(&entry.path())?;
        } else {
            File::open(entry.path())?.sync_all()?;
        }
    }
    File::open(dir)?.sync_all()
}

/// Drops what the page cache holds of the files below `dir`. They must be synced.
pub(crate) fn drop_cache(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            drop_cache(&entry.path())?;
        } else {
            fadvise(File::open(entry.path())?, 0, None, Advice::DontNeed)?;
        }
    }
    Ok(())
}

/// Type and mount point of the file system that holds `dir`.
fn file_system(dir: &Path) -> Option<String> {
    let dir = dir.canonicalize().ok()?;
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    innermost_mount(&mounts, &dir)
}

fn innermost_mount(mounts: &str, dir: &Path) -> Option<String> {
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    // Of two mounts on one point the later one is visible; max_by_key returns the last maximum.
    let (point, kind) = mounts
        .filter(|(point, _)| dir.starts_with(point))
        .max_by_key(|(point, _)| point.len())?;
    Some(format!("{kind} mounted on {point}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_mount_holds_the_directory() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\nproc /proc proc rw 0 0\n";
        let found = |dir: &str| innermost_mount(mounts, Path::new(dir)).unwrap();
        assert_eq!(found("/tmp/x"), "tmpfs mounted on /tmp");
        assert_eq!(found("/tmpfoo/x"), "ext4 mounted on /");
    }
}
