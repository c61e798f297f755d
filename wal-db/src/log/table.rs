//! The table of the cuts that the manifest has no room for: two copies, in slots 2 and 3 of the store. The copy that
//! does not hold what the last manifest names is written first, then the manifest, then the other copy: whenever the
//! process dies or the power goes, the manifest that counts names a table that is whole.

use std::io;

use super::recover::{Left, Unwritten, manifest_damage};
use crate::{
    Result, WalError,
    format::{Manifest, manifest::TableName, table},
    storage::{Latched, is_for_now, is_full},
};

pub(super) const SLOTS: [usize; 2] = [2, 3];

/// Adds to a manifest what is in its table; returns whether a copy of that is missing.
pub(super) fn complete(
    manifest: &mut Manifest,
    slots: usize,
    read: impl Fn(usize) -> io::Result<Vec<u8>>,
) -> Result<bool> {
    let Some(name) = manifest.timeline.table() else {
        return Ok(false);
    };
    let mut found = None;
    let mut missing = false;
    for slot in SLOTS.into_iter().filter(|&slot| slot < slots) {
        let bytes = read(slot).map_err(WalError::io("reading the table of cuts"))?;
        match table::decode(manifest.log, &bytes, name) {
            Some(entries) => found = Some(entries),
            None => missing = true,
        }
    }
    if found.is_some_and(|entries| manifest.timeline.complete(entries)) {
        Ok(missing)
    } else {
        Err(manifest_damage())
    }
}

/// A table of which one copy is written.
pub(super) struct Half {
    bytes: Vec<u8>,
    other: usize,
}

/// Writes the table if it is new, to one of its slots.
pub(super) fn write_first(
    store: &Latched,
    manifest: &mut Manifest,
) -> std::result::Result<Option<Half>, Unwritten> {
    let Some(entries) = manifest.timeline.unwritten() else {
        return Ok(None);
    };
    let (bytes, name) = table::encode(manifest.log, entries);
    let nothing = |error| Unwritten {
        error,
        left: Left::Nothing,
    };
    let stored = manifest.timeline.table();
    let [first, other] =
        if holds(store, manifest, SLOTS[0], stored) && !seeded_bug!("table-over-the-one-in-use") {
            [SLOTS[1], SLOTS[0]]
        } else {
            SLOTS
        };
    store.write_slot(first, &bytes).map_err(|error| {
        nothing(match is_full(&error) {
            true => store.error(WalError::full(bytes.len() as u64, &error)),
            false => store.error(WalError::io("writing the table of cuts")(error)),
        })
    })?;
    manifest.timeline.wrote(name);
    Ok(Some(Half { bytes, other }))
}

/// Writes the other copy, once a manifest names the table.
pub(super) fn write_second(store: &Latched, half: &Half) -> std::result::Result<(), Unwritten> {
    match store.write_slot(half.other, &half.bytes) {
        // One copy has to do, until the next table.
        Err(error) if !is_for_now(&error) => Err(Unwritten {
            error: store.error(WalError::io("writing the table of cuts")(error)),
            left: Left::OneCopy,
        }),
        _ => Ok(()),
    }
}

/// Whether a slot has the table of that name.
fn holds(store: &Latched, manifest: &Manifest, slot: usize, name: Option<TableName>) -> bool {
    let Some(name) = name else { return false };
    let read = store.read_slot(slot);
    read.is_ok_and(|bytes| table::decode(manifest.log, &bytes, name).is_some())
}
