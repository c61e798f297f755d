//! Shapes: what events look like.

use crate::part::Part;
use crate::print::Kept;

/// The shape of a type, as serde hands it to a format that does not describe itself: a constant that describes a type
/// of the program, or what was read from text, in `wal.lock` and in a log.
///
/// Two shapes are equal if their texts are. What a type that holds itself is called does not matter: its text says
/// where it is met again by how many such types are around it.
///
/// In a constant, each reference to a part is a [`Part::Static`]. A shape with parts that is handed to a function there
/// is best a constant of its own: the compiler cannot know that it need not be dropped.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[allow(missing_docs)] // the names of the primitive types say it
pub enum Shape {
    Unit,
    Bool,
    U8,
    U16,
    U32,
    U64,
    U128,
    I8,
    I16,
    I32,
    I64,
    I128,
    F32,
    F64,
    Char,
    Str,
    Bytes,
    /// A value or nothing.
    Option(Part<Shape>),
    /// Any number of elements; sets, too.
    Seq(Part<Shape>),
    /// A fixed number of elements.
    Array(Part<Shape>, usize),
    /// Keys and values.
    Map(Part<Shape>, Part<Shape>),
    /// Values of different types.
    Tuple(Part<[ShapeItem]>),
    /// Named fields in their order.
    Struct(Part<[ShapeField]>),
    /// One of several variants, by position.
    Enum(Part<[ShapeVariant]>),
    /// The single field of a variant, where that is `()`, which is not the same as no field: serde writes `Ok(())` and
    /// a variant without fields in two ways where a format has names. Any other single field stands there itself.
    Newtype,
    /// A type that is known by name only; `wire` says what it is written as, if the user has said so.
    Opaque {
        name: Part<str>,
        wire: Option<Part<Shape>>,
    },
    /// A type that holds itself, where it begins.
    Recursive {
        name: Part<str>,
        body: Part<Shape>,
    },
    /// The same, inside it.
    Ref(Part<str>),
    /// A type that leads back to the one that holds it, by way of others: a constant cannot hold its own value, so this
    /// is looked up while the program runs. In constants only.
    Later {
        name: fn() -> &'static str,
        shape: fn() -> &'static Shape,
    },
}

/// A named field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ShapeField {
    /// Its name in the record.
    pub name: Part<str>,
    /// Its type.
    pub shape: Part<Shape>,
    pub(crate) kept: Kept,
}

/// An item of a tuple.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ShapeItem {
    /// Its type.
    pub shape: Part<Shape>,
    pub(crate) kept: Kept,
}

/// A variant of an enum inside an event.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ShapeVariant {
    /// Its name in the record.
    pub name: Part<str>,
    /// Its fields: [`Shape::Unit`], [`Shape::single`], [`Shape::Tuple`] or [`Shape::Struct`].
    pub fields: Part<Shape>,
    pub(crate) kept: Kept,
}

impl ShapeField {
    /// A field of a constant.
    #[must_use]
    pub const fn new(name: &'static str, shape: &'static Shape) -> Self {
        ShapeField {
            name: Part::Static(name),
            shape: Part::Static(shape),
            kept: ShapeField::kept(name, shape),
        }
    }

    /// A field of a shape that is put together while the program runs.
    #[must_use]
    pub fn of(name: Part<str>, shape: Part<Shape>) -> Self {
        let kept = ShapeField::kept(&name, &shape);
        ShapeField { name, shape, kept }
    }
}

impl ShapeItem {
    /// An item of a constant.
    #[must_use]
    pub const fn new(shape: &'static Shape) -> Self {
        ShapeItem {
            shape: Part::Static(shape),
            kept: ShapeItem::kept(shape),
        }
    }

    /// An item of a shape that is put together while the program runs.
    #[must_use]
    pub fn of(shape: Part<Shape>) -> Self {
        let kept = ShapeItem::kept(&shape);
        ShapeItem { shape, kept }
    }
}

impl ShapeVariant {
    /// A variant of a constant.
    #[must_use]
    pub const fn new(name: &'static str, fields: &'static Shape) -> Self {
        ShapeVariant {
            name: Part::Static(name),
            fields: Part::Static(fields),
            kept: ShapeVariant::kept(name, fields),
        }
    }

    /// A variant of a shape that is put together while the program runs.
    #[must_use]
    pub fn of(name: Part<str>, fields: Part<Shape>) -> Self {
        let kept = ShapeVariant::kept(&name, &fields);
        ShapeVariant { name, fields, kept }
    }
}

pub(crate) const WORDS: [(&str, Shape); 17] = [
    ("unit", Shape::Unit),
    ("bool", Shape::Bool),
    ("u8", Shape::U8),
    ("u16", Shape::U16),
    ("u32", Shape::U32),
    ("u64", Shape::U64),
    ("u128", Shape::U128),
    ("i8", Shape::I8),
    ("i16", Shape::I16),
    ("i32", Shape::I32),
    ("i64", Shape::I64),
    ("i128", Shape::I128),
    ("f32", Shape::F32),
    ("f64", Shape::F64),
    ("char", Shape::Char),
    ("str", Shape::Str),
    ("bytes", Shape::Bytes),
];

impl Shape {
    /// Whether it says of every part what that is written as.
    #[must_use]
    pub fn says_all(&self) -> bool {
        self.all(
            &|shape| !matches!(shape, Shape::Opaque { wire: None, .. }),
            &mut Vec::new(),
        )
    }

    /// Whether it holds for the shape and everything in it. `seen` are the types that were looked up.
    pub(crate) fn all(&self, holds: &dyn Fn(&Shape) -> bool, seen: &mut Vec<&'static str>) -> bool {
        let mut all = |part: &Shape| part.all(holds, seen);
        holds(self)
            && match self {
                Shape::Option(inner) | Shape::Seq(inner) | Shape::Array(inner, _) => all(inner),
                Shape::Recursive { body, .. } => all(body),
                Shape::Map(key, value) => all(key) && all(value),
                Shape::Tuple(items) => items.iter().all(|item| all(&item.shape)),
                Shape::Struct(fields) => fields.iter().all(|field| all(&field.shape)),
                Shape::Enum(variants) => variants.iter().all(|variant| all(&variant.fields)),
                Shape::Opaque { wire: Some(wire), .. } => all(wire),
                Shape::Later { name, shape } => {
                    let name = name();
                    seen.contains(&name) || {
                        seen.push(name);
                        shape().all(holds, seen)
                    }
                }
                _ => true,
            }
    }

    /// What a variant with this single field has in the place of its fields.
    #[must_use]
    pub const fn single(field: &'static Shape) -> &'static Shape {
        match field {
            Shape::Unit => &Shape::Newtype,
            field => field,
        }
    }
}
