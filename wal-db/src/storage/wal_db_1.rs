//! The records of the registry's wal-db 1.x, as far as it takes to tell that a file begins with one: a CRC-32C, a length,
//! and so many bytes. Nothing else of that format is read here.

/// Bytes before the payload of a record.
pub(crate) const HEADER_LEN: u64 = 8;

/// The checksum of a record and the length of its payload, which the checksum covers from here on.
pub(crate) fn header(bytes: [u8; 8]) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = bytes;
    (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]))
}

/// CRC-32C, which no other part of the crate needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crc32c(u32);

impl Crc32c {
    pub(crate) const fn new() -> Self {
        Crc32c(!0)
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |crc, &byte| {
            (crc >> 8) ^ TABLE[usize::from(crc as u8 ^ byte)]
        });
    }

    pub(crate) const fn value(self) -> u32 {
        !self.0
    }
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut bit) = (byte as u32, 0);
        while bit < 8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_has_its_published_check_value_in_any_pieces() {
        for at in 0..9 {
            let mut crc = Crc32c::new();
            let (first, rest) = b"123456789".split_at(at);
            crc.update(first);
            crc.update(rest);
            assert_eq!(crc.value(), 0xe306_9283, "{at}");
        }
    }
}
