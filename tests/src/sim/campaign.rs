//! Runs, all of their crash images, and what came of them.

use std::{
    collections::HashMap,
    ops::AddAssign,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use wal_db::testing::sim::{Arrival, Image, Medium, Step};

use super::{
    check::{self, Outcome},
    damage::{self, Damaged},
    expect::{Expect, Verdict},
    log::{Design, index_of},
    run::Run,
    watchdog::{self, Watchdog},
};
use crate::{add_up, files::Form, random::Rng};

/// Where no more images can be left, all of them are tried.
const EXHAUSTIVE: usize = 1 << 12;
/// How many images are tried elsewhere.
const SAMPLES: usize = 66;
/// Where no more can be, each of them is tried with so many states of mapped memory.
const FEW: usize = 4;
const STATES: usize = 4;
/// One in so many distinct images is crashed again at every call of its recovery.
const SECOND_CRASHES: usize = 16;
/// Findings that are kept word for word.
const KEPT_FINDINGS: usize = 5;

/// What is to be done.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// The first run's seed; the others follow.
    pub seed: u64,
    /// Stop when so many crash images were checked; damaged ones come on top.
    pub images: u64,
    /// `sync` does nothing: the campaign has to find that out.
    pub lies: bool,
    /// Whose log it is.
    pub design: Design,
    /// Threads that work on it.
    pub threads: usize,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Runs that were recorded.
    pub runs: u64,
    /// Calls of the runs, and moments between them, after which the power was lost.
    pub points: u64,
    /// Those after which every subset of the cache was tried.
    pub exhaustive: u64,
    /// How often the durable end of a log got into another segment.
    pub rotations: u64,
    /// How many segments were removed because the head was after them.
    pub removals: u64,
    /// Crash images that were checked, second crashes included.
    pub images: u64,
    /// How many of them were crashes inside the recovery from another crash, or inside the append after it.
    pub inside: u64,
    /// How many of them were crashes right after the flush of a record that was appended after another crash.
    pub behind: u64,
    /// How many of them were left by a process that died, and no power loss.
    pub deaths: u64,
    /// Images of a run that differ, second crashes left out.
    pub distinct: u64,
    /// Legitimate crashes that were refused.
    pub refused: u64,
    /// Records that were made up, or unacknowledged ones after acknowledged ones.
    pub resurrected: u64,
    /// Acknowledged records that the last flush had covered and that are gone.
    pub lost_last: u64,
    /// Acknowledged records that earlier flushes had covered and that are gone.
    pub lost_earlier: u64,
    /// Logs that broke another promise: one more crash changed what was read, or a call failed.
    pub broken: u64,
    /// What damage did.
    pub damaged: Damaged,
    /// The first things that went wrong, for people.
    pub findings: Vec<String>,
}

impl Figures {
    /// Whether nothing went wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let wrong = [
            self.refused,
            self.resurrected,
            self.lost_last,
            self.lost_earlier,
            self.broken,
            self.damaged.silent,
        ];
        wrong == [0; 6]
    }

    pub(super) fn find(&mut self, finding: impl FnOnce() -> String) {
        if self.findings.len() < KEPT_FINDINGS {
            self.findings.push(finding());
        }
    }
}

impl AddAssign for Figures {
    fn add_assign(&mut self, other: Figures) {
        add_up! { self += other:
            runs points exhaustive images rotations removals inside behind deaths distinct
            refused resurrected lost_last lost_earlier broken damaged
        }
        self.findings.extend(other.findings);
        self.findings.truncate(KEPT_FINDINGS);
    }
}

/// Does it.
#[must_use]
pub fn run(plan: Plan) -> Figures {
    let (next, checked) = (AtomicU64::new(plan.seed), AtomicU64::new(0));
    let failed = AtomicBool::new(false);
    let watchdog = Watchdog::new("seed");
    let work = || {
        let mut figures = Figures::default();
        while checked.load(Ordering::Relaxed) < plan.images && !failed.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let one = watchdog.while_at(seed, || one(seed, plan));
            checked.fetch_add(one.images, Ordering::Relaxed);
            figures += one;
            // More of the same tells nothing new; of a disk that lies, or of another design, the figures do.
            let enough = figures.findings.len() == KEPT_FINDINGS && !plan.lies && plan.design == Design::Ours;
            failed.fetch_or(enough, Ordering::Relaxed);
        }
        figures
    };
    let mut figures = Figures::default();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..plan.threads.max(1)).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            figures += worker.join().unwrap();
        }
    });
    figures
}

/// Checks the run of a seed. A panic in the log is a promise that is broken like any other.
fn one(seed: u64, plan: Plan) -> Figures {
    let one = || check(&Run::record(seed, plan.design, plan.lies));
    catch_unwind(AssertUnwindSafe(one)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let mut figures = Figures {
            runs: 1,
            broken: 1,
            ..Figures::default()
        };
        figures.find(|| format!("seed {seed}: panics: {}", text.unwrap_or_default()));
        figures
    })
}

/// Checks every crash image of a run.
#[must_use]
pub fn check(run: &Run) -> Figures {
    let mut figures = Figures {
        runs: 1,
        ..Figures::default()
    };
    if let Some(failure) = &run.failure {
        figures.broken += 1;
        figures.find(|| format!("{failure}\n{}", run.trace(usize::MAX)));
    }
    let mut checker = Checker {
        run,
        rng: Rng::new(!run.seed),
        known: HashMap::new(),
        figures,
    };
    checker.walk();
    checker.figures.distinct = checker.known.len() as u64;
    checker.figures
}

/// Which segments a run has come to.
#[derive(Default)]
struct Segments {
    last: usize,
}

impl Segments {
    fn note(&mut self, step: &Step, expect: &Expect, run: &Run, figures: &mut Figures) {
        let opening = run.opening;
        if opening.form == Form::File {
            return;
        }
        let end = (expect.durable_pos / opening.segment) as usize;
        figures.rotations += u64::from(end > self.last);
        self.last = self.last.max(end);
        // While the head moves.
        if let Step::Remove { path, .. } = step
            && expect.heads[0] != expect.heads[1]
        {
            figures.removals += u64::from(index_of(path).is_some());
        }
    }
}

struct Checker<'a> {
    run: &'a Run,
    rng: Rng,
    /// What came of the images that were seen, by their hash.
    known: HashMap<u64, Rc<Outcome>>,
    figures: Figures,
}

impl Checker<'_> {
    fn walk(&mut self) {
        let mut medium = Medium::of(self.run.base.clone());
        let mut segments = Segments::default();
        // Before anything was promised, nothing may be there.
        let mut expect = Expect::default();
        let mut earlier = Vec::new();
        for (at, step) in self.run.journal.iter().enumerate() {
            watchdog::step();
            medium.apply(step);
            if matches!(step, Step::Write { .. }) {
                earlier.push(step);
            }
            if let Step::Mark(mark) = step {
                expect = self.run.marks[*mark].0.clone();
            }
            segments.note(step, &expect, self.run, &mut self.figures);
            self.crash(at, &medium, &expect);
            if matches!(step, Step::Mark(_)) {
                let damaged = &mut self.figures.damaged;
                let wrong = damage::sweep(
                    &medium,
                    &expect,
                    &earlier,
                    self.run.opening,
                    &mut self.rng,
                    damaged,
                );
                for wrong in wrong {
                    self.figures
                        .find(|| format!("{wrong}\n{}", self.run.trace(at + 1)));
                }
            }
        }
    }

    /// Loses the power after a step.
    fn crash(&mut self, at: usize, medium: &Medium, expect: &Expect) {
        let mut rng = Rng::new(self.rng.number());
        self.figures.points += 1;
        self.figures.exhaustive += u64::from(medium.is_small(EXHAUSTIVE));
        // Of mapped memory every arrival has one state only.
        let states = if medium.is_small(FEW) { STATES } else { 1 };
        let mut each = |arrival: &Arrival| {
            let arrived = || format!("power lost behind step {at}: {}", medium.describe(arrival));
            let image = medium.after(arrival);
            self.image(at, &Medium::of(image.clone()), image, [expect; 2], &arrived);
        };
        for _ in 0..states {
            medium.arrivals(&mut || rng.number(), EXHAUSTIVE, SAMPLES, &mut each);
        }
        if let Some(image) = medium.after_death() {
            self.figures.deaths += 1;
            let died = || format!("process died behind step {at}");
            self.image(at, medium, image, [&expect.after_death(), expect], &died);
        }
    }

    /// Checks what the next process sees of a medium against what has to be there, and against what has to be there after
    /// one more power loss.
    fn image(
        &mut self,
        at: usize,
        medium: &Medium,
        image: Image,
        [expect, then]: [&Expect; 2],
        crash: &dyn Fn() -> String,
    ) {
        self.figures.images += 1;
        let hash = image.hash();
        let outcome = match self.known.get(&hash) {
            Some(outcome) => outcome.clone(),
            None => {
                let outcome = Rc::new(self.recover(at, medium, image, then, crash));
                self.known.insert(hash, outcome.clone());
                outcome
            }
        };
        let figures = &mut self.figures;
        let (count, what) = match &*outcome {
            Outcome::Refused(error) => (&mut figures.refused, format!("refused: {error}")),
            Outcome::Read(found) => match expect.judge(found) {
                Verdict::Kept => return,
                verdict @ Verdict::Resurrected => {
                    (&mut figures.resurrected, format!("{verdict:?}: {found:?}"))
                }
                verdict @ Verdict::LostLast => (&mut figures.lost_last, format!("{verdict:?}")),
                verdict @ Verdict::LostEarlier => (&mut figures.lost_earlier, format!("{verdict:?}")),
            },
        };
        *count += 1;
        figures.find(|| format!("{what}\n{}  {}", self.run.trace(at + 1), crash()));
    }

    /// Opens an image that was not seen before, uses it, and crashes it again.
    fn recover(
        &mut self,
        at: usize,
        medium: &Medium,
        image: Image,
        then: &Expect,
        crash: &dyn Fn() -> String,
    ) -> Outcome {
        let opening = self.run.opening;
        let sequel = check::go_on(image, opening);
        let mut wrong = sequel.second_crash_at_the_end(medium.clone(), opening).err();
        self.figures.images += 1;
        self.figures.behind += 1;
        if wrong.is_none() && self.rng.below(SECOND_CRASHES) == 0 {
            match sequel.second_crashes(medium.clone(), opening, then, &mut self.rng) {
                Ok(images) => {
                    self.figures.images += images;
                    self.figures.inside += images;
                }
                Err(error) => wrong = Some(error),
            }
        }
        if let Some(wrong) = wrong {
            self.figures.broken += 1;
            let trace = self.run.trace(at + 1);
            self.figures
                .find(|| format!("{wrong}\n{trace}  first crash: {}", crash()));
        }
        sequel.outcome
    }
}
