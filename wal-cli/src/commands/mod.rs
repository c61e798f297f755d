//! The commands, a file for each.

pub(crate) mod cat;
pub(crate) mod info;
pub(crate) mod ls;
pub(crate) mod repair;
pub(crate) mod salvage;
pub(crate) mod undo;
pub(crate) mod verify;
