//! Limits around a codec: how deep a value may nest and how many elements its sequences and maps may have.
//!
//! No wire format bounds these by itself. A recursive type fed with a run of "some" bytes overflows the
//! stack, and a sequence of values that take no bytes can claim any length. So every serde call goes through
//! an adapter that counts, and the same limits hold when an event is written: what is stored can be read.
//!
//! * A level is an option, a newtype struct, a sequence, a map, a tuple, a struct, or the fields of an enum
//!   variant (of the top-level event: of its variant). [`MAX_DEPTH`] levels are allowed.
//! * An element is an entry of a sequence or map; fields are not, since the type bounds those. Elements that
//!   take bytes never exceed the bytes present, so the limit is their number plus [`SPARE_ELEMENTS`] for
//!   those that do not.
//!
//! A length that the bytes only claim is capped by the elements left before a collection reserves memory for
//! it.

mod de;
mod ser;

use std::cell::Cell;
use std::fmt;

pub(super) use de::Reader;
pub(super) use ser::Writer;

/// Chosen so that the deepest value of an ordinary type fits a thread's stack in a debug build.
pub(super) const MAX_DEPTH: u32 = 128;

/// How many elements an event may have beyond one for each of its bytes.
pub(super) const SPARE_ELEMENTS: usize = 1024;

/// What is left at one place of the value. Depth is per place, elements are shared by the whole value.
#[derive(Clone, Copy)]
pub(super) struct Limits<'b> {
    depth_left: u32,
    elements_left: &'b Cell<usize>,
}

impl<'b> Limits<'b> {
    #[inline]
    pub(super) fn new(elements_left: &'b Cell<usize>) -> Self {
        Limits {
            depth_left: MAX_DEPTH,
            elements_left,
        }
    }

    /// The limits one level further in.
    #[inline]
    fn deeper(self) -> Result<Self, Exceeded> {
        let depth_left = self.depth_left.checked_sub(1).ok_or(Exceeded::Depth)?;
        Ok(Limits { depth_left, ..self })
    }

    #[inline]
    fn take_element(self) -> Result<(), Exceeded> {
        let left = self
            .elements_left
            .get()
            .checked_sub(1)
            .ok_or(Exceeded::Elements)?;
        self.elements_left.set(left);
        Ok(())
    }

    /// No collection is told to expect more than may follow.
    #[inline]
    fn cap(self, hint: Option<usize>) -> Option<usize> {
        hint.map(|hint| hint.min(self.elements_left.get()))
    }
}

/// The limit that a value exceeds; serde's error types take it as their message.
#[derive(Debug, Clone, Copy)]
pub(super) enum Exceeded {
    Depth,
    Elements,
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exceeded::Depth => write!(f, "the value is nested more than {MAX_DEPTH} levels deep"),
            Exceeded::Elements => write!(
                f,
                "the value has more sequence and map elements than bytes, and more than {SPARE_ELEMENTS} beyond them"
            ),
        }
    }
}

impl std::error::Error for Exceeded {}
