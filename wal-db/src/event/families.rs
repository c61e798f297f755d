//! Enums of families, `#[wal(families)]`: their event types are those of what their variants hold, one after another. The
//! derive puts them together with what is here.

use wal_shape::{same, type_id};

use super::record::EventType;

/// The event types under one name: an enum, or a struct alone.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Family {
    /// The name of the type in the code.
    pub ty: fn() -> &'static str,
    pub name: &'static str,
    /// Its event types are variants, whose names begin with the family's.
    pub is_enum: bool,
    pub records: &'static [EventType],
}

impl Family {
    /// No family.
    pub const NONE: Family = Family {
        ty: std::any::type_name::<()>,
        name: "",
        is_enum: false,
        records: &[],
    };
}

/// No event type.
pub const NO_EVENT: EventType = EventType::new("", 1);

/// All of them, `LEN` together. `any` is any value.
#[must_use]
pub const fn concat<T: Copy, const LEN: usize>(any: T, parts: &[&[T]]) -> [T; LEN] {
    let mut all = [any; LEN];
    let (mut to, mut part) = (0, 0);
    while part < parts.len() {
        let mut from = 0;
        while from < parts[part].len() {
            all[to] = parts[part][from];
            (to, from) = (to + 1, from + 1);
        }
        part += 1;
    }
    all
}

/// The position of an event type among all; an event of an unknown type is after them all.
#[inline(always)]
#[must_use]
pub const fn position(index: usize, base: usize, len: usize, all: usize) -> usize {
    if index < len { base + index } else { all }
}

/// Refuses two variants of which one would read the records of the other.
///
/// # Panics
/// In a `const`, which is a compile error where it is called: if they have a name, an alias or an id in common.
#[track_caller]
pub const fn check_apart(first: (&str, &[EventType]), second: (&str, &[EventType])) {
    let mut i = 0;
    while i < first.1.len() {
        let mut j = 0;
        while j < second.1.len() {
            let (a, b) = (&first.1[i], &second.1[j]);
            if are_one(a, b) {
                let text = Text::of(&[
                    "`",
                    b.name,
                    "` in `",
                    second.0,
                    "` and `",
                    a.name,
                    "` in `",
                    first.0,
                    "` have one name, alias or type id, so one would be read as the other: give one of them another \
                     name or `id`, and hold each type in one variant",
                ]);
                panic!("{}", text.as_str());
            }
            j += 1;
        }
        i += 1;
    }
}

/// Whether a record of one could be taken for one of the other.
const fn are_one(a: &EventType, b: &EventType) -> bool {
    let mut i = 0;
    while i <= a.aliases.len() {
        let mut j = 0;
        while j <= b.aliases.len() {
            let ((id, name), (other_id, other)) = (known_as(a, i), known_as(b, j));
            if id == other_id || same(name, other) {
                return true;
            }
            j += 1;
        }
        i += 1;
    }
    false
}

/// Its id and name, then those that it had before.
const fn known_as(record: &EventType, at: usize) -> (u32, &'static str) {
    match at {
        0 => (record.id, record.name),
        _ => {
            let alias = record.aliases[at - 1];
            (type_id(alias), alias)
        }
    }
}

/// Text that is put together at compile time; what is too long is cut off.
struct Text {
    bytes: [u8; 512],
    len: usize,
}

impl Text {
    const fn of(parts: &[&str]) -> Self {
        let mut text = Text {
            bytes: [0; 512],
            len: 0,
        };
        let mut part = 0;
        while part < parts.len() {
            let bytes = parts[part].as_bytes();
            let mut i = 0;
            while i < bytes.len() && text.len < text.bytes.len() {
                text.bytes[text.len] = bytes[i];
                (text.len, i) = (text.len + 1, i + 1);
            }
            part += 1;
        }
        text
    }

    const fn as_str(&self) -> &str {
        match std::str::from_utf8(self.bytes.split_at(self.len).0) {
            Ok(text) => text,
            Err(_) => "two variants have one name, alias or type id",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: EventType = EventType::new("shop.sold", 1);

    #[test]
    fn what_could_be_taken_for_the_other_is_one() {
        let other = EventType::new("shop.returned", 1);
        assert!(!are_one(&A, &other));
        assert!(are_one(&A, &EventType::new("shop.sold", 2)));
        assert!(are_one(&A, &EventType::with_id(A.id, "shop.returned", 1)));
        assert!(are_one(&A, &EventType::with_id(7, "shop.sold", 1)));
        assert!(are_one(&A, &other.aliases(&["x", "shop.sold"])));
        assert!(are_one(&other.aliases(&["shop.sold"]), &A));
        assert!(are_one(&A.aliases(&["x"]), &other.aliases(&["y", "x"])));
        assert!(are_one(
            &EventType::with_id(type_id("x"), "a", 1),
            &other.aliases(&["x"])
        ));
    }

    #[test]
    fn parts_stand_one_after_another() {
        const ALL: [EventType; 3] = concat(NO_EVENT, &[&[A], &[], &[NO_EVENT, A]]);
        assert_eq!(ALL, [A, NO_EVENT, A]);
        assert_eq!([0, 1, 2].map(|index| position(index, 3, 2, 9)), [3, 4, 9]);
    }

    #[test]
    fn long_names_are_cut_off() {
        let long = "x".repeat(600);
        assert_eq!(Text::of(&["a", &long]).as_str(), format!("a{}", &long[..511]));
        assert!(!Text::of(&["\u{e4}".repeat(300).as_str()]).as_str().is_empty());
    }
}
