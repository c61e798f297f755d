//! Generic types whose parameters have no schema.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use wal_db::{WalRecord, WalSchema};

trait Entity {
    type Id: Serialize + DeserializeOwned;
}

/// The parameter says only what the id is of.
#[derive(Serialize, Deserialize, WalSchema)]
struct Id<T> {
    raw: u64,
    of: PhantomData<T>,
}

struct User;

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "joined")]
struct Joined {
    user: Id<User>,
}

/// What is stored depends on the parameter.
#[derive(Serialize, Deserialize, WalSchema)]
struct Row<T: Entity> {
    id: T::Id,
}

fn main() {}
