//! How two shapes differ, field by field.

use crate::{Shape, ShapeField, ShapeVariant};

/// What is different in `now`, one sentence for each place; none if the shapes are equal.
///
/// ```
/// use wal_db::testing::differences;
///
/// let released = "{id: u64, note: str}".parse().expect("a shape");
/// let now = "{id: u32, note: str, by: str}".parse().expect("a shape");
/// assert_eq!(
///     differences(&released, &now),
///     ["the field `id` is released as `u64` and is `u32` now", "the field `by` is new"]
/// );
/// ```
#[must_use]
pub fn differences(released: &Shape, now: &Shape) -> Vec<String> {
    let mut found = Vec::new();
    compare("", released, now, &mut found);
    found
}

fn compare(path: &str, released: &Shape, now: &Shape, found: &mut Vec<String>) {
    match (released, now) {
        (released, now) if released == now => {}
        (Shape::Struct(released), Shape::Struct(now)) => fields(path, released, now, found),
        (Shape::Enum(released), Shape::Enum(now)) => variants(path, released, now, found),
        (Shape::Tuple(released), Shape::Tuple(now)) if released.len() == now.len() => {
            for (i, (released, now)) in released.iter().zip(now).enumerate() {
                compare(&join(path, &i.to_string()), released, now, found);
            }
        }
        (Shape::Option(released), Shape::Option(now)) | (Shape::Seq(released), Shape::Seq(now)) => {
            compare(&join(path, "*"), released, now, found);
        }
        (Shape::Array(released, n), Shape::Array(now, m)) if n == m => {
            compare(&join(path, "*"), released, now, found);
        }
        (Shape::Map(key, value), Shape::Map(key_now, value_now)) => {
            compare(&join(path, "key"), key, key_now, found);
            compare(&join(path, "value"), value, value_now, found);
        }
        (
            Shape::Recursive { name, body },
            Shape::Recursive {
                name: same,
                body: now,
            },
        ) if name == same => {
            compare(path, body, now, found);
        }
        (released, now) => {
            let subject = match path {
                "" => "it".to_owned(),
                path => format!("the field `{path}`"),
            };
            found.push(format!(
                "{subject} is released as `{released}` and is `{now}` now"
            ));
        }
    }
}

fn join(path: &str, name: &str) -> String {
    match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    }
}

fn fields(path: &str, released: &[ShapeField], now: &[ShapeField], found: &mut Vec<String>) {
    let before = found.len();
    for field in released {
        let path = join(path, &field.name);
        match now.iter().find(|other| other.name == field.name) {
            Some(other) => compare(&path, &field.shape, &other.shape, found),
            None => found.push(format!("the field `{path}` is missing")),
        }
    }
    for field in now {
        if !released.iter().any(|other| other.name == field.name) {
            found.push(format!("the field `{}` is new", join(path, &field.name)));
        }
    }
    if found.len() == before {
        found.push(in_order(path, "fields", released.iter().map(|field| &field.name)));
    }
}

fn variants(path: &str, released: &[ShapeVariant], now: &[ShapeVariant], found: &mut Vec<String>) {
    let before = found.len();
    for variant in released {
        let path = join(path, &variant.name);
        match now.iter().find(|other| other.name == variant.name) {
            Some(other) => compare(&path, &variant.fields, &other.fields, found),
            None => found.push(format!("the variant `{path}` is missing")),
        }
    }
    for variant in now {
        if !released.iter().any(|other| other.name == variant.name) {
            found.push(format!("the variant `{}` is new", join(path, &variant.name)));
        }
    }
    if found.len() == before {
        found.push(in_order(
            path,
            "variants",
            released.iter().map(|variant| &variant.name),
        ));
    }
}

fn in_order<'a>(path: &str, what: &str, names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    let of = if path.is_empty() {
        String::new()
    } else {
        format!(" of `{path}`")
    };
    format!("the {what}{of} are released in the order {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(released: &str, now: &str) -> String {
        let [released, now] = [released, now].map(|text| text.parse().expect("a shape"));
        differences(&released, &now).join("\n")
    }

    #[test]
    fn every_kind_of_difference_has_its_place() {
        let cases = [
            ("{a: u8}", "{a: u8}", ""),
            ("u8", "u16", "it is released as `u8` and is `u16` now"),
            (
                "(u8, u8)",
                "(u8, u16)",
                "the field `1` is released as `u8` and is `u16` now",
            ),
            (
                "(u8, u8)",
                "(u8,)",
                "it is released as `(u8, u8)` and is `(u8,)` now",
            ),
            (
                "{a: u8, b: u8}",
                "{b: u8, a: u8}",
                "the fields are released in the order `a`, `b`",
            ),
            ("{a: u8, b: u8}", "{a: u8}", "the field `b` is missing"),
            (
                "{a: [{b: map<str, option<u8>>}]}",
                "{a: [{b: map<str, option<i8>>}]}",
                "the field `a.*.b.value.*` is released as `u8` and is `i8` now",
            ),
            (
                "{a: enum {X, Y(u8)}}",
                "{a: enum {Y(u8), X}}",
                "the variants of `a` are released in the order `X`, `Y`",
            ),
            (
                "enum {X, Y(u8)}",
                "enum {X, Y(u16), Z}",
                "the field `Y` is released as `u8` and is `u16` now\nthe variant `Z` is new",
            ),
            (
                "rec T {t: option<@T>, n: u8}",
                "rec T {t: option<@T>, n: u16}",
                "the field `n` is released as `u8` and is `u16` now",
            ),
            (
                "[u8; 4]",
                "[u8; 5]",
                "it is released as `[u8; 4]` and is `[u8; 5]` now",
            ),
        ];
        for (released, now, expected) in cases {
            assert_eq!(between(released, now), expected, "{released} and {now}");
        }
    }
}
