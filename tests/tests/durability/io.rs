//! A store that fails: an error poisons the log and tells everybody who waits, nothing is tried again, what was durable
//! stays readable; a full disk is not a failure.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
};

use wal_db::{Wal, WalError};
use wal_tests::{
    Entry, all, assert_is,
    disk::{Disk, EIO, Fault, Op, busy_heap, is_full, is_in_doubt, is_poisoned, open, stays_poisoned},
    everything, pairs, payload, put, quiet, quiet_heap, ticket, until_error, within,
};

// ---- errors ----------------------------------------------------------------------------------------------

#[test]
fn a_failed_write_poisons_and_durable_records_stay_readable() {
    for fault in [Fault::Fail(EIO), Fault::Half(EIO)] {
        let disk = Disk::new();
        let wal = open(&disk, quiet_heap());
        let acked = put(&wal, 1, 100);
        wal.sync().unwrap();
        let waiting = ticket(&wal, b"waiting");
        disk.set(Op::Write, fault);
        assert!(is_in_doubt(&waiting.wait()));
        stays_poisoned(&wal, &disk);
        assert_eq!(all(&wal), std::slice::from_ref(&acked));
        assert_eq!(wal.read(acked.0).unwrap().data(), acked.1);
        assert_eq!(wal.iter_rev().unwrap().count(), 1);
        assert!(is_poisoned(&wal.close()));
        let wal = open(&disk.image(), quiet_heap());
        assert_eq!(all(&wal)[0], acked);
    }
}

#[test]
fn a_failed_write_of_an_append_that_is_written_through_is_in_doubt() {
    let disk = Disk::new();
    let wal = open(&disk, quiet());
    let acked = put(&wal, 1, 100);
    disk.set(Op::Write, Fault::Fail(EIO));
    assert!(is_in_doubt(&wal.append(b"x")));
    stays_poisoned(&wal, &disk);
    assert_eq!(all(&wal), [acked]);
}

#[test]
fn a_failed_sync_is_never_tried_again_and_nobody_who_waits_hears_ok() {
    within("a failed sync", || {
        let disk = Disk::new();
        let wal = open(&disk, quiet_heap());
        let acked = put(&wal, 1, 100);
        wal.sync().unwrap();
        let syncs = disk.calls(Op::Sync);
        disk.hold(Op::Sync);
        let outcomes = std::thread::scope(|scope| {
            let leader = scope.spawn(|| wal.append_and_sync(b"leader").map(|_| ()));
            disk.wait_for_held();
            // They come while the flush runs: before it fails, or after.
            let followers: Vec<_> = (0..6)
                .map(|_| {
                    scope.spawn(|| {
                        let appended = wal.append(b"follower");
                        (appended.is_ok(), wal.sync())
                    })
                })
                .collect();
            disk.set(Op::Sync, Fault::Fail(EIO));
            disk.let_go();
            let leader = leader.join().unwrap();
            assert!(is_in_doubt(&leader), "{leader:?}");
            followers
                .into_iter()
                .map(|follower| follower.join().unwrap())
                .collect::<Vec<_>>()
        });
        for (appended, outcome) in &outcomes {
            assert!(
                is_in_doubt(outcome) || is_poisoned(outcome),
                "{appended}: {outcome:?}"
            );
        }
        assert_eq!(disk.calls(Op::Sync), syncs + 1, "one flush was tried");
        stays_poisoned(&wal, &disk);
        assert_eq!(all(&wal)[0], acked);
        drop(wal);
        // At worst nothing of the failed flush is on the disk.
        assert_eq!(
            all(&open(&disk.after_power_loss(|_| false), quiet_heap())),
            [acked]
        );
    });
}

#[test]
fn a_full_disk_in_sync_is_a_failure_like_any_other() {
    let disk = Disk::new();
    let wal = open(&disk, quiet_heap());
    disk.set(Op::Sync, Fault::Fail(io::ErrorKind::StorageFull));
    assert!(is_in_doubt(&wal.append_and_sync(b"x")));
    stays_poisoned(&wal, &disk);
}

#[test]
fn tickets_in_every_form_hear_of_a_failed_sync() {
    within("tickets and a failed sync", || {
        let disk = Disk::new();
        let wal = open(&disk, busy_heap());
        disk.hold(Op::Sync);
        let (told, outcomes) = mpsc::channel();
        for i in 0..4u8 {
            let told = told.clone();
            let ticket = ticket(&wal, &[i]);
            ticket.on_durable(move |outcome| told.send(outcome).unwrap());
        }
        drop(told);
        disk.wait_for_held();
        let waits = ticket(&wal, b"waits");
        let mut polled = ticket(&wal, b"polled");
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let polled_once = std::pin::Pin::new(&mut polled).poll(&mut context);
        assert!(polled_once.is_pending());
        disk.set(Op::Sync, Fault::Fail(EIO));
        disk.let_go();
        let heard: Vec<_> = outcomes.iter().collect();
        assert_eq!(heard.len(), 4);
        assert!(heard.iter().all(is_in_doubt), "{heard:?}");
        let waited = waits.wait();
        assert!(is_in_doubt(&waited) || is_poisoned(&waited), "{waited:?}");
        match std::pin::Pin::new(&mut polled).poll(&mut context) {
            std::task::Poll::Ready(outcome) => assert!(outcome.is_err()),
            std::task::Poll::Pending => panic!("still pending after the failure"),
        }
        stays_poisoned(&wal, &disk);
    });
}

#[test]
fn an_error_while_preparing_space_poisons_the_log() {
    {
        let disk = Disk::new();
        let wal = open(&disk, quiet_heap());
        disk.set(Op::Prepare, Fault::Fail(EIO));
        // The first append that needs space hears of it.
        let failed = within("appends until space is needed", {
            let wal = wal.clone();
            move || (0..100_000).find_map(|_| wal.append(&[1; 8000]).err())
        });
        assert_is!(failed, Some(WalError::Poisoned { .. } | WalError::InDoubt { .. }));
        stays_poisoned(&wal, &disk);
    }
}

#[test]
fn who_flushes_and_who_appends_beside_a_failing_write_hear_of_it_and_can_close() {
    for good in 0..400 {
        within("closing behind a failed write", move || {
            let disk = Disk::new();
            let wal = open(&disk, busy_heap().with_staging_bytes(64 << 10));
            disk.set_after(Op::Write, good % 40, Fault::Fail(EIO));
            std::thread::scope(|scope| {
                scope.spawn(|| while wal.drain().is_ok() {});
                while wal.append(&[7; 1_500]).is_ok() {}
            });
            assert!(wal.close().is_err());
        });
    }
}

#[test]
fn tickets_hear_of_an_error_while_preparing_space() {
    within(
        "a ticket that was registered before preparing space failed",
        || {
            let disk = Disk::new();
            disk.set_space(20_000); // little is made ready ahead
            let wal = open(&disk, busy_heap());
            disk.hold(Op::Sync);
            let _first = ticket(&wal, b"a");
            let flusher_is_busy = ticket(&wal, b"b");
            flusher_is_busy.on_durable(|_| ());
            disk.wait_for_held();
            let (told, outcome) = mpsc::channel();
            ticket(&wal, b"c").on_durable(move |outcome| told.send(outcome).unwrap());
            disk.set(Op::Prepare, Fault::Fail(EIO));
            let refused = wal.append(&[1; 7000]);
            assert!(is_poisoned(&refused) || is_in_doubt(&refused), "{refused:?}");
            disk.let_go();
            let heard = outcome.recv().unwrap();
            assert!(is_in_doubt(&heard), "{heard:?}");
        },
    );
}

#[test]
fn an_error_while_reading_is_an_error_value() {
    let disk = Disk::new();
    let wal = open(&disk, quiet_heap());
    let entry = put(&wal, 1, 100);
    wal.sync().unwrap();
    disk.set(Op::Read, Fault::Fail(EIO));
    let (read, error) = until_error(&wal);
    assert!(
        read.is_empty() && matches!(error, Some(WalError::Io { .. })),
        "{error:?}"
    );
    assert_is!(wal.read(entry.0), Err(WalError::Io { .. }));
    assert!(wal.verify().is_err());
    // Reading does not poison.
    disk.heal();
    assert_eq!(all(&wal), [entry]);
    wal.append_and_sync(b"more").unwrap();

    let image = disk.image();
    image.set(Op::Read, Fault::Fail(EIO));
    let (before, slot) = (image.row(), image.slot(0));
    let opened = Wal::with_store_and_config(image.clone(), quiet_heap());
    assert_is!(opened, Err(WalError::Io { .. }));
    assert_eq!(
        (image.row(), image.slot(0)),
        (before, slot),
        "opening changed something"
    );
    image.heal();
    assert_eq!(all(&open(&image, quiet_heap())).len(), 2);
}

#[test]
fn a_truncation_that_fails_is_done_or_not_done_and_nothing_is_acknowledged_behind_it() {
    for op in [Op::WriteSlot, Op::Sync, Op::Write] {
        for calls in 0..2 {
            let disk = Disk::new();
            let wal = open(&disk, quiet_heap());
            let mut entries: Vec<Entry> = (0..4).map(|i| put(&wal, i, 100)).collect();
            wal.sync().unwrap();
            entries.push(put(&wal, 5, 100));
            disk.set_after(op, calls, Fault::Fail(EIO));
            let cut = wal.truncate_after(entries[1].0);
            if cut.is_ok() {
                assert!(calls > 0, "{op:?} was not used");
                continue;
            }
            stays_poisoned(&wal, &disk);
            for image in [disk.image(), disk.after_power_loss(|_| false)] {
                let wal = open(&image, quiet_heap());
                let found = all(&wal);
                let whole = entries.starts_with(&found) && found.len() >= 4;
                assert!(whole || found == entries[..2], "{op:?}: {found:?}");
                wal.append_and_sync(b"on").unwrap();
                drop(wal);
                assert_eq!(all(&open(&image, quiet_heap())).len(), found.len() + 1);
            }
        }
    }
}

/// The n-th call of each kind fails, for every n of a run that uses everything; then the log is opened again, after a
/// crash of the process and after a power loss.
#[test]
fn whatever_call_fails_nothing_acknowledged_is_lost_and_nothing_is_acknowledged_afterwards() {
    let faults = [
        Fault::Fail(EIO),
        Fault::Half(EIO),
        Fault::Fail(io::ErrorKind::StorageFull),
        Fault::Panic,
    ];
    let (mut runs, mut failures) = (0, Vec::new());
    for op in [Op::Write, Op::Sync, Op::WriteSlot, Op::Prepare, Op::Truncate] {
        for config in [quiet_heap(), quiet()] {
            let calls = {
                let disk = Disk::new();
                everything::run(|| Wal::with_store_and_config(disk.clone(), config));
                disk.calls(op)
            };
            for (fault, n) in pairs(faults, 0..calls) {
                let what = format!("{op:?} {n} of {calls}: {fault:?}, {:?}", config.staging());
                let disk = Disk::new();
                disk.set_after(op, n, fault);
                let outcome = within(&what, {
                    let disk = disk.clone();
                    let open = move || Wal::with_store_and_config(disk.clone(), config);
                    move || catch_unwind(AssertUnwindSafe(|| everything::run(open)))
                });
                let outcome = match outcome {
                    Ok(outcome) => outcome,
                    Err(panic) => {
                        failures.push(format!("{what}: {:?}", panic.downcast_ref::<String>()));
                        continue;
                    }
                };
                disk.heal();
                for image in [
                    disk.image(),
                    disk.after_power_loss(|_| false),
                    disk.after_power_loss(|s| s % 2 == 0),
                ] {
                    let recovered = Wal::with_store_and_config(image, quiet_heap());
                    let found = match recovered {
                        Ok(wal) => all(&wal),
                        Err(error) => {
                            failures.push(format!("{what}: {error}"));
                            continue;
                        }
                    };
                    if !outcome.fit(&found) {
                        failures.push(format!("{what}: {found:?} of {outcome:?}"));
                    }
                }
                runs += 1;
            }
        }
    }
    failures.dedup();
    assert!(
        failures.is_empty(),
        "{} of {runs}:\n{}",
        failures.len(),
        failures.join("\n")
    );
    assert!(runs > 100, "{runs}");
}

#[test]
fn a_manifest_write_that_finds_the_disk_full_leaves_a_log_that_opens() {
    for (calls, heal_first) in [(0, true), (0, false), (1, true), (1, false)] {
        let disk = Disk::new();
        let wal = open(&disk, quiet_heap());
        let entries: Vec<Entry> = (0..4).map(|i| put(&wal, i, 100)).collect();
        disk.set_after(Op::WriteSlot, calls, Fault::Fail(io::ErrorKind::StorageFull));
        // It is durable with the first copy that has it.
        let cut = wal.truncate_after(entries[1].0);
        assert_eq!(cut.is_ok(), calls == 1, "slot write {calls}: {cut:?}");
        if heal_first {
            disk.heal();
        }
        drop(wal);
        disk.heal();
        let found = Wal::with_store_and_config(disk.image(), quiet_heap()).map(|wal| all(&wal));
        match found {
            Ok(found) => assert!(
                found == entries[..2] || cut.is_err() && found == entries,
                "{found:?}"
            ),
            Err(error) => panic!("slot write {calls}, space again before the close: {heal_first}: {error}"),
        }
    }
}

#[test]
fn a_second_close_does_not_say_ok_for_one_that_failed() {
    let disk = Disk::new();
    let wal = open(&disk, quiet_heap());
    wal.append(b"not durable").unwrap();
    disk.set(Op::Sync, Fault::Fail(EIO));
    assert!(is_in_doubt(&wal.clone().close()));
    assert!(is_poisoned(&wal.close()));
    // A full disk is none that has failed: what could not be written is, once there is space.
    let disk = Disk::new();
    let wal = open(&disk, quiet_heap());
    let kept = put(&wal, 1, 100);
    disk.set(Op::Write, Fault::Fail(io::ErrorKind::StorageFull));
    for _ in 0..2 {
        assert_is!(wal.clone().close(), Err(WalError::NotDurable { .. }));
    }
    disk.heal();
    wal.close().unwrap();
    assert_eq!(all(&open(&disk.image(), quiet_heap())), [kept]);
}

// ---- a full disk -----------------------------------------------------------------------------------------

/// Appends until the disk is full.
fn fill(wal: &Wal, entries: &mut Vec<Entry>) {
    let refused = loop {
        let data = payload(entries.len(), 1000);
        match wal.append(&data) {
            Ok(lsn) => entries.push(Entry(lsn, data)),
            refused => break refused,
        }
        assert!(entries.len() < 100);
    };
    assert!(is_full(&refused));
}

#[test]
fn a_full_disk_refuses_records_before_it_takes_them_and_works_again_later() {
    for config in [quiet_heap(), quiet(), busy_heap()] {
        let disk = Disk::new();
        disk.set_space(100_000);
        let wal = open(&disk, config);
        let mut entries = Vec::new();
        fill(&wal, &mut entries);
        assert!(entries.len() >= 50, "{}", entries.len());
        // No LSN was used, by whatever way of appending.
        let tail = wal.end().get();
        assert!(is_full(&wal.append(&[1; 2000])));
        assert!(is_full(&wal.append(&[1; 80_000])));
        assert!(is_full(&wal.append_batch(&[[1; 1000], [2; 1000]])));
        assert!(is_full(&wal.append(&[1; 2000]).and_then(|lsn| wal.ticket(lsn))));
        assert!(is_full(&wal.append_in_place(2000, |_| panic!(
            "the closure of a record that is not taken"
        ))));
        assert_eq!(wal.end().get(), tail, "LSNs were consumed");
        assert_eq!(wal.status().failure, None);
        // What was taken can still be made durable and read.
        wal.sync().unwrap();
        assert_eq!(all(&wal), entries);
        let end = wal.status().durable;

        disk.set_space(10 << 20);
        let data = payload(500, 2000);
        let lsn = wal.append(&data).unwrap();
        assert_eq!(lsn, end, "the next record comes right behind");
        entries.push(Entry(lsn, data));
        entries.push(put(&wal, 501, 80_000));
        wal.close().unwrap();
        assert_eq!(all(&open(&disk, config)), entries);
    }
}

#[test]
fn a_write_that_finds_the_disk_full_keeps_what_was_staged() {
    let disk = Disk::new();
    let wal = open(&disk, quiet_heap().with_staging_bytes(64 << 10));
    let mut entries = vec![put(&wal, 1, 1000)];
    wal.sync().unwrap();
    disk.set(Op::Write, Fault::Fail(io::ErrorKind::StorageFull));
    fill(&wal, &mut entries);
    assert_is!(wal.sync(), Err(WalError::NotDurable { .. }));
    let tail = wal.end().get();
    assert!(is_full(&wal.append(&payload(99, 1000))));
    assert_eq!((wal.end().get(), wal.status().failure), (tail, None));
    disk.heal();
    wal.sync().unwrap();
    entries.push(put(&wal, 200, 1000));
    wal.close().unwrap();
    assert_eq!(all(&open(&disk, quiet_heap())), entries);
}

/// Space is promised by `prepare`. "Full" from `write_at` comes when the record was taken already: without staging
/// memory that could hold it, it is in doubt, and nothing is acknowledged after it.
#[test]
fn a_write_that_finds_the_disk_full_without_staging_is_in_doubt() {
    for (config, len) in [(quiet(), 8), (quiet_heap(), 100_000)] {
        let disk = Disk::new();
        let wal = open(&disk, config);
        let first = put(&wal, 1, 1000);
        wal.sync().unwrap();
        disk.set(Op::Write, Fault::Fail(io::ErrorKind::StorageFull));
        let data = payload(3, len);
        assert_is!(wal.append(&data), Err(WalError::InDoubt { .. }));
        disk.heal();
        assert_is!(wal.append(b"later"), Err(WalError::Poisoned { .. }));
        drop(wal);
        let found = all(&open(&disk, config));
        assert_eq!(found[0], first);
        assert!(
            found[1..].iter().all(|entry| entry.1 == data) && found.len() <= 2,
            "{found:?}"
        );
    }
}
