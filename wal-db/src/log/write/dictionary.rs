//! Schema frames: the shapes of the typed records, written into the log so that it explains itself.
//!
//! Windows, sets and links are those of `docs/format.md`, "Schemas".
//!
//! What an entry says is up to the layer of events; here it is bytes.

use super::{
    append::{NEW_SCHEMA, anywhere},
    turnstile::Way,
    writer::Writer,
};
use crate::{
    error::{Result, WalError},
    format::{Kind, schema::Link},
    log::read::dictionary::Entry,
    lsn::{Lsn, Pos},
    sync::{AtomicU64, Ordering},
};

/// How many keys are found without a lock; a power of two. A program with more event types finds the others with one.
const KNOWN: usize = if cfg!(wal_shuttle) { 4 } else { 1024 };

/// Which types have their schema in front of what is appended now: an append finds out without a lock.
pub(crate) struct Covered {
    /// A typed record that starts before it, and whose key is known, has its schema in front of it.
    until: AtomicU64,
    known: Box<[AtomicU64]>,
    /// How often the end of the log was cut off.
    cuts: AtomicU64,
    /// 1 + the position from which schema frames may exist that the dictionary does not list yet; 0 if there are none.
    untold: AtomicU64,
}

#[derive(Clone, Copy)]
pub(crate) struct Described<'a> {
    /// Stands for it; never 0.
    pub(crate) key: u64,
    /// Asked if it is not known whether the log holds it.
    pub(crate) of: &'a dyn Describe,
}

pub(crate) trait Describe {
    /// Asked first, before the records are appended, and with nothing locked: it may run the program's code, which may
    /// use the log. Refuses the records.
    fn check(&self, payloads: &[&[u8]]) -> Result<()>;

    /// Given the entries that the log holds, returns a new one, nothing if it is among them, or refuses the record.
    fn entry(&self, held: &[Entry]) -> Result<Option<Vec<u8>>>;
}

impl Covered {
    pub(crate) fn new() -> Self {
        Covered {
            until: AtomicU64::new(0),
            known: (0..KNOWN).map(|_| AtomicU64::new(0)).collect(),
            cuts: AtomicU64::new(0),
            untold: AtomicU64::new(0),
        }
    }

    /// Up to where a record with this key can be appended; `None` if that has to be found out.
    #[inline]
    fn until(&self, key: u64) -> Option<u64> {
        let mut at = key as usize % KNOWN;
        loop {
            match self.known[at].load(Ordering::Acquire) {
                found if found == key => return Some(self.until.load(Ordering::Acquire)),
                0 => return None,
                _ => at = (at + 1) % KNOWN,
            }
        }
    }

    /// Called with the set locked. One place stays empty, which ends every search.
    fn add_known(&self, key: u64) {
        let mut at = key as usize % KNOWN;
        let mut empty = self.known.iter().filter(|slot| slot.load(Ordering::Relaxed) == 0);
        if empty.nth(1).is_none() {
            return;
        }
        loop {
            match self.known[at].load(Ordering::Relaxed) {
                0 => return self.known[at].store(key, Ordering::Release),
                found if found == key => return,
                _ => at = (at + 1) % KNOWN,
            }
        }
    }

    #[inline]
    pub(crate) fn cuts(&self) -> u64 {
        self.cuts.load(Ordering::Acquire)
    }

    /// Whether every schema frame before `pos` is known of.
    pub(crate) fn tells_all_before(&self, pos: u64) -> bool {
        let untold = self.untold.load(Ordering::Acquire);
        untold == 0 || pos < untold
    }

    /// The end of the log was cut off, and perhaps schemas with it.
    pub(crate) fn cut(&self) {
        self.until.store(0, Ordering::Release);
        self.known
            .iter()
            .for_each(|slot| slot.store(0, Ordering::Release));
        self.cuts.fetch_add(1, Ordering::AcqRel);
    }
}

impl Writer {
    /// Appends a typed record after the schema of its type; returns where its frame starts, and up to where the log has
    /// to be durable for the record to be, with its schema.
    #[inline]
    pub(crate) fn append_described(&self, payload: &[u8], schema: &Described<'_>) -> Result<(u64, u64)> {
        let cuts = self.covered.cuts();
        let before = |alone| self.described_before(schema, || self.describe_new(schema, &[payload], alone));
        let (pos, end) = self.append(Kind::Typed, payload, before)?;
        if self.covered.cuts() == cuts {
            return Ok((pos, end));
        }
        self.describe_behind(&[*schema]);
        let behind = self.dictionary.newest().map_or(end, |schema| schema + 1);
        Ok((pos, end.max(behind)))
    }

    /// As [`append_described`](Self::append_described), by somebody who never waits, see [`try_append`](Self::try_append).
    pub(crate) fn try_append_described(&self, payload: &[u8], schema: &Described<'_>) -> Result<(u64, u64)> {
        let cuts = self.covered.cuts();
        let before = self.described_before(schema, || self.check_usable().and(Err(NEW_SCHEMA)))?;
        let placed = self.try_append(Kind::Typed, payload, before)?;
        if self.covered.cuts() != cuts {
            self.describe_behind(&[*schema]);
        }
        Ok(placed)
    }

    /// As [`append_described`](Self::append_described), by somebody who has passed the turnstile: the log is not cut
    /// meanwhile. The caller calls [`after_append`](Self::after_append) as well, once others may pass.
    pub(crate) fn append_described_on<'w>(
        &'w self,
        way: &mut Way<'w>,
        payload: &[u8],
        schema: Option<&Described<'_>>,
    ) -> Result<(u64, u64)> {
        self.append_on(way, Kind::Typed, payload, |alone| match schema {
            Some(schema) => self.described_before(schema, || self.describe_new(schema, &[payload], alone)),
            None => anywhere(alone),
        })
    }

    /// As [`append_described`](Self::append_described), for records that are there together or not at all. Those that
    /// reach into the next window get their schemas there after them; the window where they begin stays as long as one
    /// of them does.
    pub(crate) fn append_batch_described(
        &self,
        payloads: &[&[u8]],
        schemas: &[Described<'_>],
    ) -> Result<Vec<Lsn>> {
        let mut way = Way::Open;
        let (lsns, end) = self.append_batch_described_on(&mut way, payloads, schemas)?;
        drop(way);
        if let Some(first) = lsns.first() {
            self.after_append(first.pos(), end)?;
        }
        Ok(lsns)
    }

    /// As [`append_batch_described`](Self::append_batch_described), and as
    /// [`append_described_on`](Self::append_described_on) if the turnstile was passed.
    pub(crate) fn append_batch_described_on<'w>(
        &'w self,
        way: &mut Way<'w>,
        payloads: &[&[u8]],
        schemas: &[Described<'_>],
    ) -> Result<(Vec<Lsn>, u64)> {
        let cuts = self.covered.cuts();
        let mut before = Pos::MAX;
        let (lsns, end) = self.append_batch_on(way, Kind::Typed, payloads, |alone| {
            before = Pos::MAX;
            for schema in schemas {
                let describe = || self.describe_new(schema, payloads, alone);
                before = before.min(self.described_before(schema, describe)?);
            }
            Ok(before)
        })?;
        let reaches_on = lsns.last().is_some_and(|last| last.pos() >= before.0);
        if reaches_on || self.covered.cuts() != cuts {
            self.describe_behind(schemas);
        }
        Ok((lsns, end))
    }

    /// A typed record that starts before the position that is returned has this schema in front of it.
    #[inline]
    fn described_before(
        &self,
        schema: &Described<'_>,
        describe: impl FnOnce() -> Result<Pos>,
    ) -> Result<Pos> {
        match self.covered.until(schema.key) {
            Some(before) if before > self.ring.tail() => Ok(Pos(before)),
            _ => describe(),
        }
    }

    #[cold]
    fn describe_new(&self, schema: &Described<'_>, payloads: &[&[u8]], is_alone: bool) -> Result<Pos> {
        match is_alone {
            // Whatever the program's code does with the log would wait for this thread.
            true => self.in_closure(|| schema.of.check(payloads))?,
            false => schema.of.check(payloads)?,
        }
        self.describe(schema)
    }

    /// For records that are in the log already, after a truncation came between or in the window that they reach into.
    /// If it fails, they are there all the same, and the next typed record tries again.
    #[cold]
    fn describe_behind(&self, schemas: &[Described<'_>]) {
        for schema in schemas {
            let _ = self.describe(schema);
        }
    }

    /// The last schema frame before `cut`. With the log frozen and everything written.
    pub(crate) fn schema_frame_before(&self, cut: u64) -> Result<Option<u64>> {
        let mut next = self.newest_schema();
        while let Some(pos) = next.filter(|&pos| pos >= cut) {
            let before = match self.base.schema_frame(pos) {
                Ok((link, _)) => link.before(pos),
                // Damage after the cut is no reason to refuse it.
                Err(WalError::Corruption(_)) => return Ok(self.dictionary.newest_before(cut)),
                Err(error) => return Err(error),
            };
            next = before
                .map(|(before, _)| before)
                .filter(|&pos| self.base.is_there(pos));
        }
        Ok(next)
    }

    /// Sees to it that the schema stands in the window where the next record will, and returns where that ends.
    #[cold]
    fn describe(&self, schema: &Described<'_>) -> Result<Pos> {
        self.check_usable()?;
        let mut set = self.dictionary.lock();
        let entries = self.loaded(&mut set)?;
        let new = schema.of.entry(entries)?;
        let until = self.write_set(entries, new)?;
        self.covered.add_known(schema.key);
        Ok(Pos(until))
    }

    /// Writes the whole set if the tail has left its window, or else what is new.
    fn write_set(&self, entries: &mut Vec<Entry>, new: Option<Vec<u8>>) -> Result<u64> {
        let mut new = new;
        // A set that reaches into the next window is written there again; one that is longer than a window never fits.
        for last_try in [false, true] {
            let until = self.until(entries);
            let stale = self.ring.tail() >= until;
            let first = match self.newest_schema() {
                None => Link::None,
                Some(last) if stale => Link::SetBefore(last),
                Some(last) => Link::At(last),
            };
            let again = entries
                .iter()
                .filter(|_| stale)
                .map(|entry| entry.payload.clone());
            let added: Vec<Vec<u8>> = again.chain(new.take()).collect();
            if added.is_empty() {
                return Ok(until);
            }
            let (positions, end) = self.append_set(first, &added)?;
            if stale {
                entries.clear();
            }
            entries.extend(
                positions
                    .into_iter()
                    .zip(added)
                    .map(|(pos, payload)| Entry { pos, payload }),
            );
            let until = self.window_end(end - 1);
            if last_try
                || entries
                    .first()
                    .is_some_and(|first| self.window_end(first.pos) == until)
            {
                self.covered.until.store(until, Ordering::Release);
                return Ok(until);
            }
            self.covered.until.store(0, Ordering::Release);
        }
        Ok(self.covered.until.load(Ordering::Acquire))
    }

    /// Up to where the newest set describes what is appended. After an opening or a cut nobody has said so yet: to the end
    /// of the window that it is in.
    fn until(&self, entries: &[Entry]) -> u64 {
        let ends = [entries.first(), entries.last()].map(|entry| entry.map(|it| self.window_end(it.pos)));
        match (self.covered.until.load(Ordering::Acquire), ends) {
            (0, [Some(first), Some(last)]) if first == last => {
                self.covered.until.store(last, Ordering::Release);
                last
            }
            (until, _) => until,
        }
    }

    /// Appends linked frames in one batch; returns their positions and the last one's end.
    fn append_set(&self, first: Link, added: &[Vec<u8>]) -> Result<(Vec<u64>, u64)> {
        let mut link = first;
        let mut payloads = Vec::with_capacity(added.len());
        for entry in added {
            let payload = [&link.encode()[..], entry].concat();
            link = Link::Back(crate::format::frame_len(payload.len()));
            payloads.push(payload);
        }
        let payloads: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
        // A manifest that is written meanwhile must not pass frames that it does not know of.
        self.covered.untold.store(self.ring.tail() + 1, Ordering::Release);
        let appended = self
            .append_batch(Kind::Schema, &payloads, anywhere)
            .map(|(lsns, end)| {
                let positions: Vec<u64> = lsns.into_iter().map(Lsn::pos).collect();
                self.dictionary.add(&positions);
                (positions, end)
            });
        self.covered.untold.store(0, Ordering::Release);
        appended
    }

    fn window_end(&self, pos: u64) -> u64 {
        self.base.window_start(pos) + self.base.window_len()
    }

    /// The beginning was cut off. If that took the set, the next typed record brings it again.
    pub(crate) fn head_moved(&self) {
        let first = self.base.window_start(self.base.extent().head_group);
        self.dictionary.forget_before(first);
        if self
            .dictionary
            .newest()
            .is_some_and(|pos| !self.base.is_there(pos))
        {
            self.covered.until.store(0, Ordering::Release);
        }
    }
}

#[cfg(all(test, feature = "bincode", not(wal_loom), not(wal_shuttle)))]
mod tests {
    use serde::{Deserialize, Serialize};

    use crate::{Wal, WalConfig, WalRecord};

    #[derive(Debug, Serialize, Deserialize, WalRecord)]
    #[wal(name = "long")]
    struct Long(Vec<u8>);

    /// How many schema frames the log knows the place of.
    fn places(wal: &Wal) -> usize {
        wal.view().dictionary.positions.lock().len()
    }

    #[test]
    fn the_places_of_schemas_go_with_the_records_that_they_described() {
        let dir = tempfile::tempdir().expect("a directory");
        let config = WalConfig::new().with_background_flush(false);
        let wal = Wal::open_segmented_with(dir.path().join("log"), 64 << 10, config).expect("a log");
        let log = wal.typed::<Long>().expect("no collision");
        for i in 0..60 {
            let lsn = log.append_and_sync(&Long(vec![7; 30_000])).expect("append");
            if i % 10 == 9 {
                assert!(places(&wal) > 2);
                wal.truncate_before(lsn).expect("truncate");
                assert_eq!(places(&wal), 1, "after {i}");
            }
        }
        assert_eq!(wal.schemas().expect("schemas").iter().count(), 1);
    }
}
