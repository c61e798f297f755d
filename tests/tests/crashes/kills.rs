//! SIGKILL, over and over, at any moment: while four threads append, in the middle of claims, while a log is opened and
//! recovers from the kill before, while it is cut at either end and goes on to the next segment, while it is closed.
//!
//! Each process goes on with what the one before has left. The supervisor has every acknowledgement in a pipe and looks
//! at a copy, so recovery itself runs in processes that are killed. P1: whatever returned is there; a batch is there
//! whole or not at all; nothing is there that nobody wrote; what was cut off does not come back.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    os::unix::process::ExitStatusExt,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use wal_db::{Lsn, Staging, Wal, WalConfig};
use wal_tests::{
    child::{Process, Reporter, command, open_here, reports, told},
    files::{Form, Place},
    quiet,
    random::Rng,
    scale, seed,
};

const THREADS: u64 = 4;
/// Kills of each of the four logs.
const ROUNDS: u64 = 16;
const BATCH: u64 = 3;

// ---- what is appended -------------------------------------------------------------------------------------------

/// Where a record is from: round, thread, count.
type Name = (u64, u64, u64);

/// The content of a record, which can be told from its name alone.
fn content((round, thread, count): Name) -> Vec<u8> {
    // Now and then one that is too long for the ring.
    let len = match (count * 7 + thread) % 97 {
        0 => 70_000,
        n if n % 5 == 0 => 3000,
        n => n,
    };
    let mut bytes = format!("{round} {thread} {count} ").into_bytes();
    bytes.extend((0..len).map(|i| (i * 13 + count * 7 + thread) as u8));
    bytes
}

fn name_of(content: &[u8]) -> Name {
    let mut fields = content.split(|&byte| byte == b' ').map(|field| {
        let text = std::str::from_utf8(field).ok();
        text.and_then(|text| text.parse::<u64>().ok())
    });
    let mut next = || fields.next().flatten().expect("a record that nobody wrote");
    (next(), next(), next())
}

/// Every fourth append of a thread is a batch, which takes several counts.
const fn is_batch(count: u64) -> bool {
    count.is_multiple_of(BATCH + 3)
}

// ---- the supervisor ---------------------------------------------------------------------------------------------

/// When a round ends: so many reports of a kind, and a moment more.
struct Moment {
    kind: &'static str,
    count: u64,
    more: Duration,
}

impl Moment {
    fn any(rng: &mut Rng, holds: bool) -> Moment {
        let kinds = [
            "opens", "opened", "cuts", "drops", "closes", "appended", "appended",
        ];
        let kind = if holds {
            "inside"
        } else {
            kinds[rng.below(kinds.len())]
        };
        let count = match kind {
            "appended" => rng.below(1500),
            "drops" => rng.below(6),
            "inside" | "cuts" => 0,
            _ => rng.below(2),
        };
        Moment {
            kind,
            count: count as u64,
            more: Duration::from_micros([0, rng.below(300), rng.below(4000)][rng.below(3)] as u64),
        }
    }
}

/// What the supervisor knows of a log.
#[derive(Default)]
struct Known {
    /// Records that have to be there, by their LSNs.
    records: BTreeMap<Lsn, Name>,
    /// How far each thread of this round has got.
    counts: HashMap<u64, u64>,
    /// The head is here at least, and at most there.
    dropped: Lsn,
    drops: Lsn,
    /// A cut after this record that was begun and not acknowledged.
    cuts: Option<Lsn>,
    acknowledged: u64,
}

impl Known {
    fn hear(&mut self, report: &str) {
        let (kind, rest) = report.split_once(' ').unwrap_or((report, ""));
        let mut numbers = rest.split(' ').map(|text| text.parse::<u64>().unwrap_or(0));
        let mut next = || numbers.next().unwrap();
        match kind {
            "appended" => {
                let (round, thread, first) = (next(), next(), next());
                let counts = first..first + if is_batch(first) { BATCH } else { 1 };
                let expected = self.counts.insert(thread, counts.end).unwrap_or(0);
                assert_eq!(expected, first, "a thread goes on in order");
                for count in counts {
                    let lsn = Lsn::new(next());
                    let before = self.records.insert(lsn, (round, thread, count));
                    assert_eq!(before, None, "an LSN is used once");
                    self.acknowledged += 1;
                }
            }
            "cuts" => self.cuts = Some(Lsn::new(next())),
            "cut" => {
                let last = self.cuts.take().unwrap();
                self.records.retain(|lsn, _| *lsn <= last);
            }
            "drops" => self.drops = self.drops.max(Lsn::new(next())),
            "dropped" => self.dropped = self.dropped.max(Lsn::new(next())),
            _ => {}
        }
    }

    /// Compares with what is there, and takes over what was under way and has made it.
    fn compare(&mut self, wal: &Wal, round: u64) {
        let head = wal.status().head;
        assert!(
            self.dropped <= head && (head <= self.drops || self.records.range(..head).next().is_none()),
            "head {head}, dropped {} to {}",
            self.dropped,
            self.drops
        );
        let mut found = BTreeMap::new();
        for record in wal.iter().unwrap() {
            let record = record.unwrap();
            let name = name_of(record.data());
            assert!(record.data() == content(name), "{name:?} has other bytes");
            assert!(record.lsn() >= head);
            let last = found.last_key_value().map(|(lsn, _)| *lsn);
            assert!(last < Some(record.lsn()), "order");
            found.insert(record.lsn(), name);
        }
        self.records = self.records.split_off(&head);
        if let Some(last) = self.cuts.take()
            && !self
                .records
                .range(last..)
                .skip(1)
                .any(|(lsn, _)| found.contains_key(lsn))
        {
            self.records.retain(|lsn, _| *lsn <= last);
        }
        for (lsn, name) in &self.records {
            assert_eq!(found.get(lsn), Some(name), "{lsn} was acknowledged");
        }
        let mut more: HashMap<u64, Vec<u64>> = HashMap::new();
        for (_, (of, thread, count)) in found.iter().filter(|(lsn, _)| !self.records.contains_key(lsn)) {
            assert_eq!(*of, round, "a record that is back");
            more.entry(*thread).or_default().push(*count);
        }
        for (thread, counts) in more {
            let next = self.counts.get(&thread).copied().unwrap_or(0);
            let under_way = next..next + if is_batch(next) { BATCH } else { 1 };
            assert_eq!(
                counts,
                under_way.collect::<Vec<_>>(),
                "only what was under way, and whole"
            );
        }
        self.records = found;
        (self.dropped, self.drops) = (head, head);
        self.counts.clear();
    }
}

/// Many rounds on one log.
fn kill_loop(form: Form, staging: Staging) {
    let place = Place::new(form);
    let mut known = Known::default();
    let seed = seed() << 2 | (form as u64) << 1 | u64::from(staging == Staging::Mapped);
    let mut rng = Rng::new(seed);
    let rounds = ROUNDS * u64::from(scale());
    let (mut held, mut kinds) = (0, HashMap::<_, u64>::new());
    for round in 0..rounds {
        let holds = round % 4 == 1;
        let moment = Moment::any(&mut rng, holds);
        let _says = Says(format!(
            "{form:?}, {staging:?}, round {round}, WAL_TESTS_SEED={}, {} {}",
            seed >> 2,
            moment.kind,
            moment.count
        ));
        let mut command = command("kills::appends_until_it_is_killed", &place);
        command
            .env("WAL_TESTS_ROUND", round.to_string())
            .env("WAL_TESTS_SEED", rng.number().to_string())
            .env("WAL_TESTS_HOLDS", holds.to_string())
            .env("WAL_TESTS_STAGING", format!("{staging:?}"));
        let mut child = Process::of(command);
        let mut reports = reports(&mut child);
        let (mut left, mut alone) = (moment.count, false);
        for report in reports.by_ref() {
            known.hear(&report);
            let is_it = report.split(' ').next() == Some(moment.kind);
            if is_it && left == 0 {
                alone = report.ends_with("alone");
                break;
            }
            left -= u64::from(is_it);
        }
        thread::sleep(moment.more);
        child.kill().unwrap();
        // What it reported before it died is in the pipe.
        reports.for_each(|report| known.hear(&report));
        assert_eq!(child.wait().unwrap().signal(), Some(9));

        let copy = place.killed();
        if !copy.path().exists() {
            // Not even made.
            assert_eq!(known.acknowledged, 0, "a log that took records is gone");
            continue;
        }
        let wal = copy.open(quiet().with_staging_bytes(64 << 10)).unwrap();
        known.compare(&wal, round);
        assert!(wal.verify().unwrap().is_intact());
        let voids = wal.recovery().void_bytes;
        assert!(
            !holds || alone || staging != Staging::Mapped || voids > 0,
            "a claim that died unpublished"
        );
        held += u64::from(voids > 0);
        *kinds.entry(moment.kind).or_default() += 1;
    }
    let acknowledged = known.acknowledged;
    let text = format!(
        "{form:?}, {staging:?}: {rounds} kills, {held} of them with dead claims, {acknowledged} acknowledged; after {kinds:?}\n"
    );
    std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes()).unwrap();
    assert!(acknowledged > 50 * rounds, "{acknowledged} in {rounds} rounds");
}

/// Names the round that fails.
pub(super) struct Says(pub(super) String);

impl Drop for Says {
    fn drop(&mut self) {
        if thread::panicking() {
            std::io::Write::write_all(&mut std::io::stderr(), format!("in {}\n", self.0).as_bytes()).unwrap();
        }
    }
}

#[test]
fn a_killed_process_loses_no_returned_append_in_one_file() {
    kill_loop(Form::File, Staging::Mapped);
}

#[test]
fn a_killed_process_loses_no_returned_append_in_segments() {
    kill_loop(Form::Segmented, Staging::Mapped);
}

#[test]
fn a_killed_process_loses_no_returned_append_in_one_file_without_staging() {
    kill_loop(Form::File, Staging::WriteThrough);
}

#[test]
fn a_killed_process_loses_no_returned_append_in_segments_without_staging() {
    kill_loop(Form::Segmented, Staging::WriteThrough);
}

// ---- the process that is killed ---------------------------------------------------------------------------------

/// What the threads of the process share.
struct Worker {
    wal: Wal,
    reporter: Reporter,
    round: u64,
    /// One thread goes into a closure and never comes out; nobody waits for it.
    holds: bool,
    written_through: bool,
    appended: AtomicU64,
}

impl Worker {
    /// Appends in one of all the ways; returns how many records that was.
    fn append(&self, thread: u64, count: u64) -> (u64, Lsn) {
        let name = (self.round, thread, count);
        let bytes = content(name);
        let lsns = match count % 4 {
            _ if is_batch(count) => {
                let batch: Vec<_> = (count..count + BATCH)
                    .map(|count| content((self.round, thread, count)))
                    .collect();
                self.wal.append_batch(&batch).unwrap()
            }
            1 => vec![
                self.wal
                    .append_in_place(bytes.len(), |space| {
                        let (first, rest) = space.split_at_mut(bytes.len() / 2);
                        first.copy_from_slice(&bytes[..first.len()]);
                        thread::yield_now(); // the kill may come here
                        rest.copy_from_slice(&bytes[first.len()..]);
                    })
                    .unwrap(),
            ],
            _ => vec![self.wal.append(&bytes).unwrap()],
        };
        let list: Vec<String> = lsns.iter().map(|lsn| lsn.get().to_string()).collect();
        let list = list.join(" ");
        self.reporter
            .report(&format!("appended {} {thread} {count} {list}", self.round));
        self.appended.fetch_add(1, Ordering::SeqCst);
        (lsns.len() as u64, lsns[0])
    }

    /// Claims space, and stays there.
    fn hold(&self) {
        let _ = self.wal.append_in_place(500, |space| {
            space[..100].fill(0xee);
            // After the claim; written through, or if the next record wants more room than is left, nobody gets past it.
            let start = self.appended.load(Ordering::SeqCst);
            let behind = || self.appended.load(Ordering::SeqCst) >= start + THREADS;
            for _ in 0..100_000 {
                if self.written_through || behind() {
                    break;
                }
                thread::yield_now();
            }
            self.reporter
                .report(if behind() { "inside" } else { "inside alone" });
            loop {
                thread::park();
            }
        });
    }

    /// Appends until the phase is over; now and then flushes, and one thread drops what is old.
    fn work(&self, thread: u64, count: &mut u64, appends: u64) {
        let mut recent = VecDeque::new();
        for i in 0..appends {
            if self.holds && thread == 0 && i == 5 {
                self.hold();
            }
            let (records, lsn) = self.append(thread, *count);
            *count += records;
            recent.push_back(lsn);
            if self.holds {
                continue; // a flush or a truncation would wait for the claim
            }
            if i % 50 == 49 {
                self.wal.sync().unwrap();
            }
            if thread == 1 && i % 40 == 39 {
                let first = recent.drain(..20).next().unwrap().get();
                self.reporter.report(&format!("drops {first}"));
                let head = self.wal.truncate_before(Lsn::new(first)).unwrap();
                self.reporter.report(&format!("dropped {}", head.get()));
            }
        }
    }
}

/// Cuts a few records off the end.
fn cut(worker: &Worker, back: usize) {
    let newest = worker.wal.iter_rev().unwrap().nth(back);
    if let Some(record) = newest {
        let last = record.unwrap().lsn();
        worker.reporter.report(&format!("cuts {}", last.get()));
        worker.wal.truncate_after(last).unwrap();
        worker.reporter.report("cut");
    }
}

#[test]
#[ignore = "the process that kill_loop kills"]
fn appends_until_it_is_killed() {
    let mut rng = Rng::new(told("WAL_TESTS_SEED").parse().unwrap());
    let staging = match told("WAL_TESTS_STAGING").as_str() {
        "Mapped" => Staging::Mapped,
        _ => Staging::WriteThrough,
    };
    // With threads that flush, prepare and seal all the time.
    let config = WalConfig::new()
        .with_staging_bytes(64 << 10)
        .with_seal_after_ms(1)
        .with_staging(staging);
    let mut counts = [0; THREADS as usize];
    loop {
        let reporter = Reporter::new();
        reporter.report("opens");
        let worker = Worker {
            wal: open_here(config),
            reporter,
            round: told("WAL_TESTS_ROUND").parse().unwrap(),
            holds: told("WAL_TESTS_HOLDS") == "true",
            written_through: staging != Staging::Mapped,
            appended: AtomicU64::new(0),
        };
        worker.reporter.report("opened");
        cut(&worker, rng.below(8));
        let appends = if worker.holds {
            u64::MAX
        } else {
            20 + rng.below(300) as u64
        };
        thread::scope(|scope| {
            for (thread, count) in counts.iter_mut().enumerate() {
                let worker = &worker;
                scope.spawn(move || worker.work(thread as u64, count, appends));
            }
        });
        worker.reporter.report("closes");
        worker.wal.close().unwrap();
    }
}
