//! The buffer that an append encodes into, kept by each thread so that appending allocates nothing in steady state.

use std::cell::Cell;

/// A buffer that grew beyond this for one large event is given back to the allocator.
const MAX_RETAINED: usize = 1 << 20;

thread_local! {
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Runs `f` with an empty buffer.
///
/// The buffer is out of its cell meanwhile, so a `Serialize` that itself appends gets one of its own. A
/// thread that is being torn down has no cell any more and gets a fresh one each time.
#[inline]
pub(crate) fn with<R>(f: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    let mut buffer = BUFFER.try_with(Cell::take).unwrap_or_default();
    let result = f(&mut buffer);
    if buffer.capacity() <= MAX_RETAINED {
        buffer.clear();
        let _ = BUFFER.try_with(|cell| cell.set(buffer));
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_is_reused_empty() {
        let first = with(|buffer| {
            buffer.extend_from_slice(&[7; 1000]);
            buffer.as_ptr()
        });
        with(|buffer| {
            assert!(buffer.is_empty());
            assert_eq!(buffer.as_ptr(), first);
        });
    }

    #[test]
    fn a_call_inside_a_call_has_its_own_buffer() {
        with(|outer| {
            outer.extend_from_slice(b"outer");
            with(|inner| {
                assert!(inner.is_empty());
                inner.extend_from_slice(&[0; 4096]);
            });
            assert_eq!(outer, b"outer");
        });
        with(|buffer| assert!(buffer.is_empty(), "one of the two is kept, and it is cleared"));
    }

    #[test]
    fn a_large_buffer_is_not_kept() {
        with(|buffer| buffer.resize(MAX_RETAINED + 1, 0));
        with(|buffer| assert!(buffer.capacity() <= MAX_RETAINED));
    }
}
