//! Families of events that share a log, an id or the beginning of a name.

use serde::{Deserialize, Serialize};
use wal_db::{
    MemStore, Start, Wal, WalError, WalRecord,
    event::{TypedError, WalDecodeOwned},
    schema::Schemas,
};
use wal_tests::assert_is;

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
    let TypedError::IdTaken { id, name, stored, .. } = &error else {
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

/// Of two families in one log each is ahead of the other, and neither of an enum that holds them both.
#[test]
fn families_are_not_ahead_of_an_enum_of_them() {
    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(families)]
    enum App {
        Shop(Shop),
        Returns(Returns),
    }

    let wal = Wal::with_store(MemStore::new()).expect("opens");
    wal.append_typed(&Returns::Lost(3)).expect("appended");
    wal.append_typed(&Shop::Ordered(900)).expect("appended");
    assert_eq!(ahead::<Shop>(&wal), ["shop.returns.lost"]);
    assert_eq!(ahead::<Returns>(&wal), ["shop.ordered"]);
    assert_eq!(ahead::<App>(&wal), [""; 0]);
}

/// The names of what the log holds and `E` does not know.
fn ahead<E: WalDecodeOwned>(wal: &Wal) -> Vec<String> {
    let ahead = wal.typed::<E>().expect("typed").ahead().expect("read");
    ahead.into_iter().filter_map(|ahead| ahead.name).collect()
}

mod unknown {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "till")]
    pub(crate) enum Till {
        Paid(u64),
        #[wal(id = 9)]
        Closed,
    }

    /// The family, the struct and the enum of an event have changed, and nothing says so.
    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "counter")]
    pub(crate) enum Renamed {
        Paid(u64),
        Closed,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "payment")]
    pub(crate) struct Payment(pub(crate) u64);

    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "paid")]
    pub(crate) struct Paid(pub(crate) u64);

    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "till")]
    pub(crate) enum WithoutPaid {
        #[wal(id = 9)]
        Closed,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "till")]
    pub(crate) enum Retiring {
        #[wal(retired)]
        Paid(wal_db::event::Retired),
        #[wal(id = 9)]
        Closed,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "counter", alias = "till")]
    pub(crate) enum Aliased {
        Paid(u64),
        #[wal(id = 9)]
        Closed,
    }
}

/// The log of a till, as it was written.
fn till() -> Wal {
    let wal = log();
    wal.append_typed(&unknown::Till::Paid(5)).expect("appended");
    wal.append_typed(&unknown::Till::Closed).expect("appended");
    wal
}

#[test]
fn a_family_that_was_renamed_without_an_alias_is_ahead() {
    assert_eq!(ahead::<unknown::Renamed>(&till()), ["till.paid", "till.closed"]);
    assert_eq!(ahead::<unknown::Aliased>(&till()), [""; 0]);
    assert_eq!(ahead::<unknown::Retiring>(&till()), [""; 0]);
}

#[test]
fn a_struct_that_was_renamed_without_an_alias_is_ahead() {
    let wal = log();
    wal.append_typed(&unknown::Payment(5)).expect("appended");
    assert_eq!(ahead::<unknown::Paid>(&wal), ["payment"]);
    // A replay that meets it says the same.
    let mut replay = wal
        .typed::<unknown::Paid>()
        .expect("typed")
        .replay(..)
        .expect("reads");
    assert!(replay.next().expect("one").is_err());
    assert_is!(replay.ahead(), [ahead] if ahead.type_id == unknown::Payment::RECORDS[0].id);
}

#[test]
fn an_event_that_moved_to_another_enum_is_ahead_of_the_old_one() {
    assert_eq!(ahead::<unknown::WithoutPaid>(&till()), ["till.paid"]);
}

#[test]
fn an_id_that_was_forgotten_is_named_when_the_log_is_opened() {
    #[derive(Debug, Serialize, Deserialize, WalRecord)]
    #[wal(name = "till")]
    enum Forgotten {
        Closed,
    }
    #[derive(Debug, Serialize, Deserialize, WalRecord)]
    #[wal(name = "counter", alias = "till")]
    enum ForgottenAndRenamed {
        Closed,
    }
    #[derive(Debug, Serialize, Deserialize, WalRecord)]
    #[wal(name = "till")]
    enum ForgottenAndRetired {
        #[wal(retired)]
        Closed(wal_db::event::Retired),
    }
    #[derive(Debug, Serialize, Deserialize, WalRecord)]
    #[wal(name = "till")]
    enum Added {
        #[wal(id = 8)]
        Paid(u64),
    }

    fn problem<E: WalDecodeOwned>() -> String {
        let Err(WalError::Typed(error @ TypedError::OtherId { .. })) = till().typed::<E>().map(|_| ()) else {
            panic!("it opens");
        };
        error.to_string()
    }

    for problem in [
        problem::<Forgotten>(),
        problem::<ForgottenAndRenamed>(),
        problem::<ForgottenAndRetired>(),
    ] {
        assert!(
            problem.contains("`till.closed` is stored under 0x00000009"),
            "{problem}"
        );
        assert!(problem.ends_with("write `#[wal(id = 9)]`"), "{problem}");
    }
    assert!(problem::<Added>().ends_with("write no `id`"));
    let appended = till().append_typed(&Forgotten::Closed);
    assert_is!(appended, Err(WalError::Typed(TypedError::OtherId { .. })));
}

#[test]
fn a_stored_version_that_nothing_reads_is_named_when_the_log_is_opened() {
    #[derive(Debug, Serialize, Deserialize, WalRecord)]
    #[wal(name = "till")]
    enum Later {
        #[wal(version = 3, since = 3)]
        Paid(u64, u8),
        #[wal(id = 9, version = 2, since = 2)]
        Closed,
    }
    #[derive(Debug, Serialize, Deserialize, WalRecord)]
    #[wal(name = "till")]
    enum Reads {
        #[wal(version = 2)]
        Paid(u64, #[wal(since = 2, default)] u8),
        #[wal(retired)]
        #[wal(id = 9, version = 2)]
        Closed(wal_db::event::Retired),
    }

    let error = till().typed::<Later>().map(|_| ());
    let Err(WalError::Typed(error @ TypedError::OlderVersions { .. })) = error else {
        panic!("{error:?}");
    };
    let versions = "\n  `till.paid` version 1\n  `till.closed` version 1\n";
    assert!(error.to_string().contains(versions), "{error}");
    till().typed::<Reads>().expect("both are read or passed over");
    // What a newer program has written is for `ahead` to say.
    let wal = log();
    wal.append_typed(&Later::Closed).expect("appended");
    assert_eq!(ahead::<unknown::Till>(&wal), ["till.closed"]);
}

// ---- names that have changed, and logs that are copied --------------------------------------------------------------

/// `shop`, which was called `kiosk` and `stall` before.
mod renamed {
    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "kiosk")]
    pub(crate) enum Kiosk {
        #[wal(id = 7)]
        Sold {
            cents: u64,
        },
        Closed(u8),
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "stall", alias = "kiosk")]
    pub(crate) enum Stall {
        #[wal(id = 7)]
        Sold {
            cents: u64,
        },
        Closed(u8),
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "shop", alias = "stall", alias = "kiosk")]
    pub(crate) enum Shop {
        #[wal(id = 7, version = 2)]
        Sold {
            cents: u64,
            #[wal(since = 2, default)]
            tax: u64,
        },
        Closed(u8),
    }
}

use renamed::{Kiosk, Shop as NewShop, Stall};

fn log() -> Wal {
    Wal::with_store(MemStore::new()).expect("opens")
}

fn copy(from: &Wal, to: &Wal, schemas: &Schemas) -> Result<(), WalError> {
    from.iter()?
        .try_for_each(|record| record?.append_to(to, schemas).map(drop))
}

fn replayed<E: WalDecodeOwned>(wal: &Wal) -> Vec<E> {
    let log = wal.typed::<E>().expect("typed");
    log.replay(..)
        .expect("reads")
        .map(|event| event.expect("reads").event)
        .collect()
}

/// What the releases under three names have written to one log.
fn lived_through() -> (Wal, Vec<NewShop>) {
    let wal = log();
    wal.append_typed(&Kiosk::Sold { cents: 1 }).expect("appends");
    wal.append_typed(&Kiosk::Closed(1)).expect("appends");
    wal.append_typed(&Stall::Sold { cents: 2 }).expect("appends");
    wal.append_typed(&Stall::Closed(2)).expect("appends");
    wal.append_typed(&NewShop::Sold { cents: 3, tax: 1 })
        .expect("appends");
    wal.append_typed(&NewShop::Closed(3)).expect("appends");
    let sold = |cents, tax| NewShop::Sold { cents, tax };
    let expected = vec![
        sold(1, 0),
        NewShop::Closed(1),
        sold(2, 0),
        NewShop::Closed(2),
        sold(3, 1),
        NewShop::Closed(3),
    ];
    (wal, expected)
}

#[test]
fn a_family_that_was_renamed_twice_is_read_and_never_ahead() {
    let (wal, expected) = lived_through();
    assert_eq!(replayed::<NewShop>(&wal), expected);
    let shop = wal.typed::<NewShop>().expect("typed");
    assert_eq!(shop.ahead().expect("reads"), []);
    // The release before knows what came after by its id or its name only.
    let ahead = wal.typed::<Stall>().map(|_| ());
    let Err(WalError::Typed(TypedError::IdTaken { stored, .. })) = ahead else {
        panic!("{ahead:?}");
    };
    assert_eq!(stored, "shop.sold");
}

#[test]
fn a_log_whose_types_were_renamed_is_copied() {
    let (wal, expected) = lived_through();
    let schemas = wal.schemas().expect("reads");
    let copied = log();
    copy(&wal, &copied, &schemas).expect("every name is one that the log itself gave to the id");
    assert_eq!(replayed::<NewShop>(&copied), expected);
    let names = |wal: &Wal| {
        let schemas = wal.schemas().expect("reads");
        let mut all: Vec<_> = schemas
            .iter()
            .map(|schema| (schema.type_id, schema.version, schema.name.clone()))
            .collect();
        all.sort();
        all
    };
    assert_eq!(names(&copied), names(&wal));
}

#[test]
fn a_record_of_a_type_that_the_log_knows_by_its_new_name_comes_in_if_the_program_says_so() {
    let (old, new) = (log(), log());
    old.append_typed(&Kiosk::Sold { cents: 1 }).expect("appends");
    new.append_typed(&Stall::Sold { cents: 2 }).expect("appends");
    let mut schemas = old.schemas().expect("reads");
    let refused = copy(&old, &new, &schemas).expect_err("a log does not know what is the same");
    let WalError::Typed(error @ TypedError::OtherSchema { .. }) = &refused else {
        panic!("{refused:?}");
    };
    let text = error.to_string();
    assert!(
        text.contains("`kiosk.sold` version 1")
            && text.contains("stall.sold")
            && text.contains("Schemas::learn"),
        "{text}"
    );
    assert_eq!(new.iter().expect("reads").count(), 1, "nothing was taken");

    schemas.learn(Stall::RECORDS);
    copy(&old, &new, &schemas).expect("the program says that they are one");
    assert_eq!(
        replayed::<Stall>(&new),
        [Stall::Sold { cents: 2 }, Stall::Sold { cents: 1 }]
    );
    assert_eq!(new.schemas().expect("reads").len(), 1);

    // What is not the same is refused whatever is said.
    let bank = log();
    bank.append_typed(&Bank::Deposited(1)).expect("appends");
    let refused = copy(&bank, &new, &{
        let mut schemas = bank.schemas().expect("reads");
        schemas.learn(Stall::RECORDS);
        schemas
    });
    assert_is!(refused, Err(WalError::Typed(TypedError::OtherSchema { .. })));
}

#[test]
fn a_copy_that_was_made_first_does_not_open_a_log_to_another_type() {
    let (bank, wal) = (log(), log());
    bank.append_typed(&Bank::Deposited(100)).expect("appends");
    let shop = wal.typed::<Shop>().expect("typed");
    copy(&bank, &wal, &bank.schemas().expect("reads")).expect("copies");
    is_taken(shop.append(&Shop::Ordered(900)));
    is_taken(shop.append_batch(&[Shop::Ordered(900)]));
    is_taken(shop.replay(..).map(|_| ()));
    is_taken(wal.typed::<Shop>().map(|_| ()));
}

#[test]
fn a_replay_that_has_begun_hands_out_nothing_of_a_type_that_came_later() {
    let wal = log();
    let shop = wal.typed::<Shop>().expect("typed");
    wal.append(b"bytes").expect("appends");
    let (mut whole, mut of) = (
        shop.replay(..).expect("reads"),
        wal.typed::<Shop>()
            .expect("reads")
            .replay(..)
            .expect("reads")
            .among_others(),
    );
    wal.append_typed(&Bank::Deposited(100)).expect("appends");
    let handed_out = [
        whole.next().map(|event| event.map(|event| event.event)),
        whole.next().map(|event| event.map(|event| event.event)),
        of.next().map(|event| event.map(|event| event.event)),
    ];
    assert!(
        !handed_out.iter().any(|event| matches!(event, Some(Ok(_)))),
        "{handed_out:?}"
    );
}

/// A follower compares what another handle has written since it began, and says so again each time.
#[test]
fn a_follower_hands_out_nothing_of_a_shape_that_came_later() {
    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "drawn")]
    struct Drawn {
        x: u8,
        y: u8,
    }
    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "drawn")]
    struct Otherwise {
        y: u8,
        x: u8,
    }

    for with_older in [false, true] {
        let wal = log();
        wal.append(b"bytes").expect("appends");
        if with_older {
            wal.append_typed(&Returns::Lost(1)).expect("appends");
        }
        let drawn = wal.typed::<Drawn>().expect("typed");
        let mut tail = drawn.tail(Start::Head).expect("reads").among_others();
        assert_eq!(tail.try_next().expect("reads"), None);
        wal.append_typed(&Returns::Lost(3)).expect("appends");
        wal.append_typed(&Otherwise { y: 1, x: 2 }).expect("appends");
        wal.sync().expect("syncs");
        for _ in 0..2 {
            let item = tail.try_next();
            let Err(WalError::Typed(TypedError::ShapeChanged { name: "drawn", .. })) = item else {
                panic!("{item:?}");
            };
        }
        assert_eq!(drawn.tail(Start::Head).err().map(drop), Some(()));
    }
}
