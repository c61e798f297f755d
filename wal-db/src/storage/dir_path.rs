//! A directory of this machine where none can be held open: its absolute path stands for it. A handle of a file keeps
//! the directories above it from being moved there. Written and not tested.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    fs::{Access, Dir, File},
    sys::not_a_file,
};

#[derive(Debug)]
pub(super) struct OpenDir {
    path: PathBuf,
}

impl OpenDir {
    pub(super) fn open(path: &Path) -> io::Result<OpenDir> {
        if !fs::metadata(path)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(OpenDir {
            path: path.canonicalize()?,
        })
    }

    fn open_file(&self, name: &OsStr, access: Access) -> io::Result<fs::File> {
        let mut options = OpenOptions::new();
        options.read(true).write(access != Access::Read);
        options.create(access == Access::Create);
        options.create_new(access == Access::New);
        let path = self.path.join(name);
        if fs::symlink_metadata(&path).is_ok_and(|there| there.is_symlink()) {
            return Err(not_a_file());
        }
        let file = options.open(path)?;
        if file.metadata()?.is_file() {
            Ok(file)
        } else {
            Err(not_a_file())
        }
    }
}

impl Dir for OpenDir {
    fn open(&self, name: &OsStr, access: Access) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(self.open_file(name, access)?))
    }

    fn list(&self) -> io::Result<Vec<OsString>> {
        fs::read_dir(&self.path)?
            .map(|entry| Ok(entry?.file_name()))
            .collect()
    }

    fn len(&self, name: &OsStr) -> io::Result<u64> {
        Ok(fs::symlink_metadata(self.path.join(name))?.len())
    }

    fn exists(&self, name: &OsStr) -> io::Result<bool> {
        match fs::symlink_metadata(self.path.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            result => result.map(|_| true),
        }
    }

    fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        if self.exists(to)? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &OsStr) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn remove_dir(&self, name: &OsStr) -> io::Result<()> {
        fs::remove_dir(self.path.join(name))
    }

    fn create_dir(&self, name: &OsStr) -> io::Result<()> {
        match fs::create_dir(self.path.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            result => result,
        }
    }

    fn open_dir(&self, name: &OsStr) -> io::Result<Arc<dyn Dir>> {
        Ok(Arc::new(OpenDir::open(&self.path.join(name))?))
    }

    fn sync(&self) -> io::Result<()> {
        // Windows makes directory entries durable with the file.
        Ok(())
    }

    fn sync_own_name(&self) -> io::Result<()> {
        Ok(())
    }

    fn staging(&self, name: &OsStr, create: bool) -> io::Result<Option<fs::File>> {
        let access = if create { Access::Create } else { Access::Read };
        match self.open_file(name, access) {
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
