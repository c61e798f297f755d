//! What a program calls.

use std::{
    any::type_name,
    fmt,
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::{
    KeyId, KeyringStatus, LookupHash, Opened, RingId, Sealed, ShredReceipt,
    change::Writer,
    cipher::{Hasher, random},
    error::SealError,
    file::{Place, failed},
    ring::{self, Ring, Subject, SubjectKey},
    shapes::{Shapes, digest_of},
    vault::{MasterId, Vault},
};
use crate::{
    event::{
        codec::CodecId,
        plain::{self, ReadAs},
        schema::{ReadIn, SchemaIn, Shape, WalSchema},
    },
    format::keyring::{NONCE, PLAIN_HEAD, SEALED_HEAD, SEALED_MAX, SealedHead, TAG, pad, unpad},
    process::Process,
    storage::{
        System,
        fs::{FileSystem, create_dirs},
    },
    sync::{Arc, Mutex, RwLock},
};

/// The keys of subjects, one for each, with which values are sealed, and which can be shredded.
///
/// A subject is whatever is to be erased as one: most often a person, under the name that the program has for them. The
/// ring stores the name as a keyed hash only. Clones are the same ring, and calls come from any thread. Only one handle of
/// one process has a ring open. In a child that was forked off it every call is [`SealError::Forked`], except for
/// [`lookup_hash`](Self::lookup_hash) and [`subject_hash`](Self::subject_hash).
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use wal_db::{MemStore, Wal, WalRecord};
/// use wal_db::seal::{Keyring, MemoryVault, Opened, Sealed};
///
/// #[derive(Serialize, Deserialize, WalRecord)]
/// #[wal(name = "bank")]
/// enum Bank {
///     Named { id: u64, name: Sealed<String> },
/// }
///
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path().join("keys");
/// let keys = Keyring::create(dir, "bank", MemoryVault::new())?; // a `FileVault` or your own
/// let log = Wal::with_store(MemStore::new())?.typed::<Bank>()?;
///
/// let name = keys.seal("user-7", &"Ada".to_owned())?;
/// log.append(&Bank::Named { id: 7, name: name.clone() })?;
/// assert_eq!(keys.unseal(&name)?, Opened::Clear("Ada".to_owned()));
///
/// let receipt = keys.shred("user-7")?;
/// assert_eq!(keys.unseal(&name)?, Opened::Shredded);
/// assert_eq!(receipt.subject, keys.subject_hash("user-7"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Keyring {
    shared: Arc<Shared>,
}

struct Shared {
    id: RingId,
    scope: String,
    path: PathBuf,
    process: Process,
    hasher: Hasher,
    shapes: Shapes,
    ring: RwLock<Ring>,
    writer: Mutex<Writer>,
    vault: Box<dyn Vault>,
}

/// The longest scope.
const MAX_SCOPE: usize = 4096;

impl Keyring {
    /// Makes a key ring in a directory, which is made as well if it is not there. It is durable when this returns.
    ///
    /// `scope` says what the values belong to, for example the name of the log. It is part of what is authenticated, and
    /// opening asks for it: a ring of another scope is refused. Several logs can share a ring, and a log that was copied or
    /// restored goes on with the ring that it had.
    ///
    /// # Errors
    /// [`SealError::Exists`] if there is one already, [`SealError::Locked`], [`SealError::Vault`], [`SealError::Io`].
    pub fn create(
        dir: impl AsRef<Path>,
        scope: &str,
        vault: impl Vault + 'static,
    ) -> Result<Self, SealError> {
        Self::create_on(&System, dir.as_ref(), scope, Box::new(vault))
    }

    /// Opens the key ring in a directory, and finishes what a process that died had begun: a shred that has returned an error
    /// may be finished here. For that it makes and destroys masters and needs free space, and without it does not open. A handle
    /// that has failed is opened again once all its clones are dropped.
    ///
    /// # Errors
    /// [`SealError::NoRing`] if there is none, [`SealError::Locked`], [`SealError::OtherScope`], [`SealError::Damaged`],
    /// [`SealError::NewerFormat`], [`SealError::Vault`], among others if the key file is from before a shred or a
    /// rotation, so that its master was destroyed; [`SealError::Io`].
    pub fn open(dir: impl AsRef<Path>, scope: &str, vault: impl Vault + 'static) -> Result<Self, SealError> {
        Self::open_on(&System, dir.as_ref(), scope, Box::new(vault))
    }

    /// As [`open`](Self::open), or [`create`](Self::create) if there is none.
    ///
    /// A ring that was lost is not missed here: what it has sealed is [`SealError::OtherRing`] then.
    ///
    /// # Errors
    /// As the two.
    pub fn open_or_create(
        dir: impl AsRef<Path>,
        scope: &str,
        vault: impl Vault + 'static,
    ) -> Result<Self, SealError> {
        let vault = Arc::new(vault);
        match Self::open(&dir, scope, vault.clone()) {
            Err(SealError::NoRing { .. }) => Self::create(dir, scope, vault),
            opened => opened,
        }
    }

    pub(crate) fn create_on(
        fs: &dyn FileSystem,
        path: &Path,
        scope: &str,
        vault: Box<dyn Vault>,
    ) -> Result<Self, SealError> {
        if scope.len() > MAX_SCOPE {
            return Err(SealError::TooLong {
                what: "a scope",
                len: scope.len() as u64,
                max: MAX_SCOPE as u64,
            });
        }
        create_dirs(fs, path).map_err(failed(path, "making its directory"))?;
        let place = Place::lock(fs, path)?;
        if !place.files()?.0.is_empty() {
            return Err(SealError::Exists {
                path: path.to_owned(),
            });
        }
        let (writer, ring) = Writer::create(place, &*vault, scope)?;
        Ok(Self::of(writer, ring, vault))
    }

    pub(crate) fn open_on(
        fs: &dyn FileSystem,
        path: &Path,
        scope: &str,
        vault: Box<dyn Vault>,
    ) -> Result<Self, SealError> {
        let no_ring = || SealError::NoRing {
            path: path.to_owned(),
        };
        match fs.open_dir(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(no_ring()),
            opened => drop(opened.map_err(failed(path, "opening its directory"))?),
        }
        let place = Place::lock(fs, path)?;
        // The process that gave a file its name may have died before that was durable.
        place.sync()?;
        let newest = place.files()?.0.pop().ok_or_else(no_ring)?;
        let (writer, ring) = Writer::open(place, newest, scope, &*vault)?;
        Ok(Self::of(writer, ring, vault))
    }

    fn of(writer: Writer, ring: Ring, vault: Box<dyn Vault>) -> Self {
        Keyring {
            shared: Arc::new(Shared {
                id: ring.id,
                scope: ring.scope.clone(),
                path: writer.place.path.clone(),
                process: writer.place.process,
                hasher: ring.hasher.clone(),
                shapes: Shapes::default(),
                ring: RwLock::new(ring),
                writer: Mutex::new(writer),
                vault,
            }),
        }
    }

    /// In a child, a thread that is not there may hold any lock: so this is asked first.
    fn shared(&self) -> Result<&Shared, SealError> {
        match self.shared.process.is_this() {
            true => Ok(&self.shared),
            false => Err(SealError::Forked {
                path: self.shared.path.clone(),
            }),
        }
    }

    /// Seals a value with the key of a subject. The key is durable before this returns: if the subject has none, one is made
    /// and flushed, which takes as long as a commit. [`prepare`](Self::prepare) makes those of many subjects with one
    /// flush.
    ///
    /// # Errors
    /// [`SealError::SubjectShredded`]; [`SealError::Encode`] if the value cannot be written, or its type does not read what
    /// it writes; [`SealError::TooLong`]; [`SealError::Forked`]; if a key is to be made, [`SealError::Stopped`] and
    /// [`SealError::Io`].
    pub fn seal<T>(&self, subject: &str, value: &T) -> Result<Sealed<T>, SealError>
    where
        T: WalSchema + Serialize + DeserializeOwned,
    {
        let shared = self.shared()?;
        let key = self.key_of(subject)?;
        let encode = |source| SealError::Encode {
            ty: type_name::<T>(),
            source,
        };
        let mut bytes = Zeroizing::new(Vec::with_capacity(256));
        bytes.resize(SEALED_HEAD + PLAIN_HEAD, 0);
        plain::encode(value, &mut bytes).map_err(encode)?;
        // A value that its type does not read again would be lost.
        let written = &bytes[SEALED_HEAD + PLAIN_HEAD..];
        drop(plain::decode::<plain::Today<T>>(plain::CODEC, written).map_err(encode)?);
        let shape = shared.shapes.digest::<T>();
        if bytes.len() > SEALED_MAX / 2 {
            return Err(SealError::TooLong {
                what: "a sealed value",
                len: bytes.len() as u64,
                max: SEALED_MAX as u64 / 2,
            });
        }
        pad(&mut bytes, SEALED_HEAD, plain::CODEC.get());
        let nonce = random::<NONCE>()?;
        let context = shared.ring.read().context(&key, shape);
        let head = SealedHead {
            ring: shared.id.0,
            key: key.id.0,
            shape,
            nonce,
        };
        bytes[..SEALED_HEAD].copy_from_slice(&head.encode());
        let tag = key.cipher.seal(&context, &nonce, &mut bytes[SEALED_HEAD..])?;
        bytes.extend_from_slice(&tag);
        Ok(Sealed::of(std::mem::take(&mut *bytes)))
    }

    /// Makes the keys of those subjects that have none, all of them with one flush: 85 bytes of the key file each. The keys
    /// survive power loss when this returns.
    ///
    /// # Errors
    /// [`SealError::SubjectShredded`] if one was, and then no key was made; [`SealError::Stopped`], [`SealError::Forked`],
    /// [`SealError::Io`].
    pub fn prepare<S: AsRef<str>>(&self, subjects: &[S]) -> Result<(), SealError> {
        let subjects: Vec<&str> = subjects.iter().map(AsRef::as_ref).collect();
        let shared = self.shared()?;
        shared
            .writer
            .lock()
            .change(|writer| writer.add(&shared.ring, &subjects))
    }

    /// Opens a sealed value. One that names a key that was shredded is [`Opened::Shredded`], whatever else it holds.
    ///
    /// # Errors
    /// [`SealError::OtherRing`], [`SealError::UnknownKey`], [`SealError::OtherShape`], [`SealError::NotAuthentic`],
    /// [`SealError::NotSealed`], [`SealError::NewerSealed`], [`SealError::Decode`], [`SealError::Forked`].
    pub fn unseal<T>(&self, sealed: &Sealed<T>) -> Result<Opened<T>, SealError>
    where
        T: WalSchema + DeserializeOwned,
    {
        self.unseal_as(sealed)
    }

    /// As [`unseal`](Self::unseal), if the value was sealed for this subject. A program that shows the data of a person to that
    /// person asks so, and notices an event that has somebody else's value.
    ///
    /// # Errors
    /// As [`unseal`](Self::unseal), and [`SealError::OtherSubject`].
    pub fn unseal_for<T>(&self, subject: &str, sealed: &Sealed<T>) -> Result<Opened<T>, SealError>
    where
        T: WalSchema + DeserializeOwned,
    {
        let ring = self.shared()?.ring.read();
        let head = self.head(sealed.as_bytes())?.0;
        let id = KeyId(head.key);
        let of_key = ring.key(&id).map(|key| key.subject);
        let of_key = of_key.or_else(|| ring.receipt(&id).map(|receipt| receipt.subject));
        match of_key {
            Some(of_key) if of_key != ring.subject_hash(subject) => Err(SealError::OtherSubject { key: id }),
            _ => {
                drop(ring);
                self.unseal(sealed)
            }
        }
    }

    /// Opens a value as what its type was before, for a type that has changed otherwise than by versions: `Old` describes
    /// what was sealed, and the program makes today's value of it.
    ///
    /// # Errors
    /// As [`unseal`](Self::unseal).
    pub fn unseal_as<Old, T>(&self, sealed: &Sealed<T>) -> Result<Opened<Old>, SealError>
    where
        Old: WalSchema + DeserializeOwned,
    {
        let shape = self.shared()?.shapes.digest::<Old>();
        self.unseal_shaped::<plain::Today<Old>>(sealed.as_bytes(), Old::SCHEMA, shape)
    }

    /// Opens a value that was sealed when its type was in version `W`: fields that came `since` have their defaults, as in
    /// events. See [`WalSchema`](WalSchema#versions).
    ///
    #[cfg_attr(feature = "derive", doc = "```")]
    #[cfg_attr(not(feature = "derive"), doc = "```ignore")]
    /// use serde::{Deserialize, Serialize};
    /// use wal_db::WalSchema;
    /// use wal_db::seal::{Keyring, Opened, SealError, Sealed};
    ///
    /// #[derive(Serialize, Deserialize, WalSchema)]
    /// #[wal(version = 2)]
    /// struct Address { street: String, #[wal(since = 2, default)] zip: Option<u32> }
    ///
    /// fn address(keys: &Keyring, sealed: &Sealed<Address>) -> Result<Opened<Address>, SealError> {
    ///     match keys.unseal(sealed) {
    ///         Err(SealError::OtherShape { .. }) => keys.unseal_version::<Address, 1>(sealed),
    ///         opened => opened,
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`unseal`](Self::unseal).
    pub fn unseal_version<T, const W: u16>(&self, sealed: &Sealed<T>) -> Result<Opened<T>, SealError>
    where
        T: SchemaIn<W> + for<'de> ReadIn<'de, W>,
    {
        let shape = <T as SchemaIn<W>>::SCHEMA;
        self.unseal_shaped::<plain::Was<T, W>>(sealed.as_bytes(), shape, digest_of(shape))
    }

    fn unseal_shaped<R>(
        &self,
        bytes: &[u8],
        shape: &'static Shape,
        asked: [u8; 8],
    ) -> Result<Opened<R::Value>, SealError>
    where
        R: ReadAs,
    {
        let Some((head, codec, plain)) = self.plain(bytes)? else {
            return Ok(Opened::Shredded);
        };
        if head.shape != asked {
            return Err(SealError::OtherShape {
                ty: type_name::<R::Value>(),
                shape: shape.to_string(),
            });
        }
        let decode = |source| SealError::Decode {
            ty: type_name::<R::Value>(),
            source,
        };
        plain::decode::<R>(codec, &plain)
            .map(Opened::Clear)
            .map_err(decode)
    }

    /// The head, the codec and the value; `None` if the key was shredded.
    fn plain(&self, bytes: &[u8]) -> Result<Option<Plain>, SealError> {
        let (head, sealed) = self.head(bytes)?;
        let id = KeyId(head.key);
        let (key, context) = {
            let ring = self.shared()?.ring.read();
            if ring.id.0 != head.ring {
                return Err(SealError::OtherRing {
                    ring: ring.id,
                    found: RingId(head.ring),
                });
            }
            match ring.key(&id) {
                Some(key) => (key.clone(), ring.context(key, head.shape)),
                None if ring.receipt(&id).is_some() => return Ok(None),
                None => return Err(SealError::UnknownKey { key: id }),
            }
        };
        let not_authentic = || SealError::NotAuthentic { key: id };
        let (sealed, tag) = sealed.split_last_chunk::<TAG>().ok_or_else(not_authentic)?;
        let mut plain = Zeroizing::new(sealed.to_vec());
        let opened = key.cipher.open(&context, &head.nonce, &mut plain, tag);
        opened.map_err(|_| not_authentic())?;
        let (codec, len) = match unpad(&plain) {
            Some((codec, value)) => (CodecId::new(codec), value.len()),
            None => return Err(not_authentic()),
        };
        plain.copy_within(PLAIN_HEAD..PLAIN_HEAD + len, 0);
        plain.truncate(len);
        Ok(Some((head, codec, plain)))
    }

    fn head<'b>(&self, bytes: &'b [u8]) -> Result<(SealedHead, &'b [u8]), SealError> {
        SealedHead::parse(bytes).map_err(|version| match version {
            Some(version) => SealError::NewerSealed { version },
            None => SealError::NotSealed { len: bytes.len() },
        })
    }

    /// Makes all that was sealed for a subject unreadable for ever, and returns once that survives power loss. Nothing of the
    /// log changes. A subject that was shredded before gets the receipt of that time.
    ///
    /// It writes the key file anew, 85 bytes for each subject, and flushes it. Other calls that need no new key go on
    /// meanwhile. After an error the next opening finishes what was begun; what it returns for the subject says whether the
    /// key is gone.
    ///
    /// # Errors
    /// [`SealError::NoSuchSubject`] if nothing was ever sealed for it, [`SealError::Vault`], [`SealError::Stopped`],
    /// [`SealError::Forked`], [`SealError::Io`].
    pub fn shred(&self, subject: &str) -> Result<ShredReceipt, SealError> {
        let shared = self.shared()?;
        let id = shared.writer.lock().change(|writer| {
            // A receipt is given once nobody has the key any more.
            writer.destroy_retired(&*shared.vault, &shared.ring)?;
            let found = {
                let ring = shared.ring.read();
                ring.subject(&ring.subject_hash(subject)).cloned()
            };
            match found {
                None => Err(SealError::NoSuchSubject),
                Some(Subject::Shredded(id)) => Ok(id),
                Some(Subject::Key(key)) => {
                    writer.renew(&*shared.vault, &shared.ring, Some(key.id))?;
                    Ok(key.id)
                }
            }
        })?;
        let receipt = shared.ring.read().given(&id).copied();
        receipt.ok_or(SealError::UnknownKey { key: id })
    }

    /// Puts the key file under a new master, and has the old one destroyed: copies of the file from before are useless then.
    /// No event changes.
    ///
    /// # Errors
    /// As [`shred`](Self::shred).
    pub fn rotate(&self) -> Result<(), SealError> {
        let shared = self.shared()?;
        shared
            .writer
            .lock()
            .change(|writer| writer.renew(&*shared.vault, &shared.ring, None))
    }

    /// Writes the key file anew as short as it can be, under the same master. Shredding and rotating do so as well.
    ///
    /// # Errors
    /// As [`shred`](Self::shred).
    pub fn compact(&self) -> Result<(), SealError> {
        let shared = self.shared()?;
        shared
            .writer
            .lock()
            .change(|writer| writer.compact(&*shared.vault, &shared.ring))
    }

    /// A keyed hash of a value, to be stored beside a sealed one and looked up by: the same value has the same hash for
    /// the same `purpose`, for as long as the ring lives. It is HMAC-SHA-256 with a key of the ring.
    ///
    /// A shred does not change it. So with the ring, a value that somebody guesses can still be tried; see `docs/personal-data.md`.
    #[must_use]
    pub fn lookup_hash(&self, purpose: &str, value: impl AsRef<[u8]>) -> LookupHash {
        ring::lookup_hash(&self.shared.hasher, purpose, value.as_ref())
    }

    /// What stands for a subject in the key file and in receipts.
    #[must_use]
    pub fn subject_hash(&self, subject: &str) -> LookupHash {
        ring::subject_hash(&self.shared.hasher, subject)
    }

    /// The receipt of a subject that was shredded. While the old master could not be destroyed there is none:
    /// [`shred`](Self::shred) again, or open the ring again.
    ///
    /// # Errors
    /// [`SealError::Forked`].
    pub fn receipt(&self, subject: &str) -> Result<Option<ShredReceipt>, SealError> {
        let ring = self.shared()?.ring.read();
        Ok(match ring.subject(&ring.subject_hash(subject)) {
            Some(Subject::Shredded(id)) => ring.given(id).copied(),
            _ => None,
        })
    }

    /// The receipts of all subjects that were shredded, by time, without those that [`receipt`](Self::receipt) does not give.
    ///
    /// # Errors
    /// [`SealError::Forked`].
    pub fn receipts(&self) -> Result<Vec<ShredReceipt>, SealError> {
        let ring = self.shared()?.ring.read();
        let mut receipts = ring.receipts();
        receipts.retain(|receipt| ring.given(&receipt.key).is_some());
        Ok(receipts)
    }

    /// How large it is. Waits for a change of the key file that is under way.
    ///
    /// # Errors
    /// [`SealError::Forked`].
    pub fn status(&self) -> Result<KeyringStatus, SealError> {
        let shared = self.shared()?;
        let writer = shared.writer.lock();
        let ring = shared.ring.read();
        Ok(KeyringStatus {
            ring: ring.id,
            scope: ring.scope.clone(),
            subjects: ring.len(),
            shredded: ring.receipts().len(),
            generation: writer.file.header.generation,
            file_bytes: writer.file.size_bytes(),
            master: MasterId::new(writer.file.header.master.clone()),
        })
    }

    /// The key of a subject, which is made if there is none.
    fn key_of(&self, subject: &str) -> Result<Arc<SubjectKey>, SealError> {
        loop {
            let found = {
                let ring = self.shared.ring.read();
                ring.subject(&ring.subject_hash(subject)).cloned()
            };
            match found {
                Some(Subject::Key(key)) => return Ok(key),
                Some(Subject::Shredded(key)) => return Err(SealError::SubjectShredded { key }),
                None => self.prepare(&[subject])?,
            }
        }
    }
}

type Plain = (SealedHead, CodecId, Zeroizing<Vec<u8>>);

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("ring", &self.shared.id)
            .field("scope", &self.shared.scope)
            .finish_non_exhaustive()
    }
}
