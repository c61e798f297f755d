//! The manifest: what has to be known before the first byte of the stream is read. See `docs/format.md`, "Manifest".

use super::{
    Cursor, FORMAT_VERSION, SECTOR,
    checksum::LogId,
    group::GROUP_HEADER_LEN,
    is_zero,
    timeline::{EpochStart, MAX_EPOCH, MAX_EPOCHS, MAX_TABLE, TableName, Timeline},
};

/// The room for one of the two copies.
pub(crate) const SLOT_LEN: usize = 64 * 1024;

/// Beyond what a log can grow to; keeps sums of positions and lengths far from the end of the numbers.
const MAX_POSITION: u64 = 1 << 60;

const MAGIC: [u8; 8] = *b"WALDBMAN";
const FIXED_LEN: usize = 136;
const EPOCH_LEN: usize = 24;
/// A feature bit for writers: the manifest names the last schema record.
const FEATURE_SCHEMA: u32 = 1;

/// The same: the manifest says up to where records were dropped.
const FEATURE_DROPPED: u32 = 8;
/// A feature bit for writers: the log is open with staging memory, or its process died. The manifest names it.
const FEATURE_STAGING: u32 = 2;

/// A feature bit for readers: the oldest cuts are in a table of their own, which the manifest names.
const FEATURE_TABLE: u32 = 1;
const TABLE_LEN: usize = 16;

/// A place between two groups from which the log can be scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Mark {
    /// Where the next group starts.
    pub(crate) pos: u64,
    /// Records before it.
    pub(crate) ordinal: u64,
    /// Start of the group before it; `pos` itself if there is none.
    pub(crate) prev: u64,
    /// Digest of that group's header; 0 if there is none.
    pub(crate) prev_digest: u32,
    /// The highest epoch of the groups before it.
    pub(crate) epoch: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// Grows with every write; the higher of two valid slots counts.
    pub(crate) generation: u64,
    pub(crate) log: LogId,
    /// 0 for a single-file log.
    pub(crate) segment_len: u64,
    /// The first live record, or the place where it will be.
    pub(crate) head: u64,
    pub(crate) head_group: u64,
    /// Records before it.
    pub(crate) head_ordinal: u64,
    /// Everything before the mark is durable, and a scan starts here.
    pub(crate) mark: Mark,
    /// The highest segment that was ever made ready.
    pub(crate) newest_segment: u64,
    /// The last schema record before the mark.
    pub(crate) schema: Option<u64>,
    /// After the start of the last record before the head and the end of the last cut that is forgotten; 0 if there
    /// never was one.
    pub(crate) dropped: u64,
    /// The number of the staging memory that may hold records; `None` if none does. Never 0.
    pub(crate) staging: Option<u32>,
    pub(crate) timeline: Timeline,
}

/// Why a slot is no manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SlotFault {
    /// Never written.
    Empty,
    /// Nothing that this crate wrote.
    Foreign,
    /// A format version or a required feature that this code does not know.
    Version { version: u32, features: u32 },
    /// Recognised, but damaged.
    Damaged,
}

impl Manifest {
    pub(crate) fn new(log: LogId, segment_len: u64) -> Self {
        Manifest {
            generation: 0,
            log,
            segment_len,
            head: GROUP_HEADER_LEN as u64,
            head_group: 0,
            head_ordinal: 0,
            mark: Mark {
                epoch: 1,
                ..Mark::default()
            },
            newest_segment: 0,
            schema: None,
            dropped: 0,
            staging: None,
            timeline: Timeline::begin(1),
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let epochs = self.timeline.epochs();
        let mut bytes = Vec::with_capacity(FIXED_LEN + epochs.len() * EPOCH_LEN + 4);
        bytes.extend_from_slice(&MAGIC);
        let dropped = Some(self.dropped).filter(|&dropped| dropped > 0);
        let extras = [
            (FEATURE_SCHEMA, self.schema),
            (FEATURE_STAGING, self.staging.map(u64::from)),
            (FEATURE_DROPPED, dropped),
        ];
        let extras = extras.iter().filter_map(|(bit, value)| Some((bit, (*value)?)));
        let features = extras.clone().fold(0, |features, (bit, _)| features | bit);
        let table = self.timeline.table.filter(|_| !self.timeline.older.is_empty());
        let table = table.map(|table| [table.count, u64::from(table.crc)]);
        let read_features = if table.is_some() { FEATURE_TABLE } else { 0 };
        let extras_len = 8 * extras.clone().count() + table.map_or(0, |_| TABLE_LEN);
        let len = (FIXED_LEN + epochs.len() * EPOCH_LEN + extras_len + 4) as u32;
        // Version, features a reader must know, features a writer must know, length.
        for field in [FORMAT_VERSION, read_features, features, len] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        bytes.extend_from_slice(&self.log.0);
        let mark = &self.mark;
        for field in [
            self.generation,
            self.segment_len,
            self.head,
            self.head_group,
            self.head_ordinal,
            mark.pos,
            mark.ordinal,
            mark.prev,
            u64::from(mark.prev_digest) | u64::from(mark.epoch) << 32,
            self.newest_segment,
            self.timeline.forgotten_before,
            epochs.len() as u64,
        ] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        debug_assert_eq!(bytes.len(), FIXED_LEN);
        for entry in epochs {
            for field in [entry.start, entry.cut, u64::from(entry.epoch)] {
                bytes.extend_from_slice(&field.to_le_bytes());
            }
        }
        bytes.extend(extras.flat_map(|(_, value)| value.to_le_bytes()));
        for field in table.into_iter().flatten() {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// How many bytes a manifest has that starts like this, damaged or not.
    pub(crate) fn len_of(start: &[u8]) -> Option<usize> {
        let start = start.strip_prefix(&MAGIC)?;
        Some(Cursor(start.get(12..16)?).u32() as usize)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, SlotFault> {
        let (mut fields, features) = Self::checked(bytes)?;
        let Features { read, write, len } = features;
        let extras_len = 8 * u64::from(write.count_ones());
        let table_len = u64::from(read & FEATURE_TABLE != 0) * TABLE_LEN as u64;

        let log = LogId(fields.take());
        let [generation, segment_len, head, head_group, head_ordinal] = [(); 5].map(|()| fields.u64());
        let [pos, ordinal, prev, digest_and_epoch] = [(); 4].map(|()| fields.u64());
        let [newest_segment, forgotten_before, count] = [(); 3].map(|()| fields.u64());
        let expected = count
            .checked_mul(EPOCH_LEN as u64)
            .and_then(|len| len.checked_add(extras_len + table_len));
        if count == 0 || expected != Some((len - 4 - FIXED_LEN) as u64) {
            return Err(SlotFault::Damaged);
        }
        let epoch = |_| EpochStart {
            start: fields.u64(),
            cut: fields.u64(),
            epoch: fields.u64() as u32,
        };
        let epochs: Vec<EpochStart> = (0..count).map(epoch).collect();
        let mut extra = |bit| (write & bit != 0).then(|| fields.u64());
        let (schema, staging, dropped) = (
            extra(FEATURE_SCHEMA),
            extra(FEATURE_STAGING),
            extra(FEATURE_DROPPED),
        );
        // A number that does not fit is none that was ever given.
        let staging = staging.map(|number| u32::try_from(number).unwrap_or(0));
        // A manifest that does not say it is older than the field.
        let dropped = dropped.unwrap_or(if head_ordinal > 0 { head } else { 0 });
        let table = (table_len > 0).then(|| TableName {
            count: fields.u64(),
            crc: fields.u64() as u32,
        });
        let manifest = Manifest {
            generation,
            log,
            segment_len,
            head,
            head_group,
            head_ordinal,
            mark: Mark {
                pos,
                ordinal,
                prev,
                prev_digest: digest_and_epoch as u32,
                epoch: (digest_and_epoch >> 32) as u32,
            },
            newest_segment,
            schema,
            dropped,
            staging,
            timeline: Timeline {
                table,
                epochs,
                forgotten_before,
                ..Timeline::default()
            },
        };
        // The checksum says that these bytes were written, not that they make sense.
        manifest
            .makes_sense()
            .then_some(manifest)
            .ok_or(SlotFault::Damaged)
    }

    /// The fields of bytes that are whole and of a version that is known.
    fn checked(bytes: &[u8]) -> Result<(Cursor<'_>, Features), SlotFault> {
        if is_zero(bytes) {
            return Err(SlotFault::Empty);
        }
        if !bytes.starts_with(&MAGIC) {
            return Err(SlotFault::Foreign);
        }
        if bytes.len() < FIXED_LEN + 4 {
            return Err(SlotFault::Damaged);
        }
        let mut fields = Cursor(&bytes[8..]);
        let version = fields.u32();
        let (read, write, len) = (fields.u32(), fields.u32(), fields.u32() as usize);
        let known_len = (FIXED_LEN + 4..=SLOT_LEN.min(bytes.len())).contains(&len);
        if !known_len || crc32fast::hash(&bytes[..len - 4]).to_le_bytes() != bytes[len - 4..len] {
            return Err(SlotFault::Damaged);
        }
        // Only after the checksum: a flipped bit in the version is damage, not the future.
        let unknown = read & !FEATURE_TABLE | write & !(FEATURE_SCHEMA | FEATURE_STAGING | FEATURE_DROPPED);
        if version != FORMAT_VERSION || unknown != 0 {
            return Err(SlotFault::Version {
                version,
                features: unknown,
            });
        }
        Ok((fields, Features { read, write, len }))
    }

    fn makes_sense(&self) -> bool {
        let Manifest {
            head,
            head_group,
            head_ordinal,
            mark: Mark {
                pos, ordinal, prev, ..
            },
            timeline:
                Timeline {
                    table,
                    epochs,
                    forgotten_before,
                    ..
                },
            ..
        } = self;
        let starts = epochs.iter().map(|entry| &entry.start);
        let positions = [head, head_group, pos, prev, forgotten_before, &self.segment_len];
        let in_order = epochs
            .windows(2)
            .all(|pair| pair[0].start < pair[1].start && pair[0].epoch < pair[1].epoch);
        let is_possible = |entry: &EpochStart| {
            entry.cut <= entry.start
                && entry.start.is_multiple_of(SECTOR)
                && entry.epoch <= MAX_EPOCH
                // The newest epoch began where the log ended, and a mark was put there.
                && entry.start <= *pos
                // The head is a record of its group, or will be.
                && !(entry.cut..entry.start).contains(head)
                && !(head_group + 1..=*head).contains(&entry.start)
        };
        positions.into_iter().chain(starts).all(|&at| at <= MAX_POSITION)
            // A record takes more than one byte.
            && ordinal <= pos
            && head_ordinal <= ordinal
            && [head_group, pos, prev].iter().all(|at| **at % SECTOR == 0)
            // What is appended after the mark must not lie before the head.
            && head_group <= pos
            && head % 8 == 0
            && *head >= head_group + GROUP_HEADER_LEN as u64
            && (head < pos || *head == pos + GROUP_HEADER_LEN as u64)
            // Between the head's group and the mark is the group before the mark, if any is.
            && (head <= pos && prev >= head_group && prev != pos || head_group == pos)
            && self.schema.is_none_or(|at| at < *pos && at % 8 == 0)
            && self.dropped <= *head
            && self.staging != Some(0)
            && in_order
            && forgotten_before <= pos
            // The epoch of the head is known, or was forgotten, or the head is before all that was cut off.
            && (table.is_some() || epochs[0].cut <= *head.max(forgotten_before))
            && table.is_none_or(|table| (1..=MAX_TABLE as u64).contains(&table.count))
            && epochs.iter().all(is_possible)
    }
}

/// What the two slots of a log hold.
pub(crate) struct Copies([Result<Manifest, SlotFault>; 2]);

impl Copies {
    pub(crate) fn decode(slots: &[Vec<u8>; 2]) -> Copies {
        Copies(slots.each_ref().map(|slot| Manifest::decode(slot)))
    }

    /// The slot that counts, and what it holds: the newer one, and of two that are equally new the first.
    pub(crate) fn newest(&self) -> Option<(usize, &Manifest)> {
        match &self.0 {
            [Ok(first), Ok(second)] if second.generation > first.generation => Some((1, second)),
            [Ok(first), _] => Some((0, first)),
            [_, second] => second.as_ref().ok().map(|second| (1, second)),
        }
    }

    /// Those that are intact, with their slots.
    pub(crate) fn each(&self) -> impl Iterator<Item = (usize, &Manifest)> {
        let copies = self.0.iter().enumerate();
        copies.filter_map(|(slot, copy)| Some((slot, copy.as_ref().ok()?)))
    }

    pub(crate) fn into_newest(self) -> Option<Manifest> {
        let slot = self.newest()?.0;
        self.0.into_iter().nth(slot)?.ok()
    }

    pub(crate) fn are_both_written(&self) -> bool {
        matches!(&self.0, [Ok(first), Ok(second)] if first.generation == second.generation)
    }

    /// The version and the features of one that this program does not know.
    pub(crate) fn unknown(&self) -> Option<(u32, u32)> {
        self.0.iter().find_map(|copy| match copy {
            Err(SlotFault::Version { version, features }) => Some((*version, *features)),
            _ => None,
        })
    }

    pub(crate) fn has(&self, fault: SlotFault) -> bool {
        self.0.iter().any(|copy| copy.as_ref().err() == Some(&fault))
    }

    /// The one that is damaged, if one is. The making of a log writes one copy first, so the other may be empty then.
    pub(crate) fn damaged(&self) -> Option<usize> {
        let is_new = self.0.iter().flatten().all(|copy| copy.generation == 1);
        let is_bad = |copy: &Result<Manifest, SlotFault>| match copy {
            Ok(_) => false,
            Err(fault) => *fault != SlotFault::Empty || !is_new,
        };
        self.0.iter().position(is_bad)
    }

    pub(crate) fn intact(&self) -> u32 {
        self.0.iter().flatten().map(|_| 1).sum()
    }
}

/// What the start of a slot says of the rest.
struct Features {
    read: u32,
    write: u32,
    /// Bytes up to the end of the checksum.
    len: usize,
}

const _: () = assert!(FIXED_LEN + MAX_EPOCHS * EPOCH_LEN + 3 * 8 + TABLE_LEN + 4 <= SLOT_LEN);
const _: () = assert!(FIXED_LEN == 8 + 4 * 4 + 16 + 12 * 8);

#[cfg(test)]
mod tests {
    use super::{
        super::{group::GroupHeader, table::Table, timeline::Room},
        *,
    };

    fn manifest() -> Manifest {
        let mut manifest = Manifest::new(LogId([9; 16]), 1 << 26);
        assert!(manifest.timeline.push(EpochStart {
            start: 4096,
            cut: 1000,
            epoch: 2
        }));
        manifest.mark = Mark {
            pos: 8192,
            ordinal: 77,
            prev: 4096,
            prev_digest: 5,
            epoch: 2,
        };
        manifest
    }

    #[test]
    fn a_place_of_the_last_schema_round_trips_and_lies_before_the_mark() {
        for (schema, expected) in [
            (Some(0), true),
            (Some(8184), true),
            (Some(8192), false),
            (Some(12), false),
        ] {
            let with = Manifest { schema, ..manifest() };
            assert_eq!(
                Manifest::decode(&with.encode()).ok(),
                expected.then_some(with),
                "{schema:?}"
            );
        }
        assert_eq!(
            manifest().encode()[16..20],
            [0; 4],
            "a log without schemas is what it was"
        );
    }

    #[test]
    fn what_was_dropped_round_trips_and_lies_before_the_head() {
        let with = |dropped, head_ordinal| Manifest {
            head: 576,
            head_group: 512,
            head_ordinal,
            dropped,
            ..manifest()
        };
        for (dropped, expected) in [(65, true), (576, true), (577, false)] {
            let with = with(dropped, 3);
            let found = Manifest::decode(&with.encode());
            assert_eq!(found.ok(), expected.then_some(with), "{dropped}");
        }
        // Manifests from before the field: whatever lies before the head may be a record.
        for (head_ordinal, expected) in [(0, 0), (3, 576)] {
            let found = Manifest::decode(&with(0, head_ordinal).encode());
            assert_eq!(found.map(|found| found.dropped), Ok(expected));
        }
    }

    #[test]
    fn who_has_read_up_to_the_end_of_a_cut_has_read_what_is_gone() {
        let timeline = manifest().timeline;
        let ends = [1000, 1001, 4095, 4096, 4097].map(|pos| timeline.cut_behind(pos).map(|cut| cut.start));
        assert_eq!(ends, [None, Some(4096), Some(4096), Some(4096), None]);
    }

    #[test]
    fn the_number_of_staging_memory_round_trips_beside_a_schema_and_is_not_zero() {
        for (staging, expected) in [
            (Some(7), true),
            (Some(u32::MAX), true),
            (None, true),
            (Some(0), false),
        ] {
            for schema in [None, Some(16)] {
                let with = Manifest {
                    staging,
                    schema,
                    ..manifest()
                };
                assert_eq!(
                    Manifest::decode(&with.encode()).ok(),
                    expected.then_some(with),
                    "{staging:?}, {schema:?}"
                );
            }
        }
    }

    fn has_head(head: u64, head_group: u64) -> bool {
        let with = Manifest {
            head,
            head_group,
            ..manifest()
        };
        Manifest::decode(&with.encode()).is_ok()
    }

    #[test]
    fn a_head_behind_the_mark_is_refused() {
        assert!(has_head(8192 + 64, 8192));
        assert!(!has_head(8192 + 72, 8192));
        assert!(has_head(8184, 4096));
        assert!(!has_head(8192, 4096), "no record starts where a group does");
        assert!(!has_head(8704 + 64, 8704));
    }

    #[test]
    fn a_head_behind_the_end_of_its_group_is_refused() {
        assert!(has_head(992, 512));
        assert!(!has_head(1000, 512));
        assert!(has_head(4160, 4096));
        assert!(!has_head(4160, 512));
        assert!(!has_head(4160, 1024));
    }

    #[test]
    fn a_timeline_that_begins_or_ends_behind_the_log_is_refused() {
        let with = |first, forgotten_before, pos| {
            let mut with = manifest();
            (with.head, with.head_group) = (4096 + 64, 4096);
            with.mark.pos = pos;
            with.timeline.epochs[0] = EpochStart {
                start: first,
                cut: first,
                epoch: 1,
            };
            with.timeline.epochs[1] = EpochStart {
                start: 9216,
                cut: 9216,
                epoch: 2,
            };
            with.timeline.forgotten_before = forgotten_before;
            Manifest::decode(&with.encode()).is_ok()
        };
        assert!(with(4096, 0, 9216));
        assert!(!with(4096, 0, 8704));
        assert!(!with(4608, 0, 9216));
        assert!(with(4608, 4608, 9216));
        assert!(!with(4608, 9728, 9216));
    }

    #[test]
    fn a_forgotten_epoch_is_one_of_those_around_it() {
        let mut timeline = Timeline::begin(3);
        let room = Room {
            entries: 4,
            table: true,
        };
        for i in 1..20u64 {
            let (start, epoch) = (i * 4096, 3 + 2 * i as u32);
            // Some are cuts, and go to the table.
            let cut = start - if i % 4 == 1 { 512 } else { 0 };
            assert!(timeline.push_within(EpochStart { start, cut, epoch }, room));
        }
        for i in 0..20u64 {
            let epoch = 3 + 2 * i as u32;
            let around = timeline.epochs_around(i * 4096);
            assert!(around.contains(&epoch), "{epoch} in {around:?}");
            assert!(around.end() - around.start() <= 8, "{around:?}");
            if let Some(known) = timeline.epoch_at(i * 4096) {
                assert_eq!((known, *around.start()), (epoch, epoch));
            }
        }
        assert_eq!(
            timeline.epochs_around(0),
            1..=4,
            "before every entry that is left"
        );
    }

    #[test]
    fn an_epoch_that_begins_within_a_sector_or_before_its_cut_is_refused() {
        for (start, cut, expected) in [(4096, 1000, true), (4096, 4104, false), (4104, 1000, false)] {
            let mut with = manifest();
            (with.timeline.epochs[1].start, with.timeline.epochs[1].cut) = (start, cut);
            assert_eq!(
                Manifest::decode(&with.encode()).is_ok(),
                expected,
                "{cut} to {start}"
            );
        }
    }

    #[test]
    fn a_count_of_epochs_that_does_not_fit_the_length_is_refused() {
        for (count, expected) in [
            (0u64, false),
            (1, false),
            (2, true),
            (3, false),
            (u64::MAX, false),
        ] {
            let mut bytes = manifest().encode();
            bytes[FIXED_LEN - 8..FIXED_LEN].copy_from_slice(&count.to_le_bytes());
            let end = bytes.len() - 4;
            let crc = crc32fast::hash(&bytes[..end]);
            bytes[end..].copy_from_slice(&crc.to_le_bytes());
            let found = Manifest::decode(&bytes);
            let wanted = if expected {
                Ok(manifest())
            } else {
                Err(SlotFault::Damaged)
            };
            assert_eq!(found, wanted, "{count}");
        }
    }

    #[test]
    fn an_epoch_near_the_end_of_the_numbers_is_refused() {
        for (epoch, expected) in [(MAX_EPOCH, true), (MAX_EPOCH + 1, false)] {
            let next = EpochStart {
                start: 8192,
                cut: 8192,
                epoch,
            };
            let mut with = manifest();
            with.timeline.epochs.push(next);
            assert!(!with.timeline.has_number());
            assert_eq!(Manifest::decode(&with.encode()).is_ok(), expected, "{epoch}");
        }
    }

    #[test]
    fn more_records_than_bytes_are_no_manifest() {
        let mut with = manifest();
        (with.mark.ordinal, with.head_ordinal) = (with.mark.pos + 1, 0);
        assert_eq!(Manifest::decode(&with.encode()), Err(SlotFault::Damaged));
        with.mark.ordinal -= 1;
        with.head_ordinal = with.mark.pos + 1;
        assert_eq!(Manifest::decode(&with.encode()), Err(SlotFault::Damaged));
    }

    #[test]
    fn round_trip_and_every_flipped_bit() {
        let bytes = manifest().encode();
        assert_eq!(Manifest::decode(&bytes), Ok(manifest()));
        // Miri takes its time.
        for bit in (0..bytes.len() * 8).step_by(if cfg!(miri) { 61 } else { 1 }) {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let fault = Manifest::decode(&damaged).unwrap_err();
            assert!(
                matches!(fault, SlotFault::Damaged | SlotFault::Foreign),
                "bit {bit}: {fault:?}"
            );
        }
    }

    #[test]
    fn every_shorter_slot_is_refused() {
        let bytes = manifest().encode();
        for len in 0..bytes.len() {
            assert!(Manifest::decode(&bytes[..len]).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn a_newer_version_or_feature_is_told_apart_from_damage() {
        for (at, expected) in [
            (
                8,
                SlotFault::Version {
                    version: 3,
                    features: 0,
                },
            ),
            (
                12,
                SlotFault::Version {
                    version: 1,
                    features: 2,
                },
            ),
            (
                16,
                SlotFault::Version {
                    version: 1,
                    features: 4,
                },
            ),
        ] {
            let mut bytes = manifest().encode();
            // Bits 0 and 1 are known to be for writers.
            bytes[at] = if at == 16 { 7 } else { 3 };
            let end = bytes.len() - 4;
            let crc = crc32fast::hash(&bytes[..end]);
            bytes[end..].copy_from_slice(&crc.to_le_bytes());
            assert_eq!(Manifest::decode(&bytes), Err(expected));
        }
    }

    #[test]
    fn the_timeline_knows_who_owns_a_position() {
        let timeline = manifest().timeline;
        assert_eq!(timeline.epoch_at(0), Some(1));
        assert_eq!(timeline.epoch_at(4095), Some(1));
        assert_eq!(timeline.epoch_at(4096), Some(2));
        assert_eq!(timeline.cut_around(999), None);
        assert_eq!(timeline.cut_around(1000).map(|entry| entry.start), Some(4096));
        assert_eq!(timeline.cut_around(4096), None);
    }

    #[test]
    fn a_group_continues_a_mark_of_its_digest_ordinal_and_epoch() {
        let Manifest { mark, timeline, .. } = manifest();
        let fits = GroupHeader {
            pos: mark.pos,
            len: 64,
            ordinal: mark.ordinal,
            epoch: mark.epoch,
            prev_digest: mark.prev_digest,
            ..GroupHeader::default()
        };
        assert!(timeline.continues(&fits, &mark));
        let others = [
            GroupHeader {
                prev_digest: 6,
                ..fits
            },
            GroupHeader { ordinal: 78, ..fits },
            GroupHeader { epoch: 1, ..fits },
            GroupHeader { epoch: 3, ..fits },
        ];
        for other in others {
            assert!(!timeline.continues(&other, &mark), "{other:?}");
        }
    }

    #[test]
    fn what_is_forgotten_before_the_head_ends_with_its_last_cut() {
        let mut timeline = manifest().timeline;
        for (start, epoch) in [(8192, 3), (12288, 4)] {
            let cut = start;
            assert!(timeline.push(EpochStart { start, cut, epoch }));
        }
        let mut kept = timeline.clone();
        assert_eq!(kept.drop_before(4095), 0);
        assert_eq!(kept, timeline);
        assert_eq!(timeline.drop_before(12288), 4096);
        assert_eq!(timeline.epochs().len(), 1);
    }

    #[test]
    fn a_table_is_taken_from_a_timeline_only_if_it_has_the_name_and_is_stored() {
        let room = Room {
            entries: 4,
            table: true,
        };
        let cut = |timeline: &mut Timeline, i: u64| {
            let (start, cut) = (i * 4096, i * 4096 - 512);
            let epoch = 1 + i as u32;
            assert!(timeline.push_within(EpochStart { start, cut, epoch }, room));
        };
        let mut earlier = Timeline::begin(1);
        (1..10).for_each(|i| cut(&mut earlier, i));
        assert!(earlier.sealed(LogId([9; 16])).is_some());
        let mut stored = earlier.clone();
        (10..20).for_each(|i| cut(&mut stored, i));
        assert!(stored.sealed(LogId([9; 16])).is_some());
        let mut unstored = stored.clone();
        (20..30).for_each(|i| cut(&mut unstored, i));
        let mut read = Timeline {
            older: Table::default(),
            ..stored.clone()
        };
        assert!(!read.complete_as(&earlier));
        assert!(!read.complete_as(&unstored));
        assert!(read.complete_as(&stored));
        assert_eq!(read, stored);
    }

    #[test]
    fn a_cut_swallows_the_epochs_that_it_cuts_off() {
        let mut timeline = manifest().timeline;
        assert!(timeline.push(EpochStart {
            start: 9216,
            cut: 600,
            epoch: 3
        }));
        assert_eq!(
            timeline.epochs(),
            [
                EpochStart {
                    start: 0,
                    cut: 0,
                    epoch: 1
                },
                EpochStart {
                    start: 9216,
                    cut: 600,
                    epoch: 3
                }
            ]
        );
    }

    #[test]
    fn an_epoch_without_a_record_vanishes_and_its_cut_stays() {
        let mut timeline = manifest().timeline;
        assert!(timeline.push(EpochStart {
            start: 4096,
            cut: 4096,
            epoch: 3
        }));
        assert_eq!(
            timeline.newest(),
            EpochStart {
                start: 4096,
                cut: 1000,
                epoch: 3
            }
        );
        assert_eq!(timeline.epochs().len(), 2);
    }

    #[test]
    #[cfg_attr(miri, ignore = "minutes, and nothing but a vector")]
    fn a_full_timeline_forgets_epochs_but_never_cuts() {
        let mut timeline = Timeline::begin(1);
        for step in 1..5000u64 {
            let cut = if step == 7 { 7 * 512 - 100 } else { step * 512 };
            assert!(timeline.push(EpochStart {
                start: step * 512,
                cut,
                epoch: 1 + step as u32
            }));
        }
        assert_eq!(timeline.epochs().len(), MAX_EPOCHS);
        assert_eq!(
            timeline.cut_around(7 * 512 - 50).map(|entry| entry.start),
            Some(7 * 512)
        );
        assert_eq!(timeline.epoch_at(1024), None);
        assert_eq!(timeline.epoch_at(4999 * 512), Some(5000));
    }

    #[test]
    #[cfg_attr(miri, ignore = "minutes, and nothing but a vector")]
    fn a_cut_before_what_was_forgotten_leaves_a_manifest() {
        let mut timeline = Timeline::begin(1);
        for step in 1..5000u64 {
            assert!(timeline.push(EpochStart {
                start: step * 512,
                cut: step * 512,
                epoch: 1 + step as u32
            }));
        }
        let end = 5000 * 512;
        assert!(timeline.push(EpochStart {
            start: end,
            cut: 600,
            epoch: 6000
        }));
        assert_eq!(timeline.epochs().len(), 1);
        assert!(600 < timeline.forgotten_before && timeline.forgotten_before < end);
        let with = Manifest {
            mark: Mark {
                pos: end,
                ordinal: 2,
                prev: 512,
                prev_digest: 5,
                epoch: 1,
            },
            timeline,
            ..Manifest::new(LogId([9; 16]), 1 << 26)
        };
        assert_eq!(Manifest::decode(&with.encode()), Ok(with));
    }

    #[test]
    #[cfg_attr(miri, ignore = "minutes, and nothing but a vector")]
    fn a_timeline_full_of_cuts_says_so() {
        let mut timeline = Timeline::begin(1);
        let refused = (1..3000u64).find(|step| {
            !timeline.push(EpochStart {
                start: step * 1024,
                cut: step * 1024 - 8,
                epoch: 1 + *step as u32,
            })
        });
        assert_eq!(refused, Some(MAX_EPOCHS as u64 - 1));
        for epoch in 1..100u64 {
            let start = (1 << 40) + epoch * 512;
            assert!(
                timeline.push(EpochStart {
                    start,
                    cut: start,
                    epoch: 5000 + epoch as u32
                }),
                "opening goes on"
            );
        }
    }
}
