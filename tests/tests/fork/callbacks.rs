//! What the log calls of a program may fork as well, and the child then comes back out of it, into the log.

use std::{
    cell::RefCell,
    future::Future,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    task::{Context, Wake, Waker},
    thread,
};

use serde::{Deserialize, Serialize, de::DeserializeSeed};
use wal_db::{
    EventLog, Lsn, MemStore, Staging, Wal, WalRecord,
    codec::{Codec, CodecError, CodecId, DefaultCodec},
    state::{At, State},
};
use wal_tests::{
    all,
    files::{Form, Place},
    pairs, put, scale,
    scripted::{Op, Scripted},
    ticket,
};

use super::{
    FORKED,
    children::{fork_and_go_on, leave, wait},
    config, said,
};

/// How children end. None exits as its parent would: what a thread does at its end, this one does in a child.
const ENDED: i32 = 0;
const ENDED_AS_OTHERS_DO: i32 = 3;
const TOLD: i32 = 4;
const DROPPED: i32 = 5;
const SAID: i32 = 6;
const SAID_SOMETHING_ELSE: i32 = 7;

thread_local! {
    static END: RefCell<Option<EndOfThread>> = const { RefCell::new(None) };
}

struct EndOfThread(u32);

impl Drop for EndOfThread {
    fn drop(&mut self) {
        if std::process::id() != self.0 {
            leave(ENDED_AS_OTHERS_DO);
        }
    }
}

/// Forks in a thread that must not end as others do; whether this is the child.
fn forked(children: &Sender<libc::pid_t>) -> bool {
    END.set(Some(EndOfThread(std::process::id())));
    match fork_and_go_on() {
        Some(child) => children.send(child).is_err(),
        None => true,
    }
}

/// What must not be dropped in a child of this process.
struct Kept(u32);

impl Kept {
    fn here() -> Kept {
        Kept(std::process::id())
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if std::process::id() != self.0 {
            leave(DROPPED);
        }
    }
}

/// How a child has ended, by itself.
fn code_of(child: libc::pid_t) -> i32 {
    let status = wait(child).expect("the child ends");
    assert!(libc::WIFEXITED(status), "{status:#x}");
    libc::WEXITSTATUS(status)
}

/// Threads that begin and end, and use the log, until this is dropped: any lock is held now and then.
struct Churn(Arc<AtomicBool>, Vec<thread::JoinHandle<()>>);

impl Churn {
    fn start(wal: &Wal) -> Churn {
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for uses in [true, false, false] {
            let (stop, wal) = (stop.clone(), wal.clone());
            threads.push(thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    thread::spawn(|| ()).join().unwrap();
                    if uses {
                        wal.append_and_sync(b"churn").unwrap();
                    }
                }
            }));
        }
        Churn(stop, threads)
    }
}

impl Drop for Churn {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        self.1.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

/// Tickets whose callback, or waker, forks in whatever thread of the log it runs.
fn fork_in_threads_of_the_log(wal: &Wal, count: u32, by_waker: bool) -> Vec<i32> {
    let (tell, told) = channel();
    let mut codes = Vec::new();
    while codes.len() < count as usize {
        let ticket = ticket(wal, b"x");
        let (tell, here) = (tell.clone(), Kept::here());
        let (outcome, outcomes) = channel();
        let call = move || {
            let in_thread = thread::current()
                .name()
                .is_some_and(|name| name.starts_with("wal-"));
            if in_thread && forked(&tell) {
                // A lock of the channel may be held.
                std::mem::forget((tell, outcome, here));
            } else {
                let _ = outcome.send(());
            }
        };
        if by_waker {
            let waker = Waker::from(Arc::new(Once(Mutex::new(Some(Box::new(call))))));
            let mut ticket = pin!(ticket);
            if ticket
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
            {
                outcomes.recv().unwrap();
            }
        } else {
            ticket.on_durable(move |durable| {
                assert!(durable.is_ok());
                call();
            });
            outcomes.recv().unwrap();
        }
        codes.extend(told.try_iter().map(code_of));
    }
    codes
}

/// A waker that calls once.
struct Once(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl Wake for Once {
    fn wake(self: Arc<Self>) {
        let call = self.0.lock().unwrap().take();
        call.into_iter().for_each(|call| call());
    }
}

#[test]
fn a_child_that_comes_out_of_a_callback_into_a_thread_of_the_log_ends() {
    for by_waker in [false, true] {
        let place = Place::fast(Form::File);
        let config = config(Staging::Mapped, true);
        let wal = place.open(config).unwrap();
        let churn = Churn::start(&wal);
        let codes = fork_in_threads_of_the_log(&wal, 50 * scale() as u32, by_waker);
        drop(churn);
        assert!(codes.iter().all(|&code| code == ENDED), "{codes:?}");
        (0..200).for_each(|i| drop(put(&wal, i, 1000)));
        wal.sync().unwrap();
        let entries = all(&wal);
        wal.close().unwrap();
        let wal = place.open(config).unwrap();
        assert!(wal.recovery().clean);
        assert_eq!(all(&wal), entries);
    }
}

/// What holds the flushes of one thread up.
struct Held {
    /// Flushes are held up from now on, or no more.
    armed: Arc<AtomicBool>,
    begun: Receiver<()>,
    go: Sender<()>,
}

impl Held {
    /// As long as it is armed, a flush by `thread` says that it has begun, and waits.
    fn by(thread: &'static str) -> (impl Fn(Op) + Send + Sync + 'static, Held) {
        let armed = Arc::new(AtomicBool::new(false));
        let ((begun, begins), (go, goes)) = (channel(), channel());
        let (begun, goes) = (Mutex::new(begun), Mutex::new(goes));
        let is_armed = armed.clone();
        let hook = move |call| {
            let is_it = call == Op::Sync && thread::current().name() == Some(thread);
            if is_it && is_armed.load(Ordering::Relaxed) {
                begun.lock().unwrap().send(()).unwrap();
                goes.lock().unwrap().recv().unwrap();
            }
        };
        let held = Held {
            armed,
            begun: begins,
            go,
        };
        (hook, held)
    }

    fn arm(&self, on: bool) {
        self.armed.store(on, Ordering::Relaxed);
    }
}

/// A log in memory with something before each call of its store.
fn open(hook: impl Fn(Op) + Send + Sync + 'static, segment_len: Option<u64>) -> Wal {
    let mut store = Scripted::new(MemStore::new(), move |_, call| {
        hook(call.op);
        // Little, so that it is asked for often.
        Ok((call.op == Op::Prepare).then(|| call.at.next_multiple_of(1 << 20)))
    });
    store.segment_len = segment_len;
    Wal::with_store_and_config(store, config(Staging::Heap, true)).unwrap()
}

#[test]
fn of_callbacks_that_are_due_together_a_child_calls_no_other_one() {
    let (hook, held) = Held::by("wal-flusher");
    let wal = open(hook, None);
    held.arm(true);
    drop(ticket(&wal, b"first"));
    held.begun.recv().unwrap();
    // All of these wait for the flush after that one.
    let (tell, told) = channel();
    let (calls, id) = (Arc::new(AtomicU32::new(0)), std::process::id());
    for _ in 0..10 {
        let (tell, calls, kept) = (tell.clone(), calls.clone(), Kept::here());
        ticket(&wal, b"x").on_durable(move |_| {
            if std::process::id() != id {
                leave(TOLD);
            }
            calls.fetch_add(1, Ordering::Relaxed);
            if forked(&tell) {
                std::mem::forget((tell, kept));
            }
        });
    }
    held.arm(false);
    held.go.send(()).unwrap();
    let codes: Vec<_> = (0..10).map(|_| code_of(told.recv().unwrap())).collect();
    assert_eq!(codes, [ENDED; 10]);
    assert_eq!(calls.load(Ordering::Relaxed), 10);
    wal.close().unwrap();
}

#[test]
fn a_child_that_comes_out_of_a_callback_into_the_preparing_thread_ends() {
    let (prepares, preparer) = Held::by("wal-preparer");
    let (flushes, flusher) = Held::by("wal-flusher");
    let hook = move |call| {
        prepares(call);
        flushes(call);
    };
    let wal = open(hook, Some(64 << 10));
    preparer.arm(true);
    let first = wal.append(b"first").unwrap();
    // Until the preparing thread flushes what was left behind.
    while preparer.begun.try_recv().is_err() {
        wal.append(&[1; 10_000]).unwrap();
    }
    flusher.arm(true);
    let (tell, told) = channel();
    wal.ticket(first).unwrap().on_durable(move |_| {
        assert_eq!(thread::current().name(), Some("wal-preparer"));
        if forked(&tell) {
            std::mem::forget(tell);
        }
    });
    preparer.arm(false);
    preparer.go.send(()).unwrap();
    let child = told.recv().expect("it is told by the thread that flushed");
    flusher.arm(false);
    // Whether or not one of its flushes has begun.
    flusher.go.send(()).unwrap();
    wal.append_and_sync(b"last").unwrap();
    wal.close().unwrap();
    assert_eq!(code_of(child), ENDED);
}

#[test]
fn a_child_that_comes_out_of_a_callback_into_a_call_comes_out_of_that_as_well() {
    type Call = fn(Wal, Lsn);
    let calls: [(&str, Call); 4] = [
        ("sync", |wal, _| drop(wal.sync())),
        ("append_and_sync", |wal, _| drop(wal.append_and_sync(b"x"))),
        ("wait", |wal, _| drop(ticket(&wal, b"x").wait())),
        ("truncate_after", |wal, lsn| drop(wal.truncate_after(lsn))),
    ];
    for ((name, call), _) in pairs(calls, 0..5 * scale()) {
        let (hook, held) = Held::by("wal-flusher");
        let wal = open(hook, None);
        let (id, handle) = (std::process::id(), wal.clone());
        held.arm(true);
        let first = ticket(&wal, b"x");
        let lsn = first.lsn();
        held.begun.recv().unwrap();
        // The flusher is kept in this one, so it is the call that tells the others.
        let ((tell_kept, kept), (let_go, go)) = (channel(), channel());
        first.on_durable(move |_| {
            tell_kept.send(()).unwrap();
            go.recv().unwrap();
        });
        held.arm(false);
        held.go.send(()).unwrap();
        kept.recv().unwrap();
        let (tell, told) = channel();
        for _ in 0..3 {
            let tell = tell.clone();
            ticket(&wal, b"x").on_durable(move |_| {
                if std::process::id() != id {
                    leave(TOLD);
                }
                if forked(&tell) {
                    std::mem::forget(tell);
                }
            });
        }
        drop(tell);
        call(wal, lsn);
        if std::process::id() != id {
            let refused = format!("Poisoned: {FORKED}");
            let rest = [
                said(handle.append(b"x")),
                said(handle.sync()),
                said(handle.iter()),
            ];
            drop(handle);
            let right = rest.iter().all(|said| *said == refused);
            leave(if right { SAID } else { SAID_SOMETHING_ELSE });
        }
        let_go.send(()).unwrap();
        drop(handle);
        let codes: Vec<_> = told.iter().map(code_of).collect();
        assert_eq!(codes, [SAID; 3], "{name}");
    }
}

#[test]
fn a_child_that_leaves_in_a_call_of_the_store_disturbs_nothing() {
    let (count, id) = (Arc::new(AtomicU32::new(0)), std::process::id());
    let children = Arc::new(Mutex::new(Vec::new()));
    let (counted, born) = (count.clone(), children.clone());
    let hook = move |_| {
        if counted.fetch_add(1, Ordering::Relaxed) % 3 == 0 {
            match fork_and_go_on() {
                None => leave(ENDED),
                Some(child) => born.lock().unwrap().push(child),
            }
        }
    };
    let wal = open(hook, None);
    for i in 0..50 {
        put(&wal, i, 50_000);
        ticket(&wal, b"x").on_durable(|told| assert!(told.is_ok()));
    }
    wal.truncate_before(wal.end()).unwrap();
    // Enough for a thread that reads ahead.
    (0..100).for_each(|i| drop(put(&wal, i, 50_000)));
    assert_eq!(all(&wal).len(), 100);
    wal.close().unwrap();
    assert_eq!(std::process::id(), id);
    for child in children.lock().unwrap().drain(..) {
        assert_eq!(code_of(child), ENDED);
    }
    assert!(count.load(Ordering::Relaxed) > 100);
}

/// What is written and read by a codec that forks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "forks")]
struct Forks(u32);

/// Where the next call that could fork says which child there is.
static NEXT: Mutex<Option<Sender<libc::pid_t>>> = Mutex::new(None);

fn fork_once() {
    let next = NEXT.lock().unwrap().take();
    if let Some(children) = next
        && forked(&children)
    {
        std::mem::forget(children);
    }
}

#[derive(Debug)]
enum Forking {}

impl Codec for Forking {
    const ID: CodecId = CodecId::new(200);

    fn encode<T: Serialize + ?Sized>(value: &T, bytes: &mut Vec<u8>) -> Result<(), CodecError> {
        fork_once();
        DefaultCodec::encode(value, bytes)
    }

    fn decode<'de, S: DeserializeSeed<'de>>(
        seed: S,
        bytes: &'de [u8],
    ) -> Result<(S::Value, usize), CodecError> {
        fork_once();
        DefaultCodec::decode(seed, bytes)
    }
}

#[derive(Default)]
struct Folded(u32);

impl State for Folded {
    type Event = Forks;

    fn apply(&mut self, event: Forks, _: At) {
        fork_once();
        self.0 += event.0;
    }
}

struct Batched;

impl AsRef<[u8]> for Batched {
    fn as_ref(&self) -> &[u8] {
        fork_once();
        b"batched"
    }
}

#[test]
fn a_child_that_comes_out_of_a_codec_a_state_or_a_closure_is_refused() {
    type Call = fn(&EventLog<Forks, Forking>) -> wal_db::Result<()>;
    let appending: [(&str, Call); 6] = [
        ("append", |log| log.append(&Forks(1)).map(drop)),
        ("append_batch", |log| {
            log.append_batch(&[Forks(1), Forks(2)]).map(drop)
        }),
        ("append_and_sync", |log| log.append_and_sync(&Forks(1)).map(drop)),
        ("append, read back", |log| {
            log.clone().with_read_back(true).append(&Forks(1)).map(drop)
        }),
        ("append_batch of bytes", |log| {
            log.wal().append_batch(&[Batched, Batched]).map(drop)
        }),
        ("append_in_place, too long for the ring", |log| {
            log.wal().append_in_place(70_000, |_| fork_once()).map(drop)
        }),
    ];
    // What they had read when the process was forked is handed out.
    let reading: [(&str, Call); 2] = [
        ("replay", |log| {
            log.replay(..)?.try_for_each(|event| event.map(drop))
        }),
        ("rebuild", |log| log.rebuild::<Folded>().map(drop)),
    ];
    let calls = appending.map(|call| (call, false)).into_iter();
    for ((name, call), reads) in calls.chain(reading.map(|call| (call, true))) {
        for _ in 0..5 * scale() {
            let place = Place::fast(Form::Segmented);
            let wal = place.open(config(Staging::Mapped, true)).unwrap();
            let log = wal.typed::<Forks>().unwrap().with_codec::<Forking>();
            for i in 0..100 {
                log.append(&Forks(i)).unwrap();
            }
            let other = place_of_another();
            let churn = Churn::start(if reads { &other } else { &wal });
            let (tell, told) = channel();
            let id = std::process::id();
            *NEXT.lock().unwrap() = Some(tell);
            let outcome = said(call(&log));
            if std::process::id() != id {
                let refused = format!("Poisoned: {FORKED}");
                let right = outcome == refused || reads && outcome == "Ok";
                let right = right && said(log.append(&Forks(1))) == refused;
                std::mem::forget(churn);
                drop((log, wal, other));
                leave(if right { SAID } else { SAID_SOMETHING_ELSE });
            }
            assert_eq!(outcome, "Ok", "{name}");
            drop(churn);
            let codes: Vec<_> = told.iter().map(code_of).collect();
            assert_eq!(codes, [SAID], "{name}");
        }
    }
}

fn place_of_another() -> Wal {
    Wal::with_store_and_config(MemStore::new(), config(Staging::Heap, true)).unwrap()
}
