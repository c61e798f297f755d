//! A program in the edition of 2015, in which a path that begins with `::` begins at the program's own crate.

/// ```edition2015
/// extern crate serde;
/// extern crate wal_db;
///
/// use serde::{Deserialize, Serialize};
/// use wal_db::{MemStore, Wal, WalRecord, WalSchema};
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
/// enum Tree { Leaf(u8), Fork(Box<Tree>) }
///
/// #[derive(Serialize, Deserialize, WalRecord)]
/// #[wal(name = "grown")]
/// struct GrownV1 { tree: Tree }
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
/// #[wal(name = "grown", version = 2)]
/// struct Grown {
///     tree: Tree,
///     #[wal(since = 2, default = "oak")]
///     kind: String,
///     #[wal(since = 2, default)]
///     rings: u8,
///     #[wal(since = 2, default = 7)]
///     #[wal(opaque = "height@1", wire = u64)]
///     height: u64,
/// }
///
/// #[derive(Serialize, Deserialize, WalRecord, WalSchema)]
/// #[wal(name = "forest.felled")]
/// struct FelledV1(#[wal(opaque = "trees@1")] u8);
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
/// #[wal(name = "forest")]
/// enum Forest {
///     #[wal(version = 2, from = FelledV1)]
///     Felled(u16),
///     #[wal(retired)]
///     Burnt(wal_db::event::Retired),
///     #[wal(other)]
///     Other(wal_db::event::UnknownEvent),
/// }
///
/// impl From<FelledV1> for Forest {
///     fn from(old: FelledV1) -> Forest { Forest::Felled(old.0 as u16) }
/// }
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
/// #[wal(families)]
/// enum App { Grown(Grown), Forest(Forest) }
///
/// fn main() {
///     let wal = Wal::with_store(MemStore::new()).unwrap();
///     wal.append_typed(&GrownV1 { tree: Tree::Leaf(1) }).unwrap();
///     wal.append_typed(&FelledV1(3)).unwrap();
///     let log = wal.typed::<App>().unwrap();
///     let events: Vec<App> = log.replay(..).unwrap().map(|event| event.unwrap().event).collect();
///     let grown = Grown { tree: Tree::Leaf(1), kind: "oak".to_owned(), rings: 0, height: 7 };
///     assert_eq!(events, [App::Grown(grown), App::Forest(Forest::Felled(3))]);
/// }
/// ```
#[cfg(doctest)]
struct Edition2015;
