//! The system calls that std does not have, or that differ between systems. On macOS and Windows this is written
//! and not tested.

use std::{
    fs::{File, OpenOptions},
    io,
    path::Path,
};

/// How a file is to be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
    /// For writing, created if it is not there.
    Create,
}

/// Opens a regular file, never through a symbolic link, never a pipe or a device. New files are for their owner
/// only.
pub(super) fn open(path: &Path, access: Access) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(access != Access::Read);
    options.create(access == Access::Create);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // Without NONBLOCK, opening a pipe waits for its other end.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.mode(0o600).custom_flags(flags.bits() as i32);
    }
    let file = options.open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(not_a_file())
    }
}

/// Opens a file that belongs to a log, if it is there or `create` is set.
pub(super) fn open_beside(path: &Path, create: bool) -> io::Result<Option<File>> {
    match open(path, if create { Access::Create } else { Access::Write }) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The error for something that is there and is not a regular file.
pub(super) fn not_a_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
}

/// Whether opening failed because something other than a regular file is there.
pub(super) fn is_not_a_file(error: &io::Error) -> bool {
    #[cfg(unix)]
    if let Some(code) = error.raw_os_error() {
        use rustix::io::Errno;
        // LOOP: a symbolic link; NXIO: a socket or a device without a driver.
        return [Errno::LOOP, Errno::ISDIR, Errno::NXIO, Errno::MLINK]
            .iter()
            .any(|e| e.raw_os_error() == code);
    }
    matches!(
        error.kind(),
        io::ErrorKind::InvalidInput | io::ErrorKind::IsADirectory
    )
}

/// Makes the entries of a directory durable.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    // Windows makes directory entries durable with the file.
    if cfg!(windows) {
        Ok(())
    } else {
        File::open(dir)?.sync_all()
    }
}

/// The directory of a path, `.` for a bare name.
pub(super) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Reads until `buf` is full or the file ends.
pub(super) fn read_at(file: &File, mut offset: u64, buf: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < buf.len() {
        match read_once(file, offset, &mut buf[done..]) {
            Ok(0) => break,
            Ok(n) => (done, offset) = (done + n, offset + n as u64),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Writes everything, whatever a single call writes.
pub(super) fn write_at(file: &File, mut offset: u64, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match write_once(file, offset, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => (bytes, offset) = (&bytes[n..], offset + n as u64),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(unix)]
fn read_once(file: &File, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buf, offset)
}

#[cfg(unix)]
fn write_once(file: &File, offset: u64, bytes: &[u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::write_at(file, bytes, offset)
}

#[cfg(windows)]
fn read_once(file: &File, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buf, offset)
}

#[cfg(windows)]
fn write_once(file: &File, offset: u64, bytes: &[u8]) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_write(file, bytes, offset)
}

/// Takes the blocks from `start` to `end` from the file system, which then reads as zeros; the file grows to `end`.
pub(super) fn allocate(file: &File, start: u64, end: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::{fs::FallocateFlags, io::Errno};
        loop {
            match rustix::fs::fallocate(file, FallocateFlags::empty(), start, end - start) {
                Err(Errno::INTR) => {}
                // A file system that cannot; grow it instead.
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => break,
                result => return Ok(result?),
            }
        }
    }
    let _ = start;
    if file.metadata()?.len() < end {
        file.set_len(end)
    } else {
        Ok(())
    }
}

/// Gives blocks back; the range then reads as zeros. Where that is not possible nothing happens.
pub(super) fn punch(file: &File, start: u64, end: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    if start < end {
        use rustix::{fs::FallocateFlags, io::Errno};
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(file, flags, start, end - start) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) | Ok(()) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let _ = (file, start, end);
    Ok(())
}

/// Which boot of which machine this is, if the system tells: what is in memory now was put there since.
pub(crate) fn boot_id() -> Option<[u8; 16]> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let mut id = [0; 16];
    let mut digits = text.bytes().filter_map(|byte| char::from(byte).to_digit(16));
    for byte in &mut id {
        *byte = (digits.next()? << 4 | digits.next()?) as u8;
    }
    Some(id)
}
