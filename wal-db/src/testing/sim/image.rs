//! What a disk holds, and what a program did to it.
#![allow(missing_docs)] // for this crate's own tests; fields that say what they are

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use super::content::{Content, mix};

/// What a disk writes whole or not at all.
pub const SECTOR: usize = 512;

/// A file, whatever its names are.
pub type FileId = u32;

/// Names and files: what survived a crash, or what a process sees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// The files under their names. A name without a file is a directory.
    pub names: BTreeMap<PathBuf, Option<FileId>>,
    pub files: BTreeMap<FileId, Content>,
    /// What is in memory that is mapped from files. Nothing durable depends on it.
    pub staging: BTreeMap<PathBuf, Vec<u8>>,
    /// How often the machine was started.
    pub boot: u64,
    /// The number of the next file that is made.
    pub next_file: FileId,
}

impl Image {
    /// The file under a name.
    #[must_use]
    pub fn file(&self, path: impl AsRef<Path>) -> Option<&Content> {
        let id = (*self.names.get(path.as_ref())?)?;
        self.files.get(&id)
    }

    /// The file under a name, to be harmed.
    pub fn file_mut(&mut self, path: impl AsRef<Path>) -> Option<&mut Content> {
        let id = (*self.names.get(path.as_ref())?)?;
        self.files.get_mut(&id)
    }

    /// A number that two images share by chance only.
    #[must_use]
    pub fn hash(&self) -> u64 {
        let text = |hash: u64, bytes: &[u8]| {
            let words = bytes.chunks(8).map(|part| {
                let mut word = [0; 8];
                word[..part.len()].copy_from_slice(part);
                u64::from_le_bytes(word)
            });
            words.fold(mix(hash, bytes.len() as u64), mix)
        };
        let mut hash = self.boot;
        for (path, id) in &self.names {
            hash = text(hash, path.as_os_str().as_encoded_bytes());
            let content = id.and_then(|id| self.files.get(&id));
            hash = mix(hash, content.map_or(1, Content::hash));
        }
        for (path, bytes) in &self.staging {
            hash = text(text(hash, path.as_os_str().as_encoded_bytes()), bytes);
        }
        hash
    }
}

/// What a program did to a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Bytes were written to a file.
    Write {
        file: FileId,
        pos: usize,
        bytes: Vec<u8>,
    },
    /// Blocks of a file were given back; it reads as zeros there.
    Hole { file: FileId, start: usize, end: usize },
    /// A file became longer, with zeros, or shorter.
    Length { file: FileId, len: usize },
    /// A file was flushed.
    Sync(FileId),
    /// The flush of a file failed: nothing is known of what was not flushed, and the system takes it for flushed.
    FailedSync(FileId),
    /// The flush of a file failed, and the cache was dropped: this is on the disk, and is what is read.
    Reverted { file: FileId, content: Content },
    /// A file appeared under a name.
    Create { path: PathBuf, file: FileId },
    /// A directory appeared.
    CreateDir(PathBuf),
    /// A file changed its name, and what was there under the new one is gone.
    Rename {
        from: PathBuf,
        to: PathBuf,
        file: FileId,
    },
    /// A name is gone.
    Remove { path: PathBuf, file: FileId },
    /// The names in a directory were flushed.
    SyncDir(PathBuf),
    /// The flush of the names in a directory failed.
    FailedSyncDir(PathBuf),
    /// What mapped memory held now.
    Staging { path: PathBuf, bytes: Vec<u8> },
    /// Not a call: a number with a meaning for the test that recorded the run.
    Mark(usize),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Write { file, pos, bytes } => write!(f, "write #{file} {pos}..{}", pos + bytes.len()),
            Step::Hole { file, start, end } => write!(f, "hole #{file} {start}..{end}"),
            Step::Length { file, len } => write!(f, "length #{file} {len}"),
            Step::Sync(file) => write!(f, "sync #{file}"),
            Step::FailedSync(file) => write!(f, "sync #{file} fails"),
            Step::Reverted { file, .. } => write!(f, "sync #{file} fails and drops what was written"),
            Step::Create { path, file } => write!(f, "create {} #{file}", path.display()),
            Step::CreateDir(path) => write!(f, "create directory {}", path.display()),
            Step::Rename { from, to, file } => {
                write!(f, "rename {} to {} #{file}", from.display(), to.display())
            }
            Step::Remove { path, file } => write!(f, "remove {} #{file}", path.display()),
            Step::SyncDir(path) => write!(f, "sync directory {}", path.display()),
            Step::FailedSyncDir(path) => write!(f, "sync directory {} fails", path.display()),
            Step::Staging { path, .. } => write!(f, "memory of {}", path.display()),
            Step::Mark(mark) => write!(f, "mark {mark}"),
        }
    }
}
