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

/// A shorter piece is not worth its border.
const SHORTEST: u64 = 4 << 10;

const MOST_THREADS: usize = 256;

/// A part of a log, from group to group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The group before its first one; the first one itself, if the log starts with that.
    pub(crate) before: u64,
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl Piece {
    pub(crate) fn whole(extent: &Extent, end: u64) -> Piece {
        Piece {
            before: extent.head_group,
            start: extent.head_group,
            end,
        }
    }
}

/// A long piece in shorter ones, for so many threads. It is divided where the header of one group leads to that of
/// another, and the walk over a piece shows whether it ends there. Where a header is lost, it is not divided at all.
pub(crate) fn divide(base: &Base, extent: &Extent, piece: Piece, threads: usize) -> Result<Vec<Piece>> {
    let (mut last, first, end) = (piece, piece.start, piece.end);
    let len = end.saturating_sub(first);
    let count = match threads.min(MOST_THREADS) {
        0 | 1 => 1,
        threads => (threads as u64 * PIECES_OF_A_THREAD).min(len / SHORTEST),
    };
    let (mut pieces, mut looked_at) = (Vec::new(), last.start);
    for number in 1..count {
        let pos = extent.skip_cut(first + len / count * number);
        if pos <= looked_at || pos >= end {
            continue;
        }
        let header = find::find_group(base, extent, pos)?;
        // Of a long group, that is the same one for several positions.
        looked_at = header.next();
        let Some(before) = Some(header.prev).filter(|&prev| prev < header.pos && prev >= last.start) else {
            continue;
        };
        pieces.push(Piece {
            end: header.pos,
            ..last
        });
        last = Piece {
            before,
            start: header.pos,
            end,
        };
    }
    pieces.push(last);
    Ok(pieces)
}

/// What `walk` makes of each piece, in their order; `None` if it makes nothing of one. Up to `threads` of them are walked
/// over at a time, one in this thread, which also goes on with a panic.
pub(crate) fn each<T: Send + 'static>(
    pieces: Vec<Piece>,
    threads: usize,
    walk: impl Fn(Piece) -> Option<T> + Send + Sync + 'static,
) -> Option<Vec<T>> {
    let work = Arc::new(Work {
        done: Mutex::new(pieces.iter().map(|_| None).collect()),
        next: AtomicU64::new(0),
        pieces,
        walk,
    });
    let others: Vec<_> = (1..threads.min(MOST_THREADS).min(work.pieces.len()))
        .map_while(|_| {
            let work = work.clone();
            let run = move || work.run();
            thread::Builder::new()
                .name("wal-verifier".to_owned())
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
    done.into_iter()
        .map(|outcome| outcome?.unwrap_or_else(|panic| resume_unwind(panic)))
        .collect()
}

struct Work<T, W> {
    pieces: Vec<Piece>,
    next: AtomicU64,
    done: Mutex<Vec<Option<Outcome<T>>>>,
    walk: W,
}

/// What a walk returned, or panicked with.
type Outcome<T> = std::result::Result<Option<T>, Box<dyn Any + Send>>;

impl<T, W: Fn(Piece) -> Option<T>> Work<T, W> {
    fn run(&self) {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed) as usize;
            let Some(&piece) = self.pieces.get(number) else {
                return;
            };
            let outcome = catch_unwind(AssertUnwindSafe(|| (self.walk)(piece)));
            if !matches!(outcome, Ok(Some(_))) {
                // The rest need not be looked at.
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
    use crate::{MemStore, Staging, Wal, WalConfig};

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
        let wal = of_groups(400);
        let base = &wal.view().base;
        let (extent, end) = (base.extent(), base.written());
        let divided = |threads| divide(base, &extent, Piece::whole(&extent, end), threads).unwrap();
        for threads in [0, 1] {
            assert_eq!(divided(threads), [Piece::whole(&extent, end)]);
        }
        let pieces = divided(4);
        assert_eq!(pieces.len(), 32);
        assert_eq!((pieces[0].start, pieces[31].end), (0, end));
        for (piece, next) in pieces.iter().zip(&pieces[1..]) {
            assert_eq!(piece.end, next.start);
            assert_eq!(next.before + 512, next.start, "{next:?}");
        }
        // As many as are worth it.
        assert_eq!(divided(usize::MAX).len() as u64, end / SHORTEST);
        // The head may have passed the end that a reader knows of.
        assert_eq!(
            divide(base, &extent, Piece::whole(&extent, 0), 2).unwrap().len(),
            1
        );
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
        for threads in [1, 3, usize::MAX] {
            let found = each(pieces(100), threads, |piece| Some(piece.start)).unwrap();
            assert!(found.into_iter().eq(0..100));
        }
    }

    #[test]
    fn a_piece_of_which_nothing_is_made_ends_it_and_a_panic_goes_on() {
        let found = each(pieces(100), 3, |piece| (piece.start != 20).then_some(()));
        assert!(found.is_none());
        let panicked = std::panic::catch_unwind(|| {
            each(pieces(100), 3, |piece| match piece.start {
                20 => panic!("at twenty"),
                start => Some(start),
            })
        });
        assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&"at twenty"));
    }
}
