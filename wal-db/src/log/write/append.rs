//! Appending: claim a place, fill it, publish it. No lock, no allocation, no system call, as long as there is room.

use std::time::Instant;

use super::{
    committer::{AROUND, Apart, Placed},
    turn::Turn,
    turnstile::Way,
    writer::Writer,
};
use crate::{
    error::{Result, WalError},
    format::{self, FRAME_HEADER_LEN, FrameWord, Kind},
    lsn::{Lsn, Pos},
    metrics::WaitsFor,
    staging::{memory::Claim, ring::Denied},
};

impl Writer {
    /// Appends one record that starts before the position that `before` returns, which is asked again when that has
    /// passed, and told whether everybody else waits. Returns where its frame starts and ends.
    #[inline(always)]
    pub(crate) fn append(
        &self,
        kind: Kind,
        payload: &[u8],
        mut before: impl FnMut(bool) -> Result<Pos>,
    ) -> Result<(u64, u64)> {
        match self.append_at_once(kind, payload, before(false)?) {
            Some(pos) => Ok((pos, pos + format::frame_len(payload.len()))),
            None => self.append_slowly(kind, payload, before),
        }
    }

    /// Appends one record if nothing is in the way, and returns where its frame starts. What is in the way is found out
    /// by [`append_slowly`](Self::append_slowly): an error that might have to be dropped costs every append something.
    ///
    /// Always inlined, down to the claim: handing nested results through memory costs a third of an append.
    #[inline(always)]
    fn append_at_once(&self, kind: Kind, payload: &[u8], before: Pos) -> Option<u64> {
        if !self.takes_at_once() {
            return None;
        }
        let need = format::frame_len(payload.len());
        if payload.len() > self.config.max_record_size() as usize || need > self.ring.max_claim() {
            return None;
        }
        // Everything that takes long comes before the claim: a claim that is not published holds up every flush.
        let crc = format::crc32(payload);
        let claim = self.ring.claim(need, before).ok()?;
        let pos = self.place(claim, kind, payload, crc);
        self.wake_flusher(pos);
        Some(pos)
    }

    #[inline(always)]
    fn place(&self, mut claim: Claim<'_>, kind: Kind, payload: &[u8], crc: u32) -> u64 {
        let pos = claim.pos();
        claim.fill(FRAME_HEADER_LEN as u64, payload);
        let key = self.ring.key();
        claim.publish(FrameWord::seal(key, pos, kind, false, payload.len() as u32, crc));
        pos
    }

    #[cold]
    fn append_slowly(
        &self,
        kind: Kind,
        payload: &[u8],
        before: impl FnMut(bool) -> Result<Pos>,
    ) -> Result<(u64, u64)> {
        let mut way = Way::Open;
        let placed = self.append_on(&mut way, kind, payload, before)?;
        drop(way);
        self.after_append(placed.0, placed.1)?;
        Ok(placed)
    }

    /// As [`append`](Self::append), by somebody who may have passed the turnstile, and who calls
    /// [`after_append`](Self::after_append) when others may pass.
    pub(super) fn append_on<'w>(
        &'w self,
        way: &mut Way<'w>,
        kind: Kind,
        payload: &[u8],
        before: impl FnMut(bool) -> Result<Pos>,
    ) -> Result<(u64, u64)> {
        self.check_usable()?;
        let need = self.checked_frame_len(payload.len())?;
        let pos = if need > self.ring.max_claim() {
            self.append_apart(way, kind, &[payload], before)?
        } else {
            let crc = format::crc32(payload);
            let claim = self.claim(way, need, before)?;
            self.place(claim, kind, payload, crc)
        };
        way.appended(pos, kind, payload);
        Ok((pos, pos + need))
    }

    /// Appends records that are there all together or not at all, the first of which starts before the position that
    /// `before` returns, as for [`append`](Self::append). Returns their positions and the last one's end.
    pub(crate) fn append_batch(
        &self,
        kind: Kind,
        payloads: &[&[u8]],
        before: impl FnMut(bool) -> Result<Pos>,
    ) -> Result<(Vec<Lsn>, u64)> {
        let mut way = match kind {
            Kind::Schema => Way::Past,
            _ => Way::Open,
        };
        let (lsns, end) = self.append_batch_on(&mut way, kind, payloads, before)?;
        drop(way);
        if let Some(first) = lsns.first() {
            self.after_append(first.pos(), end)?;
        }
        Ok((lsns, end))
    }

    /// As [`append_batch`](Self::append_batch) and [`append_on`](Self::append_on).
    pub(super) fn append_batch_on<'w>(
        &'w self,
        way: &mut Way<'w>,
        kind: Kind,
        payloads: &[&[u8]],
        before: impl FnMut(bool) -> Result<Pos>,
    ) -> Result<(Vec<Lsn>, u64)> {
        self.check_usable()?;
        let mut need = 0u64;
        for payload in payloads {
            need += match kind {
                // Schemas are the log's own, and the limit on records does not bind them.
                Kind::Schema => format::frame_len(payload.len()),
                _ => self.checked_frame_len(payload.len())?,
            };
        }
        if need > MAX_BATCH {
            return Err(WalError::BatchTooLarge {
                len: need,
                max: MAX_BATCH,
            });
        }
        let Some((first, rest)) = payloads.split_first() else {
            return Ok((Vec::new(), 0));
        };
        let pos = if need > self.ring.max_claim() {
            self.append_apart(way, kind, payloads, before)?
        } else {
            let crcs: Vec<u32> = payloads.iter().map(|payload| format::crc32(payload)).collect();
            let mut claim = self.claim(way, need, before)?;
            let (pos, key) = (claim.pos(), self.ring.key());
            let mut at = format::frame_len(first.len());
            for (i, payload) in rest.iter().enumerate() {
                let more = i + 1 < rest.len();
                let word = FrameWord::seal(key, pos + at, kind, more, payload.len() as u32, crcs[i + 1]);
                claim.fill(at, &word.to_le_bytes());
                claim.fill(at + FRAME_HEADER_LEN as u64, payload);
                at += format::frame_len(payload.len());
            }
            claim.fill(FRAME_HEADER_LEN as u64, first);
            // The first word comes last: with it the whole batch is there.
            claim.publish(FrameWord::seal(
                key,
                pos,
                kind,
                !rest.is_empty(),
                first.len() as u32,
                crcs[0],
            ));
            pos
        };
        let mut at = pos;
        let lsns = payloads.iter().map(|payload| {
            let lsn = Lsn::from_pos(at);
            at += format::frame_len(payload.len());
            lsn
        });
        let lsns: Vec<Lsn> = lsns.collect();
        way.appended_all(kind, &lsns, payloads);
        Ok((lsns, pos + need))
    }

    /// Appends a record that `fill` writes in place, into `len` zero bytes. Returns where its frame starts.
    pub(crate) fn append_in_place(&self, len: usize, fill: impl FnOnce(&mut [u8])) -> Result<u64> {
        self.check_usable()?;
        let need = self.checked_frame_len(len)?;
        let mut way = Way::Open;
        if need > self.ring.max_claim() {
            let mut payload = vec![0; len];
            self.in_closure(|| fill(&mut payload));
            // The closure may have forked the process.
            self.check_process()?;
            let pos = self.append_apart(&mut way, Kind::Data, &[&payload], anywhere)?;
            way.appended(pos, Kind::Data, &payload);
            return Ok(pos);
        }
        let mut claim = self.claim(&mut way, need, anywhere)?;
        let pos = claim.pos();
        // If `fill` panics, the claim is dropped and becomes a void.
        let crc = claim.fill_with(FRAME_HEADER_LEN as u64, len, |space| {
            self.in_closure(|| fill(space));
            (!self.is_in_child()).then(|| format::crc32(space))
        });
        let Some(crc) = crc else {
            claim.leave();
            return Err(self.poisoned());
        };
        claim.publish(FrameWord::seal(
            self.ring.key(),
            pos,
            Kind::Data,
            false,
            len as u32,
            crc,
        ));
        way.appended(pos, Kind::Data, &[]);
        drop(way);
        self.after_append(pos, pos + need)?;
        Ok(pos)
    }

    #[inline]
    fn checked_frame_len(&self, len: usize) -> Result<u64> {
        let max = self.config.max_record_size() as usize;
        if len > max {
            return Err(WalError::RecordTooLarge {
                len: len as u64,
                max: max as u64,
            });
        }
        Ok(format::frame_len(len))
    }

    /// Takes the next `need` bytes, if they start before the position that `before` returns; waits for room.
    #[inline(always)]
    fn claim<'w>(
        &'w self,
        way: &mut Way<'w>,
        need: u64,
        mut before: impl FnMut(bool) -> Result<Pos>,
    ) -> Result<Claim<'w>> {
        loop {
            let before = before(way.is_alone())?;
            let claimed = match way.is_open() {
                true => self.ring.claim(need, before),
                false => self.ring.claim_counted(need, before),
            };
            match claimed {
                Ok(claim) => {
                    way.count();
                    return Ok(claim);
                }
                Err(Denied::Counted) => self.pass_turnstile(way)?,
                Err(denied) => self.wait_on(way, need, denied)?,
            }
        }
    }

    /// As [`wait_for_room`](Self::wait_for_room), if it may wait on its way.
    #[cold]
    fn wait_on(&self, way: &Way<'_>, need: u64, denied: Denied) -> Result<()> {
        if !matches!(denied, Denied::Shut)
            && let Err(busy) = way.check_waits(NO_ROOM)
        {
            self.ask_for_room();
            return Err(busy);
        }
        self.wait_for_room(need, denied)
    }

    /// As [`append`](Self::append), by somebody who never waits: where others would, it fails with
    /// [`Busy`](WalError::Busy), and what has to be done for the next try is left to the background threads.
    pub(crate) fn try_append(&self, kind: Kind, payload: &[u8], before: Pos) -> Result<(u64, u64)> {
        match self.append_at_once(kind, payload, before) {
            Some(pos) => Ok((pos, pos + format::frame_len(payload.len()))),
            None => self.try_append_slowly(kind, payload, before),
        }
    }

    #[cold]
    fn try_append_slowly(&self, kind: Kind, payload: &[u8], before: Pos) -> Result<(u64, u64)> {
        self.check_usable()?;
        let need = self.checked_frame_len(payload.len())?;
        if need > self.ring.max_claim() || self.write_through {
            return Err(WalError::Busy {
                what: "the record does not go through staging memory",
            });
        }
        // That is the way in any case: a log that counts has it, and elsewhere it is free.
        let mut way = Way::Counted(self.turnstile.try_pass()?);
        let placed = self.append_on(&mut way, kind, payload, |_| {
            match before > Pos(self.ring.tail()) {
                true => Ok(before),
                false => Err(NEW_SCHEMA),
            }
        })?;
        drop(way);
        self.wake_flusher(placed.0);
        Ok(placed)
    }

    /// Has others make room for the next try, where there are others.
    fn ask_for_room(&self) {
        if self.flushes_by_itself() {
            self.want_more_staging();
            self.background.ring_flusher();
            self.background.ring_preparer();
        }
    }

    #[cold]
    fn pass_turnstile<'w>(&'w self, way: &mut Way<'w>) -> Result<()> {
        *way = Way::Counted(self.turnstile.pass()?);
        Ok(())
    }

    /// Waits until a claim that was denied can be tried again, and makes room if nobody else does.
    #[cold]
    fn wait_for_room(&self, need: u64, denied: Denied) -> Result<()> {
        match denied {
            Denied::Late | Denied::Counted => {}
            Denied::Shut => return Err(self.shut_error()),
            Denied::NoRoom if self.ring.waits_for_disk(need) => {
                self.guarded(|| {
                    self.flush_far_behind();
                    self.counted(WaitsFor::Space, || self.make_ready(need))
                })?;
            }
            Denied::NoRoom => self.counted(WaitsFor::Ring, || self.wait_for_ring(need))?,
            Denied::Frozen => self.counted(WaitsFor::Cut, || {
                self.room.sleep_unless(|| !self.ring.is_frozen());
            }),
        }
        Ok(())
    }

    fn counted<T>(&self, what: WaitsFor, wait: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let waited = wait();
        self.base.store.meter.waited(what, start);
        waited
    }

    fn wait_for_ring(&self, need: u64) -> Result<()> {
        self.want_more_staging();
        if let Some(mut turn) = Turn::try_take(self) {
            turn.run(|held| held.write_block())
                .map_err(WalError::of_nothing_taken)?;
            turn.pass_on();
        } else {
            self.background.ring_flusher();
            let ready = || self.ring.has_room(need) || !self.is_taken();
            self.room.sleep_unless(ready);
        }
        Ok(())
    }

    /// An append that starts a quarter of the ring wakes the flusher for the blocks before: waking it costs as much as
    /// hundreds of appends. Where none starts one, the next one does, or one that finds no room.
    #[inline]
    fn wake_flusher(&self, pos: u64) {
        if self.ring.starts_quarter(pos) {
            self.background.ring_flusher();
        }
    }

    /// What an append owes after its records, from `pos` up to `end`, are published. Those that have a group of their own
    /// are in the store already.
    #[inline]
    pub(crate) fn after_append(&self, pos: u64, end: u64) -> Result<()> {
        if end - pos > self.ring.max_claim() {
            return Ok(());
        }
        if self.write_through {
            return self
                .write_through(pos)
                .map_err(|error| error.about(Lsn::from_pos(pos)));
        }
        self.wake_flusher(pos);
        Ok(())
    }

    /// Returns once the record at `pos` is in the store.
    fn write_through(&self, pos: u64) -> Result<()> {
        while self.base.written() <= pos {
            if self.is_poisoned() {
                return Err(self.in_doubt());
            }
            if let Some(mut turn) = Turn::try_take(self) {
                turn.run(|held| held.drain())?;
            } else {
                let done = || self.base.written() > pos || self.is_poisoned() || !self.is_taken();
                self.room.sleep_unless(done);
            }
        }
        Ok(())
    }

    /// Appends records that are too long for the ring; returns where the first one's frame starts.
    #[cold]
    fn append_apart<'w>(
        &'w self,
        way: &mut Way<'w>,
        kind: Kind,
        payloads: &[&[u8]],
        mut before: impl FnMut(bool) -> Result<Pos>,
    ) -> Result<u64> {
        let need: u64 = payloads
            .iter()
            .map(|payload| format::frame_len(payload.len()))
            .sum();
        loop {
            let apart = Apart {
                kind,
                payloads,
                before: before(way.is_alone())?,
                way,
            };
            let placed = Turn::take(self).run(|held| held.write_apart(&apart))?;
            match placed {
                Placed::At(pos) => return Ok(pos),
                Placed::Late => {}
                Placed::Counted => self.pass_turnstile(way)?,
                Placed::NoRoom => {
                    self.guarded(|| self.counted(WaitsFor::Space, || self.make_ready(need + AROUND)))?;
                }
            }
        }
    }
}

const NO_ROOM: &str = "staging memory is full, or space is being made for it";

/// Why an event cannot be appended without waiting.
pub(super) const NEW_SCHEMA: WalError = WalError::Busy {
    what: "the schema of its type has to be written first",
};

#[inline]
pub(crate) fn anywhere(_: bool) -> Result<Pos> {
    Ok(Pos::MAX)
}

/// The most bytes that one batch takes; a group's length has 32 bits.
const MAX_BATCH: u64 = 1 << 31;
