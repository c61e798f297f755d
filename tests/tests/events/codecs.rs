//! Wire formats through the public API: one log may hold several, each record says which it is in, an application may
//! bring its own, and the limits are the same for all.

use serde::de::DeserializeSeed;
use serde::{Deserialize, Serialize};
use wal_db::{
    Lsn, MemStore, Wal, WalError, WalRecord, WalSchema,
    codec::{Bincode, Codec, CodecError, CodecId, Json, Postcard},
    event::{EventType, TypedError, WalDecode, WalDecodeOwned},
    schema::Schemas,
};
use wal_tests::{assert_is, record, shapes::Even, wal};

/// An application's own format: postcard after a mark.
enum Marked {}

const MARK: u8 = 0x42;

impl Codec for Marked {
    const ID: CodecId = CodecId::new(200);

    fn encode<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.push(MARK);
        Postcard::encode(value, out)
    }

    fn decode<'de, S: DeserializeSeed<'de>>(
        seed: S,
        bytes: &'de [u8],
    ) -> Result<(S::Value, usize), CodecError> {
        match bytes.split_first() {
            Some((&MARK, rest)) => Postcard::decode(seed, rest).map(|(value, used)| (value, used + 1)),
            _ => Err("the mark is missing".into()),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "shop")]
enum Shop {
    Opened { owner: String, seats: Option<u32> },
    Sold(u64, Vec<u8>),
    Noted(String),
    Closed,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "chain")]
struct Chain(Option<Box<Chain>>);

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "rope")]
struct Rope(Knot);

/// A level each, and two objects of JSON.
#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
enum Knot {
    End,
    Next { knot: Box<Knot> },
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "units")]
struct Units(Vec<()>);

fn append<T: WalDecodeOwned, C: Codec>(wal: &Wal, event: &T) -> Result<Lsn, WalError> {
    wal.typed::<T>()?.with_codec::<C>().append(event)
}

#[test]
fn one_log_holds_events_of_four_codecs() {
    let wal = wal();
    let events = [
        Shop::Opened {
            owner: "Ada".into(),
            seats: Some(7),
        },
        Shop::Sold(1, vec![0, 255]),
        Shop::Noted("a \"note\"\n".into()),
        Shop::Closed,
    ];
    for event in &events {
        append::<_, Bincode>(&wal, event).expect("appends");
        append::<_, Postcard>(&wal, event).expect("appends");
        append::<_, Json>(&wal, event).expect("appends");
        append::<_, Marked>(&wal, event).expect("appends");
    }
    let ids: Vec<_> = wal
        .iter()
        .expect("reads")
        .map(|record| record.expect("reads").info().expect("typed").codec.get())
        .collect();
    assert_eq!(ids, [1, 2, 3, 200].repeat(events.len()));

    let log = wal.typed::<Shop>().expect("opens").with_codec::<Marked>();
    let replayed: Vec<_> = log
        .replay(..)
        .expect("reads")
        .map(|event| event.expect("reads").event)
        .collect();
    let expected: Vec<_> = events.iter().flat_map(|event| [event; 4]).cloned().collect();
    assert_eq!(replayed, expected);
}

#[test]
fn a_codec_that_a_reader_does_not_have_is_named() {
    let wal = wal();
    let lsn = append::<_, Marked>(&wal, &Shop::Closed).expect("appends");
    let record = wal.read(lsn).expect("reads");
    let Err(TypedError::UnknownCodec { codec, name, .. }) = record.decode::<Shop>() else {
        panic!("nothing says what codec 200 is");
    };
    assert_eq!((codec, name), (CodecId::new(200), "shop.closed"));
    assert_eq!(
        record.decode_with_codec::<Shop, Marked>().expect("reads"),
        Shop::Closed
    );

    let schemas = [wal_db::schema::EventSchema::new(
        record.info().expect("typed").type_id,
        "shop.closed",
        1,
        wal_db::schema::Shape::Unit,
    )];
    let schemas: Schemas = schemas.into_iter().collect();
    let Err(TypedError::Explain { name, source, .. }) = record.to_value(&schemas) else {
        panic!("nothing says what codec 200 is");
    };
    assert_eq!(name, "shop.closed");
    assert!(source.to_string().contains("codec 200"), "{source}");
    assert_eq!(
        record.to_value_with_codec::<Marked>(&schemas).expect("reads"),
        wal_db::schema::Value::Unit
    );
    let refused = record
        .to_json(&schemas)
        .expect_err("nothing says what codec 200 is");
    assert!(refused.to_string().contains("shop.closed"), "{refused}");
    assert_eq!(
        record.to_json_with_codec::<Marked>(&schemas).expect("reads"),
        "null"
    );
}

/// What is stored in a format for years.
#[test]
fn payloads_are_frozen() {
    let wal = wal();
    let event = Shop::Opened {
        owner: "Ada".into(),
        seats: Some(300),
    };
    let payload = |lsn: Result<Lsn, WalError>| {
        let record = wal.read(lsn.expect("appends")).expect("reads");
        // after the layout, the codec, the type id of five bytes and the version
        record.data()[8..].to_vec()
    };
    assert_eq!(
        payload(append::<_, Bincode>(&wal, &event)),
        b"\x03Ada\x01\xFB\x2C\x01"
    );
    assert_eq!(
        payload(append::<_, Postcard>(&wal, &event)),
        b"\x03Ada\x01\xAC\x02"
    );
    assert_eq!(
        payload(append::<_, Json>(&wal, &event)),
        br#"{"owner":"Ada","seats":300}"#
    );
    assert_eq!(payload(append::<_, Json>(&wal, &Shop::Closed)), b"null");
    assert_eq!(
        payload(append::<_, Json>(&wal, &Shop::Sold(7, vec![8]))),
        b"[7,[8]]"
    );
}

/// A borrowing event; written by hand until the derive takes lifetimes.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Label<'a> {
    text: &'a str,
}

record!(Label<'_>, EventType::new("label", 1));

impl<'de> WalDecode<'de> for Label<'de> {}

/// The owner of the same bytes.
#[derive(Debug, Serialize, Deserialize, WalRecord)]
#[wal(name = "label")]
struct OwnedLabel {
    text: String,
}

#[test]
fn events_borrow_from_the_record_in_every_codec() {
    fn check<C: Codec>() {
        let wal = wal();
        let lsn = append::<_, C>(&wal, &OwnedLabel { text: "plain".into() }).expect("appends");
        let record = wal.read(lsn).expect("reads");
        let label: Label<'_> = record.decode_ref().expect("reads");
        assert_eq!(label.text, "plain");
        assert!(
            record.data().as_ptr_range().contains(&label.text.as_ptr()),
            "{} copied it",
            C::ID
        );
    }
    check::<Bincode>();
    check::<Postcard>();
    check::<Json>();
    let wal = wal();
    let lsn = append::<_, Json>(&wal, &OwnedLabel { text: "\"".into() }).expect("appends");
    let record = wal.read(lsn).expect("reads");
    assert_is!(record.decode_ref::<Label<'_>>(), Err(TypedError::Codec { .. }));
    assert_eq!(record.decode::<OwnedLabel>().expect("reads").text, "\"");
}

#[test]
fn depth_is_bounded_alike_in_every_codec() {
    fn rope(levels: usize) -> Rope {
        Rope((0..levels).fold(Knot::End, |knot, _| Knot::Next { knot: knot.into() }))
    }
    fn check<C: Codec>() {
        let wal = wal();
        // the newtype is a level as well
        let deepest = rope(127);
        let lsn = append::<_, C>(&wal, &deepest).expect("as deep as it may be");
        let record = wal.read(lsn).expect("reads");
        assert_eq!(
            record
                .decode_with_codec::<Rope, C>()
                .expect("what is stored is read"),
            deepest
        );
        let value = record
            .to_value_with_codec::<C>(&Schemas::from(Rope::RECORDS))
            .expect("without its type as well");
        assert_eq!(
            serde_json::to_string(&value).ok(),
            serde_json::to_string(&deepest).ok()
        );
        let Err(WalError::Typed(TypedError::Encode { source, .. })) = append::<_, C>(&wal, &rope(128)) else {
            panic!("{} took a level more", C::ID);
        };
        assert_eq!(
            source.to_string(),
            "the value is nested more than 128 levels deep",
            "{}",
            C::ID
        );
    }
    check::<Bincode>();
    check::<Postcard>();
    check::<Json>();
    check::<Marked>();
}

#[test]
fn elements_without_bytes_are_bounded_alike() {
    fn check<C: Codec>() {
        let wal = wal();
        let lsn = append::<_, C>(&wal, &Units(vec![(); 1024])).expect("appends");
        assert_eq!(
            wal.read(lsn)
                .expect("reads")
                .decode_with_codec::<Units, C>()
                .expect("reads")
                .0
                .len(),
            1024
        );
        assert!(
            append::<_, C>(&wal, &Units(vec![(); 1 << 20])).is_err(),
            "{}",
            C::ID
        );
    }
    check::<Bincode>();
    check::<Postcard>();
    check::<Marked>();
}

/// Stores the fields of one type under the name of another.
fn as_stored<A: WalDecodeOwned, B: WalDecodeOwned + std::fmt::Debug, C: Codec>(
    event: &A,
) -> Result<B, TypedError> {
    let wal = wal();
    let lsn = append::<_, C>(&wal, event).expect("appends");
    wal.read(lsn).expect("reads").decode::<B>()
}

#[test]
fn every_byte_is_used() {
    #[derive(Debug, Serialize, Deserialize, WalRecord)]
    #[wal(name = "pair")]
    struct Two(u8, u8);

    #[derive(Debug, Serialize, Deserialize, WalRecord)]
    #[wal(name = "pair")]
    struct One((u8,));

    fn check<C: Codec>() -> TypedError {
        as_stored::<Two, One, C>(&Two(1, 2)).expect_err("a byte is left")
    }
    assert_is!(check::<Bincode>(), TypedError::Trailing { left: 1, .. });
    assert_is!(check::<Postcard>(), TypedError::Trailing { left: 1, .. });
    assert_is!(check::<Json>(), TypedError::Codec { .. });
}

#[test]
fn json_refuses_what_it_would_change() {
    #[derive(Debug, Serialize, Deserialize, WalRecord)]
    #[wal(name = "odd")]
    struct Odd(Option<Option<f64>>);

    let wal = wal();
    for odd in [Some(None), Some(Some(f64::NAN))] {
        let refused = append::<_, Json>(&wal, &Odd(odd));
        assert_is!(
            refused,
            Err(WalError::Typed(TypedError::Encode { name: "odd", .. }))
        );
        append::<_, Postcard>(&wal, &Odd(odd)).expect("postcard has both");
    }
    append::<_, Json>(&wal, &Odd(Some(Some(1.5)))).expect("appends");
    assert!(append::<_, Json>(&wal, &Chain(Some(Chain(None).into()))).is_err());
}

/// A codec of an application with two mistakes in it, of which it makes one only after a while.
struct Careless;

thread_local! {
    static OVERSTATES: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

impl Codec for Careless {
    const ID: CodecId = CodecId::new(201);

    fn encode<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let mut bytes = Vec::new();
        Postcard::encode(value, &mut bytes)?;
        // It replaces what it should append to.
        *out = bytes;
        Ok(())
    }

    fn decode<'de, S: DeserializeSeed<'de>>(
        seed: S,
        bytes: &'de [u8],
    ) -> Result<(S::Value, usize), CodecError> {
        let (value, used) = Postcard::decode(seed, bytes)?;
        // It says that it took a byte that is not there.
        Ok((value, used + usize::from(OVERSTATES.get())))
    }
}

#[test]
fn a_careless_codec_harms_no_record_and_panics_nowhere() {
    let wal = Wal::with_store(MemStore::new()).expect("opens");
    let log = wal.typed::<Shop>().expect("typed").with_codec::<Careless>();
    let event = Shop::Noted("the envelope stays in front".to_owned());
    let lsn = log.append(&event).expect("appended");
    let record = wal.read(lsn).expect("read");
    assert_eq!(record.info().expect("an envelope").codec, Careless::ID);
    OVERSTATES.set(true);
    let refused = Wal::with_store(MemStore::new())
        .and_then(|wal| wal.typed::<Shop>()?.with_codec::<Careless>().append(&event));
    assert_is!(refused, Err(WalError::Typed(TypedError::Encode { .. })));
    let refused = record.decode_with_codec::<Shop, Careless>();
    let Err(TypedError::Codec { source, .. }) = refused else {
        panic!("more bytes than there are: {refused:?}");
    };
    assert!(source.to_string().contains("the codec says it took"), "{source}");
}

#[test]
fn what_cannot_be_read_again_is_refused_if_that_is_asked_for() {
    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "halves")]
    enum Halves {
        Made(Even),
    }

    fn check<C: Codec>() {
        let wal = wal();
        let log = wal
            .typed::<Halves>()
            .expect("typed")
            .with_codec::<C>()
            .with_read_back(true);
        assert!(log.clone().read_back());
        let meta = wal_db::Meta::new().with_stream("s");
        let odd = || Halves::Made(Even(3));
        let refused = [
            log.append(&odd()),
            log.append_with_meta(&odd(), &meta),
            log.append_and_sync(&odd()),
            log.append_batch(&[Halves::Made(Even(2)), odd()])
                .map(|lsns| lsns[0]),
            log.append_batch_with_meta(&[(odd(), meta.clone())])
                .map(|lsns| lsns[0]),
        ];
        for refused in refused {
            let Err(WalError::Typed(TypedError::Encode { name, source, .. })) = refused else {
                panic!("{}: {refused:?}", C::ID);
            };
            assert_eq!(name, "halves.made");
            let said = source.to_string();
            assert!(said.starts_with("it could not be read again"), "{said}");
        }
        assert_eq!(wal.iter().expect("reads").count(), 0, "nothing was appended");
        let lsn = log
            .append_with_meta(&Halves::Made(Even(2)), &meta)
            .expect("appends");
        assert_eq!(
            wal.read(lsn)
                .expect("reads")
                .decode_with_codec::<Halves, C>()
                .expect("decodes"),
            Halves::Made(Even(2))
        );
        // As it is if nothing is asked for: durable, and not readable.
        let lsn = log.with_read_back(false).append(&odd()).expect("appends");
        assert!(
            wal.read(lsn)
                .expect("reads")
                .decode_with_codec::<Halves, C>()
                .is_err()
        );
    }
    check::<Bincode>();
    check::<Postcard>();
    check::<Json>();
    check::<Marked>();
}

/// A format with an id of the application's range.
struct Numbered<const ID: u8>;

impl<const ID: u8> Codec for Numbered<ID> {
    const ID: CodecId = CodecId::new(ID);

    fn encode<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        Marked::encode(value, out)
    }

    fn decode<'de, S: DeserializeSeed<'de>>(
        seed: S,
        bytes: &'de [u8],
    ) -> Result<(S::Value, usize), CodecError> {
        Marked::decode(seed, bytes)
    }
}

#[test]
fn the_first_and_the_last_id_of_applications_are_theirs_and_no_codec_reads_anothers() {
    fn check<const ID: u8, const OTHER: u8>() {
        let wal = wal();
        let lsn = append::<_, Numbered<ID>>(&wal, &Shop::Sold(1, vec![2])).expect("appends");
        let record = wal.read(lsn).expect("reads");
        assert_eq!(
            record.decode_with_codec::<Shop, Numbered<ID>>().expect("its own"),
            Shop::Sold(1, vec![2])
        );
        let schemas = wal.schemas().expect("reads");
        assert_eq!(
            record
                .to_json_with_codec::<Numbered<ID>>(&schemas)
                .expect("its own"),
            "[1,[2]]"
        );
        assert!(matches!(
            record.decode_with_codec::<Shop, Numbered<OTHER>>(),
            Err(TypedError::UnknownCodec { .. })
        ));
        assert!(record.to_json_with_codec::<Numbered<OTHER>>(&schemas).is_err());
    }
    check::<128, 255>();
    check::<255, 128>();
}

#[test]
fn ids_that_no_release_writes_are_unknown_and_not_guessed() {
    let wal = wal();
    let good = append::<_, Postcard>(&wal, &Shop::Closed).expect("appends");
    let payload = wal.read(good).expect("reads").data().to_vec();
    for id in [0, 4, 5, 127] {
        let mut payload = payload.clone();
        payload[1] = id;
        let lsn = wal_db::testing::append_payload(&wal, &payload).expect("appends");
        let record = wal.read(lsn).expect("reads");
        for read in [
            record.decode::<Shop>(),
            record.decode_with_codec::<Shop, Numbered<128>>(),
        ] {
            let Err(TypedError::UnknownCodec { codec, .. }) = read else {
                panic!("{id}: {read:?}");
            };
            assert_eq!(codec.get(), id);
        }
    }
}
