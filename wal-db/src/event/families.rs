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

/// A name that an event type has or had.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct Known {
    id: u32,
    name: &'static str,
    /// The name that it has.
    today: &'static str,
}

impl Known {
    /// How many names there are.
    #[must_use]
    pub const fn count(records: &[EventType]) -> usize {
        let (mut count, mut i) = (records.len(), 0);
        while i < records.len() {
            count += records[i].aliases.len();
            i += 1;
        }
        count
    }

    /// All of them, `COUNT` together. An id is the hash of the name, which takes time.
    #[must_use]
    pub const fn all<const COUNT: usize>(records: &[EventType]) -> [Known; COUNT] {
        let mut all = [Known {
            id: 0,
            name: "",
            today: "",
        }; COUNT];
        let (mut to, mut i) = (0, 0);
        while i < records.len() {
            let EventType {
                id,
                name: today,
                aliases,
                ..
            } = records[i];
            all[to] = Known {
                id,
                name: today,
                today,
            };
            let mut alias = 0;
            while alias < aliases.len() {
                let name = aliases[alias];
                let id = type_id(name);
                all[to + 1 + alias] = Known { id, name, today };
                alias += 1;
            }
            (to, i) = (to + 1 + aliases.len(), i + 1);
        }
        all
    }

    /// Whether a record of one could be taken for one of the other.
    const fn is(self, other: Known) -> bool {
        self.id == other.id || same(self.name, other.name)
    }
}

/// Refuses two variants of which one would read the records of the other.
///
/// # Panics
/// In a `const`, which is a compile error where it is called: if they have a name, an alias or an id in common.
#[track_caller]
pub const fn check_apart(first: (&str, &[Known]), second: (&str, &[Known])) {
    let mut i = 0;
    while i < first.1.len() {
        let mut j = 0;
        while j < second.1.len() {
            let (a, b) = (first.1[i], second.1[j]);
            if a.is(b) {
                let text = Text::of(&[
                    "`",
                    b.today,
                    "` in `",
                    second.0,
                    "` and `",
                    a.today,
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
        fn are_one<const A: usize, const B: usize>(a: &EventType, b: &EventType) -> bool {
            let [a, b] = [&[*a], &[*b]];
            assert_eq!((Known::count(a), Known::count(b)), (A, B));
            let (a, b) = (Known::all::<A>(a), Known::all::<B>(b));
            a.iter().any(|a| b.iter().any(|b| a.is(*b)))
        }
        let other = EventType::new("shop.returned", 1);
        assert!(!are_one::<1, 1>(&A, &other));
        assert!(are_one::<1, 1>(&A, &EventType::new("shop.sold", 2)));
        assert!(are_one::<1, 1>(&A, &EventType::with_id(A.id, "shop.returned", 1)));
        assert!(are_one::<1, 1>(&A, &EventType::with_id(7, "shop.sold", 1)));
        assert!(are_one::<1, 3>(&A, &other.aliases(&["x", "shop.sold"])));
        assert!(are_one::<2, 1>(&other.aliases(&["shop.sold"]), &A));
        assert!(are_one::<2, 3>(&A.aliases(&["x"]), &other.aliases(&["y", "x"])));
        assert!(are_one::<1, 2>(
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
