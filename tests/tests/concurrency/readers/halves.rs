//! A reader begins while a call of the writer is under way, which goes on before one of the reader's own calls.

use wal_db::Staging;
use wal_tests::{note, stops};

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

fn everywhere(read: ReadFn) {
    let run_all = |form| {
        stops::everywhere(LIFE.len(), 16, true, |before, stop, at| {
            run(form, before, stop, at, read)
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
