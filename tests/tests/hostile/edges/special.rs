//! Pipes, sockets, devices, directories and links where a log has, or would make, a file.

use std::{
    fs,
    os::unix::{fs::symlink, net::UnixListener},
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
};

use wal_db::{Wal, WalError};
use wal_tests::{
    PATIENCE,
    files::{FORMS, Form, Place},
    pairs, put, quiet,
};

use super::process::make_pipe;

#[derive(Debug, Clone, Copy)]
enum Thing {
    Pipe,
    Socket,
    Directory,
    Full,
    Null,
    Nowhere,
}

const THINGS: [Thing; 6] = [
    Thing::Pipe,
    Thing::Socket,
    Thing::Directory,
    Thing::Full,
    Thing::Null,
    Thing::Nowhere,
];

fn put_there(thing: Thing, path: &Path) {
    let _ = fs::remove_file(path);
    match thing {
        Thing::Pipe => make_pipe(path),
        Thing::Socket => drop(UnixListener::bind(path).unwrap()),
        Thing::Directory => fs::create_dir(path).unwrap(),
        Thing::Full => symlink("/dev/full", path).unwrap(),
        Thing::Null => symlink("/dev/null", path).unwrap(),
        Thing::Nowhere => symlink("/nowhere/at/all", path).unwrap(),
    }
}

/// The names that a log has or may have, from its path.
fn names(form: Form) -> &'static [&'static str] {
    match form {
        Form::File => &["log", "log.staging", "log.new", "log.cuts-0", "log.cuts-1"],
        Form::Segmented => &[
            "log",
            "log/manifest",
            "log/manifest.new",
            "log/staging",
            "log/cuts-0",
            "log/0000000000.seg",
            "log/0000000001.seg",
            "log/0000000001.seg.new",
            "log/0000000009.seg",
        ],
    }
}

fn within<T: Send + 'static>(what: &str, run: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, told) = mpsc::channel();
    let thread = thread::spawn(move || tell.send(run()));
    match told.recv_timeout(PATIENCE) {
        Ok(outcome) => outcome,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{what}: it hangs"),
        Err(mpsc::RecvTimeoutError::Disconnected) => match thread.join() {
            Err(panic) => panic!("{what}: {:?}", panic.downcast_ref::<String>()),
            Ok(_) => unreachable!("it has told"),
        },
    }
}

#[test]
fn nothing_waits_for_a_pipe_or_changes_what_is_no_file() {
    for form in FORMS {
        for (name, thing) in pairs(names(form), THINGS) {
            for is_new in [true, false] {
                let what = format!("{form:?}, {thing:?} at {name}, new: {is_new}");
                let place = Place::fast(form);
                if is_new {
                    if name.contains('/') {
                        fs::create_dir(place.path()).unwrap();
                    }
                } else {
                    let wal = place.open(quiet()).unwrap();
                    (0..30).for_each(|i| drop(put(&wal, i, 1000)));
                    wal.close().unwrap();
                }
                let at: PathBuf = place.root().join(name);
                if at.is_dir() {
                    continue;
                }
                put_there(thing, &at);
                let kind = fs::symlink_metadata(&at).unwrap().file_type();
                let path = place.path();
                let outcomes = within(&what, move || {
                    let used = form.open(&path, quiet()).and_then(|wal| {
                        (0..30).for_each(|i| drop(wal.append(&[i; 5000])));
                        wal.sync()?;
                        let first = wal.iter()?.next().unwrap()?.lsn();
                        wal.truncate_after(first)?;
                        wal.close()
                    });
                    [
                        used,
                        Wal::open_read_only(&path).and_then(|wal| wal.verify().map(drop)),
                        wal_db::recovery::inspect(&path).map(drop),
                        wal_db::recovery::salvage(&path).map(|salvage| assert!(salvage.count() < 1000)),
                    ]
                });
                let still = fs::symlink_metadata(&at).map(|there| there.file_type());
                assert!(
                    still.is_ok_and(|still| still == kind),
                    "{what}: it is gone; {outcomes:?}"
                );
                let poisoned =
                    |outcome: &wal_db::Result<()>| matches!(outcome, Err(WalError::Poisoned { .. }));
                assert!(!outcomes.iter().any(poisoned), "{what}: {outcomes:?}");
            }
        }
    }
}
