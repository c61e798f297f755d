//! Vaults that do what they should not, and files that have lost their end: what was promised holds, and nothing is damaged
//! for ever.
#![allow(clippy::unwrap_used)] // a setup that fails fails the test

use std::{
    path::Path,
    sync::atomic::{AtomicU8, Ordering::Relaxed},
};

use super::{
    Keyring, MasterId, MemoryVault, Opened, SealError, Sealed, Secret, Vault, VaultError,
    file::{KeyFile, Place, Under},
};
use crate::{
    format::keyring::{Entries, file_name},
    sync::Arc,
    testing::{
        SimDisk,
        sim::{Call, CrashPlan, Fault, every_crash},
    },
};

const FINE: u8 = 0;
const DESTROYS_NOTHING: u8 = 1;
const REPEATS_A_NAME: u8 = 2;
const WRAPS_ANOTHER_KEY: u8 = 3;
const DOES_NOT_UNWRAP: u8 = 4;
const WRAPS_AT_LENGTH: u8 = 5;

/// A vault that can be told to misbehave.
#[derive(Clone, Default)]
struct Odd {
    vault: MemoryVault,
    how: Arc<AtomicU8>,
}

impl Odd {
    fn is(&self, how: u8) -> bool {
        self.how.load(Relaxed) == how
    }

    fn be(&self, how: u8) {
        self.how.store(how, Relaxed);
    }

    fn copied(&self) -> Odd {
        Odd {
            vault: self.vault.copied(),
            how: Arc::default(),
        }
    }
}

impl Vault for Odd {
    fn rotate(&self) -> Result<MasterId, VaultError> {
        match self.is(REPEATS_A_NAME) {
            true => Ok(self.vault.masters().pop().unwrap()),
            false => self.vault.rotate(),
        }
    }

    fn wrap(&self, master: &MasterId, key: &Secret) -> Result<Vec<u8>, VaultError> {
        match self.how.load(Relaxed) {
            WRAPS_ANOTHER_KEY => self.vault.wrap(master, &Secret::new([7; 32])),
            WRAPS_AT_LENGTH => Ok(vec![7; 300 << 10]),
            _ => self.vault.wrap(master, key),
        }
    }

    fn unwrap(&self, master: &MasterId, wrapped: &[u8]) -> Result<Secret, VaultError> {
        match self.is(DOES_NOT_UNWRAP) {
            true => Err(VaultError::other("not allowed")),
            false => self.vault.unwrap(master, wrapped),
        }
    }

    fn destroy(&self, master: &MasterId) -> Result<(), VaultError> {
        match self.is(DESTROYS_NOTHING) {
            true => Err(VaultError::other("the service does not answer")),
            false => self.vault.destroy(master),
        }
    }
}

fn dir() -> &'static Path {
    Path::new("keys")
}

fn create(disk: &SimDisk, vault: &Odd) -> Keyring {
    Keyring::create_on(disk, dir(), "bank", Box::new(vault.clone())).unwrap()
}

fn open(disk: &SimDisk, vault: &Odd) -> Result<Keyring, SealError> {
    Keyring::open_on(disk, dir(), "bank", Box::new(vault.clone()))
}

fn text(text: &str) -> String {
    text.to_owned()
}

/// A ring whose old master could not be destroyed, and after that keys were added.
struct Unfinished {
    disk: SimDisk,
    vault: Odd,
    ada: Sealed<String>,
    bob: Sealed<String>,
}

impl Unfinished {
    /// Of the last batch, which has three sectors, one is zero, or the file ends so many bytes before or after its end.
    fn new(zeroed: Option<u64>, more: i64) -> Unfinished {
        let (disk, vault) = (SimDisk::new(), Odd::default());
        let keys = create(&disk, &vault);
        let ada = keys.seal("ada", &text("Ada")).unwrap();
        let bob = keys.seal("bob", &text("Bob")).unwrap();
        vault.be(DESTROYS_NOTHING);
        keys.shred("ada").unwrap_err();
        let start = keys.status().unwrap().file_bytes;
        let many: Vec<String> = (0..18).map(|n| format!("many-{n}")).collect();
        keys.prepare(&many).unwrap();
        let file = disk
            .file(dir().join(file_name(keys.status().unwrap().generation)))
            .unwrap();
        drop(keys);
        if let Some(zeroed) = zeroed {
            file.write_at(start + zeroed * 512, &[0; 512]).unwrap();
        }
        file.resize(file.size().unwrap().checked_add_signed(more).unwrap())
            .unwrap();
        file.sync().unwrap();
        vault.be(FINE);
        Unfinished {
            disk,
            vault,
            ada,
            bob,
        }
    }

    fn check(&self, disk: &SimDisk, vault: &Odd) -> Result<(), String> {
        for _ in 0..2 {
            let keys = open(disk, vault).map_err(|error| format!("{error:?}"))?;
            let ada = keys.unseal(&self.ada).map_err(|error| error.to_string())?;
            let bob = keys.unseal(&self.bob).map_err(|error| error.to_string())?;
            assert_eq!((ada, bob), (Opened::Shredded, Opened::Clear(text("Bob"))));
        }
        Ok(())
    }
}

const TORN: [(Option<u64>, i64); 6] = [
    (Some(0), 0),
    (Some(1), 0),
    (Some(2), 0),
    (Some(0), -100),
    (None, -1),
    (None, 700),
];

/// The last batch was not flushed when the power went, and there is still a master to be destroyed: whatever ends the opening
/// that does both, the next one works.
#[test]
fn a_torn_end_is_cut_off_before_anything_is_added() {
    let mut failed = 0;
    for (zeroed, more) in TORN {
        for after in 0.. {
            let torn = Unfinished::new(zeroed, more);
            torn.disk.behave(|behaviour| {
                behaviour.fault = Some(Fault {
                    call: None,
                    after,
                    error: 5,
                    forever: true,
                });
            });
            let is_open = open(&torn.disk, &torn.vault).is_ok();
            torn.disk.heal();
            torn.disk.unlock_all();
            torn.check(&torn.disk, &torn.vault)
                .unwrap_or_else(|wrong| panic!("{zeroed:?} and {more}, call {after}: {wrong}"));
            assert_eq!(torn.vault.vault.masters().len(), 1);
            if is_open {
                break;
            }
            failed += 1;
        }
    }
    assert!(failed > 60, "{failed}");
}

#[test]
fn a_torn_end_is_cut_off_whenever_the_power_goes() {
    let mut images = 0;
    for (zeroed, more) in TORN {
        let torn = Unfinished::new(zeroed, more);
        let before = torn.vault.copied();
        torn.disk.mark(1);
        drop(open(&torn.disk, &torn.vault).unwrap());
        every_crash(&torn.disk.journal(), CrashPlan::default(), |image, mark| {
            if mark == 0 {
                return Ok(());
            }
            images += 1;
            torn.check(&SimDisk::of(image.clone()), &before.copied())?;
            torn.check(&SimDisk::of(image), &torn.vault.copied())
        })
        .unwrap();
    }
    assert!(images > 60, "{images}");
}

/// What a vault does wrong is said before anything was written, and nothing is destroyed.
fn refused(how: u8, is_right: impl Fn(&SealError) -> bool) {
    let (disk, vault) = (SimDisk::new(), Odd::default());
    let keys = create(&disk, &vault);
    let ada = keys.seal("ada", &text("Ada")).unwrap();
    let (before, master) = (disk.seen().hash(), keys.status().unwrap().master);
    vault.be(how);
    let changes = [
        keys.shred("ada").map(drop),
        keys.rotate(),
        keys.shred("ada").map(drop),
    ];
    for changed in changes {
        let error = changed.unwrap_err();
        assert!(is_right(&error), "{how}: {error:?}");
    }
    assert_eq!(disk.seen().hash(), before, "{how}");
    assert!(vault.vault.masters().contains(&master));
    drop(keys);
    vault.be(FINE);
    let keys = open(&disk, &vault).unwrap();
    assert_eq!(keys.unseal(&ada).unwrap(), Opened::Clear(text("Ada")));
    keys.shred("ada").unwrap();
    drop(keys);
    assert_eq!(
        open(&disk, &vault).unwrap().unseal(&ada).unwrap(),
        Opened::Shredded
    );
}

#[test]
fn a_vault_that_gives_a_name_twice_does_not_lose_its_master() {
    refused(REPEATS_A_NAME, |error| {
        let is_same = |source: &VaultError| matches!(source, VaultError::SameMaster { .. });
        matches!(error, SealError::Vault { source, .. } if is_same(source))
    });
}

#[test]
fn a_key_that_the_vault_does_not_give_back_wraps_no_file() {
    refused(WRAPS_ANOTHER_KEY, |error| {
        let is_other = |source: &VaultError| matches!(source, VaultError::NotWrapped { .. });
        matches!(error, SealError::Vault { source, .. } if is_other(source))
    });
    refused(DOES_NOT_UNWRAP, |error| {
        let is_other = |source: &VaultError| matches!(source, VaultError::Other(_));
        matches!(error, SealError::Vault { source, .. } if is_other(source))
    });
}

#[test]
fn a_header_that_would_not_be_read_is_not_written() {
    refused(WRAPS_AT_LENGTH, |error| {
        matches!(error, SealError::TooLong { .. })
    });

    let (disk, vault) = (SimDisk::new(), Odd::default());
    drop(create(&disk, &vault));
    let place = Place::lock(&disk, dir()).unwrap();
    let under = Under {
        master: vault.rotate().unwrap(),
        key: Secret::new([7; 32]),
        wrapped: vec![7; 300 << 10],
        retired: Vec::new(),
    };
    let lookup = Entries::Lookup(&[7; 32]);
    let made = KeyFile::create(&place, 2, ([7; 8], "bank"), under, &[lookup]);
    assert!(matches!(made.err(), Some(SealError::TooLong { .. })));
    assert_eq!(place.files().unwrap(), (vec![1], Vec::new()));
}

/// Each opening that fails has made a master.
#[test]
fn masters_of_files_that_were_never_made_do_not_add_up() {
    let (disk, vault) = (SimDisk::new(), Odd::default());
    let keys = create(&disk, &vault);
    let ada = keys.seal("ada", &text("Ada")).unwrap();
    let fails = || {
        disk.behave(|behaviour| {
            behaviour.fault = Some(Fault {
                call: Some(Call::Rename),
                after: 0,
                error: 28,
                forever: true,
            });
        });
    };
    fails();
    keys.shred("ada").unwrap_err();
    drop(keys);
    for _ in 0..10 {
        open(&disk, &vault).map(drop).unwrap_err();
        assert_eq!(vault.vault.masters().len(), 2);
    }
    disk.heal();
    let keys = open(&disk, &vault).unwrap();
    assert_eq!(keys.unseal(&ada).unwrap(), Opened::Shredded);
    assert_eq!(vault.vault.masters(), [keys.status().unwrap().master]);
}

#[test]
fn a_receipt_is_given_once_the_old_master_is_destroyed() {
    let (disk, vault) = (SimDisk::new(), Odd::default());
    let keys = create(&disk, &vault);
    let [ada, _] = ["ada", "bob"].map(|name| keys.seal(name, &text(name)).unwrap());
    let bob = keys.shred("bob").unwrap();
    vault.be(DESTROYS_NOTHING);
    keys.shred("ada").unwrap_err();
    assert_eq!(keys.unseal(&ada).unwrap(), Opened::Shredded);
    assert_eq!(keys.receipt("ada").unwrap(), None);
    assert_eq!(keys.receipts().unwrap(), [bob]);
    keys.shred("ada").unwrap_err();
    keys.compact().unwrap_err();
    assert_eq!(keys.receipt("ada").unwrap(), None);
    vault.be(FINE);
    let ada = keys.shred("ada").unwrap();
    assert_eq!(keys.receipt("ada").unwrap(), Some(ada));
    assert_eq!(keys.receipts().unwrap(), [bob, ada]);
    drop(keys);
    assert_eq!(open(&disk, &vault).unwrap().receipts().unwrap(), [bob, ada]);
}

/// Neither is its end cut off nor is anything finished.
#[test]
fn a_ring_of_another_scope_stays_as_it_is() {
    let torn = Unfinished::new(Some(1), 0);
    let (before, masters) = (torn.disk.seen().hash(), torn.vault.vault.masters());
    let opened = Keyring::open_on(&torn.disk, dir(), "shop", Box::new(torn.vault.clone()));
    assert!(matches!(opened.err(), Some(SealError::OtherScope { .. })));
    assert_eq!(torn.disk.seen().hash(), before);
    assert_eq!(torn.vault.vault.masters(), masters);
    torn.check(&torn.disk, &torn.vault).unwrap();
}
