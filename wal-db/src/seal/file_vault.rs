//! Master keys in files.

use std::{
    ffi::OsString,
    fmt, io,
    path::{Path, PathBuf},
};

use zeroize::Zeroize;

use super::{
    cipher::Secret,
    vault::{MasterId, Vault, VaultError, new_master, unwrap_with, wrap_with},
};
use crate::{
    format::keyring::{MASTER_LEN, decode_master, encode_master},
    storage::{
        System,
        fs::{Access, Dir, FileSystem, create_dirs, read_at, write_at},
    },
    sync::Arc,
};

/// A vault in a directory: a file for each master key, which only its owner can read. That is so on Unix; elsewhere
/// files have the rights that the directory gives them.
///
/// Keep the directory apart from the key ring and from its backups, best on another disk, and never inside the ring's directory: the promise of a shred is that
/// nobody has the old key file *and* the old master. A file that is destroyed is overwritten and removed. What the disk
/// keeps of it in places that no file has is beyond reach, so for personal data that matters, write a [`Vault`] for a key
/// management service.
pub struct FileVault {
    dir: Arc<dyn Dir>,
    path: PathBuf,
}

impl FileVault {
    /// Opens the vault in a directory, which is made if it is not there.
    ///
    /// # Errors
    /// [`VaultError::Io`].
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, VaultError> {
        Self::open_on(&System, dir.as_ref())
    }

    pub(crate) fn open_on(fs: &dyn FileSystem, path: &Path) -> Result<Self, VaultError> {
        let dir = create_dirs(fs, path).map_err(failed(path, "opening its directory"))?;
        Ok(FileVault {
            dir,
            path: path.to_owned(),
        })
    }

    fn failed(&self, context: &'static str) -> impl FnOnce(io::Error) -> VaultError + use<> {
        failed(&self.path, context)
    }

    fn master(&self, master: &MasterId) -> Result<Secret, VaultError> {
        let file = match self.dir.open(&file_name(master)?, Access::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(VaultError::no_such_master(master));
            }
            opened => opened.map_err(self.failed("opening a master key"))?,
        };
        let mut bytes = [0; MASTER_LEN];
        let len = read_at(&*file, 0, &mut bytes).map_err(self.failed("reading a master key"))?;
        let secret = decode_master(&bytes[..len]).map(Secret::new);
        bytes.zeroize();
        secret.ok_or_else(|| VaultError::Damaged {
            master: master.clone(),
        })
    }
}

/// Names that [`Vault::rotate`] has given are those of files; others are of another vault.
fn file_name(master: &MasterId) -> Result<OsString, VaultError> {
    let name = master.as_str();
    let is_ours = name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    match is_ours {
        true => Ok(format!("{name}.master").into()),
        false => Err(VaultError::no_such_master(master)),
    }
}

impl Vault for FileVault {
    fn rotate(&self) -> Result<MasterId, VaultError> {
        let (id, secret) = new_master()?;
        let name = file_name(&id)?;
        let file = self.dir.open(&name, Access::New);
        let file = file.map_err(self.failed("making a master key"))?;
        let mut bytes = encode_master(secret.as_bytes());
        let written = write_at(&*file, 0, &bytes).and_then(|()| file.sync_all());
        bytes.zeroize();
        written.map_err(self.failed("writing a master key"))?;
        self.dir.sync().map_err(self.failed("flushing its directory"))?;
        Ok(id)
    }

    fn wrap(&self, master: &MasterId, key: &Secret) -> Result<Vec<u8>, VaultError> {
        wrap_with(&self.master(master)?, master, key)
    }

    fn unwrap(&self, master: &MasterId, wrapped: &[u8]) -> Result<Secret, VaultError> {
        unwrap_with(&self.master(master)?, master, wrapped)
    }

    fn destroy(&self, master: &MasterId) -> Result<(), VaultError> {
        let Ok(name) = file_name(master) else {
            return Ok(());
        };
        match self.dir.open(&name, Access::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => {
                let file = opened.map_err(self.failed("opening a master key"))?;
                let wiped = write_at(&*file, 0, &[0; MASTER_LEN]).and_then(|()| file.sync_all());
                wiped.map_err(self.failed("wiping a master key"))?;
                self.dir
                    .remove(&name)
                    .map_err(self.failed("removing a master key"))?;
            }
        }
        // The process that removed it may have died before that was durable.
        self.dir.sync().map_err(self.failed("flushing its directory"))
    }
}

fn failed(path: &Path, context: &'static str) -> impl FnOnce(io::Error) -> VaultError + use<> {
    let path = path.to_owned();
    move |source| VaultError::Io {
        context,
        path,
        source,
    }
}

impl fmt::Debug for FileVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FileVault").field(&self.path).finish()
    }
}
