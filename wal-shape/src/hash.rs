//! The hash of shapes.

/// The fingerprint of the shape with this text: FNV-1a, 64 bits.
#[must_use]
pub const fn fingerprint(text: &str) -> u64 {
    Fnv::new().text(text).finish()
}

/// FNV-1a, 64 bits, in constants.
#[derive(Clone, Copy)]
pub(crate) struct Fnv(u64);

impl Fnv {
    pub(crate) const fn new() -> Self {
        Fnv(0xcbf2_9ce4_8422_2325)
    }

    pub(crate) const fn finish(self) -> u64 {
        self.0
    }

    pub(crate) const fn byte(self, byte: u8) -> Self {
        Fnv((self.0 ^ byte as u64).wrapping_mul(0x0000_0100_0000_01b3))
    }

    pub(crate) const fn text(mut self, text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut i = 0;
        while i < bytes.len() {
            self = self.byte(bytes[i]);
            i += 1;
        }
        self
    }

    /// Adds a number in decimal.
    pub(crate) const fn number(self, number: usize) -> Self {
        let fnv = if number >= 10 {
            self.number(number / 10)
        } else {
            self
        };
        fnv.byte(b'0' + (number % 10) as u8)
    }

    /// Adds a name as it stands in the text: as it is if it is a plain word, quoted otherwise.
    pub(crate) const fn name(self, name: &str) -> Self {
        if is_plain(name) {
            self.text(name)
        } else {
            self.quoted(name)
        }
    }

    pub(crate) const fn quoted(self, text: &str) -> Self {
        let mut fnv = self.byte(b'"');
        let bytes = text.as_bytes();
        let mut i = 0;
        while i < bytes.len() {
            fnv = match bytes[i] {
                b'\n' => fnv.text("\\n"),
                special @ (b'"' | b'\\') => fnv.byte(b'\\').byte(special),
                byte => fnv.byte(byte),
            };
            i += 1;
        }
        fnv.byte(b'"')
    }
}

/// Whether a name needs no quotes in the text of a shape.
pub(crate) const fn is_plain(name: &str) -> bool {
    let bytes = name.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        if !(bytes[i].is_ascii_alphanumeric() || bytes[i] == b'_') {
            return false;
        }
        i += 1;
    }
    !bytes.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_the_published_fnv_1a_vectors() {
        assert_eq!(fingerprint(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fingerprint("foobar"), 0x8594_4171_f739_67e8);
    }
}
