//! Numbers that are never zero: written as other numbers are, and no such number can become one without a conversion.

use std::num::{self, NonZeroU32, TryFromIntError};

use serde::{Deserialize, Serialize};
use wal_db::{
    WalError, WalRecord, WalSchema,
    event::TypedError,
    testing::{DeclaredType, LockMode, check_lock},
};
use wal_tests::assert_is;

use super::{record, today, wal};

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "packed")]
struct PackedV1 {
    boxes: u32,
}

/// The type of the field has changed, and nothing says so.
#[derive(Debug, Serialize, Deserialize, WalRecord)]
#[wal(name = "packed")]
struct Unsaid {
    boxes: NonZeroU32,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "packed", version = 2, from = PackedV1)]
struct Packed {
    boxes: NonZeroU32,
}

impl TryFrom<PackedV1> for Packed {
    type Error = TryFromIntError;

    fn try_from(old: PackedV1) -> Result<Self, TryFromIntError> {
        Ok(Packed {
            boxes: old.boxes.try_into()?,
        })
    }
}

#[test]
fn every_number_that_is_never_zero_has_a_shape_of_its_own() {
    let shapes = [
        (num::NonZeroU8::SCHEMA, "u8"),
        (num::NonZeroU16::SCHEMA, "u16"),
        (num::NonZeroU32::SCHEMA, "u32"),
        (num::NonZeroU64::SCHEMA, "u64"),
        (num::NonZeroU128::SCHEMA, "u128"),
        (num::NonZeroUsize::SCHEMA, "u64"),
        (num::NonZeroI8::SCHEMA, "i8"),
        (num::NonZeroI16::SCHEMA, "i16"),
        (num::NonZeroI32::SCHEMA, "i32"),
        (num::NonZeroI64::SCHEMA, "i64"),
        (num::NonZeroI128::SCHEMA, "i128"),
        (num::NonZeroIsize::SCHEMA, "i64"),
    ];
    for (shape, number) in shapes {
        assert_eq!(
            shape.to_string(),
            format!("opaque \"nonzero {number}\" = {number}")
        );
    }
}

#[test]
fn a_number_that_becomes_one_that_is_never_zero_has_changed() {
    let wal = wal();
    wal.append_typed(&PackedV1 { boxes: 0 }).unwrap();
    let changed = "`boxes` is `u32` in the log and `opaque \"nonzero u32\" = u32` in this program";
    let error = wal.typed::<Unsaid>().map(|_| ()).unwrap_err();
    assert_is!(&error, WalError::Typed(TypedError::ShapeChanged { changes, .. }) if changes.contains(changed));

    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("wal.lock"), "packed 1 {boxes: u32}\n").unwrap();
    let check = |of| check_lock(dir.path(), &[of], &[], LockMode::Check);
    let problems = check(DeclaredType::of::<Unsaid>()).unwrap_err().to_string();
    assert!(problems.contains("`boxes` is `u32`"), "{problems}");
}

#[test]
fn what_was_zero_is_for_the_conversion_to_refuse() {
    let boxes = NonZeroU32::new(3).unwrap();
    assert_eq!(today::<Packed>(&PackedV1 { boxes: 3 }), Packed { boxes });
    assert_eq!(today::<Packed>(&Packed { boxes }), Packed { boxes });
    let error = record(&PackedV1 { boxes: 0 }).decode::<Packed>().unwrap_err();
    assert_is!(error, TypedError::Upcast { stored: 1, .. });
}
