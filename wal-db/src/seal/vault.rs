//! Where master keys are.

use std::{collections::BTreeMap, error::Error, fmt, io, path::PathBuf};

use super::cipher::{Cipher, Secret, random};
use crate::{
    format::keyring::{NONCE, TAG},
    sync::{Arc, Mutex},
};

/// The name of a master key in its vault.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MasterId(String);

impl MasterId {
    /// A name of 1 to 255 bytes; a ring refuses a longer one.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        MasterId(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MasterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What holds the master keys of a key ring: a key management service, a [`FileVault`](super::FileVault), or a
/// [`MemoryVault`] in tests.
///
/// A ring has one master at a time, which wraps the key of its file. To shred, the ring asks for a new master, writes
/// its file anew under that one, and has the old one destroyed. So that is what the promise rests on: **a master that
/// [`destroy`](Self::destroy) has returned for wraps and unwraps nothing any more, for anybody**, and no copy of it is
/// left. A service that only schedules the end of a key erases when that time has come.
///
/// Calls come from one thread at a time for each ring.
pub trait Vault: Send + Sync {
    /// Makes a new master, which is durable when this returns.
    ///
    /// A ring that dies right after this has not noted the name: the master stays, and nothing was ever wrapped with it.
    /// Each call returns another name: a service that changes what one name stands for would lose the new master with the
    /// old one, so a ring refuses that ([`VaultError::SameMaster`]).
    ///
    /// # Errors
    /// Whatever the vault says.
    fn rotate(&self) -> Result<MasterId, VaultError>;

    /// Encrypts a key with a master.
    ///
    /// # Errors
    /// [`VaultError::NoSuchMaster`]; whatever the vault says.
    fn wrap(&self, master: &MasterId, key: &Secret) -> Result<Vec<u8>, VaultError>;

    /// The key that [`wrap`](Self::wrap) has encrypted with this master.
    ///
    /// # Errors
    /// [`VaultError::NoSuchMaster`] if the master was destroyed, [`VaultError::NotWrapped`] if the bytes are not what it
    /// has wrapped; whatever the vault says.
    fn unwrap(&self, master: &MasterId, wrapped: &[u8]) -> Result<Secret, VaultError>;

    /// Destroys a master for good. It is gone when this returns, also after a loss of power. One that is not there is no
    /// error: a ring asks again if it cannot know whether it was done.
    ///
    /// # Errors
    /// Whatever the vault says; the ring asks again when it is opened.
    fn destroy(&self, master: &MasterId) -> Result<(), VaultError>;
}

impl<V: Vault + ?Sized> Vault for Arc<V> {
    fn rotate(&self) -> Result<MasterId, VaultError> {
        (**self).rotate()
    }

    fn wrap(&self, master: &MasterId, key: &Secret) -> Result<Vec<u8>, VaultError> {
        (**self).wrap(master, key)
    }

    fn unwrap(&self, master: &MasterId, wrapped: &[u8]) -> Result<Secret, VaultError> {
        (**self).unwrap(master, wrapped)
    }

    fn destroy(&self, master: &MasterId) -> Result<(), VaultError> {
        (**self).destroy(master)
    }
}

/// Why a vault refuses a call.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // fields that the text above names
pub enum VaultError {
    /// The vault does not have the master: it was destroyed, or is in another vault.
    #[error(
        "the master key {master} is not in the vault: it was destroyed, so the key file is from before a shred or a \
        rotation, or it is in another vault"
    )]
    #[non_exhaustive]
    NoSuchMaster { master: MasterId },
    /// The bytes are not what the master has wrapped.
    #[error("what is to be unwrapped was not wrapped by the master key {master}, or is damaged")]
    #[non_exhaustive]
    NotWrapped { master: MasterId },
    /// The vault gave the name of a master that it gave before instead of that of a new one. Nothing was changed.
    #[error("the vault gave the name {master} again instead of making a new master key under another name")]
    #[non_exhaustive]
    SameMaster { master: MasterId },
    /// The master is not what was written. Restore its file, and nothing else of the vault: a backup of it may hold masters
    /// that were destroyed since, and with them old key files can be read again. After a restore, remove every master that is
    /// not [`KeyringStatus::master`](super::KeyringStatus::master).
    #[error(
        "the master key {master} is damaged; restore the file of this master from a backup, and no other one"
    )]
    #[non_exhaustive]
    Damaged { master: MasterId },
    /// The operating system refused a call.
    #[error("I/O error on the vault {} while {context}", path.display())]
    #[non_exhaustive]
    Io {
        context: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// Whatever else a vault has to say.
    #[error("the vault failed")]
    Other(#[source] Box<dyn Error + Send + Sync>),
}

impl VaultError {
    /// For vaults of programs.
    pub fn other(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        VaultError::Other(error.into())
    }

    /// For vaults of programs.
    #[must_use]
    pub fn no_such_master(master: &MasterId) -> Self {
        VaultError::NoSuchMaster {
            master: master.clone(),
        }
    }

    /// For vaults of programs.
    #[must_use]
    pub fn not_wrapped(master: &MasterId) -> Self {
        VaultError::NotWrapped {
            master: master.clone(),
        }
    }
}

/// A vault in memory, for tests. Clones are the same vault.
#[derive(Clone, Debug, Default)]
pub struct MemoryVault {
    masters: Arc<Mutex<BTreeMap<MasterId, Secret>>>,
}

impl MemoryVault {
    /// A vault without masters.
    #[must_use]
    pub fn new() -> Self {
        MemoryVault::default()
    }

    /// The masters that it has.
    #[must_use]
    pub fn masters(&self) -> Vec<MasterId> {
        self.masters.lock().keys().cloned().collect()
    }

    /// Another vault with the same masters, which keeps those that are destroyed in this one: what a thief has copied.
    #[must_use]
    pub fn copied(&self) -> MemoryVault {
        MemoryVault {
            masters: Arc::new(Mutex::new(self.masters.lock().clone())),
        }
    }

    fn master(&self, master: &MasterId) -> Result<Secret, VaultError> {
        let found = self.masters.lock().get(master).cloned();
        found.ok_or_else(|| VaultError::no_such_master(master))
    }
}

impl Vault for MemoryVault {
    fn rotate(&self) -> Result<MasterId, VaultError> {
        let (id, secret) = new_master()?;
        self.masters.lock().insert(id.clone(), secret);
        Ok(id)
    }

    fn wrap(&self, master: &MasterId, key: &Secret) -> Result<Vec<u8>, VaultError> {
        wrap_with(&self.master(master)?, master, key)
    }

    fn unwrap(&self, master: &MasterId, wrapped: &[u8]) -> Result<Secret, VaultError> {
        unwrap_with(&self.master(master)?, master, wrapped)
    }

    fn destroy(&self, master: &MasterId) -> Result<(), VaultError> {
        self.masters.lock().remove(master);
        Ok(())
    }
}

/// A random master, under a random name.
pub(super) fn new_master() -> Result<(MasterId, Secret), VaultError> {
    let id = random().map(u64::from_be_bytes).map_err(VaultError::other)?;
    let secret = Secret::random().map_err(VaultError::other)?;
    Ok((MasterId(format!("{id:016x}")), secret))
}

pub(super) fn wrap_with(secret: &Secret, master: &MasterId, key: &Secret) -> Result<Vec<u8>, VaultError> {
    let nonce = random::<NONCE>().map_err(VaultError::other)?;
    let mut out = nonce.to_vec();
    out.extend_from_slice(key.as_bytes());
    let sealed = Cipher::new(secret).seal(master.0.as_bytes(), &nonce, &mut out[NONCE..]);
    out.extend_from_slice(&sealed.map_err(VaultError::other)?);
    Ok(out)
}

pub(super) fn unwrap_with(secret: &Secret, master: &MasterId, wrapped: &[u8]) -> Result<Secret, VaultError> {
    let parts = wrapped.split_first_chunk::<NONCE>().and_then(|(nonce, rest)| {
        let (key, tag) = rest.split_first_chunk::<32>()?;
        Some((nonce, Secret::new(*key), <[u8; TAG]>::try_from(tag).ok()?))
    });
    let (nonce, mut key, tag) = parts.ok_or_else(|| VaultError::not_wrapped(master))?;
    let opened = Cipher::new(secret).open(master.0.as_bytes(), nonce, key.bytes_mut(), &tag);
    opened.map_err(|_| VaultError::not_wrapped(master))?;
    Ok(key)
}
