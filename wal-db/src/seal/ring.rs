//! What a key ring knows, in memory.

use std::collections::{HashMap, HashSet};

use super::{
    KeyId, LookupHash, RingId, ShredReceipt,
    cipher::{Cipher, Hasher, Secret, sha256},
    file::{Contents, LoadedKey},
};
use crate::{
    format::keyring::{Entries, KEYS_PER_SECTOR, KeyEntry, TOMBS_PER_SECTOR, Tomb},
    sync::Arc,
};

pub(super) struct Ring {
    pub(super) id: RingId,
    pub(super) scope: String,
    scope_digest: [u8; 32],
    lookup: Secret,
    pub(super) hasher: Hasher,
    subjects: HashMap<LookupHash, Subject>,
    keys: HashMap<KeyId, Arc<SubjectKey>>,
    receipts: HashMap<KeyId, ShredReceipt>,
    /// Keys that are gone from here, while the vault still has the master of a file that held them.
    held_back: HashSet<KeyId>,
}

#[derive(Clone)]
pub(super) enum Subject {
    Key(Arc<SubjectKey>),
    Shredded(KeyId),
}

pub(super) struct SubjectKey {
    pub(super) id: KeyId,
    pub(super) subject: LookupHash,
    secret: Secret,
    pub(super) cipher: Cipher,
}

impl SubjectKey {
    pub(super) fn new(id: KeyId, subject: LookupHash, secret: Secret) -> Self {
        SubjectKey {
            id,
            subject,
            cipher: Cipher::new(&secret),
            secret,
        }
    }

    pub(super) fn entry(&self) -> KeyEntry<'_> {
        KeyEntry {
            id: self.id.0,
            subject: self.subject.0,
            key: self.secret.as_bytes(),
        }
    }
}

/// What a keyed hash is of.
const SUBJECT: u8 = 1;
const LOOKUP: u8 = 2;

/// What is authenticated beside a sealed value.
pub(super) const CONTEXT: usize = 8 + 8 + 8 + 32 + 32;

impl Ring {
    pub(super) fn new(id: RingId, scope: String, lookup: Secret) -> Self {
        Ring {
            id,
            scope_digest: sha256(scope.as_bytes()),
            scope,
            hasher: Hasher::new(&lookup),
            lookup,
            subjects: HashMap::new(),
            keys: HashMap::new(),
            receipts: HashMap::new(),
            held_back: HashSet::new(),
        }
    }

    /// Takes what a file holds; a key that has a receipt as well is gone.
    pub(super) fn take(&mut self, contents: Contents) {
        for tomb in &contents.tombs {
            self.bury(ShredReceipt::of(self.id, tomb));
        }
        for LoadedKey { id, subject, secret } in contents.keys {
            if !self.receipts.contains_key(&KeyId(id)) {
                self.insert(SubjectKey::new(KeyId(id), LookupHash(subject), secret));
            }
        }
    }

    pub(super) fn insert(&mut self, key: SubjectKey) {
        let key = Arc::new(key);
        self.subjects.insert(key.subject, Subject::Key(key.clone()));
        self.keys.insert(key.id, key);
    }

    /// The key is no more.
    pub(super) fn bury(&mut self, receipt: ShredReceipt) {
        self.keys.remove(&receipt.key);
        self.subjects
            .insert(receipt.subject, Subject::Shredded(receipt.key));
        self.receipts.insert(receipt.key, receipt);
    }

    /// The receipt of a key is not given yet.
    pub(super) fn hold_back(&mut self, key: KeyId) {
        self.held_back.insert(key);
    }

    /// Nobody can read a file from before any more.
    pub(super) fn give_all(&mut self) {
        self.held_back.clear();
    }

    pub(super) fn subject_hash(&self, subject: &str) -> LookupHash {
        subject_hash(&self.hasher, subject)
    }

    pub(super) fn subject(&self, hash: &LookupHash) -> Option<&Subject> {
        self.subjects.get(hash)
    }

    pub(super) fn key(&self, id: &KeyId) -> Option<&Arc<SubjectKey>> {
        self.keys.get(id)
    }

    pub(super) fn receipt(&self, id: &KeyId) -> Option<&ShredReceipt> {
        self.receipts.get(id)
    }

    /// The receipt of a key that nobody has any more.
    pub(super) fn given(&self, id: &KeyId) -> Option<&ShredReceipt> {
        self.receipts.get(id).filter(|_| !self.held_back.contains(id))
    }

    pub(super) fn receipts(&self) -> Vec<ShredReceipt> {
        let mut receipts: Vec<_> = self.receipts.values().copied().collect();
        receipts.sort_by_key(|receipt| (receipt.time_us, receipt.key));
        receipts
    }

    pub(super) fn has(&self, id: &KeyId) -> bool {
        self.keys.contains_key(id) || self.receipts.contains_key(id)
    }

    /// How many keys it has.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// What the nonce and the key do not say: whose value it is, of which type, and where it belongs.
    pub(super) fn context(&self, key: &SubjectKey, shape: [u8; 8]) -> [u8; CONTEXT] {
        let mut context = [0; CONTEXT];
        let parts: [&[u8]; 5] = [&self.id.0, &key.id.0, &shape, &key.subject.0, &self.scope_digest];
        let mut at = 0;
        for part in parts {
            context[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        context
    }

    /// All that a file has to hold, without some keys, which are `buried` instead.
    pub(super) fn entries<'r>(&'r self, buried: &[Tomb]) -> Vec<Entries<'r>> {
        let mut entries = vec![Entries::Lookup(self.lookup.as_bytes())];
        let mut tombs: Vec<Tomb> = self.receipts().iter().map(ShredReceipt::tomb).collect();
        tombs.extend(buried);
        entries.extend(
            tombs
                .chunks(TOMBS_PER_SECTOR)
                .map(|tombs| Entries::Shredded(tombs.to_vec())),
        );
        let kept = self.keys.values();
        let kept = kept.filter(|key| buried.iter().all(|tomb| tomb.id != key.id.0));
        entries.extend(in_sectors(kept.map(|key| key.entry())));
        entries
    }
}

pub(super) fn subject_hash(hasher: &Hasher, subject: &str) -> LookupHash {
    LookupHash(hasher.hash(SUBJECT, "", subject.as_bytes()))
}

pub(super) fn lookup_hash(hasher: &Hasher, purpose: &str, value: &[u8]) -> LookupHash {
    LookupHash(hasher.hash(LOOKUP, purpose, value))
}

/// Keys, as many to a sector as go there.
pub(super) fn in_sectors<'k>(keys: impl Iterator<Item = KeyEntry<'k>>) -> Vec<Entries<'k>> {
    let keys: Vec<_> = keys.collect();
    let sectors = keys.chunks(KEYS_PER_SECTOR);
    sectors.map(|keys| Entries::Keys(keys.to_vec())).collect()
}
