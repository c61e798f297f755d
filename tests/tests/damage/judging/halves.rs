//! Somebody looks from outside while a call of the writer is under way, which goes on before one of their own calls.

use wal_db::Staging;
use wal_tests::{note, stops};

use super::beside::{FORMS, LIFE, Look, Writer, inspects, judge, salvages};

/// The look begins when operation number `before` of the writer is at a stop, and the writer goes on before call number
/// `at` of the look. Returns how many calls there were; `None` if there is no such stop.
fn run(form: (bool, Staging), before: usize, stop: u64, at: u64, look: Look) -> Option<u64> {
    let mut writer = Writer::new(form.0, form.1);
    let disk = writer.log.disk.clone();
    let (stops, at_each) = stops::stops();
    writer.log.disk = disk.beside(at_each);
    writer.log.reopen();
    LIFE[..before].iter().for_each(|&op| writer.run(op));
    let stopped = stops.begin(writer, stop, move |writer| writer.run(LIFE[before]))?;
    let op = LIFE[before];
    let what = format!("{form:?}, in {op:?} number {before} at {stop}, which ends before call {at}");
    let (found, writer, calls) =
        stops::look_at(stopped, at, |before_each| look(&disk.beside(before_each), &what));
    if let Some((found, _)) = found {
        judge(&writer.states[before..], &found, &what);
    }
    Some(calls)
}

fn everywhere(look: Look) {
    let mut runs = 0;
    for form in FORMS {
        // Without staging memory, a write that takes longer than somebody waits for it looks like one that was interrupted.
        let may_outlast = form.1 == Staging::Mapped;
        runs += stops::everywhere(LIFE.len(), 8, may_outlast, |before, stop, at| {
            run(form, before, stop, at, look)
        });
    }
    note(&format!("{runs} interleavings"));
}

#[test]
fn salvage_while_a_write_is_under_way_finds_no_damage() {
    everywhere(salvages);
}

#[test]
fn inspecting_while_a_write_is_under_way_finds_no_damage() {
    everywhere(inspects);
}
