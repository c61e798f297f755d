//! A process of its own that uses a log: the test binary itself, which runs one of its ignored tests and reports
//! through a pipe.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    os::fd::AsFd,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use wal_db::{Wal, WalConfig};

use crate::files::{Place, SEGMENT};

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

/// The lines that the other process reports, until it ends.
pub fn reports(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The test harness writes to the same pipe.
    lines
        .map_while(Result::ok)
        .filter_map(|line| line.split_once("report: ").map(|(_, report)| report.to_owned()))
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
