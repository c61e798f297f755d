//! Types inside events that have versions of their own: an old event with old types in it is read as today's, in every
//! format.

use std::fmt::Debug;

use serde::{Deserialize, Serialize};
use wal_db::{
    Wal, WalRecord, WalSchema,
    codec::{Bincode, Codec, Json, Postcard},
    event::{TypedError, WalDecodeOwned},
};
use wal_tests::wal;

use super::{history, record, replay};

mod circles;
mod containers;
mod random;
mod released;
mod written;

fn append<C: Codec, Old: WalDecodeOwned>(wal: &Wal, old: &Old) {
    let log = wal.typed::<Old>().expect("typed").with_codec::<C>();
    log.append(old).expect("append");
}

/// Whether an event of an earlier release is this one today.
fn becomes<New: WalDecodeOwned + Debug + PartialEq>(old: &impl WalDecodeOwned, new: &New) {
    let wal = wal();
    append::<Bincode, _>(&wal, old);
    append::<Postcard, _>(&wal, old);
    append::<Json, _>(&wal, old);
    let read: Vec<New> = replay(&wal);
    assert_eq!(read.iter().collect::<Vec<_>>(), [new; 3]);
}

/// The shapes of the versions, the newest first.
fn shapes<E: WalRecord>() -> Vec<String> {
    let versions = E::RECORDS.iter().flat_map(history);
    versions
        .map(|(version, shape)| format!("{version} {shape}"))
        .collect()
}

/// The first release.
mod v1 {
    use super::*;

    #[derive(Debug, Clone, Serialize, Deserialize, WalSchema)]
    pub(super) struct Address {
        pub street: String,
    }

    #[derive(Debug, Clone, Serialize, Deserialize, WalSchema)]
    #[serde(rename_all = "kebab-case")]
    pub(super) enum Paid {
        Cash,
        InParts { first: u8 },
        Card(u64),
        Split(u8, Address),
    }

    #[derive(Debug, Clone, Serialize, Deserialize, WalSchema)]
    pub(super) struct Parcel {
        pub to: Address,
        pub grams: u32,
    }

    #[derive(Debug, Clone, Serialize, Deserialize, WalRecord)]
    #[wal(name = "sent")]
    pub(super) struct Sent {
        pub to: Address,
        pub paid: Paid,
    }

    #[derive(Debug, Clone, Serialize, Deserialize, WalRecord)]
    #[wal(name = "packed")]
    pub(super) struct Packed(pub Parcel);

    #[derive(Debug, Clone, Serialize, Deserialize, WalRecord)]
    #[wal(name = "post")]
    pub(super) enum Post {
        Sent { to: Address, id: u64 },
        Moved(Address),
        Both(Address, u8),
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
#[wal(version = 2)]
struct Address {
    #[wal(since = 2, default = 8000)]
    zip: u32,
    street: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
#[wal(version = 3)]
#[serde(rename_all = "kebab-case")]
enum Paid {
    #[wal(since = 3)]
    Voucher(String),
    Cash,
    InParts {
        #[wal(since = 2, default = "none")]
        last: String,
        #[serde(skip)]
        cached: u8,
        first: u8,
    },
    #[wal(since = 2)]
    Never,
    Card(u64, #[wal(since = 3, default)] Option<u8>),
    Split(u8, #[wal(changed(3))] Address),
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
#[wal(version = 2)]
struct Parcel {
    #[wal(changed(2))]
    to: Address,
    grams: u32,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "sent", version = 3)]
struct Sent {
    #[wal(changed(2))]
    to: Address,
    #[wal(changed(2, 3))]
    paid: Paid,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "packed", version = 3)]
struct Packed(#[wal(changed(2))] Parcel, #[wal(since = 3, default)] bool);

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "post")]
enum Post {
    #[wal(version = 3)]
    Sent {
        #[wal(changed(3))]
        to: Address,
        id: u64,
        #[wal(since = 2, default)]
        note: Option<String>,
    },
    #[wal(version = 2)]
    Moved(#[wal(changed(2))] Address),
    #[wal(version = 2)]
    Both(#[wal(changed(2))] Address, u8),
}

fn old_address() -> v1::Address {
    v1::Address {
        street: "High St".into(),
    }
}

fn address() -> Address {
    Address {
        zip: 8000,
        street: "High St".into(),
    }
}

#[test]
fn a_struct_and_an_enum_in_an_event_change_in_versions_of_their_own() {
    let old = |paid| v1::Sent {
        to: old_address(),
        paid,
    };
    let new = |paid| Sent { to: address(), paid };
    let (last, cached) = ("none".to_owned(), 0);
    becomes(&old(v1::Paid::Cash), &new(Paid::Cash));
    becomes(
        &old(v1::Paid::InParts { first: 3 }),
        &new(Paid::InParts {
            last,
            cached,
            first: 3,
        }),
    );
    becomes(&old(v1::Paid::Card(4)), &new(Paid::Card(4, None)));
    becomes(
        &old(v1::Paid::Split(1, old_address())),
        &new(Paid::Split(1, address())),
    );
    let today = new(Paid::Voucher("a".into()));
    becomes(&today, &today);
    let [two, one] = ["{zip: u32, street: str}", "{street: str}"];
    assert_eq!(
        shapes::<Sent>(),
        [
            format!(
                "3 {{to: {two}, paid: enum {{voucher(str), cash, in-parts {{last: str, first: u8}}, never, \
                 card(u64, option<u8>), split(u8, {two})}}}}"
            )
            .replace("in-parts", "\"in-parts\""),
            format!(
                "2 {{to: {two}, paid: enum {{cash, \"in-parts\" {{last: str, first: u8}}, never, card(u64), \
                 split(u8, {one})}}}}"
            ),
            format!(
                "1 {{to: {one}, paid: enum {{cash, \"in-parts\" {{first: u8}}, card(u64), split(u8, {one})}}}}"
            ),
        ]
    );
}

#[test]
fn what_is_in_a_type_in_an_event_has_versions_too() {
    let parcel = v1::Parcel {
        to: old_address(),
        grams: 5,
    };
    let new = Parcel {
        to: address(),
        grams: 5,
    };
    becomes(&v1::Packed(parcel), &Packed(new, false));
    assert_eq!(
        shapes::<Packed>(),
        [
            "3 ({to: {zip: u32, street: str}, grams: u32}, bool)",
            "2 {to: {zip: u32, street: str}, grams: u32}",
            "1 {to: {street: str}, grams: u32}",
        ]
    );
}

#[test]
fn each_variant_says_when_what_it_holds_has_changed() {
    let sent = Post::Sent {
        id: 7,
        note: None,
        to: address(),
    };
    let old = v1::Post::Sent {
        to: old_address(),
        id: 7,
    };
    becomes(&old, &sent);
    becomes(&v1::Post::Moved(old_address()), &Post::Moved(address()));
    becomes(&v1::Post::Both(old_address(), 3), &Post::Both(address(), 3));
}

mod v2 {
    use super::*;

    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "kept", version = 2, since = 2)]
    pub(super) struct Kept {
        pub first: u8,
        #[wal(changed(1))]
        pub to: super::Address,
    }

    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "young")]
    pub(super) struct Young {
        #[wal(changed(1))]
        pub to: super::Address,
    }
}

/// An address that has been removed from, converted twice, and has got a field.
#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
#[wal(version = 4, from = Place)]
struct Moved {
    town: String,
    #[wal(since = 4, default = "here")]
    country: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
#[wal(version = 2, from = OldPlace)]
struct Place {
    town: String,
    number: u16,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
struct OldPlace(String, i32);

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
struct MovedThree {
    town: String,
}

impl TryFrom<OldPlace> for Place {
    type Error = std::num::TryFromIntError;

    fn try_from(OldPlace(town, number): OldPlace) -> Result<Self, Self::Error> {
        let number = number.try_into()?;
        Ok(Place { town, number })
    }
}

impl From<Place> for Moved {
    fn from(old: Place) -> Self {
        let town = format!("{} {}", old.town, old.number);
        Moved {
            town,
            country: "there".into(),
        }
    }
}

macro_rules! went {
    ($($name:ident [$($version:tt)+] $(#[$changed:meta])? $ty:ty;)+) => {
        $(
            #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
            #[wal(name = "went", $($version)+)]
            struct $name($(#[$changed])? Option<$ty>);
        )+
    };
}

went! {
    Went1 [version = 1] OldPlace;
    Went2 [version = 2, since = 2] #[wal(changed(1))] Place;
    Went3 [version = 3, since = 3] MovedThree;
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "went", version = 4)]
struct Went(#[wal(changed(2, 3, 4))] Option<Moved>);

#[test]
fn a_type_in_an_event_is_converted_from_the_one_before() {
    let [town, country] = ["a 5".to_owned(), "there".to_owned()];
    let went = |town, country| Went(Some(Moved { town, country }));
    let new = went(town, country);
    becomes(&Went1(Some(OldPlace("a".into(), 5))), &new);
    let place = Place {
        town: "a".into(),
        number: 5,
    };
    becomes(&Went2(Some(place)), &new);
    let three = MovedThree { town: "a".into() };
    becomes(&Went3(Some(three)), &went("a".into(), "here".into()));
    assert_eq!(
        shapes::<Went>(),
        [
            "4 option<{town: str, country: str}>",
            "3 option<{town: str}>",
            "2 option<{town: str, number: u16}>",
            "1 option<(str, i32)>",
        ]
    );
    let error = record(&Went1(Some(OldPlace("a".into(), -1))))
        .decode::<Went>()
        .unwrap_err();
    let said = format!("{error:?}");
    assert!(matches!(error, TypedError::Codec { .. }), "{error:?}");
    assert!(said.contains("out of range"), "{said}");
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "kept", version = 3)]
struct Kept {
    first: u8,
    /// Added with the type in version 2 already.
    #[wal(since = 2, default = address(), changed(2))]
    to: Address,
    #[wal(since = 3, default)]
    last: u8,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "young", version = 2)]
struct Young {
    /// The type was in version 2 before this event was made, and made two steps at once.
    #[wal(changed(1))]
    to: Address,
    #[wal(since = 2, default = Paid::Cash, changed(2, 2))]
    paid: Paid,
}

#[test]
fn a_type_is_in_a_later_version_from_the_first_one_of_its_holder() {
    let to = || Address {
        zip: 1,
        street: String::new(),
    };
    let old = v2::Kept { first: 1, to: to() };
    let kept = Kept {
        first: 1,
        to: to(),
        last: 0,
    };
    becomes(&old, &kept);
    let young = Young {
        to: to(),
        paid: Paid::Cash,
    };
    becomes(&v2::Young { to: to() }, &young);
    becomes(&young, &young);
}
