//! The file system of this machine: the system calls that std does not have, or that differ between systems. On macOS
//! and Windows this is written and not tested.

use std::{fs, io, path::Path, sync::Arc};

use super::{
    dir::OpenDir,
    fs::{Dir, File, FileSystem},
};

#[derive(Debug, Clone, Copy)]
pub(crate) struct System;

const PREPARE_STEP: u64 = 512 << 10;

impl FileSystem for System {
    fn open_dir(&self, path: &Path) -> io::Result<Arc<dyn Dir>> {
        Ok(Arc::new(OpenDir::open(path)?))
    }

    fn boot_id(&self) -> Option<[u8; 16]> {
        boot_id()
    }

    fn prepare_step(&self) -> u64 {
        PREPARE_STEP
    }

    fn longest_file(&self) -> u64 {
        longest_file()
    }
}

fn longest_file() -> u64 {
    #[cfg(unix)]
    return rustix::process::getrlimit(rustix::process::Resource::Fsize)
        .current
        .unwrap_or(u64::MAX);
    #[cfg(not(unix))]
    u64::MAX
}

/// Refuses what would make a file longer than this process may make one: the system would send a signal, which ends the
/// process unless it is ignored.
pub(crate) fn check_end(end: u64) -> io::Result<()> {
    if end > longest_file() {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(())
}

impl File for fs::File {
    fn read_some(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        #[cfg(unix)]
        return std::os::unix::fs::FileExt::read_at(self, buf, offset);
        #[cfg(windows)]
        return std::os::windows::fs::FileExt::seek_read(self, buf, offset);
    }

    fn write_some(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        check_end(offset.saturating_add(bytes.len() as u64))?;
        #[cfg(unix)]
        return std::os::unix::fs::FileExt::write_at(self, bytes, offset);
        #[cfg(windows)]
        return std::os::windows::fs::FileExt::seek_write(self, bytes, offset);
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if len > File::len(self)? {
            check_end(len)?;
        }
        fs::File::set_len(self, len)
    }

    fn sync_data(&self) -> io::Result<()> {
        fs::File::sync_data(self)
    }

    fn sync_all(&self) -> io::Result<()> {
        fs::File::sync_all(self)
    }

    fn allocate(&self, start: u64, end: u64) -> io::Result<()> {
        check_end(end)?;
        #[cfg(target_os = "linux")]
        {
            use rustix::{fs::FallocateFlags, io::Errno};
            loop {
                match rustix::fs::fallocate(self, FallocateFlags::empty(), start, end - start) {
                    Err(Errno::INTR) => {}
                    // The file system cannot; grow the file instead.
                    Err(Errno::OPNOTSUPP | Errno::NOSYS) => break,
                    result => return Ok(result?),
                }
            }
        }
        let _ = start;
        if self.metadata()?.len() < end {
            fs::File::set_len(self, end)
        } else {
            Ok(())
        }
    }

    fn punch(&self, start: u64, end: u64) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        if start < end {
            use rustix::{fs::FallocateFlags, io::Errno};
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            loop {
                match rustix::fs::fallocate(self, flags, start, end - start) {
                    Err(Errno::INTR) => {}
                    Err(Errno::OPNOTSUPP | Errno::NOSYS) => break,
                    result => return Ok(result?),
                }
            }
        }
        let _ = (start, end);
        Ok(())
    }

    #[cfg(target_os = "linux")]
    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        use rustix::{fs::SeekFrom, io::Errno};
        match rustix::fs::seek(self, SeekFrom::Data(offset)) {
            Ok(data) => Ok(Some(data)),
            Err(Errno::NXIO) => Ok(None),
            // The file system does not tell.
            Err(_) => Ok(Some(offset)),
        }
    }

    fn is_removed(&self) -> io::Result<bool> {
        #[cfg(unix)]
        return Ok(std::os::unix::fs::MetadataExt::nlink(&self.metadata()?) == 0);
        // An open file cannot be removed there.
        #[cfg(windows)]
        return Ok(false);
    }

    fn try_lock(&self) -> io::Result<bool> {
        match fs::File::try_lock(self) {
            Ok(()) => Ok(true),
            Err(fs::TryLockError::WouldBlock) => Ok(false),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    fn unlock(&self) -> io::Result<()> {
        fs::File::unlock(self)
    }
}

pub(super) fn not_a_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
}

pub(crate) fn is_not_a_file(error: &io::Error) -> bool {
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

pub(crate) fn boot_id() -> Option<[u8; 16]> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let mut id = [0; 16];
    let mut digits = text.bytes().filter_map(|byte| char::from(byte).to_digit(16));
    for byte in &mut id {
        *byte = (digits.next()? << 4 | digits.next()?) as u8;
    }
    Some(id)
}
