//! Positions in staging memory: one word, the tail of the log, decides which thread may write where. No byte is touched
//! here; `staging` does that, and relies on this:
//!
//! * The tail only moves by compare-and-swap from the value that was checked, so claims are disjoint and lie below the
//!   limit.
//! * The ring is divided into blocks. No claim straddles the end of one, and after it the place of a group header is
//!   left out: a block that the tail has left is a group of its own. So groups stay small enough for a processor's
//!   cache, room comes back a block at a time, and nobody has to close a group for that.
//! * The limit is never more than one lap ahead of what was released, so no two live positions share a place.
//! * What the one [`Consumer`] has taken out cannot be claimed before it is released, which raises the limit with
//!   release ordering; claimers read it with acquire ordering.
//! * How much of the memory the ring uses changes only while the tail is frozen and everything before it was released,
//!   and the tail moves on before it is thawed. So a claimer that has read the tail, with acquire ordering, and swaps it
//!   has seen the ring as it is.

use super::{
    memory::{Claim, Memory},
    tail::{Approach, Tail},
};
use crate::{
    format::{FrameKey, GROUP_HEADER_LEN, align_sector},
    lsn::Pos,
    process::Wiped,
    sync::{AtomicU64, Mutex, Ordering, load_for_swap},
};

/// Kept free below the limit, for the padding and the headers that closing a group takes.
pub(crate) const SLACK: u64 = 4096;

/// Above every position; set in the tail while nothing may be claimed.
const FROZEN: u64 = 1 << 63;
/// Set in the tail for good when nothing may be claimed any more.
const SHUT: u64 = 1 << 62;
/// Set in the tail while only those may claim who came through the turnstile.
const COUNTED: u64 = 1 << 61;
/// What the tail says beside a position.
const SIGNS: u64 = FROZEN | SHUT | COUNTED;

/// The longest claim that goes through the ring.
const MAX_CLAIM: u64 = 64 << 10;

/// The longest block. Enough for one system call to cost little per record, and little enough to stay in a processor's
/// second-level cache while it is checked and copied.
const MAX_BLOCK: u64 = 512 << 10;

pub(crate) fn block_len(capacity: u64) -> u64 {
    MAX_BLOCK.min(capacity / 4)
}

/// A ring of staging memory and the tail of the log.
pub(crate) struct Ring {
    pub(crate) memory: Memory,
    tail: Tail,
    /// Claims end at or below it. A forked child finds zero here, so it claims nothing.
    pub(crate) limit: Wiped,
    /// What the limit is made of; changed rarely.
    bounds: Mutex<Bounds>,
    key: AtomicU64,
    block_len: AtomicU64,
    max_claim: u64,
}

struct Bounds {
    released: u64,
    disk: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    /// A truncation is going on.
    Frozen,
    /// The log is closed or poisoned.
    Shut,
    /// The ring or the prepared space is full at the moment.
    NoRoom,
    /// It would start too far on.
    Late,
    /// Every record is counted at the moment, at the turnstile.
    Counted,
}

/// Whether a claim is possible at this tail at all, by somebody who is counted or by somebody who is not.
#[inline(always)]
fn check_open(tail: u64, counted: bool) -> Result<(), Denied> {
    let closed = if counted { FROZEN | SHUT } else { SIGNS };
    match tail & closed {
        0 => Ok(()),
        signs if signs & SHUT != 0 => Err(Denied::Shut),
        signs if signs & FROZEN != 0 => Err(Denied::Frozen),
        _ => Err(Denied::Counted),
    }
}

/// Where a claim of `len` bytes ends that is made at `tail`, where so many are left in the block.
#[inline(always)]
fn end_of_claim(tail: u64, len: u64, left: u64) -> u64 {
    if len <= left {
        tail + len
    } else {
        tail + left + GROUP_HEADER_LEN as u64 + len
    }
}

impl Ring {
    /// A ring whose next group starts at `start`, and its one consumer. The memory is all zero.
    pub(crate) fn new(memory: Memory, start: u64, key: FrameKey) -> (Ring, Consumer) {
        let ring = Ring {
            tail: Tail::new(start + GROUP_HEADER_LEN as u64),
            limit: Wiped::new(0),
            bounds: Mutex::new(Bounds {
                released: start,
                disk: 0,
            }),
            key: AtomicU64::new(key.raw()),
            block_len: AtomicU64::new(block_len(memory.len())),
            max_claim: MAX_CLAIM.min(memory.len() / 8),
            memory,
        };
        ring.memory.set_released(start);
        // A ring starts where everything is durable. What the memory said before was said of another log, or of an
        // earlier state of this one.
        ring.memory.set_durable(start);
        (
            ring,
            Consumer {
                open: start,
                cut: None,
                released: start,
            },
        )
    }

    /// Makes the pages ready in which records will lie, in their order.
    pub(crate) fn fault_in(&self) {
        const STEP: u64 = 256 << 10;
        let start = self.tail();
        let end = start + self.capacity();
        for pos in (start..end).step_by(STEP as usize) {
            self.memory.fault_in(pos, end.min(pos + STEP));
        }
    }

    /// The longest claim that this ring takes, however large it becomes.
    pub(crate) fn max_claim(&self) -> u64 {
        self.max_claim
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.memory.len()
    }

    pub(crate) fn tail(&self) -> u64 {
        self.tail.pos().load(Ordering::Acquire) & !SIGNS
    }

    pub(crate) fn disk(&self) -> u64 {
        self.bounds.lock().disk
    }

    /// Whether the next `len` bytes have to wait for the disk rather than for the ring.
    pub(crate) fn waits_for_disk(&self, len: u64) -> bool {
        self.end_of(self.tail(), len).saturating_add(SLACK) > self.disk()
    }

    /// Where a claim of `len` bytes would end, or a record of that many that does not go through the ring.
    pub(crate) fn end_of(&self, tail: u64, len: u64) -> u64 {
        match len > self.max_claim() {
            true => tail + len,
            false => end_of_claim(tail, len, self.left_in_block(tail)),
        }
    }

    fn block_len(&self) -> u64 {
        self.block_len.load(Ordering::Relaxed)
    }

    pub(crate) fn left_in_block(&self, pos: u64) -> u64 {
        let block = self.block_len();
        block - (pos & (block - 1))
    }

    pub(crate) fn starts_block(&self, pos: u64) -> bool {
        pos & (self.block_len() - 1) == 0
    }

    /// Whether the tail has left the block that holds `pos`.
    pub(crate) fn has_left_block(&self, pos: u64) -> bool {
        self.tail() > pos + self.left_in_block(pos)
    }

    /// What is worth waking somebody for: to write that much, or to fill it.
    pub(crate) fn quarter(&self) -> u64 {
        self.capacity() / 4
    }

    /// Whether a claim at `pos` is the first one of a quarter of the ring.
    pub(crate) fn starts_quarter(&self, pos: u64) -> bool {
        pos & (self.quarter() - 1) == GROUP_HEADER_LEN as u64
    }

    /// Where the group that a tail is in starts, if everything before `open` is closed.
    fn group_start(&self, open: u64, tail: u64) -> u64 {
        open.max(tail & !(self.block_len() - 1))
    }

    pub(crate) fn key(&self) -> FrameKey {
        FrameKey::from_raw(self.key.load(Ordering::Relaxed))
    }

    /// Takes the next `len` bytes, a multiple of eight and at most [`max_claim`](Self::max_claim), if they start
    /// before `before`.
    #[inline(always)]
    pub(crate) fn claim(&self, len: u64, before: Pos) -> Result<Claim<'_>, Denied> {
        self.claim_as::<false>(len, before)
    }

    /// As [`claim`](Self::claim), for those who came through the turnstile, and for what is not counted.
    pub(crate) fn claim_counted(&self, len: u64, before: Pos) -> Result<Claim<'_>, Denied> {
        self.claim_as::<true>(len, before)
    }

    #[inline(always)]
    fn claim_as<const IS_COUNTED: bool>(&self, len: u64, before: Pos) -> Result<Claim<'_>, Denied> {
        let mut approach = Approach::new();
        let mut tail = load_for_swap(self.tail.pos());
        loop {
            tail = self.tail.before_swap(tail, &mut approach);
            check_open(tail, IS_COUNTED)?;
            // Nobody else has a sign to keep.
            let sign = if IS_COUNTED { tail & COUNTED } else { 0 };
            let pos = tail - sign;
            if pos >= before.0 {
                return Err(Denied::Late);
            }
            let left = self.left_in_block(pos);
            if end_of_claim(pos, len, left) > self.limit.load(Ordering::Acquire) {
                return Err(Denied::NoRoom);
            }
            let (take, next) = if len < left {
                (len, pos + len)
            } else {
                (len.min(left), pos + left + GROUP_HEADER_LEN as u64)
            };
            // It succeeds only from the tail that was checked, so no claim passes the limit or straddles a block.
            match self
                .tail
                .pos()
                .compare_exchange(tail, next | sign, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) if take == len => {
                    self.tail.after_swap(&approach);
                    return Ok(Claim::new(self, pos, len));
                }
                Ok(_) => {
                    // The rest of the block is too short: it becomes a void.
                    drop(Claim::new(self, pos, take));
                    tail = self.tail.pos().load(Ordering::Acquire);
                }
                Err(now) => tail = now,
            }
        }
    }

    /// Whether a claim of `len` bytes would be decided now, one way or the other.
    pub(crate) fn has_room(&self, len: u64) -> bool {
        let tail = self.tail.pos().load(Ordering::SeqCst);
        let fits = || self.end_of(tail & !SIGNS, len) <= self.limit.load(Ordering::SeqCst);
        tail & SHUT != 0 || tail & FROZEN == 0 && fits()
    }

    /// Whether a claim fails in a child that was forked off, and not only where it is asked for.
    pub(crate) fn refuses_children(&self) -> bool {
        self.limit.is_wiped()
    }

    /// Whether a quarter of the ring can be claimed.
    pub(crate) fn is_roomy(&self) -> bool {
        self.tail() + self.quarter() <= self.limit.load(Ordering::Acquire)
    }

    pub(crate) fn set_disk(&self, disk: u64) {
        let mut bounds = self.bounds.lock();
        bounds.disk = disk;
        self.update_limit(&bounds);
    }

    pub(crate) fn shut(&self) {
        self.tail.pos().fetch_or(SHUT, Ordering::AcqRel);
    }

    /// From now on, or no longer, only those can claim who are counted: a claim that looked before fails.
    pub(crate) fn set_counted(&self, is_counted: bool) {
        match is_counted {
            true => self.tail.pos().fetch_or(COUNTED, Ordering::AcqRel),
            false => self.tail.pos().fetch_and(!COUNTED, Ordering::AcqRel),
        };
    }

    pub(crate) fn is_frozen(&self) -> bool {
        self.tail.pos().load(Ordering::SeqCst) & (FROZEN | SHUT) == FROZEN
    }

    pub(crate) fn is_shut(&self) -> bool {
        self.tail.pos().load(Ordering::Acquire) & SHUT != 0
    }

    /// Records how far the log is durable where a later process can read it.
    pub(crate) fn set_durable(&self, durable: u64) {
        self.memory.set_durable(durable);
    }

    /// Binds the memory to a new epoch. Only while it is empty and nothing can be claimed.
    pub(crate) fn set_epoch(&self, epoch: u32) {
        self.memory.change_header(|header| header.epoch = epoch);
    }

    /// Notes that the log was closed. Only while the memory is empty and nothing can be claimed any more.
    pub(crate) fn set_clean(&self) {
        self.memory.change_header(|header| header.clean = true);
    }

    /// What is before `next` can be claimed again, a lap later.
    pub(crate) fn give_back(&self, next: u64) {
        let mut bounds = self.bounds.lock();
        bounds.released = next;
        self.update_limit(&bounds);
    }

    fn update_limit(&self, bounds: &Bounds) {
        let ring = bounds.released + self.capacity() - SLACK;
        self.limit
            .store(ring.min(bounds.disk.saturating_sub(SLACK)), Ordering::Release);
    }
}

pub(crate) struct Consumer {
    open: u64,
    /// Where the tail was cut and went on: the end of a group that does not fill its block.
    cut: Option<(u64, u64)>,
    pub(crate) released: u64,
}

/// A group that takes no more claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed {
    pub(crate) start: u64,
    /// Where its last frame ends.
    pub(crate) end: u64,
    /// Where the next group starts.
    pub(crate) next: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) records: u32,
    /// Of the payloads of these records.
    pub(crate) bytes: u64,
    pub(crate) schemas: bool,
}

impl Closed {
    pub(crate) fn is_empty(&self) -> bool {
        self.end == self.start + GROUP_HEADER_LEN as u64
    }
}

impl Consumer {
    pub(crate) fn open(&self) -> u64 {
        self.open
    }

    /// Whether groups before the last cut are still to be taken out.
    pub(crate) fn has_cut(&self) -> bool {
        self.cut.is_some()
    }

    /// Ends the last group at the tail, unless that is empty. With `keep_empty` an empty one is ended as well if it is the
    /// only one: a claim that ends with its block leaves one, and what is before it is not written yet. Returns where the
    /// last group to be taken out ends. The groups before an earlier cut were taken out.
    pub(crate) fn cut(&mut self, ring: &Ring, keep_empty: bool) -> u64 {
        debug_assert!(!self.has_cut());
        let mut tail = load_for_swap(ring.tail.pos());
        loop {
            let end = tail & !SIGNS;
            let start = ring.group_start(self.open, end);
            let is_kept = keep_empty && start == self.open;
            if end == start + GROUP_HEADER_LEN as u64 && !is_kept {
                return start;
            }
            let next = align_sector(end);
            let next_tail = (next + GROUP_HEADER_LEN as u64) | (tail & SIGNS);
            match ring
                .tail
                .pos()
                .compare_exchange_weak(tail, next_tail, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => {
                    self.cut = Some((end, next));
                    return next;
                }
                Err(now) => tail = now,
            }
        }
    }

    /// Takes out the oldest group that takes no more claims.
    pub(crate) fn next(&mut self, ring: &Ring) -> Option<Closed> {
        let block_end = self.open + ring.left_in_block(self.open);
        let (end, next) = match self.cut {
            Some(cut) if cut.0 <= block_end => {
                self.cut = None;
                cut
            }
            _ if ring.tail() > block_end => (block_end, block_end),
            _ => return None,
        };
        let start = std::mem::replace(&mut self.open, next);
        Some(Closed { start, end, next })
    }

    /// Takes a place outside the ring for a group of its own with `len` bytes of frames, which start before `before`, and
    /// ends the last group before it. The groups up to its start are to be taken out before it is passed.
    pub(crate) fn reserve(
        &mut self,
        ring: &Ring,
        len: u64,
        before: Pos,
        is_counted: bool,
    ) -> Result<Closed, Denied> {
        debug_assert!(!self.has_cut());
        let disk = ring.disk();
        let mut tail = load_for_swap(ring.tail.pos());
        loop {
            check_open(tail, is_counted)?;
            let pos = tail & !SIGNS;
            let last = ring.group_start(self.open, pos);
            let cut = (pos != last + GROUP_HEADER_LEN as u64).then_some((pos, align_sector(pos)));
            let start = cut.map_or(last, |(_, next)| next);
            let end = start + GROUP_HEADER_LEN as u64 + len;
            let next = align_sector(end);
            if start + GROUP_HEADER_LEN as u64 >= before.0 {
                return Err(Denied::Late);
            }
            if next + SLACK > disk {
                return Err(Denied::NoRoom);
            }
            match ring.tail.pos().compare_exchange_weak(
                tail,
                (next + GROUP_HEADER_LEN as u64) | (tail & SIGNS),
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    self.cut = cut;
                    return Ok(Closed { start, end, next });
                }
                Err(now) => tail = now,
            }
        }
    }

    /// Refuses claims, with something in the ring, so that the tail moves on when that is taken out. What is in the ring is
    /// to be released, and then the size changes with [`end_resize`](Self::end_resize). Returns where the tail stands;
    /// `None` if a claim is still to be published, for which nobody should wait while all others have to.
    pub(crate) fn begin_resize(&mut self, ring: &Ring) -> Option<u64> {
        debug_assert!(!self.has_cut());
        if !self.is_published(ring) {
            return None;
        }
        drop(ring.claim_counted(8, Pos::MAX));
        self.freeze(ring);
        if !self.is_published(ring) {
            self.thaw(ring, ring.key());
            return None;
        }
        Some(ring.tail())
    }

    /// Uses so much of the memory from now on, if the ring was emptied and all of its memory is zero. Takes claims again.
    /// Returns false if the size stays as it is: the tail has not moved since it was frozen, and a claimer that has looked
    /// at it before could swap it.
    pub(crate) fn end_resize(&mut self, ring: &Ring, frozen_at: u64, capacity: Option<u64>) -> bool {
        let capacity = capacity.filter(|_| ring.tail() != frozen_at);
        if let Some(capacity) = capacity {
            assert!(self.released == self.open && ring.tail() == self.open + GROUP_HEADER_LEN as u64);
            ring.memory.set_len(capacity);
            ring.block_len.store(block_len(capacity), Ordering::Relaxed);
            ring.give_back(self.released);
        }
        self.thaw(ring, ring.key());
        capacity.is_some()
    }

    /// Goes on after a place that was reserved.
    pub(crate) fn pass(&mut self, reserved: &Closed) {
        assert!(self.open == reserved.start && !self.has_cut());
        self.open = reserved.next;
    }

    /// Refuses claims until [`thaw`](Self::thaw).
    pub(crate) fn freeze(&mut self, ring: &Ring) {
        ring.tail.pos().fetch_or(FROZEN, Ordering::AcqRel);
    }

    pub(crate) fn thaw(&mut self, ring: &Ring, key: FrameKey) {
        ring.key.store(key.raw(), Ordering::Relaxed);
        // The release makes the key visible to later claims.
        ring.tail.pos().fetch_and(!FROZEN, Ordering::AcqRel);
    }
}
