//! Schema records: the link in front, how to find the one before, and the schema itself. See `docs/format.md`,
//! "Schemas".

pub(crate) const LINK_LEN: usize = 9;

/// Where the schema frame before this one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// There is none.
    None,
    /// In the same set, this many bytes before this frame.
    Back(u64),
    /// In the same set, at this position.
    At(u64),
    /// The last one of the set before, at this position; a new set begins here.
    SetBefore(u64),
}

impl Link {
    pub(crate) fn encode(self) -> [u8; LINK_LEN] {
        let (tag, value) = match self {
            Link::None => (0, 0),
            Link::Back(bytes) => (1, bytes),
            Link::At(pos) => (2, pos),
            Link::SetBefore(pos) => (3, pos),
        };
        let mut bytes = [tag; LINK_LEN];
        bytes[1..].copy_from_slice(&u64::to_le_bytes(value));
        bytes
    }

    /// Splits a payload into its link and the rest. A link never points forward.
    pub(crate) fn parse(payload: &[u8], pos: u64) -> Option<(Link, &[u8])> {
        let (link, rest) = payload.split_first_chunk::<LINK_LEN>()?;
        let (tag, value) = link.split_first()?;
        let value = u64::from_le_bytes(*value.first_chunk()?);
        let link = match tag {
            0 => Link::None,
            1 => Link::Back(value),
            2 => Link::At(value),
            3 => Link::SetBefore(value),
            _ => return None,
        };
        let is_before = match link {
            Link::None => true,
            Link::Back(bytes) => 0 < bytes && bytes <= pos,
            Link::At(before) | Link::SetBefore(before) => before < pos,
        };
        is_before.then_some((link, rest))
    }

    /// The position of the frame before the one at `pos`, and whether it belongs to the same set.
    pub(crate) fn before(self, pos: u64) -> Option<(u64, bool)> {
        match self {
            Link::None => None,
            Link::Back(bytes) => Some((pos - bytes, true)),
            Link::At(before) => Some((before, true)),
            Link::SetBefore(before) => Some((before, false)),
        }
    }
}

/// What comes after the link: the schema of a type and version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SchemaRecord<'a> {
    pub(crate) type_id: u32,
    pub(crate) version: u16,
    pub(crate) name: &'a str,
    pub(crate) shape: &'a str,
}

impl<'a> SchemaRecord<'a> {
    /// `None` if it is not a schema record, or a later release wrote it in another way.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (type_id, rest) = bytes.split_first_chunk()?;
        let (version, rest) = rest.split_first_chunk()?;
        let (name_len, rest) = rest.split_first_chunk()?;
        let (name, shape) = rest.split_at_checked(usize::from(u16::from_le_bytes(*name_len)))?;
        Some(SchemaRecord {
            type_id: u32::from_le_bytes(*type_id),
            version: u16::from_le_bytes(*version),
            name: str::from_utf8(name).ok()?,
            shape: str::from_utf8(shape).ok()?,
        })
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + self.name.len() + self.shape.len());
        bytes.extend_from_slice(&self.type_id.to_le_bytes());
        bytes.extend_from_slice(&self.version.to_le_bytes());
        let name_len = u16::try_from(self.name.len()).unwrap_or(u16::MAX);
        bytes.extend_from_slice(&name_len.to_le_bytes());
        bytes.extend_from_slice(&self.name.as_bytes()[..usize::from(name_len)]);
        bytes.extend_from_slice(self.shape.as_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schema_records_round_trip_and_every_prefix_is_handled() {
        let stored = SchemaRecord {
            type_id: 7,
            version: 3,
            name: "bank.opened",
            shape: "{id: u64}",
        };
        let bytes = stored.encode();
        assert_eq!(SchemaRecord::parse(&bytes), Some(stored));
        for len in 0..8 + stored.name.len() {
            assert_eq!(SchemaRecord::parse(&bytes[..len]), None, "{len} bytes");
        }
    }

    #[test]
    fn links_round_trip_and_never_point_forward() {
        for link in [Link::None, Link::Back(40), Link::At(960), Link::SetBefore(0)] {
            let payload = [&link.encode()[..], b"rest"].concat();
            assert_eq!(Link::parse(&payload, 1000), Some((link, &b"rest"[..])));
        }
        for link in [
            Link::Back(0),
            Link::Back(1001),
            Link::At(1000),
            Link::SetBefore(u64::MAX),
        ] {
            assert_eq!(Link::parse(&link.encode(), 1000), None, "{link:?}");
        }
        assert_eq!(Link::parse(&[4; LINK_LEN], 1000), None);
        assert_eq!(Link::parse(&[0; LINK_LEN - 1], 1000), None);
    }
}
