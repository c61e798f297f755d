//! A reader begins while a call of the writer is under way, which goes on before one of the reader's own calls.

use wal_db::testing::SimDisk;
use wal_tests::{
    note, stops,
    written::{Kind, halfway},
};

use super::interleaved::{FORMS, LIFE, ReadFn, Seen, follows, judge, opens_and_reads, verifies};

fn run(kind: Kind, before: usize, stop: (u64, u64), read: ReadFn) -> Option<u64> {
    let read = |disk: &SimDisk, what: &str| read(disk, kind.0, &|| before, what);
    halfway(LIFE, kind, before, stop, read, |writer, seen, what| {
        if let Some(seen) = seen {
            let to = before + 1;
            judge(&writer.states, &Seen { to, ..seen }, what);
        }
    })
}

fn everywhere(read: ReadFn) {
    let run_all = |form| {
        stops::everywhere(LIFE.len(), 16, true, |before, stop, at| {
            run(form, before, (stop, at), read)
        })
    };
    let runs: u64 = FORMS.into_iter().map(run_all).sum();
    note(&format!("{runs} interleavings"));
}

#[test]
fn a_log_is_opened_and_read_while_a_write_is_under_way() {
    everywhere(opens_and_reads);
}

#[test]
fn a_log_is_verified_while_a_write_is_under_way() {
    everywhere(verifies);
}

#[test]
fn a_log_is_followed_while_a_write_is_under_way() {
    everywhere(follows);
}
