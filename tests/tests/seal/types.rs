//! Types that change after values of them were sealed, and types that cannot be.

use serde::{Deserialize, Serialize};
use wal_db::{
    WalSchema,
    seal::{Opened, SealError},
};

use crate::{Ring, of_bytes};

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
struct AddressOnce {
    street: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
#[wal(version = 2)]
struct Address {
    street: String,
    #[wal(since = 2, default = "none")]
    city: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
struct Place {
    lines: Vec<String>,
}

impl From<AddressOnce> for Place {
    fn from(old: AddressOnce) -> Self {
        Place {
            lines: vec![old.street],
        }
    }
}

fn once() -> AddressOnce {
    AddressOnce {
        street: "Analytical Row 1".into(),
    }
}

#[test]
fn a_field_that_came_later_has_its_default() {
    let ring = Ring::new();
    let old = ring.keys.seal("ada", &once()).unwrap();
    let sealed = of_bytes::<Address>(old.as_bytes());
    let error = ring.keys.unseal(&sealed).unwrap_err();
    assert!(
        matches!(&error, SealError::OtherShape { shape, .. } if shape == "{street: str, city: str}"),
        "{error:?}"
    );
    let address = ring.keys.unseal_version::<Address, 1>(&sealed).unwrap();
    assert_eq!(address.clear().unwrap().city, "none");
    let error = ring.keys.unseal_version::<Address, 2>(&sealed).unwrap_err();
    assert!(matches!(error, SealError::OtherShape { .. }), "{error:?}");

    let new = Address {
        street: "Row".into(),
        city: "London".into(),
    };
    let sealed = ring.keys.seal("ada", &new).unwrap();
    assert_eq!(
        ring.keys.unseal_version::<Address, 2>(&sealed).unwrap(),
        Opened::Clear(new)
    );
    let error = ring.keys.unseal_version::<Address, 1>(&sealed).unwrap_err();
    assert!(matches!(error, SealError::OtherShape { .. }), "{error:?}");
}

#[test]
fn a_type_that_is_another_one_now_is_made_of_the_old_one() {
    let ring = Ring::new();
    let old = ring.keys.seal("ada", &once()).unwrap();
    let sealed = of_bytes::<Place>(old.as_bytes());
    assert!(matches!(
        ring.keys.unseal(&sealed).unwrap_err(),
        SealError::OtherShape { .. }
    ));
    let place = ring
        .keys
        .unseal_as::<AddressOnce, _>(&sealed)
        .unwrap()
        .map(Place::from);
    assert_eq!(place.clear().unwrap().lines, ["Analytical Row 1"]);
    ring.keys.shred("ada").unwrap();
    assert_eq!(
        ring.keys.unseal_as::<AddressOnce, _>(&sealed).unwrap(),
        Opened::Shredded
    );
}

/// It asks what comes next when it is read, which the default codec does not say.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Either {
    Number(u32),
    Text(String),
}

impl WalSchema for Either {
    const SCHEMA: &'static wal_db::schema::Shape = u32::SCHEMA;
}

#[test]
fn what_could_not_be_read_again_is_not_sealed() {
    let ring = Ring::new();
    let error = ring.keys.seal("ada", &Either::Number(7)).unwrap_err();
    assert!(matches!(error, SealError::Encode { .. }), "{error:?}");
    let deep = (0..200).fold(Nested(None), |inner, _| Nested(Some(Box::new(inner))));
    let error = ring.keys.seal("ada", &deep).unwrap_err();
    assert!(matches!(error, SealError::Encode { .. }), "{error:?}");
}

#[derive(Debug, Serialize, Deserialize, WalSchema)]
struct Nested(Option<Box<Nested>>);
