//! Calls of the simulated disk that fail, and the system's numbers of their errors.

use wal_db::{
    Wal,
    testing::sim::{AfterFailedSync, Call, Fault, SimDisk},
};

/// A disk that is broken.
pub const EIO: i32 = 5;
/// No permission.
pub const EACCES: i32 = 13;
/// Too many open files.
pub const EMFILE: i32 = 24;
/// A disk that is full.
pub const ENOSPC: i32 = 28;
/// A file system for reading only.
pub const EROFS: i32 = 30;

/// What is called for files beside a log.
pub const BESIDE_A_LOG: [Call; 8] = [
    Call::Open,
    Call::CreateDir,
    Call::Rename,
    Call::Remove,
    Call::SyncDir,
    Call::Write,
    Call::Sync,
    Call::Read,
];

/// One call fails: of this kind, or of any, after so many that succeed.
pub fn once(call: impl Into<Option<Call>>, after: u64, error: i32) -> Option<Fault> {
    Some(Fault {
        call: call.into(),
        after,
        error,
        forever: false,
    })
}

/// As [`once`], and so do all that come later.
pub fn from_then_on(call: impl Into<Option<Call>>, after: u64, error: i32) -> Option<Fault> {
    let forever = true;
    once(call, after, error).map(|fault| Fault { forever, ..fault })
}

/// A flush of the log fails, some of what it should have flushed has arrived and the rest is gone from the cache; then
/// the process dies. What is left, with nothing that fails.
pub fn dies_of_a_failed_flush(disk: &SimDisk, wal: &Wal) -> SimDisk {
    disk.behave(|disk| {
        disk.after_failed_sync = AfterFailedSync::Reverted;
        disk.fault = once(Call::Sync, 0, EIO);
    });
    assert!(wal.sync().is_err());
    let disk = disk.kill();
    disk.heal();
    disk
}
