//! Wire formats: what they are called in a record, and what an implementation of one has to do.

#[cfg(feature = "bincode")]
mod bincode;
#[cfg(feature = "json")]
mod json;
#[cfg(feature = "postcard")]
mod postcard;

#[cfg(feature = "bincode")]
pub use self::bincode::Bincode;
#[cfg(feature = "json")]
pub use self::json::Json;
#[cfg(feature = "postcard")]
pub use self::postcard::Postcard;
pub use crate::format::envelope::CodecId;

/// Says that a codec is one of this crate's.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct BuiltIn(());

/// What a codec found wrong, in its own words.
pub type CodecError = Box<dyn std::error::Error + Send + Sync>;

/// A wire format that serde values are written in and read from.
///
/// The log brings bincode 2 (the default), postcard and JSON, each as a feature. An application that has a format of
/// its own implements this for a type without values, and names it where it opens the log
/// ([`EventLog::with_codec`](crate::EventLog::with_codec)) or reads a record
/// ([`Record::decode_with_codec`](crate::Record::decode_with_codec)). A log may hold records of several formats: each
/// says which it is in.
///
/// An id below 128 means one of this crate's formats, whatever a program says. A codec of an application that has one
/// does not compile where it is used:
///
#[cfg_attr(feature = "derive", doc = "```compile_fail,E0080")]
#[cfg_attr(not(feature = "derive"), doc = "```ignore")]
/// # use serde::{Deserialize, Serialize, de::DeserializeSeed};
/// # use wal_db::{MemStore, Wal, WalRecord, codec::{Codec, CodecError, CodecId}};
/// # #[derive(Serialize, Deserialize, WalRecord)]
/// # #[wal(name = "reading")]
/// # struct Reading(u32);
/// enum Mine {}
///
/// impl Codec for Mine {
///     const ID: CodecId = CodecId::new(3); // JSON: 128 and above are free
///     // ...
/// #   fn encode<T: Serialize + ?Sized>(_: &T, _: &mut Vec<u8>) -> Result<(), CodecError> { Ok(()) }
/// #   fn decode<'de, S: DeserializeSeed<'de>>(_: S, _: &'de [u8]) -> Result<(S::Value, usize), CodecError> {
/// #       Err("nothing to read".into())
/// #   }
/// }
///
/// let wal = Wal::with_store(MemStore::new())?;
/// wal.typed::<Reading>()?.with_codec::<Mine>();
/// # Ok::<(), wal_db::WalError>(())
/// ```
///
/// An implementation checks lengths against the bytes present before it takes memory for them. Depth and the
/// number of elements are bounded around it, whatever it does.
pub trait Codec: Send + Sync + 'static {
    /// What stands in the record. An application's own is 128 or above, which is checked when the program is compiled,
    /// and never changes its meaning.
    const ID: CodecId;

    /// Whether the bytes say what they are, as JSON does. Then a record is read without its schema.
    const SELF_DESCRIBING: bool = false;

    /// This crate's own codecs, which have ids below 128. Nobody else can make a value of its type.
    #[doc(hidden)]
    const BUILT_IN: Option<BuiltIn> = None;

    /// Whether it is asked before this crate's own: only what stands around one of them may be.
    #[doc(hidden)]
    const FIRST: bool = false;

    /// Appends the bytes of `value` to `out`. After an error `out` may hold a part of them.
    ///
    /// # Errors
    /// If the format cannot hold the value, or the value refuses to be written.
    fn encode<T>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError>
    where
        T: serde::Serialize + ?Sized;

    /// Reads one value from the front of `bytes`; also says how many bytes it took. Never panics, whatever they are.
    ///
    /// # Errors
    /// If the bytes are not such a value.
    fn decode<'de, S>(seed: S, bytes: &'de [u8]) -> Result<(S::Value, usize), CodecError>
    where
        S: serde::de::DeserializeSeed<'de>;
}

/// The codec that is used where none is named: the first of bincode, postcard and JSON that the build has.
#[cfg(feature = "bincode")]
pub type DefaultCodec = Bincode;
/// The codec that is used where none is named: the first of bincode, postcard and JSON that the build has.
#[cfg(all(feature = "postcard", not(feature = "bincode")))]
pub type DefaultCodec = Postcard;
/// The codec that is used where none is named: the first of bincode, postcard and JSON that the build has.
#[cfg(all(feature = "json", not(any(feature = "bincode", feature = "postcard"))))]
pub type DefaultCodec = Json;
/// The codec that is used where none is named.
#[cfg(not(any(feature = "bincode", feature = "postcard", feature = "json")))]
pub type DefaultCodec = NoCodec;

/// Stands in for the default codec in a build without one: nothing can be written or read with it.
#[cfg(not(any(feature = "bincode", feature = "postcard", feature = "json")))]
#[derive(Debug)]
pub enum NoCodec {}

#[cfg(not(any(feature = "bincode", feature = "postcard", feature = "json")))]
impl Codec for NoCodec {
    const ID: CodecId = CodecId::new(0);
    const BUILT_IN: Option<BuiltIn> = Some(BuiltIn(()));

    fn encode<T>(_: &T, _: &mut Vec<u8>) -> Result<(), CodecError>
    where
        T: serde::Serialize + ?Sized,
    {
        Err("this build has no codec: enable the feature `bincode`, `postcard` or `json` of wal-db".into())
    }

    fn decode<'de, S>(_: S, _: &'de [u8]) -> Result<(S::Value, usize), CodecError>
    where
        S: serde::de::DeserializeSeed<'de>,
    {
        Err("this build has no codec".into())
    }
}

/// What is wrong with a codec is wrong before the program runs: an application's id is none of this crate's, now or
/// later.
pub(super) const fn check<C: Codec>() {
    assert!(
        C::BUILT_IN.is_some() || C::ID.get() >= FIRST_OWN,
        "the id of an application's codec is 128 or above: those below belong to wal-db"
    );
}

const FIRST_OWN: u8 = 128;

/// Appends the bytes of `value` to `out`. What a codec of an application does to the bytes before its own does not
/// matter: it gets a buffer of its own.
#[inline(always)]
pub(super) fn encode<C: Codec, T: serde::Serialize>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
    const { check::<C>() }
    if C::BUILT_IN.is_some() {
        return C::encode(value, out);
    }
    let mut own = Vec::new();
    C::encode(value, &mut own)?;
    out.append(&mut own);
    Ok(())
}

/// Reads one value in the format `id`: with what this build has, or with `C` if it is that one. `None` if nothing
/// here reads it.
#[inline]
pub(super) fn decode<'de, C, S>(
    id: CodecId,
    seed: S,
    bytes: &'de [u8],
) -> Option<Result<(S::Value, usize), CodecError>>
where
    C: Codec,
    S: serde::de::DeserializeSeed<'de>,
{
    const { check::<C>() }
    match id {
        id if C::FIRST && id == C::ID => Some(decode_own::<C, S>(seed, bytes)),
        // First, so that no codec of an application stands in for them.
        #[cfg(feature = "bincode")]
        CodecId::BINCODE_2 => Some(Bincode::decode(seed, bytes)),
        #[cfg(feature = "postcard")]
        CodecId::POSTCARD_1 => Some(Postcard::decode(seed, bytes)),
        #[cfg(feature = "json")]
        CodecId::JSON => Some(Json::decode(seed, bytes)),
        id if id == C::ID => Some(decode_own::<C, S>(seed, bytes)),
        _ => None,
    }
}

#[inline]
fn decode_own<'de, C, S>(seed: S, bytes: &'de [u8]) -> Result<(S::Value, usize), CodecError>
where
    C: Codec,
    S: serde::de::DeserializeSeed<'de>,
{
    let (value, used) = C::decode(seed, bytes)?;
    if used > bytes.len() {
        return Err(format!("the codec says it took {used} bytes of {}", bytes.len()).into());
    }
    Ok((value, used))
}

/// Whether values in the format `id` are read without their schema, by `C` or this build.
pub(super) fn is_self_describing<C: Codec>(id: CodecId) -> bool {
    const { check::<C>() }
    if id == C::ID {
        C::SELF_DESCRIBING
    } else {
        id == CodecId::JSON
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_the_stored_ones() {
        let reserved = [
            CodecId::BINCODE_2,
            CodecId::POSTCARD_1,
            CodecId::JSON,
            CodecId::MESSAGE_PACK_NAMED,
        ]
        .map(CodecId::get);
        assert_eq!(reserved, [1, 2, 3, 4]);
        assert_eq!(CodecId::new(1).to_string(), "bincode 2");
        assert_eq!(CodecId::new(200).to_string(), "codec 200");
    }

    #[test]
    fn the_default_is_the_first_that_the_build_has() {
        let codecs = [
            (cfg!(feature = "bincode"), CodecId::BINCODE_2),
            (cfg!(feature = "postcard"), CodecId::POSTCARD_1),
            (cfg!(feature = "json"), CodecId::JSON),
            (true, CodecId::new(0)),
        ];
        let first = codecs.into_iter().find_map(|(here, id)| here.then_some(id));
        assert_eq!(Some(DefaultCodec::ID), first);
    }

    #[test]
    fn json_is_read_without_a_schema_in_every_build() {
        assert!(is_self_describing::<DefaultCodec>(CodecId::JSON));
        assert!(!is_self_describing::<DefaultCodec>(CodecId::POSTCARD_1));
        assert!(!is_self_describing::<DefaultCodec>(CodecId::new(200)));
    }
}
