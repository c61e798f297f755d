//! Types with versions that lead back to the type that holds them, or are held by what is written as them.

use serde::{Deserialize, Serialize};
use wal_db::{WalRecord, WalSchema};

#[derive(Serialize, Deserialize, WalSchema)]
#[wal(version = 2)]
struct Two {
    #[wal(since = 2, default)]
    two: u8,
}

#[derive(Serialize, Deserialize, WalSchema)]
struct Folder {
    #[wal(recursive)]
    files: Vec<File>,
}

#[derive(Serialize, Deserialize, WalSchema)]
#[wal(version = 2)]
struct File {
    within: Option<Box<Folder>>,
    #[wal(since = 2, default)]
    size: u64,
}

#[derive(Serialize, Deserialize, WalSchema)]
struct Page<T> {
    items: Vec<T>,
    #[wal(recursive)]
    last: Option<Two>,
}

#[derive(Serialize, Deserialize, WalSchema)]
struct Above<T> {
    #[wal(recursive)]
    inside: Vec<Below<T>>,
}

#[derive(Serialize, Deserialize, WalSchema)]
#[wal(version = 2)]
struct Below<T> {
    item: T,
    above: Option<Box<Above<T>>>,
    #[wal(since = 2, default)]
    size: u64,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "generic")]
struct Generic {
    page: Page<u8>,
    above: Above<u8>,
}

#[derive(Serialize, Deserialize, WalSchema)]
#[serde(transparent)]
struct Nest(Vec<(Nest, Two)>);

#[derive(Serialize, Deserialize, WalSchema)]
#[serde(transparent)]
struct Pages(#[wal(recursive)] Vec<Leaf>);

#[derive(Serialize, Deserialize, WalSchema)]
#[wal(version = 2)]
struct Leaf {
    pages: Option<Box<Pages>>,
    #[wal(since = 2, default)]
    size: u64,
}

#[derive(Serialize, Deserialize, WalSchema)]
#[serde(transparent)]
#[wal(version = 2)]
struct Said(#[wal(changed(2))] Vec<Two>);

#[derive(Clone, Serialize, Deserialize, WalRecord)]
#[serde(into = "Two", from = "Two")]
#[wal(name = "written")]
struct Written(u8);

#[derive(Clone, Serialize, Deserialize, WalSchema)]
#[serde(into = "Two", from = "Two")]
#[wal(version = 2, from = u8)]
struct Inner(u8);

impl From<Two> for Written {
    fn from(two: Two) -> Self {
        Written(two.two)
    }
}

impl From<Written> for Two {
    fn from(written: Written) -> Self {
        Two { two: written.0 }
    }
}

impl From<Two> for Inner {
    fn from(two: Two) -> Self {
        Inner(two.two)
    }
}

impl From<u8> for Inner {
    fn from(two: u8) -> Self {
        Inner(two)
    }
}

impl From<Inner> for Two {
    fn from(inner: Inner) -> Self {
        Two { two: inner.0 }
    }
}

fn main() {}
