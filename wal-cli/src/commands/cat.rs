//! `wal cat`: the records of a log, a line of JSON for each.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use serde::Serialize;
use wal_db::{
    Lsn, Record, Wal, WalError,
    read::RecordKind,
    schema::{Schemas, Value},
};

use crate::failure::{Exit, Failure, Result};
use crate::output::Output;

/// Prints the records of a log, a line of JSON for each. Events need no program: their shapes are in the log.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory or the file of a log
    log: PathBuf,

    /// From this LSN on
    #[arg(long, value_name = "LSN", default_value_t = 0)]
    from: u64,

    /// Up to this LSN, not including it
    #[arg(long, value_name = "LSN", default_value_t = u64::MAX)]
    to: u64,

    /// Only events of this type
    #[arg(long = "type", value_name = "NAME")]
    of: Option<String>,

    /// At most so many
    #[arg(short = 'n', value_name = "N")]
    most: Option<u64>,
}

#[derive(Serialize)]
struct Line<'a> {
    lsn: Lsn,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<Value>,
    /// Why there is no event.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// The bytes of what is no event, or cannot be read as one.
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
}

impl Args {
    /// Prints them.
    pub(crate) fn run(self, _: &mut Output) -> Result<Exit> {
        let wal = Wal::open_read_only(&self.log)?;
        let schemas = wal.schemas()?;
        let mut to = io::BufWriter::with_capacity(256 << 10, io::stdout().lock());
        let (from, end) = (Lsn::new(self.from), Lsn::new(self.to).min(wal.end()));
        let mut left = self.most.unwrap_or(u64::MAX);
        let mut exit = Exit::Fine;
        for record in wal.range(from.min(end)..end)? {
            if left == 0 {
                break;
            }
            let record = match record {
                Err(error @ WalError::Corruption(_)) => {
                    to.flush().map_err(printing)?;
                    return Err(error.into());
                }
                record => record?,
            };
            if let Some(line) = self.line(&record, &schemas, &mut exit) {
                serde_json::to_writer(&mut to, &line).map_err(|error| printing(error.into()))?;
                to.write_all(b"\n").map_err(printing)?;
                left -= 1;
            }
        }
        to.flush().map_err(printing)?;
        Ok(exit)
    }

    /// What to print of a record; nothing if it was not asked for.
    fn line<'a>(&self, record: &Record, schemas: &'a Schemas, exit: &mut Exit) -> Option<Line<'a>> {
        let mut line = Line {
            lsn: record.lsn(),
            name: None,
            version: None,
            event: None,
            error: None,
            hex: None,
        };
        if record.kind() == RecordKind::Typed {
            let info = record.info();
            if let Ok(info) = &info {
                line.name = schemas
                    .get(info.type_id, info.version)
                    .map(|schema| schema.name.as_str());
                line.version = Some(info.version);
            }
            if self.of.as_deref().is_some_and(|of| line.name != Some(of)) {
                return None;
            }
            match record.to_value(schemas) {
                Ok(event) => line.event = Some(event),
                Err(error) => line.error = Some(error.to_string()),
            }
        } else if self.of.is_some() {
            return None;
        }
        if line.error.is_some() {
            *exit = Exit::Incomplete;
        }
        if line.event.is_none() {
            line.hex = Some(record.data().iter().map(|byte| format!("{byte:02x}")).collect());
        }
        Some(line)
    }
}

fn printing(source: io::Error) -> Failure {
    Failure::Io {
        doing: "printing",
        path: "standard output".into(),
        source,
    }
}
