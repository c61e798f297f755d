//! What a value tells serde, compared with its shape: bytes alone do not show that a number is not the position of a
//! variant, or that text is not a list of bytes.

use std::fmt::{self, Display};
use std::mem::discriminant;

use serde::ser::{
    Error, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::{
    record::WalRecord,
    schema::{Shape, ShapeField, ShapeItem},
    value::Place,
};

/// Where an event is written otherwise than its schema says; `None` if it is not.
pub(super) fn difference<T: WalRecord>(event: &T, schema: &'static Shape) -> Option<Difference> {
    let whole = Described::at(Place::whole(schema));
    let written = event.write_fields(event.record_index(), whole);
    written.err().filter(|difference| !difference.found.is_empty())
}

/// A part of an event that is not what its schema says.
#[derive(Debug)]
pub(super) struct Difference {
    /// The fields and positions that lead there, the innermost first.
    pub(super) path: Vec<String>,
    /// What it is written as; nothing if it only refuses to be written to a format that is not for humans.
    pub(super) found: String,
    pub(super) schema: String,
}

impl Difference {
    fn inside(mut self, step: impl Display) -> Self {
        self.path.push(step.to_string());
        self
    }
}

impl Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} instead of {}", self.found, self.schema)
    }
}

impl std::error::Error for Difference {}

impl Error for Difference {
    fn custom<T: Display>(_: T) -> Self {
        Difference {
            path: Vec::new(),
            found: String::new(),
            schema: String::new(),
        }
    }
}

type Written = Result<(), Difference>;

/// Takes a value that has this shape; any value where the shape is not known.
struct Described<'c>(Option<Place<'c>>);

impl<'c> Described<'c> {
    fn at(mut place: Place<'c>) -> Self {
        loop {
            place = match place.follow() {
                Ok(Some(next)) => next,
                Ok(None) => return Described(Some(place)),
                Err(_) => return Described(None),
            };
        }
    }

    fn shape(&self) -> Option<&'c Shape> {
        self.0.as_ref().map(|place| place.shape)
    }

    fn part(&self, shape: &'c Shape) -> Self {
        self.0
            .as_ref()
            .map_or(Described(None), |place| Described::at(place.part(shape)))
    }

    fn other<T>(&self, found: impl Display) -> Result<T, Difference> {
        Err(Difference {
            path: Vec::new(),
            found: found.to_string(),
            schema: self.shape().map_or_else(String::new, ToString::to_string),
        })
    }

    /// Whether it is this one, which has no parts.
    fn is(self, shape: &Shape) -> Written {
        match self.shape() {
            Some(here) if discriminant(here) != discriminant(shape) => self.other(format_args!("`{shape}`")),
            _ => Ok(()),
        }
    }

    /// The fields of a variant, as what holds them.
    fn variant(self, index: u32, name: &str) -> Result<Self, Difference> {
        match self.shape() {
            None => Ok(self),
            Some(Shape::Enum(variants)) => match variants.get().get(index as usize) {
                Some(variant) if *variant.name == *name => Ok(Described(
                    self.0.as_ref().map(|place| place.part(&variant.fields)),
                )),
                _ => self.other(format_args!("variant {index}, `{name}`,")),
            },
            Some(_) => self.other(format_args!("a variant, `{name}`,")),
        }
    }

    fn parts(self, len: usize) -> Result<Parts<'c>, Difference> {
        let parts = match self.shape() {
            None => Expected::Any,
            Some(Shape::Array(item, count)) if *count == len => Expected::Each(item, item),
            Some(Shape::Tuple(items)) if items.len() == len => Expected::Items(items.iter()),
            Some(_) => return self.other(format_args!("a tuple of {len}")),
        };
        Ok(Parts::new(self, parts))
    }

    fn named(self) -> Result<Parts<'c>, Difference> {
        let parts = match self.shape() {
            None => Expected::Any,
            Some(Shape::Struct(fields)) => Expected::Fields(fields.iter()),
            Some(_) => return self.other("a struct"),
        };
        Ok(Parts::new(self, parts))
    }
}

macro_rules! words {
    ($($method:ident: $ty:ty => $shape:ident;)*) => {
        $(
            fn $method(self, _: $ty) -> Written {
                self.is(&Shape::$shape)
            }
        )*
    };
}

impl<'c> Serializer for Described<'c> {
    type Ok = ();
    type Error = Difference;
    type SerializeSeq = Parts<'c>;
    type SerializeTuple = Parts<'c>;
    type SerializeTupleStruct = Parts<'c>;
    type SerializeTupleVariant = Parts<'c>;
    type SerializeMap = Parts<'c>;
    type SerializeStruct = Parts<'c>;
    type SerializeStructVariant = Parts<'c>;

    words! {
        serialize_bool: bool => Bool;
        serialize_i8: i8 => I8;
        serialize_i16: i16 => I16;
        serialize_i32: i32 => I32;
        serialize_i64: i64 => I64;
        serialize_i128: i128 => I128;
        serialize_u8: u8 => U8;
        serialize_u16: u16 => U16;
        serialize_u32: u32 => U32;
        serialize_u64: u64 => U64;
        serialize_u128: u128 => U128;
        serialize_f32: f32 => F32;
        serialize_f64: f64 => F64;
        serialize_char: char => Char;
        serialize_str: &str => Str;
        serialize_bytes: &[u8] => Bytes;
    }

    fn serialize_unit(self) -> Written {
        match self.shape() {
            Some(Shape::Newtype) => Ok(()),
            _ => self.is(&Shape::Unit),
        }
    }

    fn serialize_unit_struct(self, _: &'static str) -> Written {
        self.serialize_unit()
    }

    fn serialize_none(self) -> Written {
        match self.shape() {
            None | Some(Shape::Option(_)) => Ok(()),
            Some(_) => self.other("`None`"),
        }
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Written {
        match self.shape() {
            None => value.serialize(self),
            Some(Shape::Option(inner)) => value.serialize(self.part(inner)),
            Some(_) => self.other("a `Some`"),
        }
    }

    fn serialize_unit_variant(self, _: &'static str, index: u32, name: &'static str) -> Written {
        self.variant(index, name)?.is(&Shape::Unit)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Written {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        name: &'static str,
        value: &T,
    ) -> Written {
        let fields = self.variant(index, name)?;
        match fields.shape() {
            Some(Shape::Unit) => fields.other(format_args!("the value of `{name}`")),
            Some(shape) => value
                .serialize(fields.part(shape))
                .map_err(|error| error.inside(name)),
            None => value.serialize(fields),
        }
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Parts<'c>, Difference> {
        let parts = match self.shape() {
            None => Expected::Any,
            Some(Shape::Seq(item)) => Expected::Each(item, item),
            Some(_) => return self.other("a sequence"),
        };
        Ok(Parts::new(self, parts))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Parts<'c>, Difference> {
        let parts = match self.shape() {
            None => Expected::Any,
            Some(Shape::Map(key, value)) => Expected::Each(key, value),
            Some(_) => return self.other("a map"),
        };
        Ok(Parts::new(self, parts))
    }

    fn serialize_tuple(self, len: usize) -> Result<Parts<'c>, Difference> {
        self.parts(len)
    }

    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<Parts<'c>, Difference> {
        self.parts(len)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        name: &'static str,
        len: usize,
    ) -> Result<Parts<'c>, Difference> {
        self.variant(index, name)?.parts(len)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Parts<'c>, Difference> {
        self.named()
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        name: &'static str,
        _: usize,
    ) -> Result<Parts<'c>, Difference> {
        self.variant(index, name)?.named()
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// A value that is told part by part.
struct Parts<'c> {
    whole: Described<'c>,
    expected: Expected<'c>,
    /// How many there were.
    count: usize,
}

enum Expected<'c> {
    Any,
    /// Keys, and the values that follow them; an element is a value.
    Each(&'c Shape, &'c Shape),
    Items(std::slice::Iter<'c, ShapeItem>),
    Fields(std::slice::Iter<'c, ShapeField>),
}

impl<'c> Parts<'c> {
    fn new(whole: Described<'c>, expected: Expected<'c>) -> Self {
        Parts {
            whole,
            expected,
            count: 0,
        }
    }

    fn take<T: Serialize + ?Sized>(
        &mut self,
        shape: Option<&'c Shape>,
        step: &dyn Display,
        value: &T,
    ) -> Written {
        let part = shape.map_or(Described(None), |shape| self.whole.part(shape));
        value.serialize(part).map_err(|error| error.inside(step))
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        let shape = match &mut self.expected {
            Expected::Each(_, value) => Some(*value),
            Expected::Items(items) => items.next().map(|item| &*item.shape),
            Expected::Any | Expected::Fields(_) => None,
        };
        let at = self.count;
        self.count += 1;
        self.take(shape, &at, value)
    }

    fn field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Written {
        let shape = match &mut self.expected {
            Expected::Fields(fields) => match fields.next() {
                Some(field) if *field.name == *key => Some(&*field.shape),
                _ => {
                    return self
                        .whole
                        .other(format_args!("the field `{key}`, in this place,"));
                }
            },
            _ => None,
        };
        self.take(shape, &key, value)
    }

    fn all(mut self) -> Written {
        match &mut self.expected {
            Expected::Fields(fields) => match fields.next() {
                Some(field) => self.whole.other(format_args!("no field `{}`", &*field.name)),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

macro_rules! parts {
    ($($kind:ident: $method:ident($($key:ident)?) => $take:ident;)*) => {
        $(
            impl $kind for Parts<'_> {
                type Ok = ();
                type Error = Difference;

                fn $method<T: Serialize + ?Sized>(&mut self, $($key: &'static str,)? value: &T) -> Written {
                    self.$take($($key,)? value)
                }

                fn end(self) -> Written {
                    self.all()
                }
            }
        )*
    };
}

parts! {
    SerializeSeq: serialize_element() => element;
    SerializeTuple: serialize_element() => element;
    SerializeTupleStruct: serialize_field() => element;
    SerializeTupleVariant: serialize_field() => element;
    SerializeStruct: serialize_field(key) => field;
    SerializeStructVariant: serialize_field(key) => field;
}

impl SerializeMap for Parts<'_> {
    type Ok = ();
    type Error = Difference;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Written {
        let shape = match self.expected {
            Expected::Each(key, _) => Some(key),
            _ => None,
        };
        self.take(shape, &"a key", key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        self.element(value)
    }

    fn end(self) -> Written {
        Ok(())
    }
}
