//! A value of any type as bytes, within the limits of events: what is encrypted of a sealed value.

use std::marker::PhantomData;

use serde::{
    de::{DeserializeOwned, DeserializeSeed, Deserializer},
    ser::{Serialize, Serializer},
};

use super::{
    bounded::{Limits, Reader, Shared},
    codec::{self, CodecError, CodecId, DefaultCodec},
    guarded::Guarded,
    schema::ReadIn,
};

pub(crate) const CODEC: CodecId = <DefaultCodec as codec::Codec>::ID;

/// Appends the value as the default codec writes it. After an error `out` may hold a part of it.
pub(crate) fn encode<T: Serialize>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let (start, shared) = (out.len(), Shared::writing());
    let limits = Limits::new(&shared);
    codec::encode::<DefaultCodec, _>(&Bounded { value, limits }, out)
        .map_err(|error| shared.or_exceeded(error))?;
    Ok(shared.check(out.len() - start)?)
}

/// The value that exactly these bytes are.
pub(crate) fn decode<R: ReadAs>(codec: CodecId, bytes: &[u8]) -> Result<R::Value, CodecError> {
    let shared = Shared::reading(bytes.len());
    let seed = Seed::<R> {
        limits: Limits::new(&shared),
        read: PhantomData,
    };
    match codec::decode::<DefaultCodec, _>(codec, seed, bytes) {
        None => Err(format!("it is written in {codec}, which this build does not have").into()),
        Some(Err(error)) => Err(shared.or_exceeded(error)),
        Some(Ok((value, used))) if used == bytes.len() => Ok(value),
        Some(Ok((_, used))) => Err(format!("{} bytes are left over", bytes.len() - used).into()),
    }
}

/// How a value is read: as its type is today, or as it was.
pub(crate) trait ReadAs {
    type Value;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self::Value, D::Error>;
}

/// As the type is today.
pub(crate) struct Today<T>(PhantomData<T>);

impl<T: DeserializeOwned> ReadAs for Today<T> {
    type Value = T;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        T::deserialize(deserializer)
    }
}

/// As the type was in its version `W`.
pub(crate) struct Was<T, const W: u16>(PhantomData<T>);

impl<T: for<'de> ReadIn<'de, W>, const W: u16> ReadAs for Was<T, W> {
    type Value = T;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        T::read_in(deserializer)
    }
}

struct Bounded<'a, T> {
    value: &'a T,
    limits: Limits<'a>,
}

impl<T: Serialize> Serialize for Bounded<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(Guarded::new(self.limits, serializer))
    }
}

struct Seed<'a, R> {
    limits: Limits<'a>,
    read: PhantomData<R>,
}

impl<'de, R: ReadAs> DeserializeSeed<'de> for Seed<'_, R> {
    type Value = R::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<R::Value, D::Error> {
        R::read(Reader::new(deserializer, self.limits))
    }
}
