//! The file system as the file stores use it. A simulated one can take the place of the system's.

use std::{fmt, io, path::Path, sync::Arc};

/// How a file is to be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
    /// For writing, created if it is not there.
    Create,
}

/// Names, and the files behind them.
pub(crate) trait FileSystem: Send + Sync + fmt::Debug {
    /// Opens a regular file, never through a symbolic link, never a pipe or a device. New files are for their owner
    /// only.
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn File>>;

    /// The names in a directory.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// How long the file at a path is.
    fn len(&self, path: &Path) -> io::Result<u64>;

    fn exists(&self, path: &Path) -> io::Result<bool>;

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes a directory, if it is not there.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Makes the entries of a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// A file that can be mapped, if it is there or `create` is set.
    fn staging(&self, path: &Path, create: bool) -> io::Result<Option<std::fs::File>>;

    /// Which boot of which machine this is, if the system tells: what is in memory now was put there since.
    fn boot_id(&self) -> Option<[u8; 16]>;

    /// How much room is taken at a time, at least.
    fn prepare_step(&self) -> u64;
}

/// An open file.
pub(crate) trait File: Send + Sync + fmt::Debug {
    /// Reads some of it; nothing at its end.
    fn read_some(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// Writes some of `bytes`.
    fn write_some(&self, offset: u64, bytes: &[u8]) -> io::Result<usize>;

    fn len(&self) -> io::Result<u64>;

    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes the content durable, with as much of the rest as is needed to read it.
    fn sync_data(&self) -> io::Result<()>;

    fn sync_all(&self) -> io::Result<()>;

    /// Takes the blocks from `start` to `end` from the file system, which then reads as zeros; the file grows to `end`.
    fn allocate(&self, start: u64, end: u64) -> io::Result<()>;

    /// Gives blocks back; the range then reads as zeros. Where that is not possible nothing happens.
    fn punch(&self, start: u64, end: u64) -> io::Result<()>;

    /// Whether nobody else has the file locked; it is ours then, until it is closed.
    fn try_lock(&self) -> io::Result<bool>;

    fn unlock(&self) -> io::Result<()>;
}

/// Makes a directory and those above it that are missing, each durable before the next one. Who made the one that is
/// there may have died before that.
pub(super) fn create_dirs(fs: &dyn FileSystem, dir: &Path) -> io::Result<()> {
    let above = parent(dir);
    if above == dir || fs.exists(above)? {
        sync_name(fs, above)?;
    } else {
        create_dirs(fs, above)?;
    }
    fs.create_dir(dir)?;
    if seeded_bug!("no-directory-flush-for-a-directory") {
        return Ok(());
    }
    fs.sync_dir(above)
}

/// Makes the name of something that somebody else made durable. Where its directory may not be read, no log could have
/// been made: it was there before.
pub(super) fn sync_name(fs: &dyn FileSystem, path: &Path) -> io::Result<()> {
    match fs.sync_dir(parent(path)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        result => result,
    }
}

/// The directory of a path, `.` for a bare name.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Reads until `buf` is full or the file ends.
pub(crate) fn read_at(file: &dyn File, mut offset: u64, buf: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < buf.len() {
        match file.read_some(offset, &mut buf[done..]) {
            Ok(0) => break,
            Ok(n) => (done, offset) = (done + n, offset + n as u64),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Writes everything, whatever a single call writes.
pub(crate) fn write_at(file: &dyn File, mut offset: u64, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_some(offset, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(_) if seeded_bug!("short-write-taken-for-all") => break,
            Ok(n) => (bytes, offset) = (&bytes[n..], offset + n as u64),
            Err(error)
                if error.kind() == io::ErrorKind::Interrupted && !seeded_bug!("interrupted-write-fails") => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
