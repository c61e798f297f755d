//! prevayler-rs 0.2.2, a state in memory with a journal of the transactions on it.
//!
//! A transaction changes the state first and is then written to a file. What the crate calls a flush hands the bytes to
//! the system, and nothing reaches the disk with it: a decision survives the end of the process, not power loss. The
//! crate is asynchronous and takes `&mut`; its documentation has a mutex around it. A file is all that it waits for, so
//! it needs no runtime. Transactions are JSON, as by default.

use std::path::Path;

use anyhow::{Result, anyhow};
use futures::executor::block_on;
use parking_lot::Mutex;
use prevayler_rs::error::PrevaylerError;
use prevayler_rs::serializer::JsonSerializer;
use prevayler_rs::{PrevaylerBuilder, TransactionWithQuery};

use super::{Deciding, Peer, decide};
use crate::store::{Accounts, Moved};

pub(super) struct Prevayler;

impl Peer for Prevayler {
    fn name(&self) -> &'static str {
        "prevayler-rs"
    }

    fn settings(&self) -> &'static str {
        "0.2.2: a mutex around it; JSON"
    }

    fn note(&self) -> Option<&'static str> {
        Some("which flushes nothing to the disk")
    }

    fn create(&self, dir: &Path, _: u64) -> Result<Box<dyn Deciding>> {
        Ok(Box::new(Mutex::new(open(dir)?)))
    }
}

type Journalled = prevayler_rs::Prevayler<Moved, Accounts, JsonSerializer>;

fn open(dir: &Path) -> Result<Journalled> {
    let opened = PrevaylerBuilder::new()
        .path(dir)
        .serializer(JsonSerializer::new())
        .data(Accounts::default())
        .build();
    block_on(opened).map_err(readable)
}

impl TransactionWithQuery<Accounts> for Moved {
    type Output = Result<i64>;

    fn execute_and_return(&self, accounts: &mut Accounts) -> Result<i64> {
        decide(accounts, self)
    }
}

impl Deciding for Mutex<Journalled> {
    fn decide(&self, event: Moved) -> Result<i64> {
        block_on(self.lock().execute_transaction_with_query(event)).map_err(readable)?
    }

    fn recover(self: Box<Self>, dir: &Path) -> Result<Accounts> {
        drop(self);
        Ok(open(dir)?.query().clone())
    }
}

fn readable(error: PrevaylerError) -> anyhow::Error {
    anyhow!("{error:?}")
}
