//! Where a log is, and what else has the names that it had or wants.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, symlink},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use wal_db::{Wal, WalError};
use wal_tests::{
    Entry, all, assert_is,
    child::{Process, Reporter, command, reports, told, told_form, try_open_here},
    files::{FORMS, Form, Place, assert_same_files, tree},
    note, put, quiet,
};

/// A log with some records in a few segments.
fn filled(form: Form, path: impl AsRef<Path>, seed: usize) -> (Wal, Vec<Entry>) {
    let wal = form.open(path, quiet()).unwrap();
    let entries = fill(&wal, seed);
    (wal, entries)
}

fn fill(wal: &Wal, seed: usize) -> Vec<Entry> {
    let entries = (0..25).map(|i| put(wal, seed + i, 9000)).collect();
    wal.sync().unwrap();
    entries
}

/// Everything that goes by names: new segments, old ones that go, and those ahead that go when the log is closed.
fn goes_on(wal: Wal, entries: &mut Vec<Entry>, seed: usize) {
    entries.extend(fill(&wal, seed));
    let keep_from = entries[entries.len() / 2].0;
    let head = wal.truncate_before(keep_from).unwrap();
    entries.retain(|entry| entry.0 >= head);
    entries.extend(fill(&wal, seed + 100));
    wal.close().unwrap();
}

fn assert_holds(form: Form, path: impl AsRef<Path>, entries: &[Entry], what: &str) {
    let wal = form
        .open(path, quiet())
        .unwrap_or_else(|error| panic!("{form:?}, {what}: {error}"));
    assert_eq!(all(&wal), entries, "{form:?}, {what}");
    assert!(wal.verify().unwrap().is_intact(), "{form:?}, {what}");
}

#[test]
fn a_log_that_was_moved_goes_on_where_it_is_and_not_where_it_was() {
    for form in FORMS {
        let root = tempfile::tempdir().unwrap();
        let (dir, old) = (root.path().join("dir"), root.path().join("dir.old"));
        fs::create_dir(&dir).unwrap();
        let (first, mut firsts) = filled(form, dir.join("log"), 1);
        fs::rename(&dir, &old).unwrap();
        fs::create_dir(&dir).unwrap();
        let (second, mut seconds) = filled(form, dir.join("log"), 1000);
        goes_on(first, &mut firsts, 2);
        goes_on(second, &mut seconds, 2000);
        assert_holds(form, old.join("log"), &firsts, "the log that was moved");
        assert_holds(form, dir.join("log"), &seconds, "the log in its place");
    }
}

#[test]
fn a_log_behind_a_link_stays_the_same_log_when_the_link_points_elsewhere() {
    for form in FORMS {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        let point_to = |target: &str| {
            symlink(at(target), at("next")).unwrap();
            fs::rename(at("next"), at("link")).unwrap();
        };
        for name in ["a", "b"] {
            fs::create_dir(at(name)).unwrap();
        }
        point_to("a");
        let (first, mut firsts) = filled(form, at("link").join("log"), 1);
        point_to("b");
        let (second, mut seconds) = filled(form, at("link").join("log"), 1000);
        point_to("a");
        goes_on(second, &mut seconds, 2000);
        point_to("b");
        goes_on(first, &mut firsts, 2);
        assert_holds(form, at("a").join("log"), &firsts, "the first");
        assert_holds(form, at("b").join("log"), &seconds, "the second");
    }
}

#[test]
fn another_working_directory_makes_no_difference_to_an_open_log() {
    for form in FORMS {
        let place = Place::new(form);
        for name in ["a", "b"] {
            fs::create_dir(place.root().join(name)).unwrap();
        }
        let mut child = Process::of(command("names::places::changes_its_directory", &place));
        let said: Vec<_> = reports(&mut child).collect();
        assert!(child.wait().unwrap().success(), "{form:?}: {said:?}");
        assert_eq!(said, ["a is intact", "b is intact"], "{form:?}");
    }
}

#[test]
#[ignore = "the other process of another_working_directory_makes_no_difference_to_an_open_log"]
fn changes_its_directory() {
    let form = told_form();
    let root = PathBuf::from(told("WAL_TESTS_PATH")).parent().unwrap().to_owned();
    let go = |name: &str| std::env::set_current_dir(root.join(name)).unwrap();
    go("a");
    let (first, mut firsts) = filled(form, "log", 1);
    go("b");
    let (second, mut seconds) = filled(form, "log", 1000);
    goes_on(first, &mut firsts, 2);
    go("a");
    goes_on(second, &mut seconds, 2000);
    let reporter = Reporter::new();
    for (name, entries) in [("a", firsts), ("b", seconds)] {
        assert_holds(form, root.join(name).join("log"), &entries, name);
        reporter.report(&format!("{name} is intact"));
    }
}

#[test]
fn a_segment_of_another_log_is_never_removed() {
    let (ours, theirs) = (Place::new(Form::Segmented), Place::new(Form::Segmented));
    let (wal, _) = filled(Form::Segmented, ours.path(), 1);
    let entries = fill(&wal, 100);
    let (other, _) = filled(Form::Segmented, theirs.path(), 1000);
    other.close().unwrap();
    for index in [0, 1] {
        fs::remove_file(ours.segment(index)).unwrap();
        fs::copy(theirs.segment(index), ours.segment(index)).unwrap();
    }
    let before = fs::read(ours.segment(0)).unwrap();
    // They lie before the head, where nobody reads them, and stay.
    wal.truncate_before(entries[0].0).unwrap();
    assert_eq!(fs::read(ours.segment(0)).unwrap(), before);
    wal.close().unwrap();
    assert_holds(Form::Segmented, ours.path(), &entries, "beside strangers");
}

#[test]
fn a_file_with_the_name_of_a_new_segment_is_neither_emptied_nor_replaced() {
    for name in ["0000000003.seg", "0000000003.seg.new"] {
        let place = Place::new(Form::Segmented);
        let wal = place.open(quiet()).unwrap();
        let path = place.path().join(name);
        fs::write(&path, b"somebody's").unwrap();
        let mut entries = Vec::new();
        let mut refused = None;
        while refused.is_none() && entries.len() < 40 {
            let data = vec![entries.len() as u8; 9000];
            match wal.append(&data) {
                Ok(lsn) => entries.push(Entry(lsn, data)),
                Err(error) => refused = Some(error),
            }
        }
        let refused = refused.expect("a segment that cannot be made");
        assert!(
            !matches!(refused, WalError::InDoubt { .. }),
            "{name}: {refused:?}"
        );
        assert_eq!(fs::read(&path).unwrap(), b"somebody's", "{name}");
        drop(wal);
        assert_eq!(fs::read(&path).unwrap(), b"somebody's", "{name}");
        fs::remove_file(&path).unwrap();
        assert_holds(Form::Segmented, place.path(), &entries, name);
    }
}

/// A log that was killed, with something after its end that will be kept aside; and where that is.
fn with_something_to_cut(form: Form) -> (Place, Vec<Entry>, u64) {
    let place = Place::new(form);
    let wal = place.open(quiet()).unwrap();
    let entries = vec![put(&wal, 1, 300)];
    wal.sync().unwrap();
    let killed = place.without_staging();
    let end = killed.groups().last().unwrap().next();
    killed.overwrite(end + 1024, b"a sector that arrived alone");
    (killed, entries, end)
}

#[test]
fn a_name_for_kept_bytes_that_something_has_is_left_alone() {
    for form in FORMS {
        let (place, entries, end) = with_something_to_cut(form);
        let (taken, free) = match form {
            Form::File => ("log.cut", place.root().to_owned()),
            Form::Segmented => ("cut", place.path()),
        };
        let taken = free.join(format!("{taken}-{end}"));
        // A link that leads nowhere is there and cannot be opened.
        symlink("nowhere", &taken).unwrap();
        let wal = place.open(quiet()).unwrap();
        let kept = wal.recovery().cut.clone().unwrap().kept_at.unwrap();
        assert_eq!(
            kept,
            free.join(format!("{}-1", taken.file_name().unwrap().to_str().unwrap()))
        );
        assert!(fs::metadata(&kept).unwrap().is_file());
        assert_eq!(fs::read_link(&taken).unwrap(), Path::new("nowhere"), "{form:?}");
        assert_eq!(all(&wal), entries);
    }
}

#[test]
fn an_empty_file_is_made_a_log_in_its_place() {
    let place = Place::new(Form::File);
    fs::write(place.path(), b"").unwrap();
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    let before = inode(&place.path());
    let wal = place.open(quiet()).unwrap();
    let entry = put(&wal, 1, 100);
    drop(wal);
    assert_eq!(inode(&place.path()), before, "another file has its name");
    assert_eq!(all(&place.open(quiet()).unwrap()), [entry]);
    let names: Vec<_> = tree(place.root()).into_keys().collect();
    assert_eq!(names, ["log", "log.staging"].map(PathBuf::from));
}

/// As containers do with single files.
#[test]
fn an_empty_file_that_is_bind_mounted_is_made_a_log() {
    let place = Place::new(Form::File);
    fs::write(place.path(), b"").unwrap();
    fs::write(place.root().join("outside"), b"").unwrap();
    let mut child = command("names::places::opens_a_log", &place);
    let program = child.get_program().to_owned();
    let args: Vec<_> = child.get_args().map(ToOwned::to_owned).collect();
    let mut unshared = Command::new("unshare");
    unshared.args(["--mount", "--map-root-user", "sh", "-c"]);
    unshared.arg("mount --bind \"$0\" \"$1\" || exit 77; shift; exec \"$@\"");
    unshared.arg(place.root().join("outside")).arg(place.path());
    unshared.arg(program).args(args);
    for (name, value) in child.get_envs() {
        unshared.env(name, value.unwrap());
    }
    unshared.stdout(std::process::Stdio::piped());
    child = unshared;
    let Ok(output) = child.output() else {
        note("skipped: there is no unshare");
        return;
    };
    if output.status.code() != Some(0) && !String::from_utf8_lossy(&output.stdout).contains("report: ") {
        note(&format!(
            "skipped: no mount of its own: {}",
            String::from_utf8_lossy(&output.stderr)
        ));
        return;
    }
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("report: opened"), "{text}");
    let names: Vec<_> = tree(place.root()).into_keys().collect();
    assert_eq!(names, ["log", "log.staging", "outside"].map(PathBuf::from));
}

#[test]
#[ignore = "the other process of tests that open a log elsewhere, or as somebody else"]
fn opens_a_log() {
    let opened = try_open_here(quiet()).and_then(|wal| wal.append_and_sync(b"here"));
    Reporter::new().report(&match opened {
        Ok(_) => "opened".to_owned(),
        Err(error) => error.to_string(),
    });
}

#[test]
fn a_directory_below_one_that_may_not_be_read_gets_one_answer() {
    if fs::metadata("/proc/self").map_or(1, |meta| meta.uid()) != 0 {
        note("skipped: needs root, to be somebody else");
        return;
    }
    const NOBODY: u32 = 65534;
    // The directory above may be searched, and written and searched, and not read.
    for (form, mode) in FORMS.into_iter().flat_map(|form| [(form, 0o711), (form, 0o733)]) {
        let root = tempfile::tempdir().unwrap();
        let above = root.path().join("above");
        let own = above.join("own");
        fs::create_dir_all(&own).unwrap();
        std::os::unix::fs::chown(&own, Some(NOBODY), Some(NOBODY)).unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o711)).unwrap();
        fs::set_permissions(&above, fs::Permissions::from_mode(mode)).unwrap();
        let log = match form {
            Form::File => own.join("log"),
            Form::Segmented => own.clone(),
        };
        let mut answers = Vec::new();
        for _ in 0..2 {
            let mut child = command("names::places::opens_a_log", &Place::new(form));
            child.env("WAL_TESTS_PATH", &log).uid(NOBODY).gid(NOBODY);
            let mut child = Process::of(child);
            answers.extend(reports(&mut child));
            child.wait().unwrap();
        }
        assert_eq!(answers, ["opened", "opened"], "{form:?}, {mode:o}");
        fs::set_permissions(&above, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn a_directory_that_may_be_written_and_not_read_gets_one_answer() {
    if fs::metadata("/proc/self").map_or(1, |meta| meta.uid()) != 0 {
        note("skipped: needs root, to be somebody else");
        return;
    }
    const NOBODY: u32 = 65534;
    for form in FORMS {
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o733)).unwrap();
        let mut answers = Vec::new();
        for _ in 0..2 {
            let mut child = command("names::places::opens_a_log", &Place::new(form));
            let path = root.path().join("log");
            child.env("WAL_TESTS_PATH", path).uid(NOBODY).gid(NOBODY);
            let mut child = Process::of(child);
            answers.extend(reports(&mut child));
            child.wait().unwrap();
        }
        assert_eq!(answers, ["opened", "opened"], "{form:?}");
    }
}

/// A backup of hard links shares its files with the log. A writer that opens it is locked out while the log is
/// open, and once it has gone on, the copy says so.
#[test]
fn a_copy_of_hard_links_is_locked_with_its_log() {
    for form in FORMS {
        let place = Place::new(form);
        let (wal, entries) = filled(form, place.path(), 1);
        let copy = place.root().join("copy");
        let link =
            |name: &str, from: &Path, to: &Path| fs::hard_link(from.join(name), to.join(name)).unwrap();
        fs::create_dir_all(copy.join("log")).unwrap();
        let path = match form {
            Form::File => {
                fs::remove_dir(copy.join("log")).unwrap();
                link("log", place.root(), &copy);
                copy.join("log")
            }
            Form::Segmented => {
                for name in tree(&place.path()).into_keys() {
                    link(name.to_str().unwrap(), &place.path(), &copy.join("log"));
                }
                copy.join("log")
            }
        };
        let before = tree(place.root());
        assert_is!(
            form.open(&path, quiet()),
            Err(WalError::Locked { .. }),
            "{form:?}"
        );
        assert_same_files(&before, &tree(place.root()), "a log that is linked");
        let mut entries = entries;
        goes_on(wal, &mut entries, 2);
        match form.open(&path, quiet()) {
            Ok(wal) => assert_eq!(all(&wal), entries, "{form:?}"),
            Err(error) => assert_is!(error, WalError::Corruption(_), "{form:?}: {error}"),
        }
        assert_holds(form, place.path(), &entries, "beside its links");
    }
}
