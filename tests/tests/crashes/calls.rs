//! A process that dies, or a write that fails, inside a call of the store.

use std::{
    collections::BTreeSet,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use wal_db::{FileStore, SegmentedStore, Wal, WalConfig, WalStore};
use wal_tests::{
    Entry, all,
    disk::{EIO, is_in_doubt},
    files::{FORMS, Form, Place, SECTOR, SEGMENT},
    payload, put, quiet,
    scripted::{Op, Scripted},
    within,
};

/// A log whose store asks somebody before every call that changes something.
fn open_watched(
    place: &Place,
    config: WalConfig,
    look: impl Fn(Op) -> io::Result<()> + Send + Sync + 'static,
) -> Wal {
    fn watched<S: WalStore>(
        store: S,
        look: impl Fn(Op) -> io::Result<()> + Send + Sync + 'static,
    ) -> Scripted<S> {
        const QUIET: [Op; 6] = [Op::Lock, Op::Read, Op::Len, Op::ReadSlot, Op::Attach, Op::Close];
        Scripted::new(store, move |_, call| match QUIET.contains(&call.op) {
            true => Ok(None),
            false => look(call.op).map(|()| None),
        })
    }
    let opened = match place.form {
        Form::File => {
            let store = FileStore::open(place.path()).unwrap();
            Wal::with_store_and_config(watched(store, look), config)
        }
        Form::Segmented => {
            let store = SegmentedStore::open(place.path(), SEGMENT).unwrap();
            Wal::with_store_and_config(watched(store, look), config)
        }
    };
    opened.unwrap()
}

#[test]
fn an_append_survives_the_process_when_writing_it_out_has_failed() {
    for form in FORMS {
        let place = Place::new(form);
        let broken = Arc::new(AtomicBool::new(false));
        let fails = broken.clone();
        let look = move |call| match call == Op::Write && fails.load(Ordering::SeqCst) {
            true => Err(EIO.into()),
            false => Ok(()),
        };
        let wal = open_watched(&place, quiet(), look);
        let entries: Vec<Entry> = (0..3).map(|i| put(&wal, i, 700)).collect();
        broken.store(true, Ordering::SeqCst);
        assert!(is_in_doubt(&wal.sync()));
        assert_eq!(all(&place.killed().open(quiet()).unwrap()), entries, "{form:?}");
    }
}

/// Zeros are written ahead of small commits, once space was made ready, and never over what was committed.
#[test]
fn zeros_that_are_written_ahead_cover_no_record() {
    within("small commits until zeros were written ahead", || {
        for form in FORMS {
            let place = Place::new(form);
            let writes = Arc::new(AtomicU32::new(0));
            let look = {
                let writes = writes.clone();
                move |call| {
                    writes.fetch_add(u32::from(call == Op::Write), Ordering::SeqCst);
                    Ok(())
                }
            };
            let config = quiet().with_background_flush(true).with_seal_after_ms(3_600_000);
            let wal = open_watched(&place, config, look);
            let mut entries = Vec::new();
            let mut zeros = 0;
            while zeros < 2 {
                entries.push(put(&wal, entries.len(), 100));
                writes.store(0, Ordering::SeqCst);
                wal.sync().unwrap();
                // A group is one write.
                zeros += writes.load(Ordering::SeqCst) - 1;
            }
            assert_eq!(all(&wal), entries, "{form:?}");
            assert_eq!(
                all(&place.without_staging().open(quiet()).unwrap()),
                entries,
                "{form:?}"
            );
        }
    });
}

/// A log, and what it may hold when its process dies now: what it held before an operation, or what it holds after it.
#[derive(Clone)]
struct Story {
    place: Arc<Place>,
    may: Arc<Mutex<[Vec<Vec<u8>>; 2]>>,
    calls: Arc<Mutex<BTreeSet<Op>>>,
}

impl Story {
    fn of(place: Place, records: Vec<Vec<u8>>) -> Story {
        Story {
            place: Arc::new(place),
            may: Arc::new(Mutex::new([records.clone(), records])),
            calls: Arc::default(),
        }
    }

    fn open(&self) -> Wal {
        let story = self.clone();
        open_watched(&self.place, SMALL_RING, move |call| story.look(call))
    }

    /// Copies the files and opens the copy.
    fn look(&self, call: Op) -> io::Result<()> {
        let what = format!("{:?}, in {call:?}", self.place.form);
        let image = self.place.killed();
        let opened = image.open(SMALL_RING);
        let found = all(&opened.unwrap_or_else(|error| panic!("{what}: {error}")));
        let found: Vec<_> = found.into_iter().map(|entry| entry.1).collect();
        let may = self.may.lock().unwrap();
        let lens = [&may[0], &may[1]].map(Vec::len);
        assert!(
            may.contains(&found),
            "{what}: {} records, and not {lens:?}",
            found.len()
        );
        self.calls.lock().unwrap().insert(call);
        Ok(())
    }

    fn step(&self, change: impl FnOnce(&mut Vec<Vec<u8>>), call: impl FnOnce()) {
        change(&mut self.may.lock().unwrap()[1]);
        call();
        let mut may = self.may.lock().unwrap();
        may[0] = may[1].clone();
    }

    fn append(&self, wal: &Wal, seed: usize, len: usize) {
        let data = payload(seed, len);
        self.step(
            |records| records.push(data.clone()),
            || assert!(wal.append(&data).is_ok()),
        );
    }

    fn records(&self) -> Vec<Vec<u8>> {
        self.may.lock().unwrap()[1].clone()
    }
}

const SMALL_RING: WalConfig = quiet().with_staging_bytes(64 << 10);

/// P1 in the middle of things: in every call of the store, the files as they are hold every append that has returned.
#[test]
fn a_process_that_dies_in_any_call_of_the_store_leaves_every_append() {
    for form in FORMS {
        let story = Story::of(Place::fast(form), Vec::new());
        let wal = story.open();
        for round in 0..2 {
            (0..20).for_each(|i| story.append(&wal, round * 100 + i, 3000));
            story.append(&wal, 50, 70_000);
            wal.sync().unwrap();
            (0..3).for_each(|i| story.append(&wal, round * 100 + 60 + i, 300));
            wal.drain().unwrap();
            (3..5).for_each(|i| story.append(&wal, round * 100 + 60 + i, 300));
            let entries = all(&wal);
            let kept = entries.len() - 2;
            story.step(
                |records| records.truncate(kept),
                || wal.truncate_after(entries[kept - 1].0).unwrap(),
            );
            story.append(&wal, 80, 300);
            story.step(
                |records| drop(records.drain(..21)),
                || assert_eq!(wal.truncate_before(entries[21].0).unwrap(), entries[21].0),
            );
        }
        story.append(&wal, 90, 2000);
        let staged = Story::of(story.place.killed(), story.records());
        wal.drain().unwrap();
        let torn = story.place.without_staging();
        torn.overwrite(wal.status().durable.get(), &[0; SECTOR as usize]);
        let kept = story.records().len() - 2;
        let torn = Story::of(torn, story.records()[..kept].to_vec());
        wal.close().unwrap();
        for story in [&staged, &torn] {
            let wal = story.open();
            story.append(&wal, 91, 3000);
            wal.close().unwrap();
        }
        let calls = [&story, &staged, &torn].map(|story| story.calls.lock().unwrap().clone());
        let calls: BTreeSet<_> = calls.into_iter().flatten().collect();
        let expected = [
            Op::Write,
            Op::Sync,
            Op::Truncate,
            Op::WriteSlot,
            Op::Prepare,
            Op::TruncateBefore,
            Op::Discard,
            Op::KeepAside,
        ];
        assert!(calls.iter().eq(&expected), "{form:?}: {calls:?}");
    }
}
