//! A reader begins while a call of the writer is under way, which goes on before one of the reader's own calls.

use wal_db::Staging;
use wal_tests::{note, scale, stops};

use super::interleaved::{FORMS, LIFE, ReadFn, Seen, Writer, follows, judge, opens_and_reads, verifies};

/// The reader begins when operation number `before` of the writer is at a stop, and the writer goes on before call number
/// `at` of the reader. Returns how many calls there were; `None` if there is no such stop.
fn run(form: (bool, Staging), before: usize, stop: u64, at: u64, read: ReadFn) -> Option<u64> {
    let (segmented, staging) = form;
    let mut writer = Writer::new(segmented, staging);
    let disk = writer.log.disk.clone();
    let (stops, at_each) = stops::stops();
    writer.log.disk = disk.beside(at_each);
    writer.log.reopen();
    LIFE[..before].iter().for_each(|&op| writer.run(op));
    let stopped = stops.begin(writer, stop, move |writer| writer.run(LIFE[before]))?;
    let op = LIFE[before];
    let what = format!("{form:?}, in {op:?} number {before} at {stop}, which ends before call {at}");
    let (seen, writer, calls) = stops::look_at(stopped, at, |before_each| {
        read(&disk.beside(before_each), segmented, &|| before, &what)
    });
    if let Some(seen) = seen {
        let to = before + 1;
        judge(&writer.states, &Seen { to, ..seen }, &what);
    }
    Some(calls)
}

/// Every stop of every operation, with the calls of the reader; a part of the pairs, and all of them with
/// `WAL_TESTS_SCALE`.
fn everywhere(read: ReadFn) {
    let step = if scale() > 1 { 1 } else { 16 };
    let mut runs = 0u64;
    for form in FORMS {
        for before in 0..LIFE.len() {
            for stop in 0.. {
                let Some(calls) = run(form, before, stop, 0, read) else {
                    break;
                };
                let first = 1 + (before as u64 + stop) % step;
                for at in (first..calls).step_by(step as usize).chain([u64::MAX]) {
                    run(form, before, stop, at, read);
                    runs += 1;
                }
            }
        }
    }
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
