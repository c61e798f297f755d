//! Limits around a codec: how deep a value may nest and how many elements its sequences and maps may have.
//!
//! No wire format bounds these by itself, so every serde call goes through an adapter that counts. The same limits hold
//! when an event is written: what is stored can be read. [`WalRecord`](crate::WalRecord#limits) says what a level is.
//!
//! * An element is an entry of a sequence or map. Elements that take bytes never exceed the bytes present, so the limit
//!   is their number plus [`SPARE_ELEMENTS`] for those that do not.
//!
//! A length that the bytes only claim is capped before a collection reserves memory for it: all that collections are
//! told to expect is no more together than the value has bytes. Honest lengths never come to more.

mod de;

use std::cell::Cell;
use std::fmt;

use super::{
    codec::CodecError,
    guarded::{Holder, Rule},
};

pub(super) use de::Reader;

/// Chosen so that the deepest value of an ordinary type fits a thread's stack in a debug build.
pub(super) const MAX_DEPTH: u32 = 128;

/// How many elements an event may have beyond one for each of its bytes.
pub(super) const SPARE_ELEMENTS: usize = 1024;

pub(super) struct Shared {
    elements_left: Cell<usize>,
    /// How many elements collections may still be told to expect.
    hints_left: Cell<usize>,
    /// Kept beside the codec's error, because not every codec keeps the words of one.
    exceeded: Cell<Option<Exceeded>>,
}

impl Shared {
    #[inline]
    pub(super) fn reading(bytes: usize) -> Self {
        Shared {
            elements_left: Cell::new(bytes.saturating_add(SPARE_ELEMENTS)),
            hints_left: Cell::new(bytes),
            exceeded: Cell::new(None),
        }
    }

    /// For a value that is written: how many bytes it takes is known afterwards, see [`check`](Self::check).
    #[inline]
    pub(super) fn writing() -> Self {
        Shared {
            elements_left: Cell::new(usize::MAX),
            hints_left: Cell::new(0),
            exceeded: Cell::new(None),
        }
    }

    /// Whether a value that was written to so many bytes can be read from them.
    #[inline]
    pub(super) fn check(&self, bytes: usize) -> Result<(), Exceeded> {
        let elements = usize::MAX - self.elements_left.get();
        if elements > bytes.saturating_add(SPARE_ELEMENTS) {
            return Err(Exceeded::Elements);
        }
        Ok(())
    }

    /// The limit that was exceeded, or what the codec says.
    #[cold]
    pub(super) fn or_exceeded(&self, error: CodecError) -> CodecError {
        match self.exceeded.get() {
            Some(exceeded) => Box::new(exceeded),
            None => error,
        }
    }
}

/// What is left at one place of the value. Depth is per place, the rest is shared.
#[derive(Clone, Copy)]
pub(super) struct Limits<'b> {
    depth_left: u32,
    shared: &'b Shared,
}

impl<'b> Limits<'b> {
    #[inline]
    pub(super) fn new(shared: &'b Shared) -> Self {
        Limits {
            depth_left: MAX_DEPTH,
            shared,
        }
    }

    /// For a value that is read without its type: there the variant of an enum is a map with an entry, and what the
    /// entry holds, two levels for one.
    pub(super) fn without_type(shared: &'b Shared) -> Self {
        Limits {
            depth_left: 2 * MAX_DEPTH,
            shared,
        }
    }

    #[inline]
    fn deeper(self) -> Result<Self, Exceeded> {
        match self.depth_left.checked_sub(1) {
            Some(depth_left) => Ok(Limits { depth_left, ..self }),
            None => Err(self.exceeded(Exceeded::Depth)),
        }
    }

    #[inline]
    fn take_element(self) -> Result<(), Exceeded> {
        match self.shared.elements_left.get().checked_sub(1) {
            Some(left) => {
                self.shared.elements_left.set(left);
                Ok(())
            }
            None => Err(self.exceeded(Exceeded::Elements)),
        }
    }

    #[cold]
    fn exceeded(self, exceeded: Exceeded) -> Exceeded {
        self.shared.exceeded.set(Some(exceeded));
        exceeded
    }

    #[inline]
    fn cap(self, hint: Option<usize>) -> Option<usize> {
        let left = self.shared.hints_left.get();
        let hint = hint?.min(left);
        self.shared.hints_left.set(left - hint);
        Some(hint)
    }
}

/// What the reading side would refuse is refused before it is stored.
impl Rule for Limits<'_> {
    type Refusal = Exceeded;

    #[inline]
    fn inside(self, _: Holder) -> Result<Self, Exceeded> {
        self.deeper()
    }

    #[inline]
    fn element(self) -> Result<(), Exceeded> {
        self.take_element()
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
