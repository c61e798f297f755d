//! An index: whatever happens beside it, each condition held at the place of its events in the log, answers rest on what is
//! durable, and what is found is what reading the log finds.

use wal_db::testing::sim::Call;

use super::{
    asked::{Asked, Labels},
    explore::{any_config, choose, explore, join, quiet},
    kept::Kept,
    truncating::{cut, move_head},
    witness::Witness,
};

const OF_A: Labels = Labels::FIRST.and(Labels::A);
const OF_B: Labels = Labels::FIRST.and(Labels::B);
pub(crate) const IN_S: Labels = Labels::FIRST.and(Labels::S);
const ALL: Labels = OF_A.and(OF_B).and(IN_S);

fn start(kept: &Kept, threads: &[fn(&Kept)]) -> Vec<shuttle::thread::JoinHandle<()>> {
    let spawn = |&run: &fn(&Kept)| {
        let kept = kept.clone();
        shuttle::thread::spawn(move || run(&kept))
    };
    threads.iter().map(spawn).collect()
}

fn beside(kept: &Kept, threads: &[fn(&Kept)]) {
    join(start(kept, threads));
}

fn any_log() -> Witness {
    match choose(2) {
        0 => Witness::new(any_config()),
        _ => Witness::in_segments(any_config()),
    }
}

/// A log with some events that parts of an index are made of.
pub(crate) fn with_events() -> Witness {
    let log = any_log();
    let kept = Kept::of(&log);
    kept.append(OF_B);
    log.append(30).unwrap();
    kept.append(ALL);
    kept.append_if(&[IN_S, OF_B], Vec::new(), true);
    log
}

fn and_sync() -> bool {
    choose(2) == 0
}

/// Only one of these may come.
fn once(kept: &Kept) {
    kept.append_if(&[OF_A], vec![Asked::Never(Labels::A)], and_sync());
}

pub(crate) fn append(kept: &Kept) {
    kept.append(OF_B);
    let _ = kept.log.append(600);
    kept.append(ALL);
}

pub(crate) fn append_to_stream(kept: &Kept) {
    (0..3).for_each(|_| kept.append(IN_S));
}

fn select(kept: &Kept) {
    for labels in [OF_A, Labels::B, Labels::S] {
        kept.select(labels);
        kept.newest(labels);
    }
}

/// Goes on from what was found.
fn unchanged(kept: &Kept) {
    for labels in [Labels::A, OF_B] {
        if let Some(next) = kept.select(labels) {
            let asked = vec![Asked::Unchanged(labels, next)];
            kept.append_if(&[labels.and(OF_B)], asked, and_sync());
        }
    }
}

fn follow_stream(kept: &Kept) {
    for _ in 0..2 {
        // Another one is not the last of the stream.
        let last = kept.newest(if choose(4) == 0 { OF_B } else { Labels::S });
        kept.append_if(&[IN_S, IN_S.and(OF_A)], vec![Asked::Stream(last)], false);
    }
}

fn follow_end(kept: &Kept) {
    for _ in 0..2 {
        if let Ok(last) = kept.log.wal.last_lsn() {
            kept.append_if(&[OF_B], vec![Asked::End(last)], and_sync());
        }
    }
}

fn command(kept: &Kept) {
    kept.append_if(&[OF_B], vec![Asked::Command], and_sync());
}

fn command_of_many(kept: &Kept) {
    let asked = vec![Asked::Command, Asked::Never(OF_A)];
    kept.append_if(&[OF_A, IN_S], asked, false);
}

fn decide_once(kept: &Kept) {
    kept.decide_once(OF_B, &[Labels::A], 3);
}

/// Two of these exclude each other: each sees what the other one has appended, or is seen.
fn decide_a(kept: &Kept) {
    kept.decide(OF_A, &[Labels::A, Labels::B], 1);
}

fn decide_b(kept: &Kept) {
    kept.decide(OF_B, &[OF_B, OF_A], 1);
}

fn decide_some(kept: &Kept) {
    for _ in 0..2 {
        kept.decide(IN_S, &[Labels::S], 2 + choose(3));
    }
}

/// Sees more and more.
fn decide_more(kept: &Kept) {
    for _ in 0..2 {
        kept.decide(IN_S, &[Labels::S], usize::MAX);
    }
}

/// Sees both as they were at one moment.
fn refuse(kept: &Kept) {
    for _ in 0..2 {
        kept.decide(OF_A, &[Labels::S, Labels::B], 0);
    }
}

pub(crate) fn cut_end(kept: &Kept) {
    cut(&kept.log);
}

pub(crate) fn drop_some(kept: &Kept) {
    move_head(&kept.log);
}

/// What was appended a moment ago is gone for those who have not seen it.
fn append_and_drop(kept: &Kept) {
    for labels in [OF_B, ALL] {
        kept.append(labels);
        let lsn = kept.log.append(20).unwrap();
        kept.log.truncate_before(lsn).unwrap();
    }
}

#[test]
fn of_events_that_exclude_each_other_one_is_appended() {
    explore(150, || {
        let log = any_log();
        let kept = Kept::of(&log);
        beside(&kept, &[once, once, once, append]);
        kept.check();
    });
}

#[test]
fn conditions_hold_at_the_place_of_the_append() {
    explore(150, || {
        let kept = Kept::of(&with_events());
        beside(&kept, &[unchanged, follow_stream, follow_end, append]);
        kept.check();
    });
}

#[test]
fn commands_are_carried_out_once() {
    explore(150, || {
        let kept = Kept::of(&any_log());
        beside(&kept, &[command, command_of_many, decide_once, command]);
        kept.check();
    });
}

#[test]
fn of_decisions_that_exclude_each_other_one_is_made() {
    explore(150, || {
        let kept = Kept::of(&any_log());
        beside(&kept, &[decide_a, decide_b, decide_a, decide_some]);
        kept.check();
    });
}

#[test]
fn decisions_beside_appends_are_made_on_all_that_came_before() {
    explore(150, || {
        let kept = Kept::of(&with_events());
        beside(&kept, &[decide_some, decide_some, append, follow_stream]);
        kept.check();
    });
}

#[test]
fn events_are_found_while_parts_are_written_and_merged() {
    explore(150, || {
        let kept = Kept::of(&with_events());
        beside(
            &kept,
            &[select, append, append, select, |kept| {
                let _ = kept.log.sync();
            }],
        );
        kept.check();
    });
}

#[test]
fn conditions_beside_a_cut_are_about_what_is_left() {
    explore(200, || {
        let kept = Kept::of(&with_events());
        beside(&kept, &[unchanged, follow_stream, follow_end, cut_end]);
        kept.check();
    });
}

#[test]
fn decisions_beside_a_cut_are_about_what_is_left() {
    explore(200, || {
        let kept = Kept::of(&with_events());
        beside(&kept, &[decide_more, decide_once, append_to_stream, cut_end]);
        kept.check();
    });
}

#[test]
fn refusals_beside_a_cut_are_about_one_moment() {
    explore(200, || {
        let kept = Kept::of(&with_events());
        beside(&kept, &[refuse, refuse, append, cut_end]);
        kept.check();
    });
}

#[test]
fn conditions_on_what_was_dropped_unseen_do_not_hold() {
    explore(200, || {
        let kept = Kept::of(&with_events());
        beside(&kept, &[unchanged, follow_stream, append_and_drop]);
        kept.check();
    });
}

#[test]
fn conditions_beside_a_head_that_moves_are_about_what_is_kept() {
    explore(200, || {
        let kept = Kept::of(&with_events());
        beside(&kept, &[unchanged, follow_stream, follow_end, drop_some]);
        kept.check();
    });
}

#[test]
fn decisions_beside_a_head_that_moves_are_about_what_is_kept() {
    explore(200, || {
        let kept = Kept::of(&with_events());
        beside(&kept, &[decide_some, command, select, drop_some]);
        kept.check();
    });
}

/// The last handle goes and another one comes, which reads what the first one has written.
#[test]
fn an_index_that_is_made_again_beside_appends_misses_none() {
    explore(200, || {
        let log = with_events();
        let kept = Kept::of(&log);
        let threads = start(&kept, &[once]);
        let others = log.clone();
        let other = shuttle::thread::spawn(move || {
            for _ in 0..2 {
                let kept = Kept::of(&others);
                kept.append(OF_A);
                once(&kept);
                kept.select(Labels::A);
            }
        });
        drop(kept);
        log.append(40).unwrap();
        let kept = Kept::of(&log);
        append(&kept);
        select(&kept);
        join(threads);
        other.join().unwrap();
        kept.check();
    });
}

/// Nobody is told of what they append until it is made.
#[test]
fn an_index_that_is_made_beside_appends_misses_none() {
    explore(300, || {
        let log = with_events();
        let others = log.clone();
        let appender = shuttle::thread::spawn(move || {
            for labels in [OF_A, IN_S, ALL] {
                others.append_event(labels).unwrap();
            }
        });
        let kept = Kept::of(&log);
        once(&kept);
        decide_some(&kept);
        drop(kept);
        let kept = Kept::of(&log);
        follow_stream(&kept);
        appender.join().unwrap();
        kept.check();
    });
}

#[test]
fn an_index_that_is_made_beside_a_cut_has_what_is_left() {
    explore(200, || {
        let log = with_events();
        let others = log.clone();
        let cutter = shuttle::thread::spawn(move || cut(&others));
        let kept = Kept::of(&log);
        follow_stream(&kept);
        cutter.join().unwrap();
        once(&kept);
        kept.check();
    });
}

#[test]
fn what_is_told_beside_a_close_is_true() {
    explore(150, || {
        let log = with_events();
        let kept = Kept::of(&log).that_may_fail();
        let threads = start(&kept, &[once, decide_some, select, append]);
        log.clone().close().unwrap();
        join(threads);
        drop(kept);
        log.check();
    });
}

/// After a flush has failed nothing is appended any more, and what could not be made durable is no answer.
#[test]
fn no_answer_of_an_index_rests_on_a_flush_that_failed() {
    explore(200, || {
        let log = Witness::new(quiet());
        let kept = Kept::of(&log).that_may_fail();
        log.disk.fail(Call::Sync, choose(4));
        beside(&kept, &[once, decide_a, command, unchanged]);
        once(&kept);
        decide_b(&kept);
        drop(kept);
        log.check();
    });
}

/// A run that cannot be read is made again from the log.
#[test]
fn runs_that_cannot_be_read_are_made_again_beside_appends() {
    explore(200, || {
        let log = with_events();
        let kept = Kept::of(&log);
        log.sync().unwrap();
        let threads = start(&kept.clone().that_may_fail(), &[select, once, append]);
        log.disk.fail(Call::Read, choose(8));
        join(threads);
        log.disk.heal();
        kept.check();
    });
}
