//! Finding events by stream, tag and type, and appending only if nothing of a kind has come.
//!
//! [`EventLog::indexed`](crate::EventLog::indexed) makes an [`Indexed`] log. It [selects](Indexed::select) the events of a
//! [`Query`] without reading the others, and [appends if](Indexed::append_if) a [`Condition`] holds.
//! [`Indexed::decide`] does both: it folds what a decision needs, asks for the decision, and appends it unless something has
//! come between. `docs/index.md` in the repository shows how to model with them.

mod check;
mod condition;
mod few;
mod files;
mod indexed;
mod keeper;
mod noted;
mod postings;
mod query;
mod run;
mod selected;
mod table;
mod term;

pub(crate) use self::query::Wanted;
pub use self::{
    condition::Condition,
    indexed::{IndexConfig, Indexed},
    keeper::IndexStatus,
    query::{Item, Query},
    selected::Selected,
};

#[cfg(all(
    test,
    feature = "derive",
    feature = "bincode",
    not(wal_loom),
    not(wal_shuttle)
))]
mod tests;
