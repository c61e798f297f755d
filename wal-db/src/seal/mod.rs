//! Values inside events that can be made unreadable for ever, without changing the log.
//!
//! An event has a [`Sealed<T>`] where it would have personal data. The value in it is encrypted with a key of its subject,
//! which is in a [`Keyring`] beside the log and in no event. [`Keyring::shred`] destroys that key: every copy of the events,
//! also in backups, keeps bytes that nobody can read any more. `docs/personal-data.md` says how to model, and what is
//! erased when.
//!
//! **States hold sealed values.** `State::apply` has no key ring, so states, snapshots and indexes hold what the events hold,
//! and a shred changes no replay. A program opens a value when it shows it, and keeps
//! [a keyed hash](Keyring::lookup_hash) beside it to find it by.
//!
//! **The key file is not in the log's backup.** Back it up apart from the log, and keep few copies for a short time: a copy
//! from before a shred is useless, because its master was destroyed, and a ring that is lost has shredded everything.
//!
//! # Types that change
//!
//! A sealed value knows the shape of its type. If the type has another one now, [`Keyring::unseal`] returns
//! [`SealError::OtherShape`], and never something that is read as what it is not. [`Keyring::unseal_version`] reads it as the
//! type was in an earlier [version](crate::WalSchema#versions), and [`Keyring::unseal_as`] as a type that describes what was
//! sealed.

// Read the modules in this order:
//
// | module | what it holds |
// | --- | --- |
// | `cipher` | encryption, digests, random numbers |
// | `error` | why something cannot be sealed or opened |
// | `vault` | where master keys are; one in memory |
// | `file_vault` | one in files |
// | `sealed` | what is stored instead of a value |
// | `receipt` | what a shred leaves |
// | `file` | the file of a ring: sectors |
// | `ring` | what a ring knows |
// | `shapes` | what stands for the shapes of types |
// | `opened` | what a program gets |
// | `change` | how the file changes |
// | `keyring` | what a program calls |

mod change;
mod cipher;
#[cfg(all(test, feature = "testing", not(any(wal_loom, wal_shuttle))))]
mod crash_tests;
mod error;
#[cfg(all(test, feature = "testing", not(any(wal_loom, wal_shuttle))))]
mod failure_tests;
mod file;
mod file_vault;
mod keyring;
mod opened;
mod receipt;
mod ring;
mod sealed;
mod shapes;
mod vault;

pub use cipher::Secret;
pub use error::SealError;
pub use file_vault::FileVault;
pub use keyring::Keyring;
pub use opened::{KeyringStatus, Opened};
pub use receipt::{FileDigest, KeyId, LookupHash, RingId, ShredReceipt};
pub use sealed::Sealed;
pub use vault::{MasterId, MemoryVault, Vault, VaultError};
