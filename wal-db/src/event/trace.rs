//! Where in an event the reading failed: a format around another one, which notes the way of an error on its way out.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::codec::{BuiltIn, Codec, CodecError, CodecId};

/// The format `C`, whose errors say where they come from: they are [`Located`].
pub(super) struct Traced<C>(PhantomData<C>);

impl<C: Codec> Codec for Traced<C> {
    const ID: CodecId = C::ID;
    const SELF_DESCRIBING: bool = C::SELF_DESCRIBING;
    const BUILT_IN: Option<BuiltIn> = C::BUILT_IN;
    const FIRST: bool = true;

    fn encode<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        C::encode(value, out)
    }

    fn decode<'de, S: DeserializeSeed<'de>>(
        seed: S,
        bytes: &'de [u8],
    ) -> Result<(S::Value, usize), CodecError> {
        let trace = Trace::default();
        C::decode(Around::new(seed, &trace), bytes).map_err(|source| {
            let mut path = trace.path.take();
            path.reverse();
            Box::new(Located {
                path,
                asked: trace.asked.get() && !C::SELF_DESCRIBING,
                source,
            }) as CodecError
        })
    }
}

/// An error, and where in the event it is.
#[derive(Debug)]
pub(super) struct Located {
    /// The fields and positions that lead there, the outermost first.
    pub(super) path: Vec<String>,
    /// Whether the type asked the format what comes next, which the format does not say.
    pub(super) asked: bool,
    pub(super) source: CodecError,
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl std::error::Error for Located {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.source()
    }
}

#[derive(Default)]
struct Trace {
    /// The innermost step first.
    path: RefCell<Vec<String>>,
    key: RefCell<Option<String>>,
    asked: Cell<bool>,
}

impl Trace {
    fn failed_in<T, E>(&self, step: impl FnOnce() -> String, result: Result<T, E>) -> Result<T, E> {
        if result.is_err() {
            self.path.borrow_mut().push(step());
        }
        result
    }
}

/// A deserializer, visitor, seed or access, and what is inside it.
struct Around<'t, I> {
    inner: I,
    trace: &'t Trace,
    names: &'static [&'static str],
    is_key: bool,
}

impl<'t, I> Around<'t, I> {
    fn new(inner: I, trace: &'t Trace) -> Self {
        Around {
            inner,
            trace,
            names: &[],
            is_key: false,
        }
    }

    fn with<J>(&self, inner: J) -> Around<'t, J> {
        Around {
            inner,
            trace: self.trace,
            names: &[],
            is_key: self.is_key,
        }
    }
}

macro_rules! forward {
    ($($method:ident($($arg:ident: $ty:ty),*);)*) => {
        $(
            fn $method<V: Visitor<'de>>(self, $($arg: $ty,)* visitor: V) -> Result<V::Value, D::Error> {
                let visitor = self.with(visitor);
                self.inner.$method($($arg,)* visitor)
            }
        )*
    };
}

macro_rules! forward_asking {
    ($($method:ident)*) => {
        $(
            fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
                let trace = self.trace;
                let visitor = self.with(visitor);
                let result = self.inner.$method(visitor);
                if result.is_err() {
                    trace.asked.set(true);
                }
                result
            }
        )*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Around<'_, D> {
    type Error = D::Error;

    forward_asking! { deserialize_any deserialize_ignored_any }

    forward! {
        deserialize_bool();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_i128();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_u128();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_str();
        deserialize_string();
        deserialize_bytes();
        deserialize_byte_buf();
        deserialize_option();
        deserialize_unit();
        deserialize_unit_struct(name: &'static str);
        deserialize_newtype_struct(name: &'static str);
        deserialize_seq();
        deserialize_map();
        deserialize_tuple(len: usize);
        deserialize_tuple_struct(name: &'static str, len: usize);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier();
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = Around {
            names: fields,
            ..self.with(visitor)
        };
        self.inner.deserialize_struct(name, fields, visitor)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! hand_on {
    ($($method:ident: $ty:ty;)*) => {
        $(
            fn $method<E: Error>(self, value: $ty) -> Result<V::Value, E> {
                self.inner.$method(value)
            }
        )*
    };
}

macro_rules! hand_on_names {
    ($($method:ident: $ty:ty;)*) => {
        $(
            fn $method<E: Error>(self, value: $ty) -> Result<V::Value, E> {
                if self.is_key {
                    *self.trace.key.borrow_mut() = Some(value.to_string());
                }
                self.inner.$method(value)
            }
        )*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Around<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    hand_on! {
        visit_bool: bool;
        visit_i8: i8;
        visit_i16: i16;
        visit_i32: i32;
        visit_i64: i64;
        visit_i128: i128;
        visit_u8: u8;
        visit_u16: u16;
        visit_u32: u32;
        visit_u64: u64;
        visit_u128: u128;
        visit_f32: f32;
        visit_f64: f64;
        visit_char: char;
        visit_bytes: &[u8];
        visit_borrowed_bytes: &'de [u8];
        visit_byte_buf: Vec<u8>;
    }

    hand_on_names! {
        visit_str: &str;
        visit_borrowed_str: &'de str;
        visit_string: String;
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        let inner = self.with(inner);
        self.inner.visit_some(inner)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        let inner = self.with(inner);
        self.inner.visit_newtype_struct(inner)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, parts: A) -> Result<V::Value, A::Error> {
        let Around { trace, names, .. } = self;
        self.inner.visit_seq(Parts::new(parts, trace, names))
    }

    fn visit_map<A: MapAccess<'de>>(self, parts: A) -> Result<V::Value, A::Error> {
        let Around { trace, names, .. } = self;
        self.inner.visit_map(Parts::new(parts, trace, names))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let access = self.with(access);
        self.inner.visit_enum(access)
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Around<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        let inner = self.with(inner);
        self.inner.deserialize(inner)
    }
}

/// Elements, entries or fields, and how many there were.
struct Parts<'t, A> {
    inner: A,
    trace: &'t Trace,
    names: &'static [&'static str],
    count: usize,
}

impl<'t, A> Parts<'t, A> {
    fn new(inner: A, trace: &'t Trace, names: &'static [&'static str]) -> Self {
        Parts {
            inner,
            trace,
            names,
            count: 0,
        }
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Parts<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let at = self.count;
        self.count += 1;
        let element = self.inner.next_element_seed(Around::new(seed, self.trace));
        let step = || {
            self.names
                .get(at)
                .map_or_else(|| at.to_string(), ToString::to_string)
        };
        self.trace.failed_in(step, element)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Parts<'_, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        *self.trace.key.borrow_mut() = None;
        let seed = Around {
            is_key: true,
            ..Around::new(seed, self.trace)
        };
        self.inner.next_key_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let at = self.count;
        self.count += 1;
        let key = self.trace.key.take();
        let value = self.inner.next_value_seed(Around::new(seed, self.trace));
        self.trace
            .failed_in(|| key.unwrap_or_else(|| at.to_string()), value)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'t, 'de, A: EnumAccess<'de>> EnumAccess<'de> for Around<'t, A> {
    type Error = A::Error;
    type Variant = Around<'t, A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), A::Error> {
        let trace = self.trace;
        let (tag, inner) = self.inner.variant_seed(Around::new(seed, trace))?;
        Ok((tag, Around::new(inner, trace)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Around<'_, A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.newtype_variant_seed(Around::new(seed, self.trace))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.inner.tuple_variant(len, Around::new(visitor, self.trace))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let visitor = Around {
            names: fields,
            ..Around::new(visitor, self.trace)
        };
        self.inner.struct_variant(fields, visitor)
    }
}
