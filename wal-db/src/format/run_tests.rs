use std::io::{Cursor as Bytes, Read};

use proptest::prelude::*;

use super::*;

fn header() -> RunHeader {
    RunHeader {
        position: [7; 56],
        from: 100,
        to: u64::MAX,
    }
}

fn written(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let entries = entries.iter().copied().map(Ok);
    RunBytes::new(header(), entries, 1_000)
        .read_to_end(&mut bytes)
        .expect("memory");
    bytes
}

fn reading(bytes: &[u8]) -> impl Fn(u64, &mut [u8]) -> io::Result<()> {
    move |at, buf| {
        let mut file = Bytes::new(bytes);
        file.set_position(at);
        file.read_exact(buf)
    }
}

fn read(bytes: &[u8]) -> Result<Vec<Entry>, RunFault> {
    let reading = reading(bytes);
    let run = Run::open(bytes.len() as u64, &reading)?;
    let entries: Result<Vec<Entry>, RunFault> = Entries::of(&run, &reading).collect();
    assert!(
        entries
            .as_ref()
            .map_or(true, |entries| entries.len() as u64 == run.count)
    );
    entries
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let entry = (0..40_u64, 100..1_u64 << 40, 0..5_u32).prop_map(|(term, lsn, type_id)| Entry {
        term: term << 58 | term,
        lsn,
        type_id: type_id * 800_000_007,
    });
    prop::collection::btree_set(entry, 0..2_000).prop_map(|entries| {
        let mut entries: Vec<Entry> = entries.into_iter().collect();
        entries.dedup_by_key(|entry| (entry.term, entry.lsn));
        entries
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_is_written_is_read_and_found(entries in entries(), from in 0..1_u64 << 40) {
        let bytes = written(&entries);
        prop_assert_eq!(&read(&bytes).expect("it was just written"), &entries);
        let reading = reading(&bytes);
        let run = Run::open(bytes.len() as u64, &reading).expect("the same");
        for term in (0..41_u64).map(|term| term << 58 | term) {
            let blocks = run.blocks_of(term, from);
            let mut found = run.read(blocks, &reading).expect("the same");
            found.retain(|entry| entry.term == term && entry.lsn >= from);
            let expected: Vec<Entry> = entries.iter().copied()
                .filter(|entry| entry.term == term && entry.lsn >= from)
                .collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn any_bytes_are_a_fault_and_not_a_panic(mut bytes: Vec<u8>) {
        bytes.resize(bytes.len() + 300, 0);
        bytes[..8].copy_from_slice(&MAGIC);
        prop_assert!(read(&bytes).is_err());
    }
}

fn some() -> Vec<Entry> {
    let entry = |term, lsn, type_id| Entry { term, lsn, type_id };
    let mut entries: Vec<Entry> = (0..900_u64)
        .map(|i| entry(hash(i / 3), 100 + i % 3 * 500, (i % 2) as u32))
        .collect();
    entries.sort_unstable();
    entries
}

/// As even as the numbers of terms are.
fn hash(number: u64) -> u64 {
    let mixed = (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ mixed >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93)
}

#[test]
fn every_changed_bit_is_found_by_whoever_reads_it() {
    let entries = some();
    let bytes = written(&entries);
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(read(&changed).is_err(), "byte {at}");
    }
    for len in 0..bytes.len() {
        assert!(read(&bytes[..len]).is_err(), "{len} bytes");
    }
}

#[test]
fn a_later_version_is_told_from_damage() {
    let mut bytes = written(&some());
    bytes[8] = 2;
    assert!(matches!(read(&bytes), Err(RunFault::Damaged { offset: 0, .. })));
    let crc = crc32(&bytes[..HEADER_LEN - 4]);
    bytes[HEADER_LEN - 4..HEADER_LEN].copy_from_slice(&crc.to_le_bytes());
    assert!(matches!(
        read(&bytes),
        Err(RunFault::Version {
            version: 2,
            features: 0
        })
    ));
}

#[test]
fn most_terms_that_are_not_there_cost_no_read() {
    let bytes = written(&some());
    let run = Run::open(bytes.len() as u64, &reading(&bytes)).expect("a run");
    let looked = (1_000..11_000).filter(|number| !run.blocks_of(hash(*number), 0).is_empty());
    let looked = looked.count();
    assert!(looked < 200, "{looked} of 10,000");
}

#[test]
fn names_of_files_are_those_of_runs() {
    let name = file_name(0, u64::MAX);
    assert_eq!(name, "index.00000000000000000000.18446744073709551615.run");
    assert_eq!(from_and_to(&name), Some((0, u64::MAX)));
    for other in [
        "index.0.5.run",
        "index.00000000000000000005.00000000000000000005.run",
        "x.run",
        "",
    ] {
        assert_eq!(from_and_to(other), None, "{other}");
    }
}
