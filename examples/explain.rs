//! Any log as lines of JSON, without the program that wrote it: names, versions and shapes are in the log.
//!
//! ```text
//! cargo run -p wal-examples --example explain -- [LOG]
//! ```
//!
//! Prints one line for each record. Without an argument it writes a small log first, of events that this program could read
//! as well, and does not. The log is opened for reading only: nothing in it changes, and its program may be running.

#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::json;
use wal_db::{Record, Wal, WalRecord, event::TypedError, schema::Schemas};

fn main() -> anyhow::Result<()> {
    let temporary = tempfile::tempdir()?;
    let path = match std::env::args_os().nth(1) {
        Some(path) => PathBuf::from(path),
        None => small_log(&temporary.path().join("log"))?,
    };

    let wal = Wal::open_read_only(&path)?;
    let schemas = wal.schemas()?;
    let mut out = io::stdout().lock();
    for record in wal.iter()? {
        if let Err(error) = writeln!(out, "{}", line(&record?, &schemas)) {
            // The reader has seen enough.
            return match error.kind() {
                io::ErrorKind::BrokenPipe => Ok(()),
                _ => Err(error.into()),
            };
        }
    }
    Ok(())
}

/// A record: its event, or the reason why there is none.
fn line(record: &Record, schemas: &Schemas) -> String {
    let lsn = record.lsn();
    let because = |error: TypedError| format!(r#""error":{}"#, json!(error.to_string()));
    let info = match record.info() {
        Ok(info) => info,
        Err(error) => return format!(r#"{{"lsn":{lsn},{}}}"#, because(error)),
    };
    let (name, version) = (schemas.of(&info).map(|schema| &schema.name), info.version);
    let event = match record.to_json(schemas) {
        Ok(json) => format!(r#""event":{json}"#),
        Err(error) => because(error),
    };
    format!(
        r#"{{"lsn":{lsn},"name":{},"version":{version},{event}}}"#,
        json!(name)
    )
}

fn small_log(path: &Path) -> wal_db::Result<PathBuf> {
    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "door")]
    enum Door {
        Opened { by: Option<String>, at: (u8, u8) },
        Closed,
    }

    let wal = Wal::open(path)?;
    let log = wal.typed::<Door>()?;
    log.append(&Door::Opened {
        by: Some("ann".into()),
        at: (8, 30),
    })?;
    log.append(&Door::Closed)?;
    wal.append(b"plain bytes, of which nothing is known")?;
    wal.close()?;
    Ok(path.to_owned())
}
