//! A process of its own that uses a log: the test binary itself, which runs one of its ignored tests and reports
//! through a pipe.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    ops::{Deref, DerefMut},
    os::fd::AsFd,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use wal_db::{Wal, WalConfig};

use crate::files::{Place, SEGMENT};

/// Longer than any process here is silent on a busy machine; only a hang reaches it.
const HANG: Duration = Duration::from_secs(60);

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
    std::iter::from_fn(move || match heard.recv_timeout(HANG) {
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
}

/// In the other process: what the one that started it has set, as text.
#[must_use]
pub fn told(name: &str) -> String {
    std::env::var(name).expect("run by another test")
}

/// In the other process: opens the log.
#[must_use]
pub fn open_here(config: WalConfig) -> Wal {
    let path = PathBuf::from(told("WAL_TESTS_PATH"));
    match told("WAL_TESTS_FORM").as_str() {
        "File" => Wal::open_with(path, config).unwrap(),
        _ => Wal::open_segmented_with(path, SEGMENT, config).unwrap(),
    }
}
