//! Any sequence of calls leaves the log as it would leave a plain list: data, LSNs and order, in every form, with
//! every kind of staging memory, across reopening, crashes and power losses.
//!
//! `WAL_TESTS_SCALE=10` runs ten times as many cases.

use proptest::{collection::vec, prelude::*, sample::Index};
use wal_db::{Lsn, MemStore, Record, Result, Staging, Start, Wal, WalConfig, WalError};
use wal_tests::{
    Entry, all, assert_is,
    files::{Form, Place},
    payload, quiet, scale,
};

/// How a log is kept and opened.
#[derive(Debug, Clone)]
struct Setup {
    store: Store,
    staging: Staging,
    small: bool,
    background: bool,
    /// Look at everything after every step; this flushes, so other cases look only when they are told to.
    look_always: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Store {
    File,
    Segmented,
    Memory,
}

#[derive(Debug, Clone)]
enum Step {
    Append(usize),
    AppendAndSync(usize),
    AppendDurable(usize),
    AppendWith(usize),
    AppendMany(usize),
    Batch(Vec<usize>),
    Sync,
    SyncTo(Index),
    Flush,
    Reopen,
    Close,
    Look,
    Read(Index),
    Range(Index, Index),
    FromOrdinal(u64),
    TruncateAfter(Index),
    TruncateFrom(Index),
    TruncateBefore(Index, u64),
    /// The process is killed.
    Kill,
    /// The power fails; what had been written has arrived.
    PowerLoss,
}

fn setup() -> impl Strategy<Value = Setup> {
    let store = prop_oneof![2 => Just(Store::File), 2 => Just(Store::Segmented), 1 => Just(Store::Memory)];
    let staging = prop_oneof![
        Just(Staging::Mapped),
        Just(Staging::WriteThrough),
        Just(Staging::Heap)
    ];
    // Making 8 MiB of staging memory takes time.
    let small = prop::bool::weighted(0.85);
    (
        store,
        staging,
        small,
        prop::bool::weighted(0.4),
        prop::bool::weighted(0.3),
    )
        .prop_map(|(store, staging, small, background, look_always)| Setup {
            store,
            staging,
            small,
            background,
            look_always,
        })
}

fn step() -> impl Strategy<Value = Step> {
    let len = || prop_oneof![4 => 0usize..200, 2 => 200usize..3000, 1 => 3000usize..20_000, 1 => 65_000usize..200_000];
    let at = any::<Index>;
    prop_oneof![
        12 => len().prop_map(Step::Append),
        3 => len().prop_map(Step::AppendAndSync),
        3 => len().prop_map(Step::AppendDurable),
        3 => len().prop_map(Step::AppendWith),
        3 => (1usize..120).prop_map(Step::AppendMany),
        3 => vec(0usize..4000, 0..6).prop_map(Step::Batch),
        1 => vec(40_000usize..70_000, 1..3).prop_map(Step::Batch),
        2 => Just(Step::Sync),
        1 => at().prop_map(Step::SyncTo),
        2 => Just(Step::Flush),
        2 => Just(Step::Reopen),
        1 => Just(Step::Close),
        3 => Just(Step::Look),
        3 => at().prop_map(Step::Read),
        2 => (at(), at()).prop_map(|(from, to)| Step::Range(from, to)),
        2 => (0u64..60).prop_map(Step::FromOrdinal),
        2 => at().prop_map(Step::TruncateAfter),
        1 => at().prop_map(Step::TruncateFrom),
        2 => (at(), 0u64..20).prop_map(|(at, off)| Step::TruncateBefore(at, off)),
        2 => Just(Step::Kill),
        2 => Just(Step::PowerLoss),
    ]
}

/// The log and the list.
struct Model {
    setup: Setup,
    place: Place,
    memory: MemStore,
    wal: Option<Wal>,
    entries: Vec<Entry>,
    /// Records that were dropped from the beginning.
    dropped: u64,
    /// The highest LSN that was ever given out.
    last: Option<Lsn>,
    /// How many entries had been handed to the store by the last call that does.
    flushed: usize,
    seed: usize,
}

impl Model {
    fn new(setup: Setup) -> Model {
        let form = if setup.store == Store::File {
            Form::File
        } else {
            Form::Segmented
        };
        let mut model = Model {
            setup,
            place: Place::fast(form),
            memory: MemStore::new(),
            wal: None,
            entries: Vec::new(),
            dropped: 0,
            last: None,
            flushed: 0,
            seed: 0,
        };
        model.open();
        model
    }

    fn config(&self) -> WalConfig {
        let bytes = if self.setup.small {
            64 << 10
        } else {
            WalConfig::new().staging_bytes()
        };
        quiet()
            .with_staging(self.setup.staging)
            .with_staging_bytes(bytes)
            .with_background_flush(self.setup.background)
            .with_seal_after_ms(1)
    }

    fn open(&mut self) {
        self.wal = None; // closes it, and gives its lock up
        let wal = match self.setup.store {
            Store::Memory => Wal::with_store_and_config(self.memory.clone(), self.config()),
            Store::File | Store::Segmented => self.place.open(self.config()),
        };
        self.wal = Some(wal.unwrap());
    }

    fn wal(&self) -> &Wal {
        self.wal.as_ref().unwrap()
    }

    fn data(&mut self, len: usize) -> Vec<u8> {
        self.seed += 1;
        payload(self.seed, len)
    }

    fn push(&mut self, lsn: Lsn, data: Vec<u8>) {
        assert!(self.last < Some(lsn), "{lsn} after {:?}", self.last);
        assert!(self.wal().end().get() > lsn.get());
        self.last = Some(lsn);
        self.entries.push(Entry(lsn, data));
    }

    /// Everything that was appended is in the store.
    fn all_flushed(&mut self) {
        self.flushed = self.entries.len();
    }

    fn pick(&self, at: &Index) -> Option<usize> {
        (!self.entries.is_empty()).then(|| at.index(self.entries.len()))
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Append(len) => {
                let data = self.data(*len);
                self.push(self.wal().append(&data).unwrap(), data);
            }
            Step::AppendAndSync(len) => {
                let data = self.data(*len);
                self.push(self.wal().append_and_sync(&data).unwrap(), data);
                assert!(self.wal().status().durable > self.last.unwrap());
                self.all_flushed();
            }
            Step::AppendDurable(len) => {
                let data = self.data(*len);
                let ticket = self.wal().ticket(self.wal().append(&data).unwrap()).unwrap();
                let lsn = ticket.lsn();
                assert_eq!(ticket.wait().unwrap(), lsn);
                self.push(lsn, data);
                self.all_flushed();
            }
            Step::AppendWith(len) => {
                let data = self.data(*len);
                let lsn = self.wal().append_in_place(*len, |space| {
                    assert!(space.iter().all(|&byte| byte == 0));
                    space.copy_from_slice(&data);
                });
                self.push(lsn.unwrap(), data);
            }
            Step::AppendMany(count) => {
                for i in 0..*count {
                    let data = self.data(400 + i);
                    self.push(self.wal().append(&data).unwrap(), data);
                }
            }
            Step::Batch(lens) => {
                let batch: Vec<_> = lens.iter().map(|&len| self.data(len)).collect();
                let lsns = self.wal().append_batch(&batch).unwrap();
                assert_eq!(lsns.len(), batch.len());
                lsns.into_iter()
                    .zip(batch)
                    .for_each(|(lsn, data)| self.push(lsn, data));
            }
            Step::Sync => {
                self.wal().sync().unwrap();
                assert!(self.last.is_none_or(|last| self.wal().status().durable > last));
                assert_eq!(self.wal().status().undurable_bytes, 0);
                self.all_flushed();
            }
            Step::SyncTo(at) => {
                if let Some(at) = self.pick(at) {
                    self.wal().ticket(self.entries[at].0).unwrap().wait().unwrap();
                    assert!(self.wal().status().durable > self.entries[at].0);
                    self.flushed = self.flushed.max(at + 1);
                }
                let beyond = Lsn::new(self.wal().end().get() + 8);
                assert_is!(
                    wal_tests::sync_to(self.wal(), beyond),
                    Err(WalError::NoSuchRecord { .. })
                );
            }
            Step::Flush => {
                self.wal().drain().unwrap();
                self.all_flushed();
                assert_eq!(self.wal().status().records, self.entries.len() as u64);
            }
            Step::Reopen => {
                self.open();
                self.all_flushed();
                assert!(self.wal().recovery().clean && self.wal().recovery().cut.is_none());
            }
            Step::Close => {
                let handle = self.wal().clone();
                self.wal.take().unwrap().close().unwrap();
                assert_is!(handle.append(b"x"), Err(WalError::Closed));
                drop(handle);
                self.open();
                self.all_flushed();
            }
            Step::Look => self.look(),
            Step::Read(at) => self.read(at),
            Step::Range(from, to) => self.range(from, to),
            Step::FromOrdinal(ordinal) => self.read_from_ordinal(*ordinal),
            Step::TruncateAfter(at) => self.truncate_after(at),
            Step::TruncateFrom(at) => self.truncate_from(at),
            Step::TruncateBefore(at, off) => self.truncate_before(at, *off),
            Step::Kill => self.crash(true),
            Step::PowerLoss => self.crash(false),
        }
    }

    fn collect(records: impl Iterator<Item = Result<Record>>) -> Vec<Entry> {
        records
            .map(|record| record.map(|r| Entry(r.lsn(), r.into_data())))
            .collect::<Result<_>>()
            .unwrap()
    }

    fn look(&mut self) {
        let wal = self.wal();
        assert_eq!(all(wal), self.entries, "iter");
        let mut lent = Vec::new();
        let mut records = wal.iter().unwrap();
        while let Some(record) = records.next_ref() {
            let record = record.unwrap();
            lent.push(Entry(record.lsn(), record.data().to_vec()));
        }
        assert_eq!(lent, self.entries, "next_ref");
        let mut backwards = Model::collect(wal.iter_rev().unwrap());
        backwards.reverse();
        assert_eq!(backwards, self.entries, "iter_rev");
        assert_eq!(wal.status().records, self.entries.len() as u64);
        assert_eq!(wal.is_empty(), self.entries.is_empty());
        assert!(
            self.entries
                .first()
                .is_none_or(|first| wal.status().head <= first.0)
        );
        let report = wal.verify().unwrap();
        assert!(report.is_intact(), "{report:?}");
        assert_eq!(report.records, self.entries.len() as u64);
        self.all_flushed();
    }

    fn read(&mut self, at: &Index) {
        let wal = self.wal();
        let Some(at) = self.pick(at) else {
            assert!(wal.read(wal.status().head).is_err());
            return;
        };
        let Entry(lsn, data) = &self.entries[at];
        assert_eq!(wal.read(*lsn).unwrap().data(), data);
        for other in [lsn.get() + 1, lsn.get() + 8, lsn.get().wrapping_sub(8)] {
            let found = wal.read(Lsn::new(other));
            match self.entries.iter().find(|entry| entry.0.get() == other) {
                Some(entry) => assert_eq!(found.unwrap().data(), entry.1),
                None => {
                    let refused = matches!(
                        found,
                        Err(WalError::NoSuchRecord { .. } | WalError::Truncated { .. })
                    );
                    assert!(refused, "{other}: {found:?}");
                }
            }
        }
        assert_eq!(Model::collect(wal.iter_from(*lsn).unwrap()), self.entries[at..]);
        assert_eq!(
            Model::collect(wal.iter_from(Lsn::new(lsn.get() + 1)).unwrap()),
            self.entries[at + 1..]
        );
        self.all_flushed();
    }

    fn range(&mut self, from: &Index, to: &Index) {
        let (Some(from), Some(to)) = (self.pick(from), self.pick(to)) else {
            return;
        };
        let (from, to) = (from.min(to), from.max(to));
        let (first, last) = (self.entries[from].0, self.entries[to].0);
        let wal = self.wal();
        assert_eq!(
            Model::collect(wal.range(first..last).unwrap()),
            self.entries[from..to]
        );
        assert_eq!(
            Model::collect(wal.range(first..=last).unwrap()),
            self.entries[from..=to]
        );
        assert_eq!(Model::collect(wal.range(..last).unwrap()), self.entries[..to]);
        assert_eq!(Model::collect(wal.range(..).unwrap()), self.entries);
        self.all_flushed();
    }

    fn read_from_ordinal(&mut self, ordinal: u64) {
        assert_eq!(self.wal().status().head_ordinal, self.dropped);
        let Some(skip) = ordinal.checked_sub(self.dropped) else {
            for refused in [
                self.wal().iter_from(Start::Ordinal(ordinal)).map(drop),
                self.wal().read_ordinal(ordinal).map(drop),
            ] {
                assert_is!(refused, Err(WalError::Truncated { .. }));
            }
            return;
        };
        let skip = usize::try_from(skip).unwrap().min(self.entries.len());
        let one = self.wal().read_ordinal(ordinal).unwrap();
        let one = one.map(|record| Entry(record.lsn(), record.into_data()));
        assert_eq!(one.as_ref(), self.entries.get(skip), "ordinal {ordinal}");
        if let Some(Entry(lsn, _)) = one {
            assert_eq!(self.wal().locate(lsn).unwrap().ordinal, ordinal);
        }
        let found = Model::collect(self.wal().iter_from(Start::Ordinal(ordinal)).unwrap());
        assert_eq!(
            found,
            self.entries[skip..],
            "from ordinal {ordinal}, {} were dropped",
            self.dropped
        );
        self.all_flushed();
    }

    fn truncate_after(&mut self, at: &Index) {
        let Some(at) = self.pick(at) else { return };
        self.wal().truncate_after(self.entries[at].0).unwrap();
        let cut: Vec<Entry> = self.entries.drain(at + 1..).collect();
        if let Some(first) = cut.first() {
            assert_is!(self.wal().read(first.0), Err(WalError::NoSuchRecord { .. }));
            let again = self.wal().truncate_after(first.0);
            assert_is!(again, Err(WalError::NoSuchRecord { .. }));
        }
        self.all_flushed();
    }

    fn truncate_from(&mut self, at: &Index) {
        let Some(at) = self.pick(at) else { return };
        let first = self.entries[at].0;
        self.wal().truncate_from(first).unwrap();
        self.entries.truncate(at);
        assert_is!(self.wal().read(first), Err(WalError::NoSuchRecord { .. }));
        let again = self.wal().truncate_from(first);
        assert_is!(again, Err(WalError::NoSuchRecord { .. }));
        assert_eq!(self.wal().status().records, at as u64);
        if at == 0 {
            assert!(
                self.wal().status().head > first,
                "the head is not in what was cut"
            );
        }
        self.all_flushed();
    }

    fn truncate_before(&mut self, at: &Index, off: u64) {
        // Now and then after the last record.
        let at = if self.entries.is_empty() {
            0
        } else {
            at.index(self.entries.len() + 1)
        };
        let lsn = match self.entries.get(at) {
            Some(entry) => Lsn::new(entry.0.get().saturating_sub(off)),
            None => self.wal().end(),
        };
        let keep = self.entries.partition_point(|entry| entry.0 < lsn);
        let head = self.wal().truncate_before(lsn).unwrap();
        let gone: Vec<Entry> = self.entries.drain(..keep).collect();
        self.dropped += gone.len() as u64;
        assert_eq!(self.wal().status().head, head);
        match self.entries.first() {
            Some(first) if !gone.is_empty() => assert_eq!(head, first.0),
            Some(first) => assert!(head <= first.0),
            None => assert!(self.last.is_none_or(|last| head > last || gone.is_empty())),
        }
        if let Some(last) = gone.last() {
            assert_is!(self.wal().read(last.0), Err(WalError::Truncated { .. }));
        }
        // What is left and not flushed is not flushed by this.
        self.flushed = self.flushed.saturating_sub(gone.len()).min(self.entries.len());
    }

    /// The log goes on from a copy that was made while it was open.
    fn crash(&mut self, only_the_process: bool) {
        // A copy that is made while a thread writes is no image of one moment.
        if self.setup.store == Store::Memory || self.setup.background {
            return;
        }
        let mapped = self.setup.staging == Staging::Mapped;
        let image = if only_the_process || !mapped {
            self.place.killed()
        } else {
            self.place.without_staging()
        };
        self.wal = None;
        self.place = image;
        self.open();
        let found = all(self.wal());
        let every = only_the_process && self.setup.staging != Staging::Heap
            || self.setup.staging == Staging::WriteThrough;
        if every {
            assert_eq!(found, self.entries, "a killed process lost an append");
        } else {
            assert!(
                self.entries.starts_with(&found),
                "{found:?} of {:?}",
                self.entries
            );
            assert!(
                found.len() >= self.flushed,
                "{} of {} flushed records",
                found.len(),
                self.flushed
            );
            self.entries.truncate(found.len());
            // What nobody was promised is gone, and so are its LSNs.
            self.last = self.entries.last().map(|entry| entry.0);
        }
        self.all_flushed();
    }
}

fn cases() -> ProptestConfig {
    ProptestConfig {
        cases: 200 * scale(),
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_sequence_of_calls_is_that_of_a_list(setup in setup(), steps in vec(step(), 1..40)) {
        let mut model = Model::new(setup.clone());
        for step in &steps {
            model.step(step);
            if setup.look_always {
                model.look();
            }
        }
        model.look();
        model.step(&Step::Reopen);
        model.look();
    }
}
