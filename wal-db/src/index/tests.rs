//! In these tests, terms have four numbers only: an event is found by those of others all the time.

use serde::{Deserialize, Serialize};

use crate::{
    Lsn, MemStore, Meta, Wal, WalError, WalRecord,
    event::TypedError,
    index::{Condition, IndexConfig, Indexed, Item},
};

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "noted")]
struct Noted(u64);

fn indexed(run_bytes: u64) -> Indexed<Noted> {
    let wal = Wal::with_store(MemStore::new()).expect("memory");
    let log = wal.typed().expect("the type");
    let config = IndexConfig::new().with_run_bytes(run_bytes);
    log.indexed_with(config).expect("an empty log")
}

fn tagged(tags: &[String]) -> Meta {
    tags.iter().fold(Meta::new(), |meta, tag| meta.with_tag(tag))
}

#[test]
fn two_terms_of_one_number_are_not_one() {
    for run_bytes in [1, 1 << 30] {
        let log = indexed(run_bytes);
        let mut lsns = Vec::new();
        for number in 0..60 {
            let tags = [format!("a:{}", number % 10), format!("b:{}", number % 6)];
            lsns.push(
                log.log()
                    .append_with_meta(&Noted(number), &tagged(&tags))
                    .expect("memory"),
            );
        }
        for number in 0..10 {
            let of_a = Item::any().tag(format!("a:{number}"));
            let numbers = |item: Item| -> Vec<u64> {
                let events = log.select(item, ..).expect("memory");
                events.map(|event| event.expect("intact").event.0).collect()
            };
            let expected: Vec<u64> = (0..60).filter(|i| i % 10 == number).collect();
            assert_eq!(numbers(of_a.clone()), expected);
            let newest = expected.last().map(|last| lsns[*last as usize]);
            assert_eq!(log.newest(of_a.clone()).expect("memory"), newest);
            let both = of_a.tag("b:3");
            let expected: Vec<u64> = (0..60).filter(|i| i % 10 == number && i % 6 == 3).collect();
            assert_eq!(numbers(both), expected);
        }
    }
}

#[test]
fn nothing_is_refused_because_of_an_event_with_the_same_number() {
    for run_bytes in [1, 1 << 30] {
        let log = indexed(run_bytes);
        let mut taken: Vec<Lsn> = Vec::new();
        for number in 0..40 {
            let tag = [format!("name:{number}")];
            let free = Condition::new()
                .never(Item::any().tag(&tag[0]))
                .command([number as u8; 16]);
            let lsns = log.append_if(&[(Noted(number), tagged(&tag))], &free);
            taken.push(lsns.expect("nobody has it")[0]);
        }
        for (number, lsn) in (0..40).zip(&taken) {
            let tag = [format!("name:{number}")];
            let free = Condition::new().never(Item::any().tag(&tag[0]));
            let again = log.append_if(&[(Noted(number), tagged(&tag))], &free);
            assert!(matches!(again, Err(WalError::Conflict { lsn: Some(at), .. }) if at == *lsn));
            let command = Condition::new().command([number as u8; 16]);
            let again = log.append_if(&[(Noted(number), Meta::new())], &command);
            assert!(matches!(again, Err(WalError::Duplicate { lsn: at, .. }) if at == *lsn));
        }
    }
}

/// A later release may have written such a record, and it may have the tag.
#[test]
fn no_condition_holds_beside_an_event_whose_terms_cannot_be_told() {
    let log = indexed(1 << 30);
    let wal = log.log().wal();
    let tag = ["name:1".to_owned()];
    let free = Condition::new().never(Item::any().tag(&tag[0]));
    let (unreadable, _) = wal.append_described(&[0xEF, 1, 7, 1], None).expect("memory");
    let refused = log.append_if(&[(Noted(1), tagged(&tag))], &free);
    let error = refused.expect_err("nobody knows");
    assert!(matches!(error, WalError::Typed(TypedError::Envelope { lsn, .. }) if lsn == unreadable));
    wal.truncate_from(unreadable).expect("memory");
    let _ = log
        .append_if(&[(Noted(1), tagged(&tag))], &free)
        .expect("nobody has it");
}
