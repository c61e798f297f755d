//! The name of a file is durable when its directory was flushed. strace shows which directories are, before the first
//! acknowledgement.

use std::path::{Path, PathBuf};

use wal_tests::files::{FORMS, Form, Place};

use super::traced::{Run, Tracing, lacks_strace};

/// A worker that appends one record, and the flushes of these directories.
fn flushes(path: &Path, form: Form, directories: &[PathBuf], how: &str) -> Run {
    let tracing = Tracing {
        call: "fsync",
        paths: directories,
        how,
    };
    tracing.run("worker::appends_one_record", path, form, 0)
}

/// Whether a directory was flushed before the record was acknowledged, which is all that this worker does.
fn assert_flushed(run: &Run, directory: &Path) {
    let name = format!("<{}>)", directory.display());
    let flushed = run
        .calls
        .iter()
        .any(|call| call.contains(&name) && call.ends_with("= 0"));
    assert!(
        run.ended && flushed,
        "{}: {} is not flushed: {:?}",
        run.what,
        directory.display(),
        run.calls
    );
}

/// From the one that was there to the one that holds the files.
fn directories(root: &Path, path: &Path, form: Form) -> Vec<PathBuf> {
    let below = if form == Form::File {
        path.parent().unwrap()
    } else {
        path
    };
    let mut directories: Vec<_> = below
        .ancestors()
        .take_while(|dir| dir.starts_with(root))
        .map(Path::to_owned)
        .collect();
    directories.reverse();
    directories
}

#[test]
fn every_directory_that_gets_a_name_is_flushed() {
    if lacks_strace() {
        return;
    }
    for (form, names) in [
        (Form::File, "log"),
        (Form::Segmented, "log"),
        (Form::Segmented, "made/with/the/log"),
    ] {
        let place = Place::fast(form);
        let path = place.root().join(names);
        let directories = directories(place.root(), &path, form);
        let run = flushes(&path, form, &directories, "");
        directories
            .iter()
            .for_each(|directory| assert_flushed(&run, directory));
    }
}

/// A process dies before it has flushed a directory; the next one acknowledges a record whose file has no durable name.
#[test]
fn a_name_that_was_not_flushed_is_flushed_when_the_log_is_opened_again() {
    if lacks_strace() {
        return;
    }
    for form in FORMS {
        let place = Place::fast(form);
        let path = place.path();
        let directories = directories(place.root(), &path, form);
        let all = flushes(&path, form, &directories, "").calls.len();
        for n in 1..=all.min(4) {
            // The last ones: what comes later flushes the same directory.
            let n = all + 1 - n;
            let place = Place::fast(form);
            let (path, directories) = (place.path(), self::directories(place.root(), &place.path(), form));
            let killed = flushes(&path, form, &directories, &format!("signal=KILL:when={n}"));
            let told = killed.position("durable");
            assert!(!killed.ended && told.is_none(), "{}", killed.what);
            let next = flushes(&path, form, &directories, "");
            directories
                .iter()
                .for_each(|directory| assert_flushed(&next, directory));
        }
    }
}
