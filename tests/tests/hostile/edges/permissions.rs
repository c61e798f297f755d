//! Files and directories that a process may not read, write, search or list.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::{PermissionsExt, chown},
    path::Path,
    process::Command,
};

use wal_db::{Result, Wal, WalConfig, WalError};
use wal_tests::{
    all,
    child::{Reporter, open_here, told, try_open_here},
    files::{FORMS, Form, Place},
    note, put, quiet,
};

use super::{reports, run_after};

/// Somebody who owns nothing else.
const NOBODY: &str = "exec setpriv --reuid=65534 --regid=65534 --clear-groups \"$0\" \"$@\"";

fn config() -> WalConfig {
    quiet().with_staging_bytes(64 << 10)
}

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Whether nobody can be had here, and may run this program.
fn can_be_nobody() -> bool {
    let program = std::env::current_exe().unwrap();
    let shell = Command::new("sh")
        .arg("-c")
        .arg("setpriv --reuid=65534 --regid=65534 --clear-groups test -x \"$0\"")
        .arg(program)
        .output();
    shell.is_ok_and(|output| output.status.success())
}

#[test]
fn whatever_is_forbidden_is_said_and_nothing_is_lost() {
    if !can_be_nobody() {
        note("skipped: needs root, setpriv, and a program that everybody may run");
        return;
    }
    for form in FORMS {
        for (dir, file) in [0o700, 0o300, 0o500, 0o100, 0]
            .iter()
            .flat_map(|&dir| [0o600, 0o400, 0o200, 0].map(|file| (dir, file)))
        {
            let what = format!("{form:?}, directory {dir:o}, files {file:o}");
            let place = Place::fast(form);
            chown(place.root(), Some(65534), Some(65534)).unwrap();
            reports(&run_after(NOBODY, "permissions::makes", &place), &what);
            let around = match form {
                Form::File => place.root().to_owned(),
                Form::Segmented => place.path(),
            };
            let set = |dir, file| {
                allow(&around, 0o700);
                for entry in fs::read_dir(&around).unwrap() {
                    allow(&entry.unwrap().path(), file);
                }
                allow(&around, dir);
            };
            set(dir, file);
            let heard = reports(&run_after(NOBODY, "permissions::uses", &place), &what);
            let fine = ["Ok", "PermissionDenied"];
            assert!(
                heard.len() == 4 && heard.iter().all(|heard| fine.contains(&heard.as_str())),
                "{what}: {heard:?}"
            );
            let all_allowed = dir == 0o700 && file == 0o600;
            assert!(
                !all_allowed || heard.iter().all(|heard| heard == "Ok"),
                "{what}: {heard:?}"
            );
            set(0o700, 0o600);
            assert!(all(&place.open(config()).unwrap()).len() >= 20, "{what}");
        }
    }
}

#[test]
#[ignore = "a process of whatever_is_forbidden_is_said_and_nothing_is_lost"]
fn makes() {
    let wal = open_here(config());
    (0..20).for_each(|i| drop(put(&wal, i, 10_000)));
    wal.close().unwrap();
}

fn uses_it(wal: &Wal) -> Result<()> {
    for i in 0..20 {
        wal.append(&[i; 10_000])?;
    }
    wal.sync()?;
    wal.truncate_before(wal.status().head).map(drop)
}

#[test]
#[ignore = "a process of whatever_is_forbidden_is_said_and_nothing_is_lost"]
fn uses() {
    let reporter = Reporter::new();
    let path = told("WAL_TESTS_PATH");
    let open = || try_open_here(config());
    let outcomes = [
        Wal::open_read_only(&path).map(|wal| assert_eq!(all(&wal).len(), 20)),
        wal_db::recovery::inspect(&path).map(drop),
        wal_db::recovery::salvage(&path).map(drop),
        open().and_then(|wal| uses_it(&wal).and(wal.close())),
    ];
    for outcome in outcomes {
        reporter.report(&match outcome {
            Ok(()) => "Ok".to_owned(),
            Err(WalError::Io { source, .. }) if source.kind() == ErrorKind::PermissionDenied => {
                "PermissionDenied".to_owned()
            }
            Err(other) => format!("{other:?}"),
        });
    }
}
