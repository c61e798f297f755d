//! From files to a log.
//!
//! A log that is opened for writing: `recover` takes the store, `keeper` the manifest, `recover` finds the end and
//! judges what is there, `mend` makes durable what will be shown, keeps aside what goes, and begins an epoch; `cut`
//! goes on after damage. For reading only: `reader`, beside a writer as well, with `waiting` for what has not reached
//! the store.

pub(crate) mod cut;
pub(crate) mod in_memory;
pub(crate) mod keeper;
pub(crate) mod mend;
pub(crate) mod reader;
pub(crate) mod recover;
pub(crate) mod staged;
pub(crate) mod table;
pub(crate) mod waiting;
