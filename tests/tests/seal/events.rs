//! Sealed values in events: in every codec, and a log, a state and its snapshots that a shred does not change.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wal_db::{
    MemStore, Wal, WalRecord,
    codec::{Bincode, Codec, Json, Postcard},
    seal::{LookupHash, Opened, Sealed, ShredReceipt},
    state::{At, State, StoreConfig},
};

use crate::{Ring, text};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "bank")]
enum Bank {
    Named {
        id: u64,
        name: Sealed<String>,
        mails: Vec<Sealed<(String, bool)>>,
        mail_hash: Option<LookupHash>,
    },
    Forgotten {
        id: u64,
        receipt: ShredReceipt,
    },
}

fn named(ring: &Ring, id: u64) -> Bank {
    let subject = format!("user-{id}");
    let mail = format!("{id}@example.org");
    Bank::Named {
        id,
        name: ring.keys.seal(&subject, &format!("Name {id}")).unwrap(),
        mail_hash: Some(ring.keys.lookup_hash("mail", &mail)),
        mails: vec![ring.keys.seal(&subject, &(mail, true)).unwrap()],
    }
}

#[test]
fn the_shape_says_that_it_is_sealed() {
    let shape = Bank::RECORDS[0].schema.unwrap().to_string();
    let sealed = r#"opaque "wal_db::seal::Sealed" = bytes"#;
    let hash = r#"opaque "wal_db::seal::LookupHash" = str"#;
    assert_eq!(
        shape,
        format!("{{id: u64, name: {sealed}, mails: [{sealed}], mail_hash: option<{hash}>}}")
    );
}

fn comes_back<C: Codec>() {
    let ring = Ring::new();
    let wal = Wal::with_store(MemStore::new()).unwrap();
    let log = wal
        .typed::<Bank>()
        .unwrap()
        .with_codec::<C>()
        .with_read_back(true);
    let event = named(&ring, 7);
    let lsn = log.append(&event).unwrap();
    let read: Bank = wal.read(lsn).unwrap().decode().unwrap();
    assert_eq!(read, event);
    let Bank::Named { name, mails, .. } = read else {
        panic!("{event:?}");
    };
    assert_eq!(ring.keys.unseal(&name).unwrap(), Opened::Clear(text("Name 7")));
    assert_eq!(
        ring.keys
            .unseal_for("user-7", &mails[0])
            .unwrap()
            .clear()
            .unwrap()
            .0,
        "7@example.org"
    );

    let receipt = ring.keys.shred("user-7").unwrap();
    let lsn = log.append(&Bank::Forgotten { id: 7, receipt }).unwrap();
    let read: Bank = wal.read(lsn).unwrap().decode().unwrap();
    assert_eq!(read, Bank::Forgotten { id: 7, receipt });
    let json = wal.read(lsn).unwrap().to_json(&wal.schemas().unwrap()).unwrap();
    assert!(json.contains(&receipt.subject.to_string()), "{json}");
    assert_eq!(ring.keys.unseal(&name).unwrap(), Opened::Shredded);
}

#[test]
fn they_come_back_in_every_codec() {
    comes_back::<Bincode>();
    comes_back::<Postcard>();
    comes_back::<Json>();
}

#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "people")]
struct People {
    names: BTreeMap<u64, Sealed<String>>,
    by_mail: BTreeMap<LookupHash, u64>,
}

impl State for People {
    type Event = Bank;

    fn apply(&mut self, event: Bank, _: At) {
        if let Bank::Named {
            id, name, mail_hash, ..
        } = event
        {
            self.names.insert(id, name);
            self.by_mail.extend(mail_hash.map(|hash| (hash, id)));
        }
    }
}

#[test]
fn a_shred_changes_no_byte_of_the_log_and_no_state() {
    let ring = Ring::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let wal = Wal::open(&path).unwrap();
    let log = wal.typed::<Bank>().unwrap();
    for id in 0..20 {
        log.append(&named(&ring, id)).unwrap();
    }
    let store = log
        .store::<People>(StoreConfig::new().with_snapshots("people"))
        .unwrap();
    store.snapshot().unwrap();
    let records = || -> Vec<(u64, Vec<u8>)> {
        let records = wal.iter().unwrap().map(|record| record.unwrap());
        records
            .map(|record| (record.lsn().get(), record.data().to_vec()))
            .collect()
    };
    let (before, state) = (records(), store.peek(People::clone).unwrap());
    ring.keys.shred("user-3").unwrap();
    ring.keys.rotate().unwrap();
    assert_eq!(records(), before);
    assert_eq!(store.peek(People::clone).unwrap(), state);
    // From the snapshot, and folded again.
    drop(store);
    let again = log
        .store::<People>(StoreConfig::new().with_snapshots("people"))
        .unwrap();
    assert_eq!(again.peek(People::clone).unwrap(), state);
    assert!(again.check().is_ok());
    drop(again);
    let folded = log.store::<People>(StoreConfig::new()).unwrap();
    assert_eq!(folded.peek(People::clone).unwrap(), state);

    let open = |id: u64| ring.keys.unseal(&state.names[&id]).unwrap();
    assert_eq!(
        (open(3), open(4)),
        (Opened::Shredded, Opened::Clear(text("Name 4")))
    );
    // What is looked up by is found as before.
    assert_eq!(
        state.by_mail.get(&ring.keys.lookup_hash("mail", "4@example.org")),
        Some(&4)
    );
    assert_eq!(
        state.by_mail.get(&ring.keys.lookup_hash("name", "4@example.org")),
        None
    );
}

/// A copy of the log goes on with the ring that it had.
#[test]
fn a_copied_event_is_opened() {
    let ring = Ring::new();
    let (one, two) = (MemStore::new(), MemStore::new());
    let (one, two) = (Wal::with_store(one).unwrap(), Wal::with_store(two).unwrap());
    let lsn = one.append_typed(&named(&ring, 1)).unwrap();
    let lsn = two
        .append_typed(&one.read(lsn).unwrap().decode::<Bank>().unwrap())
        .unwrap();
    let Bank::Named { name, .. } = two.read(lsn).unwrap().decode().unwrap() else {
        panic!("another event");
    };
    assert_eq!(ring.keys.unseal(&name).unwrap().clear(), Some(text("Name 1")));
}
