//! A serializer around that of a format, which asks a rule at each step: what the rule refuses is not stored.

use std::fmt::Display;

use serde::ser::{
    Error, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

/// What may be written at one place of a value.
pub(super) trait Rule: Copy {
    /// Why something may not.
    type Refusal: Display;

    /// The rule for what is inside.
    fn inside(self, of: Holder) -> Result<Self, Self::Refusal>;

    /// An element of a sequence, or an entry of a map.
    #[inline]
    fn element(self) -> Result<(), Self::Refusal> {
        Ok(())
    }

    /// `None`, `()` or a unit struct.
    #[inline]
    fn nothing(self) -> Result<(), Self::Refusal> {
        Ok(())
    }

    #[inline]
    fn float(self, _is_finite: bool) -> Result<(), Self::Refusal> {
        Ok(())
    }
}

/// What holds other values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    Some,
    Newtype,
    /// What has elements, entries or fields, a variant's among them.
    Parts,
}

/// A serializer, or what writes a value part by part, and the rule for that.
pub(super) struct Guarded<R, S> {
    rule: R,
    inner: S,
}

impl<R, S> Guarded<R, S> {
    #[inline]
    pub(super) fn new(rule: R, inner: S) -> Self {
        Guarded { rule, inner }
    }
}

/// A value inside, which sees a guarded serializer in its turn.
struct Inside<'v, R, T: ?Sized> {
    rule: R,
    value: &'v T,
}

impl<R: Rule, T: Serialize + ?Sized> Serialize for Inside<'_, R, T> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(Guarded::new(self.rule, serializer))
    }
}

macro_rules! forward {
    ($($method:ident($($arg:ident: $ty:ty),*) $(if $rule:ident($($asked:expr)?))?;)*) => {
        $(
            #[inline]
            fn $method(self, $($arg: $ty),*) -> Result<S::Ok, S::Error> {
                $(self.rule.$rule($($asked)?).map_err(S::Error::custom)?;)?
                self.inner.$method($($arg),*)
            }
        )*
    };
}

macro_rules! open {
    ($($method:ident($($arg:ident: $ty:ty),*) => $out:ident;)*) => {
        $(
            #[inline]
            fn $method(self, $($arg: $ty),*) -> Result<Self::$out, S::Error> {
                let rule = self.rule.inside(Holder::Parts).map_err(S::Error::custom)?;
                Ok(Guarded::new(rule, self.inner.$method($($arg),*)?))
            }
        )*
    };
}

macro_rules! hold {
    ($($method:ident($($arg:ident: $ty:ty),*) => $holder:ident;)*) => {
        $(
            #[inline]
            fn $method<T: Serialize + ?Sized>(self, $($arg: $ty,)* value: &T) -> Result<S::Ok, S::Error> {
                let rule = self.rule.inside(Holder::$holder).map_err(S::Error::custom)?;
                self.inner.$method($($arg,)* &Inside { rule, value })
            }
        )*
    };
}

impl<R: Rule, S: Serializer> Serializer for Guarded<R, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Guarded<R, S::SerializeSeq>;
    type SerializeTuple = Guarded<R, S::SerializeTuple>;
    type SerializeTupleStruct = Guarded<R, S::SerializeTupleStruct>;
    type SerializeTupleVariant = Guarded<R, S::SerializeTupleVariant>;
    type SerializeMap = Guarded<R, S::SerializeMap>;
    type SerializeStruct = Guarded<R, S::SerializeStruct>;
    type SerializeStructVariant = Guarded<R, S::SerializeStructVariant>;

    forward! {
        serialize_bool(value: bool);
        serialize_i8(value: i8);
        serialize_i16(value: i16);
        serialize_i32(value: i32);
        serialize_i64(value: i64);
        serialize_i128(value: i128);
        serialize_u8(value: u8);
        serialize_u16(value: u16);
        serialize_u32(value: u32);
        serialize_u64(value: u64);
        serialize_u128(value: u128);
        serialize_f32(value: f32) if float(value.is_finite());
        serialize_f64(value: f64) if float(value.is_finite());
        serialize_char(value: char);
        serialize_str(value: &str);
        serialize_bytes(value: &[u8]);
        serialize_none() if nothing();
        serialize_unit() if nothing();
        serialize_unit_struct(name: &'static str) if nothing();
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str);
    }

    open! {
        serialize_seq(len: Option<usize>) => SerializeSeq;
        serialize_tuple(len: usize) => SerializeTuple;
        serialize_tuple_struct(name: &'static str, len: usize) => SerializeTupleStruct;
        serialize_tuple_variant(name: &'static str, index: u32, variant: &'static str, len: usize)
            => SerializeTupleVariant;
        serialize_map(len: Option<usize>) => SerializeMap;
        serialize_struct(name: &'static str, len: usize) => SerializeStruct;
        serialize_struct_variant(name: &'static str, index: u32, variant: &'static str, len: usize)
            => SerializeStructVariant;
    }

    hold! {
        serialize_some() => Some;
        serialize_newtype_struct(name: &'static str) => Newtype;
        serialize_newtype_variant(name: &'static str, index: u32, variant: &'static str) => Parts;
    }

    #[inline]
    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.collect_str(value)
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! parts {
    ($($kind:ident: $($method:ident($($key:ident)?) $([$rule:ident])?)+;)*) => {
        $(
            impl<R: Rule, C: $kind> $kind for Guarded<R, C> {
                type Ok = C::Ok;
                type Error = C::Error;

                $(
                    #[inline]
                    fn $method<T: Serialize + ?Sized>(
                        &mut self,
                        $($key: &'static str,)?
                        value: &T,
                    ) -> Result<(), C::Error> {
                        $(self.rule.$rule().map_err(C::Error::custom)?;)?
                        self.inner.$method($($key,)? &Inside { rule: self.rule, value })
                    }
                )+

                parts! { skip $($($key)?)+ }

                #[inline]
                fn end(self) -> Result<C::Ok, C::Error> {
                    self.inner.end()
                }
            }
        )*
    };
    (skip) => {};
    (skip $key:ident) => {
        #[inline]
        fn skip_field(&mut self, $key: &'static str) -> Result<(), C::Error> {
            self.inner.skip_field($key)
        }
    };
}

parts! {
    SerializeSeq: serialize_element()[element];
    SerializeTuple: serialize_element();
    SerializeTupleStruct: serialize_field();
    SerializeTupleVariant: serialize_field();
    SerializeMap: serialize_key()[element] serialize_value();
    SerializeStruct: serialize_field(key);
    SerializeStructVariant: serialize_field(key);
}
