//! Memory where records wait until they are in the store: claimed by any number of threads at once, shared with the system
//! so that a process may die, and read by the next one.
//!
//! | file | what it is for |
//! | --- | --- |
//! | `ring` | places in the ring: claiming, publishing, consuming |
//! | `tail` | where the next claim starts, and which thread goes first |
//! | `memory` | the bytes, and all that is unsafe about them |
//! | `leftover` | the file of the bytes: its header, and what a dead process has left in it |

pub(crate) mod leftover;
pub(crate) mod memory;
pub(crate) mod ring;
mod tail;
