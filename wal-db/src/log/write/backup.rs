//! Copies of a log that is in use.

use std::{collections::BTreeSet, io, ops::Range, path::Path};

use super::writer::Writer;
use crate::{
    error::{CorruptionReason, Result, WalError},
    format::{
        GROUP_HEADER_LEN, Manifest,
        snapshot::{SnapshotReader, name_and_next},
    },
    log::{
        base::{Base, mark_after},
        examine::{verify, verify_config::VerifyConfig},
        open::reader,
        read::{
            buffer::BUFFER_LEN,
            consumer_files::{self, ConsumerFiles},
            find,
            view::View,
        },
    },
    lsn::Lsn,
    position::Position,
    storage::{Reading, SideFiles, copy::Copy},
    sync::Arc,
};

/// How often a copy is begun anew if the end of the log is cut off while it is made.
const TRIES: u32 = 8;

impl Writer {
    /// The manifest of a log that ends where this one does now, all of it durable.
    pub(crate) fn manifest_of_now(&self) -> Result<Manifest> {
        self.check_usable()?;
        // A log that has failed is copied as far as it is durable.
        if !self.is_poisoned() {
            self.sync_to(self.ring.tail())?;
        }
        // No schema is being written meanwhile, so the mark can move.
        let _schemas = self.dictionary.lock();
        let mut manifest = self.manifest.lock().clone();
        self.set_mark(&mut manifest, self.base.flushed_mark());
        Ok(manifest)
    }
}

impl View {
    /// Copies the log as it is now, when it has this manifest; returns where the copy goes on.
    pub(crate) fn backup_to(
        &self,
        path: &Path,
        manifest_of_now: impl Fn() -> Result<Manifest>,
    ) -> Result<Lsn> {
        for _ in 0..TRIES {
            // Before it is known where the copy ends, which is not before they are then.
            let head = self.base.now().head;
            let consumers = self.copy_consumers()?;
            let copied =
                manifest_of_now().and_then(|manifest| self.try_backup(path, manifest, head, &consumers));
            if let Some(end) = copied.map_err(|error| error.located(Some(path)))? {
                return Ok(end);
            }
        }
        let why = io::Error::other("records were dropped from the log each time it was tried");
        Err(WalError::io("making a backup")(why).located(Some(path)))
    }

    /// `None` if a truncation took away what was to be copied.
    fn try_backup(
        &self,
        path: &Path,
        mut manifest: Manifest,
        head_before: u64,
        consumers: &[consumer_files::Copy],
    ) -> Result<Option<Lsn>> {
        let making = || WalError::io("making a backup");
        let staged = self.staged();
        let staged = staged.filter(|staged| staged.base.extent().head_group == manifest.mark.pos);
        let end = manifest.mark.pos;
        let mut copy = Copy::begin(path, self.base.log, manifest.segment_len).map_err(making())?;
        let Some(states) = self.copy_snapshots(&mut copy, end)? else {
            return Ok(None);
        };
        match self.copy_row(&mut copy, &manifest) {
            Err(WalError::Corruption(_) | WalError::Truncated { .. }) if self.was_cut(&manifest) => {
                return Ok(None);
            }
            result => result?,
        }
        if self.was_cut(&manifest) {
            return Ok(None);
        }
        // The beginning may have been removed meanwhile, and with it some of what was copied.
        let extent = self.base.now();
        if extent.head_group > end || extent.head > end && extent.head_group != end {
            return Ok(None);
        }
        if self.lack_events(consumers, head_before..extent.head) {
            return Ok(None);
        }
        (manifest.head, manifest.head_group) = (extent.head, extent.head_group);
        (manifest.head_ordinal, manifest.dropped) = (extent.head_ordinal, extent.dropped);
        manifest.timeline = extent.timeline.clone();
        // What waited in staging memory is in the copy, which has none.
        manifest.staging = None;
        if let Some(staged) = staged {
            copy_part(&staged.base, &mut copy, end, staged.base.written())?;
            if let Ok(header) = find::read_header(&staged.base, end)? {
                manifest.mark = mark_after(&header, self.base.log);
                manifest.schema = staged.dictionary.newest_before(header.next()).or(manifest.schema);
            }
        }
        let end = manifest.mark.pos;
        manifest.newest_segment = self.base.segment_of(end.saturating_sub(1)).unwrap_or(0);
        manifest.generation += 1;
        copy.drop_before(manifest.head_group.min(end.saturating_sub(1)))
            .map_err(making())?;
        if let Some(table) = manifest.timeline.sealed(manifest.log) {
            copy.put_table(&table).map_err(making())?;
        }
        let bytes = manifest.encode();
        if Manifest::decode(&bytes).is_err() {
            // The head has come to what was appended after the copy was begun.
            return Ok(None);
        }
        // What was dropped from the beginning meanwhile is in snapshots that were made meanwhile, and may be gone again.
        let states_now = self.copy_snapshots(&mut copy, end)?;
        if !states_now.is_some_and(|now| now.is_superset(&states)) {
            return Ok(None);
        }
        put_consumers(&mut copy, consumers).map_err(making())?;
        copy.finish(end, &bytes).map_err(making())?;
        check(copy.path())?;
        copy.keep();
        Ok(Some(Lsn::from_pos(end + GROUP_HEADER_LEN as u64)))
    }

    /// Whether some that were copied need something that was `dropped` meanwhile: they have read on, and the copies have not.
    fn lack_events(&self, consumers: &[consumer_files::Copy], dropped: Range<u64>) -> bool {
        let needs = consumers.iter().filter_map(|consumer| consumer.needs);
        let mut needs = needs.filter(|(log, _)| *log == self.base.log);
        needs.any(|(_, from)| dropped.contains(&from.pos()))
    }

    /// What is kept of the consumers, as it is now.
    fn copy_consumers(&self) -> Result<Vec<consumer_files::Copy>> {
        let files = self.base.store.shared().side_files();
        files.map_or(Ok(Vec::new()), |files| ConsumerFiles::new(files).copies())
    }

    /// Copies the snapshots that can be read and have nothing after `end`; returns which states have one that fits the log as
    /// it is now. `None` if one was removed meanwhile: newer ones may be needed then.
    fn copy_snapshots(&self, copy: &mut Copy, end: u64) -> Result<Option<BTreeSet<String>>> {
        let mut states = BTreeSet::new();
        let Some(files) = self.base.store.shared().side_files() else {
            return Ok(Some(states));
        };
        for file in files.list().map_err(WalError::io("listing snapshots"))? {
            let Some((name, next)) = name_and_next(&file) else {
                continue;
            };
            if Lsn::new(next).pos() > end {
                continue;
            }
            let content = match files.open(&file) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(_) => continue,
                Ok(content) => content,
            };
            let mut content = Readable {
                content: Reading::of(&*content),
                failed: false,
            };
            match copy.put_beside(&file, &mut content) {
                Err(_) if content.failed => continue,
                put => put.map_err(WalError::io("copying a snapshot"))?,
            }
            if self.holds_position_of(&*files, &file) {
                states.insert(name.to_owned());
            }
        }
        Ok(Some(states))
    }

    /// Whether the log has what a snapshot was made of, and all that comes after it.
    fn holds_position_of(&self, files: &dyn SideFiles, file: &str) -> bool {
        let position = || {
            let content = files.open(file).ok()?;
            let (header, _) = SnapshotReader::new(&mut Reading::of(&*content)).ok()?;
            Position::from_bytes(&header.position).ok()
        };
        position().is_some_and(|position| self.resolve(&position).is_ok())
    }

    fn was_cut(&self, manifest: &Manifest) -> bool {
        self.base.now().timeline.newest().epoch != manifest.timeline.newest().epoch
    }

    /// Copies what lies before the mark. What the head passes meanwhile is left out.
    fn copy_row(&self, copy: &mut Copy, manifest: &Manifest) -> Result<()> {
        let end = manifest.mark.pos;
        let mut pos = self.base.window_start(manifest.head_group).min(end);
        while pos < end {
            match copy_part(&self.base, copy, pos, end) {
                Err(WalError::Corruption(_) | WalError::Truncated { .. }) => {
                    let head = self.base.window_start(self.base.now().head_group);
                    if head <= pos {
                        // No truncation came in between: it is damaged.
                        return copy_part(&self.base, copy, pos, end);
                    }
                    pos = head;
                }
                result => return result,
            }
        }
        Ok(())
    }
}

fn put_consumers(copy: &mut Copy, consumers: &[consumer_files::Copy]) -> io::Result<()> {
    consumers
        .iter()
        .try_for_each(|consumer| copy.put_beside(&consumer.file, &mut &consumer.bytes[..]))
}

fn copy_part(base: &Base, copy: &mut Copy, from: u64, end: u64) -> Result<()> {
    let mut buf = vec![0; 4 * BUFFER_LEN];
    let mut pos = from;
    while pos < end {
        let want = buf.len().min(usize::try_from(end - pos).unwrap_or(usize::MAX));
        let got = base.read(pos, &mut buf[..want])?;
        if got == 0 {
            return Err(base.damage(pos, end, CorruptionReason::Short).into());
        }
        copy.write(pos, &buf[..got])
            .map_err(WalError::io("making a backup"))?;
        pos += got as u64;
    }
    Ok(())
}

fn check(path: &Path) -> Result<()> {
    let config = crate::config::WalConfig::new().with_background_flush(false);
    let view = Arc::new(reader::open(reader::read_only_store(path)?, config)?);
    let report = verify::verify(&view, None, &VerifyConfig::new())?;
    match report.damage.into_iter().next() {
        Some(damage) => Err(damage.into()),
        _ => Ok(()),
    }
}

/// Tells whether reading failed.
struct Readable<'f> {
    content: Reading<'f>,
    failed: bool,
}

impl io::Read for Readable<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(buf);
        self.failed |= read.is_err();
        read
    }
}
