//! Logs that share background threads.

use std::{
    cell::RefCell,
    collections::HashSet,
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
        mpsc::{Sender, channel},
    },
    thread,
};

use wal_db::{MemStore, Staging, Wal, WalConfig, WalError, store::Background};
use wal_tests::{
    PATIENCE, assert_is, pairs,
    scripted::{Op, Scripted},
    ticket, within,
};

fn config(background: &Background) -> WalConfig {
    WalConfig::new()
        .with_staging(Staging::Heap)
        .with_staging_bytes(64 << 10)
        .with_background(background)
}

fn log(background: &Background) -> Wal {
    Wal::with_store_and_config(MemStore::new(), config(background)).unwrap()
}

#[test]
fn a_thousand_logs_are_served_by_four_threads() {
    let background = Background::new(4);
    let logs: Vec<_> = (0..1000).map(|_| log(&background)).collect();
    let threads = Arc::new(Mutex::new(HashSet::new()));
    let (tell, told) = channel();
    for log in &logs {
        let (threads, tell) = (threads.clone(), tell.clone());
        ticket(log, b"x").on_durable(move |outcome| {
            threads.lock().unwrap().insert(thread::current().id());
            tell.send((outcome.unwrap(), thread::current().name().map(str::to_owned)))
                .unwrap();
        });
    }
    let this = thread::current();
    for _ in &logs {
        let (_, thread) = told.recv_timeout(PATIENCE).expect("every log is served");
        // One that was durable before it was asked for is told here.
        assert!([Some("wal-background"), this.name()].contains(&thread.as_deref()));
    }
    let mut threads = threads.lock().unwrap();
    threads.remove(&this.id());
    assert!((1..=4).contains(&threads.len()), "{}", threads.len());
    for log in logs {
        log.close().unwrap();
    }
}

/// Tells when its thread ends.
struct Ends(Sender<()>);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

thread_local! {
    static ENDS: RefCell<Option<Ends>> = const { RefCell::new(None) };
}

/// Has the thread that serves the log tell when it ends.
fn watch(log: &Wal, tell: Sender<()>) {
    let (says, watched) = channel();
    let mut ends = Some(Ends(tell));
    loop {
        let says = says.clone();
        let mine = ends.take();
        let this = thread::current().id();
        ticket(log, b"x").on_durable(move |_| {
            let is_here = thread::current().id() == this;
            let left = if is_here {
                mine
            } else {
                ENDS.with(|ends| ends.replace(mine))
            };
            says.send(left).unwrap();
        });
        ends = watched.recv_timeout(PATIENCE).unwrap();
        if ends.is_none() {
            return;
        }
    }
}

#[test]
fn shared_threads_end_with_the_last_log_and_come_again_with_the_next() {
    let background = Background::new(1);
    for _ in 0..3 {
        let (first, second) = (log(&background), log(&background));
        let (tell, ended) = channel();
        watch(&first, tell);
        first.close().unwrap();
        second.append_and_sync(b"x").unwrap();
        assert!(ended.try_recv().is_err());
        second.close().unwrap();
        ended.recv_timeout(PATIENCE).expect("the thread ends");
    }
}

#[test]
fn a_callback_that_waits_for_room_in_a_log_of_the_same_thread_gets_it() {
    within("a callback that appends to another log", || {
        let background = Background::new(1);
        let (calls, fills) = (log(&background), log(&background));
        let done = AtomicBool::new(false);
        let (tell, told) = channel();
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        fills.append(&[1; 1000]).unwrap();
                    }
                });
            }
            for _ in 0..20 {
                let (fills, tell) = (fills.clone(), tell.clone());
                ticket(&calls, b"x").on_durable(move |_| {
                    for _ in 0..200 {
                        fills.append(&[2; 1000]).unwrap();
                    }
                    tell.send(()).unwrap();
                });
                told.recv().unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
    });
}

#[test]
fn closing_waits_for_no_callback_of_another_log() {
    within("closing beside a callback", || {
        let background = Background::new(1);
        let (calls, other) = (log(&background), log(&background));
        let ((begun, begins), (go, goes)) = (channel(), channel::<()>());
        let (here, goes) = (thread::current().id(), Arc::new(Mutex::new(goes)));
        loop {
            let (begun, goes) = (begun.clone(), goes.clone());
            ticket(&calls, b"x").on_durable(move |_| {
                let is_shared = thread::current().id() != here;
                begun.send(is_shared).unwrap();
                if is_shared {
                    goes.lock().unwrap().recv().unwrap();
                }
            });
            // What was durable already is told here.
            if begins.recv().unwrap() {
                break;
            }
        }
        // Nobody has a turn for it now.
        let told = Arc::new(AtomicU32::new(0));
        let telling = told.clone();
        ticket(&other, b"y").on_durable(move |outcome| {
            outcome.unwrap();
            telling.fetch_add(1, Ordering::Relaxed);
        });
        other.close().unwrap();
        assert_eq!(told.load(Ordering::Relaxed), 1);
        go.send(()).unwrap();
        calls.close().unwrap();
    });
}

#[test]
fn callbacks_may_close_their_own_log_and_others() {
    within("closing in callbacks", || {
        for threads in [1, 2] {
            let background = Background::new(threads);
            for _ in 0..50 {
                let logs = [(); 3].map(|()| log(&background));
                let (tell, told) = channel();
                // Before one of them is closed.
                let tickets = logs.each_ref().map(|log| ticket(log, b"x"));
                for ticket in tickets {
                    let (tell, all) = (tell.clone(), logs.clone());
                    ticket.on_durable(move |_| {
                        for log in all {
                            log.close().unwrap();
                        }
                        tell.send(()).unwrap();
                    });
                }
                logs.iter().for_each(|_| told.recv().unwrap());
            }
        }
    });
}

#[test]
fn a_store_that_panics_in_a_shared_thread_poisons_its_log_only() {
    within("a store that panics", || {
        let background = Background::new(1);
        let armed = Arc::new(AtomicBool::new(false));
        let fails = armed.clone();
        let store = Scripted::new(MemStore::new(), move |_, call| {
            if call.op == Op::Sync && fails.load(Ordering::Relaxed) {
                std::panic::panic_any("the store");
            }
            Ok(None)
        });
        let broken = Wal::with_store_and_config(store, config(&background)).unwrap();
        let healthy = log(&background);
        armed.store(true, Ordering::Relaxed);
        let (tell, told) = channel();
        ticket(&broken, b"x").on_durable(move |outcome| tell.send(outcome).unwrap());
        assert_is!(told.recv().unwrap(), Err(WalError::InDoubt { .. }));
        assert_is!(broken.append(b"y"), Err(WalError::Poisoned { .. }));
        let (tell, told) = channel();
        ticket(&healthy, b"x").on_durable(move |outcome| tell.send(outcome).unwrap());
        told.recv().unwrap().unwrap();
        drop(broken);
        healthy.close().unwrap();
    });
}

#[test]
fn a_callback_may_close_the_log_while_another_thread_does() {
    within("closing beside a callback that closes", || {
        let shared = Background::new(1);
        for (config, _) in pairs(
            [config(&shared), WalConfig::new().with_staging(Staging::Heap)],
            0..50,
        ) {
            let wal = Wal::with_store_and_config(MemStore::new(), config).unwrap();
            let both = Arc::new(Barrier::new(2));
            let (handle, meets) = (wal.clone(), both.clone());
            let this = thread::current().id();
            let (tell, told) = channel();
            ticket(&wal, b"x").on_durable(move |_| {
                // It may be told here, if it was durable at once.
                if thread::current().id() != this {
                    meets.wait();
                }
                handle.close().unwrap();
                tell.send(thread::current().id() == this).unwrap();
            });
            let is_told_here = told.try_recv().unwrap_or(false);
            if !is_told_here {
                both.wait();
            }
            wal.close().unwrap();
        }
    });
}

/// Panics when it is dropped, unless something panics already.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !thread::panicking() {
            std::panic::panic_any("a store that is dropped");
        }
    }
}

#[test]
fn a_store_that_panics_when_it_is_dropped_takes_no_shared_thread_along() {
    within("a store that panics when it is dropped", || {
        let background = Background::new(1);
        let healthy = log(&background);
        let bomb = Bomb;
        let store = Scripted::new(MemStore::new(), move |_, _| {
            let _bomb = &bomb;
            Ok(None)
        });
        let mut wal = Some(Wal::with_store_and_config(store, config(&background)).unwrap());
        let ticket_of_it = ticket(wal.as_ref().unwrap(), b"x");
        let handle = wal.take();
        let (tell, told) = channel();
        let this = thread::current().id();
        // The last handle is dropped in the callback, or, if that was faster than the call, with the ticket.
        let called = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            ticket_of_it.on_durable(move |_| {
                let is_here = thread::current().id() == this;
                let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(handle)));
                tell.send((is_here, dropped.is_ok())).unwrap();
            });
        }));
        drop(called);
        told.recv().unwrap();
        for wal in [&healthy, &log(&background)] {
            let (tell, told) = channel();
            ticket(wal, b"x").on_durable(move |outcome| tell.send(outcome.is_ok()).unwrap());
            assert!(told.recv().unwrap());
        }
        healthy.close().unwrap();
        let (tell, told) = channel();
        ticket(&log(&background), b"x").on_durable(move |outcome| tell.send(outcome.is_ok()).unwrap());
        assert!(told.recv().unwrap());
    });
}
