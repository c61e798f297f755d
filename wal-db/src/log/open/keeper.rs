//! The two copies of the manifest: choosing one, loading and writing.

use std::io;

use super::{reader::pause, table};
use crate::{
    error::{Corruption, CorruptionReason, Result, WalError},
    format::{
        LogId, Manifest,
        manifest::{Copies, SlotFault},
    },
    log::report::RecoveryReport,
    storage::Latched,
};

/// Reads the newest valid copy of the manifest, or makes one for a log that holds nothing yet.
pub(crate) fn load_manifest(store: &Latched, report: &mut RecoveryReport) -> Result<Manifest> {
    let slots = read_slots(store)?;
    let copies = Copies::decode(&slots);
    if let Some((version, features)) = copies.unknown() {
        return Err(WalError::newer(version, features));
    }
    if let Some((slot, newest)) = copies.newest() {
        let mut newest = newest.clone();
        if table::complete(store, &mut newest)? {
            newest.timeline.write_again();
        }
        if !copies.are_both_written() {
            // Its writer has died, or its flush has failed: it may be in the system's cache only, and marked clean
            // there.
            store
                .write_slot(slot, &slots[slot])
                .map_err(WalError::io("writing the manifest"))?;
        }
        report.manifest_copy_damaged = copies.damaged().is_some();
        return Ok(newest);
    }
    // A log of which nothing was ever written; its making may have been interrupted, which leaves one copy empty.
    let empty = store.len().map_err(WalError::io("reading the log's length"))? == 0;
    let never_used = empty && copies.has(SlotFault::Empty) && !copies.has(SlotFault::Foreign);
    if !never_used {
        return Err(manifest_damage());
    }
    let mut id = [0; 16];
    getrandom::fill(&mut id)
        .map_err(|error| WalError::io("making a log id")(io::Error::other(error.to_string())))?;
    let mut manifest = Manifest::new(LogId(id), store.segment_len().unwrap_or(0));
    write_manifest(store, &mut manifest)?;
    report.created = true;
    Ok(manifest)
}

/// A manifest that is not in both of its slots.
pub(crate) struct Unwritten {
    pub(crate) error: WalError,
    pub(crate) left: Left,
}

/// What a manifest that could not be written has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    Nothing,
    /// It may be in one slot or not.
    Doubt,
    /// One slot has it, durably: it is the one that counts.
    OneCopy,
}

impl From<Unwritten> for WalError {
    fn from(unwritten: Unwritten) -> WalError {
        unwritten.error
    }
}

/// Writes both copies, one after the other: whichever survives, it is a true one.
pub(crate) fn write_manifest(store: &Latched, manifest: &mut Manifest) -> std::result::Result<(), Unwritten> {
    manifest.generation = manifest.generation.saturating_add(1);
    let table = table::write_first(store, manifest)?;
    let bytes = manifest.encode();
    // Counts in headers that were made up lead here; nobody could open the log again.
    if Manifest::decode(&bytes).is_err() {
        return Err(Unwritten {
            error: store.error(manifest_damage()),
            left: Left::Nothing,
        });
    }
    let first = (manifest.generation % 2) as usize;
    for (slot, left) in [(first, Left::Doubt), (1 - first, Left::OneCopy)] {
        store.write_slot(slot, &bytes).map_err(|error| Unwritten {
            error: store.error(WalError::io("writing the manifest")(error)),
            left,
        })?;
    }
    match table {
        Some(half) => table::write_second(store, &half),
        None => Ok(()),
    }
}

pub(crate) fn manifest_damage() -> WalError {
    Corruption::of_manifest(CorruptionReason::Manifest).into()
}

fn read_slots(store: &Latched) -> Result<[Vec<u8>; 2]> {
    let read = |slot| {
        store
            .read_slot(slot)
            .map_err(WalError::io("reading the manifest"))
    };
    Ok([read(0)?, read(1)?])
}

/// The copies of the manifest as they were read together.
pub(crate) struct Loaded {
    pub(crate) newest: Manifest,
    /// The one that is damaged, if one is.
    pub(crate) damaged: Option<usize>,
    /// So many are intact.
    pub(crate) intact: u32,
}

/// Reads both copies of the manifest until they are whole, or remain what they are.
pub(crate) fn read_copies(store: &Latched) -> Result<Loaded> {
    let (mut before, mut unmoved) = (None, 0);
    loop {
        let slots = read_slots(store)?;
        let copies = Copies::decode(&slots);
        if let Some((version, features)) = copies.unknown() {
            return Err(WalError::newer(version, features));
        }
        let is_unmoved = before.as_ref() == Some(&slots);
        unmoved = if is_unmoved { unmoved + 1 } else { 0 };
        let damaged = copies.damaged();
        if damaged.is_none() || unmoved == 2 {
            let intact = copies.intact();
            let mut newest = copies.into_newest().ok_or_else(manifest_damage)?;
            match table::complete(store, &mut newest) {
                Ok(_) => {
                    return Ok(Loaded {
                        newest,
                        damaged,
                        intact,
                    });
                }
                // A writer may have come to the next one.
                Err(error) if unmoved == 2 => return Err(error),
                Err(_) => {}
            }
        }
        before = Some(slots);
        // It may be half of a write that is under way.
        pause(1);
    }
}

/// As [`read_copies`], of a log in any state: how many copies are intact, and the newest of them with what is left of its
/// table of cuts, which says more than none.
pub(crate) fn read_remains(store: &Latched) -> (u32, Option<Manifest>) {
    if let Ok(read) = read_copies(store) {
        return (read.intact, Some(read.newest));
    }
    let copies = copies_now(store);
    let intact = copies.intact();
    let mut newest = copies.into_newest();
    if let Some(newest) = &mut newest {
        let _ = table::complete(store, newest);
    }
    (intact, newest)
}

/// The newest copy that is whole at the moment. The table of cuts is read if it is not the one of `known`.
pub(crate) fn newest_now(store: &Latched, known: &Manifest) -> Option<Manifest> {
    let mut newest = copies_now(store).into_newest()?;
    if newest.log == known.log && newest.timeline.complete_as(&known.timeline) {
        return Some(newest);
    }
    let complete = table::complete(store, &mut newest);
    complete.ok().map(|_| newest)
}

/// The copies as they are at the moment.
pub(crate) fn copies_now(store: &Latched) -> Copies {
    Copies::decode(&[0, 1].map(|slot| store.read_slot(slot).unwrap_or_default()))
}
