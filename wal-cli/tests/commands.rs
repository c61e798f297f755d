//! The commands as an operator calls them: what they print, how they end, and what they leave.
#![allow(clippy::unwrap_used)] // a setup that fails fails the test

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;
use wal_db::{Wal, WalRecord};

#[derive(Debug, serde::Serialize, serde::Deserialize, WalRecord)]
#[wal(name = "order.placed")]
struct Placed {
    id: u64,
    item: String,
}

/// A directory with the log `log`: three events and a record of bytes, closed.
fn log() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let wal = Wal::open_segmented(&path, 64 << 10).unwrap();
    for id in 1..=3 {
        let item = format!("chair\u{1b}[31m {id}");
        let _lsn = wal.append_typed(&Placed { id, item }).unwrap();
        wal.sync().unwrap();
    }
    let _lsn = wal.append_and_sync(b"bytes").unwrap();
    wal.close().unwrap();
    (dir, path)
}

fn wal(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wal"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn text(output: &Output) -> String {
    let all = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8(all).unwrap();
    assert!(
        !text.contains('\u{1b}'),
        "a control character of the log: {text:?}"
    );
    text
}

fn json(arguments: &[&str]) -> Value {
    let output = wal(&[&["--json"], arguments].concat());
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {output:?}"))
}

/// Every file below a directory, but for quarantines.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.to_string_lossy().contains("quarantine-") {
                files.extend(self::files(&path));
            }
        } else {
            files.insert(path.clone(), fs::read(path).unwrap());
        }
    }
    files
}

#[test]
fn a_log_is_read_without_its_program_and_nothing_changes() {
    let (dir, path) = log();
    let log = path.to_str().unwrap();
    let before = files(dir.path());

    let info = wal(&["info", log]);
    assert_eq!(code(&info), 0);
    assert!(
        text(&info).contains("segments of 65,536 bytes"),
        "{}",
        text(&info)
    );
    assert_eq!(json(&["info", log])["format"], "wal.info/1");

    let found = json(&["ls", log]);
    assert_eq!(found["segments"][0]["state"], "newest");
    assert!(text(&wal(&["ls", log])).contains("0000000000.seg"));
    let found = json(&["ls", log, "--groups"]);
    let records = found["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group["records"].as_u64().unwrap());
    assert_eq!(records.collect::<Vec<_>>(), [1, 1, 1, 1, 0]);
    assert!(
        text(&wal(&["ls", log, "--groups"]))
            .lines()
            .last()
            .unwrap()
            .ends_with("  seal")
    );

    let lines = wal(&["cat", log]);
    assert_eq!(code(&lines), 0);
    let lines: Vec<Value> = text(&lines)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[0]["type"], "order.placed");
    assert_eq!(lines[2]["event"]["id"], 3);
    assert_eq!(lines[2]["event"]["item"], "chair\u{1b}[31m 3");
    assert_eq!(lines[3]["hex"], "6279746573");
    let of = text(&wal(&["cat", log, "--type", "order.placed", "-n", "2"]));
    assert_eq!(of.lines().count(), 2);
    assert_eq!(text(&wal(&["cat", log, "--type", "order"])), "");

    let verified = wal(&["verify", log]);
    assert_eq!(code(&verified), 0);
    assert!(text(&verified).contains("4 records"), "{}", text(&verified));
    let repair = wal(&["repair", log]);
    assert_eq!(code(&repair), 0);
    assert!(text(&repair).contains("nothing to repair"));
    assert_eq!(files(dir.path()), before);
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let (_dir, path) = log();
    let mut child = Command::new(env!("CARGO_BIN_EXE_wal"))
        .args(["cat", path.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((code(&output), text(&output)), (0, String::new()));
}

#[test]
fn what_is_no_log_has_an_exit_code_of_its_own_and_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let letter = dir.path().join("letter");
    fs::write(&letter, "dear \u{1b}]0;you").unwrap();
    for command in ["info", "cat", "verify", "repair"] {
        let output = wal(&[command, letter.to_str().unwrap()]);
        assert_eq!(code(&output), 4, "{command}: {}", text(&output));
    }
    let nothing = dir.path().join("nothing");
    for command in ["info", "cat", "verify", "repair"] {
        let output = wal(&[command, nothing.to_str().unwrap()]);
        assert_eq!(code(&output), 7, "{command}: {}", text(&output));
    }
    assert_eq!(code(&wal(&["verify"])), 2);
    assert_eq!(files(dir.path()).len(), 1);
}

/// Both copies of the manifest are lost: what is wrong is said, the repair is planned, done, and taken back.
#[test]
fn a_log_without_its_manifest_is_repaired_and_the_repair_is_undone() {
    let (dir, path) = log();
    let log = path.to_str().unwrap();
    fs::remove_file(path.join("manifest")).unwrap();
    let before = files(dir.path());

    let verified = wal(&["verify", log]);
    assert_eq!(code(&verified), 3);
    assert!(
        text(&verified).contains("the manifest is missing"),
        "{}",
        text(&verified)
    );
    assert!(text(&verified).contains(&format!("wal repair {log}")));

    let plan = wal(&["repair", log]);
    assert_eq!(code(&plan), 9, "only said");
    assert!(text(&plan).contains("would have 4 records"), "{}", text(&plan));
    assert_eq!(code(&wal(&["repair", log, "--write"])), 9, "nobody can be asked");
    assert_eq!(files(dir.path()), before);

    let done = json(&["repair", log, "--write", "--yes"]);
    assert_eq!(done["records"], 4);
    let quarantine = done["quarantine"].as_str().unwrap();
    assert_eq!(code(&wal(&["verify", log])), 0);
    assert_eq!(text(&wal(&["cat", log])).lines().count(), 4);

    assert_eq!(code(&wal(&["undo", quarantine])), 9, "only said");
    let undone = wal(&["undo", quarantine, "--write", "--yes"]);
    assert_eq!(code(&undone), 0, "{}", text(&undone));
    assert_eq!(files(dir.path()), before);
}

#[test]
fn an_undo_does_not_take_away_what_was_written_since_nor_puts_back_what_is_damaged() {
    let (dir, path) = log();
    let log = path.to_str().unwrap();
    fs::remove_file(path.join("manifest")).unwrap();
    let done = json(&["repair", log, "--write", "--yes"]);
    let quarantine = done["quarantine"].as_str().unwrap();

    let writer = Wal::open_segmented(&path, 64 << 10).unwrap();
    let locked = wal(&["undo", quarantine, "--write", "--yes", "--force"]);
    assert_eq!(code(&locked), 6, "{}", text(&locked));
    let _lsn = writer.append_and_sync(b"since").unwrap();
    writer.close().unwrap();
    let after = files(dir.path());
    let refused = wal(&["undo", quarantine, "--write", "--yes"]);
    assert_eq!(code(&refused), 9, "{}", text(&refused));
    assert_eq!(files(dir.path()), after);

    let part = Path::new(quarantine).join("part-0");
    let mut bytes = fs::read(&part).unwrap();
    bytes[0] ^= 1;
    fs::write(&part, bytes).unwrap();
    let damaged = wal(&["undo", quarantine, "--write", "--yes", "--force"]);
    assert_eq!(code(&damaged), 3, "{}", text(&damaged));
    assert_eq!(files(dir.path()), after);
}

#[test]
fn a_repair_that_would_lose_more_than_is_allowed_is_refused() {
    let (dir, path) = log();
    let log = path.to_str().unwrap();
    let segment = path.join("0000000000.seg");
    let mut bytes = fs::read(&segment).unwrap();
    // The headers of the last two groups: the record of bytes stays whole, and what the manifest names does not.
    let group = 0xf150_4f47_u32.to_le_bytes();
    let headers: Vec<usize> = (4096..bytes.len())
        .step_by(512)
        .filter(|at| bytes[at + 4..at + 8] == group)
        .collect();
    for at in &headers[headers.len() - 2..] {
        bytes[at + 20] ^= 1;
    }
    fs::write(&segment, bytes).unwrap();
    let before = files(dir.path());
    let refused = wal(&["repair", log, "--write", "--yes", "--max-loss", "0"]);
    assert_eq!(code(&refused), 9, "{}", text(&refused));
    assert!(
        text(&refused).contains("would lose 1 intact record"),
        "{}",
        text(&refused)
    );
    assert_eq!(files(dir.path()), before);
    assert_eq!(json(&["repair", log])["lost_records"], 1);
}

#[test]
fn what_is_intact_is_salvaged_into_a_new_log_with_its_types() {
    let (dir, path) = log();
    let log = path.to_str().unwrap();
    let segment = path.join("0000000000.seg");
    let mut bytes = fs::read(&segment).unwrap();
    let at = bytes
        .windows(10)
        .position(|window| window == b"chair\x1b[31m")
        .unwrap();
    bytes[at] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let before = files(&path);

    let planned = wal(&["salvage", log, "--dry-run"]);
    assert_eq!(code(&planned), 8);
    assert!(
        text(&planned).contains("would copy 3 records"),
        "{}",
        text(&planned)
    );
    let new = dir.path().join("new");
    let new = new.to_str().unwrap();
    let found = json(&["salvage", log, "-o", new]);
    assert_eq!(
        (found["records"].as_u64(), found["gaps"].as_array().map(Vec::len)),
        (Some(3), Some(1))
    );
    let lines = text(&wal(&["cat", new]));
    assert_eq!(lines.lines().count(), 3);
    assert!(lines.contains("order.placed"), "{lines}");
    assert_eq!(code(&wal(&["verify", new])), 0);
    let again = wal(&["salvage", log, "-o", new]);
    assert_eq!(code(&again), 9, "a log that is there is not written to");
    assert_eq!(files(&path), before);
}

/// Wherever a repair dies, nothing was changed, or its quarantine puts every byte back.
#[test]
fn a_repair_that_is_killed_is_undone() {
    let (dir, path) = log();
    let log = path.to_str().unwrap();
    fs::remove_file(path.join("manifest")).unwrap();
    let before = files(dir.path());
    for round in 0..60_u64 {
        let mut child = Command::new(env!("CARGO_BIN_EXE_wal"))
            .args(["repair", log, "--write", "--yes"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Somewhere on its way; whatever it has come to, the same has to be true.
        std::thread::sleep(std::time::Duration::from_micros(round * 250));
        child.kill().unwrap();
        child.wait().unwrap();
        let quarantine = fs::read_dir(&path)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| {
                let name = path.to_string_lossy();
                name.contains("quarantine-") && !name.ends_with(".new")
            });
        if let Some(quarantine) = quarantine {
            // Nobody has used the log since.
            let undo = wal(&[
                "undo",
                quarantine.to_str().unwrap(),
                "--write",
                "--yes",
                "--force",
            ]);
            assert_eq!(code(&undo), 0, "{}", text(&undo));
            fs::remove_dir_all(quarantine).unwrap();
        }
        assert_eq!(files(dir.path()), before, "round {round}");
    }
}

/// Files that are not the log's stay, whatever their names are like; one that has the log open is named, and nothing is left.
#[test]
fn an_undo_leaves_the_files_of_others_and_a_refused_repair_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let log = path.to_str().unwrap();
    let writer = Wal::open(&path).unwrap();
    let _lsn = writer.append_and_sync(b"bytes").unwrap();
    writer.close().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[..131_072].fill(0);
    fs::write(&path, bytes).unwrap();
    let before = files(dir.path());
    let lock = fs::File::options().read(true).write(true).open(&path).unwrap();
    lock.lock().unwrap();
    let locked = wal(&["repair", log, "--write", "--yes"]);
    assert_eq!(code(&locked), 6, "{}", text(&locked));
    assert!(
        text(&locked).contains(&format!("by process {}", std::process::id())),
        "{}",
        text(&locked)
    );
    lock.unlock().unwrap();
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        before.len(),
        "no quarantine"
    );

    let done = json(&["repair", log, "--write", "--yes"]);
    let quarantine = done["quarantine"].as_str().unwrap();
    let theirs =
        ["log.0000000005.seg", "log.txt", "log.cut-here", "log.backup.new"].map(|name| dir.path().join(name));
    for name in &theirs {
        fs::write(name, "mine").unwrap();
    }
    let undone = wal(&["undo", quarantine, "--write", "--yes"]);
    assert_eq!(code(&undone), 0, "{}", text(&undone));
    for name in &theirs {
        fs::remove_file(name).unwrap();
    }
    assert_eq!(files(dir.path()), before);
}
