//! The fingerprints of shapes. The one of a shape is made of those of its parts, and a field, an item or a variant keeps
//! its own: a type that many others hold is looked at once, while the program is compiled too.

use crate::shape::{Shape, ShapeField, ShapeItem, ShapeVariant};

/// The fingerprint of a part of a shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Print {
    hash: u64,
    /// What it names and is not around it. Unless this is nothing, it depends on where it stands.
    free: Free,
    /// Whether a part of it is looked up while the program runs. Then this is the print of the rest.
    is_open: bool,
}

/// The types that a part names and that are not around it, by the hashes of their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Free {
    None,
    One(u64),
    Several,
}

/// What a part keeps: its fingerprint where nothing is around it. If it names no type, that is the one it has anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Kept {
    print: Print,
    /// If it names a single type: its hash directly inside that.
    inside: u64,
}

/// The types around a part that hold themselves, the innermost first, by the hashes of their names.
#[derive(Clone, Copy)]
struct Around<'a> {
    name: u64,
    outer: Option<&'a Around<'a>>,
}

impl Print {
    const fn of(kind: &str) -> Self {
        let print = Print {
            hash: 0,
            free: Free::None,
            is_open: false,
        };
        print.text(kind)
    }

    /// Adds a number; every bit of it changes about half of those of the hash (the finalizer of SplitMix64).
    const fn number(self, number: u64) -> Self {
        let mixed = (self.hash.rotate_left(23) ^ number).wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Print {
            hash: mixed ^ (mixed >> 31),
            ..self
        }
    }

    const fn text(self, text: &str) -> Self {
        self.number(fnv(text)).number(text.len() as u64)
    }

    const fn part(self, part: Print) -> Self {
        Print {
            free: self.free.and(part.free),
            is_open: self.is_open || part.is_open,
            ..self.number(part.hash)
        }
    }
}

impl Free {
    const fn and(self, other: Free) -> Self {
        match (self, other) {
            (Free::None, free) | (free, Free::None) => free,
            (Free::One(one), Free::One(other)) if one == other => self,
            _ => Free::Several,
        }
    }
}

impl Kept {
    /// The print of the part in its place, if it can be told from what is kept.
    const fn print(self, around: Option<&Around<'_>>) -> Option<Print> {
        let (Some(innermost), Free::One(name)) = (around, self.print.free) else {
            let is_anywhere = around.is_none() || matches!(self.print.free, Free::None);
            return if is_anywhere { Some(self.print) } else { None };
        };
        if innermost.name != name {
            return None;
        }
        Some(Print {
            hash: self.inside,
            free: Free::None,
            ..self.print
        })
    }

    /// Whether the part names this type, if that can be told from what is kept.
    const fn names(self, name: u64) -> Option<bool> {
        match self.print.free {
            Free::None => Some(false),
            Free::One(one) => Some(one == name),
            Free::Several => None,
        }
    }
}

/// Parts that keep their fingerprints, and what these are made of, given that of what they hold.
macro_rules! keeping {
    ($($part:ident $held:ident [$($name:ident)?] |$print:ident| $whole:expr;)+) => {
        $(
            impl $part {
                /// What a new one keeps of itself.
                pub(crate) const fn kept($($name: &str,)? $held: &Shape) -> Kept {
                    let $print = $held.print(None);
                    let print = $whole;
                    let Free::One(named) = print.free else {
                        return Kept { print, inside: 0 };
                    };
                    let $print = $held.print(Some(&Around { name: named, outer: None }));
                    Kept { print, inside: $whole.hash }
                }

                const fn print(&self, around: Option<&Around<'_>>) -> Print {
                    if let Some(print) = self.kept.print(around) {
                        return print;
                    }
                    $(let $name = self.$name.get();)?
                    let $print = self.$held.get().print(around);
                    $whole
                }

                const fn names(&self, name: u64) -> bool {
                    match self.kept.names(name) {
                        Some(names) => names,
                        None => self.$held.get().names(name),
                    }
                }
            }
        )+
    };
}

keeping! {
    ShapeField shape [name] |print| Print::of("field").text(name).part(print);
    ShapeItem shape [] |print| print;
    ShapeVariant fields [name] |print| Print::of("variant").text(name).part(print);
}

impl Shape {
    /// The fingerprint of the shape: 64 bits that differ for different shapes, but for chance. It is the same in every
    /// program of this release and is stored nowhere. Names of types that hold themselves are no part of it, nor is what
    /// an opaque type is written as: such types are compared by name.
    #[must_use]
    pub const fn fingerprint(&self) -> u64 {
        self.print(None).hash
    }

    /// The same together with the name of what has the shape.
    #[must_use]
    pub const fn fingerprint_of(&self, name: &str) -> u64 {
        self.print(None).text(name).hash
    }

    /// Whether a part of it is looked up while the program runs. Until then nothing can be compared with it.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.print(None).is_open
    }

    /// Whether it is the same wherever it stands: it names no type around it, and nothing in it is looked up, which
    /// could.
    pub(crate) fn is_closed(&self) -> bool {
        let print = self.print(None);
        matches!(print.free, Free::None) && !print.is_open
    }

    const fn print(&self, around: Option<&Around<'_>>) -> Print {
        match self {
            Shape::Unit => Print::of("unit"),
            Shape::Newtype => Print::of("newtype"),
            Shape::Bool => Print::of("bool"),
            Shape::U8 => Print::of("u8"),
            Shape::U16 => Print::of("u16"),
            Shape::U32 => Print::of("u32"),
            Shape::U64 => Print::of("u64"),
            Shape::U128 => Print::of("u128"),
            Shape::I8 => Print::of("i8"),
            Shape::I16 => Print::of("i16"),
            Shape::I32 => Print::of("i32"),
            Shape::I64 => Print::of("i64"),
            Shape::I128 => Print::of("i128"),
            Shape::F32 => Print::of("f32"),
            Shape::F64 => Print::of("f64"),
            Shape::Char => Print::of("char"),
            Shape::Str => Print::of("str"),
            Shape::Bytes => Print::of("bytes"),
            Shape::Option(inner) => Print::of("option").part(inner.get().print(around)),
            Shape::Seq(inner) => Print::of("seq").part(inner.get().print(around)),
            Shape::Array(inner, len) => {
                let array = Print::of("array").part(inner.get().print(around));
                array.number(*len as u64)
            }
            Shape::Map(key, value) => {
                let map = Print::of("map").part(key.get().print(around));
                map.part(value.get().print(around))
            }
            Shape::Tuple(items) => Shape::print_tuple(items.get(), around),
            Shape::Struct(fields) => Shape::print_struct(fields.get(), around),
            Shape::Enum(variants) => Shape::print_enum(variants.get(), around),
            Shape::Opaque { name, .. } => Print::of("opaque").text(name.get()),
            Shape::Recursive { name, body } => {
                let inside = Around {
                    name: fnv(name.get()),
                    outer: around,
                };
                if body.get().names(inside.name) {
                    Print::of("rec").part(body.get().print(Some(&inside)))
                } else {
                    body.get().print(around)
                }
            }
            Shape::Later { .. } => Print {
                is_open: true,
                ..Print::of("later")
            },
            Shape::Ref(name) => Shape::print_ref(fnv(name.get()), around),
        }
    }

    const fn print_tuple(items: &[ShapeItem], around: Option<&Around<'_>>) -> Print {
        let mut print = Print::of("tuple").number(items.len() as u64);
        let mut i = 0;
        while i < items.len() {
            print = print.part(items[i].print(around));
            i += 1;
        }
        print
    }

    const fn print_struct(fields: &[ShapeField], around: Option<&Around<'_>>) -> Print {
        let mut print = Print::of("struct").number(fields.len() as u64);
        let mut i = 0;
        while i < fields.len() {
            print = print.part(fields[i].print(around));
            i += 1;
        }
        print
    }

    const fn print_enum(variants: &[ShapeVariant], around: Option<&Around<'_>>) -> Print {
        let mut print = Print::of("enum").number(variants.len() as u64);
        let mut i = 0;
        while i < variants.len() {
            print = print.part(variants[i].print(around));
            i += 1;
        }
        print
    }

    /// A type around this place: how far out it is. One that is not there has no name either, so a part of a type that
    /// holds itself has the same fingerprint whatever the type is called.
    const fn print_ref(name: u64, mut around: Option<&Around<'_>>) -> Print {
        let print = Print::of("ref");
        let mut distance = 0;
        while let Some(next) = around {
            distance += 1;
            if next.name == name {
                return print.number(distance);
            }
            around = next.outer;
        }
        Print {
            free: Free::One(name),
            ..print
        }
    }

    /// Whether it names this type, which is around it.
    const fn names(&self, name: u64) -> bool {
        match self {
            Shape::Ref(other) => fnv(other.get()) == name,
            Shape::Recursive { name: inner, body } => fnv(inner.get()) != name && body.get().names(name),
            Shape::Option(inner) | Shape::Seq(inner) | Shape::Array(inner, _) => inner.get().names(name),
            Shape::Map(key, value) => key.get().names(name) || value.get().names(name),
            Shape::Tuple(items) => {
                let items = items.get();
                let mut i = 0;
                while i < items.len() && !items[i].names(name) {
                    i += 1;
                }
                i < items.len()
            }
            Shape::Struct(fields) => {
                let fields = fields.get();
                let mut i = 0;
                while i < fields.len() && !fields[i].names(name) {
                    i += 1;
                }
                i < fields.len()
            }
            Shape::Enum(variants) => {
                let variants = variants.get();
                let mut i = 0;
                while i < variants.len() && !variants[i].names(name) {
                    i += 1;
                }
                i < variants.len()
            }
            _ => false,
        }
    }

    /// Whether the type with this body and name holds itself.
    pub(crate) fn is_named_in(&self, name: &str) -> bool {
        self.names(fnv(name))
    }
}

/// FNV-1a, 64 bits, over the UTF-8 bytes.
pub(crate) const fn fnv(text: &str) -> u64 {
    let bytes = text.as_bytes();
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        i += 1;
    }
    hash
}

/// Whether two texts are equal, in constants.
#[doc(hidden)]
#[must_use]
pub const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::Part;

    fn print(text: &str) -> u64 {
        text.parse::<Shape>().expect(text).fingerprint()
    }

    #[test]
    fn names_of_lines_are_the_published_fnv_1a_vectors() {
        assert_eq!(fnv(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv("foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn different_shapes_have_different_fingerprints() {
        let texts = [
            "unit",
            "u8",
            "bytes",
            "[u8]",
            "option<u8>",
            "[u8; 3]",
            "[u8; 4]",
            "map<u8, u16>",
            "map<u16, u8>",
            "()",
            "(u8,)",
            "(u8, u16)",
            "(u8, (u16,))",
            "((u8, u16),)",
            "{}",
            "{a: u8}",
            "{b: u8}",
            "{a: u8, b: u16}",
            "{b: u16, a: u8}",
            "{a: {b: u8}}",
            "enum {}",
            "enum {a}",
            "enum {a(unit)}",
            "enum {a(u8)}",
            "enum {a(u8,)}",
            "enum {a {a: u8}}",
            "enum {a, b}",
            "enum {b, a}",
            "opaque \"a\"",
            "opaque \"b\"",
            "@a",
            "rec a {a: @a}",
            "rec a {a: [@a]}",
            "rec a {a: rec b {a: @a}}",
            "rec a {a: rec b {a: @b}}",
            "rec a {a: rec b {a: @a, b: @b}}",
            "rec a {a: rec b {a: @b, b: @a}}",
        ];
        let mut seen = std::collections::HashMap::new();
        for text in texts {
            let other = seen.insert(print(text), text);
            assert_eq!(other, None, "{text}");
        }
    }

    /// What a type that holds itself is called does not matter, nor one that never does.
    #[test]
    fn names_of_types_that_hold_themselves_are_in_no_fingerprint() {
        let cases = [
            ("rec a {a: @a}", "rec b {a: @b}"),
            (
                "rec a (rec b {x: @a, y: @b}, @a)",
                "rec c (rec d {x: @c, y: @d}, @c)",
            ),
            ("rec a (rec a {x: @a}, @a)", "rec c (rec d {x: @d}, @c)"),
            ("rec a {x: u8}", "{x: u8}"),
            ("opaque \"o\" = u8", "opaque \"o\""),
            ("rec a (rec b {x: @a}, u8)", "rec a ({x: @a}, u8)"),
            ("rec a rec b {x: option<@a>}", "rec b {x: option<@b>}"),
        ];
        for (one, other) in cases {
            assert_eq!(print(one), print(other), "{one} and {other}");
        }
        let (free, bound) = ("{a: @b}", "rec b [{a: @b}]");
        let inside = |text: &str| match text.parse::<Shape>().expect(text) {
            Shape::Recursive { body, .. } => body.fingerprint(),
            shape => shape.fingerprint(),
        };
        assert_ne!(inside(free), inside(bound));
    }

    /// They are stored nowhere, and still are what they were: that of a part depends on how far out a type is that it
    /// names, whether it was made there or kept.
    #[test]
    fn fingerprints_are_those_of_releases_before() {
        let cases = [
            ("(u8, (u16, [str]), option<(bool,)>)", 0xbcb0_0e2e_c02d_1f36),
            (
                "rec a {id: u8, next: ({x: @a, y: [@a]}, enum {A(@a), B})}",
                0xe78f_5d4c_b4dc_840e,
            ),
            (
                "rec a {x: [rec b {up: option<@a>, of: (@b, (@a, u8))}], y: {z: {z: @a}}}",
                0x63db_6fe1_fedf_edcd,
            ),
            (
                "{a: @x, b: ({c: @x}, @y), d: enum {E(@y)}}",
                0x931c_180a_d0db_e17e,
            ),
        ];
        for (text, before) in cases {
            assert_eq!(print(text), before, "{text}");
        }
    }

    /// A shape that is read keeps in its fields what a constant does.
    #[test]
    fn constants_and_texts_have_the_same_fingerprints() {
        const LEAF: &Shape = &Shape::Struct(Part::Static(&[ShapeField::new("a", &Shape::U8)]));
        const NEXT: &Shape = &Shape::Option(Part::Static(&Shape::Ref(Part::Static("Chain"))));
        const BODY: &Shape = &Shape::Struct(Part::Static(&[
            ShapeField::new("leaf", LEAF),
            ShapeField::new("next", NEXT),
        ]));
        const CHAIN: &Shape = &Shape::Recursive {
            name: Part::Static("Chain"),
            body: Part::Static(BODY),
        };
        const PRINT: u64 = CHAIN.fingerprint();
        assert_eq!(PRINT, print("rec x {leaf: {a: u8}, next: option<@x>}"));
        assert_eq!(PRINT, print(&CHAIN.to_string()));
    }

    /// Levels of types with five parts each, of the level below: each is looked at once, and not for each way to it.
    #[test]
    fn a_type_is_looked_at_once_for_each_that_holds_it() {
        const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
        let fields: fn(&'static Shape) -> Shape =
            |part| Shape::Struct(NAMES.map(|name| ShapeField::new(name, part)).to_vec().into());
        let items: fn(&'static Shape) -> Shape =
            |part| Shape::Tuple([(); 5].map(|()| ShapeItem::new(part)).to_vec().into());
        let variants: fn(&'static Shape) -> Shape =
            |part| Shape::Enum(NAMES.map(|name| ShapeVariant::new(name, part)).to_vec().into());
        let later = || Shape::Later {
            name: || "Later",
            shape: || &Shape::Unit,
        };
        let named = || Shape::Option(Shape::Ref(Part::Static("Named")).into());
        for level in [fields, items, variants] {
            let levels = |innermost: Shape| {
                let of = |part: Shape| level(Box::leak(Box::new(part)));
                (0..40).fold(innermost, |part, _| of(part))
            };
            assert!(levels(Shape::U8).is_closed());
            let open = levels(later());
            assert!(open.is_open() && !open.is_closed());
            let inside = levels(named());
            assert!(!inside.is_open() && !inside.is_closed());
            let whole = Shape::Recursive {
                name: Part::Static("Named"),
                body: inside.clone().into(),
            };
            assert!(whole.is_closed() && whole.fingerprint() != inside.fingerprint());
        }
    }
}
