//! What follows a log by a name: mail, read models in other databases, whatever is done once for each event.
//!
//! A [`Consumer`] hands each event to the program's code, oldest first, once it is durable, and keeps where it has come to
//! beside the log. After a crash it goes on from there: each event is handled at least once, and what the code
//! [emits](Delivery::emit) into the same log is there exactly once. An event that cannot be handled is tried again, and
//! then [stops](Poison::Stop) the consumer, [parks](Poison::Park) all events of its key, or is [passed over](Poison::Skip).
//! `docs/consumers.md` in the repository shows how to use them.

mod book;
mod config;
mod delivery;
mod fence;
mod handle;
mod lanes;
mod letters;
mod run;
mod waiting;

pub use self::{
    config::{ConsumerConfig, Poison},
    delivery::{Delivery, HandlerError},
    handle::{Consumer, ConsumerStatus, Lag, Letter, consumers, forget},
    waiting::Waited,
};
pub use crate::error::ConsumerError;
