//! Futures of what was appended.

use std::task::Poll;

use serde::{Deserialize, Serialize};
use wal_db::{
    Durability, EventLog, MemStore, Wal, WalError, WalRecord,
    state::{At, Decision, State, StoreConfig, TransactError},
};
use wal_tests::{
    assert_is,
    disk::{Disk, EIO, Fault, Op, busy_heap, open},
    quiet_heap,
    task::{Task, block_on},
    ticket,
};

#[test]
fn what_was_appended_before_is_durable() {
    let busy = busy_heap();
    for config in [quiet_heap(), busy, busy.with_durability(Durability::Certified)] {
        let wal = open(&Disk::new(), config);
        // Of an empty log, and of one where nothing came since.
        block_on(wal.sync_async()).unwrap();
        for _ in 0..100 {
            wal.append(b"x").unwrap();
            let lsn = wal.append(b"y").unwrap();
            block_on(wal.sync_async()).unwrap();
            assert!(wal.status().durable > lsn);
            block_on(wal.sync_async()).unwrap();
            let lsn = wal.append(b"z").unwrap();
            assert_eq!(block_on(wal.ticket(lsn).unwrap()).unwrap(), lsn);
        }
    }
}

/// A log whose flushes wait for the test.
fn held() -> (Disk, Wal) {
    let disk = Disk::new();
    let wal = open(&disk, busy_heap());
    wal.append_and_sync(b"first").unwrap();
    disk.hold(Op::Sync);
    (disk, wal)
}

#[test]
fn tasks_that_wait_for_a_flush_are_woken_once_and_dropped_ones_are_forgotten() {
    let (disk, wal) = held();
    let tasks = [(); 5].map(|()| Task::new());
    let mut tickets = [(); 5].map(|()| ticket(&wal, b"x"));
    let mut all = Box::pin(wal.sync_async());
    for (task, ticket) in tasks.iter().zip(&mut tickets) {
        assert!(task.poll(ticket).is_pending());
        assert!(task.poll(ticket).is_pending());
        assert_eq!(task.wakers(), 1);
    }
    let last = Task::new();
    assert!(last.poll(&mut all).is_pending());
    let [first, second, mut third, fourth, fifth] = tickets;
    drop((first, second));
    // It goes to another task.
    assert!(last.poll(&mut third).is_pending());
    assert_eq!(tasks.each_ref().map(Task::wakers), [0, 0, 0, 1, 1]);
    assert_eq!(last.wakers(), 2);
    disk.let_go();
    let mut woken = 0;
    while woken < 2 {
        woken += last.wait();
    }
    assert!(last.poll(&mut third).is_ready() && last.poll(&mut all).is_ready());
    assert_eq!((tasks[3].wait(), tasks[4].wait(), woken), (1, 1, 2));
    drop((fourth, fifth, third, all));
    assert_eq!((last.wakes(), last.wakers()), (0, 0));
    assert_eq!(tasks.each_ref().map(Task::wakes), [0; 5]);
    assert_eq!(tasks.each_ref().map(Task::wakers), [0; 5]);
}

#[test]
fn a_failed_flush_wakes_all_that_wait_for_it() {
    let (disk, wal) = held();
    let tasks = [(); 3].map(|()| Task::new());
    let mut tickets = [(); 3].map(|()| ticket(&wal, b"x"));
    for (task, ticket) in tasks.iter().zip(&mut tickets) {
        assert!(task.poll(ticket).is_pending());
    }
    let mut all = Box::pin(wal.sync_async());
    assert!(tasks[0].poll(&mut all).is_pending());
    disk.set(Op::Sync, Fault::Fail(EIO));
    disk.let_go();
    for (task, ticket) in tasks.iter().zip(&mut tickets) {
        let _ = task.wait();
        assert_is!(
            task.poll(ticket),
            Poll::Ready(Err(WalError::InDoubt { lsn: Some(_), .. }))
        );
    }
    assert_is!(
        tasks[0].poll(&mut all),
        Poll::Ready(Err(WalError::InDoubt { .. }))
    );
    assert_is!(block_on(wal.sync_async()), Err(WalError::Poisoned { .. }));
}

/// They wait for space, and the flusher tries again by itself.
#[test]
fn a_full_disk_keeps_tasks_waiting_and_is_no_failure() {
    let disk = Disk::new();
    let wal = open(&disk, busy_heap());
    wal.append_and_sync(b"first").unwrap();
    let writes = disk.calls(Op::Write);
    disk.set(Op::Write, Fault::Fail(std::io::ErrorKind::StorageFull));
    let (task, mut waiting) = (Task::new(), ticket(&wal, b"x"));
    assert!(task.poll(&mut waiting).is_pending());
    while disk.calls(Op::Write) < writes + 3 {
        std::thread::yield_now();
    }
    assert!(task.poll(&mut waiting).is_pending());
    assert_eq!(task.wakes(), 0);
    disk.heal();
    assert_eq!(task.wait(), 1);
    assert!(block_on(waiting).is_ok());
}

#[test]
fn a_cut_and_a_close_are_heard_of() {
    let wal = Wal::with_store(MemStore::new()).unwrap();
    let kept = wal.append_and_sync(b"kept").unwrap();
    let cut = ticket(&wal, b"cut");
    wal.truncate_after(kept).unwrap();
    assert_is!(block_on(cut), Err(WalError::CutBack { .. }));

    let (disk, wal) = held();
    let (task, mut waiting) = (Task::new(), ticket(&wal, b"last"));
    assert!(task.poll(&mut waiting).is_pending());
    let closes = std::thread::spawn(move || wal.close());
    disk.let_go();
    assert_eq!(task.wait(), 1);
    assert!(block_on(waiting).is_ok());
    closes.join().unwrap().unwrap();
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "added")]
struct Added(u64);

#[derive(Default)]
struct Sum(u64);

impl State for Sum {
    type Event = Added;

    fn apply(&mut self, event: Added, _: At<'_>) {
        self.0 += event.0;
    }
}

#[test]
fn a_decision_is_awaited_and_says_what_waiting_says() {
    let (disk, wal) = held();
    disk.let_go();
    let log: EventLog<Added> = wal.typed().unwrap();
    let store = log.store::<Sum>(StoreConfig::new().with_others(true)).unwrap();
    let add = |cents| {
        store.submit(move |sum, _| match sum.0 + cents {
            sum if sum > 10 => Err(sum),
            sum => Ok(Decision::new(sum).event(Added(cents))),
        })
    };
    disk.hold(Op::Sync);
    let (task, mut first) = (Task::new(), add(7).unwrap());
    let mut refused = add(7).unwrap();
    assert!(task.poll(&mut first).is_pending());
    // What it was refused for is not durable yet.
    assert!(task.poll(&mut refused).is_pending());
    let dropped = add(1).unwrap();
    disk.let_go();
    assert_eq!(block_on(first).unwrap().value, 7);
    assert_is!(block_on(refused), Err(TransactError::Refused(14)));
    drop(dropped);
    assert_eq!(store.read(|sum| sum.0).unwrap(), 8);
    assert_eq!(task.wakers(), 0);
}
