//! The table of the cuts that a manifest has no room for. See `docs/format.md`, "Table of cuts".

use super::{
    Fields, LogId, crc32,
    manifest::{EpochStart, TableName},
};

pub(crate) const MAGIC: [u8; 8] = *b"WALDBCUT";
const HEADER_LEN: usize = 8 + 16 + 8;
const ENTRY_LEN: usize = 24;

/// The bytes of a table, and what a manifest calls it.
pub(crate) fn encode(log: LogId, entries: &[EpochStart]) -> (Vec<u8>, TableName) {
    let mut bytes = Vec::with_capacity(HEADER_LEN + entries.len() * ENTRY_LEN + 4);
    let count = entries.len() as u64;
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&log.0);
    bytes.extend_from_slice(&count.to_le_bytes());
    for entry in entries {
        for field in [entry.start, entry.cut, u64::from(entry.epoch)] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
    }
    let crc = crc32(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    (bytes, TableName { count, crc })
}

/// The entries, if it is the table of that name.
pub(crate) fn decode(log: LogId, bytes: &[u8], name: TableName) -> Option<Vec<EpochStart>> {
    let len = usize::try_from(name.count).ok()?.checked_mul(ENTRY_LEN)?;
    let len = len.checked_add(HEADER_LEN)?;
    let (content, crc) = (bytes.get(..len)?, bytes.get(len..len + 4)?);
    let mut fields = Fields(content);
    let head = (fields.take(), fields.take(), fields.u64());
    if crc != name.crc.to_le_bytes() || crc32(content) != name.crc || head != (MAGIC, log.0, name.count) {
        return None;
    }
    let entries = (0..name.count).map(|_| EpochStart {
        start: fields.u64(),
        cut: fields.u64(),
        epoch: fields.u64() as u32,
    });
    Some(entries.collect())
}
