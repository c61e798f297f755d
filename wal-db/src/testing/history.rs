//! Random records of every released version against the types of today.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::path::Path;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use super::{
    CheckFailed,
    check_lock::DeclaredType,
    compare::{Comparison, Differing},
    hex,
    lock::{Lock, LockLine},
    places::{Named, NoPlace},
    positional::Positional,
    shape_values::Asked,
    strategies::Strategies,
    wires::{Wires, wires, with_wires},
};
use crate::{
    error::sources,
    event::{
        EventType, Retired, TypedError, WalDecodeOwned,
        codec::{Codec, CodecError, DefaultCodec},
        probe,
        schema::{Shape, WalSchema},
        value::Value,
    },
};

/// What a record has become: the types and payloads of its events.
type Events = Result<Vec<(&'static EventType, Vec<u8>)>, TypedError>;

/// How a record of a type and version is made of a value.
type Write = fn(u32, u16, &Value, &Shape) -> Result<Vec<u8>, CodecError>;

/// A type whose events can be read, without the type.
#[derive(Debug, Clone, Copy)]
pub struct ReadableType {
    of: DeclaredType,
    upcast: fn(&[u8]) -> Events,
    write: Write,
    value: fn(&[u8], &Shape) -> Result<Value, CodecError>,
    /// Whether the format may have no way to write a value.
    may_refuse: bool,
    /// Whether types are written to the format as they are for people.
    is_human: fn() -> bool,
}

impl ReadableType {
    /// What a log holds of `T`, and how it is read.
    #[must_use]
    pub const fn of<T: WalDecodeOwned>() -> Self {
        ReadableType::with_codec::<T, DefaultCodec>()
    }

    /// As [`of`](Self::of), for a log whose events are in the format `C`.
    #[must_use]
    pub const fn with_codec<T: WalDecodeOwned, C: Codec>() -> Self {
        ReadableType {
            of: DeclaredType::of::<T>(),
            upcast: upcast::<C, T>,
            write: write::<C>,
            value: probe::value::<C>,
            may_refuse: C::SELF_DESCRIBING,
            is_human: probe::is_human::<C>,
        }
    }
}

/// Reads a record of any version and writes what it is today.
fn upcast<C: Codec, T: WalDecodeOwned>(payload: &[u8]) -> Events {
    let events = probe::decode::<C, T>(payload)?;
    events.iter().map(probe::encode::<C, T>).collect()
}

fn write<C: Codec>(type_id: u32, version: u16, value: &Value, shape: &Shape) -> Result<Vec<u8>, CodecError> {
    probe::encode_any::<C>(type_id, version, &Positional::new(value, shape))
}

/// Makes random records of every version in the `wal.lock` in `dir` from its shape alone, reads them as the types of
/// today, and compares the fields that are still there.
///
/// [`check_history!`](super::check_history!) calls it, and says what is compared.
///
#[cfg_attr(all(feature = "derive", feature = "bincode"), doc = "```")]
#[cfg_attr(not(all(feature = "derive", feature = "bincode")), doc = "```ignore")]
/// use serde::{Deserialize, Serialize};
/// use wal_db::WalRecord;
/// use wal_db::testing::{ReadableType, check_history};
///
/// #[derive(Serialize, Deserialize, WalRecord)]
/// #[wal(name = "moved")]
/// struct MovedV1 { from: u64, to: u64 }
///
/// #[derive(Serialize, Deserialize, WalRecord)]
/// #[wal(name = "moved", version = 2, from = MovedV1)]
/// struct Moved { from: u64, to: u64, cents: i64 }
///
/// impl From<MovedV1> for Moved {
///     fn from(old: MovedV1) -> Self {
///         Moved { from: old.to, to: old.from, cents: 0 } // a mistake
///     }
/// }
///
/// let dir = tempfile::tempdir()?;
/// std::fs::write(dir.path().join("wal.lock"), "moved 1 {from: u64, to: u64}\n")?;
/// let found = check_history(dir.path(), &[ReadableType::of::<Moved>()], &[]);
/// let found = found.expect_err("the fields are swapped").to_string();
/// assert!(found.contains("the field `from` was 0 and is 1"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`CheckFailed`], with the smallest record found for each version that fails.
pub fn check_history(dir: &Path, types: &[ReadableType], except: &[&str]) -> Result<(), CheckFailed> {
    check_history_with_strategies(dir, types, &Strategies::new(), except)
}

/// As [`check_history`], with values of the program's own `opaque` types and of single fields.
///
/// # Errors
/// As [`check_history`]; a strategy under a name that nothing has.
pub fn check_history_with_strategies(
    dir: &Path,
    types: &[ReadableType],
    strategies: &Strategies,
    except: &[&str],
) -> Result<(), CheckFailed> {
    let lock = Lock::read(&dir.join("wal.lock")).map_err(|error| CheckFailed::because(&error))?;
    let mut problems = unknown_exceptions(&lock, types, except);
    let mut used = HashSet::new();
    let wires = wires_of(types);
    for of in types {
        for record in of.of.records().filter(|record| !record.retired) {
            let mut lines = lock
                .of(record)
                .filter(|line| line.version <= record.version)
                .peekable();
            if lines.peek().is_none() {
                problems.push(format!(
                    "`{}` has no version in `wal.lock` yet, so there is nothing to check: `WAL_LOCK=update cargo test` adds \
                     it, and then the tests have to run once more",
                    record.name
                ));
            }
            // Of a variant that holds `Retired` there are no records.
            let lines = lines.filter(|line| line.shape != *<Retired as WalSchema>::SCHEMA);
            for line in lines.filter(|line| !is_excepted(except, record, line, None)) {
                let check = Check {
                    of,
                    record,
                    line,
                    shape: with_wires(&line.shape, &wires),
                    strategies,
                    except,
                };
                problems.extend(check.run(&mut used).err());
            }
        }
    }
    let unused = strategies.added().filter(|name| !used.contains(*name));
    problems.extend(unused.map(|name| {
        format!("\"{name}\" after `strategies` is no opaque type and no place in what is checked")
    }));
    CheckFailed::unless_empty(problems)
}

/// What the program says today of how opaque types are written: a release may have said nothing, or something wrong.
fn wires_of(types: &[ReadableType]) -> Wires<'static> {
    let records = types.iter().flat_map(|of| of.of.records());
    let mut known = HashMap::new();
    for version in records.flat_map(EventType::history) {
        wires(version.schema, &mut known);
    }
    known
}

/// One that is misspelt would except nothing.
fn unknown_exceptions(lock: &Lock, types: &[ReadableType], except: &[&str]) -> Vec<String> {
    let records = || types.iter().flat_map(|of| of.of.records());
    let problem = |exception: &str| {
        let mut problem = match exception.contains('@') {
            true => "is no version in `wal.lock` of a type that is checked".to_owned(),
            false => format!(
                "does not begin with the name of an event type that is checked: there is {}",
                quoted(records().map(|record| record.name))
            ),
        };
        for (record, name) in records().flat_map(|record| record.names().map(move |name| (record, name))) {
            let Some(rest) = exception.strip_prefix(name) else {
                continue;
            };
            match rest.split_at_checked(1) {
                None => return None,
                Some(("@", version)) if is_released(lock, name, version) => return None,
                Some((".", place)) => problem = no_place(lock, record, name, place)?,
                _ => {}
            }
        }
        Some(format!("\"{exception}\" after `except` {problem}"))
    };
    except.iter().filter_map(|exception| problem(exception)).collect()
}

fn is_released(lock: &Lock, name: &str, version: &str) -> bool {
    let is_it = |line: &LockLine| line.name == name && line.version.to_string() == version;
    lock.lines().iter().any(is_it)
}

/// What to say of a place that is in no released version. Of a type of which none is released, something else is said.
fn no_place(lock: &Lock, record: &EventType, name: &str, place: &str) -> Option<String> {
    let found = lock.of(record).map(|line| Named::find(&line.shape, place));
    let NoPlace { reached, there } = found.reduce(Result::or)?.err()?;
    let whole = |place: &str| format!("{name}.{place}");
    Some(match there.is_empty() {
        true => format!("is no place in an event: `{}` has no parts", whole(&reached)),
        false => format!(
            "is no place in an event: there is {}",
            quoted(there.iter().map(|place| whole(place)))
        ),
    })
}

/// A few of them, in their order.
fn quoted(names: impl Iterator<Item = impl AsRef<str>>) -> String {
    const SHOWN: usize = 8;
    let mut names: Vec<_> = names.map(|name| format!("`{}`", name.as_ref())).collect();
    if names.len() > SHOWN {
        names.truncate(SHOWN);
        names.push("...".to_owned());
    }
    names.join(", ")
}

/// Exceptions name an event type, one of its versions or one of its fields.
fn is_excepted(except: &[&str], record: &EventType, line: &LockLine, field: Option<&str>) -> bool {
    let is = |name: &str| match field {
        Some(field) => except.contains(&format!("{name}.{field}").as_str()),
        None => except.contains(&name) || except.contains(&format!("{name}@{}", line.version).as_str()),
    };
    is(record.name) || is(&line.name)
}

struct Check<'a> {
    of: &'a ReadableType,
    record: &'a EventType,
    line: &'a LockLine,
    /// That of the line, with what the program says of opaque types.
    shape: Shape,
    strategies: &'a Strategies,
    except: &'a [&'a str],
}

impl Check<'_> {
    fn run(&self, used: &mut HashSet<String>) -> Result<(), String> {
        let (name, version) = (&self.line.name, self.line.version);
        let asked = Asked {
            strategies: self.strategies,
            events: vec![name, self.record.name],
            human: (self.of.is_human)(),
            used: RefCell::default(),
        };
        let records = asked.values(&self.shape).map_err(|error| {
            format!(
                "`{name}` version {version} cannot be checked, no records can be made of it: {error}; \
                 or list \"{name}@{version}\" after `except`"
            )
        })?;
        used.extend(asked.used.into_inner());
        let config = Config {
            failure_persistence: None,
            ..Config::default()
        };
        // A test that fails fails again.
        let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let result = TestRunner::new_with_rng(config, rng).run(&records, |value| {
            if self.of.may_refuse && self.write(&value).is_err() {
                return Err(TestCaseError::reject("the format has no such value"));
            }
            self.one(&value).map_err(TestCaseError::fail)
        });
        result.map_err(|error| match error {
            TestError::Fail(reason, value) => format!(
                "`{name}` version {version}, read as version {}: {reason}\n    the record: {value}",
                self.record.version
            ),
            TestError::Abort(reason) => format!("`{name}` version {version} was not checked: {reason}"),
        })
    }

    fn one(&self, value: &Value) -> Result<(), String> {
        match self.read(value) {
            Err(error @ (TypedError::Codec { .. } | TypedError::Trailing { .. })) => Err(format!(
                "{}; if it is a value that no record has, say after `strategies` which values there are: \
                 (\"name@1\", ...) of the `opaque` type, or (\"{}.field\", ...)",
                sentence(&error),
                self.line.name
            )),
            Err(error) => Err(sentence(&error)),
            Ok(events) => self.compare(value, &events),
        }
    }

    fn write(&self, value: &Value) -> Result<Vec<u8>, CodecError> {
        (self.of.write)(self.line.type_id(), self.line.version, value, &self.shape)
    }

    fn read(&self, value: &Value) -> Events {
        let payload = self.write(value).map_err(|source| TypedError::Encode {
            name: self.record.name,
            version: self.line.version,
            source,
        })?;
        (self.of.upcast)(&payload)
    }

    /// What one event has become keeps what is still called the same and looks the same.
    fn compare(&self, written: &Value, events: &[(&EventType, Vec<u8>)]) -> Result<(), String> {
        let [(record, event)] = events else {
            return Ok(());
        };
        let Some(shape) = record.schema.filter(|_| record.id == self.record.id) else {
            return Ok(());
        };
        let now = &(self.of.value)(event, shape).map_err(|error| {
            format!(
                "what it is today does not have its own shape `{shape}`: {error} ({})",
                hex(event)
            )
        })?;
        // As it is read: what was made by a strategy may look otherwise.
        let before = self
            .write(written)
            .and_then(|payload| (self.of.value)(&payload, &self.shape));
        let before = &before.unwrap_or_else(|_| written.clone());
        let EventType { id, version, .. } = *self.record;
        let comparison = Comparison {
            today: now,
            has_changed: self.shape != *shape,
            is_excepted: &|place| is_excepted(self.except, self.record, self.line, Some(place)),
            reread: &|event| {
                let payload = (self.of.write)(id, version, event, shape).ok()?;
                let events = (self.of.upcast)(&payload).ok()?;
                (self.of.value)(&events.first()?.1, shape).ok()
            },
        };
        let compared = comparison.event((&self.shape, before), (shape, now));
        compared.map_err(|Differing { place, before, now }| {
            format!(
                "the field `{place}` was {before} and is {now}; if it should, list \"{}.{place}\" after `except`",
                self.record.name
            )
        })
    }
}

pub(super) fn sentence(error: &dyn std::error::Error) -> String {
    sources(error).fold(error.to_string(), |text, source| format!("{text}: {source}"))
}
