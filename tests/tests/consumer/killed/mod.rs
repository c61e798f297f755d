//! SIGKILL, over and over, of a process that appends in several threads and has a consumer of each kind: one that answers
//! in the same log, one in lanes, one that writes a line for each event, one that parks what is bad. It is killed at any
//! moment, also in its first start, and while consumers are paused, rewound, or told to try an event again or pass it over.
//!
//! After each kill a copy is looked at: no consumer has come past an event whose effect is not there. At the end two
//! processes are left alone: one handles all that there is, and one for which no event is bad any more the rest.

mod child;
mod known;

use std::{os::unix::process::ExitStatusExt, path::Path, thread, time::Duration};

use serde::{Deserialize, Serialize};
use wal_db::WalRecord;
use wal_tests::{
    child::{Process, command, reports},
    files::{Form, Place},
    note,
    random::Rng,
    scale, seed,
};

use known::Known;

/// Kills of one log.
const KILLS: u64 = 12;

const NAMES: [&str; 4] = ["answers", "lanes", "lines", "parks"];

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "job")]
enum Job {
    Asked { number: u64 },
    Answered { number: u64, by: String },
}

fn key(number: u64) -> String {
    (number % 7).to_string()
}

/// Whether it cannot be handled by the one that parks.
fn is_bad(number: u64) -> bool {
    number % 23 == 5
}

/// When a process is killed: after so many reports of a kind, and a moment more.
struct Moment {
    kind: &'static str,
    count: usize,
    more: Duration,
}

impl Moment {
    fn any(rng: &mut Rng) -> Moment {
        let kinds = [
            "begins", "opens", "opened", "made", "orders", "ordered", "closes", "handled", "handled",
            "handled",
        ];
        let kind = kinds[rng.below(kinds.len())];
        let count = match kind {
            "handled" => rng.below(30),
            "orders" | "ordered" => rng.below(20),
            "made" => rng.below(4),
            _ => rng.below(2),
        };
        let more = [0, rng.below(300), rng.below(4000)][rng.below(3)];
        Moment {
            kind,
            count,
            more: Duration::from_micros(more as u64),
        }
    }
}

fn start(place: &Place, effects: &Path, round: u64, seed: u64, does: &str) -> Process {
    let mut command = command("killed::child::handles_until_it_is_killed", place);
    command
        .env("WAL_TESTS_EFFECTS", effects)
        .env("WAL_TESTS_ROUND", round.to_string())
        .env("WAL_TESTS_SEED", seed.to_string())
        .env("WAL_TESTS_DOES", does)
        .stderr(std::process::Stdio::inherit());
    Process::of(command)
}

fn kill_one(place: &Place, effects: &Path, round: u64, rng: &mut Rng, known: &mut Known) {
    let moment = Moment::any(rng);
    let does = if rng.below(3) == 0 { "" } else { "orders" };
    let mut child = start(place, effects, round, rng.number(), does);
    let mut reports = reports(&mut child);
    let mut left = moment.count;
    if moment.kind != "begins" {
        for report in reports.by_ref() {
            known.hear(&report);
            let is_it = report.split(' ').next() == Some(moment.kind);
            // Without orders, or with all consumers at rest, the log is closed sooner or later.
            let is_late = report == "closes" && !matches!(moment.kind, "closes" | "handled");
            if (is_it || is_late) && left == 0 {
                break;
            }
            left -= usize::from(is_it || is_late);
        }
    }
    thread::sleep(moment.more);
    child.kill().unwrap();
    // What it reported before it died is in the pipe.
    reports.for_each(|report| known.hear(&report));
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    known.died();
    let copy = place.killed();
    if copy.path().exists() {
        known.look(&copy, effects);
    }
}

fn run_to_its_end(place: &Place, effects: &Path, does: &str, known: &mut Known) {
    let mut child = start(place, effects, u64::from(u32::MAX), 0, does);
    let mut is_drained = false;
    for report in reports(&mut child) {
        known.hear(&report);
        is_drained |= report == "drained";
    }
    assert!(child.wait().unwrap().success() && is_drained, "{does}");
}

#[test]
fn consumers_of_a_killed_process_leave_nothing_out_and_answer_once() {
    let seed = seed();
    let mut rng = Rng::new(seed);
    let (mut kills, mut events, mut lines, mut skips) = (0, 0, 0, 0);
    for life in 0..u64::from(scale()) {
        let place = Place::fast(Form::Segmented);
        let effects = tempfile::tempdir().unwrap();
        let mut known = Known::default();
        for round in 0..KILLS {
            let _says = Says(format!("life {life}, round {round}, WAL_TESTS_SEED={seed}"));
            kill_one(&place, effects.path(), round, &mut rng, &mut known);
            kills += 1;
        }
        let _says = Says(format!("the end of life {life}, WAL_TESTS_SEED={seed}"));
        run_to_its_end(&place, effects.path(), "drains", &mut known);
        let found = known.look(&place, effects.path());
        found.assert_drained();
        found.assert_parked(&known);
        run_to_its_end(&place, effects.path(), "drains heals", &mut known);
        let found = known.look(&place, effects.path());
        found.assert_drained();
        found.assert_healed(&known);
        events += found.asked();
        lines += found.lines();
        skips += known.skips();
    }
    note(&format!(
        "{kills} kills: {events} events with 2 answers each, {lines} lines, {skips} passed over by hand"
    ));
}

/// Names the round that fails.
struct Says(String);

impl Drop for Says {
    fn drop(&mut self) {
        if thread::panicking() {
            note(&format!("in {}", self.0));
        }
    }
}
