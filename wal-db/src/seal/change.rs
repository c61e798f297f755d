//! How a key file changes: keys are added, one is shredded, all get a new master.
//!
//! To shred, in this order: the vault makes a new master; its name and the key's are added to the file that is there; a new
//! file is written under the new master, without the key; it gets its name; the old master is destroyed; the old file is
//! removed; the new file says that all is done. Before the second step is durable nothing has happened but that the vault
//! has a master more, with which nothing was wrapped. From then on the next opening goes on. From the fourth step on the
//! ring does not have the key, and from the fifth on nobody has.

use std::ffi::OsString;

use super::{
    KeyId, RingId, ShredReceipt,
    cipher::{Secret, random},
    error::SealError,
    file::{Contents, Intent, KeyFile, Place, Under},
    receipt::now_us,
    ring::{Ring, SubjectKey, in_sectors},
    vault::{MasterId, Vault, VaultError},
};
use crate::{
    format::keyring::{Entries, Tomb, file_name},
    sync::RwLock,
};

/// What changes the key file. One thread has it at a time.
pub(super) struct Writer {
    pub(super) place: Place,
    pub(super) file: KeyFile,
    /// What the file says was begun.
    intents: Vec<Intent>,
    /// Masters that are to be destroyed.
    retired: Vec<MasterId>,
    /// A write has failed, so nobody knows what the file holds.
    pub(super) has_failed: bool,
}

impl Writer {
    /// Makes the first file of a ring.
    pub(super) fn create(place: Place, vault: &dyn Vault, scope: &str) -> Result<(Writer, Ring), SealError> {
        let ring = Ring::new(RingId(random()?), scope.to_owned(), Secret::random()?);
        let under = Under::new(vault, new_master(vault)?, Vec::new())?;
        let file = KeyFile::create(&place, 1, (ring.id.0, scope), under, &ring.entries(&[]))?;
        Ok((Writer::of(place, file, &mut Contents::default()), ring))
    }

    /// Opens a ring, and finishes what was begun.
    pub(super) fn open(
        place: Place,
        number: u64,
        scope: &str,
        vault: &dyn Vault,
    ) -> Result<(Writer, Ring), SealError> {
        let (file, mut contents) = KeyFile::load(&place, number, scope, vault)?;
        let lookup = contents.lookup.take().unwrap_or_else(|| Secret::new([0; 32]));
        let mut ring = Ring::new(RingId(file.header.ring), file.header.scope.clone(), lookup);
        let is_torn = contents.is_torn;
        let mut writer = Writer::of(place, file, &mut contents);
        ring.take(contents);
        let ring = RwLock::new(ring);
        writer.destroy_retired(vault, &ring)?;
        if !writer.intents.is_empty() {
            writer.renew(vault, &ring, None)?;
        } else if is_torn {
            writer.compact(vault, &ring)?;
        }
        writer.remove_others()?;
        let ring = std::mem::replace(
            &mut *ring.write(),
            Ring::new(RingId([0; 8]), String::new(), Secret::new([0; 32])),
        );
        Ok((writer, ring))
    }

    fn of(place: Place, file: KeyFile, contents: &mut Contents) -> Writer {
        let retired = match contents.is_done {
            true => Vec::new(),
            false => file.header.retired.iter().cloned().map(MasterId::new).collect(),
        };
        Writer {
            place,
            file,
            intents: std::mem::take(&mut contents.intents),
            retired,
            has_failed: false,
        }
    }

    /// Runs what changes the file. Once a write has failed nothing more is written, because nobody knows what is there.
    pub(super) fn change<T>(
        &mut self,
        change: impl FnOnce(&mut Writer) -> Result<T, SealError>,
    ) -> Result<T, SealError> {
        self.place.check_process()?;
        if self.has_failed {
            return Err(SealError::Stopped {
                path: self.place.path.clone(),
            });
        }
        let changed = change(self);
        self.has_failed |= matches!(changed, Err(SealError::Io { .. }));
        changed
    }

    /// Makes keys for subjects that have none. They survive power loss when this returns.
    pub(super) fn add(&mut self, ring: &RwLock<Ring>, subjects: &[&str]) -> Result<(), SealError> {
        let mut keys: Vec<SubjectKey> = Vec::new();
        {
            let ring = ring.read();
            let mut seen = std::collections::HashSet::new();
            for subject in subjects {
                let hash = ring.subject_hash(subject);
                match ring.subject(&hash) {
                    Some(super::ring::Subject::Key(_)) => continue,
                    Some(super::ring::Subject::Shredded(key)) => {
                        return Err(SealError::SubjectShredded { key: *key });
                    }
                    None if !seen.insert(hash) => continue,
                    None => {}
                }
                let mut id = KeyId(random()?);
                while ring.has(&id) || keys.iter().rev().take(64).any(|key| key.id == id) {
                    id = KeyId(random()?);
                }
                keys.push(SubjectKey::new(id, hash, Secret::random()?));
            }
        }
        if keys.is_empty() {
            return Ok(());
        }
        let entries = in_sectors(keys.iter().map(SubjectKey::entry));
        self.file.append(&self.place, &entries)?;
        let mut ring = ring.write();
        keys.into_iter().for_each(|key| ring.insert(key));
        Ok(())
    }

    /// Writes the file anew under a new master, without a key if one is named, and destroys the masters from before.
    pub(super) fn renew(
        &mut self,
        vault: &dyn Vault,
        ring: &RwLock<Ring>,
        key: Option<KeyId>,
    ) -> Result<(), SealError> {
        self.destroy_retired(vault, ring)?;
        self.destroy_unused(vault)?;
        let master = new_master(vault)?;
        self.check_is_new(&master)?;
        let retired = vec![MasterId::new(self.file.header.master.clone())];
        let under = Under::new(vault, master.clone(), retired.clone())?;

        let (time_us, key) = (now_us(), key.map(|key| key.0));
        let intent = Entries::Intent {
            master: master.as_str(),
            key,
            time_us,
        };
        self.file.append(&self.place, &[intent])?;
        self.intents.push(Intent { master, key, time_us });
        let rewritten = self.rewrite(ring, under);
        // What is pending is for the next opening, whatever the error is.
        self.has_failed |= rewritten.is_err();
        rewritten?;
        self.retired = retired;
        self.destroy_retired(vault, ring)
    }

    /// Destroys the masters that were made for a file which never got its name, so that failures do not add up in the vault.
    fn destroy_unused(&self, vault: &dyn Vault) -> Result<(), SealError> {
        let unused = self.intents.iter().map(|intent| &intent.master);
        unused
            .filter(|master| master.as_str() != self.file.header.master)
            .try_for_each(|master| destroy(vault, master))
    }

    /// If the vault gave a name twice, destroying the old master would destroy the new one.
    fn check_is_new(&self, master: &MasterId) -> Result<(), SealError> {
        let header = &self.file.header;
        let known = header.retired.iter().chain([&header.master]).map(String::as_str);
        let begun = self.intents.iter().map(|intent| intent.master.as_str());
        match known.chain(begun).any(|known| known == master.as_str()) {
            false => Ok(()),
            true => Err(SealError::Vault {
                what: "make a new master key",
                source: VaultError::SameMaster {
                    master: master.clone(),
                },
            }),
        }
    }

    /// Writes the file anew, without the keys that are to be shredded. They are gone from memory, too, when this returns.
    fn rewrite(&mut self, ring: &RwLock<Ring>, under: Under) -> Result<(), SealError> {
        let before = self.file.whole_digest(&self.place)?;
        let number = self.file.header.generation + 1;
        let (file, tombs) = {
            let ring = ring.read();
            let mut tombs: Vec<Tomb> = Vec::new();
            for intent in &self.intents {
                let key = intent.key.map(KeyId).and_then(|key| ring.key(&key));
                let is_new = |id| tombs.iter().all(|tomb| tomb.id != id);
                if let Some(key) = key.filter(|key| is_new(key.id.0)) {
                    tombs.push(Tomb {
                        subject: key.subject.0,
                        id: key.id.0,
                        time_us: intent.time_us,
                        before,
                        after: [0; 32],
                    });
                }
            }
            let entries = ring.entries(&tombs);
            let of = (ring.id.0, &*ring.scope);
            (KeyFile::create(&self.place, number, of, under, &entries)?, tombs)
        };
        let after = file.whole_digest(&self.place)?;
        let mut ring = ring.write();
        for tomb in tombs {
            let receipt = ShredReceipt::of(ring.id, &Tomb { after, ..tomb });
            ring.bury(receipt);
            ring.hold_back(receipt.key);
        }
        self.file = file;
        self.intents.clear();
        Ok(())
    }

    /// Destroys masters, removes the files that they had wrapped, and notes that. Receipts are given from then on.
    pub(super) fn destroy_retired(
        &mut self,
        vault: &dyn Vault,
        ring: &RwLock<Ring>,
    ) -> Result<(), SealError> {
        if self.retired.is_empty() {
            return Ok(());
        }
        self.retired
            .iter()
            .try_for_each(|master| destroy(vault, master))?;
        self.remove_others()?;
        self.file.append(&self.place, &[Entries::Done])?;
        self.retired.clear();
        ring.write().give_all();
        Ok(())
    }

    /// Writes the file anew under the master that it has, six keys to a sector.
    pub(super) fn compact(&mut self, vault: &dyn Vault, ring: &RwLock<Ring>) -> Result<(), SealError> {
        self.destroy_retired(vault, ring)?;
        let master = MasterId::new(self.file.header.master.clone());
        let under = Under::new(vault, master, Vec::new())?;
        self.rewrite(ring, under)?;
        self.remove_others()
    }

    /// Removes earlier files, and those that were never completed.
    fn remove_others(&self) -> Result<(), SealError> {
        let (numbers, begun) = self.place.files()?;
        let own = self.file.header.generation;
        let earlier = numbers.into_iter().filter(|number| *number != own);
        let names: Vec<OsString> = earlier
            .map(|number| file_name(number).into())
            .chain(begun)
            .collect();
        for name in &names {
            self.place.remove(name)?;
        }
        match names.is_empty() {
            true => Ok(()),
            false => self.place.sync(),
        }
    }
}

fn destroy(vault: &dyn Vault, master: &MasterId) -> Result<(), SealError> {
    vault.destroy(master).map_err(|source| SealError::Vault {
        what: "destroy an old master key",
        source,
    })
}

fn new_master(vault: &dyn Vault) -> Result<MasterId, SealError> {
    vault.rotate().map_err(|source| SealError::Vault {
        what: "make a new master key",
        source,
    })
}
