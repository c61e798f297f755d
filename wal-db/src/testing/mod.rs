//! For the tests of programs that keep events: what was released stays readable, and what is read is what was meant.
//!
//! In `Cargo.toml`, beside the dependency: `[dev-dependencies] wal-db = { version = "...", features = ["testing"] }`.
//!
//! | in a test | finds |
//! | --- | --- |
//! | [`check_lock!`] | a released version that changed, is missing, or is not read any more |
//! | [`check_history!`] | a migration that fails or mixes up fields, with random records of every released version |
//! | [`golden!`] | bytes of an old version that are not the event that was meant any more |
//! | [`assert_roundtrip!`], [`roundtrip_test!`] | an event that does not come back from a log as it was |
//! | [`check_store`] | what a store of your own does otherwise than the log needs it |
//! | [`given`] | a decision that is not what was meant, on a state that events have made |
//! | [`assert_state_laws`] | a state that is not the fold of its events, or does not come back from a snapshot |
//! | [`assert_store_survives`] | a decision that a crash takes back, and a state that does not keep what it should, on every crash image |
//! | [`assert_crash_prefix`] | a state that no crash may leave, on every crash image of a run of your program |
//!
//! Those that read or write events take the format that a log is in: `codec MyCodec` after a semicolon.
//!
//! [`MemLog`] and [`TempLog`] are logs that leave no file, [`FixedClock`] gives the same times in every run, and
//! [`dump`] prints any log.
//!
//! ```text
//! #[test]
//! fn what_is_released_stays() {
//!     wal_db::testing::check_lock!(Bank, Order);
//!     wal_db::testing::check_history!(Bank, Order);
//! }
//! ```
//!
//! `WAL_LOCK=update cargo test` then adds what is new to `wal.lock`. Run it when a version is released.

mod check_lock;
mod clock;
mod compare;
mod differences;
mod foreign;
mod golden;
mod history;
mod lock;
mod logs;
mod macros;
mod places;
mod positional;
mod roundtrip;
mod shape_values;
pub mod sim;
mod states;
mod store;
mod strategies;
mod told;
mod wires;

use std::{
    fmt::{self, Write},
    path::Path,
};

pub use self::check_lock::{DeclaredType, LockMode, check_lock};
pub use self::clock::FixedClock;
#[doc(hidden)]
pub use self::clock::set_clock;
pub use self::differences::differences;
pub use self::golden::{GoldenMode, golden, golden_with_codec};
pub use self::history::{ReadableType, check_history, check_history_with_strategies};
pub use self::lock::{Lock, LockError, LockLine};
pub use self::logs::{MemLog, TempLog, append_payload};
pub use self::roundtrip::{roundtrip, roundtrip_all, roundtrip_all_with_codec, roundtrip_with_codec};
pub use self::shape_values::{NoValues, shape_values};
pub use self::sim::{SimDisk, assert_crash_prefix, assert_store_survives};
pub use self::states::{Given, When, assert_state_laws, check_state_laws, given};
pub use self::store::check_store;
pub use self::strategies::Strategies;
pub use crate::log::Dump;
#[doc(inline)]
pub use crate::{assert_roundtrip, check_history, check_lock, golden, roundtrip_test};
use crate::{log::dump_on, storage::System, sync::Arc};

/// What is in the log at `path`, in whatever state it is, as text: a line for each segment, group, frame and damaged
/// place. Changes nothing. The text is for people, and for tests of this very version. Fails as
/// [`salvage`](crate::recovery::salvage).
pub fn dump(path: impl AsRef<Path>) -> crate::error::Result<Dump> {
    let path = path.as_ref();
    dump_on(Arc::new(System), path).map_err(|error| error.located(Some(path)))
}

/// What a check has found, in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckFailed {
    problems: Vec<String>,
}

impl CheckFailed {
    /// What is wrong and what to do, at least one.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    fn one(problem: String) -> Self {
        CheckFailed {
            problems: vec![problem],
        }
    }

    fn because(error: &dyn std::error::Error) -> Self {
        CheckFailed::one(history::sentence(error))
    }

    fn unless_empty(problems: Vec<String>) -> Result<(), Self> {
        if problems.is_empty() {
            Ok(())
        } else {
            Err(CheckFailed { problems })
        }
    }
}

impl fmt::Display for CheckFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("\n"))
    }
}

impl std::error::Error for CheckFailed {}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // a string takes everything
        text
    })
}
