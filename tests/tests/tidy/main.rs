//! What CONTRIBUTING says of the source is so. What is not so yet is a debt in a list below: a list is as long as it has
//! to be, and no longer, so it can only become shorter.
#![allow(clippy::unwrap_used)] // a setup that fails fails the test

mod faults_doc;
mod seeded;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Everything below a folder of the repository whose name ends like this, by its path, in order.
fn files(folder: &str, extension: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if path.extension().is_some_and(|is| is == extension) {
                let short = path.strip_prefix(root()).unwrap();
                found.insert(
                    short.to_str().unwrap().to_owned(),
                    fs::read_to_string(&path).unwrap(),
                );
            }
        }
    }
    found
}

/// The source of the libraries.
fn sources() -> BTreeMap<String, String> {
    let mut sources = files("wal-db/src", "rs");
    sources.extend(files("wal-derive/src", "rs"));
    sources.extend(files("wal-shape/src", "rs"));
    sources
}

/// All Rust that is built here.
fn all_code() -> BTreeMap<String, String> {
    let mut all = sources();
    for folder in ["tests", "examples", "benches", "fuzz"] {
        all.extend(files(folder, "rs"));
    }
    all.retain(|path, _| !path.starts_with("tests/ui"));
    all
}

/// Whether a whole file is a test.
fn is_test(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap().trim_end_matches(".rs");
    name == "tests"
        || name.ends_with("_tests")
        || name.ends_with("loom")
        || path.ends_with("format/example.rs")
}

/// A file up to its tests.
fn without_tests(text: &str) -> &str {
    let tests = ["\n#[cfg(test)]\nmod ", "\n#[cfg(all(test"];
    let start = tests.iter().filter_map(|start| text.find(start)).min();
    &text[..start.unwrap_or(text.len())]
}

fn without_comments(text: &str) -> String {
    let lines = text.lines().map(|line| line.split("//").next().unwrap());
    lines.collect::<Vec<_>>().join("\n")
}

/// A section of CONTRIBUTING.
fn section(title: &str) -> String {
    let text = fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
    let (_, rest) = text.split_once(&format!("\n## {title}\n")).unwrap();
    rest.split("\n## ").next().unwrap().to_owned()
}

fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Fails unless what was found are the debts.
fn assert_debts(what: &str, found: &BTreeSet<String>, debts: &[&str]) {
    let debts: BTreeSet<String> = debts.iter().map(|&debt| debt.to_owned()).collect();
    let new: Vec<_> = found.difference(&debts).collect();
    let paid: Vec<_> = debts.difference(found).collect();
    assert!(new.is_empty(), "{what}: {new:#?}");
    assert!(
        paid.is_empty(),
        "{what}: take out of the list of debts, it is so now: {paid:#?}"
    );
}

#[test]
fn files_have_600_lines_at_most_without_tests() {
    let all = all_code();
    let long = all
        .iter()
        .filter(|(_, text)| without_tests(text).lines().count() > 600);
    assert_debts("long files", &long.map(|(path, _)| path.clone()).collect(), &[]);
}

/// As rustfmt lays them out: a function ends with the first brace that is as far to the right as its first line.
#[test]
fn functions_have_70_lines_at_most_without_tests() {
    let mut long = BTreeSet::new();
    for (path, text) in sources().iter().filter(|(path, _)| !is_test(path)) {
        let lines: Vec<&str> = without_tests(text).lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let Some(name) = line.split_once("fn ").map(|(_, rest)| rest) else {
                continue;
            };
            let name: String = name
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            let indent = line.len() - line.trim_start().len();
            let end = format!("{}}}", " ".repeat(indent));
            let is_code = !line.trim_start().starts_with("//") && !name.is_empty();
            let len = lines[at..]
                .iter()
                .position(|line| *line == end || line.trim_end() == format!("{};", &end[..indent]));
            if is_code && len.is_some_and(|len| len >= 70) {
                long.insert(format!("{path}: {name}"));
            }
        }
    }
    assert_debts("long functions", &long, &[]);
}

/// What a file imports from other modules of the crate, by the first name after `crate`.
fn imports(text: &str) -> BTreeSet<String> {
    let text = without_comments(text);
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        let is_word = text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '$' || c == ':');
        if is_word {
            continue;
        }
        let rest = &text[at + "crate::".len()..];
        let mut firsts = vec![String::new()];
        let mut depth = 0;
        for c in rest.chars() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => firsts.push(String::new()),
                c if c.is_whitespace() => {}
                _ if depth > 1 => {}
                c => firsts.last_mut().unwrap().push(c),
            }
            if depth == 0 && !c.is_alphanumeric() && c != '_' {
                break;
            }
        }
        let name = |first: String| {
            first
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect::<String>()
        };
        found.extend(firsts.into_iter().map(name).filter(|name| !name.is_empty()));
    }
    found
}

/// The modules of the library from the lowest one on; those that are named together may use each other.
fn layers() -> Vec<Vec<String>> {
    let section = section("Layers");
    let rows = section.lines().filter_map(|line| line.strip_prefix("- "));
    let layers = rows.map(|row| row.split(':').next().unwrap());
    layers
        .map(|row| names(row).map(str::to_owned).collect())
        .collect()
}

#[test]
fn a_module_uses_those_below_it_and_names_them() {
    let debts = [];
    let layers = layers();
    assert!(layers.len() > 5, "{layers:?}");
    let floor = |module: &str| {
        layers
            .iter()
            .position(|layer| layer.iter().any(|name| name == module))
    };
    let mut wrong = BTreeSet::new();
    for (path, text) in files("wal-db/src", "rs") {
        let module = path["wal-db/src/".len()..]
            .split('/')
            .next()
            .unwrap()
            .trim_end_matches(".rs")
            .to_owned();
        if is_test(&path) || module == "lib" {
            continue;
        }
        let at = floor(&module).unwrap_or_else(|| panic!("CONTRIBUTING does not say where {module} is"));
        for used in imports(without_tests(&text))
            .into_iter()
            .filter(|used| *used != module)
        {
            match floor(&used) {
                // The derive names what it uses by the root, and macros are there.
                None if module == "testing" => {}
                None => drop(wrong.insert(format!("{path} takes {used} from the root"))),
                Some(floor) if floor > at => drop(wrong.insert(format!("{module} uses {used}"))),
                Some(_) => {}
            }
        }
    }
    assert_debts("imports", &wrong, &debts);
}

/// The rooms of a log, in the order of the table in `log/mod.rs`.
#[test]
fn rooms_of_a_log_use_those_above_them() {
    let table = fs::read_to_string(root().join("wal-db/src/log/mod.rs")).unwrap();
    let room = |line: &str| Some(line.strip_prefix("//! | `")?.split_once('`')?.0.to_owned());
    let rooms: Vec<String> = table.lines().filter_map(room).collect();
    assert!(rooms.len() > 5, "{rooms:?}");
    let mut wrong = BTreeSet::new();
    for (path, text) in files("wal-db/src/log", "rs") {
        let inside = path.trim_start_matches("wal-db/src/log/");
        let own = inside.split(['/', '.']).next().unwrap();
        let Some(at) = rooms.iter().position(|room| room == own) else {
            continue;
        };
        let code = without_comments(without_tests(&text));
        let is_used = |room: &String| {
            let path = format!("{room}::");
            let mut named = code.match_indices(&path);
            named.any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
        };
        for below in &rooms[at + 1..] {
            if !is_test(&path) && is_used(below) {
                wrong.insert(format!("{path} uses {below}"));
            }
        }
    }
    assert_debts("rooms that use one below them", &wrong, &[]);
}

#[test]
fn what_programs_only_read_can_grow() {
    // Programs make values of these, or what a derive writes does.
    let made = ["Behaviour", "Fault", "Identity", "Image", "OlderVersion"];
    let mut closed = BTreeSet::new();
    for (path, text) in files("wal-db/src", "rs") {
        let lines: Vec<&str> = without_tests(&text).lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let has_fields = match line.strip_prefix("pub struct ") {
                Some(_) => {
                    let mut body = lines[at + 1..].iter().take_while(|line| **line != "}");
                    line.ends_with('{') && body.any(|line| line.starts_with("    pub "))
                }
                None => {
                    path.ends_with("error.rs")
                        && line.starts_with("    ")
                        && line[4..].starts_with(char::is_uppercase)
                }
            };
            let name = line.trim_start().trim_start_matches("pub struct ");
            let name: String = name.chars().take_while(|c| c.is_alphanumeric()).collect();
            let is_open = lines[at.saturating_sub(3)..at]
                .iter()
                .any(|line| line.trim() == "#[non_exhaustive]");
            if has_fields && line.ends_with('{') && !is_open && !made.contains(&&*name) {
                closed.insert(format!("{path}: {name}"));
            }
        }
    }
    assert_debts("not #[non_exhaustive]", &closed, &[]);
}

#[test]
fn bytes_of_the_format_are_read_in_its_folder() {
    // A random number, frames' words where they are claimed or walked, and the records of another format.
    let others = [
        "log/write/writer.rs",
        "staging/memory.rs",
        "log/read/scan.rs",
        "storage/wal_db_1.rs",
    ];
    let mut elsewhere = BTreeSet::new();
    for (path, text) in files("wal-db/src", "rs") {
        let is_exempt = path.contains("/format/")
            || path.contains("/testing/")
            || others.iter().any(|other| path.ends_with(other));
        if without_tests(&text).contains("from_le_bytes") && !is_test(&path) && !is_exempt {
            elsewhere.insert(path);
        }
    }
    assert_debts("bytes read outside of format/", &elsewhere, &[]);
}

#[test]
fn locks_and_atomics_are_named_in_one_file() {
    let mut elsewhere = BTreeSet::new();
    for (path, text) in files("wal-db/src", "rs") {
        let is_exempt = is_test(&path)
            || path.starts_with("wal-db/src/sync")
            // No part of what is explored.
            || path.starts_with("wal-db/src/testing/")
            // Shapes of std's types.
            || path.ends_with("schema/std_types.rs")
            // Before any of the others may be used.
            || path == "wal-db/src/process.rs";
        let code = without_comments(without_tests(&text));
        let words = [
            "Mutex", "RwLock", "Condvar", "OnceLock", "LazyLock", "atomic", "mpsc", "Barrier",
        ];
        let names_one = code.match_indices("sync::").any(|(at, _)| {
            let before = &code[..at];
            let import = before
                .rfind("use ")
                .map(|start| &before[start..])
                .filter(|text| !text.contains(';'));
            let is_std = import.map_or(before.ends_with("std::"), |import| import.starts_with("use std"));
            let used = &code[at + "sync::".len()..];
            let used = match used.strip_prefix('{') {
                Some(list) => list.split('}').next().unwrap(),
                None => used.split(|c: char| !c.is_alphanumeric()).next().unwrap(),
            };
            is_std && words.iter().any(|word| used.contains(word))
        });
        if names_one && !is_exempt {
            elsewhere.insert(path);
        }
    }
    assert_debts("locks outside of sync.rs", &elsewhere, &[]);
}

#[test]
fn unsafe_code_is_in_the_files_that_are_named_for_it() {
    let section = section("Where unsafe code lives");
    let allowed: BTreeSet<&str> = names(&section).filter(|name| name.ends_with(".rs")).collect();
    assert!(!allowed.is_empty());
    for path in &allowed {
        let text = fs::read_to_string(root().join(path)).unwrap();
        assert!(
            path.ends_with("sync.rs") || text.contains("unsafe"),
            "{path} has none"
        );
    }
    let mut elsewhere = BTreeSet::new();
    for (path, text) in all_code() {
        let code = without_comments(&text);
        let has = code.contains("unsafe {") || code.contains("unsafe fn") || code.contains("unsafe impl");
        if has && !allowed.contains(&*path) && path != "tests/tests/tidy/main.rs" {
            elsewhere.insert(path);
        }
    }
    assert_debts("unsafe code", &elsewhere, &[]);
}

#[test]
fn every_file_of_the_tests_is_built() {
    let files = files("tests", "rs");
    let is_start = |path: &&String| {
        let names: Vec<&str> = path.split('/').collect();
        matches!(
            names[..],
            ["tests", "src", "lib.rs"] | ["tests", "src", "bin", _] | ["tests", "tests", _, "main.rs"]
        )
    };
    let mut to_do: Vec<String> = files.keys().filter(is_start).cloned().collect();
    let mut built = BTreeSet::new();
    while let Some(path) = to_do.pop() {
        let text = files.get(&path).unwrap_or_else(|| panic!("there is no {path}"));
        let (folder, file) = path.rsplit_once('/').unwrap();
        let folder = match file {
            "main.rs" | "lib.rs" | "mod.rs" => folder.to_owned(),
            file => format!("{folder}/{}", file.trim_end_matches(".rs")),
        };
        let lines = text.lines().map(|line| line.trim().trim_start_matches("pub "));
        let modules = lines.filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'));
        for module in modules {
            let places = [
                format!("{folder}/{module}.rs"),
                format!("{folder}/{module}/mod.rs"),
            ];
            let place = places.into_iter().find(|place| files.contains_key(place));
            to_do.extend(place.filter(|place| !built.contains(place)));
        }
        for (at, _) in text.match_indices("#[path = \"") {
            let name = text[at..].split('"').nth(1).unwrap();
            to_do.push(format!("{}/{name}", path.rsplit_once('/').unwrap().0));
        }
        built.insert(path);
    }
    let all = files.into_keys().filter(|path| !path.starts_with("tests/ui"));
    let lost = all.filter(|path| !built.contains(path)).collect();
    assert_debts("files that no program has", &lost, &[]);
}

/// What a heading is called in a link.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn no_link_in_a_document_is_dead() {
    // How a README that is published alone names the others.
    const HERE: &str = "https://github.com/wal-db/wal-db/blob/main/";
    let documents = files("", "md");
    let mut dead = BTreeSet::new();
    for (path, text) in &documents {
        let folder = Path::new(path).parent().unwrap();
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split(')').next().unwrap();
            let (folder, target) = match target.strip_prefix(HERE) {
                Some(target) => (Path::new(""), target),
                None => (folder, target),
            };
            if target.contains("://") || target.contains(char::is_whitespace) || target.is_empty() {
                continue;
            }
            let (file, fragment) = target.split_once('#').unwrap_or((target, ""));
            let place = match file {
                "" => PathBuf::from(path),
                file => folder.join(file),
            };
            let is_there = root().join(&place).exists();
            let has_heading = fragment.is_empty()
                || fs::read_to_string(root().join(&place)).is_ok_and(|text| {
                    text.lines()
                        .filter(|line| line.starts_with('#'))
                        .any(|line| anchor(line.trim_start_matches('#')) == fragment)
                });
            if !is_there || !has_heading {
                dead.insert(format!("{path}: {target}"));
            }
        }
    }
    assert_debts("dead links", &dead, &[]);
}

/// Words that say something else than is meant, what to write instead, and the phrases in which they are right. A capital
/// letter is meant as one.
const WORDS: [(&str, &str, &[&str]); 4] = [
    (
        "behind",
        "after",
        &[
            "left behind",
            "thread behind",
            "lags behind",
            "GiB behind",
            "behind a mutex",
            "behind a read lock",
            "behind the log's back",
            "behind its back",
        ],
    ),
    ("in place of", "instead of", &[]),
    ("whoever", "the caller, a reader, anyone who", &[]),
    ("Who", "a caller that, a reader that", &[]),
];

/// What is written for people, with its lines joined: comments, and documents.
fn prose() -> BTreeMap<String, String> {
    let comments = |text: &str| {
        let comments = text.lines().filter_map(|line| line.split_once("//"));
        let comments = comments.map(|(_, comment)| comment.trim_start_matches(['/', '!']));
        comments.collect::<Vec<_>>().join(" ")
    };
    let code = all_code()
        .into_iter()
        .filter(|(path, _)| path != "tests/tests/tidy/main.rs");
    let code = code.map(|(path, text)| (path, comments(&text)));
    let all = code.chain(files("", "md"));
    all.map(|(path, text)| (path, text.split_whitespace().collect::<Vec<_>>().join(" ")))
        .collect()
}

/// Where a text has a word, in which case so ever if it is in small letters.
fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(is_part) && !text[at + word.len()..].starts_with(is_part))
}

#[test]
fn words_mean_what_they_say() {
    let mut found = BTreeSet::new();
    for (path, text) in prose() {
        let small = text.to_lowercase();
        for (word, _, right) in WORDS {
            let is_small = word.starts_with(char::is_lowercase);
            let mut text = if is_small { small.clone() } else { text.clone() };
            for phrase in right {
                text = text.replace(&phrase.to_lowercase(), "");
            }
            if has_word(&text, word) {
                found.insert(format!("{path}: {word}"));
            }
        }
    }
    assert_debts("words for which there are better ones in WORDS", &found, &[]);
}
