//! A log on a simulated disk that one process writes, while tests look at it from others.

use wal_db::{Staging, Wal, WalConfig, testing::SimDisk};

use crate::files::SEGMENT;

/// Such a log. Its name is [`NAME`](Self::NAME).
#[derive(Debug)]
pub struct Written {
    /// The disk as the writer sees it.
    pub disk: SimDisk,
    /// How the log is opened: no background threads, and a small ring.
    pub config: WalConfig,
    segmented: bool,
    wal: Option<Wal>,
    /// The handles of processes that died.
    dead: Vec<Wal>,
}

impl Written {
    /// What it is called.
    pub const NAME: &str = "log";

    /// A new log, in segments or in one file.
    #[must_use]
    pub fn new(segmented: bool, staging: Staging) -> Written {
        let config = WalConfig::new()
            .with_background_flush(false)
            .with_staging_bytes(64 << 10)
            .with_staging(staging);
        let mut log = Written {
            disk: SimDisk::new(),
            config,
            segmented,
            wal: None,
            dead: Vec::new(),
        };
        log.open();
        log
    }

    fn open(&mut self) {
        let opened = match self.segmented {
            true => self.disk.open_segmented(Self::NAME, SEGMENT, self.config),
            false => self.disk.open(Self::NAME, self.config),
        };
        self.wal = Some(opened.unwrap());
    }

    /// The log of the process that has it open.
    #[must_use]
    pub fn wal(&self) -> &Wal {
        self.wal.as_ref().unwrap()
    }

    /// Closes the log and opens it again.
    pub fn reopen(&mut self) {
        self.wal.take().unwrap().close().unwrap();
        self.open();
    }

    /// The process dies; another one opens the log.
    pub fn die(&mut self) {
        // The staging memory stays mapped, and nobody writes to it any more.
        self.dead.extend(self.wal.take());
        self.disk.unlock_all();
        self.open();
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        drop(self.wal.take());
        // What the dead would still do as they are dropped does not arrive.
        let _ = self.disk.kill();
    }
}
