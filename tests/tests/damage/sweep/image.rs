//! A small log with a history, as a closing, a kill, a power loss or a reboot left it, and what has to be in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::Range,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use wal_db::{MemStore, Wal, WalConfig, WalRecord, read::RecordKind, recovery::SalvageItem};
use wal_tests::{
    Entry, all,
    files::{FILE_ROW, Form, GROUP_HEADER, Group, Place, SECTOR, SEGMENT, SEGMENT_ROW, SLOT},
    put, quiet,
};

/// An event, for a log that holds schemas.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "shop")]
pub(crate) enum Shop {
    Ordered { id: u64, items: Vec<String> },
    Paid(u64, i64),
    Closed,
}

/// The smallest ring there is.
pub(crate) const fn config() -> WalConfig {
    quiet().with_staging_bytes(64 << 10)
}

/// How a log was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// Closed, with its staging file.
    Closed,
    /// Closed, without a staging file.
    ClosedBare,
    /// By a killed process, in this boot. Some records are in the staging file only, some were written and not flushed.
    Killed,
    /// The same, and the machine went down and staging memory has survived it.
    Rebooted,
    /// The same without the staging file.
    Bare,
    /// Without a staging file and right after a flush.
    Synced,
}

/// All of them.
pub(crate) const LEFT: [Left; 6] = [
    Left::Closed,
    Left::ClosedBare,
    Left::Killed,
    Left::Rebooted,
    Left::Bare,
    Left::Synced,
];

/// The files of a log by their paths.
pub(crate) type Files = BTreeMap<PathBuf, Vec<u8>>;

/// A log on disk that is damaged and restored, over and over.
pub(crate) struct Image {
    pub(crate) left: Left,
    pub(crate) place: Place,
    /// Its files as they are without damage.
    pub(crate) files: Files,
    /// The same log at earlier times, closed.
    pub(crate) older: Vec<Files>,
    /// Every record that has to be there, in order.
    pub(crate) whole: Vec<Entry>,
    /// How many of them are in the stream; the others are in the staging file only.
    pub(crate) written: usize,
    /// Every record, schemas included, that was ever in the stream; and those of them that nothing has cut off.
    pub(crate) ever: BTreeSet<Entry>,
    pub(crate) live: BTreeSet<Entry>,
    /// What the manifest and the staging file say is durable, or must be in the stream.
    pub(crate) mark: u64,
    pub(crate) staging_says: u64,
    pub(crate) groups: Vec<Group>,
}

/// What appends do to a log, and what it holds then.
struct History {
    place: Place,
    wal: Wal,
    live: Vec<Entry>,
    ever: BTreeSet<Entry>,
}

impl History {
    fn raw(&mut self, len: usize) {
        let entry = put(&self.wal, self.ever.len() + 1, len);
        self.took(entry);
    }

    fn batch(&mut self) {
        let data: Vec<Vec<u8>> = (1..4u8).map(|i| vec![i; 20 * usize::from(i)]).collect();
        let lsns = self.wal.append_batch(&data).unwrap();
        for (lsn, data) in lsns.into_iter().zip(data) {
            self.took(Entry(lsn, data));
        }
    }

    fn event(&mut self, event: &Shop) {
        let lsn = self.wal.append_typed(event).unwrap();
        // Reading it from the log would write it out.
        let other = Wal::with_store(MemStore::new()).unwrap();
        let copy = other.append_typed(event).unwrap();
        self.took(Entry(lsn, other.read(copy).unwrap().into_data()));
    }

    fn took(&mut self, entry: Entry) {
        self.ever.insert(entry.clone());
        self.live.push(entry);
    }

    /// One group with an event, a record and a batch.
    fn group(&mut self) {
        let id = self.ever.len() as u64;
        self.event(&Shop::Ordered {
            id,
            items: vec!["tea".to_owned(), "rice".to_owned()],
        });
        self.raw(70);
        self.batch();
    }

    /// Lets the log go, which unlocks it; what takes its place is for nothing.
    fn close(&mut self) {
        let none = Wal::with_store(MemStore::new()).unwrap();
        std::mem::replace(&mut self.wal, none).close().unwrap();
    }

    fn reopen(&mut self) -> Files {
        self.close();
        let files = self.place.bytes();
        self.wal = self.place.open(config()).unwrap();
        files
    }

    /// Drops everything before the record `back` places from the end.
    fn drop_before(&mut self, back: usize) {
        let first = self.live.len() - back;
        let lsn = self.live[first].0;
        assert_eq!(self.wal.truncate_before(lsn).unwrap(), lsn);
        self.live.drain(..first);
    }

    /// Cuts the last records off.
    fn cut(&mut self, count: usize) {
        self.live.truncate(self.live.len() - count);
        let last = self.live.last().unwrap().0;
        self.wal.truncate_after(last).unwrap();
    }
}

/// Four segments, of which the first was dropped; both kinds of truncation, three openings.
fn history(form: Form) -> (History, Vec<Files>) {
    let place = Place::fast(form);
    let wal = place.open(config()).unwrap();
    let mut log = History {
        place,
        wal,
        live: Vec::new(),
        ever: BTreeSet::new(),
    };
    log.group();
    log.raw(30_000);
    log.wal.sync().unwrap();
    log.raw(38_000);
    log.group();
    log.wal.sync().unwrap();
    log.drop_before(3);
    log.raw(40);
    let mut older = vec![log.reopen()];

    log.group();
    log.raw(50_000);
    log.group();
    log.wal.sync().unwrap();
    log.raw(900);
    log.raw(300);
    log.cut(3);
    log.event(&Shop::Paid(3, -4));
    older.push(log.reopen());

    log.raw(62_000);
    log.event(&Shop::Closed);
    log.wal.sync().unwrap();
    log.group();
    log.wal.sync().unwrap();
    (log, older)
}

/// What follows in a log that is not closed: an acknowledged group, one that was written, and one in staging.
fn crash(log: &mut History, left: Left) -> (Place, usize) {
    log.raw(1200);
    log.wal.sync().unwrap();
    if left != Left::Synced {
        log.raw(300);
        log.raw(700);
        log.wal.drain().unwrap();
    }
    let written = log.live.len();
    match left {
        Left::Bare | Left::Synced => (log.place.without_staging(), written),
        _ => {
            log.raw(100);
            log.batch();
            log.event(&Shop::Closed);
            (log.place.killed(), written)
        }
    }
}

impl Image {
    /// A log of a form, left in a way.
    pub(crate) fn new(form: Form, left: Left) -> Image {
        let (mut log, older) = history(form);
        let (place, written) = match left {
            Left::Closed | Left::ClosedBare => {
                log.close();
                let place = if left == Left::Closed {
                    log.place.killed()
                } else {
                    log.place.without_staging()
                };
                (place, log.live.len())
            }
            _ => crash(&mut log, left),
        };
        if left == Left::Rebooted {
            patch_boot(&place);
        }
        shorten(&place);
        let mut image = Image {
            left,
            files: place.bytes(),
            place,
            older,
            whole: log.live,
            written,
            ever: log.ever,
            live: BTreeSet::new(),
            mark: 0,
            staging_says: 0,
            groups: Vec::new(),
        };
        image.look();
        image
    }

    /// Finds out where everything is, and that all of it is there.
    fn look(&mut self) {
        let manifest = &self.files[&self.manifest()];
        self.mark = number(manifest, 80);
        let staging = self.staging().and_then(|path| self.files.get(&path));
        if let Some(staging) = staging {
            self.staging_says = number(staging, 1024);
        }
        let first = self.whole[0].0.get() / SEGMENT * SEGMENT;
        let sectors = (first..self.end_of_files()).step_by(SECTOR as usize);
        self.groups = sectors
            .filter_map(|pos| Group::parse(pos, &self.place.stream(pos, GROUP_HEADER)))
            .collect();
        let schemas = |entries: Vec<(RecordKind, Entry)>| {
            entries
                .into_iter()
                .filter(|(kind, _)| *kind == RecordKind::Schema)
                .map(|(_, entry)| entry)
        };
        let found = salvage(&self.place);
        self.live = self.whole[..self.written].iter().cloned().collect();
        self.live.extend(schemas(found));
        let copy = self.place.killed();
        harm_manifest(&copy);
        self.ever.extend(schemas(salvage(&copy)));
        self.ever.extend(self.live.iter().cloned());

        let wal = Wal::open_read_only(self.place.path()).unwrap();
        // What waits in staging memory is shown, and marked.
        let read = all(&wal);
        assert_eq!(read, self.whole[..read.len()], "{:?}", self.left);
        assert_eq!(read.len() - self.written, wal.recovery().staged_records as usize);
        let copy = self.place.killed();
        assert_eq!(all(&copy.open(config()).unwrap()), self.whole, "{:?}", self.left);
        assert!(self.ever.len() > self.live.len(), "nothing was cut off");
    }

    /// The name of a file in [`files`](Self::files).
    pub(crate) fn below(&self, path: &Path) -> PathBuf {
        path.strip_prefix(self.place.root()).unwrap().to_owned()
    }

    /// The staging file, if there is one.
    pub(crate) fn staging(&self) -> Option<PathBuf> {
        let path = self.below(&self.place.staging());
        self.files.contains_key(&path).then_some(path)
    }

    pub(crate) fn manifest(&self) -> PathBuf {
        self.below(&self.place.manifest())
    }

    /// The segments that are there, and their paths below the root; a log in one file has one.
    pub(crate) fn segments(&self) -> Vec<(u64, PathBuf)> {
        if self.place.form == Form::File {
            return vec![(0, self.manifest())];
        }
        let there = |index: &u64| self.place.segment(*index).exists();
        let name = |index| self.below(&self.place.segment(index));
        (0..20).filter(there).map(|index| (index, name(index))).collect()
    }

    /// The place in the stream of a byte of a file, if it is in the stream.
    pub(crate) fn pos_of(&self, path: &Path, offset: u64) -> Option<u64> {
        let (index, _) = self.segments().into_iter().find(|(_, segment)| segment == path)?;
        match self.place.form {
            Form::File => offset.checked_sub(FILE_ROW),
            Form::Segmented => Some(offset.checked_sub(SEGMENT_ROW)? + index * SEGMENT),
        }
    }

    /// Whether the file is a segment that was made ready and not used yet.
    pub(crate) fn is_only_ready(&self, path: &Path) -> bool {
        let first = self.pos_of(path, SEGMENT_ROW);
        self.place.form == Form::Segmented && first.is_some_and(|first| first >= self.end())
    }

    /// After the last byte of the stream that a file has.
    pub(crate) fn end_of_files(&self) -> u64 {
        let (index, path) = self.segments().pop().unwrap();
        let len = self.files[&path].len() as u64;
        match self.place.form {
            Form::File => len - FILE_ROW,
            Form::Segmented => index * SEGMENT + len - SEGMENT_ROW,
        }
    }

    /// After the last group.
    pub(crate) fn end(&self) -> u64 {
        self.groups.last().unwrap().next()
    }

    /// The group around a place.
    pub(crate) fn group_at(&self, pos: u64) -> Option<Group> {
        let mut around = self
            .groups
            .iter()
            .filter(|group| (group.pos..group.next()).contains(&pos));
        around.next().copied()
    }

    /// What is known to be durable to somebody who cannot read the headers in `harmed`.
    pub(crate) fn known_durable(&self, harmed: &Range<u64>, with_staging: bool) -> u64 {
        let says = |group: &Group| {
            let header = self.place.stream(group.pos, GROUP_HEADER);
            let distance = u32::from_le_bytes(header[40..44].try_into().unwrap());
            group.pos - u64::from(distance) * SECTOR
        };
        let readable = self
            .groups
            .iter()
            .filter(|group| group.pos + GROUP_HEADER <= harmed.start || group.pos >= harmed.end);
        let headers = readable.map(says).max().unwrap_or(0);
        let staging = if with_staging { self.staging_says } else { 0 };
        headers.max(self.mark).max(staging)
    }

    /// Makes every file what it was.
    pub(crate) fn restore(&self) {
        let now = self.place.bytes();
        let is_dir = |path: &Path| self.place.form == Form::Segmented && path == self.place.path();
        let is_file = |path: &Path| fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file());
        for path in now.keys().map(|path| self.place.root().join(path)) {
            let wanted = self.files.contains_key(&self.below(&path));
            if !(is_dir(&path) || wanted && is_file(&path)) {
                fs::remove_file(&path)
                    .or_else(|_| fs::remove_dir_all(&path))
                    .unwrap();
            }
        }
        for (path, bytes) in &self.files {
            let there = self.place.root().join(path);
            if now.get(path) != Some(bytes) || bytes.is_empty() && !there.exists() {
                fs::write(there, bytes).unwrap();
            }
        }
    }
}

/// The number of eight bytes at an offset.
pub(crate) fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// Everything that salvage finds, schemas included.
fn salvage(place: &Place) -> Vec<(RecordKind, Entry)> {
    let mut found = Vec::new();
    for item in wal_db::recovery::salvage(place.path()).unwrap() {
        if let SalvageItem::Record(record) | SalvageItem::Schema(record) = item.unwrap() {
            found.push((record.kind(), Entry(record.lsn(), record.into_data())));
        }
    }
    found
}

fn harm_manifest(place: &Place) {
    let mut bytes = fs::read(place.manifest()).unwrap();
    for slot in 0..2 {
        bytes[(slot * SLOT) as usize + 60] ^= 1;
    }
    fs::write(place.manifest(), bytes).unwrap();
}

/// Another boot id in the header of the staging file.
fn patch_boot(place: &Place) {
    let mut bytes = fs::read(place.staging()).unwrap();
    bytes[24] ^= 1;
    let crc = crc32fast::hash(&bytes[..60]).to_le_bytes();
    bytes[60..64].copy_from_slice(&crc);
    fs::write(place.staging(), bytes).unwrap();
}

/// Takes away most of what was made ready and not used, so that a log is quickly read: some of the row of one file, or
/// all segments but one, and their promise in the manifest.
fn shorten(place: &Place) {
    if place.form == Form::File {
        let mut bytes = fs::read(place.path()).unwrap();
        let used = bytes.iter().rposition(|&byte| byte != 0).unwrap();
        bytes.truncate(used.next_multiple_of(4096) + 4096);
        fs::write(place.path(), bytes).unwrap();
        return;
    }
    let is_used = |index: &u64| {
        let bytes = fs::read(place.segment(*index)).unwrap();
        bytes[SEGMENT_ROW as usize..].iter().any(|&byte| byte != 0)
    };
    let there: Vec<u64> = (0..100).filter(|index| place.segment(*index).exists()).collect();
    let newest = there.iter().copied().filter(is_used).max().unwrap() + 1;
    for slot in 0..2 {
        place.patch_manifest(slot, |bytes| {
            let newest = newest.min(number(bytes, 112));
            bytes[112..120].copy_from_slice(&newest.to_le_bytes());
        });
    }
    for index in there.into_iter().filter(|&index| index > newest) {
        fs::remove_file(place.segment(index)).unwrap();
    }
}
