//! The link in front of a schema frame's payload: how to find the frames before it. See `docs/format.md`, "Schemas".

/// Bytes of a link.
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
        let behind = match link {
            Link::None => true,
            Link::Back(bytes) => 0 < bytes && bytes <= pos,
            Link::At(before) | Link::SetBefore(before) => before < pos,
        };
        behind.then_some((link, rest))
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

#[cfg(test)]
mod tests {
    use super::*;

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
