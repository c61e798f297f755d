//! Every interleaving, and every reordering that the memory model allows, of claiming, publishing, closing and giving
//! back.
#![allow(clippy::unwrap_used)] // a thread that panics fails the model

use loom::{sync::Arc, thread};

use super::*;
use crate::{
    format::{FrameKey, LogId},
    lsn::Pos,
    staging::ring::{Denied, SLACK},
};

const RING: u64 = 8192;

fn ring() -> (Arc<Ring>, Consumer) {
    let (ring, consumer) = Ring::new(Memory::heap(RING, RING), 0, FrameKey::new(LogId([1; 16]), 1));
    ring.set_disk(u64::MAX);
    (Arc::new(ring), consumer)
}

fn append(ring: &Ring, value: u64) {
    let claim = ring.claim(16, Pos::MAX);
    fill(ring, claim.unwrap_or_else(|denied| panic!("{denied:?}")), value);
}

fn fill(ring: &Ring, claim: Claim<'_>, value: u64) {
    let mut claim = claim;
    claim.fill(8, &value.to_le_bytes());
    let pos = claim.pos();
    claim.publish(FrameWord::seal(
        ring.key(),
        pos,
        Kind::Data,
        false,
        8,
        crc32fast::hash(&value.to_le_bytes()),
    ));
}

fn records(ring: &Ring, group: &Closed) -> Vec<u64> {
    let mut pos = group.start + GROUP_HEADER_LEN as u64;
    let mut found = Vec::new();
    while pos < group.end {
        let word = FrameWord::parse(ring.memory.word(pos).load(Ordering::Relaxed)).unwrap();
        let value = ring.memory.word(pos + 8).load(Ordering::Relaxed);
        assert!(
            word.kind == Kind::Void || word.matches(ring.key(), pos, &value.to_le_bytes()),
            "a published record was seen half written"
        );
        if word.kind == Kind::Data {
            found.push(value);
        }
        pos += word.frame_len();
    }
    found
}

fn take(ring: &Ring, consumer: &mut Consumer) -> Vec<u64> {
    let end = consumer.cut(ring, false);
    take_before(ring, consumer, end)
}

/// The records of the groups before a place where one starts.
fn take_before(ring: &Ring, consumer: &mut Consumer, end: u64) -> Vec<u64> {
    let mut seen = Vec::new();
    while consumer.open() < end {
        let group = consumer.next(ring).unwrap();
        let count = consumer.settle(ring, &group).records as usize;
        let found = records(ring, &group);
        assert_eq!(count, found.len());
        seen.extend(found);
    }
    seen
}

#[test]
fn a_closed_group_holds_whole_records_and_every_record_once() {
    loom::model(|| {
        let (ring, mut consumer) = ring();
        let appenders: Vec<_> = (1..=2)
            .map(|value| {
                let ring = ring.clone();
                thread::spawn(move || append(&ring, value))
            })
            .collect();
        let mut seen = Vec::new();
        for _ in 0..2 {
            seen.extend(take(&ring, &mut consumer));
        }
        appenders
            .into_iter()
            .for_each(|appender| appender.join().unwrap());
        seen.extend(take(&ring, &mut consumer));
        seen.sort_unstable();
        assert_eq!(seen, [1, 2]);
    });
}

#[test]
fn a_block_that_is_left_comes_out_whole_without_a_cut() {
    loom::model(|| {
        let (ring, mut consumer) = ring();
        // Up to one place before the end of the first block.
        let filler = ring.claim(1024 - GROUP_HEADER_LEN as u64, Pos::MAX).unwrap();
        drop(filler);
        drop(ring.claim(1024 - 24, Pos::MAX).unwrap());
        let appenders: Vec<_> = (1..=2)
            .map(|value| {
                let ring = ring.clone();
                thread::spawn(move || append(&ring, value))
            })
            .collect();
        let mut seen = Vec::new();
        if let Some(group) = consumer.next(&ring) {
            assert_eq!((group.start, group.end), (0, 2048));
            consumer.settle(&ring, &group);
            seen.extend(records(&ring, &group));
            assert_eq!(seen.len(), 1);
        }
        appenders
            .into_iter()
            .for_each(|appender| appender.join().unwrap());
        seen.extend(take(&ring, &mut consumer));
        seen.sort_unstable();
        assert_eq!(seen, [1, 2]);
    });
}

#[test]
fn a_frozen_log_takes_no_claim_and_a_thawed_one_does() {
    loom::model(|| {
        let (ring, mut consumer) = ring();
        let appender = {
            let ring = ring.clone();
            thread::spawn(move || match ring.claim(16, Pos::MAX) {
                Ok(claim) => drop(claim),
                Err(denied) => assert_eq!(denied, Denied::Frozen),
            })
        };
        consumer.freeze(&ring);
        let frozen_at = ring.tail();
        thread::yield_now();
        assert_eq!(
            ring.tail(),
            frozen_at,
            "something was claimed while the log was frozen"
        );
        let new_key = FrameKey::new(LogId([1; 16]), 2);
        consumer.thaw(&ring, new_key);
        appender.join().unwrap();
        append(&ring, 7);
        assert_eq!(ring.key(), new_key);
    });
}

/// A thread that counts the records knows of every claim: one that is not counted came before the counting began.
#[test]
fn what_is_claimed_uncounted_is_before_the_counting() {
    loom::model(|| {
        let (ring, mut consumer) = ring();
        let appender = {
            let ring = ring.clone();
            thread::spawn(move || match ring.claim(16, Pos::MAX) {
                Ok(claim) => {
                    let pos = claim.pos();
                    fill(&ring, claim, 1);
                    Some(pos)
                }
                Err(denied) => {
                    assert_eq!(denied, Denied::Counted);
                    None
                }
            })
        };
        ring.set_counted(true);
        let counted_from = ring.tail();
        // Groups are closed meanwhile, and the sign stays.
        let end = consumer.cut(&ring, false);
        fill(&ring, ring.claim_counted(16, Pos::MAX).unwrap(), 2);
        assert!(
            ring.claim(16, Pos::MAX)
                .is_err_and(|denied| denied == Denied::Counted)
        );
        let uncounted = appender.join().unwrap();
        assert!(
            uncounted.is_none_or(|pos| pos < counted_from),
            "a record was not counted"
        );
        ring.set_counted(false);
        append(&ring, 3);
        let mut seen = take_before(&ring, &mut consumer, end);
        seen.extend(take(&ring, &mut consumer));
        assert_eq!(seen.last_chunk(), Some(&[2, 3]));
        assert_eq!(seen.len(), if uncounted.is_some() { 3 } else { 2 });
    });
}

#[test]
fn space_is_zero_when_it_is_claimed_again() {
    loom::model(|| {
        let (ring, mut consumer) = ring();
        append(&ring, 1);
        consumer.cut(&ring, false);
        let group = consumer.next(&ring).unwrap();
        consumer.settle(&ring, &group);
        let releaser = {
            let ring = ring.clone();
            thread::spawn(move || consumer.release(&ring, group.next, group.next))
        };
        // The limit lets a claim reach the first lap's bytes only after they were zeroed.
        let reused = RING + GROUP_HEADER_LEN as u64;
        if ring.limit.load(Ordering::Acquire) + SLACK > reused {
            assert_eq!(
                ring.memory.word(GROUP_HEADER_LEN as u64).load(Ordering::Relaxed),
                0
            );
        }
        releaser.join().unwrap();
    });
}

#[test]
fn a_claim_with_a_bound_starts_before_it_or_not_at_all() {
    loom::model(|| {
        let (ring, mut consumer) = ring();
        let bound = GROUP_HEADER_LEN as u64 + 16;
        let bounded = {
            let ring = ring.clone();
            thread::spawn(move || match ring.claim(16, Pos(bound)) {
                Ok(claim) => {
                    let pos = claim.pos();
                    drop(claim);
                    assert!(pos < bound);
                    true
                }
                Err(denied) => {
                    assert_eq!(denied, Denied::Late);
                    false
                }
            })
        };
        // The second one comes after the bound.
        let pos = ring.claim(16, Pos::MAX).map(|claim| claim.pos()).unwrap();
        assert_eq!(bounded.join().unwrap(), pos == bound, "one of them was first");
        assert!(take(&ring, &mut consumer).is_empty());
    });
}

#[test]
fn what_was_taken_before_a_log_was_shut_is_in_its_last_group() {
    loom::model(|| {
        let (ring, mut consumer) = ring();
        let appenders: Vec<_> = (1..=2)
            .map(|value| {
                let ring = ring.clone();
                thread::spawn(move || {
                    let open = ring.claim(16, Pos::MAX).map(|claim| fill(&ring, claim, value));
                    assert!(matches!(open, Ok(()) | Err(Denied::Shut)));
                    open.is_ok()
                })
            })
            .collect();
        ring.shut();
        let seen = take(&ring, &mut consumer);
        let taken = appenders
            .into_iter()
            .map(|appender| appender.join().unwrap())
            .filter(|taken| *taken);
        assert_eq!(
            taken.count(),
            seen.len(),
            "something was taken and is in no group"
        );
        assert_eq!(ring.claim(16, Pos::MAX).err(), Some(Denied::Shut));
    });
}

#[test]
fn what_was_taken_before_a_log_was_frozen_is_in_the_group_before_the_cut() {
    loom::model(|| {
        let (ring, mut consumer) = ring();
        let appender = {
            let ring = ring.clone();
            thread::spawn(move || {
                ring.claim(16, Pos::MAX)
                    .map(|claim| fill(&ring, claim, 1))
                    .is_ok()
            })
        };
        consumer.freeze(&ring);
        let seen = take(&ring, &mut consumer);
        assert_eq!(
            ring.tail(),
            consumer.open() + GROUP_HEADER_LEN as u64,
            "not at a group's start"
        );
        let taken = appender.join().unwrap();
        assert_eq!(usize::from(taken), seen.len());
        consumer.thaw(&ring, FrameKey::new(LogId([1; 16]), 2));
        append(&ring, 2);
        assert_eq!(take(&ring, &mut consumer), [2]);
    });
}

#[test]
fn a_place_outside_the_ring_is_nobody_elses() {
    loom::model(|| {
        let (ring, mut consumer) = ring();
        let appender = {
            let ring = ring.clone();
            thread::spawn(move || {
                let claim = ring.claim(16, Pos::MAX).unwrap();
                let pos = claim.pos();
                fill(&ring, claim, 1);
                pos
            })
        };
        let place = consumer.reserve(&ring, 3000, Pos::MAX, false).unwrap();
        let before = take_before(&ring, &mut consumer, place.start);
        consumer.pass(&place);
        let pos = appender.join().unwrap();
        let behind = take(&ring, &mut consumer);
        assert!(
            pos + 16 <= place.start || pos >= place.next,
            "a claim lies in the reserved place"
        );
        let (there, other) = if pos < place.start {
            (before, behind)
        } else {
            (behind, before)
        };
        assert_eq!((there, other), (vec![1], vec![]));
    });
}

#[test]
fn a_claim_that_is_given_up_holds_nobody_up() {
    loom::model(|| {
        let (ring, mut consumer) = ring();
        let appender = {
            let ring = ring.clone();
            thread::spawn(move || drop(ring.claim(16, Pos::MAX)))
        };
        append(&ring, 1);
        let mut seen = take(&ring, &mut consumer);
        appender.join().unwrap();
        seen.extend(take(&ring, &mut consumer));
        assert_eq!(seen, [1]);
    });
}

fn take_and_release(ring: &Ring, consumer: &mut Consumer) -> Vec<u64> {
    let end = consumer.cut(ring, false);
    let mut seen = Vec::new();
    while consumer.open() < end {
        let group = consumer.next(ring).unwrap();
        consumer.settle(ring, &group);
        seen.extend(records(ring, &group));
        consumer.release(ring, group.next, group.next);
    }
    seen
}

/// The claim ends a block of the ring as it was. In the ring as it is, a block goes on there.
#[test]
fn a_claim_meets_the_size_that_its_tail_has() {
    let mut model = loom::model::Builder::new();
    // Each word that is zeroed is a step.
    model.max_branches = 10_000;
    model.check(|| {
        let memory = Memory::heap(RING, 2 * RING);
        let (ring, mut consumer) = Ring::new(memory, 0, FrameKey::new(LogId([1; 16]), 1));
        ring.set_disk(u64::MAX);
        let ring = Arc::new(ring);
        drop(ring.claim(1000, Pos::MAX).unwrap());
        take_and_release(&ring, &mut consumer);
        let left = RING / 4 - ring.tail();
        let appender = {
            let ring = ring.clone();
            thread::spawn(move || match ring.claim(left, Pos::MAX) {
                Ok(claim) => drop(claim),
                Err(denied) => assert_eq!(denied, Denied::Frozen),
            })
        };
        if let Some(frozen_at) = consumer.begin_resize(&ring) {
            take_and_release(&ring, &mut consumer);
            consumer.end_resize(&ring, frozen_at, Some(2 * RING));
        }
        appender.join().unwrap();
        append(&ring, 1);
        assert_eq!(take_and_release(&ring, &mut consumer), [1]);
    });
}
