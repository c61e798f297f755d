//! A directory of this machine, held by a descriptor.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
    sync::Arc,
};

use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags, openat, statat},
    io::Errno,
};

use super::{
    fs::{Access, Dir, File},
    sys::not_a_file,
};

#[derive(Debug)]
pub(super) struct OpenDir {
    fd: OwnedFd,
    /// Whether it may be read, and not only searched: then it can be listed and flushed.
    readable: bool,
}

impl OpenDir {
    pub(super) fn open(path: &Path) -> io::Result<OpenDir> {
        Self::open_at(CWD, path)
    }

    fn open_at(at: impl AsFd, path: &Path) -> io::Result<OpenDir> {
        let open = |flags| open_above_standard(&at, path, OFlags::DIRECTORY | flags, Mode::empty());
        match open(OFlags::RDONLY) {
            #[cfg(target_os = "linux")]
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(OpenDir {
                fd: open(OFlags::PATH)?,
                readable: false,
            }),
            opened => Ok(OpenDir {
                fd: opened?,
                readable: true,
            }),
        }
    }

    fn open_file(&self, name: &OsStr, access: Access) -> io::Result<fs::File> {
        // Without NONBLOCK, opening a pipe waits for its other end.
        let mut flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        flags |= match access {
            Access::Read => OFlags::RDONLY,
            Access::Write => OFlags::RDWR,
            Access::Create => OFlags::RDWR | OFlags::CREATE,
            Access::New => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
        };
        let mode = Mode::RUSR | Mode::WUSR;
        let file = fs::File::from(open_above_standard(&self.fd, name, flags, mode)?);
        if file.metadata()?.is_file() {
            Ok(file)
        } else {
            Err(not_a_file())
        }
    }

    /// Flushes the names of a directory that may not be read. If it may not be written either, no log of this user can
    /// have made a name in it: they were there before.
    #[cfg(target_os = "linux")]
    fn sync_unreadable(&self) -> io::Result<()> {
        let open = || {
            let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
            openat(&self.fd, ".", flags, Mode::RUSR | Mode::WUSR)
        };
        match uninterrupted(open) {
            Ok(file) => Ok(rustix::fs::syncfs(file)?),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => Ok(()),
            Err(error) => Err(error),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn sync_unreadable(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Dir for OpenDir {
    fn open(&self, name: &OsStr, access: Access) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(self.open_file(name, access)?))
    }

    fn list(&self) -> io::Result<Vec<OsString>> {
        if !self.readable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd)? {
            let name = OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn len(&self, name: &OsStr) -> io::Result<u64> {
        Ok(statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)?.st_size as u64)
    }

    fn exists(&self, name: &OsStr) -> io::Result<bool> {
        match statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(false),
            result => Ok(result.map(|_| true)?),
        }
    }

    fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        #[cfg(any(target_os = "linux", target_vendor = "apple"))]
        match rustix::fs::renameat_with(&self.fd, from, &self.fd, to, rustix::fs::RenameFlags::NOREPLACE) {
            // The file system cannot.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            result => return Ok(result?),
        }
        if self.exists(to)? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Ok(rustix::fs::renameat(&self.fd, from, &self.fd, to)?)
    }

    fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())?)
    }

    fn create_dir(&self, name: &OsStr) -> io::Result<()> {
        match rustix::fs::mkdirat(&self.fd, name, Mode::RWXU | Mode::RWXG | Mode::RWXO) {
            Err(Errno::EXIST) => Ok(()),
            result => Ok(result?),
        }
    }

    fn remove_dir(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR)?)
    }

    fn open_dir(&self, name: &OsStr) -> io::Result<Arc<dyn Dir>> {
        Ok(Arc::new(Self::open_at(&self.fd, name.as_ref())?))
    }

    fn sync(&self) -> io::Result<()> {
        if self.readable {
            uninterrupted(|| rustix::fs::fsync(&self.fd))
        } else {
            self.sync_unreadable()
        }
    }

    fn sync_own_name(&self) -> io::Result<()> {
        match Self::open_at(&self.fd, "..".as_ref()) {
            Ok(above) => above.sync(),
            // It may not even be searched: see `sync_unreadable`.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn staging(&self, name: &OsStr, create: bool) -> io::Result<Option<fs::File>> {
        if create {
            // Another process may have mapped the one that is there, if the log's file has had another name.
            self.remove_staging(name)?;
            return self.open_file(name, Access::New).map(Some);
        }
        let opened = match self.open_file(name, Access::Write) {
            // A log that only reads need not be allowed to write.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
                ) =>
            {
                self.open_file(name, Access::Read)
            }
            opened => opened,
        };
        match opened {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn remove_staging(&self, name: &OsStr) -> io::Result<()> {
        match self.remove(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }
}

/// Opens something under a descriptor that nobody takes for the input or the output of a program, even if the program has
/// closed those: what it prints then would be written to the log.
fn open_above_standard(
    at: impl AsFd,
    path: impl rustix::path::Arg + Copy,
    flags: OFlags,
    mode: Mode,
) -> io::Result<OwnedFd> {
    let fd = uninterrupted(|| openat(&at, path, flags | OFlags::CLOEXEC, mode))?;
    if fd.as_raw_fd() > 2 {
        return Ok(fd);
    }
    uninterrupted(|| rustix::io::fcntl_dupfd_cloexec(&fd, 3))
}

fn uninterrupted<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}
