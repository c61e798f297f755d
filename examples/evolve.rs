//! One event in three releases of a program, and one log: each release reads what those before it wrote as its own type.
//!
//! Prints what each release finds after it has appended an event of its own, and what the first one says to the log of
//! the third. `docs/evolution.md` has what to write for every other change.

#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::{fmt::Debug, path::Path};

use wal_db::{Wal, event::WalDecodeOwned};

mod v1 {
    use serde::{Deserialize, Serialize};
    use wal_db::WalRecord;

    #[derive(Debug, Serialize, Deserialize, WalRecord)]
    #[wal(name = "order.placed", version = 1)]
    pub(super) struct Placed {
        pub(super) id: u64,
        pub(super) euros: f64,
    }
}

/// A field more. The derive makes the struct of version 1 from this one.
mod v2 {
    use serde::{Deserialize, Serialize};
    use wal_db::WalRecord;

    #[derive(Debug, Serialize, Deserialize, WalRecord)]
    #[wal(name = "order.placed", version = 2)]
    pub(super) struct Placed {
        pub(super) id: u64,
        #[wal(since = 2, default = "shop")]
        pub(super) channel: String,
        pub(super) euros: f64,
    }
}

/// Another type instead of a field. The struct of version 2 is kept, and reads version 1 as before.
mod v3 {
    use serde::{Deserialize, Serialize};
    use wal_db::WalRecord;

    use super::v2;

    #[derive(Debug, Serialize, Deserialize, WalRecord)]
    #[wal(name = "order.placed", version = 3, from = v2::Placed)]
    pub(super) struct Placed {
        pub(super) id: u64,
        pub(super) channel: String,
        pub(super) cents: i64,
    }

    impl From<v2::Placed> for Placed {
        fn from(old: v2::Placed) -> Self {
            Placed {
                id: old.id,
                channel: old.channel,
                cents: (old.euros * 100.0).round() as i64,
            }
        }
    }
}

/// A release: it opens the log, appends an event, and reads all of them.
fn run<E: WalDecodeOwned + Debug>(dir: &Path, release: u8, event: &E) -> anyhow::Result<()> {
    let log = Wal::open_segmented(dir, 1 << 20)?.typed::<E>()?;
    log.append_and_sync(event)?;
    println!("release {release} reads");
    for event in log.replay(..)? {
        let event = event?;
        println!("  stored as version {}: {:?}", event.stored_version, event.event);
    }
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let dir = dir.path().join("orders");

    run(&dir, 1, &v1::Placed { id: 1, euros: 9.99 })?;
    let (id, euros) = (2, 20.5);
    let channel = "phone".to_owned();
    run(&dir, 2, &v2::Placed { id, channel, euros })?;
    let (id, cents) = (3, 100);
    let channel = "web".to_owned();
    run(&dir, 3, &v3::Placed { id, channel, cents })?;

    // Release 1 is started once more. Before it reads or appends, it sees that a later one has written to the log.
    let log = Wal::open_segmented(&dir, 1 << 20)?.typed::<v1::Placed>()?;
    for ahead in log.ahead()? {
        println!(
            "release 1 knows version {}, and the log holds version {}",
            ahead.known, ahead.stored
        );
    }
    for event in log.replay(..)? {
        match event {
            Ok(event) => println!("  {:?}", event.event),
            Err(error) => println!("  {error}"),
        }
    }
    Ok(())
}
