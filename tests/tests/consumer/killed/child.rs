//! The process that is killed.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    path::Path,
    sync::{
        Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use wal_db::{
    Event, EventLog, Lsn, Meta, Start, WalError,
    consumer::{Consumer, ConsumerConfig, ConsumerError, Delivery, HandlerError, Poison, Waited},
};
use wal_tests::{
    PATIENCE,
    child::{Reporter, open_here, told},
    quiet,
    random::Rng,
};

use super::{Job, NAMES, is_bad, key};

const WRITERS: u64 = 3;

pub(super) fn config(name: &str, window: usize) -> ConsumerConfig<Job> {
    let config = ConsumerConfig::new()
        .with_start(Start::Head)
        .with_attempts(3)
        .with_backoff(Duration::ZERO, Duration::ZERO)
        .with_window(window)
        .with_key(|event| match event.event {
            Job::Asked { number } => key(number),
            Job::Answered { .. } => String::new(),
        });
    match name {
        "parks" => config.with_poison(Poison::Park),
        _ => config,
    }
}

/// Which round it is and what is to be done in it.
struct Task {
    seed: u64,
    round: u64,
    /// Everything is drained, and then it ends.
    drains: bool,
    /// No event is bad any more.
    heals: bool,
    /// Consumers are paused, rewound and so on.
    orders: bool,
}

impl Task {
    fn told() -> Task {
        let number = |name| told(name).parse().unwrap();
        let does = |what: &str| told("WAL_TESTS_DOES").split(' ').any(|does| does == what);
        Task {
            seed: number("WAL_TESTS_SEED"),
            round: number("WAL_TESTS_ROUND"),
            drains: does("drains"),
            heals: does("heals"),
            orders: does("orders"),
        }
    }
}

/// The file that the lines of a consumer are in.
pub(super) fn file_of(effects: &Path, name: &str) -> std::path::PathBuf {
    effects.join(name)
}

/// What the threads of the process share.
struct Worker {
    log: EventLog<Job>,
    consumers: [Consumer<Job>; 4],
    reporter: Reporter,
    task: Task,
    files: [File; 4],
    handled: Mutex<u64>,
    more: Condvar,
    /// Events, to which consumers can be rewound.
    events: Mutex<Vec<Lsn>>,
    is_written: AtomicBool,
}

impl Worker {
    fn handle(
        &self,
        which: usize,
        event: &Event<Job>,
        delivery: &mut Delivery<'_, Job>,
    ) -> Result<(), HandlerError> {
        let Job::Asked { number } = event.event else {
            return Ok(());
        };
        let name = NAMES[which];
        let emits = matches!(name, "answers" | "lanes");
        if name == "lanes" && number % 41 == 0 {
            // Others overtake it.
            thread::sleep(Duration::from_millis(2));
            let status = self.consumers[which].status();
            // It fails if the log is closed.
            let cursor = status.map_or(Lsn::ZERO, |status| status.cursor);
            if cursor > event.lsn {
                self.wrong(&format!(
                    "{cursor} is after {}, which is being handled",
                    event.lsn
                ));
            }
        }
        if number % 13 == 1 && delivery.attempt() == 1 {
            if emits {
                // Of an attempt that fails nothing may be seen.
                delivery.emit(Job::Asked { number: u64::MAX }, Meta::new());
            }
            return Err("at first".into());
        }
        if name == "parks" && is_bad(number) && !self.task.heals {
            return Err("bad".into());
        }
        if name != "answers" {
            let line = format!("{} {number} {}\n", event.lsn.get(), delivery.token());
            (&self.files[which]).write_all(line.as_bytes())?;
        }
        if emits {
            let by = name.to_owned();
            delivery.emit(Job::Answered { number, by }, Meta::new());
        }
        let mut handled = self.handled.lock().unwrap();
        *handled += 1;
        if handled.is_multiple_of(32) {
            self.reporter.report("handled");
        }
        drop(handled);
        self.more.notify_all();
        Ok(())
    }

    fn wrong(&self, what: &str) {
        self.reporter.report(&format!("wrong {what}"));
    }

    /// Runs a consumer until it is stopped or the log is closed.
    fn run(&self, which: usize, lanes: usize) {
        let handle =
            |event: &Event<Job>, delivery: &mut Delivery<'_, Job>| self.handle(which, event, delivery);
        let consumer = &self.consumers[which];
        let ran = match NAMES[which] {
            "lanes" => consumer.run_in_lanes(lanes, handle),
            _ => consumer.run(handle),
        };
        match ran {
            // The last one says that it was closed before the thread came to run.
            Ok(()) | Err(WalError::Closed) => {}
            Err(error) => self.wrong(&format!("{} has ended: {error:?}", NAMES[which])),
        }
    }

    fn write(&self, writer: u64, life: u64, mut rng: Rng) {
        for count in 0..20 + rng.below(200) as u64 {
            let number = ((self.task.round * 100 + life) * 10 + writer) * 1000 + count;
            let meta = Meta::new().with_stream(number % 7);
            let lsn = self.log.append_with_meta(&Job::Asked { number }, &meta).unwrap();
            if rng.below(8) == 0 {
                self.log.wal().sync().unwrap();
                self.events.lock().unwrap().push(lsn);
            }
        }
        self.log.wal().sync().unwrap();
    }

    /// Gives orders to the consumers while they run.
    fn order(&self, mut rng: Rng) {
        while !self.is_written.load(Ordering::SeqCst) {
            let handled = self.handled.lock().unwrap();
            let enough = *handled + rng.below(30) as u64;
            let too_few = |handled: &mut u64| *handled < enough && !self.is_written.load(Ordering::SeqCst);
            drop(self.more.wait_while(handled, too_few).unwrap());
            let what = rng.below(8);
            // Only one of them has something to be tried again or passed over.
            let which = if what < 4 { rng.below(NAMES.len()) } else { 3 };
            let (name, consumer) = (NAMES[which], &self.consumers[which]);
            let parked = consumer.parked().unwrap();
            let letter = parked.get(rng.below(parked.len())).map(|letter| letter.lsn);
            match (what, letter) {
                (0, _) => self.ordered(&format!("pause {name} 0"), || consumer.pause()),
                (1 | 2, _) => self.ordered(&format!("resume {name} 0"), || consumer.resume()),
                (3, _) => self.rewind(which, &mut rng),
                (4 | 5, Some(lsn)) => {
                    self.ordered(&format!("retry {name} {}", lsn.get()), || consumer.retry(lsn))
                }
                (6 | 7, Some(lsn)) => self.ordered(&format!("skip {name} {}", lsn.get()), || {
                    consumer.skip(lsn, "by hand")
                }),
                _ => {}
            }
        }
    }

    /// Takes a consumer to some event that it has handled, or to the first one.
    fn rewind(&self, which: usize, rng: &mut Rng) {
        let consumer = &self.consumers[which];
        // It goes on meanwhile, and never back.
        let cursor = consumer.status().unwrap().cursor;
        let events = self.events.lock().unwrap();
        let lsn = events.get(rng.below(2 * events.len().max(1))).copied();
        drop(events);
        let head = self.log.wal().status().head;
        let to = lsn.filter(|lsn| *lsn <= cursor).unwrap_or(head);
        self.ordered(&format!("rewind {} {}", NAMES[which], to.get()), || {
            consumer.rewind(to)
        });
    }

    /// Does something that is durable once that is said.
    fn ordered(&self, what: &str, order: impl FnOnce() -> wal_db::Result<()>) {
        self.reporter.report(&format!("orders {what}"));
        match order() {
            Ok(()) => self.reporter.report("ordered"),
            Err(WalError::Consumer(ConsumerError::NotParked { .. })) => self.reporter.report("refused"),
            Err(error) => self.wrong(&format!("{what}: {error}")),
        }
    }

    /// Returns once every consumer has done all that it can do.
    fn drain(&self) {
        for (name, consumer) in NAMES.iter().zip(&self.consumers) {
            self.ordered(&format!("resume {name} 0"), || consumer.resume());
            for letter in consumer.parked().unwrap().iter().filter(|_| self.task.heals) {
                consumer.retry(letter.lsn).unwrap();
            }
        }
        let last = || self.log.wal().last_lsn().unwrap();
        loop {
            let come_to = last();
            self.log.wal().sync().unwrap();
            for consumer in &self.consumers {
                let waited = come_to.map(|lsn| consumer.wait_for(lsn, PATIENCE).unwrap());
                if waited == Some(Waited::TimedOut) {
                    self.wrong(&format!("{} does not go on", consumer.name()));
                    return;
                }
                while consumer.parked().unwrap().iter().any(|letter| letter.is_due) {
                    thread::yield_now();
                }
            }
            if come_to == last() {
                return;
            }
        }
    }
}

fn open(reporter: Reporter, task: Task, rng: &mut Rng) -> Worker {
    reporter.report("opens");
    // With threads that flush, prepare and seal all the time.
    let config_of_log = quiet().with_background_flush(true).with_seal_after_ms(1);
    let log: EventLog<Job> = open_here(config_of_log).typed().unwrap();
    reporter.report("opened");
    let consumers = NAMES.map(|name| {
        let consumer = log.consumer(name, config(name, 1 + rng.below(64))).unwrap();
        let is_paused = consumer.status().unwrap().is_paused;
        reporter.report(&format!("made {name} {is_paused}"));
        consumer
    });
    let effects = told("WAL_TESTS_EFFECTS");
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    Worker {
        log,
        consumers,
        reporter,
        task,
        files: NAMES.map(|name| options.open(file_of(effects.as_ref(), name)).unwrap()),
        handled: Mutex::new(0),
        more: Condvar::new(),
        events: Mutex::new(Vec::new()),
        is_written: AtomicBool::new(false),
    }
}

/// Runs the consumers beside everything else, and closes the log.
fn live(worker: &Worker, life: u64, rng: &mut Rng) {
    let lanes = 1 + rng.below(5);
    thread::scope(|scope| {
        for which in 0..NAMES.len() {
            scope.spawn(move || worker.run(which, lanes));
        }
        if worker.task.drains {
            worker.drain();
        } else {
            let order = Rng::new(rng.number());
            let orders = worker.task.orders.then(|| scope.spawn(|| worker.order(order)));
            let writers = (0..WRITERS).map(|writer| (writer, Rng::new(rng.number())));
            let writers: Vec<_> = writers
                .map(|(writer, rng)| scope.spawn(move || worker.write(writer, life, rng)))
                .collect();
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            {
                let _handled = worker.handled.lock().unwrap();
                worker.is_written.store(true, Ordering::SeqCst);
            }
            worker.more.notify_all();
            if let Some(orders) = orders {
                orders.join().unwrap();
            }
        }
        worker.reporter.report("closes");
        if worker.task.drains || rng.any() {
            worker.consumers.iter().for_each(Consumer::stop);
        }
        if !worker.task.drains {
            // Under the runs, it may be.
            worker.log.wal().clone().close().unwrap();
        }
    });
}

#[test]
#[ignore = "the process that is killed"]
fn handles_until_it_is_killed() {
    // It does not outlive the one that started it.
    thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(1);
    });
    let mut rng = Rng::new(Task::told().seed);
    for life in 0.. {
        let worker = open(Reporter::new(), Task::told(), &mut rng);
        live(&worker, life, &mut rng);
        if worker.task.drains {
            worker.reporter.report("drained");
            return;
        }
    }
}
