//! The fingerprints of shapes. The one of a shape is made of those of its parts, and a field or a variant keeps its own:
//! a type that many others hold is looked at once, while the program is compiled too.

use crate::part::Part;
use crate::shape::{Shape, ShapeField, ShapeVariant};

/// The fingerprint of a part of a shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Print {
    hash: u64,
    /// How many of the types around it that hold themselves lie between it and the furthest one that it names, that one
    /// included; [`Print::NOWHERE`] if it names one that is not around it. Unless this is 0, it depends on where it
    /// stands, and is made anew in each place.
    reach: u64,
    /// Whether a part of it is looked up while the program runs. Then this is the print of the rest.
    is_open: bool,
}

/// The types around a part that hold themselves, the innermost first.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) name: &'a str,
    pub(crate) outer: Option<&'a Scope<'a>>,
}

impl<'a> Scope<'a> {
    /// How many are around it.
    pub(crate) fn level(&self) -> usize {
        std::iter::successors(self.outer, |scope| scope.outer).count()
    }

    /// The innermost with this name.
    pub(crate) fn find(innermost: Option<&'a Self>, name: &str) -> Option<&'a Self> {
        std::iter::successors(innermost, |scope| scope.outer).find(|scope| scope.name == name)
    }
}

impl Print {
    const NOWHERE: u64 = u64::MAX;

    const fn of(kind: &str) -> Self {
        let print = Print {
            hash: 0,
            reach: 0,
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
            reach: if self.reach > part.reach {
                self.reach
            } else {
                part.reach
            },
            is_open: self.is_open || part.is_open,
            ..self.number(part.hash)
        }
    }
}

impl ShapeField {
    /// What a new field keeps of itself.
    pub(crate) const fn print_of(name: &str, shape: &Shape) -> Print {
        Print::of("field").text(name).part(shape.print(None))
    }

    const fn print(&self, scope: Option<&Scope<'_>>) -> Print {
        if self.print.reach == 0 {
            return self.print;
        }
        let print = Print::of("field").text(self.name.get());
        print.part(self.shape.get().print(scope))
    }
}

impl ShapeVariant {
    /// What a new variant keeps of itself.
    pub(crate) const fn print_of(name: &str, fields: &Shape) -> Print {
        Print::of("variant").text(name).part(fields.print(None))
    }

    const fn print(&self, scope: Option<&Scope<'_>>) -> Print {
        if self.print.reach == 0 {
            return self.print;
        }
        let print = Print::of("variant").text(self.name.get());
        print.part(self.fields.get().print(scope))
    }
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
        print.reach == 0 && !print.is_open
    }

    const fn print(&self, scope: Option<&Scope<'_>>) -> Print {
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
            Shape::Option(inner) => Print::of("option").part(inner.get().print(scope)),
            Shape::Seq(inner) => Print::of("seq").part(inner.get().print(scope)),
            Shape::Array(inner, len) => {
                let array = Print::of("array").part(inner.get().print(scope));
                array.number(*len as u64)
            }
            Shape::Map(key, value) => {
                let map = Print::of("map").part(key.get().print(scope));
                map.part(value.get().print(scope))
            }
            Shape::Tuple(items) => Shape::print_tuple(items.get(), scope),
            Shape::Struct(fields) => Shape::print_struct(fields.get(), scope),
            Shape::Enum(variants) => Shape::print_enum(variants.get(), scope),
            Shape::Opaque { name, .. } => Print::of("opaque").text(name.get()),
            Shape::Recursive { name, body } => {
                let inside = Scope {
                    name: name.get(),
                    outer: scope,
                };
                if body.get().names(name.get()) {
                    let body = body.get().print(Some(&inside));
                    let print = Print::of("rec").part(body);
                    Print {
                        reach: if body.reach == Print::NOWHERE {
                            body.reach
                        } else {
                            body.reach - 1
                        },
                        ..print
                    }
                } else {
                    body.get().print(scope)
                }
            }
            Shape::Later { .. } => Print {
                is_open: true,
                ..Print::of("later")
            },
            Shape::Ref(name) => Shape::print_ref(name.get(), scope),
        }
    }

    const fn print_tuple(items: &[Part<Shape>], scope: Option<&Scope<'_>>) -> Print {
        let mut print = Print::of("tuple").number(items.len() as u64);
        let mut i = 0;
        while i < items.len() {
            print = print.part(items[i].get().print(scope));
            i += 1;
        }
        print
    }

    const fn print_struct(fields: &[ShapeField], scope: Option<&Scope<'_>>) -> Print {
        let mut print = Print::of("struct").number(fields.len() as u64);
        let mut i = 0;
        while i < fields.len() {
            print = print.part(fields[i].print(scope));
            i += 1;
        }
        print
    }

    const fn print_enum(variants: &[ShapeVariant], scope: Option<&Scope<'_>>) -> Print {
        let mut print = Print::of("enum").number(variants.len() as u64);
        let mut i = 0;
        while i < variants.len() {
            print = print.part(variants[i].print(scope));
            i += 1;
        }
        print
    }

    /// A type around this place: how far out it is. One that is not there has no name either, so a part of a type that
    /// holds itself has the same fingerprint whatever the type is called.
    const fn print_ref(name: &str, mut scope: Option<&Scope<'_>>) -> Print {
        let print = Print::of("ref");
        let mut reach = 0;
        while let Some(around) = scope {
            reach += 1;
            if same(around.name, name) {
                return Print {
                    reach,
                    ..print.number(reach)
                };
            }
            scope = around.outer;
        }
        Print {
            reach: Print::NOWHERE,
            ..print
        }
    }

    /// Whether it names this type, which is around it.
    pub(crate) const fn names(&self, name: &str) -> bool {
        match self {
            Shape::Ref(other) => same(other.get(), name),
            Shape::Recursive { name: inner, body } => !same(inner.get(), name) && body.get().names(name),
            Shape::Option(inner) | Shape::Seq(inner) | Shape::Array(inner, _) => inner.get().names(name),
            Shape::Map(key, value) => key.get().names(name) || value.get().names(name),
            Shape::Tuple(items) => {
                let items = items.get();
                let mut i = 0;
                while i < items.len() && !items[i].get().names(name) {
                    i += 1;
                }
                i < items.len()
            }
            Shape::Struct(fields) => {
                let fields = fields.get();
                let mut i = 0;
                while i < fields.len() && !(fields[i].print.reach > 0 && fields[i].shape.get().names(name)) {
                    i += 1;
                }
                i < fields.len()
            }
            Shape::Enum(variants) => {
                let variants = variants.get();
                let mut i = 0;
                while i < variants.len()
                    && !(variants[i].print.reach > 0 && variants[i].fields.get().names(name))
                {
                    i += 1;
                }
                i < variants.len()
            }
            _ => false,
        }
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

    /// Each level has five fields of the one below it, which is looked at once for each and not for each way to it.
    #[test]
    fn what_holds_a_type_that_is_looked_up_later_is_looked_at_once() {
        let later = Shape::Later {
            name: || "Later",
            shape: || &Shape::Unit,
        };
        let mut level: &'static Shape = Box::leak(Box::new(later));
        for _ in 0..40 {
            let fields: &'static _ = Box::leak(Box::new(
                ["a", "b", "c", "d", "e"].map(|name| ShapeField::new(name, level)),
            ));
            level = Box::leak(Box::new(Shape::Struct(Part::Static(fields))));
        }
        assert!(level.is_open() && !level.is_closed());
    }
}
