//! A store in memory that notices what is out of all proportion to the bytes that the target has put into it.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use wal_db::WalStore;

use super::image::Image;
use crate::{
    disk::Disk,
    scripted::{Op, Scripted},
};

/// How far past the end of an input a log may write: what it appends here is short.
const GROWTH: usize = 256 << 10;

/// How often the bytes that are there may be asked for, and how many more.
const READS: u64 = 400;
const READS_MORE: u64 = 32 << 20;

/// The bytes.
#[derive(Clone)]
pub(super) struct Row {
    disk: Disk,
    header: Vec<u8>,
    limit: u64,
    asked: Arc<AtomicU64>,
}

impl Row {
    pub(super) fn new(image: Image) -> Row {
        let row = Row {
            disk: Disk::new(),
            header: image.header.clone(),
            limit: (image.row.len() + GROWTH) as u64,
            asked: Arc::default(),
        };
        row.edit(|there| *there = image);
        row
    }

    pub(super) fn store(&self) -> Scripted<Disk> {
        let Row {
            disk, limit, asked, ..
        } = self.clone();
        Scripted::new(disk, move |disk, call| {
            let end = call.at.checked_add(call.len as u64);
            match call.op {
                Op::Read => {
                    let asked = asked.fetch_add(call.len as u64, Ordering::Relaxed) + call.len as u64;
                    let len = disk.len()?;
                    assert!(
                        asked <= READS * len + READS_MORE,
                        "{asked} bytes were read of a row of {len}"
                    );
                }
                Op::Write if end.is_none_or(|end| end > limit) => {
                    panic!(
                        "{} bytes are written at {}, after what is there",
                        call.len, call.at
                    )
                }
                // There is room for as much, and a manifest can say that the log has come farther.
                Op::Prepare if call.at > limit => return Err(io::ErrorKind::StorageFull.into()),
                Op::Prepare => return Ok(Some(limit)),
                _ => {}
            }
            Ok(None)
        })
    }

    pub(super) fn image(&self) -> Image {
        Image {
            slots: [0, 1].map(|slot| self.disk.slot(slot)),
            header: self.header.clone(),
            row: self.disk.row(),
        }
    }

    /// Changes the bytes behind the log's back, and counts anew what is read.
    pub(super) fn edit(&self, change: impl FnOnce(&mut Image)) {
        self.asked.store(0, Ordering::Relaxed);
        let mut image = self.image();
        change(&mut image);
        self.disk.edit(|row| *row = image.row);
        let mut slots = image.slots.into_iter();
        self.disk
            .edit_slots(|slot| slots.next().into_iter().for_each(|bytes| *slot = bytes));
    }
}
