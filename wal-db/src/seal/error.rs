//! Why something cannot be sealed or opened.

use std::{error::Error, io, path::PathBuf};

use super::{KeyId, RingId, vault::VaultError};

/// Why a value cannot be sealed or opened, or a key ring not be used.
///
/// Nothing is guessed: a value is handed out only if it is the one that was sealed, and a value whose key was shredded
/// is [`Opened::Shredded`](super::Opened::Shredded), which is no error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // fields that the text above names
pub enum SealError {
    /// The operating system refused a call. If it was a write of the key file, the handle is [`Stopped`](Self::Stopped).
    #[error("I/O error on the key ring {} while {context}", path.display())]
    #[non_exhaustive]
    Io {
        context: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// The vault refused a call.
    #[error("the vault of the key ring refused to {what}")]
    #[non_exhaustive]
    Vault { what: &'static str, source: VaultError },
    /// The system has no random numbers.
    #[error("the system has no random numbers")]
    Random(#[source] Box<dyn Error + Send + Sync>),

    /// There is no key ring in the directory. If there was one, restore it: what it has sealed cannot be opened by another.
    #[error("there is no key ring in {}; restore it, or make the first one with Keyring::create", path.display())]
    #[non_exhaustive]
    NoRing { path: PathBuf },
    /// There is a key ring in the directory already.
    #[error("there is a key ring in {} already", path.display())]
    #[non_exhaustive]
    Exists { path: PathBuf },
    /// Another process, or another handle, has the key ring open.
    #[error("the key ring {} is open elsewhere; clone that handle", path.display())]
    #[non_exhaustive]
    Locked { path: PathBuf },
    /// The key file is not what was written. Restore it from a backup.
    #[error("the key file {} is damaged: {what}, at byte {offset}; restore it from a backup", path.display())]
    #[non_exhaustive]
    Damaged {
        path: PathBuf,
        /// Where that was found, in bytes from the beginning of the file.
        offset: u64,
        /// What was found.
        what: &'static str,
    },
    /// A later release wrote the key file.
    #[error(
        "the key file {} is in version {version} of the format with features {features:#x}, which this release does not \
        know; use a later one",
        path.display()
    )]
    #[non_exhaustive]
    NewerFormat {
        path: PathBuf,
        version: u32,
        features: u32,
    },
    /// The key ring is for another scope than was asked for.
    #[error("the key ring {} is for `{stored}` and not for `{given}`", path.display())]
    #[non_exhaustive]
    OtherScope {
        path: PathBuf,
        stored: String,
        given: String,
    },
    /// A write of the key file has failed before. What this handle has can still be opened; for all else, drop it and all its
    /// clones, and open the ring again.
    #[error("the key ring {} has failed to write its file, so it makes and shreds no keys; drop every clone and open it again", path.display())]
    #[non_exhaustive]
    Stopped { path: PathBuf },
    /// The handle was opened by another process, of which this one is a child.
    #[error("the key ring {} was opened before this process was forked; open it in one of them", path.display())]
    #[non_exhaustive]
    Forked { path: PathBuf },

    /// The key of the subject was shredded, so nothing more is sealed for it.
    #[error("the key {key} of this subject was shredded; a new beginning takes another name for the subject")]
    #[non_exhaustive]
    SubjectShredded { key: KeyId },
    /// No key was ever made for the subject.
    #[error("the key ring has no key for this subject")]
    NoSuchSubject,
    /// What is to be sealed is too long, or a name is.
    #[error("{what} of {len} bytes exceeds the limit of {max} bytes")]
    #[non_exhaustive]
    TooLong { what: &'static str, len: u64, max: u64 },
    /// The value cannot be written, or not be read again. The source is what the type says, and may quote a piece of the value.
    #[error("a `{ty}` cannot be sealed")]
    #[non_exhaustive]
    Encode {
        ty: &'static str,
        source: Box<dyn Error + Send + Sync>,
    },

    /// The value was sealed by another key ring.
    #[error("the value was sealed by the key ring {found}, and this is {ring}")]
    #[non_exhaustive]
    OtherRing { ring: RingId, found: RingId },
    /// The ring has no such key and has not shredded one: its file is older than the value, or the value is damaged.
    #[error(
        "the key {key} is not in this ring and was not shredded: the key file is older than the value, so restore a newer \
        one, or the value is damaged"
    )]
    #[non_exhaustive]
    UnknownKey { key: KeyId },
    /// The value was sealed as a type of another shape.
    #[error(
        "the value was sealed as a type of another shape than `{ty}`, which is `{shape}`; if the type has changed, open it \
        as it was with Keyring::unseal_version or Keyring::unseal_as"
    )]
    #[non_exhaustive]
    OtherShape {
        ty: &'static str,
        /// The shape of the type that was asked for.
        shape: String,
    },
    /// The value was sealed for another subject than the one that was asked for.
    #[error("the value was sealed for another subject, with the key {key}")]
    #[non_exhaustive]
    OtherSubject { key: KeyId },
    /// The value is not what was sealed.
    #[error(
        "the value is not what was sealed with the key {key}: it was changed, or put together from others"
    )]
    #[non_exhaustive]
    NotAuthentic { key: KeyId },
    /// The bytes are no sealed value.
    #[error("these {len} bytes are no sealed value")]
    #[non_exhaustive]
    NotSealed { len: usize },
    /// A later release sealed the value.
    #[error("the value was sealed in version {version}, which this release does not know; use a later one")]
    #[non_exhaustive]
    NewerSealed { version: u8 },
    /// The value is what was sealed, and this program cannot read it as the type. The source is what the type says, and may quote
    /// a piece of the value.
    #[error("what was sealed cannot be read as a `{ty}`")]
    #[non_exhaustive]
    Decode {
        ty: &'static str,
        source: Box<dyn Error + Send + Sync>,
    },
}
