//! The checksums of `docs/format.md`, written from that document and not from the code: what is mended here is what the
//! log takes for its own.

/// CRC-32 of several parts in a row.
pub(super) fn crc(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

/// The checksum of a group's header at `pos`.
pub(super) fn group(log: &[u8; 16], pos: u64, header: &[u8]) -> u32 {
    crc(&[log, &pos.to_le_bytes(), &header[8..64]])
}

/// The checksum of a frame at `pos`, whose bytes 4 to 8 are `word`.
pub(super) fn frame(log: &[u8; 16], epoch: u32, pos: u64, word: u32, payload: &[u8]) -> u32 {
    let payload = match word >> 28 & 7 {
        VOID => 0,
        _ => crc(&[payload]),
    };
    payload ^ place(key(log, epoch), pos, word)
}

const VOID: u32 = 4;
const MIX_1: u64 = 0xff51_afd7_ed55_8ccd;
const MIX_2: u64 = 0xc4ce_b9fe_1a85_ec53;

fn mix(mut x: u64) -> u64 {
    x ^= x >> 33;
    x = x.wrapping_mul(MIX_1);
    x ^= x >> 33;
    x = x.wrapping_mul(MIX_2);
    x ^ (x >> 33)
}

fn key(log: &[u8; 16], epoch: u32) -> u64 {
    let both = u128::from_le_bytes(*log);
    let (a, b) = (both as u64, (both >> 64) as u64);
    mix(mix(mix(a).wrapping_add(b)).wrapping_add(epoch.into()))
}

fn place(key: u64, pos: u64, word: u32) -> u32 {
    let product = u128::from(key ^ pos) * u128::from(MIX_1 ^ u64::from(word) << 16);
    let folded = (product >> 64) as u64 ^ product as u64;
    (folded >> 32) as u32 ^ folded as u32
}
