//! A store in memory that shares its bytes with the target, and notices what is out of all proportion to them.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use wal_db::WalStore;

use super::image::Image;

/// How far past the end of an input a log may write: what it appends here is short.
const GROWTH: usize = 256 << 10;

/// How often the bytes that are there may be asked for, and how many more.
const READS: u64 = 400;
const READS_MORE: u64 = 32 << 20;

/// The store. Clones share their bytes.
#[derive(Debug, Clone)]
pub(super) struct Row {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    image: Image,
    limit: usize,
    asked: u64,
}

impl Row {
    pub(super) fn new(image: Image) -> Row {
        let limit = image.row.len() + GROWTH;
        let asked = 0;
        Row {
            state: Arc::new(Mutex::new(State { image, limit, asked })),
        }
    }

    pub(super) fn image(&self) -> Image {
        self.state().image.clone()
    }

    /// Changes the bytes behind the log's back, and counts anew what is read.
    pub(super) fn edit(&self, change: impl FnOnce(&mut Image)) {
        let mut state = self.state();
        state.asked = 0;
        change(&mut state.image);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl WalStore for Row {
    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state();
        state.asked += buf.len() as u64;
        let (asked, row) = (state.asked, &state.image.row);
        let fair = READS * row.len() as u64 + READS_MORE;
        assert!(asked <= fair, "{asked} bytes were read of a row of {}", row.len());
        let from = usize::try_from(pos).unwrap_or(usize::MAX).min(row.len());
        let len = buf.len().min(row.len() - from);
        buf[..len].copy_from_slice(&row[from..from + len]);
        Ok(len)
    }

    fn write_at(&self, pos: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let end = pos
            .checked_add(bytes.len() as u64)
            .and_then(|end| end.try_into().ok());
        let end = end.filter(|&end| end <= state.limit);
        let Some(end) = end else {
            panic!("{} bytes are written at {pos}, behind what is there", bytes.len());
        };
        let row = &mut state.image.row;
        if row.len() < end {
            row.resize(end, 0);
        }
        row[end - bytes.len()..end].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.state().image.row.len() as u64)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.state()
            .image
            .row
            .truncate(usize::try_from(len).unwrap_or(usize::MAX));
        Ok(())
    }

    fn read_slot(&self, slot: usize) -> io::Result<Vec<u8>> {
        Ok(self.state().image.slots[slot].clone())
    }

    fn write_slot(&self, slot: usize, bytes: &[u8]) -> io::Result<()> {
        self.state().image.slots[slot] = bytes.to_vec();
        Ok(())
    }
}
