//! The descriptors 0, 1 and 2 belong to a program's input and output, even if it has closed them.

use wal_db::WalError;
use wal_tests::{
    all,
    child::{Reporter, open_here, told},
    files::{FORMS, Place},
    pairs, put, quiet,
};

use super::{process, reports, run_after};

#[test]
fn what_a_program_prints_that_has_closed_its_output_is_not_in_the_log() {
    for (form, closed) in pairs(FORMS, ["0 1 2", "2"]) {
        let place = Place::new(form);
        let told = format!("export WAL_TESTS_CLOSED='{closed}'");
        let output = run_after(&told, "descriptors::prints_with_closed_output", &place);
        let what = format!("{form:?}, {closed}");
        assert_eq!(reports(&output, "printing"), ["ended"], "{what}");
        let wal = place.open(quiet()).unwrap();
        assert_eq!(all(&wal).len(), 20, "{what}");
        let report = wal.verify().unwrap();
        assert!(report.is_intact(), "{what}: {report:?}");
    }
}

#[test]
#[ignore = "the process of what_a_program_prints_that_has_closed_its_output_is_not_in_the_log"]
fn prints_with_closed_output() {
    let reporter = Reporter::new();
    let closed = told("WAL_TESTS_CLOSED");
    let closed: Vec<i32> = closed.split(' ').map(|fd| fd.parse().unwrap()).collect();
    closed.iter().copied().for_each(process::close);
    let wal = open_here(quiet().with_staging_bytes(64 << 10));
    let reader = wal_db::Wal::open_read_only(told("WAL_TESTS_PATH")).unwrap();
    (0..20).for_each(|i| drop(put(&wal, i, 10_000)));
    let copy = std::path::PathBuf::from(told("WAL_TESTS_PATH")).with_file_name("copy");
    wal.backup_to(copy).unwrap();
    for fd in closed {
        let printed = process::write(fd, &[b'x'; 300_000]).map_err(|error| error.raw_os_error());
        assert_eq!(printed, Err(Some(9)), "the log has descriptor {fd}");
    }
    assert!(!matches!(wal.close(), Err(WalError::Poisoned { .. })));
    drop(reader);
    reporter.report("ended");
}
