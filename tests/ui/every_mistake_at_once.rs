//! One build shows all mistakes, and a type with mistakes can still be used without more of them.

use serde::{Deserialize, Serialize};
use wal_db::{EventLog, Wal, WalRecord};

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(nam = "bank", version = 0)]
enum Bank {
    #[wal(version = 1, version = 3)]
    Opened {
        #[serde(default)]
        id: u64,
    },
    #[serde(skip)]
    Closed,
    #[wal(name = "x", version = 2)]
    Moved(#[wal(since = 2)] u64),
}

fn use_it(wal: &Wal, log: &EventLog<Bank>) -> wal_db::Result<()> {
    wal.append_typed(&Bank::Closed)?;
    for event in log.replay(..)? {
        if let Bank::Opened { id } = event?.event {
            println!("{id}");
        }
    }
    Ok(())
}

fn main() {}
