//! The files that keep what was cut off the end of a log: bytes of its stream, from the position in their name on.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use crate::{
    error::{Result, WalError},
    storage::{
        WalStore,
        fs::{Access, File, FileSystem, parent, read_at},
    },
    sync::Arc,
};

/// The position in the name of a file that keeps what was cut off a log in a directory: `cut-P`, or `cut-P-n`.
fn start_in(name: &str) -> Option<u64> {
    let number = |digits: &str| {
        digits
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| digits.parse().ok())
    };
    let rest = name.strip_prefix("cut-")?;
    let (start, copy) = rest.split_once('-').unwrap_or((rest, "1"));
    number(copy)??;
    number(start)?.filter(|&start: &u64| start < 1 << 62)
}

/// Of which log a file keeps something, by its name, and from where on. Names need not be text.
pub(crate) fn log_of(path: &Path) -> Option<(PathBuf, u64)> {
    if let Some(start) = path.file_name()?.to_str().and_then(start_in) {
        return Some((parent(path).to_owned(), start));
    }
    let start = start_in(path.extension()?.to_str()?)?;
    Some((path.with_file_name(path.file_stem()?), start))
}

/// Those of the names beside a log, or in it if it is a directory, that are of files which keep something of the log.
pub(crate) fn among(names: &[OsString], path: &Path, is_dir: bool) -> Vec<PathBuf> {
    let place = |name| match is_dir {
        true => path.join(name),
        false => path.with_file_name(name),
    };
    let mut kept: Vec<_> = names
        .iter()
        .map(place)
        .filter(|kept| log_of(kept).is_some_and(|(log, _)| log == path))
        .collect();
    kept.sort();
    kept
}

/// Such a file as a store that only reads.
pub(crate) struct Kept {
    file: Arc<dyn File>,
    start: u64,
}

impl Kept {
    pub(crate) fn open(fs: &Arc<dyn FileSystem>, path: &Path, start: u64) -> Result<Kept> {
        let dir = fs.open_dir(parent(path))?;
        let file = dir.open(path.file_name().unwrap_or_default(), Access::Read);
        Ok(Kept {
            file: file.map_err(WalError::io("opening what was kept aside"))?,
            start,
        })
    }
}

fn only_reads<T>() -> io::Result<T> {
    Err(io::ErrorKind::Unsupported.into())
}

impl WalStore for Kept {
    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        match pos.checked_sub(self.start) {
            Some(offset) => read_at(&*self.file, offset, buf),
            None => Ok(0),
        }
    }

    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        only_reads()
    }

    fn sync(&self) -> io::Result<()> {
        only_reads()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.start.saturating_add(self.file.len()?))
    }

    fn truncate(&self, _: u64) -> io::Result<()> {
        only_reads()
    }

    fn read_slot(&self, _: usize) -> io::Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn write_slot(&self, _: usize, _: &[u8]) -> io::Result<()> {
        only_reads()
    }
}
