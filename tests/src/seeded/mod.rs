//! Mistakes that can be put into the real code, and the tests that have to catch each: the suite is only as good as what
//! it sees. The command `seeded-bugs` tries them one after the other.
//!
//! The product's code has none of them. The patches in `tests/seeded/patches`, one for each source file, put all of them
//! into a copy of the project, each as a condition `seeded_bug!("name")`, which is true in a process whose variable
//! `WAL_SEEDED_BUG` has that name. Where a patch does not apply any more, or to add a mistake: `seeded-bugs --edit` makes the
//! copy and says where it is, and `seeded-bugs --save` makes the patches of what was changed there. (A patch that does not
//! apply is left out of the copy, and listed: its mistakes have to be put in again by hand.)
//!
//! Each is a line of the product's code that a reviewer could have let through. [`mistakes`] stand for what published
//! write-ahead logs got wrong, by the numbers of [`MISTAKES`]; [`classics`] for what can be forgotten in any log.
//! Where this design has no place for a mistake, its nearest relative stands for it, and says so.

mod classics;
mod mistakes;
pub mod tree;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The variable that names the mistake a process has.
pub const VARIABLE: &str = "WAL_SEEDED_BUG";

/// What write-ahead logs were seen to get wrong. Counted from 1.
pub const MISTAKES: [&str; 25] = [
    "a group commit acknowledges although another segment holds writes that were not flushed",
    "a failed flush is forgotten, and the next one says Ok",
    "the leader of a failed flush hears of it, its followers hear Ok",
    "what was recovered counts as durable without a flush",
    "segments before the newest one are never flushed after a reopening",
    "a cut of the end is not durable, and old records come back behind new ones",
    "after a failed cut the log goes on behind a hole",
    "two writers have one log",
    "opening cuts at the first damage, and what was acknowledged behind it is gone",
    "damage in the last acknowledged record is cut in silence",
    "a foreign file is emptied",
    "other settings at reopening, or a missing segment, destroy the log",
    "a torn note of where the log begins deletes everything",
    "an ordinary crash is refused as damage",
    "swapped or doubled segments are read",
    "going on behind damage finds records inside a payload",
    "iteration ends in silence where a file is cut short",
    "a few bytes on the disk make opening allocate as much as they say",
    "after the disk was full once, appends say Ok and nothing becomes durable",
    "a panic between claiming and publishing hangs every commit",
    "directories are not flushed when files are made, added or removed",
    "recovery does not flush what it cuts or shows",
    "readers are shown what a power loss takes back",
    "places are used again after a cut, with nothing to tell old from new",
    "a header that reads as zeros is taken for the end",
];

/// A mistake in the code.
#[derive(Debug, Clone, Copy)]
pub struct Bug {
    /// What `seeded_bug!` and [`VARIABLE`] call it.
    pub name: &'static str,
    /// Which of [`MISTAKES`] it stands for; none if it is a classic.
    pub mistakes: &'static [u8],
    /// What is wrong.
    pub what: &'static str,
    /// Tests that have to catch it, as `program::test`, cheap ones first.
    pub caught_by: &'static [&'static str],
}

const fn bug(
    name: &'static str,
    mistakes: &'static [u8],
    what: &'static str,
    caught_by: &'static [&'static str],
) -> Bug {
    Bug {
        name,
        mistakes,
        what,
        caught_by,
    }
}

const fn classic(name: &'static str, what: &'static str, caught_by: &'static [&'static str]) -> Bug {
    bug(name, &[], what, caught_by)
}

/// All of them.
pub fn bugs() -> impl Iterator<Item = &'static Bug> {
    mistakes::MISTAKES.iter().chain(classics::classics())
}

/// The program and the name of a test.
#[must_use]
pub fn split(test: &str) -> (&str, &str) {
    test.split_once("::").unwrap_or((test, ""))
}

/// Compares the list with the sources: a mistake that is nowhere in the code proves nothing.
#[must_use]
pub fn wrong_with_the_registry() -> Vec<String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let patched = match tree::patched() {
        Ok(patched) => patched,
        Err(error) => return vec![error],
    };
    let mut wrong = patched.failed;
    let in_code = patched.sources.values().flat_map(|text| names_in(text));
    let in_code: BTreeSet<String> = in_code.collect();
    let product = sources(&here.join("../wal-db/src"));
    if product.iter().any(|text| text.contains("seeded_bug")) {
        wrong.push("wal-db/src has a mistake in it".to_owned());
    }
    let mut listed = BTreeSet::new();
    for bug in bugs() {
        if !listed.insert(bug.name.to_owned()) {
            wrong.push(format!("{} is listed twice", bug.name));
        }
        if !in_code.contains(bug.name) {
            wrong.push(format!("{} is nowhere in the code", bug.name));
        }
        if bug.caught_by.is_empty() {
            wrong.push(format!("{} has no test", bug.name));
        }
        let unknown = bug.caught_by.iter().filter(|test| !is_there(here, test));
        wrong.extend(unknown.map(|test| format!("{}: there is no test {test}", bug.name)));
    }
    let unlisted = in_code.difference(&listed);
    wrong.extend(unlisted.map(|name| format!("{name} is in the code and not listed")));
    let stood_for: BTreeSet<u8> = bugs().flat_map(|bug| bug.mistakes).copied().collect();
    if !stood_for.iter().copied().eq(1..=MISTAKES.len() as u8) {
        wrong.push(format!(
            "the mistakes that something stands for are {stood_for:?}"
        ));
    }
    wrong
}

fn names_in(text: &str) -> impl Iterator<Item = String> {
    let uses = text.split("seeded_bug!(\"").skip(1);
    uses.filter_map(|rest| Some(rest.split_once("\")")?.0.to_owned()))
}

fn is_there(here: &Path, test: &str) -> bool {
    let (module, name) = test.rsplit_once("::").unwrap_or(("", test));
    let place = here.join("tests").join(module.replace("::", "/"));
    let files = [
        place.with_extension("rs"),
        place.join("mod.rs"),
        place.join("main.rs"),
    ];
    let mut texts = files.iter().filter_map(|file| fs::read_to_string(file).ok());
    texts.any(|text| text.contains(&format!("fn {name}(")))
}

fn sources(dir: &Path) -> Vec<String> {
    let mut texts = Vec::new();
    let mut todo: Vec<PathBuf> = vec![dir.to_owned()];
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("the sources can be listed");
            todo.extend(entries.map(|entry| entry.expect("the sources can be listed").path()));
        } else if path.is_file() {
            texts.push(fs::read_to_string(&path).expect("the sources are text"));
        }
    }
    texts
}
