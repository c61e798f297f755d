//! The file behind staging memory: whose it is, and what a process left in it. Nothing here is unsafe, for nothing here
//! is in use.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
};

use crate::format::{Fields, LogId, SECTOR};

/// Where the ring starts in a staging file.
pub(super) const STAGING_HEADER_LEN: u64 = 4096;
pub(super) const RELEASED_AT: usize = 512;
pub(super) const DURABLE_AT: usize = 1024;
pub(super) const MAGIC: [u8; 8] = *b"WALDBSTG";
pub(super) const USED: usize = 64;

/// Says whose staging memory a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StagingHeader {
    pub(crate) log: LogId,
    pub(crate) boot: Option<[u8; 16]>,
    pub(crate) epoch: u32,
    pub(crate) capacity: u64,
    /// The log was closed: everything behind the header is zero.
    pub(crate) clean: bool,
}

impl StagingHeader {
    #[cfg_attr(loom, allow(dead_code))] // nothing is mapped under loom
    pub(super) fn encode(&self) -> [u8; USED] {
        let mut bytes = [0; USED];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..24].copy_from_slice(&self.log.0);
        bytes[24..40].copy_from_slice(&self.boot.unwrap_or_default());
        bytes[40..44].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[44] = u8::from(self.clean);
        bytes[48..56].copy_from_slice(&self.capacity.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes.first_chunk::<USED>()?);
        let intact =
            fields.take::<8>() == MAGIC && crc32fast::hash(&bytes[..60]).to_le_bytes() == bytes[60..64];
        let log = LogId(fields.take());
        let boot: [u8; 16] = fields.take();
        let (epoch, flags, capacity) = (fields.u32(), fields.u32(), fields.u64());
        let boot = (boot != [0; 16]).then_some(boot);
        let header = StagingHeader {
            log,
            boot,
            epoch,
            capacity,
            clean: flags == 1,
        };
        (intact && capacity.is_power_of_two()).then_some(header)
    }
}

/// What a process left in its staging file.
pub(crate) struct Leftover {
    pub(crate) header: StagingHeader,
    /// Everything before it is in the store, as far as the process got.
    pub(crate) released: u64,
    /// Everything before it is durable, if the process got to say so.
    pub(crate) durable: Option<u64>,
    pub(super) ring: Vec<u8>,
}

impl Leftover {
    /// Whose memory it is, and how far it says that the log is durable, while its process may be at work.
    pub(crate) fn peek(file: &File) -> io::Result<Option<(StagingHeader, Option<u64>)>> {
        let mut reader = file;
        reader.seek(SeekFrom::Start(0))?;
        let mut head = vec![0; STAGING_HEADER_LEN as usize];
        match reader.read_exact(&mut head) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            result => result?,
        }
        let word = |at: usize| Fields(&head[at..]).u64();
        let durable = Some(word(DURABLE_AT)).filter(|value| word(DURABLE_AT + 8) == !value);
        Ok(StagingHeader::decode(&head).map(|header| (header, durable)))
    }

    /// Reads a staging file; `None` if it is not one.
    pub(crate) fn read(file: &File) -> io::Result<Option<Leftover>> {
        let len = file.metadata()?.len();
        let mut reader = file;
        reader.seek(SeekFrom::Start(0))?;
        let mut head = vec![0; STAGING_HEADER_LEN as usize];
        if len < STAGING_HEADER_LEN || reader.read_exact(&mut head).is_err() {
            return Ok(None);
        }
        let Some(header) = StagingHeader::decode(&head) else {
            return Ok(None);
        };
        if header.capacity > len - STAGING_HEADER_LEN || header.capacity < SECTOR {
            return Ok(None);
        }
        let word = |at: usize| Fields(&head[at..]).u64();
        let durable = Some(word(DURABLE_AT)).filter(|value| word(DURABLE_AT + 8) == !value);
        // Between the two stores a dead process leaves the old complement, which is as good: what was released last is zero
        // and nothing was claimed in its place. Anything else is damage, and then nothing here can be used.
        let (released, before) = (word(RELEASED_AT), !word(RELEASED_AT + 8));
        if released
            .checked_sub(before)
            .is_none_or(|step| step > header.capacity.max(1 << 32))
        {
            return Ok(None);
        }
        let released = before;
        if header.clean {
            return Ok(Some(Leftover {
                header,
                released,
                durable,
                ring: Vec::new(),
            }));
        }
        let mut ring = vec![0; header.capacity as usize];
        reader.read_exact(&mut ring)?;
        Ok(Some(Leftover {
            header,
            released,
            durable,
            ring,
        }))
    }

    /// The position up to which the ring can hold anything.
    pub(crate) fn end(&self) -> u64 {
        self.released.saturating_add(self.header.capacity)
    }

    /// The bytes at a position, up to the end of the lap.
    pub(crate) fn at(&self, pos: u64) -> &[u8] {
        &self.ring[(pos & (self.header.capacity - 1)) as usize..]
    }
}

/// Whether the ring in `file` is of the right size, and zero because a process of this boot closed its log and left it
/// so. What the file held before the machine went down is not known.
#[cfg_attr(loom, allow(dead_code))] // as above
pub(super) fn is_zero_already(file: &File, len: u64, header: &StagingHeader) -> io::Result<bool> {
    let mut bytes = [0; USED];
    let mut reader = file;
    reader.seek(SeekFrom::Start(0))?;
    if file.metadata()?.len() != STAGING_HEADER_LEN + len || reader.read_exact(&mut bytes).is_err() {
        return Ok(false);
    }
    let left = StagingHeader::decode(&bytes);
    Ok(left.is_some_and(|left| {
        left.clean && left.capacity == len && left.boot.is_some() && left.boot == header.boot
    }))
}

#[cfg_attr(loom, allow(dead_code))] // as above
pub(super) fn write_zeros(file: &File, len: u64) -> io::Result<()> {
    file.set_len(len)?;
    let (mut writer, zeros) = (file, vec![0; 1 << 20]);
    writer.seek(SeekFrom::Start(0))?;
    let mut left = len as usize;
    while left > 0 {
        let part = left.min(zeros.len());
        writer.write_all(&zeros[..part])?;
        left -= part;
    }
    Ok(())
}
