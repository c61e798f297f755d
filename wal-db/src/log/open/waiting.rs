//! What waits in the staging memory of a process that may be at work, for a log that only reads.
//!
//! The header, the ring and the store are read one after the other, while the process goes on. A group is in the store
//! before it goes from the ring, and what the header calls durable or released was in the store before it said so.

use std::fs::File;

use super::{
    reader::LOOKS,
    recover::{self, Found, Stop},
    staged,
};
use crate::{
    error::Result,
    format::{FrameKey, Manifest, staging::StagingHeader},
    log::base::Base,
    staging::leftover::{self, Leftover},
};

pub(crate) struct Waiting {
    file: File,
    pub(crate) leftover: Leftover,
    pub(crate) key: FrameKey,
    /// What was appended before this was found ends before it.
    bound: u64,
    /// The first gap in what was read of it.
    pub(crate) gap: u64,
}

impl Waiting {
    /// The staging memory that belongs to the log, if it has some, and whether there is some that does not. It is never
    /// missed: nothing durable depends on it.
    pub(crate) fn find(base: &Base, manifest: &Manifest) -> (Option<Waiting>, bool) {
        let (found, is_ignored) = find_leftover(base, manifest);
        let waiting = found.map(|(file, leftover)| Waiting {
            file,
            key: base.key(manifest.timeline.newest().epoch),
            bound: leftover.end(),
            gap: leftover.end(),
            leftover,
        });
        (waiting, is_ignored)
    }

    /// Whether what lies at and after the end that was found in the store is nothing: all that was handed to the store
    /// comes before, and of a write that was interrupted in this boot its beginning is there.
    pub(crate) fn nothing_follows(&self, base: &Base, found: &Found) -> bool {
        recover::same_boot(base, &self.leftover.header)
            && self.leftover.released <= found.mark.pos
            && found.stop == Stop::Nothing
    }
}

/// Reads what waits after the end of the store, and then the store to its end by now, up to `limit`, until the two meet: a
/// group is in the store before it goes from staging memory, so what is in neither comes after what is.
pub(crate) fn meet(base: &Base, waiting: &mut Option<Waiting>, found: &mut Found, limit: u64) -> Result<()> {
    while let Some(there) = waiting {
        let read = staged::read_to_the_gap(&there.file, &mut there.leftover, found.mark.pos, there.key);
        match (read, there.leftover.is_as_large(&there.file)) {
            (Ok(gap), Ok(true)) => there.gap = gap,
            (_, Ok(false)) => {
                there.leftover.start_at(found.mark.pos);
                there.gap = found.mark.pos;
            }
            _ => {
                // It was closed. What it held is in the store.
                *waiting = None;
                return scan_on(base, found, limit);
            }
        }
        scan_on(base, found, limit)?;
        if found.mark.pos <= there.gap || found.mark.pos >= there.bound {
            break;
        }
    }
    Ok(())
}

pub(crate) fn scan_on(base: &Base, found: &mut Found, limit: u64) -> Result<()> {
    let more = recover::scan_to_end(base, found.mark, limit)?;
    *found = Found {
        durable: found.durable.max(more.durable),
        schema: more.schema.or(found.schema),
        ..more
    };
    Ok(())
}

/// Staging memory that belongs to the log, with all of its ring.
pub(crate) fn read_leftover(base: &Base, manifest: &Manifest) -> Option<Leftover> {
    for _ in 0..LOOKS {
        let (file, mut leftover) = find_leftover(base, manifest).0?;
        let read = leftover.read_on(&file, leftover.header.capacity);
        match (read, leftover.is_as_large(&file)) {
            (Ok(_), Ok(true)) => return Some(leftover),
            (_, Ok(false)) => {}
            _ => break,
        }
    }
    None
}

/// As [`read_leftover`], with nothing of the ring, and whether there is staging memory that does not belong to the log.
pub(crate) fn find_leftover(base: &Base, manifest: &Manifest) -> (Option<(File, Leftover)>, bool) {
    let Ok(Some(file)) = base.store.staging_file(false) else {
        return (None, false);
    };
    // Its two words may be read between the one and the other.
    for _ in 0..LOOKS {
        match Leftover::find_header(&file, base.log, |header| is_of(header, base, manifest)) {
            Ok(leftover::Found::Ours(leftover)) => return (Some((file, leftover)), false),
            Ok(leftover::Found::Nothing | leftover::Found::Foreign) => return (None, false),
            Ok(leftover::Found::Ignored) => {}
            Err(_) => break,
        }
    }
    (None, true)
}

/// Whether staging memory is that of the opening that the manifest tells of.
fn is_of(header: &StagingHeader, base: &Base, manifest: &Manifest) -> bool {
    header.log == base.log
        && header.epoch == manifest.timeline.newest().epoch
        && header.number == manifest.staging.unwrap_or(0)
}

#[cfg(all(test, not(any(wal_loom, wal_shuttle))))]
#[allow(clippy::unwrap_used)] // clippy does not see that this is a test
mod tests {
    use std::path::Path;

    use super::{
        super::{keeper::read_copies, reader, recover::Access},
        *,
    };
    use crate::{Wal, WalConfig, storage::Latched};

    fn append(wal: &Wal, count: usize) -> Vec<u64> {
        let lsns = (0..count).map(|_| wal.append(&[7; 1000]).unwrap().pos());
        lsns.collect()
    }

    struct Reader {
        base: Base,
        waiting: Option<Waiting>,
        len: u64,
        found: Found,
    }

    /// A reader of the log that has read the header of staging memory, and then the store.
    fn reader_of(path: &Path) -> Reader {
        let store = Latched::new(reader::read_only_store(path).unwrap());
        let manifest = read_copies(&store).unwrap().newest;
        let base = Base::of(store, &manifest);
        recover::attach(&base.store, &manifest, Access::ReadInUse).unwrap();
        let waiting = Waiting::find(&base, &manifest).0;
        let len = base.store.len().unwrap();
        let found = recover::scan_to_end(&base, manifest.mark, len).unwrap();
        Reader {
            base,
            waiting,
            len,
            found,
        }
    }

    impl Reader {
        /// Reads the ring, and the store to its end by now. Returns the records that it has seen in the ring.
        fn meet(&mut self) -> Vec<u64> {
            meet(&self.base, &mut self.waiting, &mut self.found, self.len).unwrap();
            let staged = self.waiting.as_ref().and_then(|waiting| {
                staged::collect(&waiting.leftover, self.found.mark.pos, false, waiting.key)
            });
            let frames = staged.into_iter().flat_map(staged::Staged::into_frames);
            frames.map(|(pos, ..)| pos).collect()
        }
    }

    /// The ring is not read in one moment with its header or with the store: what was in it goes to the store meanwhile,
    /// and more comes.
    #[test]
    fn what_goes_to_the_store_before_the_ring_is_read_hides_nothing_that_waits() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let config = WalConfig::new()
            .with_background_flush(false)
            .with_staging_bytes(64 << 10);
        let wal = Wal::open_with(&path, config).unwrap();
        let there = append(&wal, 40);

        let mut reader = reader_of(&path);
        let before = reader.found.mark.pos;
        append(&wal, 30);
        let staged = reader.meet();

        let end = reader.found.mark.pos;
        assert!((before + 1..there[30]).contains(&end), "{end}");
        for pos in there.into_iter().filter(|&pos| pos > end) {
            assert!(staged.contains(&pos), "{pos} is not in {staged:?}");
        }
    }

    /// The header that a reader has read says another size than the ring has by the time that it reads that.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_ring_that_changes_its_size_before_it_is_read_hides_nothing() {
        use crate::log::write::turn::Turn;

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let config = WalConfig::new().with_background_flush(false);
        let wal = Wal::open_with(&path, config).unwrap();
        let sees_all = |reader: &mut Reader, there: &[u64], what: &str| {
            let staged = reader.meet();
            let end = reader.found.mark.pos;
            let missed = there.iter().filter(|pos| **pos >= end && !staged.contains(pos));
            assert_eq!(missed.count(), 0, "{what}");
            assert!(
                staged.is_sorted() && staged.iter().all(|pos| *pos >= end),
                "{what}"
            );
            let all = (end..wal.end().pos()).filter(|pos| there.contains(pos));
            assert!(all.count() <= staged.len(), "{what}");
        };

        let there = append(&wal, 400);
        let mut reader = reader_of(&path);
        // A quarter of a ring that is four times as large.
        append(&wal, 700);
        assert_eq!(
            reader.waiting.as_ref().unwrap().leftover.header.capacity,
            512 << 10
        );
        assert_eq!(
            reader_of(&path).waiting.unwrap().leftover.header.capacity,
            2 << 20
        );
        sees_all(&mut reader, &there, "it has grown");

        // What the ring holds lies where the file will have ended.
        wal.drain().unwrap();
        assert!((600..1500).contains(&(wal.end().pos() >> 10)));
        let there = append(&wal, 400);
        let mut reader = reader_of(&path);
        assert_eq!(reader.waiting.as_ref().unwrap().leftover.header.capacity, 2 << 20);
        Turn::take(wal.writer().unwrap())
            .run(|held| held.shrink())
            .unwrap();
        sees_all(&mut reader, &there, "it has shrunk");
        let manifest = read_copies(&reader.base.store).unwrap().newest;
        let whole = read_leftover(&reader.base, &manifest).unwrap();
        assert_eq!(whole.header.capacity, 512 << 10);
    }
}
