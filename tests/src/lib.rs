//! What the tests share: logs on disk that can be copied and damaged ([`files`]), a store in memory that fails on
//! command ([`disk`]), a run that uses everything ([`everything`]), a store whose calls a test hears of first ([`scripted`]), a log that is looked at
//! while it is written ([`written`]), one whose schema is hard to place ([`straddled`]), a disk that loses power ([`sim`]), what has to be
//! true of a damaged log ([`damage`]), futures that are polled by hand ([`task`]), processes of their own ([`child`]), mistakes to put in ([`seeded`]), random
//! values ([`random`]), what the examples of the guides need ([`guide`]), and a watchdog ([`within`]).
#![allow(clippy::unwrap_used)] // a harness that cannot go on fails the test

pub mod child;
pub mod damage;
pub mod disk;
mod editions;
pub mod everything;
pub mod faults;
pub mod files;
pub mod fuzz_targets;
pub mod guide;
pub mod own;
pub mod random;
pub mod repaired;
pub mod scripted;
pub mod seeded;
pub mod shapes;
pub mod sim;
pub mod stops;
pub mod straddled;
pub mod task;
pub mod written;

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::mpsc,
    time::Duration,
};

use wal_db::{Lsn, Result, Staging, Wal, WalConfig, WalError, recovery::Corruption};

/// Fails unless a value has this pattern, and says what it is.
#[macro_export]
macro_rules! assert_is {
    ($value:expr, $pattern:pat $(if $guard:expr)? $(, $($what:tt)+)?) => {
        match &$value {
            $pattern $(if $guard)? => {}
            value => {
                let what = String::new() $(+ &format!($($what)+) + ": ")?;
                panic!("{what}{value:?}")
            }
        }
    };
}

/// Adds fields of one value to those of another.
#[macro_export]
macro_rules! add_up {
    ($to:ident += $from:ident: $($field:ident)*) => { $($to.$field += $from.$field;)* };
}

/// Makes a type a record that is no family, without a derive.
#[macro_export]
macro_rules! record {
    ($ty:ty, $record:expr) => {
        impl ::wal_db::WalRecord for $ty {
            const NAME: &'static str = Self::RECORDS[0].name;
            const RECORDS: &'static [::wal_db::event::EventType] = &[$record];
            const FAMILY: bool = false;

            fn record_index(&self) -> usize {
                0
            }
        }
    };
}

/// Longer than another process or thread is silent on a busy machine; only a hang reaches it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Longer than anything here takes on a busy machine; only a hang reaches it.
const HANG: Duration = Duration::from_secs(20);

/// Runs something that must end. A hang, which would block the test for ever, fails it instead; a panic is passed on.
pub fn within<T: Send + 'static>(what: &str, run: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, outcome) = mpsc::channel();
    std::thread::spawn(move || done.send(catch_unwind(AssertUnwindSafe(run))).is_ok());
    match outcome.recv_timeout(HANG) {
        Ok(Ok(value)) => value,
        Ok(Err(panic)) => resume_unwind(panic),
        Err(_) => panic!("{what}: hangs"),
    }
}

/// How much longer than usual the randomized tests are to run: the variable `WAL_TESTS_SCALE`, 1 by default.
#[must_use]
pub fn scale() -> u32 {
    let set = std::env::var("WAL_TESTS_SCALE").ok();
    set.map_or(1, |text| text.parse().expect("WAL_TESTS_SCALE is a whole number"))
}

/// No background threads, so that nothing happens unless a call does it; small staging memory.
pub const fn quiet() -> WalConfig {
    WalConfig::new()
        .with_background_flush(false)
        .with_staging_bytes(1 << 20)
}

/// What the randomized tests that differ from run to run start with: the variable `WAL_TESTS_SEED`, or some number. They
/// say which it was when they fail.
#[must_use]
pub fn seed() -> u64 {
    let set = std::env::var("WAL_TESTS_SEED").ok();
    set.map_or(u64::from(std::process::id()), |text| {
        text.parse().expect("WAL_TESTS_SEED is a whole number")
    })
}

/// [`quiet`], for a store without files.
pub const fn quiet_heap() -> WalConfig {
    quiet().with_staging(Staging::Heap)
}

/// A new log in memory.
#[must_use]
pub fn wal() -> Wal {
    Wal::with_store(wal_db::MemStore::new()).expect("a log in memory")
}

/// A record as the tests compare it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry(pub Lsn, pub Vec<u8>);

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Entry(lsn, data) = self;
        write!(f, "{lsn}:{}b#{:08x}", data.len(), crc32fast::hash(data))
    }
}

/// Appends a record and returns it as it will be read. Panics at an error.
pub fn put(wal: &Wal, seed: usize, len: usize) -> Entry {
    let data = payload(seed, len);
    Entry(wal.append(&data).expect("append"), data)
}

/// Appends a record, which is durable when the ticket says so. Panics at an error.
pub fn ticket(wal: &Wal, data: &[u8]) -> wal_db::Ticket {
    wal.ticket(wal.append(data).expect("append")).expect("ticket")
}

/// Every record, in order. Panics at an error.
#[must_use]
pub fn all(wal: &Wal) -> Vec<Entry> {
    let records = wal.iter().expect("iter");
    let entry = |record: Result<wal_db::Record>| record.map(|r| Entry(r.lsn(), r.into_data()));
    records.map(entry).collect::<Result<_>>().expect("every record")
}

/// The places of records, in their order. Panics at an error.
pub fn lsns_of(records: Result<impl Iterator<Item = Result<wal_db::Record>>>) -> Vec<Lsn> {
    let lsn = |record: Result<wal_db::Record>| record.map(|record| record.lsn());
    records
        .expect("iter")
        .map(lsn)
        .collect::<Result<_>>()
        .expect("every record")
}

/// Each of the first with each of the second.
pub fn pairs<A: Copy, B>(
    first: impl IntoIterator<Item = A>,
    second: impl IntoIterator<Item = B, IntoIter: Clone>,
) -> impl Iterator<Item = (A, B)> {
    let second = second.into_iter();
    let with = move |one| second.clone().map(move |other| (one, other));
    first.into_iter().flat_map(with)
}

/// The records up to the first error, and that error.
#[must_use]
pub fn until_error(wal: &Wal) -> (Vec<Entry>, Option<WalError>) {
    until_error_of(wal.iter())
}

/// As [`until_error`], of some records.
pub fn until_error_of(
    records: Result<impl Iterator<Item = Result<wal_db::Record>>>,
) -> (Vec<Entry>, Option<WalError>) {
    let mut entries = Vec::new();
    let records = match records {
        Ok(records) => records,
        Err(error) => return (entries, Some(error)),
    };
    for record in records {
        match record {
            Ok(record) => entries.push(Entry(record.lsn(), record.into_data())),
            Err(error) => return (entries, Some(error)),
        }
    }
    (entries, None)
}

/// The damage that an operation was refused for. Panics if it was not.
pub fn corruption<T>(result: Result<T>) -> Corruption {
    match result {
        Err(WalError::Corruption(damage)) => damage,
        Err(other) => panic!("not Corruption: {other:?}"),
        Ok(_) => panic!("not refused"),
    }
}

/// Which error it is, by the name of its variant.
pub fn variant(error: &WalError) -> &'static str {
    macro_rules! among {
        ($($variant:ident)*) => {
            match error {
                $(WalError::$variant { .. } => stringify!($variant),)*
                error => panic!("an error that is not listed here: {error}"),
            }
        };
    }
    among! {
        Io RecordTooLarge BatchTooLarge Corruption Full NoStagingSpace NotDurable InDoubt Poisoned Locked NotALog
        UnsupportedVersion NoSuchRecord Truncated BeyondEnd OtherLog Diverged CutBack TooManyTruncations ReadOnly Closed
        Reentrant Config Typed
    }
}

/// Bytes that differ from record to record and are never zero.
#[must_use]
pub fn payload(seed: usize, len: usize) -> Vec<u8> {
    let cycle: Vec<u8> = (0..255).map(|i| ((seed * 31 + i * 7) % 255) as u8 + 1).collect();
    let mut bytes = cycle.repeat(len.div_ceil(255));
    bytes.truncate(len);
    bytes
}

/// Returns once the record at `lsn`, and everything before it, is durable.
///
/// # Errors
/// As [`wal_db::Wal::ticket`] and [`wal_db::Ticket::wait`].
pub fn sync_to(wal: &wal_db::Wal, lsn: wal_db::Lsn) -> wal_db::Result<()> {
    wal.ticket(lsn)?.wait().map(drop)
}

/// As [`wal_db::Wal::verify`], of a log that rests: several threads find what one does.
///
/// # Errors
/// As there.
///
/// # Panics
/// They find something else.
pub fn verified(wal: &wal_db::Wal) -> wal_db::Result<wal_db::recovery::VerifyReport> {
    let by_one = wal.verify()?;
    let by_several = wal_db::recovery::verify(wal, &wal_db::recovery::VerifyConfig::new().with_threads(5))?;
    assert_eq!(by_one, by_several, "by one thread, and by several");
    Ok(by_one)
}

/// Says something about the run on standard error: what was skipped and why, or how much was tried.
pub fn note(text: &str) {
    std::io::Write::write_all(&mut std::io::stderr(), format!("{text}\n").as_bytes()).expect("stderr");
}

/// What the reader that shares nothing with the crate prints; `None`, and a note, if there is no Python.
pub fn python_reader(arguments: impl IntoIterator<Item: AsRef<std::ffi::OsStr>>) -> Option<String> {
    let reader = concat!(env!("CARGO_MANIFEST_DIR"), "/../contrib/wal_reader.py");
    let mut python = std::process::Command::new("python3");
    let Ok(output) = python.arg(reader).args(arguments).output() else {
        note("left out, because python3 is not there: the reader in Python");
        return None;
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.is_empty(), "the reader failed: {errors}");
    Some(String::from_utf8(output.stdout).unwrap())
}

/// The compiler whose messages the UI tests expect.
const PINNED: &str = "rustc 1.95.";

/// Whether this is the compiler that the expected messages come from; says so if it is not.
#[must_use]
pub fn has_the_messages_of_ui_tests() -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = std::process::Command::new(rustc).arg("--version").output();
    let version = String::from_utf8(output.expect("rustc runs").stdout).expect("a version");
    let pinned = version.starts_with(PINNED);
    if !pinned {
        note(&format!(
            "skipped: the expected messages are those of {PINNED}x, this is {version}"
        ));
    }
    pinned
}
