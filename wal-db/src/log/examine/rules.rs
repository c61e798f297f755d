//! The rules of `docs/format.md` that no checksum guards: what intact bytes say of their writer.

use crate::{
    format::{
        GROUP_HEADER_LEN, GroupHeader, Kind,
        group::{FLAG_SCHEMAS, FLAG_SEAL},
    },
    log::{
        base::{Base, Extent},
        read::find,
        report::{Rule, Violation},
    },
    lsn::Lsn,
};

pub(crate) struct Group {
    pub(crate) header: GroupHeader,
    /// Every frame up to here was seen, and nothing of it was damaged.
    pub(crate) is_whole: bool,
    records: u64,
    schemas: u64,
    before_head: u64,
    head_is_there: bool,
    batch: Option<Kind>,
    batch_is_broken: bool,
    padding_is_zero: bool,
}

pub(crate) struct Seen {
    pub(crate) pos: u64,
    pub(crate) kind: Kind,
    pub(crate) more: bool,
    pub(crate) padding_is_zero: bool,
}

/// What a group has to go on from.
#[derive(Clone, Copy)]
pub(crate) struct Before {
    pub(crate) header: GroupHeader,
    /// The ordinal after its records; some of them may have been cut off.
    pub(crate) ordinal: u64,
}

impl Group {
    pub(crate) fn new(header: GroupHeader) -> Group {
        Group {
            header,
            is_whole: true,
            records: 0,
            schemas: 0,
            before_head: 0,
            head_is_there: false,
            batch: None,
            batch_is_broken: false,
            padding_is_zero: true,
        }
    }

    pub(crate) fn add(&mut self, frame: &Seen, head: u64) {
        self.records += u64::from(frame.kind.is_record());
        self.schemas += u64::from(frame.kind == Kind::Schema);
        self.before_head += u64::from(frame.kind.is_record() && frame.pos < head);
        self.head_is_there |= frame.pos == head;
        self.batch_is_broken |= self.batch.is_some_and(|kind| kind != frame.kind);
        self.batch = frame.more.then_some(frame.kind);
        self.padding_is_zero &= frame.padding_is_zero || frame.kind == Kind::Void;
    }

    /// What the next group goes on from, if all of this one is known.
    pub(crate) fn end(&self) -> Option<Before> {
        self.is_whole.then_some(Before {
            header: self.header,
            ordinal: self.header.ordinal + self.records,
        })
    }

    /// The rules that the group breaks. Of one whose end was cut off, those that speak of its end say nothing.
    pub(crate) fn broken(
        &self,
        extent: &Extent,
        before: Option<&Before>,
        bytes: Option<&find::Bytes>,
    ) -> Vec<Rule> {
        let header = &self.header;
        let is_cut = extent.timeline.cut_around(header.end() - 1).is_some();
        let goes_on =
            |rule: fn(&GroupHeader, &Before) -> bool| before.is_none_or(|before| rule(header, before));
        let is_seal = header.flags & FLAG_SEAL != 0;
        let seals =
            header.len as usize == GROUP_HEADER_LEN && header.count == 0 && header.durable == header.pos;
        let flag = header.flags & FLAG_SCHEMAS != 0;
        let is_full = self.is_whole && !is_cut;
        let starts_here = self.is_whole && header.pos == extent.head_group;
        let holds_head = self.head_is_there || header.len as usize == GROUP_HEADER_LEN;
        let head_ordinal = header.ordinal + self.before_head;
        let rules = [
            (
                Rule::RecordCount,
                !is_full || u64::from(header.count) == self.records,
            ),
            (
                Rule::Ordinal,
                goes_on(|header, before| header.ordinal == before.ordinal),
            ),
            (
                Rule::HeadOrdinal,
                !starts_here || extent.head_ordinal == head_ordinal,
            ),
            (Rule::Head, !starts_here || is_cut || holds_head),
            (Rule::Seal, !is_seal || seals),
            (Rule::SchemaFlag, !is_full || flag == (self.schemas > 0)),
            (
                Rule::Batch,
                !self.batch_is_broken && (!is_full || self.batch.is_none()),
            ),
            (
                Rule::Padding,
                self.padding_is_zero && (is_cut || bytes.is_none_or(|bytes| bytes.padding_is_zero)),
            ),
            (
                Rule::ZeroSectors,
                is_cut || bytes.is_none_or(|bytes| bytes.zero_sectors == header.zero_sectors),
            ),
            (
                Rule::PreviousDistance,
                header.prev == header.pos || goes_on(|header, before| header.prev == before.header.pos),
            ),
            (
                Rule::Epoch,
                goes_on(|header, before| header.epoch >= before.header.epoch),
            ),
        ];
        let broken = rules.into_iter().filter(|(_, is_kept)| !is_kept);
        broken.map(|(rule, _)| rule).collect()
    }

    pub(crate) fn violation(&self, base: &Base, rule: Rule) -> Violation {
        let start = self.header.pos;
        Violation {
            lsn: Lsn::from_pos(start + GROUP_HEADER_LEN as u64),
            segment: base.segment_of(start),
            start,
            rule,
        }
    }
}
