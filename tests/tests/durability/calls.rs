//! Calls of the file system that fail, on a simulated disk: named cases first, then every call of a run.

use std::panic::{AssertUnwindSafe, catch_unwind};

use wal_db::{
    Staging, WalConfig,
    testing::sim::{AfterFailedSync, Call, Fault, Medium, SimDisk},
};
use wal_tests::faults::{EIO, ENOSPC, dies_of_a_failed_flush, from_then_on, once};
use wal_tests::{
    Entry, all, everything,
    files::{FORMS, Form, SEGMENT},
    note, pairs, put, quiet, scale,
    sim::log,
    within,
};

#[test]
fn what_a_failed_flush_dropped_from_the_cache_is_no_damage_to_the_next_process() {
    for form in FORMS {
        // What of the group is left differs from round to round.
        for before in 0..16 {
            let disk = SimDisk::new();
            let wal = log::open(&disk, form, quiet()).unwrap();
            let acked: Vec<_> = (0..before).map(|i| put(&wal, i, 300)).collect();
            wal.sync().unwrap();
            put(&wal, before, 1200);
            let disk = dies_of_a_failed_flush(&disk, &wal);
            drop(wal);
            let wal = log::open(&disk, form, quiet()).unwrap();
            assert_eq!(all(&wal)[..before], acked, "{form:?}");
        }
    }
}

/// What is left if nothing arrives that was not flushed.
fn without_the_cache(disk: &SimDisk) -> SimDisk {
    let mut medium = Medium::default();
    disk.journal().iter().for_each(|step| medium.apply(step));
    SimDisk::of(medium.after(&medium.nothing()))
}

#[test]
fn a_name_that_a_dead_process_left_is_durable_before_anything_is_acknowledged() {
    for form in FORMS {
        for calls in 0..40 {
            let disk = SimDisk::new();
            // Everything fails from some call on: as good as dead.
            disk.behave(|disk| disk.fault = from_then_on(None, calls, EIO));
            drop(log::open(&disk, form, quiet()));
            let next = disk.kill();
            next.heal();
            let wal = log::open(&next, form, quiet()).unwrap();
            let acked = put(&wal, 1, 100);
            wal.sync().unwrap();
            let next = next.kill();
            drop(wal);
            let wal = log::open(&without_the_cache(&next), form, quiet()).unwrap();
            assert_eq!(all(&wal), [acked], "{form:?}, dead behind {calls} calls");
        }
    }
}

#[test]
fn a_directory_that_cannot_be_flushed_for_want_of_space_is_never_taken_for_flushed() {
    let disk = SimDisk::new();
    let wal = log::open(&disk, Form::Segmented, quiet()).unwrap();
    disk.behave(|disk| disk.fault = once(Call::SyncDir, 0, ENOSPC));
    let mut acked = Vec::new();
    for i in 0..20 {
        let data = vec![i; 8000];
        let Ok(lsn) = wal.append_and_sync(&data) else {
            break;
        };
        acked.push(Entry(lsn, data));
    }
    assert_eq!(disk.heal(), 1, "no segment was made");
    let disk = disk.kill();
    drop(wal);
    let wal = log::open(&without_the_cache(&disk), Form::Segmented, quiet()).unwrap();
    assert!(all(&wal).starts_with(&acked));
}

#[test]
fn directories_above_a_new_log_are_durable() {
    let disk = SimDisk::new();
    let open = |disk: &SimDisk| disk.open_segmented("a/b/c", SEGMENT, quiet());
    let wal = open(&disk).unwrap();
    let acked = put(&wal, 1, 100);
    wal.sync().unwrap();
    let disk = disk.kill();
    drop(wal);
    assert_eq!(all(&open(&without_the_cache(&disk)).unwrap()), [acked]);
}

/// EIO, ENOSPC, EDQUOT, EFBIG, EROFS, EACCES, ENOMEM, EMFILE, EBADF.
const ERRORS: [i32; 9] = [EIO, ENOSPC, 122, 27, 30, 13, 12, 24, 9];

/// Every call that a run makes fails, once or from then on, with every error; then the log is opened again, after a death
/// of the process and after a power loss. In a run of the default length a part of them does.
#[test]
fn whatever_call_of_the_file_system_fails_nothing_acknowledged_is_lost() {
    let (mut sites, mut runs, mut failures) = (0, 0, Vec::new());
    for (form, staging) in pairs(FORMS, STAGINGS) {
        let config = quiet().with_staging_bytes(64 << 10).with_staging(staging);
        let disk = SimDisk::new();
        everything::run(|| log::open(&disk, form, config));
        let calls = disk.calls(None);
        sites += calls;
        for (after, (i, error)) in
            (0..calls).flat_map(|n| ERRORS.into_iter().enumerate().map(move |e| (n, e)))
        {
            // By default, one in so many.
            let sparse = (SPARSE / u64::from(scale())).max(1);
            if !(after + i as u64 * 7).is_multiple_of(sparse) {
                continue;
            }
            for forever in [false, true] {
                let fault = Fault {
                    call: None,
                    after,
                    error,
                    forever,
                };
                let what = format!("{form:?}, {staging:?}, {fault:?}");
                runs += 1;
                if let Err(wrong) = one_failure(form, config, fault, &what) {
                    failures.push(format!("{what}: {wrong}"));
                }
            }
        }
    }
    note(&format!(
        "{runs} runs, in each of which one of {sites} calls failed, with one of {} errors, once or for ever",
        ERRORS.len()
    ));
    assert!(
        failures.is_empty(),
        "{} of {runs}:\n{}",
        failures.len(),
        failures[..failures.len().min(10)].join("\n")
    );
    assert!(sites > 1000 && runs > 500, "{sites} calls, {runs} runs");
}

const SPARSE: u64 = 64;
const STAGINGS: [Staging; 3] = [Staging::Mapped, Staging::WriteThrough, Staging::Heap];

fn one_failure(form: Form, config: WalConfig, fault: Fault, what: &str) -> Result<(), String> {
    let disk = SimDisk::new();
    let kind = [
        AfterFailedSync::Forgotten,
        AfterFailedSync::Reverted,
        AfterFailedSync::Kept,
    ][fault.after as usize % 3];
    disk.behave(|disk| (disk.fault, disk.after_failed_sync) = (Some(fault), kind));
    let outcomes = within(what, {
        let disk = disk.clone();
        move || {
            catch_unwind(AssertUnwindSafe(|| {
                everything::run(|| log::open(&disk, form, config))
            }))
        }
    });
    let outcomes = outcomes.map_err(|panic| format!("{:?}", panic.downcast_ref::<String>()))?;
    let disk = disk.kill();
    disk.heal();
    let seen = SimDisk::of(disk.seen());
    // What every append that returned has handed over is there, unless it was in the heap, or dropped by the system.
    let survives = config.staging() != Staging::Heap && kind != AfterFailedSync::Reverted;
    within(what, move || {
        for (disk, when) in [(seen, "death"), (without_the_cache(&disk), "power loss")] {
            let wal = log::open(&disk, form, config);
            let wal = wal.map_err(|error| format!("opening after {when}: {error}"))?;
            let found = all(&wal);
            let fits = match when {
                "death" if survives => outcomes.fit_after_death(&found),
                _ => outcomes.fit(&found),
            };
            if !fits {
                return Err(format!("after {when}: {found:?} of {outcomes:?}"));
            }
            wal.append_and_sync(b"goes on")
                .map_err(|error| format!("after {when}: {error}"))?;
        }
        Ok(())
    })
}

/// Nobody need have heard of the failure: the next flush says so.
#[test]
fn after_a_write_or_a_flush_has_failed_no_flush_goes_well() {
    let mut hits = 0;
    for (form, staging) in pairs(FORMS, STAGINGS) {
        let config = quiet().with_staging_bytes(64 << 10).with_staging(staging);
        let disk = SimDisk::new();
        everything::run(|| log::open(&disk, form, config));
        for call in [Call::Write, Call::Sync] {
            for after in 0..disk.calls(Some(call)) {
                let fault = Fault {
                    call: Some(call),
                    after,
                    error: EIO,
                    forever: false,
                };
                let what = format!("{form:?}, {staging:?}, {fault:?}");
                hits += within(&what.clone(), move || {
                    let disk = SimDisk::new();
                    disk.behave(|disk| disk.fault = Some(fault));
                    let mut hits = 0;
                    everything::run_and_then(
                        || log::open(&disk, form, config),
                        |wal| {
                            let mut was_hit = false;
                            disk.behave(|disk| was_hit = disk.fault.is_none());
                            hits += u32::from(was_hit);
                            assert!(!was_hit || wal.sync().is_err(), "{what}: a flush went well");
                        },
                    );
                    hits
                });
            }
        }
    }
    assert!(hits > 100, "{hits}");
}
