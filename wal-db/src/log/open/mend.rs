//! Making an opened log whole: what is durable, what goes, and the epoch that begins.

use std::io::{self, Read};

use super::{
    cut,
    keeper::write_manifest,
    recover::{Found, Opened, Survey, same_boot},
    staged::{self, Staged},
};
use crate::{
    error::{Result, WalError},
    format::{
        self, Manifest, Mark,
        timeline::{EpochStart, Room},
    },
    log::{
        base::{Base, Extent, mark_after},
        report::{Cut, RecoveryReport},
    },
    lsn::Lsn,
    staging::leftover::Leftover,
};

/// Makes durable what will be exposed, cuts off what will not, and begins a new epoch, which is still to be written to
/// the manifest.
pub(crate) fn mend(
    base: Base,
    mut manifest: Manifest,
    found: Found,
    survey: Survey,
    leftover: Option<Leftover>,
    mut report: RecoveryReport,
    room: Room,
) -> Result<Opened> {
    let end = found.mark.pos;
    let (staged, behind_damage) = take_staged(&base, &manifest, end, leftover.as_ref(), &mut report);
    report.clean &= end == manifest.mark.pos && survey.used == end;

    if found.durable < end {
        rewrite(&base, found.durable, end)?;
    }
    let over =
        behind_damage.map(|staged| staged.alone(base.log, manifest.timeline.newest().epoch, &mut report));
    let used = over
        .as_ref()
        .map_or(survey.used, |over| survey.used.max(over.end()));
    if used > end {
        report.cut = Some(keep_aside(&base, end, used, over)?);
    }
    // What was cut at damage had been acknowledged: it stays where it is, and its places are not used again.
    if survey.used > end && report.damage.is_none() {
        cut_off(&base, &mut manifest, end)?;
    }
    let mut mark = found.mark;
    let mut newest_schema = found.schema.or(manifest.schema);
    if let Some(staged) = staged {
        newest_schema = staged.last_schema().or(newest_schema);
        mark = write_staged(&base, &mut manifest, staged, mark, found.durable, &mut report)?;
    }
    // What will be shown is durable before the epoch that shows it.
    if mark.pos > found.durable || report.cut.is_some() {
        base.store
            .sync()
            .map_err(WalError::io("making the recovered log durable"))?;
    }

    let cut = mark.pos;
    if report.damage.is_some() {
        let acknowledged = found.durable.max(report.cut.as_ref().map_or(0, |cut| cut.end));
        newest_schema = cut::schema_before(&base, &mark, newest_schema)?;
        mark = cut::go_on_after(&base, &mut manifest, mark, acknowledged)?;
    }
    begin_epoch(&mut manifest, mark.pos, cut, room)?;
    manifest.mark = mark;
    manifest.schema = newest_schema;
    base.set_extent(Extent::of(&manifest));
    base.go_on_from(mark);
    base.raise_durable(mark.pos);
    report.end = Lsn::from_pos(mark.pos + format::GROUP_HEADER_LEN as u64);
    report.epoch = manifest.timeline.newest().epoch;
    Ok(Opened {
        base,
        manifest,
        report,
    })
}

/// What staging memory has to add at the end, or after damage, where nobody has read it. Says in the report what is known
/// of it.
pub(crate) fn take_staged(
    base: &Base,
    manifest: &Manifest,
    end: u64,
    leftover: Option<&Leftover>,
    report: &mut RecoveryReport,
) -> (Option<Staged>, Option<Staged>) {
    let key = base.key(manifest.timeline.newest().epoch);
    let is_damaged = report.damage.is_some();
    let collect =
        |leftover: &Leftover, start| staged::collect(leftover, start, same_boot(base, &leftover.header), key);
    let staged = leftover
        .filter(|_| !is_damaged)
        .and_then(|leftover| collect(leftover, end));
    let behind_damage = leftover
        .filter(|_| is_damaged)
        .and_then(|leftover| collect(leftover, end.max(leftover.released)));
    let unreadable =
        !is_damaged && leftover.is_some_and(|leftover| !leftover.header.clean && end < leftover.released);
    // What went into the system's cache and was lost there has a gap before what is still in staging memory.
    report.staging_ignored |= unreadable;
    report.clean = staged.is_none() && behind_damage.is_none() && !unreadable && !report.staging_missing;
    (staged, behind_damage)
}

/// Keeps what lies in `end..used`; some of it may be in `over`.
pub(crate) fn keep_aside(base: &Base, end: u64, used: u64, over: Option<Over>) -> Result<Cut> {
    let mut junk = StreamReader {
        base,
        pos: end,
        missing_to: end,
        over,
        end: used,
    };
    let kept_at = base.store.keep_aside(end, &mut junk);
    Ok(Cut {
        start: end,
        end: used,
        kept_at: kept_at.map_err(WalError::io("keeping cut bytes aside"))?,
    })
}

/// Cuts off what a crash left after the end: first the manifest stops promising segments, then they go.
pub(crate) fn cut_off(base: &Base, manifest: &mut Manifest, end: u64) -> Result<()> {
    let newest = base.segment_of(end.saturating_sub(1)).unwrap_or(0);
    if newest < manifest.newest_segment {
        manifest.newest_segment = newest;
        write_manifest(&base.store, manifest)?;
    }
    let cut = base.store.truncate(end);
    cut.map_err(WalError::io("cutting off what a crash left"))
}

/// Notes the epoch that goes on at `start`, in a log that ends at `cut`.
pub(crate) fn begin_epoch(manifest: &mut Manifest, start: u64, cut: u64, room: Room) -> Result<()> {
    let epoch = manifest.timeline.newest().epoch + 1;
    let next = EpochStart { start, cut, epoch };
    if !manifest.timeline.push_within(next, room) {
        return Err(WalError::TooManyTruncations {
            count: manifest.timeline.len(),
        });
    }
    Ok(())
}

/// Writes the same bytes again: the system's cache may be ahead of the disk, or hold pages that a failed flush has
/// marked clean.
pub(crate) fn rewrite(base: &Base, from: u64, to: u64) -> Result<()> {
    let mut buf = vec![0; 256 << 10];
    let mut pos = from;
    while pos < to {
        let want = buf.len().min((to - pos) as usize);
        let got = base.read(pos, &mut buf[..want])?;
        base.store
            .write_at(pos, &buf[..got])
            .map_err(WalError::io("rewriting the undurable tail"))?;
        if got < want {
            break;
        }
        pos += got as u64;
    }
    Ok(())
}

pub(crate) fn write_staged(
    base: &Base,
    manifest: &mut Manifest,
    staged: Staged,
    mark: Mark,
    durable: u64,
    report: &mut RecoveryReport,
) -> Result<Mark> {
    report.void_bytes = staged.unpublished;
    let (bytes, header) = staged.into_group(base.log, &mark, manifest.timeline.newest().epoch, durable);
    let prepared = base
        .store
        .prepare(header.next())
        .map_err(WalError::io("making room for the records of a process that died"))?;
    let newest = base
        .segment_of(prepared.min(header.next()).saturating_sub(1))
        .unwrap_or(0);
    if newest > manifest.newest_segment {
        manifest.newest_segment = newest;
        write_manifest(&base.store, manifest)?;
    }
    base.store
        .write_at(header.pos, &bytes)
        .map_err(WalError::io("writing the records of a process that died"))?;
    report.staged_records = u64::from(header.count);
    Ok(mark_after(&header, base.log))
}

/// Bytes that belong over those of the stream, as a group of their own.
pub(crate) struct Over {
    pub(crate) start: u64,
    pub(crate) bytes: Vec<u8>,
}

impl Over {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

/// A part of the stream as a reader; what is missing of a segment that is cut short reads as zeros.
pub(crate) struct StreamReader<'a> {
    base: &'a Base,
    pos: u64,
    /// Up to here nothing is there.
    missing_to: u64,
    over: Option<Over>,
    end: u64,
}

impl Read for StreamReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut end = self.end;
        if let Some(over) = self.over.as_ref().filter(|over| self.pos < over.end()) {
            if self.pos >= over.start {
                let mut bytes = &over.bytes[(self.pos - over.start) as usize..];
                let got = bytes.read(buf)?;
                self.pos += got as u64;
                return Ok(got);
            }
            end = over.start;
        }
        let want = buf
            .len()
            .min(usize::try_from(end - self.pos).unwrap_or(usize::MAX));
        let mut got = 0;
        if self.pos >= self.missing_to {
            got = self.base.store.read_at(self.pos, &mut buf[..want])?;
            if got < want {
                self.missing_to = self.base.after_read(self.pos, got, want).min(self.end);
            }
        }
        if got == 0 {
            got = want.min(usize::try_from(self.missing_to.saturating_sub(self.pos)).unwrap_or(usize::MAX));
            buf[..got].fill(0);
        }
        self.pos += got as u64;
        Ok(got)
    }
}
