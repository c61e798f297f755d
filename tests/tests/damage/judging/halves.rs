//! Somebody looks from outside while a call of the writer is under way, which goes on before one of their own calls.

use wal_db::Staging;
use wal_tests::{
    note, stops,
    written::{Kind, halfway},
};

use super::beside::{FORMS, LIFE, Look, inspects, judge, salvages};

fn run(kind: Kind, before: usize, stop: (u64, u64), look: Look) -> Option<u64> {
    halfway(LIFE, kind, before, stop, look, |writer, found, what| {
        let found = found.into_iter();
        found.for_each(|(found, _)| judge(&writer.states[before..], &found, what));
    })
}

fn everywhere(look: Look) {
    let mut runs = 0;
    for form in FORMS {
        // Without staging memory, a write that takes longer than somebody waits for it looks like one that was interrupted.
        let may_outlast = form.1 == Staging::Mapped;
        runs += stops::everywhere(LIFE.len(), 8, may_outlast, |before, stop, at| {
            run(form, before, (stop, at), look)
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
