//! A process that is forked: the log stays its own, and a child hears so of every call, whatever threads were doing when
//! it was forked.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // a setup that fails fails the test

mod callbacks;
mod calls;
mod children;
mod keys;
mod others;

use wal_db::{Staging, WalConfig, WalError, store::Background};
use wal_tests::variant;

/// What every call says in a child.
pub(crate) const FORKED: &str = "the process was forked; open the log in the child";

/// Small staging memory, so that a ring is filled and given back often.
pub(crate) fn config(staging: Staging, background: bool) -> WalConfig {
    WalConfig::new()
        .with_staging(staging)
        .with_staging_bytes(64 << 10)
        .with_background_flush(background)
}

/// Every staging with no background threads, with its own, and with those that it shares.
pub(crate) fn configs() -> impl Iterator<Item = WalConfig> {
    let stagings = [Staging::Mapped, Staging::Heap, Staging::WriteThrough];
    stagings.into_iter().flat_map(|staging| {
        let own = config(staging, true);
        [
            config(staging, false),
            own,
            own.with_background(&Background::shared()),
        ]
    })
}

/// The variant of an outcome, and the cause if it has one.
pub(crate) fn said<T>(outcome: wal_db::Result<T>) -> String {
    match &outcome {
        Ok(_) => "Ok".to_owned(),
        Err(error @ (WalError::Poisoned { cause, .. } | WalError::InDoubt { cause, .. })) => {
            format!("{}: {cause}", variant(error))
        }
        Err(error) => variant(error).to_owned(),
    }
}
