//! A ring on a disk that loses power and fails, and beside a vault that does, at every step. What holds after each: a key that
//! was handed out is there, a shred that was begun is done or was never begun, one that has returned is done, and no file that
//! was ever on the disk opens anything that was shredded, with all that the vault still has.
#![allow(clippy::unwrap_used)] // a setup that fails fails the test

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Mutex,
};

use super::{
    Keyring, MasterId, MemoryVault, Opened, SealError, Sealed, Secret, ShredReceipt, Vault, VaultError,
    file::{KeyFile, Place},
};
use crate::{
    format::keyring::{FIXED, KeyHeader, file_name},
    sync::Arc,
    testing::{
        SimDisk,
        sim::{Call, CrashPlan, Fault, Image, every_crash},
    },
};

const SCOPE: &str = "bank";

fn dir() -> &'static Path {
    Path::new("keys")
}

fn open(disk: &SimDisk, vault: impl Vault + 'static) -> Result<Keyring, SealError> {
    Keyring::open_on(disk, dir(), SCOPE, Box::new(vault))
}

/// What a subject can be found as.
#[derive(Debug, Clone)]
enum Is {
    Being(Box<Is>),
    There(Sealed<String>),
    Shredded(Sealed<String>, Option<ShredReceipt>),
}

type Facts = BTreeMap<&'static str, Is>;

/// What is so at a mark of the journal.
#[derive(Clone, Debug, Default)]
struct Moment {
    is_created: bool,
    facts: Facts,
    vault: MemoryVault,
}

/// Marks the journal of the disk at each step of the vault and of the program.
#[derive(Clone)]
struct Story {
    disk: SimDisk,
    vault: MemoryVault,
    moments: Arc<Mutex<Vec<Moment>>>,
    /// So many calls of the vault succeed; whether the next one fails after it was carried out.
    fails: Arc<Mutex<Option<(usize, bool)>>>,
}

impl Story {
    fn new() -> Story {
        Story {
            disk: SimDisk::new(),
            vault: MemoryVault::new(),
            moments: Arc::default(),
            fails: Arc::default(),
        }
    }

    fn mark(&self, change: impl FnOnce(&mut Moment)) {
        let mut moments = self.moments.lock().unwrap();
        let mut moment = moments.last().cloned().unwrap_or_default();
        moment.vault = self.vault.copied();
        change(&mut moment);
        moments.push(moment);
        self.disk.mark(moments.len() - 1);
    }

    fn last(&self) -> Moment {
        self.moments.lock().unwrap().last().cloned().unwrap_or_default()
    }

    fn step<T>(&self, step: impl FnOnce() -> Result<T, VaultError>) -> Result<T, VaultError> {
        let fails = {
            let mut fails = self.fails.lock().unwrap();
            match fails.take() {
                Some((0, is_done)) => Some(is_done),
                left => {
                    *fails = left.map(|(left, is_done)| (left - 1, is_done));
                    None
                }
            }
        };
        if fails == Some(false) {
            return Err(VaultError::other("the service does not answer"));
        }
        self.mark(|_| {});
        let done = step();
        self.mark(|_| {});
        match fails {
            Some(_) => Err(VaultError::other("the answer was lost")),
            None => done,
        }
    }

    /// Seals a value for a subject that may be new.
    fn seal(&self, keys: &Keyring, subject: &'static str) -> Result<(), SealError> {
        let sealed = keys.seal(subject, &subject.to_owned())?;
        self.mark(|moment| drop(moment.facts.insert(subject, Is::There(sealed))));
        Ok(())
    }

    fn shred(&self, keys: &Keyring, subject: &'static str) -> Result<(), SealError> {
        let Some(Is::There(sealed)) = self.last().facts.get(subject).cloned() else {
            panic!("{subject} is not there");
        };
        self.mark(|moment| {
            let is = Is::Being(Box::new(Is::There(sealed.clone())));
            moment.facts.insert(subject, is);
        });
        let receipt = keys.shred(subject)?;
        self.mark(|moment| {
            let is = Is::Shredded(sealed, Some(receipt));
            moment.facts.insert(subject, is);
        });
        Ok(())
    }

    /// All of it; what fails ends it.
    fn tell(&self) -> Result<(), SealError> {
        let keys = Keyring::create_on(&self.disk, dir(), SCOPE, Box::new(self.clone()))?;
        self.mark(|moment| moment.is_created = true);
        keys.prepare(&["ada", "bob", "cy", "di", "eve", "fay", "gus"])?;
        for subject in ["ada", "bob", "cy"] {
            self.seal(&keys, subject)?;
        }
        self.shred(&keys, "bob")?;
        self.seal(&keys, "hal")?;
        keys.rotate()?;
        self.seal(&keys, "ivy")?;
        keys.compact()?;
        self.shred(&keys, "hal")?;
        self.shred(&keys, "ada")
    }
}

impl Vault for Story {
    fn rotate(&self) -> Result<MasterId, VaultError> {
        self.step(|| self.vault.rotate())
    }

    fn wrap(&self, master: &MasterId, key: &Secret) -> Result<Vec<u8>, VaultError> {
        self.step(|| self.vault.wrap(master, key))
    }

    fn unwrap(&self, master: &MasterId, wrapped: &[u8]) -> Result<Secret, VaultError> {
        self.vault.unwrap(master, wrapped)
    }

    fn destroy(&self, master: &MasterId) -> Result<(), VaultError> {
        self.step(|| self.vault.destroy(master))
    }
}

/// Every file that was ever on the disk.
#[derive(Default)]
struct Kept {
    known: BTreeSet<u64>,
    files: Vec<(KeyHeader, Vec<u8>)>,
}

impl Kept {
    fn keep(&mut self, image: &Image) {
        for content in image.files.values() {
            if self.known.insert(content.hash()) {
                let bytes = content.to_vec();
                let sectors = bytes
                    .first_chunk::<FIXED>()
                    .and_then(|start| KeyHeader::sectors(start).ok());
                let header = sectors.and_then(|sectors| {
                    let header = bytes.get(..sectors as usize * 512)?;
                    KeyHeader::decode(header).ok()
                });
                self.files.extend(header.map(|(header, _)| (header, bytes)));
            }
        }
    }

    /// Fails if one of them has a key that was shredded, with what the vault has.
    fn check(&self, keys: &Keyring, vault: &MemoryVault) -> Result<(), String> {
        let shredded: BTreeSet<[u8; 8]> = keys
            .receipts()
            .unwrap()
            .iter()
            .map(|receipt| receipt.key.0)
            .collect();
        let masters = vault.masters();
        for (header, bytes) in &self.files {
            if !masters.contains(&MasterId::new(header.master.clone())) {
                continue;
            }
            let mut image = Image::default();
            let path = dir().join(file_name(header.generation));
            let mut content = crate::testing::sim::Content::default();
            content.set_len(bytes.len());
            content.write(0, bytes);
            image.names.insert(dir().to_owned(), None);
            image.names.insert(path, Some(1));
            image.files.insert(1, content);
            image.next_file = 2;
            let place = Place::lock(&SimDisk::of(image), dir()).unwrap();
            if let Ok((_, contents)) = KeyFile::load(&place, header.generation, SCOPE, vault)
                && let Some(key) = contents.keys.iter().find(|key| shredded.contains(&key.id))
            {
                return Err(format!(
                    "key file {} still has the key {:?}, and the vault its master",
                    header.generation, key.id
                ));
            }
        }
        Ok(())
    }
}

fn check_subject(keys: &Keyring, subject: &str, is: &Is) -> Result<(), String> {
    let found = |sealed| keys.unseal(sealed).map_err(|error| format!("{subject}: {error}"));
    match is {
        Is::There(sealed) => match found(sealed)? {
            Opened::Clear(value) if value == subject => Ok(()),
            other => Err(format!("{subject} is {other:?}")),
        },
        Is::Shredded(sealed, receipt) => match found(sealed)? {
            Opened::Shredded
                if receipt.is_none_or(|receipt| keys.receipt(subject).unwrap() == Some(receipt)) =>
            {
                Ok(())
            }
            Opened::Shredded => Err(format!(
                "{subject} has {:?} and not {receipt:?}",
                keys.receipt(subject).unwrap()
            )),
            other => Err(format!("{subject} was shredded and is {other:?}")),
        },
        Is::Being(before) => {
            let Is::There(sealed) = &**before else {
                return Err("not a subject that is being shredded".into());
            };
            match found(sealed)? {
                Opened::Shredded => check_subject(keys, subject, &Is::Shredded(sealed.clone(), None)),
                Opened::Clear(_) => check_subject(keys, subject, before),
            }
        }
    }
}

/// What was begun is done, and the file is as if nothing had happened.
fn check_finished(disk: &SimDisk, vault: &MemoryVault) -> Result<(), String> {
    let place = Place::lock(disk, dir()).map_err(|error| error.to_string())?;
    let newest = place.files().unwrap().0.pop().unwrap();
    let (file, contents) = KeyFile::load(&place, newest, SCOPE, vault).map_err(|error| error.to_string())?;
    let is_done = file.header.retired.is_empty() || contents.is_done;
    match contents.intents.is_empty() && is_done && !contents.is_torn {
        true => Ok(()),
        false => Err(format!("key file {newest} still has something to do")),
    }
}

/// Opens what a crash has left, twice, and goes on with it.
fn check_image(image: &Image, moment: &Moment, kept: &mut Kept) -> Result<(), String> {
    kept.keep(image);
    let (disk, vault) = (SimDisk::of(image.clone()), moment.vault.copied());
    for _ in 0..2 {
        let keys = match open(&disk, vault.clone()) {
            Err(SealError::NoRing { .. }) if !moment.is_created => return Ok(()),
            opened => opened.map_err(|error| format!("opening: {error:?}"))?,
        };
        kept.keep(&disk.seen());
        for (subject, is) in &moment.facts {
            check_subject(&keys, subject, is)?;
        }
        kept.check(&keys, &vault)?;
        // That of the file, and one that was made and never used.
        if vault.masters().len() > 2 {
            return Err(format!("masters are left: {:?}", vault.masters()));
        }
        drop(keys);
        check_finished(&disk, &vault)?;
        let files = disk.seen().names.len();
        if files > 3 {
            return Err(format!("{files} names are left: {:?}", disk.seen().names));
        }
    }
    // Files that the crash has left hold the keys of subjects that are shredded only now.
    let keys = open(&disk, vault.clone()).map_err(|error| error.to_string())?;
    let told = |error: SealError| error.to_string();
    let sealed = keys.seal("zed", &"zed".to_owned()).map_err(told)?;
    let there = moment.facts.iter().find_map(|(subject, is)| match is {
        Is::There(sealed) => Some((*subject, sealed.clone())),
        _ => None,
    });
    let (subject, sealed) = there.unwrap_or(("zed", sealed));
    keys.shred(subject).map_err(told)?;
    kept.keep(&disk.seen());
    kept.check(&keys, &vault)?;
    check_subject(&keys, subject, &Is::Shredded(sealed, None))
}

#[test]
fn a_crash_at_every_step_leaves_what_was_before_or_what_is_after() {
    let story = Story::new();
    story.tell().unwrap();
    let moments = story.moments.lock().unwrap().clone();
    let mut kept = Kept::default();
    let mut images = 0;
    let plan = CrashPlan {
        images_per_call: 6,
        ..CrashPlan::default()
    };
    every_crash(&story.disk.journal(), plan, |image, marks| {
        images += 1;
        let moment = marks
            .checked_sub(1)
            .map(|at| moments[at].clone())
            .unwrap_or_default();
        check_image(&image, &moment, &mut kept)
    })
    .unwrap();
    assert!(
        images > 150 && kept.files.len() > 20,
        "{images} images, {} files",
        kept.files.len()
    );
}

/// The program goes on after the error, opens the ring again and finds what the crash test wants to find.
fn check_after_failure(story: &Story) -> Result<(), String> {
    let moment = Moment {
        vault: story.vault.copied(),
        ..story.last()
    };
    story.disk.unlock_all();
    check_image(&story.disk.seen(), &moment, &mut Kept::default())
}

#[test]
fn a_call_of_the_disk_that_fails_loses_nothing() {
    let calls = {
        let story = Story::new();
        story.tell().unwrap();
        story.disk.calls(None)
    };
    for after in 0..calls {
        for forever in [false, true] {
            let story = Story::new();
            story.disk.behave(|behaviour| {
                behaviour.fault = Some(Fault {
                    call: None,
                    after,
                    error: 5,
                    forever,
                });
            });
            let told = story.tell();
            story.disk.heal();
            check_after_failure(&story)
                .unwrap_or_else(|wrong| panic!("call {after} of {calls}: {told:?}, {wrong}"));
        }
    }
}

/// What the process that died had in the system's cache counts, and the power goes while the next one finishes it.
#[test]
fn a_crash_while_a_crash_is_mended_leaves_what_was_before_or_what_is_after() {
    let calls = {
        let story = Story::new();
        story.tell().unwrap();
        story.disk.calls(None)
    };
    let mut images = 0;
    for after in (0..calls).step_by(13) {
        let mut story = Story::new();
        story.disk.behave(|behaviour| {
            behaviour.fault = Some(Fault {
                call: None,
                after,
                error: 5,
                forever: true,
            });
        });
        assert!(story.tell().is_err());
        story.disk.heal();
        story.disk = story.disk.kill();
        let died = story.moments.lock().unwrap().len();
        let keys = match open(&story.disk, story.clone()) {
            Err(SealError::NoRing { .. }) if !story.last().is_created => continue,
            opened => opened.unwrap(),
        };
        story.seal(&keys, "zoe").unwrap();
        story.shred(&keys, "zoe").unwrap();
        let moments = story.moments.lock().unwrap().clone();
        let mut kept = Kept::default();
        let plan = CrashPlan {
            images_per_call: 3,
            ..CrashPlan::default()
        };
        every_crash(&story.disk.journal(), plan, |image, marks| {
            kept.keep(&image);
            if marks < died.max(1) {
                return Ok(());
            }
            images += 1;
            check_image(&image, &moments[marks - 1], &mut kept)
        })
        .unwrap_or_else(|failed| panic!("died after call {after}: {failed:?}"));
    }
    assert!(images > 300, "{images}");
}

#[test]
fn the_keys_of_ten_thousand_subjects_take_one_flush_and_a_megabyte() {
    let story = Story::new();
    let keys = Keyring::create_on(&story.disk, dir(), SCOPE, Box::new(story.clone())).unwrap();
    let subjects: Vec<String> = (0..10_000).map(|n| format!("user-{n}")).collect();
    let flushes = || story.disk.calls(Some(Call::Sync)) + story.disk.calls(Some(Call::SyncDir));
    let before = flushes();
    keys.prepare(&subjects).unwrap();
    assert_eq!(flushes(), before + 1);
    assert_eq!(
        keys.status().unwrap().file_bytes,
        (1 + 1 + 10_000_u64.div_ceil(6)) * 512
    );
    for subject in &subjects {
        keys.seal(subject, &7_u8).unwrap();
    }
    keys.prepare(&subjects).unwrap();
    assert_eq!(flushes(), before + 1);
    keys.seal("another", &7_u8).unwrap();
    assert_eq!(flushes(), before + 2);
}

#[test]
fn a_call_of_the_vault_that_fails_loses_nothing() {
    let mut failed = 0;
    for is_done in [false, true] {
        for after in 0.. {
            let story = Story::new();
            *story.fails.lock().unwrap() = Some((after, is_done));
            let told = story.tell();
            failed += 1;
            check_after_failure(&story).unwrap_or_else(|wrong| panic!("call {after}: {told:?}, {wrong}"));
            if told.is_ok() {
                break;
            }
        }
    }
    assert!(failed > 20, "{failed}");
}

#[test]
fn a_vault_that_failed_to_destroy_is_asked_again_by_the_same_handle() {
    let story = Story::new();
    let keys = Keyring::create_on(&story.disk, dir(), SCOPE, Box::new(story.clone())).unwrap();
    story.seal(&keys, "ada").unwrap();
    let masters = story.vault.masters();
    // A new master, and the key wrapped by it; then the old master.
    *story.fails.lock().unwrap() = Some((2, false));
    let error = keys.shred("ada").unwrap_err();
    assert!(
        matches!(
            error,
            SealError::Vault {
                what: "destroy an old master key",
                ..
            }
        ),
        "{error:?}"
    );
    assert!(story.vault.masters().contains(&masters[0]));
    keys.shred("ada").unwrap();
    assert!(!story.vault.masters().contains(&masters[0]));
}

#[test]
fn after_a_write_that_failed_the_handle_opens_and_makes_nothing() {
    let story = Story::new();
    let keys = Keyring::create_on(&story.disk, dir(), SCOPE, Box::new(story.clone())).unwrap();
    let ada = keys.seal("ada", &"ada".to_owned()).unwrap();
    story.disk.behave(|behaviour| {
        behaviour.fault = Some(Fault {
            call: Some(Call::Sync),
            after: 0,
            error: 5,
            forever: false,
        });
    });
    let error = keys.seal("bob", &7_u8).unwrap_err();
    assert!(matches!(error, SealError::Io { .. }), "{error:?}");
    for error in [
        keys.seal("bob", &7_u8).err(),
        keys.shred("ada").err(),
        keys.rotate().err(),
        keys.compact().err(),
        keys.prepare(&["cy"]).err(),
    ] {
        assert!(matches!(error, Some(SealError::Stopped { .. })), "{error:?}");
    }
    assert_eq!(keys.unseal(&ada).unwrap(), Opened::Clear("ada".to_owned()));
    keys.seal("ada", &7_u8).unwrap();
    drop(keys);
    let keys = open(&story.disk, story.clone()).unwrap();
    keys.seal("bob", &7_u8).unwrap();
    keys.shred("ada").unwrap();
}
