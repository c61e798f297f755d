//! Reading the whole log to say what is wrong with it. Damage, files and broken rules are told apart, and none of them
//! ends the walk.

use super::{
    across::{foreign_from, resync},
    pieces::{self, Piece},
    rules::{Before, Group, Seen},
    verify_config::{Meter, VerifyConfig},
};
use crate::{
    error::{Corruption, CorruptionReason, Result, WalError},
    format::{GROUP_HEADER_LEN, GroupHeader, Kind, Manifest},
    log::{
        base::{Base, Extent},
        open::{keeper, table},
        read::{
            find::{self, Content},
            scan::{Frame, Walker},
            view::View,
        },
        report::{Copied, CopyFault, FileFault, VerifyReport},
    },
    storage::StoreFault,
    sync::{Arc, MutexGuard},
};

/// The manifest is locked where this process writes it, as long as its copies are read.
pub(crate) fn verify(
    view: &Arc<View>,
    manifest: Option<MutexGuard<'_, Manifest>>,
    config: &VerifyConfig,
) -> Result<VerifyReport> {
    let (extent, end) = (view.base.extent(), view.base.written());
    let piece = asked_for(&view.base, &extent, end, config);
    let meter = config.meter(piece.end.saturating_sub(piece.start));
    let mut verifier = Verifier::new(&view.base, extent.clone(), end, piece, meter.clone());
    verifier.check_copies(manifest)?;
    verifier.check_files()?;
    match in_pieces(view, &extent, end, piece, config.threads, &meter) {
        Some(walked) => walked.iter().for_each(|piece| verifier.count(piece)),
        // What is wrong, and what else is read, depends on all that comes before it.
        None => verifier.walk()?,
    }
    verifier.report.stopped = meter.is_stopped();
    Ok(verifier.report)
}

/// The groups of the records that are asked for. Where a header is lost, more of the log is read.
fn asked_for(base: &Base, extent: &Extent, end: u64, config: &VerifyConfig) -> Piece {
    let whole = Piece::whole(extent, end);
    let group_at = |pos: u64| {
        let pos = extent.skip_cut(pos);
        let is_inside = pos >= whole.start && pos < end;
        is_inside
            .then(|| find::find_group(base, extent, pos).ok())
            .flatten()
    };
    let start = match config.from() {
        from if from >= end => end,
        from => group_at(from).map_or(whole.start, |group| group.pos),
    };
    let to = match config.to() {
        to if to > end => end,
        to if to <= start => start,
        // The last record that is asked for starts before it, and its group before that.
        to => group_at(to - 1).map_or(end, |group| match group.pos + GROUP_HEADER_LEN as u64 >= to {
            true => group.pos,
            false => group.next(),
        }),
    };
    Piece {
        before: start,
        start,
        end: to,
    }
}

/// What several threads have read of a log; `None` if there is anything else to say of it than how much that is, or if
/// a walk over all of it may come another way.
fn in_pieces(
    view: &Arc<View>,
    extent: &Arc<Extent>,
    end: u64,
    piece: Piece,
    threads: usize,
    meter: &Arc<Meter>,
) -> Option<Vec<VerifyReport>> {
    let pieces = pieces::divide(&view.base, extent, piece, threads).ok()?;
    let befores: Vec<u64> = pieces.iter().skip(1).map(|piece| piece.before).collect();
    if befores.is_empty() {
        return None;
    }
    let (view, extent, its_meter) = (view.clone(), extent.clone(), meter.clone());
    let walked = pieces::each(pieces, threads, move |piece| {
        let mut verifier = Verifier::new(&view.base, extent.clone(), end, piece, its_meter.clone());
        verifier.walk().ok()?;
        let ends = piece.end == end || verifier.next == Some(piece.end);
        let is_whole = verifier.goes_on && ends && verifier.report.is_intact();
        (is_whole || its_meter.is_stopped()).then_some((verifier.report, verifier.last))
    })?;
    let (reports, lasts): (Vec<_>, Vec<_>) = walked.into_iter().unzip();
    (meter.is_stopped() || lasts.starts_with(&befores)).then_some(reports)
}

struct Verifier<'a> {
    base: &'a Base,
    /// The log as it was when this began, and where it ended.
    extent: Arc<Extent>,
    end: u64,
    piece: Piece,
    /// The first group of the piece came after the one that is before it.
    goes_on: bool,
    /// The last group that was walked over.
    last: u64,
    report: VerifyReport,
    group: Option<Group>,
    /// The group before the one that comes next, if nothing between them is damaged.
    before: Option<Before>,
    /// Where that one starts.
    next: Option<u64>,
    meter: Arc<Meter>,
}

impl<'a> Verifier<'a> {
    fn new(base: &'a Base, extent: Arc<Extent>, end: u64, piece: Piece, meter: Arc<Meter>) -> Self {
        Verifier {
            base,
            extent,
            end,
            next: Some(piece.before),
            piece,
            goes_on: false,
            last: piece.before,
            report: VerifyReport::default(),
            group: None,
            before: None,
            meter,
        }
    }

    /// The group before a piece is counted with the piece that it is in.
    fn is_counted(&self, pos: u64) -> bool {
        pos >= self.piece.start
    }

    fn count(&mut self, piece: &VerifyReport) {
        self.report.records += piece.records;
        self.report.schemas += piece.schemas;
        self.report.groups += piece.groups;
        self.report.bytes += piece.bytes;
        self.report.damage.extend_from_slice(&piece.damage);
        self.report.violations.extend_from_slice(&piece.violations);
    }

    /// The files that hold the log, from that of the head on.
    fn segments(&self) -> std::ops::RangeInclusive<u64> {
        let of = |pos| self.base.segment_of(pos).unwrap_or(0);
        of(self.extent.head_group)..=of(self.end.max(self.extent.head_group + 1) - 1)
    }

    /// The copies of what there are two of. Where another process writes, the second copy of a table may be still to come.
    fn check_copies(&mut self, held: Option<MutexGuard<'_, Manifest>>) -> Result<()> {
        let copies = match keeper::read_copies(&self.base.store) {
            Err(WalError::Corruption(damage)) => {
                self.report.damage.push(damage);
                return Ok(());
            }
            copies => copies?,
        };
        let is_underway = held.is_none() && copies.newest.staging.is_some();
        let manifest = copies.damaged.map(|copy| (Copied::Manifest, copy));
        let tables = table::bad_copies(&self.base.store, &copies.newest, is_underway)?;
        drop(held);
        let faults = manifest
            .into_iter()
            .chain(tables.into_iter().map(|copy| (Copied::Cuts, copy)));
        self.report.copies = faults.map(|(of, copy)| CopyFault { of, copy }).collect();
        Ok(())
    }

    fn check_files(&mut self) -> Result<()> {
        if self.end == self.extent.head_group {
            // A log without a byte has no segments yet.
            return Ok(());
        }
        for segment in self.segments() {
            let start = segment.saturating_mul(self.base.segment_len);
            let Err(error) = self.base.store.check_file(start) else {
                continue;
            };
            let reason = match StoreFault::of(&error) {
                Some(StoreFault::Missing { .. }) => CorruptionReason::MissingSegment,
                Some(_) => CorruptionReason::WrongSegment,
                None if error.kind() == std::io::ErrorKind::InvalidData => CorruptionReason::WrongSegment,
                None => return Err(WalError::io("looking at the log's files")(error)),
            };
            let is_segmented = self.base.segment_len > 0;
            if is_segmented && start + self.base.segment_len <= self.base.now().head_group {
                // A truncation was faster.
                continue;
            }
            self.report.files.push(FileFault {
                path: self.base.store.file_at(start),
                segment: is_segmented.then_some(segment),
                reason,
            });
        }
        Ok(())
    }

    fn walk(&mut self) -> Result<()> {
        let base = self.base;
        let Piece { before, end, .. } = self.piece;
        let mut walker = Walker::new(self.extent.clone(), before, end).thorough();
        while let Some(frame) = walker.next_frame(base) {
            if self.meter.is_stopped() {
                return Ok(());
            }
            match frame {
                Ok(frame) => self.frame(&walker, &frame)?,
                Err(WalError::Truncated { .. }) if base.now().head_group > walker.pos() => {
                    self.leave()?;
                    (self.before, self.next) = (None, None);
                    walker.jump(base.now().head_group);
                }
                Err(error) => {
                    let damage = self.as_damage(error, walker.pos())?;
                    self.damaged_at(&walker)?;
                    self.report_damage(damage);
                    let foreign = |base: &Base, pos| foreign_from(base, self.segments(), pos);
                    resync(&mut walker, base, |segment| segment + 1, foreign)?;
                }
            }
        }
        self.leave()?;
        self.empty_groups(end)
    }

    fn as_damage(&self, error: WalError, pos: u64) -> Result<Corruption> {
        match error {
            WalError::Corruption(damage) => Ok(damage),
            WalError::UnsupportedVersion { .. } => foreign_from(self.base, self.segments(), pos).ok_or(error),
            error => Err(error),
        }
    }

    fn damaged_at(&mut self, walker: &Walker) -> Result<()> {
        let header = walker.header().copied().filter(|_| !walker.is_headless());
        self.enter(header)?;
        match &mut self.group {
            Some(group) => group.is_whole = false,
            None => (self.before, self.next) = (None, None),
        }
        Ok(())
    }

    fn report_damage(&mut self, damage: Corruption) {
        let is_of_a_file = |damage: &Corruption| {
            let reason = damage.reason;
            matches!(
                reason,
                CorruptionReason::MissingSegment | CorruptionReason::WrongSegment
            )
        };
        let mut known = self.report.damage.iter();
        // Each of its groups would report it again.
        if !is_of_a_file(&damage)
            || !known.any(|known| is_of_a_file(known) && known.segment == damage.segment)
        {
            self.report.damage.push(damage);
        }
    }

    /// The walk is in the group with this header now, or in none.
    fn enter(&mut self, header: Option<GroupHeader>) -> Result<()> {
        let here = self.group.as_ref().map(|group| group.header.pos);
        if header.is_some_and(|header| Some(header.pos) == here) {
            return Ok(());
        }
        self.leave()?;
        if let Some(header) = header {
            self.empty_groups(header.pos)?;
            self.group = Some(Group::new(header));
        }
        Ok(())
    }

    fn frame(&mut self, walker: &Walker, frame: &Frame) -> Result<()> {
        if frame.pos >= self.extent.head && self.is_counted(frame.pos) {
            self.report.records += u64::from(frame.word.kind.is_record());
            self.report.schemas += u64::from(frame.word.kind == Kind::Schema);
        }
        if walker.is_headless() {
            self.enter(None)?;
            (self.before, self.next) = (None, None);
            return Ok(());
        }
        self.enter(walker.header().copied())?;
        if let Some(group) = &mut self.group {
            let seen = Seen {
                pos: frame.pos,
                kind: frame.word.kind,
                more: frame.word.more,
                padding_is_zero: walker.has_zero_padding(frame),
            };
            group.add(&seen, self.extent.head);
        }
        Ok(())
    }

    /// The groups up to `to` that no frame was in.
    fn empty_groups(&mut self, to: u64) -> Result<()> {
        while let Some(pos) = self.next.filter(|&pos| pos < to) {
            match find::read_header(self.base, pos) {
                Ok(Ok(header)) if header.len as usize == GROUP_HEADER_LEN => {
                    self.group = Some(Group::new(header));
                    self.leave()?;
                }
                // The walk has reported what is wrong here.
                Ok(_) | Err(WalError::Corruption(_) | WalError::Truncated { .. }) => {
                    (self.before, self.next) = (None, None);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The group has ended: looks at it as a whole.
    fn leave(&mut self) -> Result<()> {
        let Some(group) = self.group.take() else {
            return Ok(());
        };
        let header = &group.header;
        let before = self.before.take();
        if header.pos == self.piece.start {
            let came_from = before.as_ref().map_or(header.pos, |before| before.header.pos);
            self.goes_on = came_from == self.piece.before;
        }
        self.last = header.pos;
        self.next = Some(self.extent.skip_cut(header.next()));
        if self.is_counted(header.pos) {
            self.report.groups += 1;
            self.report.bytes += header.next() - header.pos;
            self.meter.add(header.next() - header.pos);
        }
        // Every frame is checked by the walk; this also covers the bytes between them.
        let bytes = match find::read_through(self.base, header) {
            Err(WalError::Corruption(damage)) => {
                self.report_damage(damage);
                return Ok(());
            }
            Err(WalError::UnsupportedVersion { .. } | WalError::Truncated { .. }) => return Ok(()),
            bytes => bytes?,
        };
        let content = bytes.as_ref().map_or(Content::Torn, |bytes| bytes.judge(header));
        if content != Content::Intact {
            if group.is_whole && self.is_damaged(header) && !is_gone(self.base, &self.extent, header) {
                let damage = self
                    .base
                    .damage(header.pos, header.next(), CorruptionReason::GroupContent);
                self.report.damage.push(damage);
            }
            return Ok(());
        }
        let broken = group.broken(&self.extent, before.as_ref(), bytes.as_ref());
        if !broken.is_empty() && !is_gone(self.base, &self.extent, header) {
            let violations = broken.into_iter().map(|rule| group.violation(self.base, rule));
            self.report.violations.extend(violations);
        }
        self.before = group.end();
        Ok(())
    }

    /// Whether a group that does not match its digest is damaged, though its frames are intact. Of one whose end was cut
    /// off, the rest may be gone, and then the frames decide.
    fn is_damaged(&self, header: &GroupHeader) -> bool {
        if self.extent.timeline.cut_around(header.end() - 1).is_none() {
            return true;
        }
        let mut walker = Walker::new(self.extent.clone(), header.pos, header.next());
        matches!(walker.next_frame(self.base), Some(Err(WalError::Corruption(_))))
    }
}

/// Whether a truncation has taken a group, or a part of it, from a log that was of this extent.
fn is_gone(base: &Base, was: &Extent, header: &GroupHeader) -> bool {
    let now = base.now();
    let cut = |extent: &Extent| extent.timeline.cut_around(header.next() - 1);
    header.pos < now.head_group || cut(&now) != cut(was)
}
