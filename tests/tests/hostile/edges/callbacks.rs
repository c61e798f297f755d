//! Callbacks that panic while they panic, drop the last handle, or wait for each other; and very many threads.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, panic_any},
    pin::pin,
    sync::{Arc, Barrier, RwLock, mpsc::channel},
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use wal_db::{MemStore, Position, Staging, Start, Ticket, Wal, WalConfig, WalError, WalRecord};
use wal_tests::{
    PATIENCE, all, assert_is,
    files::{Form, Place},
    payload,
    scripted::{Op, Scripted},
    ticket,
};

/// Panics when the panic that carries it is over.
struct Again;

impl Drop for Again {
    fn drop(&mut self) {
        if !thread::panicking() {
            panic!("again");
        }
    }
}

fn told(ticket: Ticket) -> wal_db::Result<wal_db::Lsn> {
    let (tell, told) = channel();
    ticket.on_durable(move |outcome| tell.send(outcome).unwrap());
    told.recv_timeout(PATIENCE).expect("it is told")
}

#[test]
fn a_callback_whose_panic_panics_harms_nobody_else() {
    let wal = Wal::with_store(MemStore::new()).unwrap();
    for _ in 0..3 {
        let (tell, called) = channel();
        ticket(&wal, b"x").on_durable(move |_| {
            tell.send(thread::current().name().map(str::to_owned)).unwrap();
            panic_any(Again);
        });
        called.recv_timeout(PATIENCE).unwrap();
        assert!(told(ticket(&wal, b"y")).is_ok());
        // One that is durable already is told by the thread that asks.
        let lsn = wal.append_and_sync(b"z").unwrap();
        let ticket = wal.ticket(lsn).unwrap();
        assert!(catch_unwind(AssertUnwindSafe(|| ticket.on_durable(|_| panic_any(Again)))).is_ok());
    }
    // A future has nobody else who would flush for it.
    let (tell, woken) = channel();
    let mut ticket = pin!(ticket(&wal, b"last"));
    let waker = Waker::from(Arc::new(Tell(tell)));
    let mut poll = || ticket.as_mut().poll_once(&waker);
    while poll().is_pending() {
        woken.recv_timeout(PATIENCE).expect("it is woken");
    }
    wal.close().unwrap();
}

struct Tell(std::sync::mpsc::Sender<()>);

impl std::task::Wake for Tell {
    fn wake(self: Arc<Self>) {
        let _ = self.0.send(());
    }
}

trait PollOnce: Future + Sized {
    fn poll_once(self: std::pin::Pin<&mut Self>, waker: &Waker) -> Poll<Self::Output> {
        self.poll(&mut Context::from_waker(waker))
    }
}

impl PollOnce for Ticket {}

/// A store in memory whose flushes begin when the gate is open.
fn gated(gate: &Arc<RwLock<()>>) -> Scripted<MemStore> {
    let gate = gate.clone();
    Scripted::new(MemStore::new(), move |_, call| {
        if call.op == Op::Sync {
            drop(gate.read().unwrap());
        }
        Ok((call.op == Op::Prepare).then(|| call.at.max(ROOM)))
    })
}

#[test]
fn callbacks_that_drop_each_others_last_handle_do_not_wait_for_each_other() {
    for _ in 0..20 {
        let gate = Arc::new(RwLock::new(()));
        let logs = [(); 2].map(|()| Wal::with_store(gated(&gate)).unwrap());
        let closed = gate.write().unwrap();
        let both = Arc::new(Barrier::new(2));
        let (tell, told) = channel();
        for (mine, other) in [(0, 1), (1, 0)] {
            let (both, tell, other) = (both.clone(), tell.clone(), logs[other].clone());
            logs[mine]
                .append(b"x")
                .and_then(|lsn| logs[mine].ticket(lsn))
                .unwrap()
                .on_durable(move |_| {
                    both.wait();
                    // The last one, because the test has dropped its own.
                    drop(other);
                    tell.send(thread::current().name().map(str::to_owned)).unwrap();
                });
        }
        drop(logs);
        drop(closed);
        for _ in 0..2 {
            let thread = told.recv_timeout(PATIENCE).expect("neither waits for the other");
            assert_eq!(thread.as_deref(), Some("wal-flusher"));
        }
    }
}

/// Its schema takes more room than a record.
#[derive(Default, Serialize, Deserialize, WalRecord)]
#[wal(name = "wide")]
struct Wide {
    a_field_whose_name_is_long_because_its_schema_has_to_need_more_room_than_is_left_a: u8,
    a_field_whose_name_is_long_because_its_schema_has_to_need_more_room_than_is_left_b: u8,
    a_field_whose_name_is_long_because_its_schema_has_to_need_more_room_than_is_left_c: u8,
    a_field_whose_name_is_long_because_its_schema_has_to_need_more_room_than_is_left_d: u8,
    a_field_whose_name_is_long_because_its_schema_has_to_need_more_room_than_is_left_e: u8,
    a_field_whose_name_is_long_because_its_schema_has_to_need_more_room_than_is_left_f: u8,
    a_field_whose_name_is_long_because_its_schema_has_to_need_more_room_than_is_left_g: u8,
    a_field_whose_name_is_long_because_its_schema_has_to_need_more_room_than_is_left_h: u8,
    a_field_whose_name_is_long_because_its_schema_has_to_need_more_room_than_is_left_i: u8,
    a_field_whose_name_is_long_because_its_schema_has_to_need_more_room_than_is_left_j: u8,
    a_field_whose_name_is_long_because_its_schema_has_to_need_more_room_than_is_left_k: u8,
    a_field_whose_name_is_long_because_its_schema_has_to_need_more_room_than_is_left_l: u8,
    a_field_whose_name_is_long_because_its_schema_has_to_need_more_room_than_is_left_m: u8,
    a_field_whose_name_is_long_because_its_schema_has_to_need_more_room_than_is_left_n: u8,
    a_field_whose_name_is_long_because_its_schema_has_to_need_more_room_than_is_left_o: u8,
    a_field_whose_name_is_long_because_its_schema_has_to_need_more_room_than_is_left_p: u8,
}

/// How much room a store has made when it is opened; more, when it is asked.
const ROOM: u64 = 4 << 20;

/// A callback that keeps the thread that calls it until it is let go: which thread, and how.
fn keep(ticket: Ticket) -> (std::sync::mpsc::Receiver<String>, std::sync::mpsc::Sender<()>) {
    let ((tell, kept), (go, goes)) = (channel(), channel());
    ticket.on_durable(move |_| {
        tell.send(thread::current().name().unwrap_or("?").to_owned())
            .unwrap();
        let _ = goes.recv();
    });
    (kept, go)
}

/// An appender that meets the end of the space with much left behind flushes that itself, and has a lock if what it appends
/// is a schema.
#[test]
fn no_callback_is_called_with_a_lock_that_it_may_want() {
    let config = WalConfig::new()
        .with_staging(Staging::Heap)
        .with_staging_bytes(64 << 10);
    let gate = Arc::new(RwLock::new(()));
    let mut store = gated(&gate);
    store.segment_len = Some(64 << 10);
    let wal = Wal::with_store_and_config(store, config).unwrap();
    let log = wal.typed::<Wide>().unwrap();
    let free = || ROOM - 4096 - (wal.end().get() + 64);
    // Both threads of the log are kept, each in a callback.
    let closed = gate.write().unwrap();
    let (in_flusher, let_flusher_go) = keep(ticket(&wal, b"first"));
    drop(closed);
    assert_eq!(in_flusher.recv_timeout(PATIENCE).unwrap(), "wal-flusher");
    let second = wal.append(b"second").unwrap();
    let (in_preparer, let_preparer_go) = keep(wal.ticket(second).unwrap());
    while ROOM - free() < 800_000 {
        wal.append(&[1; 2000]).unwrap();
    }
    assert_eq!(in_preparer.recv_timeout(PATIENCE).unwrap(), "wal-preparer");
    let third = wal.append(b"third").unwrap();
    let (tell, told) = channel();
    let handle = wal.clone();
    wal.ticket(third).unwrap().on_durable(move |durable| {
        assert!(durable.is_ok());
        handle.schemas().unwrap();
        handle.truncate_before(third).unwrap();
        tell.send(()).unwrap();
    });
    for (len, left) in [(2000, 20_000), (100, 1000)] {
        while free() >= left {
            wal.append(&vec![2; len]).unwrap();
        }
    }
    let (appended, done) = channel();
    thread::spawn(move || appended.send(log.append(&Wide::default()).unwrap()));
    done.recv_timeout(PATIENCE).expect("the append waits for nobody");
    let_flusher_go.send(()).unwrap();
    let_preparer_go.send(()).unwrap();
    told.recv_timeout(PATIENCE).expect("it is told");
    wal.close().unwrap();
}

#[test]
fn the_last_handle_may_be_dropped_and_the_log_closed_in_a_callback() {
    let place = Place::fast(Form::File);
    for round in 0..20 {
        let wal = place.open(wal_db::WalConfig::new()).unwrap();
        let (tell, told) = channel();
        let (handle, ticket) = (wal.clone(), ticket(&wal, b"x"));
        ticket.on_durable(move |outcome| {
            assert!(outcome.is_ok());
            match round % 3 {
                0 => drop(handle),
                1 => handle.close().unwrap(),
                _ => {
                    handle.append_and_sync(b"in a callback").unwrap();
                    handle.truncate_before(handle.end()).unwrap();
                }
            }
            tell.send(()).unwrap();
        });
        drop(wal);
        told.recv_timeout(PATIENCE).expect("the callback returns");
        let opened = (0..6000).find_map(|_| match place.open(wal_db::WalConfig::new()) {
            Err(WalError::Locked { .. }) => {
                thread::sleep(Duration::from_millis(10));
                None
            }
            opened => Some(opened.unwrap()),
        });
        opened.expect("it is closed").close().unwrap();
    }
}

#[test]
fn hundreds_of_threads_append_and_drop_their_handles() {
    let place = Place::fast(Form::Segmented);
    let config = wal_db::WalConfig::new().with_staging_bytes(64 << 10);
    let wal = place.open(config).unwrap();
    let threads: Vec<_> = (0..300)
        .map(|n| {
            let wal = wal.clone();
            thread::spawn(move || {
                for i in 0..20 {
                    let handle = wal.clone();
                    handle.append(&payload(n * 20 + i, 300)).unwrap();
                    let ticket = ticket(&handle, b"");
                    match i % 4 {
                        0 => drop(ticket),
                        1 => ticket.on_durable(move |outcome| drop((outcome.unwrap(), handle))),
                        2 if n % 16 == 0 => drop(ticket.wait().unwrap()),
                        _ => drop(handle.tail(Start::Head).unwrap()),
                    }
                }
            })
        })
        .collect();
    drop(wal);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let opened = (0..6000).find_map(|_| match place.open(config) {
        Err(WalError::Locked { .. }) => {
            thread::sleep(Duration::from_millis(10));
            None
        }
        opened => Some(opened.unwrap()),
    });
    let wal = opened.expect("the last one has closed it");
    assert!(wal.recovery().clean);
    assert_eq!(all(&wal).len(), 300 * 20 * 2);
}

#[test]
fn records_of_no_bytes_and_batches_of_nothing_are_what_they_are() {
    let wal = Wal::with_store(MemStore::new()).unwrap();
    assert_eq!(wal.append_batch::<&[u8]>(&[]).unwrap(), []);
    let lsns = wal.append_batch(&vec![b""; 200_000]).unwrap();
    assert_eq!(lsns.len(), 200_000);
    let empty = wal.append_in_place(0, |space| assert!(space.is_empty())).unwrap();
    wal.append(b"").unwrap();
    wal.sync().unwrap();
    assert_eq!(
        wal.iter()
            .unwrap()
            .filter(|record| record.as_ref().unwrap().is_empty())
            .count(),
        200_002
    );
    assert_eq!(wal.locate(empty).unwrap().ordinal, 200_000);
    assert_eq!(wal.read(lsns[199_999]).unwrap().data(), b"");
    let too_long = vec![0; (64 << 20) + 1];
    assert_is!(wal.append(&too_long), Err(WalError::RecordTooLarge { .. }));
    assert_is!(
        wal.append_in_place(usize::MAX, |_| ()),
        Err(WalError::RecordTooLarge { .. })
    );
    let longest = &too_long[1..];
    // One frame more than fits.
    assert_is!(
        wal.append_batch(&[longest; 32]),
        Err(WalError::BatchTooLarge { .. })
    );
    let lsn = wal.append(longest).unwrap();
    assert_eq!(wal.read(lsn).unwrap().len(), 64 << 20);
    wal.truncate_before(wal.end()).unwrap();
    assert!(wal.is_empty());
}

#[test]
fn no_position_panics() {
    use wal_db::{Lsn, Retention};
    let wal = Wal::with_store(MemStore::new()).unwrap();
    let lsns: Vec<_> = (0..100).map(|i| wal.append(&payload(i, 100)).unwrap()).collect();
    wal.sync().unwrap();
    wal.truncate_after(lsns[80]).unwrap();
    wal.truncate_before(lsns[10]).unwrap();
    wal.append(b"after").unwrap();
    let bits = (0..64).flat_map(|bit| [(1_u64 << bit) - 1, 1 << bit, u64::MAX - (1 << bit), u64::MAX]);
    let near = lsns
        .iter()
        .flat_map(|lsn| [lsn.get().wrapping_sub(1), lsn.get(), lsn.get() + 1]);
    let far = [
        Duration::ZERO,
        Duration::from_nanos(1),
        Duration::MAX,
        Duration::from_secs(u64::MAX),
    ];
    for lsn in bits.chain(near).map(Lsn::new) {
        let _ = (
            wal.read(lsn),
            wal.locate(lsn).map(|at| at.time),
            wal.locate(lsn).map(|at| at.ordinal),
            wal.ticket(lsn),
            wal_tests::sync_to(&wal, lsn),
        );
        let _ = (
            Position::of(&wal, lsn),
            Position::after(&wal, lsn),
            wal.hold(lsn).map(|cursor| cursor.advance(lsn)),
        );
        let _ = wal.tail(lsn).map(|mut tail| {
            (
                tail.try_next(),
                tail.next_timeout(Duration::ZERO),
                tail.position(),
            )
        });
        let _ = (
            wal.iter_from(lsn).map(Iterator::count),
            wal.range(..=lsn).map(Iterator::count),
        );
        let _ = (
            wal.range(lsn..lsns[20]).map(Iterator::count),
            wal.read_ordinal(lsn.get()),
        );
        let _ = wal.iter_from(Start::Ordinal(lsn.get())).map(Iterator::count);
        assert!(wal.truncate_after(lsn).is_err() || lsns.contains(&lsn) || lsn.get() > lsns[99].get());
    }
    for time in far {
        for time in [
            std::time::SystemTime::UNIX_EPOCH.checked_add(time),
            std::time::SystemTime::UNIX_EPOCH.checked_sub(time),
        ] {
            let _ = time.map(|time| wal.iter_from(time).map(Iterator::count));
        }
        wal.retain(&Retention::new().with_max_age(time)).unwrap();
    }
    for bytes in [u64::MAX, 1 << 62, 1, 0] {
        wal.retain(&Retention::new().with_max_bytes(bytes)).unwrap();
    }
}
