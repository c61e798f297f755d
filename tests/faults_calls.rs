//! Calls of the file system that fail, on a simulated disk: named cases first, then every call of a run.
#![allow(clippy::unwrap_used)] // a setup that fails fails the test

use std::panic::{AssertUnwindSafe, catch_unwind};

use wal_db::{
    Staging, WalConfig,
    testing::sim::{AfterFailedSync, Call, Fault, Medium, SimDisk},
};
use wal_tests::{
    all, everything,
    files::{FORMS, Form},
    note, put, quiet, scale,
    sim::log,
    within,
};

const EIO: i32 = 5;

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
            disk.behave(|disk| {
                disk.after_failed_sync = AfterFailedSync::Reverted;
                disk.fault = Some(Fault {
                    call: Some(Call::Sync),
                    after: 0,
                    error: EIO,
                    forever: false,
                });
            });
            wal.sync().unwrap_err();
            let disk = disk.kill();
            drop(wal);
            let wal = log::open(&disk, form, quiet()).unwrap();
            assert_eq!(all(&wal)[..before], acked, "{form:?}");
        }
    }
}

/// EIO, ENOSPC, EDQUOT, EFBIG, EROFS, EACCES, ENOMEM, EMFILE, EBADF.
const ERRORS: [i32; 9] = [EIO, 28, 122, 27, 30, 13, 12, 24, 9];

/// Every call that a run makes fails, once or from then on, with every error; then the log is opened again, after a death
/// of the process and after a power loss. In a run of the default length a part of them does.
#[test]
fn whatever_call_of_the_file_system_fails_nothing_acknowledged_is_lost() {
    let (mut sites, mut runs, mut failures) = (0, 0, Vec::new());
    for (form, staging) in FORMS
        .into_iter()
        .flat_map(|form| STAGINGS.map(|staging| (form, staging)))
    {
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
    let (seen, mut medium) = (disk.seen(), Medium::default());
    disk.journal().iter().for_each(|step| medium.apply(step));
    let lost = medium.after(&medium.nothing());
    for (image, when) in [(seen, "death"), (lost, "power loss")] {
        let wal = log::open(&SimDisk::of(image), form, config);
        let wal = wal.map_err(|error| format!("opening after {when}: {error}"))?;
        let found = all(&wal);
        if !outcomes.fit(&found) {
            return Err(format!("after {when}: {found:?} of {outcomes:?}"));
        }
        wal.append_and_sync(b"goes on")
            .map_err(|error| format!("after {when}: {error}"))?;
    }
    Ok(())
}
