//! Walking over a long log in pieces, by several threads.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

use crate::{
    error::Result,
    log::{
        base::{Base, Extent},
        read::find,
    },
    sync::{Arc, AtomicU64, Mutex, Ordering, thread},
};

/// How many pieces each thread has on average: they take different times.
const PIECES_OF_A_THREAD: u64 = 8;

/// A part of a log, from group to group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The group before it, from which its first group goes on; that one itself, if it is the log's first.
    pub(crate) before: u64,
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// The log up to `end`, in pieces for so many threads. It is divided only where one intact group leads to the next, so
/// that a walk over all of it passes there, too.
pub(crate) fn divide(base: &Base, extent: &Extent, end: u64, threads: usize) -> Vec<Piece> {
    let head = extent.head_group;
    let mut last = Piece {
        before: head,
        start: head,
        end,
    };
    let mut pieces = Vec::new();
    let count = match threads {
        0 | 1 => 1,
        threads => (threads as u64).saturating_mul(PIECES_OF_A_THREAD),
    };
    for number in 1..count {
        let pos = extent.skip_cut(head + (end - head) / count * number);
        if pos <= last.start || pos >= end {
            continue;
        }
        let Some((before, start)) = border(base, extent, pos).filter(|&(_, start)| start > last.start) else {
            continue;
        };
        pieces.push(Piece { end: start, ..last });
        last = Piece { before, start, end };
    }
    pieces.push(last);
    pieces
}

/// The group that holds a position, and the one before it.
fn border(base: &Base, extent: &Extent, pos: u64) -> Option<(u64, u64)> {
    let header = find::find_group(base, extent, pos).ok()?;
    if header.prev >= header.pos || header.prev < extent.head_group {
        return None;
    }
    let before = find::read_header(base, header.prev).ok()?.ok()?;
    let leads_here = extent.timeline.owns(&before)
        && before.leads_to(&header, base.log)
        && extent.skip_cut(before.next()) == header.pos;
    leads_here.then_some((before.pos, header.pos))
}

/// What `walk` makes of each piece, in their order. `threads` of them are walked over at a time, or fewer where none can be
/// started, one of them in this thread. The first error ends it, and a panic is one of this thread.
pub(crate) fn each<T: Send + 'static>(
    pieces: Vec<Piece>,
    threads: usize,
    walk: impl Fn(Piece) -> Result<T> + Send + Sync + 'static,
) -> Result<Vec<T>> {
    let work = Arc::new(Work {
        done: Mutex::new(pieces.iter().map(|_| None).collect()),
        next: AtomicU64::new(0),
        pieces,
        walk,
    });
    let others: Vec<_> = (1..threads.min(work.pieces.len()))
        .map_while(|_| {
            let work = work.clone();
            let run = move || work.run();
            thread::Builder::new()
                .name("wal-reader".to_owned())
                .spawn(run)
                .ok()
        })
        .collect();
    work.run();
    for other in others {
        // It has no panic of its own.
        let _ = other.join();
    }
    let done = std::mem::take(&mut *work.done.lock());
    // After the first that is not there, an error has ended it.
    done.into_iter()
        .map_while(|outcome| outcome)
        .map(|outcome| outcome.unwrap_or_else(|panic| resume_unwind(panic)))
        .collect()
}

struct Work<T, W> {
    pieces: Vec<Piece>,
    next: AtomicU64,
    done: Mutex<Vec<Option<Outcome<T>>>>,
    walk: W,
}

/// What a walk returned, or panicked with.
type Outcome<T> = std::result::Result<Result<T>, Box<dyn Any + Send>>;

impl<T, W: Fn(Piece) -> Result<T>> Work<T, W> {
    fn run(&self) {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed) as usize;
            let Some(&piece) = self.pieces.get(number) else {
                return;
            };
            let outcome = catch_unwind(AssertUnwindSafe(|| (self.walk)(piece)));
            if !matches!(outcome, Ok(Ok(_))) {
                // Those before it were taken before it, and will be done.
                self.next.store(self.pieces.len() as u64, Ordering::Relaxed);
            }
            self.done.lock()[number] = Some(outcome);
        }
    }
}

#[cfg(all(test, not(any(wal_loom, wal_shuttle))))]
#[allow(clippy::unwrap_used)] // clippy does not see that this is a test
mod tests {
    use super::*;
    use crate::{MemStore, Staging, Wal, WalConfig, error::WalError};

    fn of_groups(count: usize) -> Wal {
        let config = WalConfig::new()
            .with_background_flush(false)
            .with_staging(Staging::Heap);
        let wal = Wal::with_store_and_config(MemStore::new(), config).unwrap();
        for _ in 0..count {
            let _lsn = wal.append_and_sync(b"a group").unwrap();
        }
        wal
    }

    #[test]
    fn a_log_is_divided_between_groups_that_follow_each_other() {
        let wal = of_groups(100);
        let base = &wal.view().base;
        let (extent, end) = (base.extent(), base.written());
        for threads in [0, 1] {
            let whole = Piece {
                before: 0,
                start: 0,
                end,
            };
            assert_eq!(divide(base, &extent, end, threads), [whole]);
        }
        let pieces = divide(base, &extent, end, 4);
        assert_eq!(pieces.len(), 32);
        assert_eq!((pieces[0].start, pieces[31].end), (0, end));
        for (piece, next) in pieces.iter().zip(&pieces[1..]) {
            assert_eq!(piece.end, next.start);
            assert_eq!(next.before + 512, next.start, "{next:?}");
        }
        // More than there are groups.
        let pieces = divide(base, &extent, end, 1000);
        assert!((90..=101).contains(&pieces.len()), "{}", pieces.len());
    }

    fn pieces(count: u64) -> Vec<Piece> {
        let piece = |start| Piece {
            before: start,
            start,
            end: start + 1,
        };
        (0..count).map(piece).collect()
    }

    #[test]
    fn what_was_found_comes_in_the_order_of_the_log() {
        for threads in [1, 3, 200] {
            let found = each(pieces(100), threads, |piece| Ok(piece.start)).unwrap();
            assert!(found.into_iter().eq(0..100));
        }
    }

    #[test]
    fn the_first_error_is_returned_and_a_panic_goes_on() {
        let found = each(pieces(100), 3, |piece| match piece.start {
            20.. => Err(WalError::BeyondEnd {
                lsn: crate::Lsn::new(piece.start),
                end: crate::Lsn::new(0),
            }),
            start => Ok(start),
        });
        assert!(
            matches!(found, Err(WalError::BeyondEnd { lsn, .. }) if lsn.get() == 20),
            "{found:?}"
        );
        let panicked = std::panic::catch_unwind(|| {
            each(pieces(100), 3, |piece| match piece.start {
                20 => panic!("at twenty"),
                start => Ok(start),
            })
        });
        assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&"at twenty"));
    }
}
