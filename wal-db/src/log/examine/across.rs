//! Going on after damage, across segments that are missing or somebody else's.

use crate::{
    error::{Corruption, CorruptionReason, Result, WalError},
    log::{base::Base, read::scan::Walker},
    storage::StoreFault,
};

/// Goes on after damage, across segments that are not there or not the log's; `next` names the one to try after
/// another, and `foreign` the first one from a position on that is not the log's.
pub(crate) fn resync(
    walker: &mut Walker,
    base: &Base,
    next: impl Fn(u64) -> u64,
    foreign: impl Fn(&Base, u64) -> Option<Corruption>,
) -> Result<()> {
    let mut result = walker.resync(base);
    loop {
        let at = match result {
            Err(WalError::Corruption(damage)) if base.segment_len > 0 => damage.start,
            Err(error @ WalError::UnsupportedVersion { .. }) => match foreign(base, walker.pos()) {
                Some(damage) => damage.start,
                None => return Err(error),
            },
            // The next step reports it.
            Err(WalError::Truncated { .. }) => return Ok(()),
            result => return result,
        };
        let segment = next(at / base.segment_len);
        walker.jump(segment.saturating_mul(base.segment_len));
        // A group may start there; what else there is belongs to one whose header is lost.
        result = match walker.is_at_header(base) {
            Ok(true) => Ok(()),
            Ok(false) => walker.resync(base),
            Err(error) => Err(error),
        };
    }
}

/// The first segment, from that of `pos` on, whose file is not the log's, as damage.
pub(crate) fn foreign_from(
    base: &Base,
    mut segments: impl Iterator<Item = u64>,
    pos: u64,
) -> Option<Corruption> {
    let first = base.segment_of(pos)?;
    let is_foreign = |segment: &u64| {
        let checked = base.store.check_file(segment.saturating_mul(base.segment_len));
        checked.is_err_and(|error| StoreFault::of(&error).is_some())
    };
    let segment = segments.find(|segment| *segment >= first && is_foreign(segment))?;
    let start = segment * base.segment_len;
    Some(base.damage(start, start + base.segment_len, CorruptionReason::WrongSegment))
}
