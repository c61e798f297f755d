//! What the seeded bugs have shown that nothing else sees: small differences between what staging memory, headers and the
//! manifest say is durable, and what a process leaves that dies inside a call of the store.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
};

use wal_db::{
    Durability, FileStore, RecoveryPolicy, SegmentedStore, Wal, WalConfig, WalError, WalStore,
    recovery::CorruptionReason, store::Identity,
};
use wal_tests::{
    Entry, all, corruption,
    damage::refused,
    disk::{Disk, EIO, Fault, Op, is_in_doubt, is_poisoned, open},
    files::{FORMS, Form, Place, SECTOR, SEGMENT, SLOT},
    payload, put, quiet, quiet_heap, until_error, within,
};

// ---- what staging memory knows ---------------------------------------------------------------------------

/// The machine went down and staging memory is from before: what it says is in the ring may not have arrived, and what
/// it says is durable was.
fn rebooted(place: &Place) {
    let mut bytes = fs::read(place.staging()).unwrap();
    bytes[24..40].fill(7);
    let crc = crc32fast::hash(&bytes[..60]);
    bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    fs::write(place.staging(), bytes).unwrap();
}

#[test]
fn staging_memory_tells_that_the_last_flush_was_durable() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        let entry = put(&wal, 1, 1500);
        wal.sync().unwrap();
        let image = place.killed();
        rebooted(&image);
        assert_eq!(all(&image.killed().open(quiet()).unwrap()), [entry]);
        // Nothing else tells a sector that was lost later from one that never arrived.
        image.overwrite(SECTOR, &[0; SECTOR as usize]);
        assert_eq!(refused(&image).start, 0, "{form:?}");
    }
}

/// It was never durable, but it was written, and the ring has it no more; a flipped bit is no write that was interrupted.
#[test]
fn damage_of_what_was_written_while_the_machine_was_up_is_refused() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        let entry = put(&wal, 1, 1500);
        wal.drain().unwrap();
        let image = place.killed();
        assert_eq!(all(&image.killed().open(quiet()).unwrap()), [entry]);
        image.flip(SECTOR + 100);
        assert_eq!(refused(&image).start, 0, "{form:?}");
    }
}

#[test]
fn a_batch_in_staging_memory_that_lost_its_end_is_left_out() {
    let place = Place::new(Form::File);
    let wal = place.open(quiet()).unwrap();
    let first = put(&wal, 1, 5000);
    let lsns = wal.append_batch(&[payload(2, 3000), payload(3, 3000)]).unwrap();
    let image = place.killed();
    rebooted(&image);
    assert_eq!(all(&image.killed().open(quiet()).unwrap()).len(), 3);
    // A page that the system had not written back when the machine went down.
    let mut bytes = fs::read(image.staging()).unwrap();
    let lost = 4096 + lsns[1].get() as usize + 64;
    bytes[lost..lost + 2000].fill(0);
    fs::write(image.staging(), bytes).unwrap();
    assert_eq!(all(&image.open(quiet()).unwrap()), [first]);
}

// ---- who is told what ------------------------------------------------------------------------------------

/// The seal that certifies a flush takes along what was appended meanwhile, which nothing certifies yet.
#[test]
fn what_comes_while_a_flush_is_certified_is_not_certified_with_it() {
    within("an append beside a certified flush", || {
        let disk = Disk::new();
        let wal = open(&disk, quiet_heap().with_durability(Durability::Certified));
        disk.hold(Op::Sync);
        let second = std::thread::scope(|scope| {
            let first = scope.spawn(|| wal.append_and_sync(b"first"));
            disk.wait_for_held();
            let second = wal.append(b"second").unwrap();
            disk.let_go();
            assert!(first.join().unwrap().unwrap() < second);
            second
        });
        assert!(
            wal.status().durable <= second,
            "{} {second}",
            wal.status().durable
        );
        wal.sync().unwrap();
        assert!(wal.status().durable > second);
    });
}

/// What certifies a flush is flushed itself before anybody hears of it.
#[test]
fn what_is_certified_stays_certified_when_the_power_goes() {
    let disk = Disk::new();
    let wal = open(&disk, quiet_heap().with_durability(Durability::Certified));
    let lsn = wal.append_and_sync(&payload(1, 1500)).unwrap();
    let image = disk.after_power_loss(|_| false);
    let second = lsn.get() as usize + 512;
    image.edit(|row| row[second..second + 512].fill(0));
    let damage = corruption(Wal::with_store_and_config(image, quiet_heap()));
    assert!(
        (damage.start..damage.end).contains(&(second as u64)),
        "{damage:?}"
    );
}

/// The group of a writer that was replaced lies exactly over one of the writer that replaced it: only its epoch tells.
#[test]
fn a_group_of_a_replaced_writer_is_not_read_in_place_of_another() {
    let disk = Disk::new();
    let old = open(&disk, quiet_heap());
    let first = put(&old, 1, 100);
    old.sync().unwrap();
    let new = open(&disk, quiet_heap());
    let second = put(&new, 2, 100);
    new.sync().unwrap();
    assert_eq!(put(&old, 3, 100).0, second.0);
    old.sync().unwrap();
    let image = disk.image();
    let before = image.row();
    let opened = Wal::with_store_and_config(image.clone(), quiet_heap());
    let found = opened.as_ref().map(all);
    assert!(
        matches!(found, Err(WalError::Corruption(_))),
        "{first:?}: {found:?}"
    );
    assert_eq!(image.row(), before);
}

/// The same far from the end, where opening does not look: the next group would tell, one wrong record too late.
#[test]
fn a_group_of_an_older_epoch_in_a_closed_log_is_not_read() {
    let disk = Disk::new();
    let (old, new) = (open(&disk, quiet_heap()), open(&disk, quiet_heap()));
    put(&old, 1, 100);
    old.sync().unwrap();
    let stale = disk.row();
    for seed in 2..4 {
        put(&new, seed, 100);
        new.sync().unwrap();
    }
    new.close().unwrap();
    disk.edit(|row| row[..512].copy_from_slice(&stale[..512]));
    let (read, error) = until_error(&open(&disk, quiet_heap()));
    assert!(
        read.is_empty() && matches!(error, Some(WalError::Corruption(_))),
        "{read:?}, {error:?}"
    );
}

/// Of two copies that went on each by itself, a group of one after a group of the other.
#[test]
fn a_group_that_does_not_continue_the_one_before_it_refuses_the_log() {
    let disk = Disk::new();
    drop(open(&disk, quiet_heap()));
    // Both begin the same epoch.
    let copy = disk.image();
    let wal = open(&disk, quiet_heap());
    let grow = |wal: &Wal, disk: &Disk, seed: usize| {
        for i in 0..2 {
            put(wal, seed + i, 100);
            wal.sync().unwrap();
        }
        disk.row()
    };
    let other = grow(&open(&copy, quiet_heap()), &copy, 10);
    grow(&wal, &disk, 0);
    let image = disk.image();
    image.edit(|row| row[512..1024].copy_from_slice(&other[512..1024]));
    let damage = corruption(Wal::with_store_and_config(image, quiet_heap()));
    assert_eq!((damage.start, damage.reason), (512, CorruptionReason::Chain));
}

/// A caller that waits for a flush that another one leads is covered by it, and must not hear Ok when it fails.
#[test]
fn a_follower_of_the_flush_that_fails_hears_of_it() {
    within("a follower of a failed flush", || {
        let disk = Disk::new();
        let wal = open(&disk, quiet_heap());
        let entry = put(&wal, 1, 100);
        disk.hold(Op::Sync);
        std::thread::scope(|scope| {
            let leader = scope.spawn(|| wal.sync());
            disk.wait_for_held();
            let follower = scope.spawn(|| wal_tests::sync_to(&wal, entry.0));
            disk.set(Op::Sync, Fault::Fail(EIO));
            disk.let_go();
            assert!(is_in_doubt(&leader.join().unwrap()));
            let heard = follower.join().unwrap();
            assert!(is_in_doubt(&heard) || is_poisoned(&heard), "{heard:?}");
        });
        // The record was taken before the failure, so it is in doubt for good; what comes later is refused.
        assert!(is_in_doubt(&wal_tests::sync_to(&wal, entry.0)));
        assert!(is_poisoned(&wal.append(b"later")));
    });
}

#[test]
fn an_empty_log_that_is_open_is_locked() {
    for form in FORMS {
        let place = Place::new(form);
        let _wal = place.open(quiet()).unwrap();
        let second = place.open(quiet());
        assert!(
            matches!(second, Err(WalError::Locked { .. })),
            "{form:?}: {second:?}"
        );
    }
}

/// Those who wait for the flush after it are woken as well: there will be none.
#[test]
fn whoever_waits_for_the_next_flush_hears_that_this_one_failed() {
    within("several who wait for the flush after a failed one", || {
        // Whether they sleep already when it fails is up to the system; in some round they do.
        for _ in 0..30 {
            let disk = Disk::new();
            let wal = open(&disk, quiet_heap());
            put(&wal, 1, 100);
            disk.hold(Op::Sync);
            std::thread::scope(|scope| {
                let leader = scope.spawn(|| wal.sync());
                disk.wait_for_held();
                let waiters: Vec<_> = (0..4)
                    .map(|_| scope.spawn(|| wal.append_and_sync(b"next")))
                    .collect();
                (0..1000).for_each(|_| std::thread::yield_now());
                disk.set(Op::Sync, Fault::Fail(EIO));
                disk.let_go();
                assert!(is_in_doubt(&leader.join().unwrap()));
                for waiter in waiters {
                    let heard = waiter.join().unwrap();
                    assert!(is_in_doubt(&heard) || is_poisoned(&heard), "{heard:?}");
                }
            });
        }
    });
}

// ---- what the manifest knows -----------------------------------------------------------------------------

#[test]
fn whichever_copy_of_the_manifest_is_damaged_a_cut_stays_a_cut() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        let entries: Vec<Entry> = (0..3).map(|i| put(&wal, i, 100)).collect();
        wal.sync().unwrap();
        wal.truncate_after(entries[0].0).unwrap();
        for slot in 0..2 {
            let image = place.without_staging();
            let mut bytes = fs::read(image.manifest()).unwrap();
            bytes[(slot * SLOT) as usize + 40] ^= 1;
            fs::write(image.manifest(), bytes).unwrap();
            let wal = image.open(quiet()).unwrap();
            assert_eq!(all(&wal), entries[..1], "{form:?}, slot {slot}");
            assert!(wal.recovery().manifest_copy_damaged, "{form:?}, slot {slot}");
        }
    }
}

/// The manifest says where to scan from, and must not name a place that a power loss takes back.
#[test]
fn the_place_to_scan_from_is_durable() {
    let disk = Disk::new();
    let wal = open(&disk, quiet_heap());
    let kept: Vec<Entry> = (0..2).map(|i| put(&wal, i, 100)).collect();
    wal.sync().unwrap();
    put(&wal, 2, 2000);
    wal.drain().unwrap();
    wal.truncate_before(kept[1].0).unwrap();
    let after = disk.after_power_loss(|_| false);
    assert_eq!(all(&open(&after, quiet_heap())), kept[1..]);
}

/// The manifest knows the last group of a closed log, so that another end in its place is noticed when it is opened.
#[test]
fn another_newest_segment_is_refused_at_once() {
    let place = Place::new(Form::Segmented);
    place.open(quiet()).unwrap().close().unwrap();
    let copy = place.killed();
    for (place, seed) in [(&place, 0), (&copy, 100)] {
        let wal = place.open(quiet()).unwrap();
        for i in 0..20 {
            put(&wal, seed + i, 4096 - 64 - 8);
            wal.sync().unwrap();
        }
        wal.close().unwrap();
    }
    fs::copy(copy.segment(1), place.segment(1)).unwrap();
    assert_eq!(refused(&place).reason, CorruptionReason::Chain);
}

/// A sector of an older epoch, that a lost write has left, holds a whole record at the right place. It is not one.
#[test]
fn a_record_of_an_older_epoch_inside_a_group_is_not_read() {
    let disk = Disk::new();
    let config = quiet_heap().with_recovery_policy(RecoveryPolicy::SkipBadRecords);
    let (old, new) = (open(&disk, config), open(&disk, config));
    let write = |wal: &Wal, seed| {
        // The second record and its frame take the second sector.
        let entries = [440, 504, 504].map(|len| put(wal, seed + len, len));
        wal.sync().unwrap();
        entries
    };
    write(&old, 0);
    let before = disk.row();
    let entries = write(&new, 1);
    new.close().unwrap();
    disk.edit(|row| row[512..1024].copy_from_slice(&before[512..1024]));
    let wal = open(&disk, config);
    let items: Vec<_> = wal.iter().unwrap().collect();
    let records = items.iter().flatten().map(|record| record.data());
    assert!(records.eq([&entries[0].1, &entries[2].1]), "{items:?}");
    assert!(items.iter().any(Result::is_err));
}

// ---- inside a call of the store --------------------------------------------------------------------------

type Look = dyn Fn(&'static str) -> io::Result<()> + Send + Sync;

/// A store, and somebody who looks before every call that changes something.
struct Watched<S> {
    store: S,
    look: Arc<Look>,
}

fn open_watched(place: &Place, config: WalConfig, look: Arc<Look>) -> Wal {
    let opened = match place.form {
        Form::File => {
            let store = FileStore::open(place.path()).unwrap();
            Wal::with_store_and_config(Watched { store, look }, config)
        }
        Form::Segmented => {
            let store = SegmentedStore::open(place.path(), SEGMENT).unwrap();
            Wal::with_store_and_config(Watched { store, look }, config)
        }
    };
    opened.unwrap()
}

impl<S: WalStore> WalStore for Watched<S> {
    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.store.read_at(pos, buf)
    }
    fn write_at(&self, pos: u64, bytes: &[u8]) -> io::Result<()> {
        (self.look)("write")?;
        self.store.write_at(pos, bytes)
    }
    fn sync(&self) -> io::Result<()> {
        (self.look)("sync")?;
        self.store.sync()
    }
    fn len(&self) -> io::Result<u64> {
        self.store.len()
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        (self.look)("truncate")?;
        self.store.truncate(len)
    }
    fn read_slot(&self, slot: usize) -> io::Result<Vec<u8>> {
        self.store.read_slot(slot)
    }
    fn write_slot(&self, slot: usize, bytes: &[u8]) -> io::Result<()> {
        (self.look)("write a slot")?;
        self.store.write_slot(slot, bytes)
    }
    fn attach(&self, log: &Identity) -> io::Result<()> {
        self.store.attach(log)
    }
    fn segment_len(&self) -> Option<u64> {
        self.store.segment_len()
    }
    fn prepare(&self, end: u64) -> io::Result<u64> {
        (self.look)("prepare")?;
        self.store.prepare(end)
    }
    fn prepare_step(&self) -> u64 {
        self.store.prepare_step()
    }
    fn likes_zeros_ahead(&self) -> bool {
        self.store.likes_zeros_ahead()
    }
    fn truncate_before(&self, pos: u64) -> io::Result<()> {
        (self.look)("truncate before")?;
        self.store.truncate_before(pos)
    }
    fn discard(&self, start: u64, end: u64) -> io::Result<()> {
        (self.look)("discard")?;
        self.store.discard(start, end)
    }
    fn keep_aside(&self, pos: u64, bytes: &mut dyn Read) -> io::Result<Option<PathBuf>> {
        (self.look)("keep aside")?;
        self.store.keep_aside(pos, bytes)
    }
    fn staging_file(&self, create: bool) -> io::Result<Option<fs::File>> {
        self.store.staging_file(create)
    }
}

#[test]
fn an_append_survives_the_process_when_writing_it_out_has_failed() {
    for form in FORMS {
        let place = Place::new(form);
        let broken = Arc::new(AtomicBool::new(false));
        let fails = broken.clone();
        let look = move |call| match call == "write" && fails.load(Ordering::SeqCst) {
            true => Err(EIO.into()),
            false => Ok(()),
        };
        let wal = open_watched(&place, quiet(), Arc::new(look));
        let entries: Vec<Entry> = (0..3).map(|i| put(&wal, i, 700)).collect();
        broken.store(true, Ordering::SeqCst);
        assert!(is_in_doubt(&wal.sync()));
        assert_eq!(all(&place.killed().open(quiet()).unwrap()), entries, "{form:?}");
    }
}

/// Zeros are written ahead of small commits, by another thread, and never over what was committed.
#[test]
fn zeros_that_are_written_ahead_cover_no_record() {
    within("small commits until zeros were written ahead", || {
        for form in FORMS {
            let place = Place::new(form);
            let (tell, zeros) = mpsc::channel();
            let look = move |call| {
                let ahead = std::thread::current().name() == Some("wal-preparer");
                if call == "write" && ahead {
                    tell.send(()).unwrap();
                }
                Ok(())
            };
            let config = quiet().with_background_flush(true).with_seal_after_ms(3_600_000);
            let wal = open_watched(&place, config, Arc::new(look));
            let mut entries = Vec::new();
            for round in 0..2 {
                entries.push(put(&wal, round, 100));
                wal.sync().unwrap();
                if round == 0 {
                    zeros.recv().unwrap();
                }
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
    calls: Arc<Mutex<BTreeSet<&'static str>>>,
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
        open_watched(&self.place, SMALL_RING, Arc::new(move |call| story.look(call)))
    }

    /// Copies the files and opens the copy.
    fn look(&self, call: &'static str) -> io::Result<()> {
        let what = format!("{:?}, in a call to {call}", self.place.form);
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
            "discard",
            "keep aside",
            "prepare",
            "sync",
            "truncate",
            "truncate before",
            "write",
            "write a slot",
        ];
        assert!(calls.iter().eq(&expected), "{form:?}: {calls:?}");
    }
}
