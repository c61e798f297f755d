//! Logs as text, line by line: one that is whole, one of events, one that was cut at both ends, damaged ones, and one whose
//! process died.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use wal_db::{
    Staging, Wal, WalConfig, WalRecord,
    testing::{self, set_clock},
};
use wal_tests::{
    files::{Form, Place, SEGMENT},
    put,
};

/// Without threads, on a day of its own, and on every file system alike, so that every run writes the same.
fn open(place: &Place) -> Wal {
    set_clock(Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1)));
    // Blocks of 128 KiB, at whose ends groups end.
    let config = WalConfig::new()
        .with_staging(Staging::AlwaysMapped)
        .with_staging_bytes(512 << 10);
    place.open(config.with_background_flush(false)).unwrap()
}

/// The lines, with another word for the log's id, which is random.
fn dump(place: &Place) -> String {
    let lines = testing::dump(place.path()).unwrap();
    let lines: Vec<String> = lines.map(Result::unwrap).collect();
    let id = lines[0].split(' ').nth(1).unwrap().to_owned();
    lines.join("\n").replace(&id, "ID")
}

#[track_caller]
fn assert_dump(place: &Place, expected: &str) {
    let found = dump(place);
    let expected = expected.trim_matches('\n');
    assert!(found == expected, "it is\n{found}\nand not\n{expected}");
}

/// Three groups, of two records, of a batch of two, and of one after a place that was given up.
fn three_groups() -> Place {
    let place = Place::new(Form::File);
    let wal = open(&place);
    put(&wal, 1, 5);
    put(&wal, 2, 1000);
    wal.sync().unwrap();
    wal.append_batch(&[b"one".as_slice(), b"two"]).unwrap();
    wal.sync().unwrap();
    let given_up = catch_unwind(AssertUnwindSafe(|| {
        wal.append_in_place(20, |_| panic!("no record after all"))
    }));
    assert!(given_up.is_err());
    put(&wal, 3, 8);
    wal.close().unwrap();
    place
}

const THREE_GROUPS: &str = "
log ID in one file
head at 64 in the group at 0, ordinal 0
epoch 2 from 0
group 0..1088, epoch 2, ordinal 0, records 2, durable to 0, time 1000000
  data 64..80, lsn 0, 5 bytes, ordinal 0
  data 80..1088, lsn 16, 1000 bytes, ordinal 1
group 1536..1632, epoch 2, ordinal 2, records 2, durable to 1536, time 1000000
  data 1600..1616, lsn 1536, 3 bytes, ordinal 2, more of the batch follows
  data 1616..1632, lsn 1552, 3 bytes, ordinal 3
group 2048..2160, epoch 2, ordinal 4, records 1, durable to 2048, time 1000000
  void 2112..2144, lsn 2048, 24 bytes
  data 2144..2160, lsn 2080, 8 bytes, ordinal 4
group 2560..2624, epoch 2, ordinal 5, records 0, durable to 2560, time 1000000, seal
end at 3072
";

#[test]
fn a_log_that_is_whole() {
    assert_dump(&three_groups(), THREE_GROUPS);
}

#[derive(Debug, Serialize, Deserialize, WalRecord)]
#[wal(name = "dumped")]
enum Dumped {
    Opened { owner: String },
    Deposited(u64),
}

#[test]
fn a_log_of_events() {
    let place = Place::new(Form::Segmented);
    let log = open(&place).typed::<Dumped>().unwrap();
    log.append(&Dumped::Opened { owner: "Ada".into() }).unwrap();
    log.append_and_sync(&Dumped::Deposited(5)).unwrap();
    drop(log);
    assert_dump(
        &place,
        "
log ID in segments of 65536 bytes
head at 64 in the group at 0, ordinal 0
epoch 2 from 0
segment 0 from 0
group 0..216, epoch 2, ordinal 0, records 2, durable to 0, time 1000000, schemas
  schema 64..120, lsn 0, 42 bytes
  typed 120..144, lsn 56, 12 bytes, ordinal 0
  schema 144..192, lsn 80, 36 bytes
  typed 192..216, lsn 128, 9 bytes, ordinal 1
group 512..576, epoch 2, ordinal 2, records 0, durable to 512, time 1000000, seal
end at 1024
",
    );
}

#[test]
fn a_log_that_was_cut_at_both_ends() {
    let place = Place::new(Form::Segmented);
    let wal = open(&place);
    let entries: Vec<_> = (0..6)
        .map(|i| {
            let entry = put(&wal, i, 24_000);
            wal.sync().unwrap();
            entry
        })
        .collect();
    wal.truncate_before(entries[3].0).unwrap();
    wal.truncate_after(entries[4].0).unwrap();
    put(&wal, 9, 10);
    wal.close().unwrap();
    assert_dump(
        &place,
        "
log ID in segments of 65536 bytes
head at 73792 in the group at 73728, ordinal 3
epoch 2 from 0
epoch 3 from 155648, cut off from 122376
segment 1 from 65536
group 73728..97800, epoch 2, ordinal 3, records 1, durable to 73728, time 1000000
  data 73792..97800, lsn 73728, 24000 bytes, ordinal 3
group 98304..122376, epoch 2, ordinal 4, records 1, durable to 98304, time 1000000
  data 98368..122376, lsn 98304, 24000 bytes, ordinal 4
segment 2 from 131072
group 155648..155736, epoch 3, ordinal 5, records 1, durable to 155648, time 1000000
  data 155712..155736, lsn 155648, 10 bytes, ordinal 5
group 156160..156224, epoch 3, ordinal 6, records 0, durable to 156160, time 1000000, seal
end at 156672
",
    );
}

#[test]
fn damaged_logs() {
    let place = three_groups();
    let groups = place.groups();
    // A byte of the second record, and the header of the second group.
    place.flip(groups[0].pos + 64 + 16 + 100);
    let second = "  data 80..1088, lsn 16, 1000 bytes, ordinal 1";
    let damaged = THREE_GROUPS.replace(second, "damage 80..1088: a record does not match its checksum");
    assert_dump(&place, &damaged);
    place.flip(groups[1].pos + 20);
    let header = "group 1536..1632, epoch 2, ordinal 2, records 2, durable to 1536, time 1000000";
    let damaged = damaged
        .replace(header, "damage 1536..1600: the header of a group is damaged")
        .replace("3 bytes, ordinal 2", "3 bytes")
        .replace("3 bytes, ordinal 3", "3 bytes");
    assert_dump(&place, &damaged);

    let place = Place::new(Form::Segmented);
    let wal = open(&place);
    for i in 0..4 {
        put(&wal, i, SEGMENT as usize / 2);
        wal.sync().unwrap();
    }
    wal.close().unwrap();
    std::fs::remove_file(place.segment(1)).unwrap();
    assert_dump(
        &place,
        "
log ID in segments of 65536 bytes
head at 64 in the group at 0, ordinal 0
epoch 2 from 0
segment 0 from 0
group 0..32840, epoch 2, ordinal 0, records 1, durable to 0, time 1000000
  data 64..32840, lsn 0, 32768 bytes, ordinal 0
group 33280..66120, epoch 2, ordinal 1, records 1, durable to 33280, time 1000000
segment 1 from 65536
damage 65536..131072: a segment file is missing
segment 2 from 131072
group 131072..163912, epoch 2, ordinal 3, records 1, durable to 99840, time 1000000
  data 131136..163912, lsn 131072, 32768 bytes, ordinal 3
group 164352..164416, epoch 2, ordinal 4, records 0, durable to 164352, time 1000000, seal
end at 164864
",
    );
}

#[test]
fn a_log_whose_process_died() {
    let place = Place::new(Form::File);
    let wal = open(&place);
    put(&wal, 1, 5);
    wal.sync().unwrap();
    put(&wal, 2, 6);
    assert_dump(
        &place.killed(),
        "
log ID in one file
head at 64 in the group at 0, ordinal 0
epoch 2 from 0
group 0..80, epoch 2, ordinal 0, records 1, durable to 0, time 1000000
  data 64..80, lsn 0, 5 bytes, ordinal 0
end at 512
staged data 576..592, lsn 512, 6 bytes
",
    );
}
