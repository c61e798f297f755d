//! Where an event that is applied comes from.

use crate::{
    event::{MetaRef, meta::Meta},
    lsn::Lsn,
};

/// Where an event that is applied comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct At<'a> {
    /// The LSN of the event.
    pub lsn: Lsn,
    /// Whether the event was read from the log. False only for an event that a [`Store`](super::Store) or
    /// [`Entities`](super::Entities) have just appended: each event is applied so at most once, by the handle that appended it.
    /// It may not be durable yet.
    pub replaying: bool,
    /// What it was appended with.
    pub meta: MetaRef<'a>,
    /// Which event of its record it is, from 0. Other than 0 only if its type was split since it was stored.
    pub part: u32,
    /// The id of the log.
    pub(super) log: [u8; 16],
}

impl<'a> At<'a> {
    /// An event that is read from the log, without metadata: for tests of `apply`.
    #[must_use]
    pub fn replayed(lsn: Lsn) -> Self {
        At {
            lsn,
            replaying: true,
            meta: MetaRef::default(),
            part: 0,
            log: [0; 16],
        }
    }

    /// An event that has just been appended, without metadata: for tests of `apply`.
    #[must_use]
    pub fn committed(lsn: Lsn) -> Self {
        At {
            replaying: false,
            ..At::replayed(lsn)
        }
    }

    /// An event that was read from a log.
    pub(super) fn of_record(lsn: Lsn, meta: &'a Meta, part: u32, log: [u8; 16]) -> Self {
        At {
            part,
            log,
            ..At::replayed(lsn).with_meta(meta)
        }
    }

    /// The same event, with metadata.
    #[must_use]
    pub fn with_meta(self, meta: &'a Meta) -> Self {
        At {
            meta: meta.view(),
            ..self
        }
    }

    /// When it happened, in microseconds since 1970-01-01 00:00 UTC, by its metadata. What was decided is
    /// appended with [the time of the decision](super::Now::time_us).
    #[must_use]
    pub fn time_us(&self) -> Option<i64> {
        self.meta.time_us()
    }

    /// A number for a generator of random numbers: the same each time that this event is applied, and another one for
    /// every other event of any log. It is no secret.
    #[must_use]
    pub fn seed(&self) -> u64 {
        let mut seed = 0;
        let (front, back) = self.log.split_at(8);
        let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
        for word in [number(front), number(back), self.lsn.get(), u64::from(self.part)] {
            seed = mixed(seed ^ word);
        }
        seed
    }
}

/// The finalizer of SplitMix64: every bit of the number changes about half of the result's.
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
