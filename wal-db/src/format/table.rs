//! The table of the cuts that a manifest has no room for. See `docs/format.md`, "Table of cuts".

use std::sync::Arc;

use super::{
    Cursor,
    checksum::{LogId, crc32},
    timeline::{EpochStart, TableName},
};

pub(crate) const MAGIC: [u8; 8] = *b"WALDBCUT";
const HEADER_LEN: usize = 8 + 16 + 8;
const ENTRY_LEN: usize = 24;
const CRC_LEN: usize = 4;

/// Entries, oldest first, as the bytes in which they are stored: a long table is in memory once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Table {
    /// What the file holds; header and checksum are zero until it is sealed. Empty if there is no entry.
    bytes: Arc<Vec<u8>>,
}

impl Table {
    /// The table of that name, if the bytes are those.
    pub(crate) fn decode(log: LogId, mut bytes: Vec<u8>, name: TableName) -> Option<Table> {
        let len = Self::content_len(name.count)?;
        let (content, crc) = (bytes.get(..len)?, bytes.get(len..len + CRC_LEN)?);
        let mut fields = Cursor(content);
        let head = (fields.take(), fields.take(), fields.u64());
        if crc != name.crc.to_le_bytes() || crc32(content) != name.crc || head != (MAGIC, log.0, name.count) {
            return None;
        }
        bytes.truncate(len + CRC_LEN);
        Some(Table {
            bytes: Arc::new(bytes),
        })
    }

    pub(crate) fn name_in(bytes: &[u8]) -> Option<TableName> {
        let count = u64::from_le_bytes(*bytes.get(HEADER_LEN - 8..)?.first_chunk()?);
        let end = Self::content_len(count)?;
        let crc = u32::from_le_bytes(*bytes.get(end..)?.first_chunk()?);
        Some(TableName { count, crc })
    }

    fn content_len(count: u64) -> Option<usize> {
        usize::try_from(count)
            .ok()?
            .checked_mul(ENTRY_LEN)?
            .checked_add(HEADER_LEN)
    }

    /// The first `kept` entries of this one, and `more` after them.
    pub(crate) fn with(&self, kept: usize, more: &[EpochStart]) -> Table {
        let count = kept.min(self.len()) + more.len();
        if count == 0 {
            return Table::default();
        }
        let end = HEADER_LEN + count * ENTRY_LEN;
        let mut bytes = Vec::with_capacity(end + CRC_LEN);
        bytes.resize(HEADER_LEN, 0);
        let entries = self.bytes.get(HEADER_LEN..end - more.len() * ENTRY_LEN);
        bytes.extend_from_slice(entries.unwrap_or_default());
        for entry in more {
            for field in [entry.start, entry.cut, u64::from(entry.epoch)] {
                bytes.extend_from_slice(&field.to_le_bytes());
            }
        }
        bytes.resize(end + CRC_LEN, 0);
        Table {
            bytes: Arc::new(bytes),
        }
    }

    /// Makes it a table of this log; returns what a manifest calls it.
    pub(crate) fn seal(&mut self, log: LogId) -> TableName {
        let count = self.len() as u64;
        let head = [&MAGIC[..], &log.0, &count.to_le_bytes()].concat();
        if !self.bytes.starts_with(&head) && !self.is_empty() {
            let bytes = Arc::make_mut(&mut self.bytes);
            let (content, checksum) = bytes.split_at_mut(HEADER_LEN + count as usize * ENTRY_LEN);
            content[..HEADER_LEN].copy_from_slice(&head);
            checksum.copy_from_slice(&crc32(content).to_le_bytes());
        }
        let crc = self.bytes.last_chunk().map_or(0, |crc| u32::from_le_bytes(*crc));
        TableName { count, crc }
    }

    /// What a store keeps of one that is sealed.
    pub(crate) fn bytes(&self) -> &Arc<Vec<u8>> {
        &self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len().saturating_sub(HEADER_LEN + CRC_LEN) / ENTRY_LEN
    }

    pub(crate) fn get(&self, index: usize) -> Option<EpochStart> {
        if index >= self.len() {
            return None;
        }
        let mut fields = Cursor(self.bytes.get(HEADER_LEN + index * ENTRY_LEN..)?);
        Some(EpochStart {
            start: fields.u64(),
            cut: fields.u64(),
            epoch: fields.u64() as u32,
        })
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = EpochStart> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// How many entries start at or before `pos`.
    pub(crate) fn begun_by(&self, pos: u64) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.get(middle) {
                Some(entry) if entry.start <= pos => low = middle + 1,
                _ => high = middle,
            }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use super::{super::timeline::Timeline, *};

    const LOG: LogId = LogId([3; 16]);

    fn entries(count: u32) -> Vec<EpochStart> {
        let entry = |n: u32| EpochStart {
            start: u64::from(n) * 1024,
            cut: u64::from(n) * 1024 - 8,
            epoch: n + 1,
        };
        (1..=count).map(entry).collect()
    }

    #[test]
    fn a_table_round_trips_and_every_flipped_bit_is_found() {
        let mut table = Table::default().with(0, &entries(5));
        let name = table.seal(LOG);
        let bytes = table.bytes().to_vec();
        assert_eq!(bytes.len(), 32 + 5 * 24 + 4);
        let found = Table::decode(LOG, [&bytes[..], b"what a longer one has left"].concat(), name);
        assert_eq!(found, Some(table));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Table::decode(LOG, damaged, name), None, "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert_eq!(
                Table::decode(LOG, bytes[..len].to_vec(), name),
                None,
                "{len} bytes"
            );
        }
        assert_eq!(Table::decode(LogId([4; 16]), bytes, name), None);
    }

    #[test]
    fn a_table_finds_what_a_list_has() {
        let list = entries(7);
        let table = Table::default().with(0, &list[..4]).with(4, &list[4..]);
        assert!(table.iter().eq(list.iter().copied()));
        assert!(table.iter().rev().eq(list.iter().rev().copied()));
        for pos in 0..9 * 1024 {
            let expected = list.partition_point(|entry| entry.start <= pos);
            assert_eq!(table.begun_by(pos), expected, "{pos}");
        }
        assert_eq!((table.get(6), table.get(7)), (list.last().copied(), None));
        assert!(table.with(3, &[]).iter().eq(list[..3].iter().copied()));
        assert!(table.with(0, &[]).is_empty());
    }

    #[test]
    fn a_table_of_which_positions_or_epochs_do_not_rise_completes_no_timeline() {
        let completes = |entries: &[EpochStart]| {
            let mut timeline = Timeline::begin(9);
            timeline.epochs[0].start = 9 * 1024;
            timeline.complete(Table::default().with(0, entries))
        };
        let list = entries(4);
        assert!(completes(&list));
        for at in 0..3 {
            let (mut same_start, mut same_epoch) = (list.clone(), list.clone());
            same_start[at + 1].start = list[at].start;
            same_start[at + 1].cut = list[at].cut;
            same_epoch[at + 1].epoch = list[at].epoch;
            assert!(!completes(&same_start), "{at}");
            assert!(!completes(&same_epoch), "{at}");
        }
    }
}
