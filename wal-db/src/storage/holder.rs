//! Which process has a log open for writing. The kernel knows: nothing is written for it, and nothing of it can be old.

use std::path::Path;

use super::segmented::MANIFEST;
use crate::error::LockHolder;

/// The process that has the log at a path open for writing, if the system tells.
pub(crate) fn writer(log: &Path) -> Option<LockHolder> {
    match log.is_dir() {
        true => holder_of(&log.join(MANIFEST)),
        false => holder_of(log),
    }
}

/// The process that has the file at a path locked, if the system tells.
pub(crate) fn holder_of(path: &Path) -> Option<LockHolder> {
    #[cfg(target_os = "linux")]
    return linux::holder(path);
    #[cfg(not(target_os = "linux"))]
    return {
        let _ = path;
        None
    };
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        fs,
        os::unix::fs::MetadataExt,
        path::Path,
        time::{Duration, SystemTime, UNIX_EPOCH},
    };

    use crate::error::LockHolder;

    pub(super) fn holder(path: &Path) -> Option<LockHolder> {
        let file = fs::metadata(path).ok()?;
        let locks = fs::read_to_string("/proc/locks").ok()?;
        let pid = locks.lines().find_map(|line| {
            let lock = Lock::parse(line)?;
            // Some file systems show another device there than in the metadata of their files.
            let is_it =
                lock.inode == file.ino() && (lock.device == device(&file) || has_open(lock.pid, &file));
            is_it.then_some(lock.pid)
        })?;
        let program = fs::read_to_string(format!("/proc/{pid}/comm")).ok();
        Some(LockHolder {
            pid,
            program: program.map(|name| name.trim_end_matches('\n').to_owned()),
            started: started(pid),
        })
    }

    /// A line of `/proc/locks` about a lock for one alone on a whole file.
    #[derive(Debug, PartialEq, Eq)]
    pub(super) struct Lock {
        pub(super) pid: u32,
        pub(super) device: (u32, u32),
        pub(super) inode: u64,
    }

    impl Lock {
        pub(super) fn parse(line: &str) -> Option<Lock> {
            let mut fields = line.split_ascii_whitespace();
            // Of those that wait, the number is followed by an arrow.
            let (_number, kind, _advisory, mode) =
                (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
            if (kind, mode) != ("FLOCK", "WRITE") {
                return None;
            }
            // Of a process that this one cannot see, it is 0 or negative.
            let pid = fields.next()?.parse().ok().filter(|pid| *pid > 0)?;
            let mut file = fields.next()?.split(':');
            let major = u32::from_str_radix(file.next()?, 16).ok()?;
            let minor = u32::from_str_radix(file.next()?, 16).ok()?;
            Some(Lock {
                pid,
                device: (major, minor),
                inode: file.next()?.parse().ok()?,
            })
        }
    }

    fn device(file: &fs::Metadata) -> (u32, u32) {
        (rustix::fs::major(file.dev()), rustix::fs::minor(file.dev()))
    }

    fn has_open(pid: u32, file: &fs::Metadata) -> bool {
        let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else {
            return false;
        };
        open.flatten()
            .filter_map(|descriptor| fs::metadata(descriptor.path()).ok())
            .any(|its| (its.dev(), its.ino()) == (file.dev(), file.ino()))
    }

    /// When a process was started.
    fn started(pid: u32) -> Option<SystemTime> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name may hold anything, and ends with the last parenthesis; the 22nd field counts from the start of the
        // system.
        let ticks: u64 = stat
            .rsplit_once(')')?
            .1
            .split_ascii_whitespace()
            .nth(19)?
            .parse()
            .ok()?;
        let system = fs::read_to_string("/proc/stat").ok()?;
        let boot: u64 = system
            .lines()
            .find_map(|line| line.strip_prefix("btime "))?
            .trim()
            .parse()
            .ok()?;
        let since_boot = ticks / rustix::param::clock_ticks_per_second().max(1);
        UNIX_EPOCH.checked_add(Duration::from_secs(boot.checked_add(since_boot)?))
    }
}

#[cfg(all(test, target_os = "linux", not(any(wal_loom, wal_shuttle))))]
mod tests {
    use std::{
        fs::File,
        time::{Duration, SystemTime},
    };

    use super::{holder_of, linux::Lock};

    #[test]
    fn the_process_that_has_a_file_locked_is_found_and_no_other() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a file");
        let file = File::create(&path).expect("a file");
        assert_eq!(holder_of(&path), None);
        file.lock().expect("a lock");
        let other = dir.path().join("another file");
        File::create(&other).expect("a file").lock().expect("a lock");
        let holder = holder_of(&path).expect("a holder");
        assert_eq!(holder.pid, std::process::id());
        let age = SystemTime::now().duration_since(holder.started.expect("a time"));
        // The start is rounded, and this may be the first second.
        assert!(
            age.is_ok_and(|age| age < Duration::from_secs(86_400)),
            "{holder:?}"
        );
        assert!(holder.program.is_some_and(|program| !program.is_empty()));
        file.unlock().expect("no lock");
        assert_eq!(holder_of(&path), None);
        assert_eq!(holder_of(&dir.path().join("nothing")), None);
    }

    #[test]
    fn locks_that_wait_or_are_of_others_are_passed_over() {
        let parse = Lock::parse;
        let lock = Lock {
            pid: 31_326,
            device: (0xfe, 0),
            inode: 10_010_851,
        };
        assert_eq!(
            parse("1: FLOCK  ADVISORY  WRITE 31326 fe:00:10010851 0 EOF"),
            Some(lock)
        );
        for other in [
            "1: -> FLOCK  ADVISORY  WRITE 31326 fe:00:10010851 0 EOF",
            "1: FLOCK  ADVISORY  READ 31326 fe:00:10010851 0 EOF",
            "1: POSIX  ADVISORY  WRITE 31326 fe:00:10010851 0 EOF",
            "1: FLOCK  ADVISORY  WRITE 0 fe:00:10010851 0 EOF",
            "1: FLOCK  ADVISORY  WRITE -1 fe:00:10010851 0 EOF",
            "1: FLOCK  ADVISORY  WRITE 31326 <none>:10010851 0 EOF",
            "1: FLOCK  ADVISORY",
            "",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
