//! Staging memory: the ring in which records wait for their flush, and the lock-free protocol of claiming a place in
//! it, filling it, publishing it, and taking published bytes out.
//!
//! Positions are bytes of the stream; a position's place in the ring is its remainder. The protocol, and why the
//! unsafe code is sound:
//!
//! * The tail only moves by compare-and-swap from the value that was checked, so claims are disjoint and lie below the
//!   limit. A [`Claim`] is the only writer of its bytes.
//! * The ring is divided into blocks. No claim straddles the end of one, and behind it the place of a group header is
//!   left out: a block that the tail has left is a group of its own. So groups stay small enough for a processor's
//!   cache, room comes back a block at a time, and nobody has to close a group for that.
//! * The limit is never more than one lap ahead of what was released, so no two live positions share a place.
//! * Bytes between the released position and the tail are zero until their claimer writes them, so a zero word means
//!   "claimed a moment ago". The claimer first stores the claim's length, then the content, then, with release
//!   ordering, the final word: whoever sees that word with acquire ordering sees the content.
//! * The one [`Consumer`] reads the bytes of a claim only after it saw the final word, and zeroes and releases them
//!   only before they can be claimed again: it raises the limit with release ordering, and claimers read it with
//!   acquire ordering.
#![allow(unsafe_code)] // the ring hands out disjoint parts of shared memory; the proofs are below

use std::{fs::File, io};

#[cfg(not(loom))]
use super::staging_file::{DURABLE_AT, RELEASED_AT, STAGING_HEADER_LEN, USED, is_zero_already, write_zeros};
pub(crate) use super::staging_file::{Leftover, StagingHeader};
use crate::{
    format::{FRAME_HEADER_LEN, FrameKey, FrameWord, GROUP_HEADER_LEN, Kind, align_sector},
    sync::{AtomicU64, CachePadded, Mutex, Ordering, fence, load_for_swap, spin_loop, yield_now},
};

/// Kept free below the limit, for the padding and the headers that closing a group takes.
pub(crate) const SLACK: u64 = 4096;

/// Above every position; set in the tail while nothing may be claimed.
const FROZEN: u64 = 1 << 63;
/// Set in the tail for good when nothing may be claimed any more.
const SHUT: u64 = 1 << 62;

/// The longest claim that goes through the ring.
const MAX_CLAIM: u64 = 64 << 10;

/// The longest block. Enough for one system call to cost little per record, and little enough to stay in a processor's
/// second-level cache while it is checked and copied.
const MAX_BLOCK: u64 = 512 << 10;

/// How long the blocks of a ring are.
pub(crate) fn block_len(capacity: u64) -> u64 {
    MAX_BLOCK.min(capacity / 4)
}

/// A ring of staging memory and the tail of the log.
pub(crate) struct Ring {
    memory: Memory,
    tail: CachePadded<AtomicU64>,
    /// Claims end at or below it.
    limit: CachePadded<AtomicU64>,
    /// What the limit is made of; changed rarely.
    bounds: Mutex<Bounds>,
    key: AtomicU64,
}

struct Bounds {
    released: u64,
    disk: u64,
}

/// Why nothing was claimed.
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
}

impl Ring {
    /// A ring whose next group starts at `start`, and its one consumer. The memory is all zero.
    pub(crate) fn new(memory: Memory, start: u64, key: FrameKey) -> (Ring, Consumer) {
        let ring = Ring {
            tail: CachePadded::new(AtomicU64::new(start + GROUP_HEADER_LEN as u64)),
            limit: CachePadded::new(AtomicU64::new(0)),
            bounds: Mutex::new(Bounds {
                released: start,
                disk: 0,
            }),
            key: AtomicU64::new(key.raw()),
            memory,
        };
        ring.memory.set_released(start);
        (
            ring,
            Consumer {
                open: start,
                cut: None,
                released: start,
            },
        )
    }

    /// The longest claim that this ring takes.
    pub(crate) fn max_claim(&self) -> u64 {
        MAX_CLAIM.min(self.capacity() / 8)
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.memory.len()
    }

    /// Where the next claim starts.
    pub(crate) fn tail(&self) -> u64 {
        self.tail.load(Ordering::Acquire) & !(FROZEN | SHUT)
    }

    /// Up to where the disk has room.
    pub(crate) fn disk(&self) -> u64 {
        self.bounds.lock().disk
    }

    /// Whether the next `len` bytes have to wait for the disk rather than for the ring.
    pub(crate) fn waits_for_disk(&self, len: u64) -> bool {
        self.end_of(self.tail(), len).saturating_add(SLACK) > self.disk()
    }

    /// Where a claim of `len` bytes would end, or a record of that many that does not go through the ring.
    pub(crate) fn end_of(&self, tail: u64, len: u64) -> u64 {
        let left = self.left_in_block(tail);
        if len <= left || len > self.max_claim() {
            tail + len
        } else {
            tail + left + GROUP_HEADER_LEN as u64 + len
        }
    }

    fn block_len(&self) -> u64 {
        block_len(self.capacity())
    }

    fn left_in_block(&self, pos: u64) -> u64 {
        self.block_len() - (pos & (self.block_len() - 1))
    }

    /// Whether the tail has left the block that holds `pos`.
    pub(crate) fn has_left_block(&self, pos: u64) -> bool {
        self.tail() > pos + self.left_in_block(pos)
    }

    /// Whether a claim at `pos` is the first one of its block.
    pub(crate) fn starts_block(&self, pos: u64) -> bool {
        pos & (self.block_len() - 1) == GROUP_HEADER_LEN as u64
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
    #[inline]
    pub(crate) fn claim(&self, len: u64, before: u64) -> Result<Claim<'_>, Denied> {
        let mut tail = load_for_swap(&self.tail);
        loop {
            if tail & (FROZEN | SHUT) != 0 {
                return Err(if tail & SHUT != 0 {
                    Denied::Shut
                } else {
                    Denied::Frozen
                });
            }
            if tail >= before {
                return Err(Denied::Late);
            }
            if self.end_of(tail, len) > self.limit.load(Ordering::Acquire) {
                return Err(Denied::NoRoom);
            }
            let left = self.left_in_block(tail);
            let (take, next) = if len < left {
                (len, tail + len)
            } else {
                (len.min(left), tail + left + GROUP_HEADER_LEN as u64)
            };
            match self
                .tail
                .compare_exchange_weak(tail, next, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) if take == len => return Ok(Claim::new(self, tail, len)),
                Ok(_) => {
                    // The rest of the block is too short: it becomes a void.
                    drop(Claim::new(self, tail, take));
                    tail = self.tail.load(Ordering::Relaxed);
                }
                Err(now) => tail = now,
            }
        }
    }

    /// Whether a claim of `len` bytes would be decided now, one way or the other.
    pub(crate) fn has_room(&self, len: u64) -> bool {
        let tail = self.tail.load(Ordering::SeqCst);
        tail & SHUT != 0 || tail & FROZEN == 0 && self.end_of(tail, len) <= self.limit.load(Ordering::SeqCst)
    }

    /// Makes room up to `disk` on the disk's side.
    pub(crate) fn set_disk(&self, disk: u64) {
        let mut bounds = self.bounds.lock();
        bounds.disk = disk;
        self.update_limit(&bounds);
    }

    /// Refuses claims for good.
    pub(crate) fn shut(&self) {
        self.tail.fetch_or(SHUT, Ordering::AcqRel);
    }

    pub(crate) fn is_frozen(&self) -> bool {
        self.tail.load(Ordering::SeqCst) & (FROZEN | SHUT) == FROZEN
    }

    pub(crate) fn is_shut(&self) -> bool {
        self.tail.load(Ordering::Acquire) & SHUT != 0
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

    fn update_limit(&self, bounds: &Bounds) {
        let ring = bounds.released + self.capacity() - SLACK;
        self.limit
            .store(ring.min(bounds.disk.saturating_sub(SLACK)), Ordering::Release);
    }
}

/// A part of the ring that belongs to one writer until it is published. Dropped before that, it becomes a void.
pub(crate) struct Claim<'a> {
    ring: &'a Ring,
    pos: u64,
    len: u64,
}

impl<'a> Claim<'a> {
    #[inline]
    fn new(ring: &'a Ring, pos: u64, len: u64) -> Self {
        ring.memory
            .word(pos)
            .store(FrameWord::claimed(len), Ordering::Relaxed);
        // The claim's length is there before any of its content is: recovery relies on it when the process dies.
        fence(Ordering::Release);
        Claim { ring, pos, len }
    }

    #[inline]
    pub(crate) fn pos(&self) -> u64 {
        self.pos
    }

    /// Copies bytes to `offset` of the claim, behind its first word.
    #[inline]
    pub(crate) fn fill(&mut self, offset: u64, bytes: &[u8]) {
        assert!(offset >= FRAME_HEADER_LEN as u64 && offset + bytes.len() as u64 <= self.len);
        // SAFETY: `pos + offset..+ len` lies in this claim, which was taken from the tail by a successful
        // compare-and-swap and does not straddle the end of a block; nobody else writes it, and nobody reads it
        // before it is published, which takes `self`. The first word is left out, so no atomic is aliased.
        unsafe { self.ring.memory.write(self.pos + offset, bytes) }
    }

    /// Lets `fill` write `len` bytes at `offset` of the claim in place. They are zero before.
    pub(crate) fn fill_with<T>(&mut self, offset: u64, len: usize, fill: impl FnOnce(&mut [u8]) -> T) -> T {
        assert!(offset >= FRAME_HEADER_LEN as u64 && offset + len as u64 <= self.len);
        #[cfg(loom)]
        {
            let mut bytes = vec![0; len];
            let result = fill(&mut bytes);
            self.fill(offset, &bytes);
            result
        }
        #[cfg(not(loom))]
        // SAFETY: as in `fill`; the borrow of `self` keeps the slice the only access until it ends.
        fill(unsafe { std::slice::from_raw_parts_mut(self.ring.memory.at(self.pos + offset), len) })
    }

    /// Publishes the claim: `word` is that of the frame at its start.
    #[inline]
    pub(crate) fn publish(self, word: u64) {
        self.ring.memory.word(self.pos).store(word, Ordering::Release);
        std::mem::forget(self);
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let word = FrameWord::void(self.ring.key(), self.pos, self.len);
        self.ring.memory.word(self.pos).store(word, Ordering::Release);
    }
}

/// The one that takes published bytes out of the ring.
pub(crate) struct Consumer {
    /// Where the oldest group starts that was not taken out.
    open: u64,
    /// Where the tail was cut and went on: the end of a group that does not fill its block.
    cut: Option<(u64, u64)>,
    released: u64,
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

/// What a group holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) records: u32,
    /// Whether schemas are among them.
    pub(crate) schemas: bool,
}

impl Closed {
    pub(crate) fn is_empty(&self) -> bool {
        self.end == self.start + GROUP_HEADER_LEN as u64
    }
}

impl Consumer {
    /// Where the oldest group starts that was not taken out.
    pub(crate) fn open(&self) -> u64 {
        self.open
    }

    /// Whether groups before the last cut are still to be taken out.
    pub(crate) fn has_cut(&self) -> bool {
        self.cut.is_some()
    }

    /// Ends the last group at the tail, unless that is empty and `keep_empty` is not set. Returns where the last
    /// group to be taken out ends. The groups before an earlier cut were taken out.
    pub(crate) fn cut(&mut self, ring: &Ring, keep_empty: bool) -> u64 {
        debug_assert!(!self.has_cut());
        let mut tail = load_for_swap(&ring.tail);
        loop {
            let end = tail & !(FROZEN | SHUT);
            let start = ring.group_start(self.open, end);
            if end == start + GROUP_HEADER_LEN as u64 && !keep_empty {
                return start;
            }
            let next = align_sector(end);
            let next_tail = (next + GROUP_HEADER_LEN as u64) | (tail & (FROZEN | SHUT));
            match ring
                .tail
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
    pub(crate) fn reserve(&mut self, ring: &Ring, len: u64, before: u64) -> Result<Closed, Denied> {
        debug_assert!(!self.has_cut());
        let disk = ring.disk();
        let mut tail = load_for_swap(&ring.tail);
        loop {
            if tail & (FROZEN | SHUT) != 0 {
                return Err(if tail & SHUT != 0 {
                    Denied::Shut
                } else {
                    Denied::Frozen
                });
            }
            let last = ring.group_start(self.open, tail);
            let cut = (tail != last + GROUP_HEADER_LEN as u64).then_some((tail, align_sector(tail)));
            let start = cut.map_or(last, |(_, next)| next);
            let end = start + GROUP_HEADER_LEN as u64 + len;
            let next = align_sector(end);
            if start + GROUP_HEADER_LEN as u64 >= before {
                return Err(Denied::Late);
            }
            if next + SLACK > disk {
                return Err(Denied::NoRoom);
            }
            match ring.tail.compare_exchange_weak(
                tail,
                next + GROUP_HEADER_LEN as u64,
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

    /// Goes on behind a place that was reserved.
    pub(crate) fn pass(&mut self, reserved: &Closed) {
        assert!(self.open == reserved.start && !self.has_cut());
        self.open = reserved.next;
    }

    /// Waits until every claim of the group is published, and looks at what it holds.
    pub(crate) fn settle(&self, ring: &Ring, group: &Closed) -> Settled {
        let mut pos = group.start + GROUP_HEADER_LEN as u64;
        let (mut records, mut schemas) = (0, false);
        while pos < group.end {
            let word = ring.memory.wait_for_word(pos);
            records += u32::from(word.kind.is_record());
            schemas |= word.kind == Kind::Schema;
            pos += word.frame_len();
        }
        Settled { records, schemas }
    }

    /// Puts a settled group's header before it.
    pub(crate) fn set_header(&mut self, ring: &Ring, group: &Closed, header: &[u8; GROUP_HEADER_LEN]) {
        assert!(group.start >= self.released && group.start < self.open);
        // SAFETY: closing the previous group took these bytes out of what can be claimed; only the consumer, of
        // which there is one, borrowed mutably here, uses them.
        unsafe { ring.memory.write(group.start, header) }
    }

    /// The bytes of a settled group up to the next sector.
    pub(crate) fn bytes<'r>(&'r self, ring: &'r Ring, group: &Closed) -> &'r [u8] {
        assert!(group.start >= self.released && group.next <= self.open);
        let len = group.next - group.start;
        assert!(len <= ring.left_in_block(group.start));
        #[cfg(loom)]
        return ring.memory.copy(group.start, len);
        #[cfg(not(loom))]
        // SAFETY: a block does not wrap, and the group lies in one. `settle` saw every claim of it published, with
        // acquire ordering, and none of its bytes is written again before `release`, which needs the consumer mutably
        // while this slice borrows it. The padding behind the last frame was zeroed at the last release and belongs
        // to the consumer.
        unsafe {
            std::slice::from_raw_parts(ring.memory.at(group.start), len as usize)
        }
    }

    /// Gives the ring back up to `next`, of which the bytes up to `used` were in use.
    pub(crate) fn release(&mut self, ring: &Ring, used: u64, next: u64) {
        assert!(self.released <= used && used <= next && next <= self.open);
        let mut pos = self.released;
        while pos < used {
            let run = (used - pos).min(ring.capacity() - (pos & (ring.capacity() - 1)));
            // SAFETY: everything below `used` was settled and closed, and cannot be claimed before the limit below
            // is raised; readers of `bytes` have ended, for they borrow the consumer.
            unsafe { ring.memory.zero(pos, run) }
            pos += run;
        }
        self.released = next;
        ring.memory.set_released(next);
        let mut bounds = ring.bounds.lock();
        bounds.released = next;
        ring.update_limit(&bounds);
    }

    /// Refuses claims until [`thaw`](Self::thaw).
    pub(crate) fn freeze(&mut self, ring: &Ring) {
        ring.tail.fetch_or(FROZEN, Ordering::AcqRel);
    }

    pub(crate) fn thaw(&mut self, ring: &Ring, key: FrameKey) {
        ring.key.store(key.raw(), Ordering::Relaxed);
        // The release makes the key visible to whoever claims after it.
        ring.tail.fetch_and(!FROZEN, Ordering::AcqRel);
    }
}

/// The bytes of a ring: a mapped file, or the heap.
pub(crate) struct Memory {
    #[cfg(not(loom))]
    base: *mut u8,
    len: u64,
    #[cfg(not(loom))]
    backing: Backing,
    #[cfg(loom)]
    words: Vec<AtomicU64>,
}

#[cfg(not(loom))]
enum Backing {
    Heap(std::ptr::NonNull<[u64]>),
    Mapped { map: memmap2::MmapRaw },
}

// SAFETY: the memory is owned by this value wherever it is, and every access goes through the protocol above.
#[cfg(not(loom))]
unsafe impl Send for Memory {}
// SAFETY: as above.
#[cfg(not(loom))]
unsafe impl Sync for Memory {}

#[cfg(not(loom))]
impl Memory {
    /// `len` zero bytes in the process; a power of two.
    pub(crate) fn heap(len: usize) -> Memory {
        assert!(len.is_power_of_two() && len >= 4096);
        let boxed: Box<[u64]> = vec![0u64; len / 8].into_boxed_slice();
        let mut pointer = std::ptr::NonNull::from(Box::leak(boxed));
        // SAFETY: the allocation was just leaked and nothing else refers to it.
        let base = unsafe { pointer.as_mut().as_mut_ptr().cast() };
        Memory {
            base,
            len: len as u64,
            backing: Backing::Heap(pointer),
        }
    }

    /// Maps `file`, which is made anew: all of its blocks are written, so that no later store can fail for want of
    /// space, and `header` is put at its start.
    pub(crate) fn mapped(file: &File, len: usize, header: &StagingHeader) -> io::Result<Memory> {
        assert!(len.is_power_of_two() && len >= 4096);
        if !is_zero_already(file, len as u64, header)? {
            write_zeros(file, STAGING_HEADER_LEN + len as u64)?;
        }
        let map = memmap2::MmapOptions::new()
            .len(STAGING_HEADER_LEN as usize + len)
            .map_raw(file)?;
        // Fault all pages in now and not in the appends.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::PopulateWrite);
        // A child process that appended would write into its parent's ring.
        #[cfg(target_os = "linux")]
        map.advise(memmap2::Advice::DontFork)?;
        // SAFETY: the mapping is longer than its header.
        let base = unsafe { map.as_mut_ptr().add(STAGING_HEADER_LEN as usize) };
        let memory = Memory {
            base,
            len: len as u64,
            backing: Backing::Mapped { map },
        };
        let bytes = header.encode();
        // SAFETY: the header's 4 KiB are mapped, and nobody else uses the memory yet.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), memory.header(), bytes.len()) };
        Ok(memory)
    }

    fn header(&self) -> *mut u8 {
        match &self.backing {
            Backing::Mapped { map } => map.as_mut_ptr(),
            Backing::Heap(_) => std::ptr::null_mut(),
        }
    }

    fn header_word(&self, offset: usize) -> Option<&AtomicU64> {
        let header = self.header();
        // SAFETY: a mapped header is 4 KiB at a page boundary; its words are only used as atomics once the ring
        // is in use.
        (!header.is_null()).then(|| unsafe { AtomicU64::from_ptr(header.add(offset).cast()) })
    }

    fn at(&self, pos: u64) -> *mut u8 {
        // SAFETY: the mask keeps the offset below `len`.
        unsafe { self.base.add((pos & (self.len - 1)) as usize) }
    }

    fn word(&self, pos: u64) -> &AtomicU64 {
        debug_assert!(pos.is_multiple_of(8));
        // SAFETY: the base is aligned to eight bytes and so is every claim; a word that is the first of a frame is
        // only ever accessed atomically while the claim is live.
        unsafe { AtomicU64::from_ptr(self.at(pos).cast()) }
    }

    /// # Safety
    /// The bytes belong to the caller and do not straddle the end of the ring.
    unsafe fn write(&self, pos: u64, bytes: &[u8]) {
        // SAFETY: the caller owns the destination; the source is another object.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.at(pos), bytes.len()) }
    }

    /// # Safety
    /// As for `write`.
    unsafe fn zero(&self, pos: u64, len: u64) {
        // SAFETY: the caller owns the destination.
        unsafe { std::ptr::write_bytes(self.at(pos), 0, len as usize) }
    }

    fn change_header(&self, change: impl FnOnce(&mut StagingHeader)) {
        let pointer = self.header();
        if pointer.is_null() {
            return;
        }
        // SAFETY: the header's first 64 bytes are mapped, and are only read and written here and before the ring is
        // used; the callers see to it that one of them runs at a time. A process that dies in between leaves a header
        // that is not valid, and memory that is empty.
        let bytes = unsafe { std::slice::from_raw_parts_mut(pointer, USED) };
        if let Some(mut header) = StagingHeader::decode(bytes) {
            change(&mut header);
            bytes.copy_from_slice(&header.encode());
        }
    }

    fn set_released(&self, released: u64) {
        self.set_checked(RELEASED_AT, released);
    }

    fn set_durable(&self, durable: u64) {
        self.set_checked(DURABLE_AT, durable);
    }

    /// Stores a number, then its complement. A process that dies in between leaves the old complement.
    fn set_checked(&self, at: usize, number: u64) {
        if let (Some(word), Some(check)) = (self.header_word(at), self.header_word(at + 8)) {
            word.store(number, Ordering::Release);
            check.store(!number, Ordering::Release);
        }
    }
}

#[cfg(not(loom))]
impl Drop for Memory {
    fn drop(&mut self) {
        if let Backing::Heap(pointer) = &self.backing {
            // SAFETY: leaked in `heap`, and nothing refers to it any more.
            drop(unsafe { Box::from_raw(pointer.as_ptr()) });
        }
    }
}

impl Memory {
    fn len(&self) -> u64 {
        self.len
    }

    /// The word of a published frame; waits for a claimer that is not done.
    fn wait_for_word(&self, pos: u64) -> FrameWord {
        let mut tries = 0;
        loop {
            match FrameWord::parse(self.word(pos).load(Ordering::Acquire)) {
                Some(word) if word.kind != Kind::Claimed => return word,
                _ if tries < 64 => spin_loop(),
                // The claimer may have been preempted; it needs a processor more than we do.
                _ => yield_now(),
            }
            tries += 1;
        }
    }
}

/// Under loom every word is an atomic of loom's, so that missing orderings show.
#[cfg(loom)]
impl Memory {
    pub(crate) fn heap(len: usize) -> Memory {
        Memory {
            len: len as u64,
            words: (0..len / 8).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    fn word(&self, pos: u64) -> &AtomicU64 {
        &self.words[((pos & (self.len - 1)) / 8) as usize]
    }

    unsafe fn write(&self, pos: u64, bytes: &[u8]) {
        for (i, chunk) in bytes.chunks(8).enumerate() {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.word(pos + i as u64 * 8)
                .store(u64::from_le_bytes(word), Ordering::Relaxed);
        }
    }

    unsafe fn zero(&self, pos: u64, len: u64) {
        (0..len / 8).for_each(|i| self.word(pos + i * 8).store(0, Ordering::Relaxed));
    }

    pub(crate) fn mapped(_: &File, len: usize, _: &StagingHeader) -> io::Result<Memory> {
        Ok(Memory::heap(len))
    }

    /// loom's words cannot be lent as bytes.
    fn copy(&self, pos: u64, len: u64) -> &'static [u8] {
        let words = (0..len / 8).map(|i| self.word(pos + i * 8).load(Ordering::Relaxed).to_le_bytes());
        Vec::leak(words.flatten().collect())
    }

    fn change_header(&self, _: impl FnOnce(&mut StagingHeader)) {}

    fn set_released(&self, _: u64) {}

    fn set_durable(&self, _: u64) {}
}

#[cfg(all(test, not(loom)))]
#[path = "staging_tests.rs"]
mod tests;

#[cfg(all(test, loom))]
#[path = "staging_loom.rs"]
mod loom_tests;
