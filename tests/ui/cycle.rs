//! Types that hold each other, where no field says so.

use serde::{Deserialize, Serialize};
use wal_db::WalSchema;

#[derive(Serialize, Deserialize, WalSchema)]
struct Folder {
    files: Vec<File>,
}

#[derive(Serialize, Deserialize, WalSchema)]
struct File {
    unpacked: Option<Box<Folder>>,
}

fn main() {}
