//! Programs that the tests run, and what happens where they are missing.

use std::{ffi::OsStr, fs, os::unix::fs::MetadataExt, path::Path, process::Command};
use wal_tests::note;

/// What a test cannot do without: a program and the Debian package that has it.
pub(crate) type Tool = (&'static str, &'static str);

/// Whether the test has to be left out, because a program is missing, or what else it needs. Says so; fails if nothing may
/// be left out.
pub(crate) fn lacks_what(tools: &[Tool], more: impl FnOnce() -> Vec<String>) -> bool {
    let missing = tools.iter().filter(|(name, _)| !is_there(name));
    let mut why: Vec<_> = missing
        .map(|(name, package)| format!("{name} (apt-get install {package})"))
        .collect();
    if why.is_empty() {
        why = more();
    }
    if why.is_empty() {
        return false;
    }
    let needs = format!("needs {}", why.join(", "));
    let required = std::env::var("WAL_TESTS_KERNELS").is_ok_and(|set| set == "required");
    assert!(!required, "{needs}, and WAL_TESTS_KERNELS=required");
    note(&format!("skipped: {needs}"));
    true
}

/// As [`lacks_what`], for a test that mounts file systems.
pub(crate) fn lacks_mounts(file_systems: &[&str], tools: &[Tool]) -> bool {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return lacks_what(tools, || vec!["root".to_owned()]);
    }
    let mounting = [("mount", "mount"), ("losetup", "mount"), ("timeout", "coreutils")];
    lacks_what(&[tools, &mounting].concat(), || {
        let mut why = Vec::new();
        if !may_mount() {
            why.push("the right to mount file systems".to_owned());
        }
        if !succeeds(Command::new("losetup").arg("--find")) {
            why.push("loop devices".to_owned());
        }
        let unknown = file_systems.iter().filter(|name| !is_known(name));
        why.extend(unknown.map(|name| format!("a kernel with {name}")));
        why
    })
}

/// Runs a program that has to succeed.
pub(crate) fn run<S: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = S>) -> String {
    let mut command = Command::new(program);
    command.args(args);
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

fn may_mount() -> bool {
    let dir = tempfile::tempdir().unwrap();
    let mounted = succeeds(
        Command::new("mount")
            .args(["-t", "tmpfs", "tmpfs"])
            .arg(dir.path()),
    );
    mounted && succeeds(Command::new("umount").arg(dir.path()))
}

/// Whether the kernel has a file system, perhaps as a module.
fn is_known(name: &str) -> bool {
    // Modules are loaded when they are mounted as well; without modprobe the list has to do.
    let _ = Command::new("modprobe").args(["-q", name]).output();
    let list = fs::read_to_string(Path::new("/proc/filesystems")).unwrap_or_default();
    list.lines()
        .any(|line| line.split_whitespace().last() == Some(name))
}
