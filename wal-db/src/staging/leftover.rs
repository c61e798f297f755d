//! The file of staging memory: whose it is, and what a process left in it. Nothing here is unsafe, because nothing here
//! is in use.

use std::{
    fs::{File, Metadata},
    io::{self, Read, Seek, SeekFrom, Write},
};

use crate::{
    format::{
        LogId, is_zero,
        staging::{STAGING_HEADER_LEN, StagingHeader, USED, is_one, words},
    },
    storage::sys::check_end,
};

pub(crate) struct Leftover {
    pub(crate) header: StagingHeader,
    /// Everything before it is in the store, as far as the process got.
    pub(crate) released: u64,
    /// Everything before it is durable, if the process got to say so.
    pub(crate) durable: Option<u64>,
    /// Where in the stream starts what was read of the ring.
    from: u64,
    bytes: Vec<u8>,
}

pub(crate) enum Found {
    /// Nothing, or what the making of a staging file leaves when the machine goes down.
    Nothing,
    /// What a process has left, and `ours` has taken.
    Ours(Leftover),
    /// A staging file that `ours` did not take, or one that is damaged.
    Ignored,
    /// Something else, that is not to be touched.
    Foreign,
}

impl Leftover {
    /// Looks at what is under the name of `log`'s staging file, and reads it. Nothing but its first 4 KiB is read, and
    /// nothing is allocated, before `ours` has taken the header.
    pub(crate) fn find(file: &File, log: LogId, ours: impl Fn(&StagingHeader) -> bool) -> io::Result<Found> {
        let mut found = Self::find_header(file, log, ours)?;
        if let Found::Ours(leftover) = &mut found {
            leftover.read_on(file, leftover.header.capacity)?;
        }
        Ok(found)
    }

    /// As [`find`](Self::find), and reads nothing of the ring.
    pub(crate) fn find_header(
        file: &File,
        log: LogId,
        ours: impl Fn(&StagingHeader) -> bool,
    ) -> io::Result<Found> {
        let len = file.metadata()?.len();
        let head = read_head(file)?;
        if len == 0 {
            return Ok(Found::Nothing);
        }
        if !is_one(&head, len, Some(log)) {
            return Ok(Found::Foreign);
        }
        if is_zero(&head) {
            return Ok(Found::Nothing);
        }
        let header = StagingHeader::decode(&head);
        if header.is_some_and(|header| header.clean) {
            return Ok(Found::Nothing);
        }
        let Some(header) = header.filter(|header| ours(header)) else {
            return Ok(Found::Ignored);
        };
        if len < STAGING_HEADER_LEN || header.capacity > len - STAGING_HEADER_LEN {
            return Ok(Found::Ignored);
        }
        let (Some(released), durable) = words(&head, &header) else {
            return Ok(Found::Ignored);
        };
        Ok(Found::Ours(Leftover {
            header,
            released,
            durable,
            from: released,
            bytes: Vec::new(),
        }))
    }

    /// Forgets what was read of the ring: it is to be read from this position on.
    pub(crate) fn start_at(&mut self, pos: u64) {
        self.from = pos;
        self.bytes.clear();
    }

    /// Whether the ring that was read is still as large as the header said that it is. If not, it was read in the wrong
    /// places, and what it held before is in the store; then this takes over what the header says now.
    ///
    /// # Errors
    /// Also if the file is that of another opening by now, or of none.
    pub(crate) fn is_as_large(&mut self, file: &File) -> io::Result<bool> {
        let head = read_head(file)?;
        let Some(now) = StagingHeader::decode(&head) else {
            // It is being changed.
            return Ok(false);
        };
        let is_same_opening = StagingHeader {
            capacity: self.header.capacity,
            ..now
        } == self.header;
        if !is_same_opening {
            return Err(io::ErrorKind::NotFound.into());
        }
        if now.capacity == self.header.capacity {
            return Ok(true);
        }
        // The position may be read between its one word and the other, and then this is asked again.
        if let (Some(released), _) = words(&head, &now) {
            (self.header, self.released) = (now, released);
        }
        Ok(false)
    }

    /// Reads on in the ring, `len` bytes if there are so many. Returns whether there were any.
    pub(crate) fn read_on(&mut self, file: &File, len: u64) -> io::Result<bool> {
        let mut reader = file;
        let upto = self.end().min(self.read_to().saturating_add(len));
        let any = self.read_to() < upto;
        while self.read_to() < upto {
            let (had, at) = (self.bytes.len(), self.read_to() & (self.header.capacity - 1));
            let part = (upto - self.read_to()).min(self.header.capacity - at) as usize;
            self.bytes.resize(had + part, 0);
            reader.seek(SeekFrom::Start(STAGING_HEADER_LEN + at))?;
            reader.read_exact(&mut self.bytes[had..])?;
        }
        Ok(any)
    }

    pub(crate) fn read_to(&self) -> u64 {
        self.from + self.bytes.len() as u64
    }

    /// The position up to which the ring can hold anything.
    pub(crate) fn end(&self) -> u64 {
        self.released.saturating_add(self.header.capacity)
    }

    pub(crate) fn at(&self, pos: u64) -> &[u8] {
        let offset = pos
            .checked_sub(self.from)
            .and_then(|offset| usize::try_from(offset).ok());
        offset
            .and_then(|offset| self.bytes.get(offset..))
            .unwrap_or_default()
    }
}

/// The start of a file, with zeros where it ends.
fn read_head(file: &File) -> io::Result<Vec<u8>> {
    let mut head = vec![0; STAGING_HEADER_LEN as usize];
    let (mut reader, mut len) = (file, 0);
    reader.seek(SeekFrom::Start(0))?;
    while len < head.len() {
        match reader.read(&mut head[len..]) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(head)
}

/// Whether a process of this boot that closed the same log has left the file, so that its ring is zero, and all of its
/// blocks are there: a copy may lack those that are zero, and a store into one could need space. What the file held
/// before the machine went down is not known.
#[cfg_attr(wal_loom, allow(dead_code))] // as above
pub(crate) fn was_left_clean(file: &File, header: &StagingHeader) -> io::Result<bool> {
    let metadata = file.metadata()?;
    if metadata.len() != STAGING_HEADER_LEN + header.capacity || has_holes(&metadata) {
        return Ok(false);
    }
    let left = StagingHeader::decode(&read_head(file)?);
    Ok(left.is_some_and(|left| {
        left.clean
            && left.log == header.log
            && left.capacity == header.capacity
            && left.boot.is_some()
            && left.boot == header.boot
    }))
}

#[cfg_attr(wal_loom, allow(dead_code))] // as above
fn has_holes(metadata: &Metadata) -> bool {
    #[cfg(unix)]
    return std::os::unix::fs::MetadataExt::blocks(metadata) < metadata.len().div_ceil(512);
    #[cfg(not(unix))]
    {
        let _ = metadata;
        false
    }
}

/// Tells a file from others that are there at the same time.
pub(crate) type FileId = Option<(u64, u64)>;

#[cfg_attr(wal_loom, allow(dead_code))] // as above
pub(crate) fn id_of(file: &File) -> io::Result<FileId> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let metadata = file.metadata()?;
        Ok(Some((metadata.dev(), metadata.ino())))
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        Ok(None)
    }
}

/// Makes the file long enough for a ring of `capacity` bytes: zeros, all of whose blocks are written. If that fails the
/// file is as it was.
pub(crate) fn extend(file: &File, capacity: u64) -> io::Result<()> {
    let len = file.metadata()?.len();
    let missing = (STAGING_HEADER_LEN + capacity).saturating_sub(len);
    write_zeros(file, len, missing).inspect_err(|_| drop(file.set_len(len)))
}

/// Gives back what a ring of `capacity` bytes does not need.
pub(crate) fn shorten(file: &File, capacity: u64) -> io::Result<()> {
    let needed = STAGING_HEADER_LEN + capacity;
    match file.metadata()?.len() > needed {
        true => file.set_len(needed),
        false => Ok(()),
    }
}

/// Fills a new file: its header is on the disk before anything else is, so what the machine leaves of the file when it
/// goes down can be told from somebody else's. All of its blocks are written.
pub(crate) fn fill(file: &File, header: &StagingHeader) -> io::Result<()> {
    let mut page = [0; STAGING_HEADER_LEN as usize];
    page[..USED].copy_from_slice(&header.encode());
    let mut writer = file;
    check_end(STAGING_HEADER_LEN + header.capacity)?;
    file.set_len(0)?;
    writer.seek(SeekFrom::Start(0))?;
    writer.write_all(&page)?;
    file.sync_data()?;
    write_zeros(file, STAGING_HEADER_LEN, header.capacity)
}

fn write_zeros(file: &File, start: u64, len: u64) -> io::Result<()> {
    check_end(start + len)?;
    let mut writer = file;
    writer.seek(SeekFrom::Start(start))?;
    let zeros = [0; PIECE];
    let mut left = len;
    while left > 0 {
        let part = left.min(PIECE as u64);
        writer.write_all(&zeros[..part as usize])?;
        left -= part;
    }
    Ok(())
}

/// The system keeps, maps and writes back as much at a time as was written at a time. Small pieces make the first lap of
/// the ring slower, large ones write back much for a record now and then.
const PIECE: usize = 64 << 10;
