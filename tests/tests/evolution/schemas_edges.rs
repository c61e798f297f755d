//! Schemas at the edges: of windows, of truncations that run beside appends, of full disks and of damage.

use std::{
    sync::{Arc, Condvar, Mutex, mpsc},
    thread,
};

use serde::{Deserialize, Serialize};
use wal_db::{
    Lsn, Staging, Wal, WalConfig, WalError, WalRecord,
    event::{EventType, TypedError},
    schema::{Part, Shape},
};
use wal_tests::disk::{self, Disk, Op};
use wal_tests::files::{FORMS, Form, Place, SEGMENT};
use wal_tests::{assert_is, quiet, record, scripted::Scripted, ticket, within};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "short")]
struct Short {
    text: String,
}

/// With a schema longer than what `fill` leaves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "long")]
struct Long {
    a_rather_long_name_so_that_the_schema_is_long_as_well: String,
    another_name_that_is_as_long_as_the_first_one_or_longer: u64,
}

fn short(text: &str) -> Short {
    Short { text: text.into() }
}

fn long() -> Long {
    Long {
        a_rather_long_name_so_that_the_schema_is_long_as_well: "y".into(),
        another_name_that_is_as_long_as_the_first_one_or_longer: 7,
    }
}

fn in_memory() -> WalConfig {
    quiet().with_staging(Staging::Heap)
}

/// The end of a window of the form.
fn window(form: Form) -> u64 {
    match form {
        Form::Segmented => SEGMENT,
        Form::File => 16 << 20,
    }
}

/// Appends plain bytes until about 100 are left before `end`. A claim that does not fit a block leaves its rest out.
fn fill(wal: &Wal, end: u64) {
    let mut tail = 0;
    while tail + 100 < end {
        let block = 256 << 10;
        let left = (end - tail - 96).min(block - tail % block).min(4096);
        let len = left.saturating_sub(8).max(8) as usize / 8 * 8;
        let lsn = wal.append(&vec![2; len]).expect("append");
        tail = lsn.get() + 64 + 8 + len as u64;
    }
}

fn assert_explained(wal: &Wal, what: &str) {
    let schemas = wal.schemas().unwrap_or_else(|error| panic!("{what}: {error}"));
    for record in wal.iter().expect("iter") {
        let record = record.expect("a record");
        match record.to_value(&schemas) {
            Ok(_) | Err(TypedError::NotTyped { .. }) => {}
            Err(error) => panic!("{what}: {error}"),
        }
    }
}

#[test]
fn a_type_that_is_new_at_the_end_of_a_window_does_not_split_the_set() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        wal.append_typed(&short("x")).unwrap();
        fill(&wal, window(form));
        wal.append_typed(&long()).unwrap();
        let kept = wal.append_typed(&short("z")).unwrap();
        assert!(kept.get() > window(form), "the next window");
        wal.sync().unwrap();
        wal.truncate_before(kept).unwrap();
        assert_explained(&wal, "cut");
        wal.close().unwrap();
        let wal = place.open(quiet()).unwrap();
        assert_explained(&wal, "opened again");
        wal.typed::<Short>().unwrap().append(&short("q")).unwrap();
    }
}

#[test]
fn a_batch_keeps_the_schemas_in_front_of_it() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        wal.append_typed(&short("x")).unwrap();
        fill(&wal, window(form));
        let text = "t".repeat(60);
        let batch = wal
            .typed()
            .unwrap()
            .append_batch(&[short(&text), short(&text), short(&text)])
            .unwrap();
        wal.append(b"behind").unwrap();
        wal.sync().unwrap();
        wal.truncate_after(batch[2]).unwrap();
        wal.truncate_before(batch[0]).unwrap();
        assert_explained(&wal, "cut at both ends");
        wal.close().unwrap();
        let wal = place.open(quiet()).unwrap();
        assert_eq!(wal.iter().unwrap().count(), 3);
        assert_explained(&wal, "opened again");
        wal.append_typed(&long()).unwrap();
        assert_explained(&wal, "and another type");
    }
}

#[test]
fn a_batch_that_arrived_without_what_followed_is_explained() {
    let place = Place::new(Form::Segmented);
    let wal = place.open(quiet()).unwrap();
    wal.append_typed(&short("x")).unwrap();
    wal.sync().unwrap();
    fill(&wal, SEGMENT);
    // Longer than a claim: a group of its own, which is in the store when the append returns.
    let text = "t".repeat(20_000);
    let batch = wal
        .typed()
        .unwrap()
        .append_batch(&[short(&text), short(&text)])
        .unwrap();
    let image = place.without_staging();
    let wal = image.open(quiet()).unwrap();
    assert_explained(&wal, "after power loss");
    if wal.read(batch[0]).is_ok() {
        wal.truncate_before(batch[0]).unwrap();
        assert_explained(&wal, "cut");
    }
}

#[test]
fn a_schema_longer_than_a_window_ends() {
    static NAME: [u8; 70_000] = [b'x'; 70_000];
    const SCHEMA: &Shape = &Shape::Opaque {
        name: match str::from_utf8(&NAME) {
            Ok(name) => Part::Static(name),
            Err(_) => panic!(),
        },
        wire: None,
    };

    #[derive(Debug, Serialize, Deserialize)]
    struct Huge(u64);

    record!(Huge, EventType::new("huge", 1).schema(SCHEMA));

    within("the append", || {
        let place = Place::new(Form::Segmented);
        let wal = place.open(quiet()).unwrap();
        for i in 0..3 {
            wal.append_typed(&Huge(i)).unwrap();
        }
        assert!(
            wal.end().get() < 20 * SEGMENT,
            "{} bytes for three records",
            wal.end().get()
        );
    });
}

#[test]
fn a_batch_is_not_refused_for_the_schemas_behind_it() {
    let run = |space: Option<u64>| {
        let disk = Disk::new();
        if let Some(space) = space {
            disk.set_space(space);
        }
        let wal = disk::open(&disk, in_memory());
        wal.append_typed(&short("x")).unwrap();
        fill(&wal, 16 << 20);
        let text = "t".repeat(60);
        let result = wal
            .typed()
            .and_then(|log| log.append_batch(&[short(&text), short(&text), short(&text)]));
        let count = wal
            .typed::<Short>()
            .unwrap()
            .replay(..)
            .unwrap()
            .among_others()
            .count();
        (result.map(|lsns| lsns[2]), count, wal)
    };
    let (last, count, wal) = run(None);
    assert_eq!(count, 4);
    drop(wal);
    let end = last.unwrap().get() + 4096;
    // Around the place where the batch fits and what follows does not.
    for space in (end..end + 8192).step_by(256) {
        let (result, count, _) = run(Some(space));
        match result {
            Ok(_) => assert_eq!(count, 4, "{space}"),
            Err(WalError::Full { .. }) => assert_eq!(count, 1, "{space}: refused and there"),
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[test]
fn damage_in_a_schema_does_not_refuse_the_cut_that_removes_it() {
    let place = Place::new(Form::Segmented);
    let wal = place.open(quiet()).unwrap();
    wal.append_typed(&short("x")).unwrap();
    let keep = wal.append_typed(&short("y")).unwrap();
    let first = wal.append_typed(&long()).unwrap();
    wal.close().unwrap();
    // The last bytes of the schema that stands in front of it.
    place.flip(first.get() + 64 - 20);
    let wal = place.open(quiet()).unwrap();
    assert_is!(wal.typed::<Short>(), Err(WalError::Corruption(_)));
    wal.truncate_after(keep).unwrap();
    wal.append_typed(&short("z")).unwrap();
    assert!(wal.read(keep).unwrap().decode::<Short>().is_ok());
}

#[test]
fn a_callback_that_a_truncation_calls_can_append_events() {
    within("the truncation", || {
        let disk = Disk::new();
        let wal = disk::open(&disk, in_memory().with_background_flush(true));
        let keep = wal.append_typed(&short("x")).unwrap();
        wal.sync().unwrap();
        // The flusher is kept busy by a callback, so that the truncation flushes for the second ticket and tells it.
        let (done, truncated) = mpsc::channel();
        disk.hold(Op::Sync);
        let busy = move |_| truncated.recv().expect("the truncation ends");
        ticket(&wal, b"one").on_durable(busy);
        disk.wait_for_held();
        let (told, result) = mpsc::channel();
        let handle = wal.clone();
        let append = move |_| {
            told.send(handle.append_typed(&short("from the callback")))
                .expect("sent")
        };
        ticket(&wal, b"two").on_durable(append);
        disk.let_go();
        wal.truncate_after(keep).unwrap();
        done.send(()).unwrap();
        result.recv().expect("told").unwrap();
        assert_explained(&wal, "behind the callback");
    });
}

#[test]
fn an_append_beside_a_truncation_has_its_schema() {
    for _ in 0..100 {
        let disk = Disk::new();
        let wal = disk::open(&disk, in_memory());
        let keep = wal.append_typed(&long()).unwrap();
        wal.append_typed(&short("cut off, with the schema")).unwrap();
        wal.sync().unwrap();
        disk.hold(Op::WriteSlot);
        std::thread::scope(|scope| {
            scope.spawn(|| wal.truncate_after(keep).unwrap());
            disk.wait_for_held();
            let append = scope.spawn(|| wal.append_typed(&short("after")).unwrap());
            std::thread::yield_now();
            disk.let_go();
            let lsn: Lsn = append.join().unwrap();
            assert!(lsn > keep);
        });
        assert_explained(&wal, "beside a truncation");
    }
}

#[test]
fn a_closure_that_has_a_claim_cannot_ask_for_schemas() {
    let wal = disk::open(&Disk::new(), in_memory());
    wal.append_typed(&short("x")).unwrap();
    let asked = std::cell::Cell::new(false);
    wal.append_in_place(8, |_| {
        assert_is!(wal.schemas(), Err(WalError::Reentrant));
        assert_is!(wal.typed::<Short>(), Err(WalError::Reentrant));
        asked.set(true);
    })
    .unwrap();
    assert!(asked.get());
}

#[test]
fn small_commits_from_threads_poison_nothing() {
    let wal = Wal::with_store_and_config(
        wal_db::MemStore::new(),
        WalConfig::new().with_staging_bytes(1 << 20),
    )
    .unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..20_000 {
                    wal.append_and_sync(b"x").unwrap();
                }
            });
        }
    });
    assert_eq!(wal.status().records, 60_000);
}

/// Writes to a disk are blocked where a test says.
#[derive(Clone)]
struct Gate(Arc<(Mutex<Asked>, Condvar)>);

struct Asked {
    /// Writes from here on are blocked.
    from: u64,
    /// The highest place that somebody has come to write at.
    asked: u64,
    blocked: u32,
}

impl Gate {
    fn block_from(&self, pos: u64) {
        self.0.0.lock().unwrap().from = pos;
        self.0.1.notify_all();
    }

    fn write_at(&self, pos: u64) {
        let mut gate = self.0.0.lock().unwrap();
        gate.asked = gate.asked.max(pos);
        gate.blocked += 1;
        self.0.1.notify_all();
        gate = self.0.1.wait_while(gate, |gate| pos >= gate.from).unwrap();
        gate.blocked -= 1;
    }

    /// Returns the highest place that somebody has come to write at.
    fn wait_until(&self, done: impl Fn(&Asked) -> bool) -> u64 {
        let gate = self.0.0.lock().unwrap();
        self.0.1.wait_while(gate, |gate| !done(gate)).unwrap().asked
    }
}

/// A disk in segments that is ready up to a place at first, and the gate before its writes.
fn gated(disk: &Disk, ready: u64) -> (Scripted<Disk>, Gate) {
    let asked = Asked {
        from: u64::MAX,
        asked: 0,
        blocked: 0,
    };
    let gate = Gate(Arc::new((Mutex::new(asked), Condvar::new())));
    let before = gate.clone();
    let mut store = Scripted::new(disk.clone(), move |_, call| match call.op {
        Op::Write => {
            before.write_at(call.at);
            Ok(None)
        }
        Op::Prepare => Ok(Some(call.at.max(ready))),
        _ => Ok(None),
    });
    store.segment_len = Some(SEGMENT);
    (store, gate)
}

/// The appender of a schema has published it and written its group, and is held in the write of the next group, before
/// the log knows where the schema is. Meanwhile another appender flushes and moves the mark.
#[test]
fn the_mark_does_not_pass_a_schema_that_is_being_written() {
    /// Of the smallest ring; what does not fit is in the next one, and a group of its own.
    const BLOCK: u64 = 16 << 10;
    /// More than twice of what is left to be flushed at most, 8 segments.
    const NEXT: u64 = 66 * BLOCK;
    let config = quiet()
        .with_staging(Staging::WriteThrough)
        .with_staging_bytes(4 * BLOCK as usize);
    within("the appends", move || {
        // Enough for the first record of the next block and not for two, 4 KiB of slack included.
        let disk = Disk::new();
        let (store, gate) = &gated(&disk, NEXT + 12 * 1024);
        let wal = &Wal::with_store_and_config(store.clone(), config).unwrap();
        while wal.end().get() + 5000 < NEXT {
            wal.append(&[2; 4000]).unwrap();
        }
        while wal.end().get() + 1500 < NEXT {
            wal.append(&[2]).unwrap();
        }
        let ends_after = |end: u64| {
            while wal.end().get() <= end {
                thread::yield_now();
            }
            wal.end().get()
        };
        let calls = || [Op::Sync, Op::WriteSlot].map(|op| disk.calls(op));
        thread::scope(|scope| {
            gate.block_from(0);
            let end = wal.end().get();
            scope.spawn(|| wal.append(b"has the turn").unwrap());
            let first = gate.wait_until(|gate| gate.blocked == 1);
            let end = ends_after(end);
            scope.spawn(|| wal.append_typed(&short("x")).unwrap());
            let described = ends_after(end);
            // It does not ask for the turn before the other one has it, and writes.
            let fill = move |_: &mut [u8]| {
                gate.wait_until(|gate| gate.asked > first);
            };
            scope.spawn(move || wal.append_in_place(4096, fill).unwrap());
            ends_after(NEXT + 4096);
            gate.block_from(NEXT);
            gate.wait_until(|gate| gate.asked >= NEXT);
            let (end, before) = (wal.end().get(), calls());
            scope.spawn(|| wal.append(&[3; 8000]).unwrap());
            ends_after(end);
            let now = calls();
            gate.block_from(u64::MAX);
            assert!(described < NEXT, "the schema is in the block before");
            assert_eq!(
                [now[0] - before[0], now[1] - before[1]],
                [1, 2],
                "one flush and one manifest"
            );
        });
        wal.sync().unwrap();
        let (again, _) = gated(&disk.after_power_loss(|_| true), 0);
        let wal = Wal::with_store_and_config(again, config).unwrap();
        assert_eq!(
            wal.typed::<Short>()
                .unwrap()
                .replay(..)
                .unwrap()
                .among_others()
                .count(),
            1
        );
        assert_explained(&wal, "after a crash");
    });
}

#[test]
fn a_reader_keeps_the_schemas_that_it_has_seen() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        wal.append(b"before").unwrap();
        wal.sync().unwrap();
        let reader = quiet().open_read_only(place.path()).unwrap();
        wal.append_typed(&short("x")).unwrap();
        for i in 0..3 {
            wal.sync().unwrap();
            assert_eq!(reader.iter().unwrap().count(), 2 + i);
            assert_explained(&reader, &format!("{form:?}, look {i}"));
            // Without a schema.
            wal.append(b"after").unwrap();
        }
        // One that is cut off is not kept.
        let first = wal.iter().unwrap().next().unwrap().unwrap().lsn();
        wal.truncate_after(first).unwrap();
        assert_eq!(reader.iter().unwrap().count(), 1);
        assert_eq!(reader.schemas().unwrap().iter().count(), 0, "{form:?}");
        wal.append_typed(&long()).unwrap();
        wal.sync().unwrap();
        assert_eq!(reader.iter().unwrap().count(), 2);
        assert_explained(&reader, &format!("{form:?}, after the cut"));
    }
}
