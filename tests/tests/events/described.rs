//! A type whose schema says something else than its `Serialize` does is refused before its first event, though its bytes
//! can be read by both.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use wal_db::{
    MemStore, Wal, WalError, WalRecord, WalSchema,
    codec::{Bincode, Codec, Json, Postcard},
    event::{TypedError, WalDecodeOwned},
};

/// As a well-known derive writes it: as its number, which has the same byte as a variant's position.
#[derive(Debug, Clone, Copy, PartialEq, WalSchema)]
enum Level {
    Mid,
    Low,
}

impl Serialize for Level {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(match self {
            Level::Low => 0,
            Level::Mid => 1,
        })
    }
}

impl<'de> Deserialize<'de> for Level {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u8::deserialize(deserializer)? {
            0 => Ok(Level::Low),
            1 => Ok(Level::Mid),
            other => Err(serde::de::Error::custom(other)),
        }
    }
}

/// Why the first event is refused in both formats that rely on the schema; nothing is appended then.
fn refused<T: WalDecodeOwned>(event: &T) -> String {
    fn of<C: Codec, T: WalDecodeOwned>(event: &T) -> String {
        let wal = Wal::with_store(MemStore::new()).unwrap();
        let log = wal.typed::<T>().unwrap().with_codec::<C>().with_read_back(false);
        let Err(WalError::Typed(TypedError::Encode { source, .. })) = log.append(event) else {
            panic!("{} was appended in {}", T::NAME, C::ID);
        };
        assert_eq!(
            (wal.iter().unwrap().count(), wal.schemas().unwrap().len()),
            (0, 0)
        );
        source.to_string()
    }
    let why = of::<Bincode, T>(event);
    assert_eq!(of::<Postcard, T>(event), why);
    why
}

#[test]
fn a_number_that_is_described_as_a_variant_is_refused() {
    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "alarm")]
    enum Alarm {
        Raised { levels: Vec<(u8, Level)> },
        Set(Level),
    }

    let levels = vec![(7, Level::Low)];
    assert_eq!(
        refused(&Alarm::Raised {
            levels: levels.clone()
        }),
        "its schema does not say how it is written: the field `levels.0.1` is `u8` instead of enum {Mid, Low}: let the \
         schema say what its `Serialize` writes, for a field with `#[wal(opaque = \"name@1\", wire = Type)]`"
    );
    assert!(refused(&Alarm::Set(Level::Mid)).contains("the event is `u8` instead of enum {Mid, Low}"));
    // The names are in the bytes.
    let wal = Wal::with_store(MemStore::new()).unwrap();
    let log = wal.typed::<Alarm>().unwrap().with_codec::<Json>();
    log.append(&Alarm::Raised { levels }).unwrap();
}

#[test]
fn what_is_described_as_it_is_written_is_taken() {
    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "alarm")]
    struct Alarm {
        #[wal(opaque = "level@1", wire = u8)]
        level: Level,
        #[wal(opaque = "level@1")]
        unsaid: Level,
    }

    let wal = Wal::with_store(MemStore::new()).unwrap();
    let log = wal.typed::<Alarm>().unwrap().with_codec::<Bincode>();
    let (level, unsaid) = (Level::Low, Level::Mid);
    log.append(&Alarm { level, unsaid }).unwrap();
}

#[test]
fn tuples_are_as_long_as_serde_writes_them() {
    type Sixteen = (u8, u8, u8, u8, u8, u8, u8, u8, u8, u8, u8, u8, u8, u8, u8, u8);

    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "long")]
    struct Long {
        tuple: Sixteen,
    }

    let wal = Wal::with_store(MemStore::new()).unwrap();
    let tuple = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    wal.append_typed(&Long { tuple }).unwrap();
    let read: Long = wal.iter().unwrap().next().unwrap().unwrap().decode().unwrap();
    assert_eq!((read.tuple.0, read.tuple.15), (0, 15));
}

/// Sixteen bytes with a length, as a well-known crate of ids writes them.
#[derive(Debug, Clone, PartialEq)]
struct Id([u8; 16]);

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = <&[u8]>::deserialize(deserializer)?;
        bytes.try_into().map(Id).map_err(serde::de::Error::custom)
    }
}

#[test]
fn a_wrong_wire_is_refused_though_the_bytes_would_do() {
    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "as_text")]
    struct AsText {
        #[wal(opaque = "id@1", wire = String)]
        id: Id,
        rest: String,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "as_list")]
    struct AsList {
        #[wal(opaque = "id@1", wire = Vec<u8>)]
        id: Id,
    }

    // Text by chance, so reading it by its schema finds nothing.
    let (id, rest) = (Id([b'x'; 16]), "rest".to_owned());
    assert!(refused(&AsText { id: id.clone(), rest }).contains("the field `id` is `bytes` instead of str"));
    assert!(refused(&AsList { id }).contains("the field `id` is `bytes` instead of [u8]"));
}
