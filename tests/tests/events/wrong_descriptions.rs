//! Nothing can be appended that cannot be read: sixty types of fields, each described as every other and read as every
//! other, in the three formats. What a log takes comes back as it was written, and is printed as it is with the right
//! description.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    num::{NonZeroI64, NonZeroU8, NonZeroU32, Wrapping},
    ops::{Bound, Range, RangeInclusive},
    path::PathBuf,
    time::{Duration, SystemTime},
};

use chrono::{DateTime, NaiveDate, Utc};
use proptest::{
    collection::{btree_map, btree_set, hash_map, vec, vec_deque},
    option,
    prelude::*,
    result::maybe_ok,
    strategy::ValueTree,
    test_runner::TestRunner,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value as Json;
use wal_db::{
    EventLog, Wal, WalError, WalRecord, WalSchema,
    codec::{Bincode, Codec, Json as JsonCodec, Postcard},
    event::{EventType, TypedError, WalDecode},
    schema::Schemas,
};
use wal_tests::wal;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalSchema)]
struct Pair {
    number: u16,
    text: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalSchema)]
struct Renamed {
    count: u16,
    text: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalSchema)]
struct Wrapper(u32);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalSchema)]
struct Nothing;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalSchema)]
enum Method {
    Cash,
    Card { last_digits: u16 },
    Voucher(String),
}

/// As [`Method`], in another order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalSchema)]
enum Reordered {
    Voucher(String),
    Cash,
    Card { last_digits: u16 },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalSchema)]
struct Tree {
    value: u8,
    children: Vec<Tree>,
}

/// Text that the shape cannot tell from other text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalSchema)]
#[wal(opaque = "sku@1", wire = String)]
#[serde(try_from = "String", into = "String")]
struct Sku(String);

impl TryFrom<String> for Sku {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.starts_with("sku-") {
            true => Ok(Sku(text)),
            false => Err("a SKU starts with `sku-`"),
        }
    }
}

impl From<Sku> for String {
    fn from(sku: Sku) -> Self {
        sku.0
    }
}

fn text() -> impl Strategy<Value = String> {
    "[a-z0-9é€]{0,6}"
}

fn seconds() -> impl Strategy<Value = i64> {
    0..4_000_000_000_i64
}

fn utc() -> impl Strategy<Value = DateTime<Utc>> {
    seconds().prop_map(|seconds| DateTime::from_timestamp(seconds, 0).unwrap())
}

fn method() -> impl Strategy<Value = Method> {
    prop_oneof![
        Just(Method::Cash),
        any::<u16>().prop_map(|last_digits| Method::Card { last_digits }),
        text().prop_map(Method::Voucher),
    ]
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = any::<u8>().prop_map(|value| Tree {
        value,
        children: Vec::new(),
    });
    leaf.prop_recursive(3, 6, 2, |inner| {
        let children = vec(inner, 0..3);
        (any::<u8>(), children).prop_map(|(value, children)| Tree { value, children })
    })
}

fn bound() -> impl Strategy<Value = Bound<u8>> {
    prop_oneof![
        Just(Bound::Unbounded),
        any::<u8>().prop_map(Bound::Included),
        any::<u8>().prop_map(Bound::Excluded),
    ]
}

fn net() -> impl Strategy<Value = ipnet::IpNet> {
    let v4 =
        (any::<Ipv4Addr>(), 0..=32_u8).prop_map(|(ip, len)| ipnet::Ipv4Net::new(ip, len).unwrap().into());
    let v6 =
        (any::<Ipv6Addr>(), 0..=128_u8).prop_map(|(ip, len)| ipnet::Ipv6Net::new(ip, len).unwrap().into());
    prop_oneof![v4, v6]
}

macro_rules! fields {
    ($($name:ident: $ty:ty = $values:expr;)+) => {
        /// A value of one of the types, written as that type is.
        #[derive(Debug, Clone, PartialEq)]
        enum Field {
            $($name($ty)),+
        }

        const NAMES: &[&str] = &[$(stringify!($name)),+];

        /// A type of event for each description.
        const DESCRIBED: &[EventType] = &[
            $(EventType::new(stringify!($name), 1).schema(<$ty as WalSchema>::SCHEMA)),+
        ];

        /// Random values of each type.
        fn values() -> Vec<BoxedStrategy<Field>> {
            vec![$($values.prop_map(Field::$name).boxed()),+]
        }

        impl Serialize for Field {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Field::$name(value) => Serialize::serialize(value, serializer)),+
                }
            }
        }

        impl Field {
            fn read<'de, D: Deserializer<'de>>(what: usize, deserializer: D) -> Result<Self, D::Error> {
                let readers = [
                    $(|deserializer| <$ty as Deserialize>::deserialize(deserializer).map(Field::$name)),+
                ] as [fn(D) -> Result<Self, D::Error>; NAMES.len()];
                readers[what](deserializer)
            }
        }
    };
}

fields! {
    Unit: () = Just(());
    Bool: bool = any::<bool>();
    U8: u8 = any::<u8>();
    U16: u16 = any::<u16>();
    U32: u32 = any::<u32>();
    U64: u64 = any::<u64>();
    U128: u128 = any::<u128>();
    I8: i8 = any::<i8>();
    I16: i16 = any::<i16>();
    I32: i32 = any::<i32>();
    I64: i64 = any::<i64>();
    I128: i128 = any::<i128>();
    F32: f32 = proptest::num::f32::NORMAL;
    F64: f64 = proptest::num::f64::NORMAL;
    Char: char = any::<char>();
    Text: String = text();
    Path: PathBuf = text().prop_map(PathBuf::from);
    NonZeroByte: NonZeroU8 = any::<NonZeroU8>();
    NonZeroWord: NonZeroU32 = any::<NonZeroU32>();
    NonZeroSigned: NonZeroI64 = any::<NonZeroI64>();
    Wrapped: Wrapping<u32> = any::<u32>().prop_map(Wrapping);
    MaybeByte: Option<u8> = option::of(any::<u8>());
    MaybeText: Option<String> = option::of(text());
    // JSON writes `Some(None)` as `None`, and such an event is refused.
    MaybeMaybe: Option<Option<bool>> = option::of(any::<bool>().prop_map(Some));
    ByteList: Vec<u8> = vec(any::<u8>(), 0..4);
    TextList: Vec<String> = vec(text(), 0..4);
    PairList: Vec<(u8, u16)> = vec(any::<(u8, u16)>(), 0..4);
    Queue: VecDeque<i16> = vec_deque(any::<i16>(), 0..4);
    ThreeBytes: [u8; 3] = any::<[u8; 3]>();
    TwoWords: [u16; 2] = any::<[u16; 2]>();
    One: (u8,) = any::<u8>().prop_map(|byte| (byte,));
    Two: (u8, u16) = any::<(u8, u16)>();
    Three: (String, i64, bool) = (text(), any::<i64>(), any::<bool>());
    TextMap: BTreeMap<String, u32> = btree_map(text(), any::<u32>(), 0..4);
    NumberMap: BTreeMap<u16, String> = btree_map(any::<u16>(), text(), 0..4);
    Hashed: HashMap<u8, bool> = hash_map(any::<u8>(), any::<bool>(), 0..4);
    Ordered: indexmap::IndexMap<String, u8> = vec((text(), any::<u8>()), 0..4).prop_map(|pairs| pairs.into_iter().collect());
    Set: BTreeSet<u32> = btree_set(any::<u32>(), 0..4);
    Span: Range<u32> = any::<Range<u32>>();
    Inclusive: RangeInclusive<u32> = any::<RangeInclusive<u32>>();
    Limit: Bound<u8> = bound();
    Outcome: Result<u8, String> = maybe_ok(any::<u8>(), text());
    Elapsed: Duration = any::<u32>().prop_map(|ms| Duration::from_millis(ms.into()));
    Moment: SystemTime = any::<u32>().prop_map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.into()));
    Address: IpAddr = any::<IpAddr>();
    AddressV4: Ipv4Addr = any::<Ipv4Addr>();
    // serde drops the scope of IPv6, which a value of this type may have.
    Socket: SocketAddr = any::<(IpAddr, u16)>().prop_map(SocketAddr::from);
    Net: ipnet::IpNet = net();
    Uuid: uuid::Uuid = any::<u128>().prop_map(uuid::Uuid::from_u128);
    Time: DateTime<Utc> = utc();
    Date: NaiveDate = utc().prop_map(|time| time.date_naive());
    Stamp: jiff::Timestamp = seconds().prop_map(|seconds| jiff::Timestamp::from_second(seconds).unwrap());
    Offset: time::OffsetDateTime = seconds().prop_map(|seconds| time::OffsetDateTime::from_unix_timestamp(seconds).unwrap());
    Decimal: rust_decimal::Decimal = (any::<i64>(), 0..10_u32).prop_map(|(number, scale)| rust_decimal::Decimal::new(number, scale));
    Float: ordered_float::OrderedFloat<f64> = proptest::num::f64::NORMAL.prop_map(ordered_float::OrderedFloat);
    Small: smol_str::SmolStr = text().prop_map(smol_str::SmolStr::from);
    Raw: bytes::Bytes = vec(any::<u8>(), 0..4).prop_map(bytes::Bytes::from);
    Link: url::Url = "[a-z]{1,5}".prop_map(|host| url::Url::parse(&format!("https://{host}.org/")).unwrap());
    Structure: Pair = (any::<u16>(), text()).prop_map(|(number, text)| Pair { number, text });
    OtherNames: Renamed = (any::<u16>(), text()).prop_map(|(count, text)| Renamed { count, text });
    Newtype: Wrapper = any::<u32>().prop_map(Wrapper);
    Nothing: Nothing = Just(Nothing);
    Choice: Method = method();
    OtherOrder: Reordered = method().prop_map(|method| match method {
        Method::Cash => Reordered::Cash,
        Method::Card { last_digits } => Reordered::Card { last_digits },
        Method::Voucher(text) => Reordered::Voucher(text),
    });
    Recursive: Tree = tree();
    Checked: Sku = text().prop_map(|text| Sku(format!("sku-{text}")));
}

thread_local! {
    static DESCRIBED_AS: Cell<usize> = const { Cell::new(0) };
    static READ_AS: Cell<usize> = const { Cell::new(0) };
}

/// An event whose only field is written as what it is, described as something, and read as something.
#[derive(Debug, Clone, PartialEq)]
struct Event {
    described: usize,
    field: Field,
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.field.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Event {
            described: DESCRIBED_AS.get(),
            field: Field::read(READ_AS.get(), deserializer)?,
        })
    }
}

impl WalRecord for Event {
    const NAME: &'static str = "event";
    const RECORDS: &'static [EventType] = DESCRIBED;
    const FAMILY: bool = false;

    fn record_index(&self) -> usize {
        self.described
    }
}

impl WalDecode<'_> for Event {}

/// A log of one format, and the schemas that it holds.
struct Log<C: Codec> {
    wal: Wal,
    log: EventLog<Event, C>,
    schemas: Option<Schemas>,
}

impl<C: Codec> Log<C> {
    fn new() -> Self {
        let wal = wal();
        let log = wal
            .typed::<Event>()
            .unwrap()
            .with_codec::<C>()
            .with_read_back(true);
        Log {
            wal,
            log,
            schemas: None,
        }
    }

    /// Appends an event, and says as what it is read and how it is printed; `None` if it was refused.
    fn taken(&mut self, field: &Field, described: usize, read_as: usize) -> Option<(Field, Json)> {
        READ_AS.set(read_as);
        DESCRIBED_AS.set(described);
        let what = || {
            let [described, read_as] = [NAMES[described], NAMES[read_as]];
            format!(
                "{field:?} described as {described}, read as {read_as}, in {}",
                C::ID
            )
        };
        let event = Event {
            described,
            field: field.clone(),
        };
        let end = self.wal.end();
        let lsn = match self.log.append(&event) {
            Ok(lsn) => lsn,
            Err(WalError::Typed(TypedError::Encode { .. })) => {
                assert_eq!(self.wal.end(), end, "refused, and appended: {}", what());
                return None;
            }
            Err(error) => panic!("{error}: {}", what()),
        };
        let read: Result<Event, _> = self.wal.read(lsn).unwrap().decode();
        let read = read.unwrap_or_else(|error| panic!("taken, and not read: {error}: {}", what()));
        // What it was read as is the same event again.
        let again = self.log.append(&read).unwrap();
        let record = self.wal.read(again).unwrap();
        let shown = self
            .schemas
            .as_ref()
            .and_then(|schemas| record.to_json(schemas).ok());
        let shown = shown.unwrap_or_else(|| {
            let schemas = self.wal.schemas().unwrap();
            let shown = record.to_json(&schemas);
            self.schemas = Some(schemas);
            shown.unwrap_or_else(|error| panic!("taken, and not printed: {error}: {}", what()))
        });
        Some((read.field, serde_json::from_str(&shown).unwrap()))
    }

    /// With a mistake it is refused, or what is read is printed as it is without a mistake.
    fn check(&mut self, field: &Field, described: usize, read_as: usize) {
        if let Some((read, shown)) = self.taken(field, described, read_as) {
            let right = self.right(&read, read_as);
            let [described, read_as] = [NAMES[described], NAMES[read_as]];
            assert_eq!(
                shown,
                right,
                "{field:?} described as {described}, read as {read_as}, in {}",
                C::ID
            );
        }
    }

    fn right(&mut self, field: &Field, is: usize) -> Json {
        let taken = self.taken(field, is, is);
        let (read, shown) =
            taken.unwrap_or_else(|| panic!("refused without a mistake: {field:?}, in {}", C::ID));
        // What was written as a number may be read as no number, which is not equal to itself.
        let is_same = read == *field || format!("{read:?}") == format!("{field:?}");
        assert!(is_same, "{read:?} for {field:?}, in {}", C::ID);
        shown
    }
}

#[test]
fn what_is_described_or_read_as_something_else_is_refused_or_comes_back() {
    fn check<C: Codec>() {
        let mut runner = TestRunner::default();
        let mut log = Log::<C>::new();
        for (written_as, values) in values().iter().enumerate() {
            let mut value = || values.new_tree(&mut runner).unwrap().current();
            for other in 0..NAMES.len() {
                log.right(&value(), written_as);
                log.check(&value(), other, written_as);
                log.check(&value(), written_as, other);
                log.check(&value(), other, other);
            }
        }
    }
    assert!(NAMES.len() >= 60, "{}", NAMES.len());
    check::<Bincode>();
    check::<Postcard>();
    check::<JsonCodec>();
}
