//! What the types of events look like: described at compile time ([`Schema`]), written as text ([`Shape`]).
//!
//! A schema is a constant, so the shape of a whole type, with everything inside it, can be compared while the
//! program is compiled. A shape is its owned form: it is read from text, in `wal.lock` and in the log itself,
//! and compared, printed and used to read records whose type is not at hand.

mod diff;
mod std_types;

pub(crate) use diff::differences;
pub(crate) use wal_shape::{Fnv, list};
pub use wal_shape::{Shape, ShapeError, ShapeField, ShapeVariant};

/// A type whose values can be part of an event.
///
/// Implemented for the types of the standard library that serde stores, and by `#[derive(WalSchema)]` for structs
/// and enums. A foreign type takes `#[wal(opaque = "name@1")]` on the field that holds it.
///
/// The derive describes what serde's derives write: it follows `rename`, `rename_all`, `skip`, `transparent`, and
/// `into` with `from` or `try_from`, and refuses attributes whose result cannot be read back. Type parameters have to
/// be `WalSchema` too. A type that holds itself is described by its name where it does; of types that hold each other,
/// one has to be `opaque` in the other.
///
#[cfg_attr(feature = "derive", doc = "```")]
#[cfg_attr(not(feature = "derive"), doc = "```ignore")]
/// use serde::{Deserialize, Serialize};
/// use wal_db::WalSchema;
///
/// #[derive(Serialize, Deserialize, WalSchema)]
/// struct Address { street: String, zip: Option<u32> }
///
/// #[derive(Serialize, Deserialize, WalSchema)]
/// enum Route { Here(Address), Via { next: Box<Route>, meters: f64 } }
///
/// let route = Route::SCHEMA.to_shape().to_string();
/// let address = "{street: str, zip: option<u32>}";
/// assert_eq!(route, format!("rec Route enum {{Here {address}, Via {{next: @Route, meters: f64}}}}"));
/// ```
///
/// # Attributes
///
/// | on | key | meaning |
/// | --- | --- | --- |
/// | field | `opaque = "name@1"` | in place of the shape of a type that has none; change the name when its bytes change |
/// | type | `opaque = "name@1"` | the same for a type with serde implementations by hand |
/// | field, type | `wire = Type` | beside `opaque`: what it is written as |
/// | type | `bound = "T: Trait"` | in place of the bounds on type parameters |
/// | type | `crate = "path"` | where `wal_db` is found, for a crate that re-exports it |
///
/// A type that is also a [`WalRecord`](crate::WalRecord) has its attributes too.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no wal schema",
    label = "its shape is not known, so it cannot be part of an event",
    note = "add `#[derive(WalSchema)]` to `{Self}`, or `#[wal(opaque = \"name@1\")]` to the field if the type is foreign"
)]
pub trait WalSchema {
    /// The shape of the type as serde writes it.
    const SCHEMA: &'static Schema;
}

/// The shape of a type, as serde hands it to a format that does not describe itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs)] // the names of the primitive types say it
pub enum Schema {
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
    Option(&'static Schema),
    /// Any number of elements; sets, too.
    Seq(&'static Schema),
    /// A fixed number of elements.
    Array(&'static Schema, usize),
    /// Keys and values.
    Map(&'static Schema, &'static Schema),
    /// Values of different types.
    Tuple(&'static [&'static Schema]),
    /// Named fields in their order.
    Struct(&'static [SchemaField]),
    /// One of several variants, by position.
    Enum(&'static [SchemaVariant]),
    /// The single field of a variant. It may be `()`, which is not the same as no field: serde writes `Ok(())` and a
    /// variant without fields in two ways where a format has names.
    Newtype(&'static Schema),
    /// A type that is known by name only; `wire` says what it is written as, if the user has said so.
    Opaque {
        name: &'static str,
        wire: Option<&'static Schema>,
    },
    /// A type that holds itself, where it begins.
    Recursive {
        name: &'static str,
        body: &'static Schema,
    },
    /// The same, inside it.
    Ref(&'static str),
}

/// A named field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SchemaField {
    /// Its name in the record.
    pub name: &'static str,
    /// Its type.
    pub schema: &'static Schema,
}

/// A variant of an enum inside an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SchemaVariant {
    /// Its name in the record.
    pub name: &'static str,
    /// Its fields: [`Schema::Unit`], [`Schema::Newtype`] or the type of a single one, [`Schema::Tuple`] or
    /// [`Schema::Struct`].
    pub fields: &'static Schema,
}

impl Schema {
    /// The fingerprint of the shape: FNV-1a, 64 bits, over its canonical text.
    #[must_use]
    pub const fn fingerprint(&self) -> u64 {
        self.hash(Fnv::new()).finish()
    }

    /// The same together with the name of what has the shape.
    pub(in super::super) const fn fingerprint_of(&self, name: &str) -> u64 {
        self.hash(Fnv::new().text(name).byte(0)).finish()
    }

    /// Feeds the canonical text to the hash, piece by piece; [`Shape`]'s `Display` writes the same.
    const fn hash(&self, fnv: Fnv) -> Fnv {
        match self {
            Schema::Unit => fnv.text("unit"),
            Schema::Bool => fnv.text("bool"),
            Schema::U8 => fnv.text("u8"),
            Schema::U16 => fnv.text("u16"),
            Schema::U32 => fnv.text("u32"),
            Schema::U64 => fnv.text("u64"),
            Schema::U128 => fnv.text("u128"),
            Schema::I8 => fnv.text("i8"),
            Schema::I16 => fnv.text("i16"),
            Schema::I32 => fnv.text("i32"),
            Schema::I64 => fnv.text("i64"),
            Schema::I128 => fnv.text("i128"),
            Schema::F32 => fnv.text("f32"),
            Schema::F64 => fnv.text("f64"),
            Schema::Char => fnv.text("char"),
            Schema::Str => fnv.text("str"),
            Schema::Bytes => fnv.text("bytes"),
            Schema::Option(inner) => inner.hash(fnv.text("option<")).text(">"),
            Schema::Seq(inner) => inner.hash(fnv.text("[")).text("]"),
            Schema::Array(inner, len) => inner.hash(fnv.text("[")).text("; ").number(*len).text("]"),
            Schema::Map(key, value) => {
                let fnv = key.hash(fnv.text("map<")).text(", ");
                value.hash(fnv).text(">")
            }
            Schema::Tuple(items) => Schema::hash_tuple(items, fnv),
            Schema::Struct(fields) => Schema::hash_struct(fields, fnv),
            Schema::Enum(variants) => Schema::hash_enum(variants, fnv),
            Schema::Newtype(single) => single.hash(fnv),
            Schema::Opaque { name, wire } => {
                let fnv = fnv.text("opaque ").quoted(name);
                match wire {
                    Some(wire) => wire.hash(fnv.text(" = ")),
                    None => fnv,
                }
            }
            Schema::Recursive { name, body } => body.hash(fnv.text("rec ").name(name).text(" ")),
            Schema::Ref(name) => fnv.text("@").name(name),
        }
    }

    const fn hash_tuple(items: &[&Schema], mut fnv: Fnv) -> Fnv {
        fnv = fnv.text("(");
        let mut i = 0;
        while i < items.len() {
            if i > 0 {
                fnv = fnv.text(", ");
            }
            fnv = items[i].hash(fnv);
            i += 1;
        }
        fnv.text(if items.len() == 1 { ",)" } else { ")" })
    }

    const fn hash_struct(fields: &[SchemaField], mut fnv: Fnv) -> Fnv {
        fnv = fnv.text("{");
        let mut i = 0;
        while i < fields.len() {
            if i > 0 {
                fnv = fnv.text(", ");
            }
            fnv = fields[i].schema.hash(fnv.name(fields[i].name).text(": "));
            i += 1;
        }
        fnv.text("}")
    }

    const fn hash_enum(variants: &[SchemaVariant], mut fnv: Fnv) -> Fnv {
        fnv = fnv.text("enum {");
        let mut i = 0;
        while i < variants.len() {
            if i > 0 {
                fnv = fnv.text(", ");
            }
            fnv = fnv.name(variants[i].name);
            fnv = match variants[i].fields {
                Schema::Newtype(Schema::Unit) => fnv.text("(unit)"),
                Schema::Newtype(single) => single.hash_fields(fnv),
                fields => fields.hash_fields(fnv),
            };
            i += 1;
        }
        fnv.text("}")
    }

    /// The fields of a variant in their shortest form.
    const fn hash_fields(&self, fnv: Fnv) -> Fnv {
        match self {
            Schema::Unit => fnv,
            Schema::Tuple(items) => Schema::hash_tuple(items, fnv),
            Schema::Struct(fields) => Schema::hash_struct(fields, fnv.text(" ")),
            single => single.hash(fnv.text("(")).text(")"),
        }
    }

    /// The owned form.
    #[must_use]
    pub fn to_shape(&self) -> Shape {
        let boxed = |schema: &Schema| Box::new(schema.to_shape());
        match self {
            Schema::Unit => Shape::Unit,
            Schema::Bool => Shape::Bool,
            Schema::U8 => Shape::U8,
            Schema::U16 => Shape::U16,
            Schema::U32 => Shape::U32,
            Schema::U64 => Shape::U64,
            Schema::U128 => Shape::U128,
            Schema::I8 => Shape::I8,
            Schema::I16 => Shape::I16,
            Schema::I32 => Shape::I32,
            Schema::I64 => Shape::I64,
            Schema::I128 => Shape::I128,
            Schema::F32 => Shape::F32,
            Schema::F64 => Shape::F64,
            Schema::Char => Shape::Char,
            Schema::Str => Shape::Str,
            Schema::Bytes => Shape::Bytes,
            Schema::Option(inner) => Shape::Option(boxed(inner)),
            Schema::Seq(inner) => Shape::Seq(boxed(inner)),
            Schema::Array(inner, len) => Shape::Array(boxed(inner), *len),
            Schema::Map(key, value) => Shape::Map(boxed(key), boxed(value)),
            Schema::Tuple(items) => Shape::Tuple(items.iter().map(|item| item.to_shape()).collect()),
            Schema::Struct(fields) => Shape::Struct(
                fields
                    .iter()
                    .map(|field| ShapeField {
                        name: field.name.to_owned(),
                        shape: field.schema.to_shape(),
                    })
                    .collect(),
            ),
            Schema::Enum(variants) => Shape::Enum(
                variants
                    .iter()
                    .map(|variant| ShapeVariant {
                        name: variant.name.to_owned(),
                        fields: variant.fields.to_shape(),
                    })
                    .collect(),
            ),
            Schema::Newtype(Schema::Unit) => Shape::Newtype(Box::new(Shape::Unit)),
            Schema::Newtype(single) => single.to_shape(),
            Schema::Opaque { name, wire } => Shape::Opaque {
                name: (*name).to_owned(),
                wire: wire.map(boxed),
            },
            Schema::Recursive { name, body } => Shape::Recursive {
                name: (*name).to_owned(),
                body: boxed(body),
            },
            Schema::Ref(name) => Shape::Ref((*name).to_owned()),
        }
    }
}
