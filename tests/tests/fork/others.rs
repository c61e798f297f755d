//! What a child does with other handles than those that it was born with, and what its parent notices of it.

use std::{process::Command, sync::mpsc::channel};

use serde::{Deserialize, Serialize};
use wal_db::{
    MemStore, Replay, Staging, Start, Wal, WalError, WalRecord,
    state::{At, State, StoreConfig},
    store::Background,
};
use wal_tests::{
    PATIENCE, all, assert_is,
    files::{FORMS, Form, Place},
    payload, put, ticket,
};

use super::{
    FORKED,
    children::{fork, fork_and_go_on, leave, wait},
    config, configs, said,
};

#[test]
fn a_child_opens_another_log_and_its_parents_once_that_is_closed() {
    for (config, form) in configs().flat_map(|config| FORMS.map(|form| (config, form))) {
        let what = format!("{form:?}, {config:?}");
        let (place, own) = (Place::fast(form), Place::fast(form));
        let mut opened = Some(place.open(config).unwrap());
        let mut entries: Vec<_> = (0..20).map(|i| put(opened.as_ref().unwrap(), i, 1000)).collect();
        let mut child = fork(|word| {
            let mine = own.open(config).unwrap();
            // What the parent has mapped is not mapped here, and something else may be in its place.
            drop(opened.take());
            let more: Vec<_> = (0..200).map(|i| put(&mine, i, 1000)).collect();
            mine.sync().unwrap();
            assert_eq!(all(&mine), more);
            word.wait();
            let parents = place.open(config).unwrap();
            put(&parents, 21, 1000);
            assert_eq!(all(&parents).len(), 22);
            parents.close().unwrap();
            drop(mine);
            "done".to_owned()
        });
        let wal = opened.unwrap();
        entries.push(put(&wal, 20, 1000));
        wal.sync().unwrap();
        wal.close().unwrap();
        child.go_on();
        assert_eq!(child.says(&what), "done", "{what}");
        let wal = place.open(config).unwrap();
        assert_eq!(all(&wal)[..21], entries, "{what}");
        assert_eq!(all(&own.open(config).unwrap()).len(), 200, "{what}");
    }
}

#[test]
fn a_child_has_shared_threads_of_its_own() {
    let config = config(Staging::Mapped, true).with_background(&Background::new(1));
    let (place, own) = (Place::fast(Form::File), Place::fast(Form::File));
    let told = |wal: &Wal| {
        let (tell, told) = channel();
        ticket(wal, b"x").on_durable(move |outcome| tell.send(outcome.is_ok()).unwrap());
        told.recv_timeout(PATIENCE)
    };
    let wal = place.open(config).unwrap();
    assert_eq!(told(&wal), Ok(true));
    let child = fork(|_| {
        let mine = own.open(config).unwrap();
        format!("{:?}", (0..3).map(|_| told(&mine)).collect::<Result<Vec<_>, _>>())
    });
    assert_eq!(child.says("a child"), "Ok([true, true, true])");
    assert_eq!(told(&wal), Ok(true));
}

#[test]
fn a_child_that_drops_everything_leaves_the_lock_and_the_memory_to_its_parent() {
    for form in FORMS {
        for background in [false, true] {
            let config = config(Staging::Mapped, background);
            let place = Place::fast(form);
            let mut opened = Some(place.open(config).unwrap());
            let child = fork(|_| {
                drop(opened.take());
                assert_is!(place.open(config).map(drop), Err(WalError::Locked { .. }));
                "dropped".to_owned()
            });
            assert_eq!(child.says("dropping"), "dropped");
            assert_is!(place.open(config).map(drop), Err(WalError::Locked { .. }));
            assert!(place.staging().exists());
            let wal = opened.unwrap();
            put(&wal, 0, 100);
            // It is in staging memory only, and survives this process there.
            let killed = place.killed();
            assert_eq!(killed.open(config).unwrap().recovery().staged_records, 1);
            wal.close().unwrap();
        }
    }
}

/// The child has a copy of the memory, in which the parent's threads may have been at work.
#[test]
fn a_child_that_drops_a_log_in_memory_leaves_it_locked() {
    for background in [false, true] {
        let (store, config) = (MemStore::new(), config(Staging::Heap, background));
        let mut opened = Some(Wal::with_store_and_config(store.clone(), config).unwrap());
        let child = fork(|_| {
            drop(opened.take());
            said(Wal::with_store_and_config(store.clone(), config))
        });
        assert_eq!(child.says("dropping"), "Locked");
        opened.unwrap().close().unwrap();
        assert!(Wal::with_store_and_config(store, config).is_ok());
    }
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "replayed")]
struct Replayed(u32);

/// How many there were.
#[derive(Debug, Default, Clone)]
struct Count(u64);

impl State for Count {
    type Event = Replayed;

    fn apply(&mut self, _: Replayed, _: At<'_>) {
        self.0 += 1;
    }
}

/// The thread that keeps it up to date is the parent's.
#[test]
fn a_child_of_a_projection_is_told_and_the_parent_goes_on() {
    let log = Wal::with_store(MemStore::new()).unwrap().typed().unwrap();
    let mut projection = Some(log.project(StoreConfig::<Count>::new()).unwrap());
    let lsn = log.append_and_sync(&Replayed(1)).unwrap();
    assert!(projection.as_ref().unwrap().wait_for(lsn, PATIENCE).unwrap());
    let child = fork(|_| {
        let projection = projection.take().unwrap();
        let calls = [
            said(projection.read(|_| ())),
            said(projection.peek(|_| ())),
            said(projection.view()),
            said(projection.wait_for(lsn, PATIENCE)),
            said(projection.status()),
            said(projection.snapshot()),
        ];
        drop(projection);
        calls.join(", ")
    });
    let said = child.says("using a projection");
    assert_eq!(said.matches(FORKED).count(), 6, "{said}");
    let lsn = log.append_and_sync(&Replayed(2)).unwrap();
    let projection = projection.unwrap();
    assert!(projection.wait_for(lsn, PATIENCE).unwrap());
    assert_eq!(projection.read(|count| count.0).unwrap(), 2);
}

/// Its threads are the parent's, and so may be what they were about to do.
#[test]
fn a_child_of_a_replay_that_decodes_ahead_gets_what_was_handed_over_and_is_told() {
    let wal = Wal::with_store(MemStore::new()).unwrap();
    let log = wal.typed::<Replayed>().unwrap();
    log.append_batch(&(0..20_000).map(Replayed).collect::<Vec<_>>())
        .unwrap();
    for taken in [0, 1, 2000, 19_999] {
        let mut replay = Some(log.replay(..).unwrap().decode_ahead(3));
        let numbers = |events: &mut Replay<Replayed>, count| -> Vec<u32> {
            let events = events.take(count).map(|event| event.unwrap().event.0);
            events.collect()
        };
        let before = numbers(replay.as_mut().unwrap(), taken);
        let child = fork(|_| {
            let mut events = replay.take().unwrap();
            let mut last = before.len() as u32;
            loop {
                match events.next() {
                    Some(Ok(event)) => assert_eq!(event.event.0, last),
                    Some(Err(error)) => {
                        assert!(events.next().is_none());
                        drop(events);
                        return said::<()>(Err(error));
                    }
                    None => return format!("it ended before {last}"),
                }
                last += 1;
            }
        });
        assert_eq!(child.says("a replay"), format!("Poisoned: {FORKED}"), "{taken}");
        let mut events = replay.unwrap();
        assert!(
            numbers(&mut events, usize::MAX)
                .into_iter()
                .eq(taken as u32..20_000)
        );
    }
}

#[test]
fn the_children_of_a_child_are_told_of_both_logs() {
    for config in configs() {
        let (place, own) = (Place::fast(Form::File), Place::fast(Form::File));
        let wal = place.open(config).unwrap();
        let child = fork(|_| {
            let mine = own.open(config).unwrap();
            let grandchild = fork(|_| format!("{}, {}", said(mine.append(b"x")), said(wal.append(b"x"))));
            mine.append_and_sync(b"mine").unwrap();
            grandchild.says("a child of a child")
        });
        let refused = format!("Poisoned: {FORKED}");
        assert_eq!(child.says("a child"), format!("{refused}, {refused}"));
        assert_eq!(all(&own.open(config).unwrap()).len(), 1);
        wal.append_and_sync(b"x").unwrap();
    }
}

#[test]
fn programs_that_are_started_change_nothing() {
    for config in configs() {
        let place = Place::fast(Form::File);
        let wal = place.open(config).unwrap();
        for i in 0..10 {
            put(&wal, i, 1000);
            // By `posix_spawn` or `vfork`, which share the memory for a moment.
            assert!(Command::new("true").status().unwrap().success());
            put(&wal, i, 1000);
        }
        wal.sync().unwrap();
        assert_eq!((all(&wal).len(), wal.status().failure), (20, None));
    }
}

#[test]
fn a_child_that_is_forked_in_the_closure_of_append_with_appends_nothing() {
    let place = Place::fast(Form::File);
    // The memory of a mapped ring is not there in a child, so it may not fill anything.
    for staging in [Staging::Mapped, Staging::Heap, Staging::WriteThrough] {
        let wal = place.open(config(staging, false)).unwrap();
        let mut forked = None;
        let child = fork(|_| {
            let mine = Place::fast(Form::File);
            let wal = mine.open(config(staging, false)).unwrap();
            let appended = wal.append_in_place(100, |bytes| {
                bytes.copy_from_slice(&payload(1, 100));
                forked = fork_and_go_on();
            });
            match forked {
                None => leave(if said(appended) == format!("Poisoned: {FORKED}") {
                    7
                } else {
                    8
                }),
                Some(id) => {
                    let status = wait(id).expect("it does not hang");
                    assert_eq!(
                        appended.map(|lsn| wal.read(lsn).unwrap().into_data()).unwrap(),
                        payload(1, 100)
                    );
                    format!("{status:#x}")
                }
            }
        });
        assert_eq!(child.says("a closure"), "0x700", "{staging:?}");
        wal.close().unwrap();
    }
}

#[test]
fn a_handle_that_only_reads_is_its_parents_as_well() {
    let place = Place::fast(Form::Segmented);
    let writer = place.open(config(Staging::Mapped, true)).unwrap();
    (0..50).for_each(|i| drop(put(&writer, i, 1000)));
    writer.close().unwrap();
    let reader = Wal::open_read_only(place.path()).unwrap();
    let mut tail = reader.tail(Start::Head).unwrap();
    for _ in 0..20 {
        let child = fork(|_| {
            // What it had read when the process was forked is handed out.
            let followed = tail.find(Result::is_err).unwrap();
            let refused = format!("{}, {}", said(reader.iter()), said(followed));
            let own = Wal::open_read_only(place.path()).unwrap();
            format!("{refused}, {}", all(&own).len())
        });
        let refused = format!("Poisoned: {FORKED}");
        assert_eq!(child.says("reading"), format!("{refused}, {refused}, 50"));
        assert!(tail.try_next().unwrap().is_some());
    }
}
