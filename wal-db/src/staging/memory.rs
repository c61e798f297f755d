//! Staging memory: the bytes of the ring in which records wait for their flush, filled by claimers, published, taken out
//! and given back.
//!
//! Positions are bytes of the stream; a position's place in the ring is its remainder. `ring` decides which thread may
//! use which; why the unsafe code here is sound, given that:
//!
//! * Claims are disjoint, do not straddle the end of a block, and no two live positions share a place. A [`Claim`] is
//!   the only writer of its bytes.
//! * Bytes between the released position and the tail are zero until their claimer writes them, so a zero word means
//!   "claimed a moment ago". The claimer first stores the claim's length, then the content, then, with release
//!   ordering, the final word: a thread that sees that word with acquire ordering sees the content.
//! * Words are stored as little-endian bytes, as recovery and other machines read them.
//! * The one [`Consumer`] reads the bytes of a claim only after it saw the final word, and zeroes them only before they
//!   can be claimed again.
#![allow(unsafe_code)] // the ring hands out disjoint parts of shared memory; the proofs are below

#[cfg(not(wal_loom))]
use std::mem::ManuallyDrop;
use std::{fs::File, io};

#[cfg(not(wal_loom))]
use super::leftover::{self, FileId, was_left_clean};
use super::ring::{Closed, Consumer, Ring, Settled};
use crate::{
    format::{FRAME_HEADER_LEN, FrameWord, GROUP_HEADER_LEN, Kind, staging::StagingHeader},
    sync::{AtomicU64, MemoryWord, Ordering, SIMULATED, back_off, fence, step},
};
#[cfg(not(wal_loom))]
use crate::{
    format::{
        is_zero,
        staging::{DURABLE_AT, RELEASED_AT, STAGING_HEADER_LEN, USED, checked_stores},
    },
    process::Process,
};

/// A part of the ring that belongs to one writer until it is published. Dropped before that, it becomes a void.
pub(crate) struct Claim<'a> {
    ring: &'a Ring,
    pos: u64,
    len: u64,
}

impl<'a> Claim<'a> {
    #[inline]
    pub(crate) fn new(ring: &'a Ring, pos: u64, len: u64) -> Self {
        step();
        // The consumer has zeroed the ring on another core. The lines that a claim some records on will write come here
        // meanwhile: the next compare-and-swap waits for every store before it.
        ring.memory.fetch(pos + FETCH_AHEAD);
        ring.memory.fetch(pos + FETCH_AHEAD + CACHE_LINE);
        ring.memory
            .word(pos)
            .store(FrameWord::claimed(len).to_le(), Ordering::Relaxed);
        // The claim's length is there before any of its content is: recovery relies on it when the process dies.
        fence(Ordering::Release);
        Claim { ring, pos, len }
    }

    #[inline]
    pub(crate) fn pos(&self) -> u64 {
        self.pos
    }

    /// Copies bytes to `offset` of the claim, after its first word.
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
        #[cfg(wal_loom)]
        {
            let mut bytes = vec![0; len];
            let result = fill(&mut bytes);
            self.fill(offset, &bytes);
            result
        }
        #[cfg(not(wal_loom))]
        // SAFETY: as in `fill`; the borrow of `self` keeps the slice the only access until it ends.
        fill(unsafe { std::slice::from_raw_parts_mut(self.ring.memory.at(self.pos + offset), len) })
    }

    /// Leaves it as it is, in a child that was forked off while it was filled: it is the parent's.
    pub(crate) fn leave(self) {
        std::mem::forget(self);
    }

    /// Publishes the claim: `word` is that of the frame at its start.
    #[inline]
    pub(crate) fn publish(self, word: u64) {
        step();
        self.ring
            .memory
            .word(self.pos)
            .store(word.to_le(), Ordering::Release);
        std::mem::forget(self);
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        step();
        let word = FrameWord::void(self.ring.key(), self.pos, self.len);
        self.ring
            .memory
            .word(self.pos)
            .store(word.to_le(), Ordering::Release);
    }
}

impl Consumer {
    /// Waits until every claim of the group is published, and looks at what it holds.
    pub(crate) fn settle(&self, ring: &Ring, group: &Closed) -> Settled {
        let mut pos = group.start + GROUP_HEADER_LEN as u64;
        let mut asked = group.start;
        let (mut records, mut bytes, mut schemas) = (0, 0, false);
        while pos < group.end {
            // Other cores have written the bytes: they come by the time they are looked at, and not one by one.
            while asked < group.end.min(pos + FETCH_AHEAD) {
                ring.memory.fetch(asked);
                asked += CACHE_LINE;
            }
            let word = ring.memory.wait_for_word(pos);
            if word.kind.is_record() {
                records += 1;
                bytes += u64::from(word.len);
            }
            schemas |= word.kind == Kind::Schema;
            pos += word.frame_len();
        }
        Settled {
            records,
            bytes,
            schemas,
        }
    }

    /// Whether every claim up to the tail is published, or will be in a moment. Only while no group is cut off.
    pub(crate) fn is_published(&self, ring: &Ring) -> bool {
        let mut pos = self.open() + GROUP_HEADER_LEN as u64;
        let (mut tries, tail) = (0, ring.tail());
        while pos < tail {
            match ring.memory.published(pos) {
                Some(word) => pos += word.frame_len(),
                None if tries < MOMENT => {
                    back_off(tries);
                    tries += 1;
                    continue;
                }
                None => return false,
            }
            if ring.starts_block(pos) {
                pos += GROUP_HEADER_LEN as u64;
            }
        }
        true
    }

    /// Puts a settled group's header before it.
    pub(crate) fn set_header(&mut self, ring: &Ring, group: &Closed, header: &[u8; GROUP_HEADER_LEN]) {
        assert!(group.start >= self.released && group.start < self.open());
        // SAFETY: closing the previous group took these bytes out of what can be claimed; only the consumer, of
        // which there is one, borrowed mutably here, uses them.
        unsafe { ring.memory.write(group.start, header) }
    }

    /// The bytes of a settled group up to the next sector.
    pub(crate) fn bytes<'r>(&'r self, ring: &'r Ring, group: &Closed) -> &'r [u8] {
        assert!(group.start >= self.released && group.next <= self.open());
        let len = group.next - group.start;
        assert!(len <= ring.left_in_block(group.start));
        #[cfg(wal_loom)]
        return ring.memory.copy(group.start, len);
        #[cfg(not(wal_loom))]
        // SAFETY: a block does not wrap, and the group lies in one. `settle` saw every claim of it published, with
        // acquire ordering, and none of its bytes is written again before `release`, which needs the consumer mutably
        // while this slice borrows it. The padding after the last frame was zeroed at the last release and belongs to
        // the consumer.
        unsafe {
            std::slice::from_raw_parts(ring.memory.at(group.start), len as usize)
        }
    }

    /// Gives the ring back up to `next`; the bytes up to `used` were in use.
    pub(crate) fn release(&mut self, ring: &Ring, used: u64, next: u64) {
        assert!(self.released <= used && used <= next && next <= self.open());
        let mut pos = self.released;
        while pos < used {
            let run = (used - pos).min(ring.capacity() - (pos & (ring.capacity() - 1)));
            step();
            // SAFETY: everything below `used` was settled and closed, and cannot be claimed before the limit below is
            // raised; readers of `bytes` have ended, because they borrow the consumer.
            unsafe { ring.memory.zero(pos, run) }
            pos += run;
        }
        self.released = next;
        ring.memory.set_released(next);
        ring.give_back(next);
    }
}

/// How often a claim is looked at that a thread is about to publish.
const MOMENT: u32 = if SIMULATED { 1 } else { 66 };

const CACHE_LINE: u64 = 64;

/// How far ahead bytes are asked for: as many lines as a first-level cache has to spare.
const FETCH_AHEAD: u64 = 4096;

/// The bytes of a ring: a mapped file, or the heap.
pub(crate) struct Memory {
    #[cfg(not(wal_loom))]
    base: *mut u8,
    /// How many bytes are in use. Of a file no more need be there.
    len: AtomicU64,
    /// How many there is an address for.
    max: u64,
    #[cfg(not(wal_loom))]
    backing: Backing,
    #[cfg(wal_loom)]
    words: Vec<MemoryWord>,
}

#[cfg(not(wal_loom))]
enum Backing {
    Heap(std::ptr::NonNull<[u64]>),
    Mapped {
        map: ManuallyDrop<memmap2::MmapRaw>,
        /// The process that has mapped it. A child does not have the mapping, and may have another one there.
        process: Process,
        file: FileId,
    },
}

// SAFETY: the memory is owned by this value wherever it is, and every access goes through the protocol above.
#[cfg(not(wal_loom))]
unsafe impl Send for Memory {}
// SAFETY: as above.
#[cfg(not(wal_loom))]
unsafe impl Sync for Memory {}

#[cfg(not(wal_loom))]
impl Memory {
    /// Zero bytes in the process: `len` of them, a power of two, and place for `max`.
    pub(crate) fn heap(len: u64, max: u64) -> Memory {
        assert!(len.is_power_of_two() && len >= 4096 && max.is_power_of_two() && max >= len);
        let boxed: Box<[u64]> = vec![0u64; max as usize / 8].into_boxed_slice();
        let mut pointer = std::ptr::NonNull::from(Box::leak(boxed));
        // SAFETY: the allocation was just leaked and nothing else refers to it.
        let base = unsafe { pointer.as_mut().as_mut_ptr().cast() };
        Memory {
            base,
            len: AtomicU64::new(len),
            max,
            backing: Backing::Heap(pointer),
        }
    }

    /// Maps the file that the last process has left which closed the log; `None` if it is not that, or if anything is in
    /// it, or if it cannot be mapped.
    pub(crate) fn mapped_again(file: &File, header: &StagingHeader, max: u64) -> io::Result<Option<Memory>> {
        if !was_left_clean(file, header)? {
            return Ok(None);
        }
        let Ok(memory) = Self::map(file, header, max) else {
            return Ok(None);
        };
        // SAFETY: the ring is mapped and its file is as long, and nobody else uses the memory yet.
        let ring = unsafe { std::slice::from_raw_parts(memory.base, header.capacity as usize) };
        Ok(is_zero(ring).then_some(memory))
    }

    /// Maps `file`, of which what the header says is there, and zero: no later store can fail because space is missing.
    /// There is place for a ring of `max` bytes, should the file grow.
    ///
    /// # Errors
    /// The system cannot map it, or not so that several processes see what one stores.
    pub(crate) fn map(file: &File, header: &StagingHeader, max: u64) -> io::Result<Memory> {
        let len = header.capacity;
        assert!(len.is_power_of_two() && len >= 4096 && max.is_power_of_two() && max >= len);
        let id = leftover::id_of(file)?;
        let map = memmap2::MmapOptions::new()
            .len((STAGING_HEADER_LEN + max) as usize)
            .map_raw(file)?;
        // What a child stored would go into its parent's ring.
        #[cfg(target_os = "linux")]
        map.advise(memmap2::Advice::DontFork)?;
        // SAFETY: the mapping is longer than its header.
        let base = unsafe { map.as_mut_ptr().add(STAGING_HEADER_LEN as usize) };
        let memory = Memory {
            base,
            len: AtomicU64::new(len),
            max,
            backing: Backing::Mapped {
                map: ManuallyDrop::new(map),
                process: Process::this(),
                file: id,
            },
        };
        let bytes = header.encode();
        // SAFETY: the header's 4 KiB are mapped, and nobody else uses the memory yet.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), memory.header(), bytes.len()) };
        Ok(memory)
    }

    fn header(&self) -> *mut u8 {
        match &self.backing {
            Backing::Mapped { map, .. } => map.as_mut_ptr(),
            Backing::Heap(_) => std::ptr::null_mut(),
        }
    }

    fn header_word(&self, offset: usize) -> Option<&MemoryWord> {
        let header = self.header();
        // SAFETY: a mapped header is 4 KiB at a page boundary; its words are only used as atomics once the ring
        // is in use.
        (!header.is_null()).then(|| unsafe { MemoryWord::from_ptr(header.add(offset).cast()) })
    }

    pub(crate) fn is_mapped(&self) -> bool {
        matches!(self.backing, Backing::Mapped { .. })
    }

    /// Whether it is a mapping of this file.
    pub(crate) fn is_of(&self, file: &File) -> io::Result<bool> {
        match &self.backing {
            Backing::Heap(_) => Ok(false),
            Backing::Mapped { file: mapped, .. } => Ok(leftover::id_of(file)? == *mapped),
        }
    }

    /// Faults the pages in that the bytes from `pos` to `end` lie in, so that no append has to.
    pub(crate) fn fault_in(&self, pos: u64, end: u64) {
        #[cfg(target_os = "linux")]
        if let Backing::Mapped { map, process, .. } = &self.backing
            && process.is_this()
        {
            let (mut pos, ring) = (pos, self.len());
            while pos < end {
                let from = pos & (ring - 1);
                let len = (end - pos).min(ring - from);
                // It changes no byte, so it may run beside those who use the memory, or change how much of it is used.
                // What it cannot do is done later, page by page.
                let _ = map.advise_range(
                    memmap2::Advice::PopulateWrite,
                    (STAGING_HEADER_LEN + from) as usize,
                    len as usize,
                );
                pos += len;
            }
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (pos, end);
    }

    fn at(&self, pos: u64) -> *mut u8 {
        // SAFETY: the mask keeps the offset below `len`, which is at most `max`.
        unsafe { self.base.add((pos & (self.len() - 1)) as usize) }
    }

    /// Asks the processor for a cache line.
    #[inline(always)]
    fn fetch(&self, pos: u64) {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        // SAFETY: this reads nothing, whatever the address.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(self.at(pos).cast());
        }
        #[cfg(not(all(target_arch = "x86_64", not(miri))))]
        let _ = pos;
    }

    pub(crate) fn word(&self, pos: u64) -> &MemoryWord {
        debug_assert!(pos.is_multiple_of(8));
        // SAFETY: the base is aligned to eight bytes and so is every claim; a word that is the first of a frame is
        // only ever accessed atomically while the claim is live.
        unsafe { MemoryWord::from_ptr(self.at(pos).cast()) }
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

    pub(crate) fn change_header(&self, change: impl FnOnce(&mut StagingHeader)) {
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

    pub(crate) fn set_released(&self, released: u64) {
        self.set_checked(RELEASED_AT, released);
    }

    pub(crate) fn set_durable(&self, durable: u64) {
        self.set_checked(DURABLE_AT, durable);
    }

    fn set_checked(&self, at: usize, number: u64) {
        for (at, value) in checked_stores(at, number) {
            if let Some(word) = self.header_word(at) {
                word.store(value.to_le(), Ordering::Release);
            }
        }
    }
}

#[cfg(not(wal_loom))]
impl Drop for Memory {
    fn drop(&mut self) {
        match &mut self.backing {
            // SAFETY: leaked in `heap`, and nothing refers to it any more.
            Backing::Heap(pointer) => drop(unsafe { Box::from_raw(pointer.as_ptr()) }),
            Backing::Mapped { map, process, .. } => {
                if process.is_this() {
                    // SAFETY: this is the one place that drops it, and the value is gone after it.
                    unsafe { ManuallyDrop::drop(map) };
                }
            }
        }
    }
}

impl Memory {
    #[inline(always)]
    pub(crate) fn len(&self) -> u64 {
        self.len.load(Ordering::Relaxed)
    }

    pub(crate) fn max(&self) -> u64 {
        self.max
    }

    /// Uses so many bytes from now on. All are zero, those that come are there, and nobody uses any.
    pub(crate) fn set_len(&self, len: u64) {
        assert!(len.is_power_of_two() && len <= self.max);
        self.len.store(len, Ordering::Relaxed);
        self.change_header(|header| header.capacity = len);
    }

    /// The word of a published frame; waits for a claimer that is not done.
    fn wait_for_word(&self, pos: u64) -> FrameWord {
        let mut tries = 0;
        loop {
            if let Some(word) = self.published(pos) {
                return word;
            }
            // The claimer may have been preempted; it needs a processor more than we do.
            back_off(tries);
            tries = tries.saturating_add(1);
        }
    }

    fn published(&self, pos: u64) -> Option<FrameWord> {
        let word = FrameWord::parse(u64::from_le(self.word(pos).load(Ordering::Acquire)))?;
        (word.kind != Kind::Claimed).then_some(word)
    }
}

/// Under loom every word is an atomic of loom's, so that missing orderings show.
#[cfg(wal_loom)]
impl Memory {
    pub(crate) fn heap(len: u64, max: u64) -> Memory {
        Memory {
            len: AtomicU64::new(len),
            max,
            words: (0..max / 8).map(|_| MemoryWord::new(0)).collect(),
        }
    }

    pub(crate) fn is_mapped(&self) -> bool {
        false
    }

    pub(crate) fn is_of(&self, _: &File) -> io::Result<bool> {
        Ok(false)
    }

    fn fetch(&self, _: u64) {}

    pub(crate) fn word(&self, pos: u64) -> &MemoryWord {
        &self.words[((pos & (self.len() - 1)) / 8) as usize]
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

    pub(crate) fn map(_: &File, header: &StagingHeader, max: u64) -> io::Result<Memory> {
        Ok(Memory::heap(header.capacity, max))
    }

    pub(crate) fn mapped_again(_: &File, _: &StagingHeader, _: u64) -> io::Result<Option<Memory>> {
        Ok(None)
    }

    /// loom's words cannot be lent as bytes.
    fn copy(&self, pos: u64, len: u64) -> &'static [u8] {
        let words = (0..len / 8).map(|i| self.word(pos + i * 8).load(Ordering::Relaxed).to_le_bytes());
        Vec::leak(words.flatten().collect())
    }

    pub(crate) fn change_header(&self, _: impl FnOnce(&mut StagingHeader)) {}

    pub(crate) fn fault_in(&self, _: u64, _: u64) {}

    pub(crate) fn set_released(&self, _: u64) {}

    pub(crate) fn set_durable(&self, _: u64) {}
}

#[cfg(all(test, not(wal_loom)))]
#[path = "tests.rs"]
mod tests;

#[cfg(all(test, wal_loom))]
#[path = "loom.rs"]
mod loom_tests;
