//! Writing groups to the store, and making them durable. One thread at a time holds the [`Committer`].

use std::time::Instant;

use super::{gathering::Gathering, turn::Held, turnstile::Way, writer::Writer};
use crate::{
    config::Durability,
    error::{Result, WalError},
    for_now::{is_for_now, is_full},
    format::{self, FrameKey, FrameWord, GROUP_HEADER_LEN, GroupHeader, Kind, Mark, SECTOR, group},
    log::{base::mark_after, clock},
    lsn::{Lsn, Pos},
    staging::ring::{Closed, Consumer, Denied, Settled},
};

/// What only the committing thread needs.
pub(crate) struct Committer {
    pub(crate) consumer: Consumer,
    /// After the last group that was written.
    pub(crate) mark: Mark,
    /// A closed group that the store had no space for; written before anything else.
    pending: Option<(Closed, GroupHeader)>,
    /// The durable position that the last written header names.
    certified: u64,
    /// After the last group with a record in it.
    data_end: u64,
    unflushed: u64,
    /// How many bytes the records of the group have that is written next.
    record_bytes: u64,
    /// Bytes that the last flush made durable.
    pub(crate) last_flush: u64,
    /// Up to where zeros were written ahead.
    pub(crate) zeroed: u64,
    pub(super) gathering: Gathering,
}

pub(crate) enum Placed {
    /// Its first frame starts here.
    At(u64),
    /// It would start too far on.
    Late,
    /// All records are counted, and these were not.
    Counted,
    /// Space has to be made ready first.
    NoRoom,
}

/// Bytes of a record for a group that does not go through the ring.
pub(crate) struct Apart<'a> {
    pub(crate) kind: Kind,
    pub(crate) payloads: &'a [&'a [u8]],
    /// It starts before this position, or not at all.
    pub(crate) before: Pos,
    pub(crate) way: &'a Way<'a>,
}

impl Committer {
    pub(crate) fn new(consumer: Consumer, mark: Mark) -> Self {
        Committer {
            consumer,
            mark,
            pending: None,
            certified: mark.pos,
            data_end: mark.pos,
            unflushed: 0,
            record_bytes: 0,
            last_flush: 0,
            zeroed: mark.pos,
            gathering: Gathering::new(),
        }
    }

    /// Whether nothing is left that an earlier call could not write, because space was missing.
    pub(super) fn has_left_nothing(&self) -> bool {
        self.pending.is_none() && !self.consumer.has_cut()
    }

    /// Goes on from another mark, in a new epoch.
    pub(crate) fn begin_epoch(&mut self, mark: Mark) {
        self.mark = mark;
        self.certified = mark.pos;
        self.data_end = mark.pos;
    }
}

/// What a group takes besides its frames: a header, and padding on both sides.
pub(crate) const AROUND: u64 = GROUP_HEADER_LEN as u64 + 2 * SECTOR;

impl Held<'_> {
    /// Writes what is in the ring to the store. It survives the process then, whatever the staging.
    pub(crate) fn drain(&mut self) -> Result<()> {
        self.write_left()?;
        let end = self.committer.consumer.cut(&self.writer.ring, false);
        self.write_up_to(end)
    }

    /// Writes the oldest block if the tail has left it.
    pub(crate) fn write_block(&mut self) -> Result<()> {
        if self.writer.is_poisoned() {
            // The place of a long record may have been left empty, and would be waited for here.
            return Err(self.writer.in_doubt());
        }
        self.write_pending()?;
        match self.committer.consumer.next(&self.writer.ring) {
            Some(closed) => self.write_closed(closed),
            None => Ok(()),
        }
    }

    /// Writes the blocks that the tail has left, up to a quarter of the ring: a turn of the flusher.
    pub(crate) fn write_blocks(&mut self) -> Result<()> {
        self.writer.room.flusher_follows(true);
        let wrote = self.write_quarter();
        let goes_on = wrote.is_ok() && self.writer.ring.has_left_block(self.committer.consumer.open());
        self.writer.room.flusher_follows(goes_on);
        wrote
    }

    fn write_quarter(&mut self) -> Result<()> {
        let writer = self.writer;
        self.write_pending()?;
        // A group that could not be written was taken out of the ring all the same: `written` may never move again.
        let upto = self.committer.consumer.open() + writer.ring.quarter();
        while writer.ring.has_left_block(self.committer.consumer.open())
            && self.committer.consumer.open() < upto
        {
            self.write_block()?;
        }
        Ok(())
    }

    /// [`drain`](Self::drain), then makes everything that was written durable, and acknowledges it.
    pub(crate) fn commit(&mut self) -> Result<()> {
        let (before, start) = (self.writer.base.flushed_mark(), Instant::now());
        self.make_all_durable()?;
        self.writer.count_commit(&before, start.elapsed());
        Ok(())
    }

    fn make_all_durable(&mut self) -> Result<()> {
        let writer = self.writer;
        self.write_left()?;
        // A thread that lines up from now on waits for the next flush; those in line wait for this one.
        let end = writer
            .line
            .depart(|| self.committer.consumer.cut(&writer.ring, false));
        self.write_up_to(end)?;
        if writer.base.written() > writer.base.flushed() {
            self.make_durable()?;
        }
        if writer.config.durability() == Durability::Certified {
            self.seal()?;
        }
        // The seal may have closed a group with records of its own, which nothing certifies yet.
        writer.base.raise_durable(match writer.config.durability() {
            Durability::Certified => self.committer.certified,
            Durability::Flushed => writer.base.flushed(),
        });
        writer.base.raise_synced(end);
        Ok(())
    }

    /// Writes an empty group that says how far the log is durable, and makes that durable. Then the loss of any
    /// sector of what is durable can be told from a crash. If records came meanwhile, their group says it instead.
    pub(crate) fn seal(&mut self) -> Result<()> {
        if !self.can_be_sealed() {
            return Ok(());
        }
        let end = self.committer.consumer.cut(&self.writer.ring, true);
        self.write_up_to(end)?;
        self.make_durable()
    }

    fn make_durable(&mut self) -> Result<()> {
        let writer = self.writer;
        // The mark is taken before the flush begins: only what was written by then is covered.
        let mark = self.committer.mark;
        // Those who wait for room need not wait for the disk.
        writer.room.changed();
        self.committer.last_flush = std::mem::take(&mut self.committer.unflushed);
        let Ok(took) = writer.base.store.sync() else {
            writer.fail();
            return Err(writer.in_doubt());
        };
        writer.count_flush(took);
        self.committer.gathering.flush_took(took);
        writer.flushed_up_to(mark);
        Ok(())
    }

    fn write_pending(&mut self) -> Result<()> {
        match self.committer.pending.take() {
            Some((closed, header)) => self.write_ring(closed, header),
            None => Ok(()),
        }
    }

    /// Writes what an earlier call could not, because space was missing.
    fn write_left(&mut self) -> Result<()> {
        self.write_pending()?;
        while self.committer.consumer.has_cut() {
            self.write_block()?;
        }
        Ok(())
    }

    /// Writes the groups before `end`, where one ends.
    fn write_up_to(&mut self, end: u64) -> Result<()> {
        while self.committer.consumer.open() < end {
            self.write_block()?;
        }
        Ok(())
    }

    fn write_closed(&mut self, closed: Closed) -> Result<()> {
        let writer = self.writer;
        let settled = self.committer.consumer.settle(&writer.ring, &closed);
        self.committer.record_bytes = settled.bytes;
        let bytes = self.committer.consumer.bytes(&writer.ring, &closed);
        let digest = format::crc32(&bytes[GROUP_HEADER_LEN..(closed.end - closed.start) as usize]);
        // The first sector holds the header, which is not written yet.
        let zero_sectors =
            format::zero_sectors(bytes) - u32::from(format::is_zero(&bytes[..SECTOR as usize]));
        let header = self.header(&closed, settled, digest, zero_sectors);
        self.committer
            .consumer
            .set_header(&writer.ring, &closed, &header.encode(writer.base.log));
        self.write_ring(closed, header)
    }

    /// Writes a group from the ring and gives its place in the ring back.
    fn write_ring(&mut self, closed: Closed, header: GroupHeader) -> Result<()> {
        let writer = self.writer;
        let bytes = self.committer.consumer.bytes(&writer.ring, &closed);
        if let Err(error) = writer.base.store.write_at(closed.start, bytes) {
            if is_for_now(&error) && !writer.write_through {
                self.committer.pending = Some((closed, header));
                let len = closed.next - closed.start;
                return Err(writer.base.store.error(match is_full(&error) {
                    true => writer.full(len, &error),
                    false => WalError::io("writing to the log")(error),
                }));
            }
            writer.base.store.break_for("writing", &error);
            writer.fail();
            return Err(writer.in_doubt());
        }
        self.committer
            .consumer
            .release(&writer.ring, closed.next, closed.next);
        self.wrote(&closed, &header);
        Ok(())
    }

    /// Appends records that are too long for the ring as a group of their own, straight from the caller's memory.
    pub(crate) fn write_apart(&mut self, apart: &Apart<'_>) -> Result<Placed> {
        let writer = self.writer;
        if writer.ring.is_shut() {
            return Err(writer.shut_error());
        }
        let len: u64 = apart
            .payloads
            .iter()
            .map(|payload| format::frame_len(payload.len()))
            .sum();
        if writer.ring.waits_for_disk(len + AROUND) {
            return Ok(Placed::NoRoom);
        }
        // A full disk does no harm before the place is taken, and would after it.
        self.drain().map_err(WalError::of_nothing_taken)?;
        let consumer = &mut self.committer.consumer;
        let closed = match consumer.reserve(&writer.ring, len, apart.before, !apart.way.is_open()) {
            Ok(reserved) => reserved,
            Err(Denied::Late) => return Ok(Placed::Late),
            Err(Denied::Counted) => return Ok(Placed::Counted),
            // Others have taken what was there.
            Err(Denied::NoRoom) => return Ok(Placed::NoRoom),
            // Nobody else can have frozen the log while this thread has the committer.
            Err(Denied::Shut | Denied::Frozen) => return Err(writer.shut_error()),
        };
        // Before anybody can read it.
        apart.way.count();
        self.write_up_to(closed.start).map_err(|error| {
            // The place that was taken stays empty, so nothing can come after it.
            writer.base.store.break_with(format!("writing: {error}"));
            writer.fail();
            writer.poisoned()
        })?;
        self.committer.consumer.pass(&closed);
        let key = writer.ring.key();
        let (mut digest, mut zero_sectors) = (crc32fast::Hasher::new(), 0);
        apart.chunks(key, &closed, &[1; GROUP_HEADER_LEN], |at, chunk| {
            let skip = if at == closed.start { GROUP_HEADER_LEN } else { 0 };
            let used = chunk.len().min((closed.end - at) as usize);
            digest.update(&chunk[skip..used]);
            zero_sectors += format::zero_sectors(chunk);
            Ok(())
        })?;
        let settled = apart.settled();
        self.committer.record_bytes = settled.bytes;
        let header = self.header(&closed, settled, digest.finalize(), zero_sectors);
        let written = apart.chunks(key, &closed, &header.encode(writer.base.log), |at, chunk| {
            writer.base.store.write_at(at, chunk)
        });
        if let Err(error) = written {
            // Space was made ready before; a store that has none all the same leaves a hole in the log.
            writer.base.store.break_with(format!("writing: {error}"));
            writer.fail();
            let lsn = Lsn::from_pos(closed.start + GROUP_HEADER_LEN as u64);
            return Err(writer.in_doubt().about(lsn));
        }
        self.committer
            .consumer
            .release(&writer.ring, closed.start, closed.next);
        self.wrote(&closed, &header);
        Ok(Placed::At(closed.start + GROUP_HEADER_LEN as u64))
    }

    /// Whether something is durable that no header says is.
    pub(crate) fn can_be_sealed(&self) -> bool {
        self.committer.certified < self.committer.data_end
            && self.committer.data_end <= self.writer.base.flushed()
            && self.committer.has_left_nothing()
    }

    fn header(&self, closed: &Closed, settled: Settled, digest: u32, zero_sectors: u32) -> GroupHeader {
        let mut flags = 0;
        if closed.is_empty() {
            flags |= group::FLAG_SEAL;
        }
        if settled.schemas {
            flags |= group::FLAG_SCHEMAS;
        }
        let mark = &self.committer.mark;
        GroupHeader {
            pos: closed.start,
            len: (closed.end - closed.start) as u32,
            count: settled.records,
            ordinal: mark.ordinal,
            epoch: mark.epoch,
            prev_digest: mark.prev_digest,
            durable: self.writer.base.flushed(),
            prev: mark.prev,
            payload_digest: digest,
            zero_sectors,
            flags,
            time_us: clock::now_us(),
            read: None,
        }
    }

    fn wrote(&mut self, closed: &Closed, header: &GroupHeader) {
        let Held { writer, committer } = self;
        committer.certified = header.durable;
        if header.flags & group::FLAG_SEAL == 0 {
            committer.data_end = closed.next;
        }
        committer.unflushed += closed.next - closed.start;
        writer.count_group(closed, header, committer.record_bytes);
        committer.mark = mark_after(header, writer.base.log);
        writer.base.set_written(committer.mark);
        let is_last = writer.write_through || !writer.ring.has_left_block(closed.next);
        writer.room.group_written(writer.ring.is_roomy(), is_last);
        if writer.should_prepare() {
            writer.background.ring_preparer();
        }
    }
}

impl Writer {
    /// Everything before `mark` is on stable storage.
    pub(crate) fn flushed_up_to(&self, mark: Mark) {
        self.base.raise_flushed(mark);
        self.ring.set_durable(mark.pos);
        if self.config.durability() == Durability::Flushed {
            self.base.raise_durable(mark.pos);
        }
    }
}

impl Apart<'_> {
    fn settled(&self) -> Settled {
        let records = match self.kind.is_record() {
            true => self.payloads,
            false => &[],
        };
        Settled {
            records: records.len() as u32,
            bytes: records.iter().map(|payload| payload.len() as u64).sum(),
            schemas: self.kind == Kind::Schema,
        }
    }

    /// Hands the group's bytes out in chunks that start on a sector.
    fn chunks(
        &self,
        key: FrameKey,
        closed: &Closed,
        header: &[u8; GROUP_HEADER_LEN],
        mut each: impl FnMut(u64, &[u8]) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        const CHUNK: usize = 256 << 10;
        let mut buf: Vec<u8> = Vec::with_capacity(CHUNK);
        let mut at = closed.start;
        let mut push = |mut bytes: &[u8], buf: &mut Vec<u8>| {
            while !bytes.is_empty() {
                let (part, rest) = bytes.split_at(bytes.len().min(CHUNK - buf.len()));
                buf.extend_from_slice(part);
                bytes = rest;
                if buf.len() == CHUNK {
                    each(at, buf)?;
                    at += CHUNK as u64;
                    buf.clear();
                }
            }
            std::io::Result::Ok(())
        };
        push(header, &mut buf)?;
        let mut pos = closed.start + GROUP_HEADER_LEN as u64;
        for (i, payload) in self.payloads.iter().enumerate() {
            let more = i + 1 < self.payloads.len();
            let word = FrameWord::seal(
                key,
                pos,
                self.kind,
                more,
                payload.len() as u32,
                format::crc32(payload),
            );
            push(&word.to_le_bytes(), &mut buf)?;
            push(payload, &mut buf)?;
            let frame_len = format::frame_len(payload.len());
            push(&[0; 8][..frame_len as usize - 8 - payload.len()], &mut buf)?;
            pos += frame_len;
        }
        push(
            &[0; SECTOR as usize][..(closed.next - closed.end) as usize],
            &mut buf,
        )?;
        if buf.is_empty() { Ok(()) } else { each(at, &buf) }
    }
}
