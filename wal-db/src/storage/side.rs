//! Files beside a log.

use std::{
    ffi::{OsStr, OsString},
    fmt, io,
    path::{Path, PathBuf},
};

use super::fs::{Access, Dir, File, read_at, write_at};
use crate::{
    error::WalError,
    format::{consumer, run, snapshot},
    sync::Arc,
};

/// Files beside a log, which [snapshots of a state](crate::state), the runs of an [index](crate::index) and what is kept of
/// [consumers](crate::consumer) are in. They are apart from the stream: a log is opened, read and repaired without them.
///
/// Names are short and made of lowercase letters, digits, `.`, `_` and `-`. Calls come from several threads; files of one name
/// are made one after another, and may be read and removed meanwhile.
pub trait SideFiles: Send + Sync {
    /// Makes a file of all that `content` gives, instead of one that has the name. It is there, whole, when this returns, and
    /// survives power loss then. After a crash there is the one from before, none, or a whole one.
    ///
    /// # Errors
    /// Those of `content`, before a file that has the name is touched; whatever the medium says. There is no new file then.
    fn create(&self, name: &str, content: &mut dyn io::Read) -> io::Result<()>;

    /// Opens a file. What was opened does not change, even if the file is removed or another one gets its name; only what
    /// [`write_at`](Self::write_at) puts there may be seen.
    ///
    /// # Errors
    /// Of the kind [`NotFound`](io::ErrorKind::NotFound) if there is none; whatever the medium says.
    fn open(&self, name: &str) -> io::Result<Box<dyn SideFile>>;

    /// Puts a few bytes, within one sector of 512, in the place of others of a file that is there. They survive the process
    /// when this returns. They need not survive power loss, but then those from before are there.
    ///
    /// Where this is not possible, which is what it says if it is not implemented, a consumer makes a file each time that it
    /// saves where it is.
    ///
    /// # Errors
    /// Of the kind [`Unsupported`](io::ErrorKind::Unsupported) if it is not possible; whatever the medium says.
    fn write_at(&self, _name: &str, _offset: u64, _bytes: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The names of the files that are there, in any order. It may list others that nobody made here.
    ///
    /// # Errors
    /// Whatever the medium says.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Removes a file, if it is there. It may come back after a power loss.
    ///
    /// # Errors
    /// Whatever the medium says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Returns once every file that is there survives power loss, also those that another process has made, and what was put
    /// into them; and none that was removed comes back.
    ///
    /// # Errors
    /// Whatever the medium says.
    fn sync(&self) -> io::Result<()>;

    /// Where they are: errors name it.
    fn location(&self) -> Option<PathBuf> {
        None
    }
}

/// What to say of a call that failed; about a file of that name, if one is given.
pub(crate) fn side_error(
    files: &dyn SideFiles,
    context: &'static str,
    file: Option<&str>,
) -> impl FnOnce(io::Error) -> WalError + use<> {
    let path = files.location();
    let path = path.map(|path| file.map_or_else(|| path.clone(), |file| path.join(file)));
    move |error| WalError::io(context)(error).located(path.as_deref())
}

/// A file beside a log, as it is read, from any number of threads.
pub trait SideFile: Send + Sync {
    /// Reads some bytes from an offset on; 0 at the end of the file.
    ///
    /// # Errors
    /// Whatever the medium says.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// How many bytes it has.
    ///
    /// # Errors
    /// Whatever the medium says.
    fn size_bytes(&self) -> io::Result<u64>;
}

/// A file beside a log, from its beginning on.
pub(crate) struct Reading<'f> {
    file: &'f dyn SideFile,
    at: u64,
}

impl<'f> Reading<'f> {
    pub(crate) fn of(file: &'f dyn SideFile) -> Self {
        Reading { file, at: 0 }
    }
}

impl io::Read for Reading<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.file.read_at(self.at, buf)?;
        self.at += len as u64;
        Ok(len)
    }
}

/// How much is copied at a time.
const PIECE: usize = 256 << 10;

/// Files in a directory of their own, which is made when the first one is.
pub(super) struct SideDir {
    above: Arc<dyn Dir>,
    name: OsString,
    path: PathBuf,
}

impl SideDir {
    /// In the directory `name` of `above`, which is at `path`.
    pub(super) fn new(above: Arc<dyn Dir>, name: impl Into<OsString>, path: PathBuf) -> Self {
        SideDir {
            above,
            name: name.into(),
            path,
        }
    }

    /// Beside the file of a log.
    pub(super) fn beside(above: &Arc<dyn Dir>, log: &OsStr, path: &Path) -> Self {
        let mut name = log.to_owned();
        name.push(".state");
        let path = path.with_file_name(&name);
        SideDir::new(above.clone(), name, path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn is_there(&self) -> io::Result<bool> {
        self.above.exists(&self.name)
    }

    /// Removes files that were made, and the directory if it has no others.
    pub(super) fn remove_all(&self, made: &[String]) {
        for name in made {
            let _ = self.remove(name);
        }
        let _ = self.above.remove_dir(&self.name);
    }

    fn dir(&self) -> io::Result<Arc<dyn Dir>> {
        self.above.open_dir(&self.name)
    }

    /// Writes all that `content` gives.
    fn write(file: &dyn File, content: &mut dyn io::Read) -> io::Result<()> {
        let (mut piece, mut at) = (vec![0; PIECE], 0);
        loop {
            match content.read(&mut piece) {
                Ok(0) => return file.sync_all(),
                Ok(len) => {
                    write_at(file, at, &piece[..len])?;
                    at += len as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Gives a file its name, instead of what has it.
    fn name(dir: &dyn Dir, new: &OsStr, name: &OsStr) -> io::Result<()> {
        if dir.exists(name)? {
            check_ours(&*dir.open(name, Access::Read)?, name)?;
            dir.remove(name)?;
        }
        dir.rename(new, name)?;
        let synced = dir.sync();
        if synced.is_err() {
            let _ = dir.remove(name);
        }
        synced
    }
}

/// That it is one of those that are made here, or the beginning of one that was being made.
fn check_ours(file: &dyn File, name: &OsStr) -> io::Result<()> {
    let mut start = [0; snapshot::MAGIC.len()];
    let len = read_at(file, 0, &mut start)?;
    let start = &start[..len];
    if snapshot::may_be_one(start) || run::may_be_one(start) || consumer::may_be_one(start) {
        return Ok(());
    }
    let what = format!("{} is somebody else's file", Path::new(name).display());
    Err(io::Error::new(io::ErrorKind::AlreadyExists, what))
}

/// Makes a file, instead of what a process that died has left of one.
fn new_file(dir: &dyn Dir, name: &OsStr) -> io::Result<Arc<dyn File>> {
    match dir.open(name, Access::New) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        opened => return opened,
    }
    check_ours(&*dir.open(name, Access::Read)?, name)?;
    dir.remove(name)?;
    dir.open(name, Access::New)
}

impl SideFiles for SideDir {
    fn create(&self, name: &str, content: &mut dyn io::Read) -> io::Result<()> {
        self.above.create_dir(&self.name)?;
        // The process that made it may have died before it was durable.
        self.above.sync()?;
        let dir = self.dir()?;
        let new = OsString::from(format!("{name}.new"));
        let file = new_file(&*dir, &new)?;
        let made = Self::write(&*file, content).and_then(|()| Self::name(&*dir, &new, name.as_ref()));
        if made.is_err() {
            // What is left of it is used by the next one that is made under this name.
            let _ = dir.remove(&new);
        }
        made
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn SideFile>> {
        let file = self.dir()?.open(name.as_ref(), Access::Read)?;
        Ok(Box::new(Content(file)))
    }

    fn write_at(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let file = self.dir()?.open(name.as_ref(), Access::Write)?;
        write_at(&*file, offset, bytes)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let names = match self.dir() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            dir => dir?.list()?,
        };
        Ok(names.into_iter().flat_map(OsString::into_string).collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match self.dir().and_then(|dir| dir.remove(name.as_ref())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    fn sync(&self) -> io::Result<()> {
        match self.dir() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            dir => {
                let dir = dir?;
                for name in dir.list()? {
                    let is_written_in_place = name
                        .to_str()
                        .is_some_and(|name| consumer::name_and_number(name).is_some());
                    if is_written_in_place {
                        match dir.open(&name, Access::Write) {
                            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                            file => file?.sync_data()?,
                        }
                    }
                }
                dir.sync()?;
                self.above.sync()
            }
        }
    }

    fn location(&self) -> Option<PathBuf> {
        Some(self.path.clone())
    }
}

impl fmt::Debug for SideDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SideDir").field(&self.path).finish()
    }
}

struct Content(Arc<dyn File>);

impl SideFile for Content {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read_some(offset, buf)
    }

    fn size_bytes(&self) -> io::Result<u64> {
        self.0.len()
    }
}
