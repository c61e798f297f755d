//! The ring against its rules; small enough to run under Miri.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::*;
use crate::{
    format::{FrameKey, LogId, staging::words},
    lsn::Pos,
    staging::{
        leftover::{Found, Leftover, fill, was_left_clean},
        ring::{Denied, SLACK, block_len},
    },
};

fn ring(len: u64) -> (Ring, Consumer) {
    ring_with_place(len, len)
}

/// One that may grow to `max` bytes.
fn ring_with_place(len: u64, max: u64) -> (Ring, Consumer) {
    let (ring, consumer) = Ring::new(Memory::heap(len, max), 512, FrameKey::new(LogId([1; 16]), 1));
    ring.set_disk(u64::MAX);
    (ring, consumer)
}

fn append(ring: &Ring, payload: &[u8]) -> Result<u64, Denied> {
    let mut claim = ring.claim(crate::format::frame_len(payload.len()), Pos::MAX)?;
    claim.fill(8, payload);
    let pos = claim.pos();
    let crc = crc32fast::hash(payload);
    claim.publish(FrameWord::seal(
        ring.key(),
        pos,
        Kind::Data,
        false,
        payload.len() as u32,
        crc,
    ));
    Ok(pos)
}

fn payloads(ring: &Ring, consumer: &Consumer, group: &Closed) -> Vec<Vec<u8>> {
    let bytes = consumer.bytes(ring, group);
    let mut found = Vec::new();
    let mut at = GROUP_HEADER_LEN;
    while at < (group.end - group.start) as usize {
        let word = FrameWord::read(&bytes[at..]).expect("a frame");
        let payload = &bytes[at + 8..][..word.len as usize];
        assert!(word.matches(ring.key(), group.start + at as u64, payload));
        if word.kind != Kind::Void {
            found.push(payload.to_vec());
        }
        at += word.frame_len() as usize;
    }
    found
}

fn take(ring: &Ring, consumer: &mut Consumer) -> Vec<Vec<u8>> {
    let end = consumer.cut(ring, false);
    let mut found = Vec::new();
    while consumer.open() < end {
        let group = consumer.next(ring).expect("a group before the cut");
        found.extend(release(ring, consumer, &group));
    }
    found
}

fn release(ring: &Ring, consumer: &mut Consumer, group: &Closed) -> Vec<Vec<u8>> {
    let count = consumer.settle(ring, group).records;
    let found = payloads(ring, consumer, group);
    assert_eq!(found.len(), count as usize);
    consumer.release(ring, group.next, group.next);
    found
}

#[test]
fn records_come_out_as_they_went_in_over_many_laps() {
    let (ring, mut consumer) = ring(16384);
    let mut expected = Vec::new();
    let mut found = Vec::new();
    for i in 0..400u32 {
        let payload = vec![i as u8; (i % 97) as usize];
        if append(&ring, &payload).is_err() {
            found.extend(take(&ring, &mut consumer));
            append(&ring, &payload).expect("room after a release");
        }
        expected.push(payload);
    }
    found.extend(take(&ring, &mut consumer));
    assert_eq!(found, expected);
}

/// Threads append payloads that begin with their number and a count, and end with what `rest` makes of the count, while
/// `take_some` takes records out. Nothing is lost, and each thread's records come in order.
fn threads_append(
    ring: &Ring,
    consumer: &mut Consumer,
    each: u32,
    rest: impl Fn(u32) -> Vec<u8> + Sync,
    mut take_some: impl FnMut(&mut Consumer) -> Vec<Vec<u8>>,
) {
    let (threads, each) = (3u8, if cfg!(miri) { 40 } else { each });
    let running = AtomicUsize::new(threads as usize);
    let mut found = Vec::new();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (rest, running) = (&rest, &running);
            scope.spawn(move || {
                for i in 0..each {
                    let payload = [&[thread], &i.to_le_bytes()[..], &rest(i)].concat();
                    while append(ring, &payload).is_err() {
                        std::thread::yield_now();
                    }
                }
                running.fetch_sub(1, SeqCst);
            });
        }
        while running.load(SeqCst) > 0 {
            found.extend(take_some(consumer));
        }
    });
    found.extend(take(ring, consumer));
    for thread in 0..threads {
        let own: Vec<u32> = found
            .iter()
            .filter(|payload| payload[0] == thread)
            .map(|payload| {
                let i = u32::from_le_bytes(payload[1..5].try_into().expect("four bytes"));
                assert_eq!(payload[5..], rest(i));
                i
            })
            .collect();
        assert_eq!(own, (0..each).collect::<Vec<_>>());
    }
}

#[test]
fn threads_lose_nothing_and_keep_their_order() {
    let (ring, mut consumer) = ring(16384);
    threads_append(
        &ring,
        &mut consumer,
        5000,
        |_| Vec::new(),
        |consumer| take(&ring, consumer),
    );
}

/// The limit is compared with that place, so no claim passes it.
#[test]
fn a_claim_ends_where_it_was_said_that_it_would() {
    let (ring, mut consumer) = ring(16384);
    for len in [8, 1000, 24, 2000, 512].into_iter().cycle().take(100) {
        let (said, claim) = loop {
            let said = ring.end_of(ring.tail(), len);
            match ring.claim(len, Pos::MAX) {
                Ok(claim) => break (said, claim),
                Err(_) => drop(take(&ring, &mut consumer)),
            }
        };
        assert_eq!(claim.pos() + len, said);
    }
}

fn resize(ring: &Ring, consumer: &mut Consumer, capacity: u64) -> Vec<Vec<u8>> {
    let Some(frozen_at) = consumer.begin_resize(ring) else {
        return take(ring, consumer);
    };
    let found = take(ring, consumer);
    consumer.end_resize(ring, frozen_at, Some(capacity));
    found
}

#[test]
fn a_ring_takes_more_when_it_has_grown_and_less_when_it_has_shrunk() {
    let (ring, mut consumer) = ring_with_place(8192, 65536);
    let mut i = 0u32;
    let mut fill_up = |ring: &Ring| {
        let mut taken = Vec::new();
        while append(ring, &i.to_le_bytes().repeat(25)).is_ok() {
            taken.push(i.to_le_bytes().repeat(25));
            i += 1;
        }
        taken
    };
    let mut taken = Vec::new();
    for capacity in [8192, 65536, 16384, 8192, 32768] {
        let found = resize(&ring, &mut consumer, capacity);
        assert_eq!(found, taken);
        assert_eq!((ring.capacity(), ring.max_claim()), (capacity, 1024));
        taken = fill_up(&ring);
        let bytes = taken.len() as u64 * 112;
        assert!(
            (capacity - SLACK) / 2 < bytes && bytes <= capacity - SLACK,
            "{bytes}"
        );
    }
    assert_eq!(take(&ring, &mut consumer), taken);
}

/// All would wait for the one who has not published.
#[test]
fn a_ring_keeps_its_size_while_a_claim_is_not_published() {
    let (ring, mut consumer) = ring_with_place(8192, 16384);
    // Before the end of a block, and after it.
    for claims in [1, 20, 40] {
        for _ in 0..claims {
            append(&ring, &[7; 50]).unwrap();
        }
        let claim = ring.claim(64, Pos::MAX).unwrap();
        assert_eq!(consumer.begin_resize(&ring), None, "{claims}");
        append(&ring, b"goes on").unwrap();
        drop(claim);
        take(&ring, &mut consumer);
    }
    resize(&ring, &mut consumer, 16384);
    assert_eq!(ring.capacity(), 16384);
}

#[test]
fn threads_lose_nothing_while_the_ring_grows_and_shrinks() {
    let (ring, mut consumer) = ring_with_place(8192, 32768);
    let mut sizes = [8192, 16384, 32768, 16384].into_iter().cycle();
    // Of many lengths, so that blocks end in many ways.
    let rest = |i| vec![7; i as usize % 89];
    threads_append(&ring, &mut consumer, 20_000, rest, |consumer| {
        resize(&ring, consumer, sizes.next().expect("without end"))
    });
}

#[test]
fn a_claim_that_is_given_up_becomes_a_void() {
    let (ring, mut consumer) = ring(8192);
    append(&ring, b"before").unwrap();
    drop(ring.claim(64, Pos::MAX).unwrap());
    append(&ring, b"after").unwrap();
    assert_eq!(
        take(&ring, &mut consumer),
        [b"before".to_vec(), b"after".to_vec()]
    );
}

#[test]
fn a_panic_while_a_claim_is_filled_gives_it_up() {
    let (ring, mut consumer) = ring(8192);
    let mut claim = ring.claim(64, Pos::MAX).unwrap();
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        claim.fill_with(8, 8, |_| panic!("in the closure"));
    }));
    assert!(unwound.is_err());
    drop(claim);
    append(&ring, b"next").unwrap();
    assert_eq!(take(&ring, &mut consumer), [b"next".to_vec()]);
}

#[test]
fn claims_stop_at_the_limit_and_at_the_disk() {
    let (ring, mut consumer) = ring(8192);
    let mut taken = 0;
    while append(&ring, &[7; 100]).is_ok() {
        taken += 1;
    }
    assert_eq!(ring.claim(8, Pos::MAX).err(), Some(Denied::NoRoom));
    assert_eq!(take(&ring, &mut consumer).len(), taken);
    ring.set_disk(ring.tail() + SLACK + 16);
    append(&ring, b"fits").unwrap();
    assert_eq!(append(&ring, b"does not"), Err(Denied::NoRoom));
    assert!(ring.waits_for_disk(16));
}

#[test]
fn a_place_outside_the_ring_closes_the_open_group_first() {
    let (ring, mut consumer) = ring(8192);
    append(&ring, b"small").unwrap();
    let apart = consumer.reserve(&ring, 100_000, Pos::MAX, false).unwrap();
    let before = consumer.next(&ring).expect("the open group holds a record");
    assert_eq!((before.start, apart.start), (512, before.next));
    assert_eq!(apart.end - apart.start, 64 + 100_000);
    assert_eq!(release(&ring, &mut consumer, &before), [b"small".to_vec()]);
    consumer.pass(&apart);
    assert_eq!(
        ring.claim(8, Pos::MAX).err(),
        Some(Denied::NoRoom),
        "the place is further than a lap away"
    );
    consumer.release(&ring, apart.start, apart.next);
    append(&ring, b"behind").unwrap();
    assert_eq!(take(&ring, &mut consumer), [b"behind".to_vec()]);
}

#[test]
fn a_block_that_is_full_or_left_is_a_group_of_its_own() {
    let (ring, mut consumer) = ring(16384);
    assert_eq!(block_len(16384), 4096);
    // The first group starts at 512; 64 bytes of header, then claims that end exactly with the block.
    append(&ring, &[1; 3512]).unwrap();
    assert_eq!(ring.tail(), 4096 + 64, "behind the place of the next header");
    assert_eq!(append(&ring, &[2; 3540]), Ok(4096 + 64));
    assert!(ring.has_left_block(512) && !ring.has_left_block(4096));
    // 480 bytes are left in the second block.
    assert_eq!(append(&ring, &[3; 600]), Ok(8192 + 64));
    assert!(ring.starts_quarter(8192 + 64) && ring.has_left_block(4096));
    for (start, payload) in [(512, vec![1; 3512]), (4096, vec![2; 3540])] {
        let group = consumer.next(&ring).unwrap();
        let end = (start + 1u64).next_multiple_of(4096);
        assert_eq!((group.start, group.end, group.next), (start, end, end));
        assert_eq!(release(&ring, &mut consumer, &group), [payload]);
    }
    assert_eq!(consumer.next(&ring), None, "the tail is in the third");
    assert_eq!(take(&ring, &mut consumer), [vec![3; 600]]);
}

#[test]
fn blocks_before_a_cut_come_out_first() {
    let (ring, mut consumer) = ring(16384);
    append(&ring, &[1; 3512]).unwrap();
    append(&ring, &[2; 8]).unwrap();
    let end = consumer.cut(&ring, false);
    assert_eq!(end, 4096 + 512);
    append(&ring, &[3; 8]).unwrap();
    let group = consumer.next(&ring).unwrap();
    assert_eq!((group.end, consumer.has_cut()), (4096, true));
    let group = consumer.next(&ring).unwrap();
    assert_eq!((group.start, group.next), (4096, end));
    assert_eq!(payloads(&ring, &consumer, &group), [vec![2; 8]]);
    assert!(consumer.next(&ring).is_none() && !consumer.has_cut());
    assert_eq!(consumer.cut(&ring, false), end + 512);
}

/// An empty group says that everything before it is durable, and what is still in the ring is not.
#[test]
fn an_empty_group_is_kept_only_with_nothing_before_it() {
    let (ring, mut consumer) = ring(16384);
    // Ends exactly with the block.
    append(&ring, &[1; 3512]).unwrap();
    assert_eq!(consumer.cut(&ring, true), 4096);
    assert_eq!(take(&ring, &mut consumer), [vec![1; 3512]]);
    assert_eq!(consumer.cut(&ring, true), 4096 + 512);
    let group = consumer.next(&ring).unwrap();
    assert!(group.is_empty());
    assert_eq!((group.start, group.next), (4096, 4096 + 512));
}

#[test]
fn shut_and_frozen_rings_say_so() {
    let (ring, mut consumer) = ring(8192);
    consumer.freeze(&ring);
    assert_eq!(ring.claim(8, Pos::MAX).err(), Some(Denied::Frozen));
    consumer.thaw(&ring, ring.key());
    append(&ring, b"x").unwrap();
    ring.shut();
    assert_eq!(ring.claim(8, Pos::MAX).err(), Some(Denied::Shut));
    assert_eq!(
        take(&ring, &mut consumer),
        [b"x".to_vec()],
        "what was taken comes out"
    );
}

#[test]
#[cfg(not(miri))]
fn a_staging_file_tells_what_a_process_left() {
    let file = tempfile::tempfile().unwrap();
    let header = StagingHeader {
        log: LogId([1; 16]),
        boot: Some([2; 16]),
        epoch: 3,
        capacity: 8192,
        clean: false,
        number: 7,
    };
    fill(&file, &header).unwrap();
    let memory = Memory::map(&file, &header, header.capacity).unwrap();
    let (ring, mut consumer) = Ring::new(memory, 512, FrameKey::new(LogId([1; 16]), 3));
    ring.set_disk(u64::MAX);
    let pos = append(&ring, b"left behind").unwrap();
    ring.set_durable(512);

    let find = |log: LogId, taken: bool| Leftover::find(&file, log, |_| taken).unwrap();
    let Found::Ours(left) = find(header.log, true) else {
        panic!("what was left is not found");
    };
    assert_eq!(
        (left.header, left.released, left.durable),
        (header, 512, Some(512))
    );
    assert_eq!(&left.at(pos)[8..19], b"left behind");
    assert!(
        matches!(find(header.log, false), Found::Ignored),
        "another opening's"
    );
    assert!(
        matches!(find(LogId([8; 16]), false), Found::Ignored),
        "another log's"
    );

    take(&ring, &mut consumer);
    ring.set_clean();
    assert!(
        matches!(find(header.log, true), Found::Nothing),
        "a closed log leaves nothing"
    );
    assert!(was_left_clean(&file, &header).unwrap());
    for other in [
        StagingHeader {
            boot: Some([9; 16]),
            ..header
        },
        StagingHeader {
            log: LogId([9; 16]),
            ..header
        },
        StagingHeader {
            capacity: 16384,
            ..header
        },
    ] {
        assert!(!was_left_clean(&file, &other).unwrap(), "{other:?}");
    }
}

/// What a process leaves that dies between the two stores of a number.
#[test]
fn a_number_counts_by_its_complement() {
    let header = StagingHeader {
        log: LogId([1; 16]),
        boot: None,
        epoch: 3,
        capacity: 8192,
        clean: false,
        number: 7,
    };
    let mut head = vec![0; STAGING_HEADER_LEN as usize];
    let put = |head: &mut [u8], (at, value): (usize, u64)| {
        head[at..at + 8].copy_from_slice(&value.to_le_bytes());
    };
    for at in [RELEASED_AT, DURABLE_AT] {
        for store in checked_stores(at, 512) {
            put(&mut head, store);
        }
    }
    assert_eq!(words(&head, &header), (Some(512), Some(512)));
    // The number first: what is released is the old one then, and nothing was claimed after it.
    put(&mut head, checked_stores(RELEASED_AT, 1024)[0]);
    put(&mut head, checked_stores(DURABLE_AT, 1024)[0]);
    assert_eq!(words(&head, &header), (Some(512), None));
    put(&mut head, checked_stores(RELEASED_AT, 1024)[1]);
    put(&mut head, checked_stores(DURABLE_AT, 1024)[1]);
    assert_eq!(words(&head, &header), (Some(1024), Some(1024)));
    // A number that lies before its complement was never stored.
    put(&mut head, (RELEASED_AT, 512));
    assert_eq!(words(&head, &header).0, None);
}

#[test]
#[cfg(not(miri))]
fn a_damaged_staging_header_is_not_one() {
    let header = StagingHeader {
        log: LogId([1; 16]),
        boot: None,
        epoch: 3,
        capacity: 8192,
        clean: false,
        number: 7,
    };
    let bytes = header.encode();
    assert_eq!(StagingHeader::decode(&bytes), Some(header));
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes;
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(StagingHeader::decode(&damaged), None, "bit {bit}");
    }
}
