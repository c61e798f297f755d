//! What a process has beside its log: limits, descriptors, names, signals, threads, and callbacks that behave badly.
#![cfg(target_os = "linux")]

mod callbacks;
mod closed;
mod descriptors;
mod lengths;
mod mappings;
mod names;
mod permissions;
mod process;
mod signals;
mod special;

use std::process::{Command, Output};

use wal_tests::{child::command, files::Place};

/// Runs an ignored test of this program as a process of its own, after what a shell does first.
fn run_after(first: &str, role: &str, place: &Place) -> Output {
    let of = command(&format!("edges::{role}"), place);
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("{first}; exec \"$0\" \"$@\""));
    shell.arg(of.get_program()).args(of.get_args());
    for (key, value) in of.get_envs() {
        shell.env(key, value.unwrap());
    }
    shell.output().unwrap()
}

/// What it has reported. It must have come to its end.
fn reports(output: &Output, what: &str) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text.lines().filter_map(|line| line.split_once("report: "));
    let reports: Vec<_> = lines.map(|(_, report)| report.to_owned()).collect();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{what}: {} after {reports:?}\n{said}",
        output.status
    );
    reports
}
