//! The hash of shapes.

/// FNV-1a, 64 bits, in constants.
#[derive(Debug, Clone, Copy)]
pub struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Fnv::new()
    }
}

impl Fnv {
    /// The hash of nothing.
    #[must_use]
    pub const fn new() -> Self {
        Fnv(0xcbf2_9ce4_8422_2325)
    }

    /// The hash of a text.
    #[must_use]
    pub const fn of(text: &str) -> u64 {
        Fnv::new().text(text).0
    }

    /// The hash of what was added.
    #[must_use]
    pub const fn finish(self) -> u64 {
        self.0
    }

    /// Adds a byte.
    #[must_use]
    pub const fn byte(self, byte: u8) -> Self {
        Fnv((self.0 ^ byte as u64).wrapping_mul(0x0000_0100_0000_01b3))
    }

    /// Adds a text.
    #[must_use]
    pub const fn text(mut self, text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut i = 0;
        while i < bytes.len() {
            self = self.byte(bytes[i]);
            i += 1;
        }
        self
    }

    /// Adds a number in decimal.
    #[must_use]
    pub const fn number(self, number: usize) -> Self {
        let fnv = if number >= 10 {
            self.number(number / 10)
        } else {
            self
        };
        fnv.byte(b'0' + (number % 10) as u8)
    }

    /// Adds a name as it stands in the text: as it is if it is a plain word, quoted otherwise.
    #[must_use]
    pub const fn name(self, name: &str) -> Self {
        if is_plain(name) {
            self.text(name)
        } else {
            self.quoted(name)
        }
    }

    /// Adds a name in quotes.
    #[must_use]
    pub const fn quoted(self, text: &str) -> Self {
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
        assert_eq!(Fnv::of(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(Fnv::of("foobar"), 0x8594_4171_f739_67e8);
    }
}
