//! The bytes of a simulated file, cheap to copy: copies share what they have in common.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

const CHUNK: usize = 4096;

/// The bytes of a file. What was never written reads as zero and takes no memory.
#[derive(Clone, Default)]
pub struct Content {
    len: usize,
    /// Zeros where there is none.
    chunks: Vec<Option<Arc<Chunk>>>,
}

#[derive(Clone)]
struct Chunk {
    bytes: [u8; CHUNK],
    hash: OnceLock<u64>,
}

impl Content {
    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Copies what is there at `pos` to `buf`; returns how much that is.
    pub fn read(&self, pos: usize, buf: &mut [u8]) -> usize {
        let len = buf.len().min(self.len.saturating_sub(pos));
        for (chunk, from, part) in parts(pos, len) {
            let target = &mut buf[part];
            match self.chunks.get(chunk).and_then(Option::as_ref) {
                Some(there) => target.copy_from_slice(&there.bytes[from..from + target.len()]),
                None => target.fill(0),
            }
        }
        len
    }

    /// A part of it, with zeros after its end.
    #[must_use]
    pub fn part(&self, pos: usize, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.read(pos, &mut bytes);
        bytes
    }

    /// All of it.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        self.part(0, self.len)
    }

    /// Writes `bytes` at `pos`; it grows with zeros.
    pub fn write(&mut self, pos: usize, bytes: &[u8]) {
        self.len = self.len.max(pos + bytes.len());
        for (chunk, from, part) in parts(pos, bytes.len()) {
            let source = &bytes[part];
            self.change(chunk)[from..from + source.len()].copy_from_slice(source);
        }
    }

    /// Makes the bytes from `start` to `end` zero; the length stays.
    pub fn clear(&mut self, start: usize, end: usize) {
        for (chunk, from, part) in parts(start, end.min(self.len).saturating_sub(start)) {
            if part.len() == CHUNK {
                if let Some(there) = self.chunks.get_mut(chunk) {
                    *there = None;
                }
            } else if self.chunks.get(chunk).is_some_and(Option::is_some) {
                self.change(chunk)[from..from + part.len()].fill(0);
            }
        }
    }

    /// Cuts it off, or makes it longer with zeros.
    pub fn set_len(&mut self, len: usize) {
        if len < self.len {
            self.clear(len, self.len);
            self.chunks.truncate(len.div_ceil(CHUNK));
        }
        self.len = len;
    }

    /// A number that two contents share by chance only.
    #[must_use]
    pub fn hash(&self) -> u64 {
        let chunks = self.chunks.iter().enumerate();
        let chunks = chunks.filter_map(|(i, chunk)| Some((i as u64, chunk.as_ref()?.hash())));
        chunks
            .filter(|(_, hash)| *hash != 0)
            .fold(mix(self.len as u64, 1), |all, (i, hash)| mix(mix(all, i), hash))
    }

    fn change(&mut self, chunk: usize) -> &mut [u8; CHUNK] {
        if self.chunks.len() <= chunk {
            self.chunks.resize(chunk + 1, None);
        }
        let empty = || {
            Arc::new(Chunk {
                bytes: [0; CHUNK],
                hash: OnceLock::new(),
            })
        };
        let chunk = Arc::make_mut(self.chunks[chunk].get_or_insert_with(empty));
        chunk.hash = OnceLock::new();
        &mut chunk.bytes
    }
}

impl Chunk {
    /// 0 for zeros.
    fn hash(&self) -> u64 {
        *self.hash.get_or_init(|| {
            if self.bytes.iter().all(|&byte| byte == 0) {
                return 0;
            }
            let mut lanes = [1_u64, 2, 3, 4];
            for block in self.bytes.chunks_exact(32) {
                for (lane, word) in lanes.iter_mut().zip(block.chunks_exact(8)) {
                    let word = word.try_into().map_or(0, u64::from_le_bytes);
                    *lane = mix(*lane, word);
                }
            }
            lanes.into_iter().fold(5, mix).max(1)
        })
    }
}

impl PartialEq for Content {
    fn eq(&self, other: &Content) -> bool {
        self.len == other.len && self.to_vec() == other.to_vec()
    }
}

impl Eq for Content {}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len)
    }
}

/// A range by chunk: (chunk, offset in it, range of the whole).
fn parts(pos: usize, len: usize) -> impl Iterator<Item = (usize, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = pos + done;
        let part = (CHUNK - at % CHUNK).min(len - done);
        let range = done..done + part;
        done += part;
        (part > 0).then_some((at / CHUNK, at % CHUNK, range))
    })
}

pub(super) fn mix(hash: u64, word: u64) -> u64 {
    (hash ^ word)
        .wrapping_mul(0xFF51_AFD7_ED55_8CCD)
        .rotate_left(29)
        .wrapping_mul(0xC4CE_B9FE_1A85_EC53)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_row_of_bytes_would() {
        let (mut content, mut row) = (Content::default(), Vec::new());
        let mut number = 1_u64;
        for _ in 0..2000 {
            number = mix(number, 7);
            let (pos, len) = (number as usize % 20_000, (number >> 32) as usize % 9000);
            match number >> 61 {
                0..=3 => {
                    let bytes = vec![number as u8; len];
                    row.resize(row.len().max(pos + len), 0);
                    row[pos..pos + len].copy_from_slice(&bytes);
                    content.write(pos, &bytes);
                }
                4..=5 => {
                    let end = (pos + len).min(row.len());
                    row[pos.min(end)..end].fill(0);
                    content.clear(pos, pos + len);
                }
                _ => {
                    row.resize(pos, 0);
                    content.set_len(pos);
                }
            }
            assert_eq!(content.to_vec(), row);
            let mut again = Content::default();
            again.write(0, &row);
            assert_eq!((again.hash(), &again), (content.hash(), &content));
        }
    }
}
