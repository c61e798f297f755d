//! Schema records: every window of a log with typed records holds their schemas, in front of them, once; whatever is
//! cut off or crashes.

use serde::{Deserialize, Serialize};
use wal_db::{
    Event, EventLog, MemStore, Record, Start, Wal, WalError, WalRecord,
    event::{EventType, TypedError, WalDecode, WalDecodeOwned},
    read::RecordKind,
    recovery::SalvageItem,
    schema::{Part, Schemas, Shape, ShapeField},
};
use wal_tests::files::{FORMS, Form, Place, SEGMENT};
use wal_tests::random::Rng;
use wal_tests::{assert_is, lsns_of, quiet, record};

/// Event types by hand, so that two of one name can have other shapes.
macro_rules! typed {
    ($ident:ident { $field:ident: $ty:ty => $schema:ident }, $name:literal, $version:literal) => {
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        struct $ident {
            $field: $ty,
        }

        record!(
            $ident,
            EventType::new($name, $version).schema({
                const SHAPE: &Shape = &Shape::Struct(Part::Static(&[ShapeField::new(
                    stringify!($field),
                    &Shape::$schema,
                )]));
                SHAPE
            })
        );
        impl WalDecode<'_> for $ident {}
    };
}

typed!(Opened { id: u64 => U64 }, "opened", 1);
typed!(Moved { cents: String => Str }, "moved", 1);
typed!(OpenedAnew { id: u32 => U32 }, "opened", 1);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "opened", version = 2, from = Opened)]
struct OpenedTwo {
    id: u32,
}

impl From<Opened> for OpenedTwo {
    fn from(old: Opened) -> Self {
        OpenedTwo { id: old.id as u32 }
    }
}

fn opened(id: u64) -> Opened {
    Opened { id }
}

/// About 1,000 bytes.
fn moved(i: usize) -> Moved {
    Moved {
        cents: format!("{i:01000}"),
    }
}

/// What the log holds, its own notes included.
fn everything(place: &Place, wal: &Wal) -> Vec<Record> {
    wal.drain().expect("flush");
    let salvage = wal_db::recovery::salvage(place.path()).expect("salvage");
    let records = salvage.map(|item| match item.expect("an item") {
        SalvageItem::Record(record) | SalvageItem::Schema(record) | SalvageItem::Staged(record) => record,
        other => panic!("{other:?}"),
    });
    let first = wal.status().head;
    records
        .filter(|record| record.kind() == RecordKind::Schema || record.lsn() >= first)
        .collect()
}

/// The names in the schema records of a part of the log.
fn names<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<String> {
    let schemas = records
        .into_iter()
        .filter(|record| record.kind() == RecordKind::Schema);
    schemas
        .map(|record| {
            // The link, id and version, then the length of the name.
            let rest = &record.data()[9 + 6..];
            let len = usize::from(u16::from_le_bytes([rest[0], rest[1]]));
            String::from_utf8(rest[2..2 + len].to_vec()).expect("a name")
        })
        .collect()
}

/// Every segment with typed records begins with the schemas of all types so far, each once; a type that is new comes
/// before its first record.
fn assert_described(place: &Place, wal: &Wal, what: &str) {
    let all = everything(place, wal);
    for segment in all.chunk_by(|a, b| segment_of(a) == segment_of(b)) {
        let mut seen: Vec<String> = Vec::new();
        for record in segment {
            match record.kind() {
                RecordKind::Schema => {
                    let name = names([record]).remove(0);
                    assert!(
                        !seen.contains(&name),
                        "{what}: `{name}` twice in segment {}",
                        segment_of(record)
                    );
                    seen.push(name);
                }
                RecordKind::Typed => {
                    let name = if record.decode::<Opened>().is_ok() {
                        "opened"
                    } else {
                        "moved"
                    };
                    assert!(
                        seen.iter().any(|seen| seen == name),
                        "{what}: `{name}` at {}",
                        record.lsn()
                    );
                }
                _ => {}
            }
        }
    }
}

fn segment_of(record: &Record) -> u64 {
    (record.lsn().get() + 64) / SEGMENT
}

#[test]
fn a_schema_comes_once_before_the_first_record_of_its_type() {
    let place = Place::new(Form::File);
    let wal = place.open(quiet()).unwrap();
    for id in 0..3 {
        wal.append_typed(&opened(id)).unwrap();
    }
    wal.append_typed(&moved(1)).unwrap();
    wal.append_typed(&opened(3)).unwrap();
    let kinds: Vec<_> = everything(&place, &wal).iter().map(Record::kind).collect();
    use RecordKind::{Schema, Typed};
    assert_eq!(kinds, [Schema, Typed, Typed, Typed, Schema, Typed, Typed]);
    assert_eq!(names(&everything(&place, &wal)), ["opened", "moved"]);
}

#[test]
fn a_schema_is_no_record_and_can_be_read_where_it_is() {
    let place = Place::new(Form::File);
    let wal = place.open(quiet()).unwrap();
    let plain = wal.append(b"bytes").unwrap();
    assert_eq!(everything(&place, &wal).len(), 1, "bytes have no schema");
    let event = wal.append_typed(&opened(7)).unwrap();
    wal.append_batch(&[b"more"; 3]).unwrap();
    let schema = everything(&place, &wal)[1].lsn();
    assert!(plain < schema && schema < event);
    wal.sync().unwrap();
    for image in [place.killed(), place.without_staging()] {
        let wal = image.open(quiet()).unwrap();
        let lsns = lsns_of(wal.iter());
        assert_eq!((lsns.len() as u64, lsns[1]), (wal.status().records, event));
        let mut backwards = lsns_of(wal.iter_rev());
        backwards.reverse();
        assert_eq!(backwards, lsns);
        for (ordinal, lsn) in lsns.iter().enumerate() {
            let mut records = wal.iter_from(Start::Ordinal(ordinal as u64)).unwrap();
            assert_eq!(records.next().unwrap().unwrap().lsn(), *lsn, "ordinal {ordinal}");
        }
        assert_eq!(wal.read(schema).unwrap().kind(), RecordKind::Schema);
        assert!(wal.verify().unwrap().is_intact());
        let log = wal.typed::<Opened>().unwrap();
        let first: Event<Opened> = log.replay(schema..).unwrap().next().unwrap().unwrap();
        assert_eq!((first.lsn, first.event), (event, opened(7)));
    }
    wal.truncate_after(event).unwrap();
    assert_eq!(wal.status().records, 2);
    assert_eq!(wal.truncate_before(schema).unwrap(), event);
    assert_eq!(wal.status().records, 1);
}

#[test]
fn every_segment_holds_the_schemas_of_what_is_in_it() {
    let place = Place::new(Form::Segmented);
    let wal = place.open(quiet()).unwrap();
    wal.append_typed(&opened(0)).unwrap();
    for i in 0..400 {
        wal.append_typed(&moved(i)).unwrap();
    }
    assert!(wal.end().get() > 5 * SEGMENT);
    assert_described(&place, &wal, "open");
    wal.close().unwrap();
    let wal = place.open(quiet()).unwrap();
    wal.append_typed(&opened(1)).unwrap();
    assert_described(&place, &wal, "opened again");
}

#[test]
fn batches_and_tickets_are_described_too() {
    let place = Place::new(Form::Segmented);
    let wal = place.open(quiet()).unwrap();
    let log = wal.typed::<Moved>().unwrap();
    for i in 0..40 {
        let batch: Vec<_> = (0..7).map(|j| moved(10 * i + j)).collect();
        log.append_batch(&batch).unwrap();
        log.wal()
            .ticket(log.append(&moved(i)).unwrap())
            .unwrap()
            .wait()
            .unwrap();
    }
    // A batch may reach into the next segment, whose schemas then come after it: but they are there.
    for segment in everything(&place, &wal).chunk_by(|a, b| segment_of(a) == segment_of(b)) {
        assert_eq!(names(segment), ["moved"], "segment {}", segment_of(&segment[0]));
    }
    // One that is too long for the ring, and for the rest of its segment.
    let huge = Moved {
        cents: "9".repeat(3 * SEGMENT as usize),
    };
    let lsn = wal.append_typed(&huge).unwrap();
    assert_eq!(wal.read(lsn).unwrap().decode::<Moved>().unwrap(), huge);
    let next = wal.append_typed(&moved(0)).unwrap();
    let all = everything(&place, &wal);
    let last = all
        .iter()
        .filter(|record| segment_of(record) == (next.get() + 64) / SEGMENT);
    assert_eq!(names(last), ["moved"], "behind a huge record");
}

#[test]
fn threads_write_a_schema_once_in_each_segment() {
    let place = Place::new(Form::Segmented);
    let wal = place.open(quiet()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let wal = &wal;
            scope.spawn(move || {
                for i in 0..100 {
                    wal.append_typed(&opened(thread)).unwrap();
                    wal.append_typed(&moved(i)).unwrap();
                }
            });
        }
    });
    assert_described(&place, &wal, "four threads");
    let typed = everything(&place, &wal)
        .iter()
        .filter(|r| r.kind() == RecordKind::Typed)
        .count();
    assert_eq!(typed, 800);
}

#[test]
fn a_crash_keeps_the_schemas_with_their_records() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        wal.append_typed(&opened(0)).unwrap();
        wal.sync().unwrap();
        wal.append_typed(&moved(0)).unwrap();
        for (image, what, count) in [
            (place.killed(), "killed", 4),
            (place.without_staging(), "power", 2),
        ] {
            let wal = image.open(quiet()).unwrap();
            assert_eq!(everything(&image, &wal).len(), count, "{form:?}, {what}");
            let found = wal.typed::<OpenedAnew>().unwrap_err();
            assert_is!(
                found,
                WalError::Typed(TypedError::ShapeChanged { .. }),
                "{form:?}, {what}"
            );
            wal.append_typed(&moved(1)).unwrap();
            assert_described(&image, &wal, what);
            drop(wal);
            image.open(quiet()).unwrap().typed::<Opened>().unwrap();
        }
    }
}

#[test]
fn a_schema_that_is_cut_off_is_written_again() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        let kept = wal.append_typed(&opened(0)).unwrap();
        wal.append_typed(&moved(0)).unwrap();
        wal.truncate_after(kept).unwrap();
        wal.append_typed(&moved(1)).unwrap();
        assert_eq!(names(&everything(&place, &wal)), ["opened", "moved"], "{form:?}");
        assert_described(&place, &wal, "cut");
        for image in [place.killed(), place.without_staging()] {
            let wal = image.open(quiet()).unwrap();
            wal.append_typed(&moved(2)).unwrap();
            assert_described(&image, &wal, "cut and crashed");
        }
        // All schemas go, and the log may hold the name in another shape now.
        let plain = wal.append(b"plain").unwrap();
        wal.truncate_before(plain).unwrap();
        wal.truncate_after(plain).unwrap();
    }
}

#[test]
fn a_schema_that_was_cut_off_is_written_again_by_the_next_process() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        let kept = wal.append_typed(&opened(0)).unwrap();
        wal.append_typed(&moved(0)).unwrap();
        // From here on the manifest names the last schema.
        wal.close().unwrap();
        let wal = place.open(quiet()).unwrap();
        wal.truncate_after(kept).unwrap();
        for image in [place.killed(), place.without_staging()] {
            let wal = image.open(quiet()).unwrap();
            wal.append_typed(&moved(1)).unwrap();
            assert_eq!(names(&everything(&image, &wal)), ["opened", "moved"], "{form:?}");
            assert_described(&image, &wal, "cut, crashed");
        }
    }
}

#[test]
fn schemas_of_what_remains_outlive_the_records_before_them() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        let mut kept = None;
        for i in 0..10 {
            kept = Some(wal.append_typed(&opened(i)).unwrap());
        }
        let kept = kept.unwrap();
        assert_eq!(wal.truncate_before(kept).unwrap(), kept);
        for wal in [
            wal.clone(),
            place.killed().open(quiet()).unwrap(),
            place.without_staging().open(quiet()).unwrap(),
        ] {
            let error = wal.typed::<OpenedAnew>().unwrap_err();
            assert!(error.to_string().contains("another shape"), "{form:?}: {error}");
            assert_eq!(names(&everything(&place, &wal)), ["opened"], "{form:?}");
            wal.append_typed(&opened(11)).unwrap();
            assert_eq!(wal.read(kept).unwrap().decode::<Opened>().unwrap(), opened(9));
        }
    }
}

#[test]
fn a_log_whose_records_are_all_gone_takes_other_shapes() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        wal.append_typed(&opened(0)).unwrap();
        wal.sync().unwrap();
        wal.truncate_before(wal.status().durable).unwrap();
        wal.close().unwrap();
        let wal = place.open(quiet()).unwrap();
        wal.append_typed(&moved(0)).unwrap();
        assert_described(&place, &wal, "begun anew");
    }
}

#[test]
fn another_shape_of_the_same_version_is_refused_before_the_first_append() {
    let wal = Wal::with_store(MemStore::new()).unwrap();
    wal.append_typed(&opened(0)).unwrap();
    let before = wal.status().records;
    let expected = "`opened` version 1 has another shape in this log:\n  \
        `id` is `u64` in the log and `u32` in this program\n\
        give the type a new version and say how to read the old one, or bring the old shape back";
    for error in [
        wal.typed::<OpenedAnew>().unwrap_err(),
        wal.append_typed(&OpenedAnew { id: 1 }).unwrap_err(),
        wal.typed()
            .and_then(|log| log.append_batch(&[OpenedAnew { id: 1 }]))
            .unwrap_err(),
    ] {
        assert_eq!(error.to_string(), expected);
    }
    assert_eq!(wal.status().records, before, "nothing was appended");
    wal.typed::<OpenedTwo>().unwrap();
    wal.append_typed(&OpenedTwo { id: 1 }).unwrap();
    wal.append_typed(&opened(1)).unwrap();
}

#[test]
fn no_reader_takes_a_record_for_another_shape_of_its_type() {
    let wal = Wal::with_store(MemStore::new()).unwrap();
    // Opened while the log did not know better.
    let (log, other) = (wal.typed::<Opened>().unwrap(), wal.typed::<OpenedAnew>().unwrap());
    log.append(&opened(1)).unwrap();
    let is_refused = |error: WalError| matches!(error, WalError::Typed(TypedError::ShapeChanged { .. }));
    assert!(is_refused(other.replay(..).unwrap_err()));
    assert!(is_refused(
        wal.typed::<OpenedAnew>()
            .and_then(|log| Ok(log.replay(..)?.among_others()))
            .unwrap_err()
    ));
    assert_eq!(
        wal.typed::<Opened>()
            .unwrap()
            .replay(..)
            .unwrap()
            .among_others()
            .count(),
        1
    );
}

#[test]
fn a_record_type_of_another_name_with_the_same_id_is_refused() {
    #[derive(Serialize, Deserialize)]
    struct Other(u64);

    record!(
        Other,
        EventType::with_id(Opened::RECORDS[0].id, "other", 1).schema(&Shape::U64)
    );

    impl WalDecode<'_> for Other {}

    let wal = Wal::with_store(MemStore::new()).unwrap();
    // Whatever the version.
    wal.append_typed(&OpenedTwo { id: 0 }).unwrap();
    for error in [
        wal.append_typed(&Other(1)).unwrap_err(),
        wal.typed::<Other>().unwrap_err(),
    ] {
        let WalError::Typed(TypedError::IdTaken { name, stored, .. }) = error else {
            panic!("{error:?}");
        };
        assert_eq!((name, stored.as_str()), ("other", "opened"));
    }
}

#[test]
fn the_log_tells_what_its_records_look_like() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        assert!(wal.schemas().unwrap().is_empty());
        wal.append_typed(&opened(7)).unwrap();
        wal.append_typed(&OpenedTwo { id: 8 }).unwrap();
        let last = wal.append_typed(&moved(9)).unwrap();
        wal.sync().unwrap();
        let images = [place.killed(), place.without_staging()];
        let reopened = images.each_ref().map(|image| image.open(quiet()).unwrap());
        let read_only = Wal::open_read_only(place.path()).unwrap();
        for wal in reopened.iter().chain([&wal, &read_only]) {
            let schemas = wal.schemas().unwrap();
            let texts: Vec<_> = schemas
                .iter()
                .map(|s| format!("{} {} {}", s.name, s.version, s.shape))
                .collect();
            assert_eq!(
                texts,
                ["opened 1 {id: u64}", "opened 2 {id: u32}", "moved 1 {cents: str}"],
                "{form:?}"
            );
            let values: Vec<_> = wal
                .iter()
                .unwrap()
                .map(|record| record.unwrap().to_value(&schemas).unwrap().to_string())
                .collect();
            assert_eq!((values[0].as_str(), values[1].as_str()), ("{id: 7}", "{id: 8}"));
        }
        // Also of a part alone, and without a manifest: what salvage meets is enough.
        let mut schemas = Schemas::default();
        for record in everything(&place, &wal) {
            if !schemas.take(&record) {
                record.to_value(&schemas).unwrap();
            }
        }
        assert_eq!(schemas.len(), 3);
        wal.truncate_before(last).unwrap();
        wal.read(last).unwrap().to_value(&wal.schemas().unwrap()).unwrap();
    }
}

/// Name, version in the log and version in the program.
fn ahead<E: WalDecodeOwned>(log: &EventLog<E>) -> Vec<(String, u16, u16)> {
    let ahead = log.ahead().unwrap().into_iter();
    ahead
        .map(|ahead| (ahead.name.unwrap(), ahead.stored, ahead.known))
        .collect()
}

#[test]
fn an_old_program_sees_that_the_log_is_ahead() {
    let wal = Wal::with_store(MemStore::new()).unwrap();
    let log = wal.typed::<Opened>().unwrap();
    log.append(&opened(1)).unwrap();
    wal.append_typed(&moved(1)).unwrap();
    assert_eq!(ahead(&log), [("moved".to_owned(), 1, 0)]);
    wal.append_typed(&OpenedTwo { id: 8 }).unwrap();
    let both = [("moved".to_owned(), 1, 0), ("opened".to_owned(), 2, 1)];
    assert_eq!(ahead(&log), both);
    let newer = wal.typed::<OpenedTwo>().unwrap();
    assert_eq!(ahead(&newer), [("moved".to_owned(), 1, 0)]);
}

/// Every record of the log can be read with the schemas of the log, and opening it again changes nothing about that.
fn assert_explained(wal: &Wal, what: &str) {
    let schemas = wal.schemas().unwrap_or_else(|error| panic!("{what}: {error}"));
    for record in wal.iter().expect("iter") {
        let record = record.unwrap_or_else(|error| panic!("{what}: {error}"));
        if let Err(error) = record.to_value(&schemas) {
            panic!("{what}: {error}, of {:?}", schemas.iter().collect::<Vec<_>>());
        }
    }
}

#[test]
fn whatever_is_cut_and_crashes_the_log_explains_itself() {
    for form in FORMS {
        for seed in 0..u64::from(20 * wal_tests::scale()) {
            let mut rng = Rng::new(seed);
            let mut place = Place::new(form);
            let mut wal = place.open(quiet()).unwrap();
            let mut lsns = Vec::new();
            for step in 0..60 {
                let what = format!("{form:?}, seed {seed}, step {step}");
                match rng.below(12) {
                    0..4 => lsns.push(wal.append_typed(&opened(step)).unwrap()),
                    4 => lsns.push(wal.append_typed(&OpenedTwo { id: 2 }).unwrap()),
                    5..7 => {
                        // Now and then across several segments.
                        let batch: Vec<_> = (0..1 + rng.below(90)).map(moved).collect();
                        lsns.extend(wal.typed().unwrap().append_batch(&batch).unwrap());
                    }
                    7 => wal.sync().unwrap(),
                    8 if !lsns.is_empty() => {
                        let at = rng.below(lsns.len());
                        wal.truncate_after(lsns[at])
                            .unwrap_or_else(|e| panic!("{what}: after {e:?}"));
                        lsns.truncate(at + 1);
                    }
                    9 if !lsns.is_empty() => {
                        let at = rng.below(lsns.len());
                        wal.truncate_before(lsns[at])
                            .unwrap_or_else(|e| panic!("{what}: before {:?} {e:?}", lsns[at]));
                        lsns.drain(..at);
                    }
                    10 => {
                        let image = if rng.below(2) == 0 {
                            place.killed()
                        } else {
                            place.without_staging()
                        };
                        wal = image.open(quiet()).unwrap();
                        place = image;
                        lsns = wal.iter().unwrap().map(|record| record.unwrap().lsn()).collect();
                        assert_explained(&wal, &what);
                    }
                    _ => assert_explained(&wal, &what),
                }
            }
            assert_explained(&wal, &format!("{form:?}, seed {seed}, at the end"));
        }
    }
}
