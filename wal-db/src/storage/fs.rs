//! The file system as the file stores use it. A simulated one can take the place of the system's.
//!
//! A path is resolved once, when a log is opened. From then on the log goes by the directory that was found: a directory
//! that is moved, a link that points elsewhere or another working directory makes no difference to it.

use std::{
    ffi::{OsStr, OsString},
    fmt, io,
    path::Path,
    sync::Arc,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
    /// For writing, created if it is not there.
    Create,
    /// For writing, created; if anything has the name, an error of the kind `AlreadyExists`.
    New,
}

pub(crate) trait FileSystem: Send + Sync + fmt::Debug {
    /// Opens a directory, through symbolic links as well.
    fn open_dir(&self, path: &Path) -> io::Result<Arc<dyn Dir>>;

    /// Which boot of which machine this is, if the system tells: what is in memory now was put there since.
    fn boot_id(&self) -> Option<[u8; 16]>;

    /// How much room is taken at a time, at least.
    fn prepare_step(&self) -> u64;

    /// How long this process may make a file, at the moment.
    fn longest_file(&self) -> u64 {
        u64::MAX
    }
}

/// An open directory: names and files. It stays the same directory wherever it is moved.
pub(crate) trait Dir: Send + Sync + fmt::Debug {
    /// Opens a regular file, never through a symbolic link, never a pipe or a device. New files are for their owner
    /// only.
    fn open(&self, name: &OsStr, access: Access) -> io::Result<Arc<dyn File>>;

    fn list(&self) -> io::Result<Vec<OsString>>;

    fn len(&self, name: &OsStr) -> io::Result<u64>;

    /// Whether anything has the name, a link to nowhere included.
    fn exists(&self, name: &OsStr) -> io::Result<bool>;

    /// Gives a file another name. If anything has that name, nothing happens and the error is of the kind
    /// `AlreadyExists`.
    fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()>;

    fn remove(&self, name: &OsStr) -> io::Result<()>;

    /// Makes a directory in it, if nothing has that name.
    fn create_dir(&self, name: &OsStr) -> io::Result<()>;

    fn open_dir(&self, name: &OsStr) -> io::Result<Arc<dyn Dir>>;

    /// Removes an empty directory in it.
    fn remove_dir(&self, name: &OsStr) -> io::Result<()>;

    /// Makes its names durable.
    fn sync(&self) -> io::Result<()>;

    /// Makes its own name durable, in the directory above it.
    fn sync_own_name(&self) -> io::Result<()>;

    /// A file that can be mapped: the one that is there, or a new and empty one in its place if `create` is set.
    fn staging(&self, name: &OsStr, create: bool) -> io::Result<Option<std::fs::File>>;

    fn remove_staging(&self, name: &OsStr) -> io::Result<()>;
}

pub(crate) trait File: Send + Sync + fmt::Debug {
    /// Reads some of it; nothing at its end.
    fn read_some(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;

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

    /// Where the first byte from `offset` on may be that is not in a hole, which reads as zeros; `None` if there is
    /// none. Where holes are not known, that is `offset` itself.
    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        Ok(Some(offset))
    }

    /// Whether the file has lost its last name.
    fn is_removed(&self) -> io::Result<bool>;

    /// Whether nobody else has the file locked; it is ours then, until it is closed.
    fn try_lock(&self) -> io::Result<bool>;

    fn unlock(&self) -> io::Result<()>;
}

/// Makes a directory and those above it that are missing, each durable before the next one, and opens it. The process
/// that made the one that is there may have died before it was durable.
pub(crate) fn create_dirs(fs: &dyn FileSystem, path: &Path) -> io::Result<Arc<dyn Dir>> {
    let name = path.file_name().ok_or(io::ErrorKind::NotFound)?;
    let above = match fs.open_dir(parent(path)) {
        Ok(above) => {
            above.sync_own_name()?;
            above
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => create_dirs(fs, parent(path))?,
        Err(error) => return Err(error),
    };
    above.create_dir(name)?;
    above.sync()?;
    above.open_dir(name)
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
            Ok(n) => (bytes, offset) = (&bytes[n..], offset + n as u64),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
