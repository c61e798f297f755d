//! Writes logs as another implementation might: what is changed of a log is given checksums that are right again, from
//! `docs/format.md` alone.

use wal_tests::files::{GROUP_HEADER, Group, Place, patch_group};

/// A group as it will be written: header, frames and padding.
pub(crate) struct Forged {
    pub(crate) bytes: Vec<u8>,
    pos: u64,
    log: Vec<u8>,
}

/// A frame of a group that is being forged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    /// Where it starts in the group.
    pub(crate) at: usize,
    pub(crate) len: usize,
}

impl Forged {
    pub(crate) fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.bytes[at..at + 4].try_into().unwrap())
    }

    pub(crate) fn put_u32(&mut self, at: usize, value: u32) {
        self.bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn put_u64(&mut self, at: usize, value: u64) {
        self.bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn frames(&self) -> Vec<Frame> {
        let (mut frames, mut at) = (Vec::new(), GROUP_HEADER as usize);
        while at < self.u32(16) as usize {
            let len = self.u32(at + 4) as usize & 0x0fff_ffff;
            frames.push(Frame { at, len });
            at += (8 + len).next_multiple_of(8);
        }
        frames
    }

    /// Gives a frame another kind and another *more*, and the checksum that belongs to it in the group's epoch.
    pub(crate) fn seal(&mut self, frame: Frame, kind: u32, more: bool) {
        let word = frame.len as u32 | kind << 28 | u32::from(more) << 31;
        let payload = &self.bytes[frame.at + 8..][..frame.len];
        let content = if kind == 4 { 0 } else { crc32fast::hash(payload) };
        let key = key(&self.log, self.u32(32));
        self.put_u32(frame.at, content ^ place(key, self.pos + frame.at as u64, word));
        self.put_u32(frame.at + 4, word);
    }
}

fn mix(mut x: u64) -> u64 {
    x ^= x >> 33;
    x = x.wrapping_mul(0xff51_afd7_ed55_8ccd);
    x ^= x >> 33;
    x = x.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ x >> 33
}

fn key(log: &[u8], epoch: u32) -> u64 {
    let half = |at: usize| u64::from_le_bytes(log[at..at + 8].try_into().unwrap());
    mix(mix(mix(half(0)).wrapping_add(half(8))).wrapping_add(epoch.into()))
}

fn place(key: u64, pos: u64, word: u32) -> u32 {
    let factor = 0xff51_afd7_ed55_8ccd ^ u64::from(word) << 16;
    let product = u128::from(key ^ pos) * u128::from(factor);
    let folded = (product >> 64) as u64 ^ product as u64;
    (folded >> 32) as u32 ^ folded as u32
}

/// Writes every group of a closed log again as `change` makes it, and the manifest that belongs to them as `manifest`
/// makes it.
pub(crate) fn forge(place: &Place, mut change: impl FnMut(usize, &mut Forged), manifest: impl Fn(&mut [u8])) {
    let log = std::fs::read(place.manifest()).unwrap()[24..40].to_vec();
    let (mut chain, mut last) = (0, 0);
    for (n, Group { pos, len }) in place.groups().into_iter().enumerate() {
        let next = (pos + len).next_multiple_of(512);
        let mut group = Forged {
            bytes: place.stream(pos, next - pos),
            pos,
            log: log.clone(),
        };
        change(n, &mut group);
        let digest = crc32fast::hash(&group.bytes[GROUP_HEADER as usize..len as usize]);
        group.put_u32(48, digest);
        group.put_u32(36, chain);
        patch_group(&log, pos, &mut group.bytes[..GROUP_HEADER as usize], |_| {});
        (chain, last) = (group.u32(0), pos);
        place.overwrite(pos, &group.bytes);
    }
    for slot in 0..2 {
        place.patch_manifest(slot, |bytes| {
            let before = u64::from_le_bytes(bytes[96..104].try_into().unwrap());
            assert_eq!(
                before, last,
                "the mark of a closed log comes after its last group"
            );
            bytes[104..108].copy_from_slice(&chain.to_le_bytes());
            manifest(bytes);
        });
    }
}
