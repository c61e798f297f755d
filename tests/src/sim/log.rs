//! A log of the one design or the other, and where it lies on a simulated disk.

use std::{
    fmt::Display,
    path::{Path, PathBuf},
    sync::Arc,
};

use wal_db::{
    Durability, Lsn, Staging, Wal, WalConfig,
    testing::sim::{FileId, Image, Medium, SECTOR, SimDisk, Step},
};

use crate::{
    Entry,
    files::{FILE_ROW, Form, GROUP_HEADER, SEGMENT, SEGMENT_ROW, SLOT, patch_manifest},
    quiet_heap,
};

pub(super) const NAME: &str = "log";

/// Segments so small that a short run fills several. No log is made with them, but what its manifest says counts.
pub const SMALL_SEGMENT: u64 = 4 << 10;

/// Whose log it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Design {
    /// This one.
    Ours,
    /// The existing crate of the same name, in one file.
    #[cfg(feature = "wal-db-1-1-0")]
    WalDb110,
}

/// How a log is opened.
#[derive(Debug, Clone, Copy)]
pub struct Opening {
    /// Whose it is.
    pub design: Design,
    /// In one file or in segments.
    pub form: Form,
    /// Bytes of the stream in a segment.
    pub segment: u64,
    /// With these settings.
    pub config: WalConfig,
}

/// What fails is told as text.
pub type Done<T = ()> = Result<T, String>;

/// What a run does with a log. A call that a design does not have is `None`.
pub trait Log {
    /// Appends a record.
    ///
    /// # Errors
    /// The log's.
    fn append(&self, data: &[u8]) -> Done<Appended>;

    /// Appends a record and makes it durable.
    ///
    /// # Errors
    /// The log's.
    fn append_and_sync(&self, data: &[u8]) -> Done<Lsn>;

    /// Appends records that are there together or not at all.
    fn append_batch(&self, _data: &[Arc<[u8]>]) -> Option<Done<Vec<Lsn>>> {
        None
    }

    /// Makes all that was appended durable.
    ///
    /// # Errors
    /// The log's.
    fn sync(&self) -> Done;

    /// Hands all that was appended to the system.
    fn flush(&self) -> Option<Done> {
        None
    }

    /// Drops what comes after a record, durably.
    ///
    /// # Errors
    /// The log's.
    fn truncate_after(&self, lsn: Lsn) -> Done;

    /// Whether it has [`truncate_from`](Self::truncate_from).
    fn can_truncate_from(&self) -> bool {
        false
    }

    /// Drops a record and what comes after it, durably.
    ///
    /// # Errors
    /// The log's.
    fn truncate_from(&self, _lsn: Lsn) -> Done {
        Err("not there".to_owned())
    }

    /// Drops what comes before a record, durably.
    fn truncate_before(&self, _lsn: Lsn) -> Option<Done> {
        None
    }

    /// The position before which everything is durable.
    fn durable(&self) -> u64;

    /// Every record, in order.
    ///
    /// # Errors
    /// The first that cannot be read.
    fn all(&self) -> Done<Vec<Entry>>;

    /// What the log says of itself if it holds so many records; an error if that is wrong.
    ///
    /// # Errors
    /// What is wrong.
    fn check(&self, _records: u64) -> Done {
        Ok(())
    }

    /// Closes the log.
    ///
    /// # Errors
    /// The log's.
    fn close(self: Box<Self>) -> Done;
}

/// What came of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// It is there.
    At(Lsn),
    /// There was no space, and nothing was taken.
    Full,
}

/// What an error says.
pub(super) fn text(error: impl Display) -> String {
    error.to_string()
}

/// Whether an error says that there is no space, and that nothing was done.
pub(super) fn is_full(error: &str) -> bool {
    error.starts_with("no space left")
}

impl Log for Wal {
    fn append(&self, data: &[u8]) -> Done<Appended> {
        match Wal::append(self, data) {
            Ok(lsn) => Ok(Appended::At(lsn)),
            Err(wal_db::WalError::Full { .. }) => Ok(Appended::Full),
            Err(error) => Err(text(error)),
        }
    }

    fn append_and_sync(&self, data: &[u8]) -> Done<Lsn> {
        Wal::append_and_sync(self, data).map_err(text)
    }

    fn append_batch(&self, data: &[Arc<[u8]>]) -> Option<Done<Vec<Lsn>>> {
        Some(Wal::append_batch(self, data).map_err(text))
    }

    fn sync(&self) -> Done {
        Wal::sync(self).map_err(text)
    }

    fn flush(&self) -> Option<Done> {
        Some(Wal::drain(self).map_err(text).map(|_| ()))
    }

    fn truncate_after(&self, lsn: Lsn) -> Done {
        Wal::truncate_after(self, lsn).map_err(text).map(|_| ())
    }

    fn can_truncate_from(&self) -> bool {
        true
    }

    fn truncate_from(&self, lsn: Lsn) -> Done {
        Wal::truncate_from(self, lsn).map_err(text)
    }

    fn truncate_before(&self, lsn: Lsn) -> Option<Done> {
        // The highest number stands for the end of the log.
        Some(
            Wal::truncate_before(self, lsn.min(self.end()))
                .map_err(text)
                .map(|_| ()),
        )
    }

    fn durable(&self) -> u64 {
        self.status().durable.get()
    }

    fn all(&self) -> Done<Vec<Entry>> {
        let entry = |record: wal_db::Result<wal_db::Record>| record.map(|r| Entry(r.lsn(), r.into_data()));
        let records = self
            .iter()
            .and_then(|records| records.map(entry).collect::<wal_db::Result<_>>());
        records.map_err(text)
    }

    fn check(&self, records: u64) -> Done {
        let verified = self.verify().map_err(|error| format!("verifying: {error}"))?;
        let counts = [self.status().records, verified.records];
        if counts == [records; 2] && verified.is_intact() {
            return Ok(());
        }
        Err(format!(
            "{records} records are counted as {counts:?}: {verified:?}"
        ))
    }

    fn close(self: Box<Self>) -> Done {
        Wal::close(*self).map_err(text)
    }
}

impl Opening {
    /// What is on the disk before the log is opened for the first time: nothing, or a manifest that asks for small
    /// segments.
    #[must_use]
    pub fn base(&self) -> Image {
        if self.form == Form::File || self.segment == SEGMENT {
            return Image::default();
        }
        let disk = SimDisk::new();
        open(&disk, self.form, quiet_heap()).unwrap();
        let steps = disk.journal();
        let is_segment = |step: &&Step| matches!(step, Step::Create { path, .. } if index_of(path).is_some());
        let mut medium = Medium::default();
        let before = steps.iter().take_while(|step| !is_segment(step));
        before.for_each(|step| medium.apply(step));
        let mut image = medium.after(&medium.all());
        for slot in 0..2 {
            let (path, offset) = self.locate_slot(slot).unwrap();
            let manifest = image.file_mut(path).unwrap();
            let mut bytes = manifest.part(offset, SLOT as usize);
            if bytes.iter().any(|&byte| byte != 0) {
                patch_manifest(&mut bytes, |bytes| {
                    bytes[SEGMENT_LEN..SEGMENT_LEN + 8].copy_from_slice(&self.segment.to_le_bytes());
                });
                manifest.write(offset, &bytes);
            }
        }
        image
    }

    /// Opens the log of a disk.
    ///
    /// # Errors
    /// The log's.
    pub fn open(&self, disk: &SimDisk) -> Done<Box<dyn Log>> {
        match self.design {
            Design::Ours => Ok(Box::new(open(disk, self.form, self.config).map_err(text)?)),
            #[cfg(feature = "wal-db-1-1-0")]
            Design::WalDb110 => super::peer::open(disk),
        }
    }

    /// Whether a flush is durable only when the log itself says that it had arrived.
    #[must_use]
    pub fn certifies(&self) -> bool {
        self.config == self.config.with_durability(Durability::Certified)
    }

    /// Whether what was appended is lost with the process.
    #[must_use]
    pub fn is_in_heap(&self) -> bool {
        self.config.staging() == Staging::Heap
    }

    /// The file that holds a byte of the stream, and where in it.
    #[must_use]
    pub fn locate(&self, pos: usize) -> (PathBuf, usize) {
        match self.form {
            _ if self.design != Design::Ours => (NAME.into(), pos),
            Form::File => (NAME.into(), FILE_ROW as usize + pos),
            Form::Segmented => {
                let segment = self.segment as usize;
                let name = format!("{NAME}/{:010}.seg", pos / segment);
                (name.into(), SEGMENT_ROW as usize + pos % segment)
            }
        }
    }

    /// The file that holds a copy of the manifest, and where in it.
    #[must_use]
    pub fn locate_slot(&self, slot: usize) -> Option<(PathBuf, usize)> {
        let name = match self.form {
            Form::File => NAME.to_owned(),
            Form::Segmented => format!("{NAME}/manifest"),
        };
        (self.design == Design::Ours).then(|| (name.into(), slot * SLOT as usize))
    }

    /// Whether all of the stream before `end` is there.
    #[must_use]
    pub fn holds(&self, image: &Image, end: usize) -> bool {
        let (path, offset) = self.locate(end.saturating_sub(1));
        image.file(path).is_some_and(|file| file.len() > offset)
    }

    /// Where the group begins that holds a byte of the stream, if groups begin at `from`; the first one that is not whole,
    /// if that comes before.
    #[must_use]
    pub fn group_around(&self, image: &Image, from: usize, at: usize) -> usize {
        let mut pos = from;
        while pos < at && self.design == Design::Ours {
            let (path, offset) = self.locate(pos);
            let header = image
                .file(path)
                .map(|file| file.part(offset, GROUP_HEADER as usize));
            let Some(header) = header.filter(|header| header[4..8] == GROUP_MAGIC) else {
                break;
            };
            let len = u32::from_le_bytes(header[16..20].try_into().unwrap()) as usize;
            let next = (pos + len).next_multiple_of(SECTOR);
            if next > at {
                break;
            }
            pos = next;
        }
        pos
    }

    /// Which byte of the stream lies at a place in a file.
    #[must_use]
    pub fn stream_pos(&self, image: &Image, file: FileId, pos: usize) -> Option<usize> {
        let (path, _) = image.names.iter().find(|(_, id)| **id == Some(file))?;
        match self.form {
            _ if self.design != Design::Ours => Some(pos),
            Form::File => pos.checked_sub(FILE_ROW as usize),
            Form::Segmented => {
                let index = index_of(path)?;
                Some(index * self.segment as usize + pos.checked_sub(SEGMENT_ROW as usize)?)
            }
        }
    }
}

/// What a group's header has after its checksum.
const GROUP_MAGIC: [u8; 4] = *b"GOP\xf1";

/// Where the manifest says how long a segment is.
const SEGMENT_LEN: usize = 48;

/// The number of a segment's file, complete or not.
pub(super) fn index_of(path: &Path) -> Option<usize> {
    let name = path.file_name()?.to_str()?;
    let name = name.strip_suffix(".new").unwrap_or(name);
    name.strip_suffix(".seg")?.parse().ok()
}

/// Opens one of our logs, by the name that it has here.
///
/// # Errors
/// As [`Wal::open_with`].
pub fn open(disk: &SimDisk, form: Form, config: WalConfig) -> wal_db::Result<Wal> {
    match form {
        Form::File => disk.open(NAME, config),
        Form::Segmented => disk.open_segmented(NAME, SEGMENT, config),
    }
}
