//! Signals whose handlers do not have interrupted calls go on.

use std::time::Duration;

use wal_db::{Retention, Start, WalConfig};
use wal_tests::{
    all,
    child::{Reporter, open_here, told},
    files::{FORMS, Place},
    put, ticket,
};

use super::{process, reports, run_after};

#[test]
fn interrupted_calls_are_no_failures() {
    for form in FORMS {
        for place in [Place::fast(form), Place::new(form)] {
            let output = run_after("true", "signals::uses_a_log_under_signals", &place);
            assert_eq!(reports(&output, "signals"), ["ended"], "{form:?}");
            let wal = place.open(WalConfig::new()).unwrap();
            assert!(wal.recovery().clean);
            assert!(wal.verify().unwrap().is_intact());
        }
    }
}

#[test]
#[ignore = "the process of interrupted_calls_are_no_failures"]
fn uses_a_log_under_signals() {
    let reporter = Reporter::new();
    process::interrupt_every(Duration::from_micros(300));
    let config = WalConfig::new().with_staging_bytes(64 << 10);
    let path = std::path::PathBuf::from(told("WAL_TESTS_PATH"));
    for round in 0..10 {
        let wal = open_here(config);
        let mut tail = wal.tail(Start::Head).unwrap();
        for i in 0..100 {
            put(&wal, i, 5000);
            if i % 10 == 0 {
                wal.sync().unwrap();
                ticket(&wal, b"x").wait().unwrap();
            }
        }
        while tail.try_next().unwrap().is_some() {}
        let _ = tail.next_timeout(Duration::from_millis(2)).unwrap();
        let entries = all(&wal);
        assert_eq!(
            wal_db::Wal::open_read_only(&path)
                .unwrap()
                .iter()
                .unwrap()
                .count(),
            entries.len()
        );
        let copy = path.with_file_name(format!("copy-{round}"));
        wal.backup_to(&copy).unwrap();
        wal.truncate_after(entries[entries.len() - 2].0).unwrap();
        wal.retain(&Retention::new().with_max_bytes(200_000)).unwrap();
        wal.close().unwrap();
    }
    reporter.report("ended");
}
