//! The first 4 KiB of a file that is staging memory. See `docs/format.md`, "Staging file".

use super::{Cursor, SECTOR, checksum::LogId, is_zero};

pub(crate) const STAGING_HEADER_LEN: u64 = 4096;
pub(crate) const RELEASED_AT: usize = 512;
pub(crate) const DURABLE_AT: usize = 1024;
pub(crate) const USED: usize = 64;
const MAGIC: [u8; 8] = *b"WALDBSTG";

/// The longest ring that a log is ever opened with.
pub(crate) const MAX_CAPACITY: u64 = 1 << 30;

/// Says whose staging memory a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StagingHeader {
    pub(crate) log: LogId,
    pub(crate) boot: Option<[u8; 16]>,
    pub(crate) epoch: u32,
    pub(crate) capacity: u64,
    /// The log was closed: everything after the header is zero.
    pub(crate) clean: bool,
    /// The number by which the manifest names it; 0 where it was made before manifests did.
    pub(crate) number: u32,
}

impl StagingHeader {
    #[cfg_attr(wal_loom, allow(dead_code))] // nothing is mapped under loom
    pub(crate) fn encode(&self) -> [u8; USED] {
        let mut bytes = [0; USED];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..24].copy_from_slice(&self.log.0);
        bytes[24..40].copy_from_slice(&self.boot.unwrap_or_default());
        bytes[40..44].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[44] = u8::from(self.clean);
        bytes[48..56].copy_from_slice(&self.capacity.to_le_bytes());
        bytes[56..60].copy_from_slice(&self.number.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Cursor(bytes.first_chunk::<USED>()?);
        let intact =
            fields.take::<8>() == MAGIC && crc32fast::hash(&bytes[..60]).to_le_bytes() == bytes[60..64];
        let log = LogId(fields.take());
        let boot: [u8; 16] = fields.take();
        let (epoch, flags, capacity, number) = (fields.u32(), fields.u32(), fields.u64(), fields.u32());
        let boot = (boot != [0; 16]).then_some(boot);
        let header = StagingHeader {
            log,
            boot,
            epoch,
            capacity,
            clean: flags == 1,
            number,
        };
        let possible = capacity.is_power_of_two() && (SECTOR..=MAX_CAPACITY).contains(&capacity);
        (intact && possible).then_some(header)
    }
}

/// The released and the durable position, where they can be believed.
pub(crate) fn words(head: &[u8], header: &StagingHeader) -> (Option<u64>, Option<u64>) {
    let word = |at: usize| Cursor(&head[at..]).u64();
    let durable = Some(word(DURABLE_AT)).filter(|value| word(DURABLE_AT + 8) == !value);
    // Between the two stores a dead process leaves the old complement, which is as good: what was released last is zero
    // and nothing was claimed in its place. Anything else is damage, and then nothing here can be used.
    let (released, before) = (word(RELEASED_AT), !word(RELEASED_AT + 8));
    let step = released.checked_sub(before);
    let released = step.filter(|&step| step <= header.capacity.max(1 << 32));
    (released.map(|_| before), durable)
}

/// Whether a file that starts like this is staging memory, of whatever log, or residue of one. One whose magic is damaged
/// is told by its log; one of which the start is lost by its length.
pub(crate) fn is_one(head: &[u8], len: u64, log: Option<LogId>) -> bool {
    if is_zero(head) {
        let ring = len.saturating_sub(STAGING_HEADER_LEN);
        return ring == 0 || ring.is_power_of_two() && (64 << 10..=MAX_CAPACITY).contains(&ring);
    }
    let len = usize::try_from(len).unwrap_or(usize::MAX).min(MAGIC.len());
    head[..len] == MAGIC[..len] || log.is_some_and(|log| head[8..24] == log.0)
}

/// Whether a file under the name of a new log's staging memory may be replaced.
pub(crate) fn may_be_replaced(head: &[u8], len: u64) -> bool {
    len == 0 || is_one(head, len, None)
}

/// The stores that put a number and its complement at `at`. A process that dies between them leaves the old complement.
#[cfg_attr(wal_loom, allow(dead_code))] // as above
pub(crate) fn checked_stores(at: usize, number: u64) -> [(usize, u64); 2] {
    [(at, number), (at + 8, !number)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_residue_of_staging_memory_only_if_they_are_as_long() {
        let lens = [
            (0, true),
            (64 << 10, true),
            (MAX_CAPACITY, true),
            (32 << 10, false),
            (96 << 10, false),
            (2 * MAX_CAPACITY, false),
        ];
        for (ring, is) in lens {
            let len = STAGING_HEADER_LEN + ring;
            assert_eq!(is_one(&[0; USED], len, None), is, "a ring of {ring} bytes");
        }
    }
}
