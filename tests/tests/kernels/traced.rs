//! A worker under strace, which watches calls or changes them.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use wal_tests::files::Form;

use super::{
    tools::{lacks_what, succeeds},
    worker::Job,
};

/// Whether tests with strace have to be left out.
pub(crate) fn lacks_strace() -> bool {
    let may_trace = || succeeds(Command::new("strace").args(["-f", "-o", "/dev/null", "true"]));
    lacks_what(&[("strace", "strace"), ("timeout", "coreutils")], || {
        if may_trace() {
            Vec::new()
        } else {
            vec!["the right to trace".to_owned()]
        }
    })
}

/// What strace is to look at.
pub(crate) struct Tracing<'a> {
    /// As strace names it; a pattern starts with a slash.
    pub(crate) call: &'a str,
    /// Only calls for these.
    pub(crate) paths: &'a [PathBuf],
    /// What is done to the calls, as for its `inject`; nothing if it is empty.
    pub(crate) how: &'a str,
}

/// What happened to a worker.
pub(crate) struct Run {
    pub(crate) reports: Vec<String>,
    /// The calls that were changed, or all of them if none was to be.
    pub(crate) calls: Vec<String>,
    /// It came to its end.
    pub(crate) ended: bool,
    pub(crate) what: String,
}

impl Tracing<'_> {
    pub(crate) fn run(&self, role: &str, path: &Path, form: Form, seed: u64) -> Run {
        let Tracing { call, how, .. } = self;
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut worker = Job {
            role,
            path,
            form,
            seed,
            phase: 0,
            phases: 1,
        }
        .start_under(self.command(log.path()));
        let mut reports = Vec::new();
        while let Some(report) = worker.report() {
            if report.starts_with("cuts") {
                worker.go_on();
            }
            reports.push(report);
        }
        let ended = worker.succeeded() && reports.last().is_some_and(|report| report == "ended");
        let log = fs::read_to_string(log.path()).unwrap();
        let wanted = match *how {
            "" => "= ",
            // A call that does not return has a question mark.
            how if how.starts_with("signal") => "= ?",
            _ => "(INJECTED)",
        };
        Run {
            reports,
            calls: log
                .lines()
                .filter(|line| line.contains(wanted))
                .map(str::to_owned)
                .collect(),
            ended,
            what: format!("{form:?}, worker {seed}, {call}:{how}"),
        }
    }

    /// Runs this binary.
    fn command(&self, log: &Path) -> Command {
        let Tracing { call, paths, how } = self;
        // A worker that hangs is one that does not end well.
        let mut command = Command::new("timeout");
        command
            .args(["-s", "KILL", "60", "strace", "-f", "-qq", "-y", "-o"])
            .arg(log);
        command.args(["-e", &format!("trace={call}")]);
        if !how.is_empty() {
            command.args(["-e", &format!("inject={call}:{how}")]);
        }
        command.args(paths.iter().flat_map(|path| [OsStr::new("-P"), path.as_os_str()]));
        command.arg(std::env::current_exe().unwrap());
        command
    }
}

impl Run {
    /// The errors that it was told.
    pub(crate) fn refusals(&self) -> Vec<&str> {
        self.reports
            .iter()
            .filter_map(|report| report.strip_prefix("refused "))
            .collect()
    }

    pub(crate) fn position(&self, word: &str) -> Option<usize> {
        self.reports.iter().position(|report| report.starts_with(word))
    }
}
