//! Families of events that share a log, an id or the beginning of a name.

use serde::{Deserialize, Serialize};
use wal_db::{MemStore, TypedError, Wal, WalError, WalRecord};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "bank")]
enum Bank {
    #[wal(id = 7)]
    Deposited(u64),
}

/// The same id, version and shape under another name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "shop")]
enum Shop {
    #[wal(id = 7)]
    Ordered(u64),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "shop.returns")]
enum Returns {
    Lost(u32),
}

#[track_caller]
fn is_taken<T: std::fmt::Debug>(result: Result<T, WalError>) {
    let Err(WalError::Typed(error)) = result else {
        panic!("{result:?}");
    };
    let TypedError::IdTaken { id, name, stored } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(
        (*id, *name, stored.as_str()),
        (7, "shop.ordered", "bank.deposited")
    );
}

#[test]
fn two_families_with_the_same_id_and_shape_are_told_apart() {
    let wal = Wal::with_store(MemStore::new()).expect("opens");
    let (bank, shop) = (
        wal.typed::<Bank>().expect("typed"),
        wal.typed::<Shop>().expect("typed"),
    );
    bank.append(&Bank::Deposited(100)).expect("appended");
    is_taken(shop.append(&Shop::Ordered(900)));
    is_taken(shop.append_batch(&[Shop::Ordered(900)]));
    is_taken(wal.append_typed(&Shop::Ordered(900)));
    is_taken(wal.typed::<Shop>().map(|_| ()));
}

#[test]
fn a_family_is_not_ahead_because_another_ones_name_begins_like_its_own() {
    let wal = Wal::with_store(MemStore::new()).expect("opens");
    wal.append_typed(&Returns::Lost(3)).expect("appended");
    let ahead = wal.typed::<Shop>().expect("typed").ahead().expect("read");
    assert!(ahead.is_empty(), "{ahead:?}");
}
