//! The files of the two copies of the table of cuts, made when the first one is needed.

use std::{ffi::OsStr, io};

use super::fs::{Access, Dir, read_at, write_at};
use crate::{
    for_now::{ForNow, for_good},
    format::{is_zero, table::MAGIC, timeline::MAX_TABLE},
};

/// More than the longest table has.
const MAX_LEN: u64 = MAX_TABLE as u64 * 24 + 64;

/// What is there; nothing if the file is not.
pub(super) fn read(dir: &dyn Dir, name: &OsStr) -> io::Result<Vec<u8>> {
    let file = match dir.open(name, Access::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        file => file?,
    };
    let len = usize::try_from(file.len()?.min(MAX_LEN)).unwrap_or(0);
    let mut bytes = vec![0; len];
    let read = read_at(&*file, 0, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Replaces what is there, durably; something that is no table is not touched.
pub(super) fn write(dir: &dyn Dir, name: &OsStr, bytes: &[u8]) -> io::Result<()> {
    let file = dir.open(name, Access::Create).map_err(ForNow::error)?;
    let mut start = [0; MAGIC.len()];
    let read = read_at(&*file, 0, &mut start)?;
    if start != MAGIC && !is_zero(&start[..read]) {
        let what = "the log keeps its table of cuts under a name that something else has";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
    }
    write_at(&*file, 0, bytes)?;
    file.set_len(bytes.len() as u64)?;
    file.sync_all()?;
    // The process that made the name may have died, or met a full disk, before it was durable.
    for_good(dir.sync())
}
