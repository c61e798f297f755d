//! Logs whose events are found by stream, tag and type, and conditions that hold at the moment of an append.
#![allow(clippy::unwrap_used)] // a setup that fails fails the test

mod conditions;
mod dcb;
mod decisions;
mod entities;
mod entities_failing;
mod files;
mod queries;

use serde::{Deserialize, Serialize};
use wal_db::{
    EventLog, Lsn, MemStore, Meta, Record, Wal, WalRecord,
    index::{Indexed, Item, Query},
};
use wal_tests::random::Rng;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "thing")]
enum Thing {
    Made { number: u64 },
    Moved { number: u64, ballast: Vec<u8> },
    Lost,
}

fn made(number: u64) -> Thing {
    Thing::Made { number }
}

fn log_in_memory() -> EventLog<Thing> {
    let wal = Wal::with_store_and_config(MemStore::new(), wal_tests::quiet_heap()).unwrap();
    wal.typed().unwrap()
}

fn indexed() -> Indexed<Thing> {
    log_in_memory().indexed().unwrap()
}

/// An event of any type, in a stream and with tags of which there are few; some do not go through staging memory.
fn any_event(rng: &mut Rng) -> (Thing, Meta) {
    let number = rng.number() >> 40;
    let event = match rng.below(40) {
        0..=19 => made(number),
        20..=29 => Thing::Lost,
        30 => Thing::Moved {
            number,
            ballast: vec![7; 70_000],
        },
        _ => Thing::Moved {
            number,
            ballast: Vec::new(),
        },
    };
    let mut meta = Meta::new();
    meta = match rng.below(6) {
        0 => meta,
        1 => meta.with_stream("a"),
        2 => meta.with_stream(rng.below(3) as u64),
        3 => meta.with_stream([rng.below(2) as u8; 16]),
        _ => meta.with_stream(&format!("s{}", rng.below(20))),
    };
    for _ in 0..rng.below(4) {
        meta = meta.with_tag(&tag(rng));
    }
    (event, meta)
}

fn tag(rng: &mut Rng) -> String {
    format!("t{}", rng.below(6))
}

/// A query as a user writes it, and the same as anybody would look for it in the log.
struct Asked {
    query: Query,
    items: Vec<Plain>,
}

struct Plain {
    types: Option<Vec<&'static str>>,
    tags: Vec<String>,
    stream: Option<Key>,
}

#[derive(Clone)]
enum Key {
    Text(String),
    Number(u64),
    Id([u8; 16]),
}

fn any_query(rng: &mut Rng) -> Asked {
    let mut items = Vec::new();
    let mut query: Option<Query> = None;
    for _ in 0..=rng.below(3) {
        let plain = Plain {
            types: (rng.below(2) == 0).then(|| {
                let all = ["thing.made", "thing.moved", "thing.lost"];
                all.into_iter().filter(|_| rng.below(2) == 0).collect()
            }),
            tags: (0..rng.below(3)).map(|_| tag(rng)).collect(),
            stream: match rng.below(8) {
                0 => Some(Key::Text(format!("s{}", rng.below(20)))),
                1 => Some(Key::Number(rng.below(3) as u64)),
                2 => Some(Key::Id([rng.below(2) as u8; 16])),
                _ => None,
            },
        };
        let mut item = match &plain.types {
            Some(types) => Item::of(types.clone()),
            None => Item::any(),
        };
        for tag in &plain.tags {
            item = item.tag(tag);
        }
        item = match &plain.stream {
            Some(Key::Text(text)) => item.stream(text),
            Some(Key::Number(number)) => item.stream(*number),
            Some(Key::Id(id)) => item.stream(*id),
            None => item,
        };
        query = Some(match query {
            Some(query) => query.or(item),
            None => item.into(),
        });
        items.push(plain);
    }
    Asked {
        query: query.unwrap(),
        items,
    }
}

impl Asked {
    /// By what the record says, not by the index.
    fn means(&self, record: &Record) -> bool {
        let Ok(info) = record.info() else { return false };
        let known = Thing::RECORDS.iter().find(|known| known.id == info.type_id);
        let name = known.unwrap().name;
        let meta = record.meta().unwrap();
        self.items.iter().any(|item| {
            let has_type = item.types.as_ref().is_none_or(|types| types.contains(&name));
            let in_stream = match &item.stream {
                None => true,
                Some(Key::Text(text)) => meta.stream() == Some(text.into()),
                Some(Key::Number(number)) => meta.stream() == Some((*number).into()),
                Some(Key::Id(id)) => meta.stream() == Some((*id).into()),
            };
            has_type && in_stream && item.tags.iter().all(|tag| meta.tags().any(|own| own == tag))
        })
    }

    /// All that the log holds, read from its beginning.
    fn scan(&self, wal: &Wal) -> Vec<Lsn> {
        let records = wal.iter().unwrap().map(Result::unwrap);
        let meant = records.filter(|record| self.means(record));
        meant.map(|record| record.lsn()).collect()
    }
}
