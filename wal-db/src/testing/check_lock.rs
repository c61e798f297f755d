//! The types of a program against its `wal.lock`.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::{
    CheckFailed,
    differences::differences,
    lock::{Lock, LockError, LockLine},
    places::is_of,
};
use crate::event::{__private::Family, EventType, record::WalRecord};

const FILE: &str = "wal.lock";
const HEADER: &str = "\
# The released versions of events: name, version, shape. Records of them are in logs, so nobody edits a line.
# The derive compares the types with them. `WAL_LOCK=update cargo test` adds what is missing.
# A line that begins with `&` is a type that other lines hold.
";

/// What a type stands for in a log, without the type.
#[derive(Debug, Clone, Copy)]
pub struct DeclaredType {
    families: &'static [Family],
}

impl DeclaredType {
    /// The event types of `T`.
    #[must_use]
    pub const fn of<T: WalRecord>() -> Self {
        DeclaredType {
            families: T::FAMILIES,
        }
    }

    pub(super) fn records(&self) -> impl Iterator<Item = &'static EventType> + use<> {
        self.families.iter().flat_map(|family| family.records)
    }
}

/// What happens to a version that is not in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockMode {
    /// It is reported.
    Check,
    /// It is added.
    Update,
}

impl LockMode {
    /// What the environment variable `WAL_LOCK` says: `update`, or to check.
    #[must_use]
    pub fn from_env() -> Self {
        match std::env::var_os("WAL_LOCK") {
            Some(value) if value == "update" => LockMode::Update,
            _ => LockMode::Check,
        }
    }
}

/// Compares every version that the types write or read with the `wal.lock` in `dir`; returns the lines that were added,
/// or rewritten because what an opaque type is written as (`wire`) was mended. `others` are names of types and families
/// in the file that are checked elsewhere.
///
/// [`check_lock!`](super::check_lock!) calls it and has an example.
///
/// # Errors
/// [`CheckFailed`] with everything that was found. Nothing is added then, unless all that was found is that lines are
/// missing, and they are to be added.
pub fn check_lock(
    dir: &Path,
    types: &[DeclaredType],
    others: &[&str],
    mode: LockMode,
) -> Result<Vec<String>, CheckFailed> {
    let program = &Program::new(types, others);
    let path = dir.join(FILE);
    let failed = |error: LockError| CheckFailed::because(&error);
    let io = |source| failed(LockError::io(&path, source));
    if mode == LockMode::Check {
        let lock = Lock::read(&path).map_err(failed)?;
        let (missing, mut problems) = compare(&lock, program);
        problems.extend(missing.iter().map(not_in_file));
        problems.extend(nowhere(&lock, program));
        if !missing.is_empty() {
            problems.push(format!(
                "run `WAL_LOCK=update cargo test` to write it to `{}`, and commit the file",
                path.display()
            ));
        }
        return CheckFailed::unless_empty(problems).map(|()| Vec::new());
    }
    let options = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .clone();
    let mut file = options.open(&path).map_err(io)?;
    // Other tests may add lines of their own at the same time.
    file.lock().map_err(io)?;
    let mut before = String::new();
    file.read_to_string(&mut before).map_err(io)?;
    let lock: Lock = before.parse().map_err(failed)?;
    let (missing, mut problems) = compare(&lock, program);
    if !problems.is_empty() {
        problems.push("nothing was added to `wal.lock`, because what is released cannot change".to_owned());
        return Err(CheckFailed { problems });
    }
    let is_as_it_was = |line: &&LockLine| missing.iter().all(|mended| mended.number != line.number);
    let as_they_were = lock.lines().iter().filter(is_as_it_was);
    let lines: Vec<_> = as_they_were.chain(&missing).cloned().collect();
    let header = if before.is_empty() && !lines.is_empty() {
        HEADER
    } else {
        ""
    };
    let after = LockLine::written(&format!("{before}{header}"), &lines);
    if after != before {
        write(&mut file, &before, &after).map_err(io)?;
    }
    Ok(missing.iter().map(ToString::to_string).collect())
}

/// Writes only what is new if nothing else changes.
fn write(file: &mut File, before: &str, after: &str) -> std::io::Result<()> {
    let kept = if after.starts_with(before) {
        before.len()
    } else {
        0
    };
    file.set_len(kept as u64)?;
    file.seek(SeekFrom::Start(kept as u64))?;
    file.write_all(&after.as_bytes()[kept..])
}

fn not_in_file(line: &LockLine) -> String {
    let LockLine {
        number,
        name,
        version,
        shape,
        ..
    } = line;
    match number {
        0 => format!("`{name}` version {version} is not in `{FILE}`: `{shape}`"),
        number => format!(
            "`{name}` version {version} has another `wire` than in `{FILE}` line {number}, where it is mended if it was \
             wrong: it is `{shape}` now"
        ),
    }
}

/// What one call knows of the program.
struct Program<'a> {
    families: Vec<Family>,
    /// Names that are checked elsewhere.
    others: &'a [&'a str],
}

impl<'a> Program<'a> {
    /// Each family once, also if it is checked by itself and as part of an enum of families.
    fn new(types: &[DeclaredType], others: &'a [&'a str]) -> Self {
        let mut families: Vec<Family> = Vec::new();
        for family in types.iter().flat_map(|of| of.families) {
            if !families.iter().any(|other| (other.ty)() == (family.ty)()) {
                families.push(*family);
            }
        }
        Program { families, others }
    }

    fn records(&self) -> impl Iterator<Item = &'static EventType> + use<'_> {
        self.families.iter().flat_map(|of| of.records)
    }

    /// Whether a name in the file is that of a type here, or belongs to what is checked elsewhere.
    fn has(&self, name: &str) -> bool {
        let is_here = self.records().any(|record| record.has_name(name));
        is_here || self.others.iter().any(|other| is_of(name, other))
    }
}

/// The lines that are missing, those with another `wire`, which have the numbers of what they replace, and what is wrong
/// with those that are there.
fn compare(lock: &Lock, program: &Program<'_>) -> (Vec<LockLine>, Vec<String>) {
    let mut missing = BTreeMap::new();
    let mut problems = Vec::new();
    here_and_elsewhere(program, &mut problems);
    twice(program, &mut problems);
    for record in program.records() {
        ids(lock, record, &mut problems);
        if !record.retired {
            for line in versions(lock, record, &mut problems) {
                missing.insert((line.name.clone(), line.version), line);
            }
        }
    }
    for of in program.families.iter().filter(|of| of.is_enum) {
        undeclared(lock, of, program, &mut problems);
    }
    let missing: Vec<_> = missing.into_values().collect();
    for of in &program.families {
        renamed(lock, of, program, &missing, &mut problems);
    }
    (missing, problems)
}

/// What is said to be elsewhere is not looked for, so it cannot be here.
fn here_and_elsewhere(program: &Program<'_>, problems: &mut Vec<String>) {
    for other in program.others {
        if program.families.iter().any(|of| of.name == *other)
            || program.records().any(|record| record.has_name(other))
        {
            problems.push(format!(
                "\"{other}\" after `others` is checked here: leave it out"
            ));
        }
    }
}

/// What is said to be elsewhere and has no line, although those who check it have written theirs.
fn nowhere(lock: &Lock, program: &Program<'_>) -> Vec<String> {
    let has_no_line = |other: &&&str| !lock.lines().iter().any(|line| is_of(&line.name, other));
    let none = program.others.iter().filter(has_no_line);
    none.map(|other| {
        format!(
            "\"{other}\" after `others` has no line in `{FILE}`: write it as it stands there, or leave it out; if it is \
             new, run `WAL_LOCK=update cargo test` where it is checked"
        )
    })
    .collect()
}

/// A type of which nothing is released, though something of its shape is, under a name that no type has.
fn renamed(
    lock: &Lock,
    of: &Family,
    program: &Program<'_>,
    missing: &[LockLine],
    problems: &mut Vec<String>,
) {
    if of.records.iter().any(|record| lock.of(record).next().is_some()) {
        return;
    }
    let mut own = missing
        .iter()
        .filter(|line| of.records.iter().any(|record| record.name == line.name));
    let former = own.find_map(|line| {
        let variant = line.name.strip_prefix(of.name)?;
        let mut same = lock
            .lines()
            .iter()
            .filter(|released| released.version == line.version && released.shape == line.shape)
            .filter(|released| !program.has(&released.name));
        same.find_map(|released| released.name.strip_suffix(variant))
    });
    if let Some(former) = former {
        problems.push(format!(
            "is `{0}` the new name of `{former}`, which is released in this shape and which no type here has? Then say \
             so with `#[wal(alias = \"{former}\")]`, or its records cannot be read. If `{former}` is another type, list \
             it here, too, or as `others [\"{former}\"]` if it is checked elsewhere; if no log holds it any more, remove \
             its lines from `{FILE}`",
            of.name
        ));
    }
}

/// Two types with one name or id read each other's records.
fn twice(program: &Program<'_>, problems: &mut Vec<String>) {
    let records: Vec<_> = program.records().collect();
    for (i, second) in records.iter().enumerate() {
        let is_same = |first: &&&EventType| second.ids().any(|id| first.has_id(id));
        if let Some(first) = records[..i].iter().find(is_same) {
            problems.push(format!(
                "`{}` and `{}` are two of the types in the list and have one name, alias or id, so each would read the \
                 other's records: give one of them another name; leave out a type that only stands in `from`",
                first.name, second.name
            ));
        }
    }
}

/// Compares the versions of one event type; returns those that have no line.
fn versions(lock: &Lock, record: &EventType, problems: &mut Vec<String>) -> Vec<LockLine> {
    let name = record.name;
    if record.schema.is_none() {
        problems.push(format!(
            "`{name}` has no schema, so it cannot be compared: derive `WalRecord` or say it with `EventType::schema`"
        ));
        return Vec::new();
    }
    let mut missing = Vec::new();
    for known in record.history() {
        let mut is_locked = false;
        for line in lock.of(record).filter(|line| line.version == known.version) {
            is_locked = true;
            let changes = differences(&line.shape, known.schema);
            if !changes.is_empty() {
                problems.push(format!(
                    "`{}` version {} has another shape than in `{FILE}` line {}:\n    {}",
                    line.name,
                    line.version,
                    line.number,
                    changes.join("\n    ")
                ));
            } else if line.shape != *known.schema {
                let mut mended = line.clone();
                mended.shape = known.schema.told();
                missing.push(mended);
            }
        }
        if !is_locked {
            missing.push(LockLine::new(
                name,
                known.version,
                record.id,
                known.schema.clone(),
            ));
        }
    }
    for line in lock.of(record) {
        if line.version > record.version {
            problems.push(format!(
                "`{}` version {} is released, and the type is version {} now: a version never goes down",
                line.name, line.version, record.version
            ));
        } else if record.history().all(|known| known.version != line.version) {
            problems.push(format!(
                "`{}` version {} is released and nothing reads it any more: bring back its `since` or `from`",
                line.name, line.version
            ));
        }
    }
    missing
}

fn ids(lock: &Lock, record: &EventType, problems: &mut Vec<String>) {
    for line in lock.lines() {
        let id = line.type_id();
        let (name, other) = (record.name, &line.name);
        if record.has_name(other) && !record.has_id(id) {
            problems.push(format!(
                "`{other}` version {} is released with the type id {id:#010x}, and `{name}` has {:#010x}: \
                 its records would not be found",
                line.version, record.id
            ));
        } else if !record.has_name(other) && record.id == id {
            problems.push(format!(
                "`{name}` has the type id {id:#010x}, which belongs to `{other}`"
            ));
        }
    }
}

/// Names of a family that no type has any more.
fn undeclared(lock: &Lock, family: &Family, program: &Program<'_>, problems: &mut Vec<String>) {
    let mut reported = Vec::new();
    for line in lock.lines() {
        let is_of_family = line
            .name
            .strip_prefix(family.name)
            .is_some_and(|rest| rest.starts_with('.'));
        if is_of_family && !reported.contains(&&line.name) && !program.has(&line.name) {
            reported.push(&line.name);
            problems.push(format!(
                "`{0}` is released and `{1}` has no such variant: bring it back, give its new name the `alias` `{0}`, \
                 or retire it with `#[wal(retired)]`; if it has moved to a type that is checked elsewhere, list it here \
                 as `others [\"{0}\"]`",
                line.name, family.name
            ));
        }
    }
}
