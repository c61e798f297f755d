//! umadb-core 0.7.8, a file of copy-on-write trees.
//!
//! Its users have a server, which gives requests to one thread of the crate. That thread is used here in the same way,
//! without the server: it takes all appends that wait as one batch, writes the pages, flushes, writes the page that
//! refers to them, and flushes again before any of them is answered. All settings are the server's defaults but the cache
//! of pages, which is off by default and makes many threads faster. With it, the writer that builds a batch while
//! io_uring flushes the one before is slower.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};
use tokio::sync::{mpsc, oneshot, watch};
use umadb_core::{
    mvcc::{Mvcc, StorageOptions},
    writer_thread_blocking::writer_thread_blocking,
    writer_thread_request::WriterThreadRequest,
};
use umadb_dcb::{DcbAppendCondition, DcbError, DcbEvent, DcbEventStoreSync, DcbQuery, DcbQueryItem};

use super::{Events, Peer};

/// The server's length of the queue, and how many events it lets one commit have.
const QUEUE: usize = 1_024;
const BATCH: usize = 2_048;
const CACHE_MB: usize = 64;

pub(super) struct UmaDb;

impl Peer for UmaDb {
    fn name(&self) -> &'static str {
        "umadb-core"
    }

    fn settings(&self) -> &'static str {
        "0.7.8: its own thread commits all that wait as one batch, with two flushes; 64 MB page cache"
    }

    fn create(&self, dir: &Path) -> Result<Box<dyn Events>> {
        let options = StorageOptions::default().db_path(dir).page_cache_max_mb(CACHE_MB);
        let mvcc = Arc::new(quietly(|| Mvcc::new(false, options))??);
        let (requests, queue) = mpsc::channel(QUEUE);
        let (head, _) = watch::channel(None);
        let of_writer = Arc::clone(&mvcc);
        let writer = thread::spawn(move || writer_thread_blocking(of_writer, queue, head, BATCH));
        Ok(Box::new(Running {
            mvcc,
            requests,
            writer: Some(writer),
        }))
    }
}

struct Running {
    mvcc: Arc<Mvcc>,
    requests: mpsc::Sender<WriterThreadRequest>,
    writer: Option<JoinHandle<()>>,
}

impl Events for Running {
    fn append_if_none(&self, tag: String, payload: Vec<u8>) -> Result<bool> {
        let item = DcbQueryItem::new().tags([tag.as_str()]);
        let condition = DcbAppendCondition::new(DcbQuery::with_items([item]));
        let event = DcbEvent::new().event_type("joined").tags([tag]).data(payload);
        let (response_tx, response) = oneshot::channel();
        let request = WriterThreadRequest::Append {
            events: vec![event],
            condition: Some(condition),
            tracking_info: None,
            response_tx,
            cancel: None,
        };
        self.requests
            .blocking_send(request)
            .context("its thread has ended")?;
        match response.blocking_recv()? {
            Ok(_position) => Ok(true),
            Err(DcbError::IntegrityError(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn count(&self) -> Result<u64> {
        // Positions are dense and begin at 1.
        Ok(umadb_core::db::UmaDb::from_arc(Arc::clone(&self.mvcc))
            .head()?
            .unwrap_or(0))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Neither fails unless the thread has ended.
        drop(self.requests.blocking_send(WriterThreadRequest::Shutdown));
        drop(self.writer.take().map(JoinHandle::join));
    }
}

/// Runs `open` while what goes to standard output is dropped: the crate prints its settings there.
fn quietly<T>(open: impl FnOnce() -> T) -> Result<T> {
    io::stdout().flush()?;
    let stdout = rustix::io::dup(rustix::stdio::stdout())?;
    rustix::stdio::dup2_stdout(File::options().write(true).open("/dev/null")?)?;
    let opened = open();
    rustix::stdio::dup2_stdout(stdout)?;
    Ok(opened)
}
