//! A process of its own that uses a log: the test binary itself, which runs one of its ignored tests and reports
//! through a pipe.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    ops::{Deref, DerefMut},
    os::fd::AsFd,
    process::{Child, Command, Stdio},
    sync::mpsc,
};

use wal_db::{Lsn, Wal, WalConfig, WalError};

use crate::{
    PATIENCE,
    files::{FORMS, Form, Place},
    variant,
};

/// Another process; it does not outlive this value, so not a test that fails either.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts it.
    #[must_use]
    pub fn of(mut command: Command) -> Process {
        Process(command.spawn().unwrap())
    }
}

impl Deref for Process {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Process {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The process that runs the ignored test `role` with the log of `place`.
#[must_use]
pub fn command(role: &str, place: &Place) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", role, "--ignored", "--nocapture"]);
    command
        .env("WAL_TESTS_PATH", place.path())
        .env("WAL_TESTS_FORM", format!("{:?}", place.form));
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

/// The lines that the other process reports, until it ends. Panics if it hangs.
pub fn reports(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (report, heard) = mpsc::channel();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            // The test harness writes to the same pipe.
            if let Some((_, text)) = line.split_once("report: ")
                && report.send(text.to_owned()).is_err()
            {
                break;
            }
        }
    });
    std::iter::from_fn(move || match heard.recv_timeout(PATIENCE) {
        Ok(report) => Some(report),
        Err(mpsc::RecvTimeoutError::Disconnected) => None,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("the other process hangs"),
    })
}

/// In the other process: the way to the one that started it.
#[derive(Debug)]
pub struct Reporter(File);

impl Reporter {
    /// The pipe itself: what is reported is out of this process when the call returns.
    #[must_use]
    #[allow(clippy::new_without_default)] // it takes hold of the output
    pub fn new() -> Reporter {
        Reporter(std::io::stdout().as_fd().try_clone_to_owned().unwrap().into())
    }

    /// Reports a line.
    pub fn report(&self, what: &str) {
        (&self.0)
            .write_all(format!("report: {what}\n").as_bytes())
            .unwrap();
    }

    /// Reports that everything up to a record is durable.
    pub fn durable(&self, lsn: Lsn) {
        self.report(&format!("durable {}", lsn.get()));
    }

    /// What a call returned, if it went well; otherwise the error is reported.
    pub fn heard<T>(&self, result: wal_db::Result<T>) -> Option<T> {
        let refused = |error: &WalError| self.report(&format!("refused {}", variant(error)));
        result.inspect_err(refused).ok()
    }

    /// Waits for a line of the one that started it.
    pub fn wait(&self) {
        std::io::stdin().read_line(&mut String::new()).unwrap();
    }
}

/// In the other process: what the one that started it has set, as text.
#[must_use]
pub fn told(name: &str) -> String {
    std::env::var(name).expect("run by another test")
}

/// In the other process: the form of the log.
#[must_use]
pub fn told_form() -> Form {
    FORMS[usize::from(told("WAL_TESTS_FORM") == "Segmented")]
}

/// In the other process: opens the log. Panics at an error.
#[must_use]
pub fn open_here(config: WalConfig) -> Wal {
    try_open_here(config).unwrap()
}

/// In the other process: opens the log.
///
/// # Errors
/// As opening has them.
pub fn try_open_here(config: WalConfig) -> wal_db::Result<Wal> {
    told_form().open(told("WAL_TESTS_PATH"), config)
}
