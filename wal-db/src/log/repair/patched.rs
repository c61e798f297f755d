//! The files of a log as they would be after a repair: with another manifest, with whatever headers, and with zeros where a
//! segment is missing. It can be opened for writing: what is written stays in memory, so that it is known what opening the
//! log would do.

use std::{collections::BTreeMap, fs, io, path::PathBuf};

use super::files::LogFiles;
use crate::{
    format::{Manifest, SECTOR},
    storage::{
        WalStore,
        fs::{Access, File, read_at},
        read_full, sys,
    },
    sync::{Arc, Mutex},
};

/// So many files are open at most.
const OPEN_MAX: usize = 32;

/// A segment, and its file if there is one.
type Open = (u64, Option<Arc<dyn File>>);

/// What is not in the files.
struct Written {
    /// Instead of those that are there.
    slots: BTreeMap<usize, Vec<u8>>,
    /// By their numbers, those that were written and are not as they were.
    sectors: BTreeMap<u64, [u8; SECTOR as usize]>,
    len: u64,
    /// From here on nothing is of the files.
    cut: u64,
}

pub(super) struct Patched {
    files: Arc<LogFiles>,
    segment_len: u64,
    /// Those that were read last.
    open: Mutex<Vec<Open>>,
    written: Mutex<Written>,
}

impl Patched {
    /// A log whose last segment that is there is `last`.
    pub(super) fn new(
        files: Arc<LogFiles>,
        manifest: Option<&Manifest>,
        segment_len: u64,
        last: u64,
    ) -> io::Result<Patched> {
        let in_last = files.stream_len(last)?.unwrap_or(segment_len);
        let slots = manifest.map(Manifest::encode);
        Ok(Patched {
            files,
            segment_len,
            open: Mutex::new(Vec::new()),
            written: Mutex::new(Written {
                slots: slots.map_or_else(BTreeMap::new, |bytes| [(0, bytes.clone()), (1, bytes)].into()),
                sectors: BTreeMap::new(),
                cut: u64::MAX,
                len: match segment_len {
                    0 => in_last,
                    len => last.saturating_mul(len).saturating_add(in_last.min(len)),
                },
            }),
        })
    }

    fn read_file(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        let (segment, offset, rest) = match self.segment_len {
            0 => (0, pos, u64::MAX),
            len => (pos / len, pos % len, len - pos % len),
        };
        let len = buf.len().min(usize::try_from(rest).unwrap_or(usize::MAX));
        let got = match self.file(segment)? {
            Some(file) => read_at(&*file, self.files.stream_offset() + offset, &mut buf[..len])?,
            None => 0,
        };
        buf[got..len].fill(0);
        Ok(len)
    }

    fn file(&self, segment: u64) -> io::Result<Option<Arc<dyn File>>> {
        let mut open = self.open.lock();
        if let Some((_, file)) = open.iter().find(|(index, _)| *index == segment) {
            return Ok(file.clone());
        }
        let file = self.files.open_segment(segment, Access::Read)?;
        if open.len() >= OPEN_MAX {
            open.remove(0);
        }
        open.push((segment, file.clone()));
        Ok(file)
    }
}

impl WalStore for Patched {
    fn location(&self) -> Option<PathBuf> {
        Some(self.files.path().to_owned())
    }

    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        let written = self.written.lock();
        let rest = usize::try_from(written.len.saturating_sub(pos)).unwrap_or(usize::MAX);
        let len = buf.len().min(rest);
        if len == 0 {
            return Ok(0);
        }
        let len = self.read_file(pos, &mut buf[..len])?;
        let end = pos + len as u64;
        let of_files = written.cut.clamp(pos, end) - pos;
        buf[of_files as usize..len].fill(0);
        for (number, sector) in written.sectors.range(pos / SECTOR..end.div_ceil(SECTOR)) {
            let start = number * SECTOR;
            let (from, to) = (start.max(pos), (start + SECTOR).min(end));
            buf[(from - pos) as usize..(to - pos) as usize]
                .copy_from_slice(&sector[(from - start) as usize..(to - start) as usize]);
        }
        Ok(len)
    }

    fn write_at(&self, pos: u64, bytes: &[u8]) -> io::Result<()> {
        let end = pos + bytes.len() as u64;
        for number in pos / SECTOR..end.div_ceil(SECTOR) {
            let start = number * SECTOR;
            let mut before = [0; SECTOR as usize];
            // After the end there are zeros.
            read_full(self, start, &mut before)?;
            let (from, to) = (start.max(pos), (start + SECTOR).min(end));
            let mut sector = before;
            sector[(from - start) as usize..(to - start) as usize]
                .copy_from_slice(&bytes[(from - pos) as usize..(to - pos) as usize]);
            if sector != before {
                self.written.lock().sectors.insert(number, sector);
            }
        }
        let mut written = self.written.lock();
        written.len = written.len.max(end);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.written.lock().len)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let mut written = self.written.lock();
        (written.len, written.cut) = (len, written.cut.min(len));
        // A sector that stays has its bytes from the files, and those after the end do not count.
        written.sectors.retain(|number, _| number * SECTOR < len);
        Ok(())
    }

    fn read_slot(&self, slot: usize) -> io::Result<Vec<u8>> {
        match self.written.lock().slots.get(&slot) {
            Some(bytes) => Ok(bytes.clone()),
            None => self.files.read_slot(slot),
        }
    }

    fn write_slot(&self, slot: usize, bytes: &[u8]) -> io::Result<()> {
        self.written.lock().slots.insert(slot, bytes.to_owned());
        Ok(())
    }

    fn slots(&self) -> usize {
        4
    }

    fn segment_len(&self) -> Option<u64> {
        (self.segment_len > 0).then_some(self.segment_len)
    }

    fn staging_file(&self, create: bool) -> io::Result<Option<fs::File>> {
        match create {
            true => Ok(None),
            false => self.files.staging(),
        }
    }

    fn staging_place(&self) -> Result<PathBuf, String> {
        Ok(self.files.staging_path())
    }

    fn boot_id(&self) -> Option<[u8; 16]> {
        sys::boot_id()
    }
}
