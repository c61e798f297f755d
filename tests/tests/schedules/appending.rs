//! Appenders and committers beside one another.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::{
    explore::{any_config, beside, choose, explore, join, quiet, start},
    truncating::commit,
    watch::Watch,
    witness::Witness,
};

#[test]
fn what_append_and_sync_acknowledges_is_there() {
    explore(400, || {
        let log = Witness::new(any_config());
        beside(&log, &[commit, commit, commit]);
        log.check();
    });
}

#[test]
fn what_a_sync_covers_is_there() {
    explore(400, || {
        let log = Witness::new(any_config());
        let append = |log: &Witness| {
            log.append(20).unwrap();
            log.append_batch(3, 200).unwrap();
            log.append_with_panic(40);
            log.append_in_place(30).unwrap();
        };
        let commit = |log: &Witness| {
            log.append(8).unwrap();
            log.sync().unwrap();
            log.look();
            log.sync().unwrap();
        };
        beside(&log, &[append, append, commit]);
        log.check();
    });
}

#[test]
fn what_a_ticket_says_is_there() {
    explore(400, || {
        let log = Witness::new(any_config());
        let heard = Arc::new(AtomicUsize::new(0));
        let threads = start(&log, &[wait_for_tickets, wait_for_tickets]);
        for _ in 0..2 {
            let (id, ticket) = log.append_with_ticket(20).unwrap();
            let (heard, watch) = (heard.clone(), Watch::clone(&log));
            ticket.on_durable(move |outcome| {
                outcome.unwrap();
                watch.acknowledge("callback", 1 << id);
                heard.fetch_add(1, Ordering::Relaxed);
            });
        }
        join(threads);
        log.clone().close().unwrap();
        assert_eq!(heard.load(Ordering::Relaxed), 2, "a callback was not called");
        log.check();
    });
}

fn wait_for_tickets(log: &Witness) {
    let (first, ticket) = log.append_with_ticket(20).unwrap();
    let (second, future) = log.append_with_ticket(20).unwrap();
    ticket.wait().unwrap();
    log.acknowledge("ticket", 1 << first);
    shuttle::future::block_on(future).unwrap();
    log.acknowledge("future", 1 << second);
}

#[test]
fn appenders_that_wait_for_room_get_it() {
    explore(60, || {
        let log = Witness::new(any_config());
        let append = |log: &Witness| {
            for _ in 0..3 {
                log.append(7000).unwrap();
            }
            // Longer than what goes through the ring.
            log.append(9000).unwrap();
            log.append_batch(2, 5000).unwrap();
        };
        let commit = |log: &Witness| {
            log.append_and_sync(10).unwrap();
            log.append_and_sync(9000).unwrap();
        };
        beside(&log, &[append, append, commit]);
        log.check();
    });
}

#[test]
fn a_callback_that_waits_for_room_beside_appenders_leaves_nobody_asleep() {
    // So many: in one of a thousand the callback runs in the preparer, and the log is closed meanwhile.
    explore(2_400, || {
        let log = Witness::new(quiet().with_background_flush(true));
        let append = |log: &Witness| {
            for _ in 0..5 {
                log.append(7000).unwrap();
            }
        };
        let threads = start(&log, &[append, append, append]);
        for _ in 0..2 {
            let (_, ticket) = log.append_with_ticket(20).unwrap();
            let log = log.clone();
            // The log may be closed before the last one.
            ticket.on_durable(move |_| (0..4).for_each(|_| drop(log.append(7000))));
        }
        join(threads);
        log.clone().close().unwrap();
        log.check();
    });
}

#[test]
fn a_ring_that_goes_round_keeps_every_byte() {
    explore(60, || {
        let log = Witness::new(quiet().with_background_flush(choose(2) == 0));
        let append = |log: &Witness| {
            for _ in 0..6 {
                log.append(7500).unwrap();
            }
        };
        beside(&log, &[append, append, append]);
        log.sync().unwrap();
        log.check();
    });
}

#[test]
fn what_the_background_does_harms_nothing() {
    explore(300, || {
        let log = Witness::new(quiet().with_background_flush(true));
        let append = |log: &Witness| {
            for _ in 0..4 {
                log.append(300 + choose(3) * 1000).unwrap();
                log.wal.drain().unwrap();
                log.look();
            }
        };
        let commit = |log: &Witness| {
            log.append_and_sync(100).unwrap();
            log.look();
            log.append_and_sync(100).unwrap();
        };
        beside(&log, &[append, commit]);
        log.check();
    });
}

/// A seal closes what was appended meanwhile, and makes it durable without a commit.
#[test]
fn those_whom_a_seal_makes_durable_are_told() {
    explore(1500, || {
        let log = Witness::new(quiet().with_background_flush(true));
        log.append_and_sync(20).unwrap();
        log.append(20).unwrap();
        let sync = |log: &Witness| log.sync().unwrap();
        // Each turn that ends wakes one of them; there are more of them than turns.
        beside(&log, &[sync, sync, sync, sync]);
        log.check();
    });
}
