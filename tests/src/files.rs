//! Logs on disk that can be copied as a crash would leave them, looked at, and damaged. The offsets are those of
//! `docs/format.md`.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use tempfile::TempDir;
use wal_db::{Result, Wal, WalConfig, store::Identity};

/// The room of one copy of the manifest.
pub const SLOT: u64 = 64 << 10;
/// Where the stream starts in a segment file.
pub const SEGMENT_ROW: u64 = 4096;
/// Where the stream starts in a log of one file.
pub const FILE_ROW: u64 = 2 * SLOT + SEGMENT_ROW;
/// Bytes of the stream in a segment: the smallest that there is.
pub const SEGMENT: u64 = 64 << 10;
/// What a disk writes whole or not at all.
pub const SECTOR: u64 = 512;

/// What a store is told of a log that it holds.
pub const SOME_LOG: Identity = Identity {
    log_id: [7; 16],
    head: 0,
    newest_segment: 0,
    read_only: false,
    in_use: false,
};
/// A group's header; LSNs count from the first byte after the first one.
pub const GROUP_HEADER: u64 = 64;

/// A single file, or a directory of segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// [`Wal::open_with`].
    File,
    /// [`Wal::open_segmented_with`], with [`SEGMENT`].
    Segmented,
}

impl Form {
    /// Opens such a log.
    pub fn open(self, path: impl AsRef<Path>, config: WalConfig) -> Result<Wal> {
        match self {
            Form::File => Wal::open_with(path, config),
            Form::Segmented => Wal::open_segmented_with(path, SEGMENT, config),
        }
    }
}

/// Both forms.
pub const FORMS: [Form; 2] = [Form::File, Form::Segmented];

/// A log of its own directory.
#[derive(Debug)]
pub struct Place {
    root: TempDir,
    /// Which form it has.
    pub form: Form,
}

impl Place {
    /// An empty place.
    #[must_use]
    pub fn new(form: Form) -> Place {
        Place::below(&std::env::temp_dir(), form)
    }

    /// An empty place on a file system in memory, if there is one: for tests that open logs by the thousand.
    #[must_use]
    pub fn fast(form: Form) -> Place {
        let memory = Path::new("/dev/shm");
        let memory = if memory.is_dir() {
            memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        Place::below(&memory, form)
    }

    fn below(parent: &Path, form: Form) -> Place {
        Place {
            root: tempfile::tempdir_in(parent).unwrap(),
            form,
        }
    }

    /// Where the log is, or will be.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.root.path().join("log")
    }

    /// The directory around it, which holds every file of the log and nothing else.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// Opens the log.
    ///
    /// # Errors
    /// Those of opening.
    pub fn open(&self, config: WalConfig) -> Result<Wal> {
        self.form.open(self.path(), config)
    }

    /// What a process that is killed now leaves: every file as it is.
    #[must_use]
    pub fn killed(&self) -> Place {
        let copy = Place::below(self.root.path().parent().unwrap(), self.form);
        copy_tree(self.root.path(), copy.root.path());
        copy
    }

    /// What a power loss leaves at best: staging memory is gone, all that was written to the log has arrived.
    #[must_use]
    pub fn without_staging(&self) -> Place {
        let copy = self.killed();
        fs::remove_file(copy.staging()).unwrap();
        copy
    }

    /// The staging file.
    #[must_use]
    pub fn staging(&self) -> PathBuf {
        match self.form {
            Form::File => self.root.path().join("log.staging"),
            Form::Segmented => self.path().join("staging"),
        }
    }

    /// The file with the manifest, whose copies are at 0 and [`SLOT`].
    #[must_use]
    pub fn manifest(&self) -> PathBuf {
        match self.form {
            Form::File => self.path(),
            Form::Segmented => self.path().join("manifest"),
        }
    }

    /// A segment's file.
    #[must_use]
    pub fn segment(&self, index: u64) -> PathBuf {
        self.path().join(format!("{index:010}.seg"))
    }

    /// The number that an error gives to the segment of `pos`.
    #[must_use]
    pub fn segment_of(&self, pos: u64) -> Option<u64> {
        (self.form == Form::Segmented).then_some(pos / SEGMENT)
    }

    /// The file that holds the byte of the stream at `pos`, and where in it.
    #[must_use]
    pub fn locate(&self, pos: u64) -> (PathBuf, u64) {
        match self.form {
            Form::File => (self.path(), FILE_ROW + pos),
            Form::Segmented => (self.segment(pos / SEGMENT), SEGMENT_ROW + pos % SEGMENT),
        }
    }

    /// Cuts the file that holds the byte of the stream at `pos`, in front of it. Panics if that cannot be done.
    pub fn cut_file(&self, pos: u64) {
        let (path, offset) = self.locate(pos);
        let file = fs::OpenOptions::new().write(true).open(path).expect("the file");
        file.set_len(offset).expect("the file is cut");
    }

    /// Bytes of the stream; zeros where the files end.
    #[must_use]
    pub fn stream(&self, pos: u64, len: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (at, part) in self.parts(pos, len) {
            let (path, offset) = self.locate(at);
            let mut buf = vec![0; part as usize];
            if let Ok(file) = fs::File::open(path) {
                let mut done = 0;
                while let Ok(n @ 1..) = file.read_at(&mut buf[done..], offset + done as u64) {
                    done += n;
                }
            }
            bytes.extend(buf);
        }
        bytes
    }

    /// Overwrites bytes of the stream.
    pub fn overwrite(&self, pos: u64, bytes: &[u8]) {
        for (at, len) in self.parts(pos, bytes.len() as u64) {
            let (path, offset) = self.locate(at);
            let file = OpenOptions::new().write(true).open(path).unwrap();
            let part = &bytes[(at - pos) as usize..][..len as usize];
            file.write_all_at(part, offset).unwrap();
        }
    }

    /// Flips the lowest bit of a byte of the stream.
    pub fn flip(&self, pos: u64) {
        let byte = self.stream(pos, 1)[0];
        self.overwrite(pos, &[byte ^ 1]);
    }

    /// The groups in the stream, by their headers.
    #[must_use]
    pub fn groups(&self) -> Vec<Group> {
        let (mut groups, mut pos) = (Vec::new(), 0);
        while let Some(group) = Group::parse(pos, &self.stream(pos, GROUP_HEADER)) {
            groups.push(group);
            pos = group.next();
        }
        groups
    }

    /// Every file with its bytes, by its path below the root. What is no file has none.
    #[must_use]
    pub fn bytes(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        tree(self.root.path())
    }

    /// Replaces a copy of the manifest by what `change` makes of it, with a checksum that is right again.
    pub fn patch_manifest(&self, slot: u64, change: impl FnOnce(&mut [u8])) {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.manifest())
            .unwrap();
        let mut bytes = vec![0; SLOT as usize];
        let len = file.read_at(&mut bytes, slot * SLOT).unwrap();
        bytes.truncate(len);
        patch_manifest(&mut bytes, change);
        file.write_all_at(&bytes, slot * SLOT).unwrap();
    }

    fn parts(&self, pos: u64, len: u64) -> Vec<(u64, u64)> {
        let (mut parts, mut pos, end) = (Vec::new(), pos, pos + len);
        while pos < end {
            let part = match self.form {
                Form::File => end - pos,
                Form::Segmented => (end - pos).min(SEGMENT - pos % SEGMENT),
            };
            parts.push((pos, part));
            pos += part;
        }
        parts
    }
}

/// A group of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// Where its header is.
    pub pos: u64,
    /// Header and frames.
    pub len: u64,
}

impl Group {
    /// The group whose header these bytes are, if they are one.
    #[must_use]
    pub fn parse(pos: u64, header: &[u8]) -> Option<Group> {
        let there = header[4..8] == 0xf150_4f47_u32.to_le_bytes() && header[8..16] == pos.to_le_bytes();
        let len = u32::from_le_bytes(header[16..20].try_into().unwrap());
        there.then_some(Group { pos, len: len.into() })
    }

    /// Where the next group starts.
    #[must_use]
    pub fn next(&self) -> u64 {
        (self.pos + self.len).next_multiple_of(SECTOR)
    }
}

/// Changes a copy of the manifest and makes its checksum right again.
pub fn patch_manifest(bytes: &mut [u8], change: impl FnOnce(&mut [u8])) {
    change(bytes);
    let len = u32::from_le_bytes(bytes[20..24].try_into().unwrap()) as usize;
    let crc = crc32fast::hash(&bytes[..len - 4]);
    bytes[len - 4..len].copy_from_slice(&crc.to_le_bytes());
}

/// Changes a group's header at `pos` and makes its checksum right again.
pub fn patch_group(log_id: &[u8], pos: u64, header: &mut [u8], change: impl FnOnce(&mut [u8])) {
    change(header);
    let mut crc = crc32fast::Hasher::new();
    crc.update(log_id);
    crc.update(&pos.to_le_bytes());
    crc.update(&header[8..GROUP_HEADER as usize]);
    header[..4].copy_from_slice(&crc.finalize().to_le_bytes());
}

/// Every file below `root` with its bytes; links, pipes and directories are there without any.
#[must_use]
pub fn tree(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut todo = vec![root.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            let mut bytes = Vec::new();
            if kind.is_dir() {
                todo.push(entry.path());
            } else if kind.is_file() {
                bytes = fs::read(entry.path()).unwrap();
            }
            found.insert(entry.path().strip_prefix(root).unwrap().to_owned(), bytes);
        }
    }
    found
}

/// Panics with the names, not the bytes, of the files that differ.
pub fn assert_same_files(
    before: &BTreeMap<PathBuf, Vec<u8>>,
    after: &BTreeMap<PathBuf, Vec<u8>>,
    what: &str,
) {
    let names = before.keys().chain(after.keys());
    let differ: Vec<_> = names
        .filter(|name| before.get(*name) != after.get(*name))
        .collect();
    assert!(differ.is_empty(), "{what}: changed: {differ:?}");
}

/// Copies a directory and everything in it.
pub fn copy_tree(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
