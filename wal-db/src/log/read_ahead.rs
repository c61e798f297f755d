//! The thread that reads and checks groups ahead of a long walk.

use bytes::{Bytes, BytesMut};

use crate::{
    format::{self, GROUP_HEADER_LEN, GroupHeader, LogId},
    storage::WalStore,
    sync::{Arc, mpsc, thread},
};

/// How much is read at a time: as long as a block, so that a group seldom begins in one and ends in another.
const CHUNK_LEN: u64 = 512 << 10;

/// A thread that is a few chunks ahead of a walk. It ends with this, at the end of the walk, and at the first group that
/// is damaged, too long for a chunk, or not where it belongs: the walk looks at that itself.
pub(super) struct ReadAhead {
    chunks: mpsc::Receiver<Chunk>,
    /// Memory that is free again.
    emptied: mpsc::Sender<BytesMut>,
    thread: Option<thread::JoinHandle<()>>,
    /// Whether it ever had a chunk.
    pub(super) was_useful: bool,
}

/// Whole groups, one behind the other, each of which matches its header.
struct Chunk {
    start: u64,
    bytes: BytesMut,
}

impl ReadAhead {
    /// Reads from the group at `pos` up to `end`. `None` if there is no thread to be had.
    pub(super) fn start(store: Arc<dyn WalStore>, log: LogId, pos: u64, end: u64) -> Option<ReadAhead> {
        // One chunk waits while another is read.
        let (full, chunks) = mpsc::sync_channel(1);
        let (emptied, empty) = mpsc::channel();
        let mut reader = Reader {
            store,
            log,
            pos,
            end,
            rest: Vec::new(),
        };
        let run = move || {
            while let Some(chunk) = reader.read(empty.try_recv().unwrap_or_default()) {
                if full.send(chunk).is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new()
            .name("wal-reader".to_owned())
            .spawn(run)
            .ok()?;
        Some(ReadAhead {
            chunks,
            emptied,
            thread: Some(thread),
            was_useful: false,
        })
    }

    /// The chunk that starts at `pos`. `None` if the thread does not have it, and will not have any other.
    ///
    /// The memory of the chunk before is read into again, unless somebody has a part of it.
    pub(super) fn next(&mut self, pos: u64, before: Bytes) -> Option<Bytes> {
        if let Ok(before) = before.try_into_mut() {
            // It may have read everything already.
            let _ = self.emptied.send(before);
        }
        let chunk = self.chunks.recv().ok().filter(|chunk| chunk.start == pos)?;
        self.was_useful = true;
        Some(chunk.bytes.freeze())
    }
}

impl Drop for ReadAhead {
    /// The thread has let the store go when this ends.
    fn drop(&mut self) {
        // If it waits to hand a chunk over, it learns that nobody takes it.
        (_, self.chunks) = mpsc::sync_channel(1);
        if let Some(thread) = self.thread.take() {
            // If it panicked, in the store, the walk comes to the same place and reads it itself.
            let _ = thread.join();
        }
    }
}

/// What the thread has.
struct Reader {
    store: Arc<dyn WalStore>,
    log: LogId,
    /// The next group.
    pos: u64,
    end: u64,
    /// The beginning of it, if that was read with the chunk before.
    rest: Vec<u8>,
}

impl Reader {
    /// The next groups, in `memory`; `None` if there is none to hand over.
    fn read(&mut self, mut memory: BytesMut) -> Option<Chunk> {
        let start = self.pos;
        let len = CHUNK_LEN.min(self.end.saturating_sub(start)) as usize;
        memory.resize(len, 0);
        let (front, back) = memory.split_at_mut_checked(self.rest.len())?;
        front.copy_from_slice(&self.rest);
        let read = self.store.read_at(start + front.len() as u64, back).ok()?;
        memory.truncate(self.rest.len() + read);

        let whole = self.intact_groups(&memory);
        self.rest.clear();
        self.rest.extend_from_slice(&memory[whole..]);
        memory.truncate(whole);
        self.pos += whole as u64;
        (whole > 0).then_some(Chunk { start, bytes: memory })
    }

    /// How many bytes at the front are whole groups that match their headers.
    fn intact_groups(&self, bytes: &[u8]) -> usize {
        let mut len = 0;
        while let Some(next) = self.intact_group(self.pos + len as u64, &bytes[len..]) {
            len += next;
        }
        len
    }

    /// The length of the group at `pos`, with what is behind it up to the next one.
    fn intact_group(&self, pos: u64, bytes: &[u8]) -> Option<usize> {
        let header = GroupHeader::decode(bytes, pos, self.log).ok()?;
        let content = bytes.get(GROUP_HEADER_LEN..header.len as usize)?;
        let len = usize::try_from(header.next() - pos).ok()?;
        (len <= bytes.len() && format::crc32(content) == header.payload_digest).then_some(len)
    }
}
