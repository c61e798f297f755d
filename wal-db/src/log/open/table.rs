//! The table of the cuts that the manifest has no room for: two copies, in slots 2 and 3 of the store, written in the
//! order of `docs/format.md`, "Table of cuts".

use super::keeper::{Left, Unwritten, manifest_damage};
use crate::{
    error::{Result, WalError},
    for_now::{is_for_now, is_full},
    format::{Manifest, table::Table, timeline::TableName},
    storage::Latched,
    sync::Arc,
};

pub(crate) const SLOTS: [usize; 2] = [2, 3];

/// Adds to a manifest what is in its table. One copy is read, and the other one only if that is not the table; returns
/// whether that was so.
pub(crate) fn complete(store: &Latched, manifest: &mut Manifest) -> Result<bool> {
    let Some(name) = manifest.timeline.table() else {
        return Ok(false);
    };
    let first = first_to_read(manifest.generation);
    for slot in [first, SLOTS[0] + SLOTS[1] - first] {
        if slot >= store.slots() {
            continue;
        }
        let bytes = store
            .read_slot(slot)
            .map_err(WalError::io("reading the table of cuts"))?;
        if let Some(table) = Table::decode(manifest.log, bytes, name) {
            return match manifest.timeline.complete(table) {
                true => Ok(slot != first),
                false => Err(manifest_damage()),
            };
        }
    }
    Err(manifest_damage())
}

/// Which copies, 0 or 1, are not the table that the manifest names. With `is_underway` its writer may not have come to the
/// second one, which is the table before it then, or none.
pub(crate) fn bad_copies(store: &Latched, manifest: &Manifest, is_underway: bool) -> Result<Vec<usize>> {
    let Some(name) = manifest.timeline.table() else {
        return Ok(Vec::new());
    };
    let mut bad = Vec::new();
    for (copy, slot) in SLOTS
        .into_iter()
        .enumerate()
        .filter(|(_, slot)| *slot < store.slots())
    {
        let bytes = store
            .read_slot(slot)
            .map_err(WalError::io("reading the table of cuts"))?;
        if is_underway && bytes.is_empty() {
            continue;
        }
        let older = Table::name_in(&bytes).filter(|_| is_underway);
        if Table::decode(manifest.log, bytes, older.unwrap_or(name)).is_none() {
            bad.push(copy);
        }
    }
    Ok(bad)
}

/// Openings take turns, so that neither copy is damaged for long without being noticed. However many manifests are written
/// between one opening and the next, the numbers of ones in generations are not even all the time, nor odd.
fn first_to_read(generation: u64) -> usize {
    SLOTS[generation.count_ones() as usize % 2]
}

/// A table of which one copy is written.
pub(crate) struct Half {
    bytes: Arc<Vec<u8>>,
    other: usize,
}

/// Writes the table if it is new, to one of its slots.
pub(crate) fn write_first(
    store: &Latched,
    manifest: &mut Manifest,
) -> std::result::Result<Option<Half>, Unwritten> {
    if !manifest.timeline.is_unwritten() {
        return Ok(None);
    }
    let stored = manifest.timeline.table();
    let Some(bytes) = manifest.timeline.sealed(manifest.log) else {
        return Ok(None);
    };
    let nothing = |error| Unwritten {
        error,
        left: Left::Nothing,
    };
    let [first, other] = if holds(store, manifest, SLOTS[0], stored) {
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
    Ok(Some(Half { bytes, other }))
}

/// Writes the other copy, once a manifest names the table.
pub(crate) fn write_second(store: &Latched, half: &Half) -> std::result::Result<(), Unwritten> {
    match store.write_slot(half.other, &half.bytes) {
        // One copy has to do, until the next table.
        Err(error) if !is_for_now(&error) => Err(Unwritten {
            error: store.error(WalError::io("writing the table of cuts")(error)),
            left: Left::OneCopy,
        }),
        _ => Ok(()),
    }
}

fn holds(store: &Latched, manifest: &Manifest, slot: usize, name: Option<TableName>) -> bool {
    let Some(name) = name else { return false };
    let read = store.read_slot(slot);
    read.is_ok_and(|bytes| Table::decode(manifest.log, bytes, name).is_some())
}
