//! The pages of staging memory are made ready before an append needs them.

use std::path::Path;

use wal_db::{WalConfig, store::StagingInUse};
use wal_tests::{
    assert_is,
    files::{Form, Place},
    put,
};

/// How many bytes of staging memory this process has.
fn resident(staging: &Path) -> u64 {
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let staging = staging.to_str().unwrap();
    let mut of_staging = maps.lines().skip_while(|line| !line.ends_with(staging));
    let resident = of_staging.find_map(|line| line.strip_prefix("Rss:")).unwrap();
    resident
        .trim()
        .strip_suffix(" kB")
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 1024
}

#[test]
fn an_append_finds_the_pages_ready_that_it_will_use() {
    if !Path::new("/proc/self/smaps").exists() {
        wal_tests::note("skipped: nothing tells how much of a mapping is resident");
        return;
    }
    let place = Place::fast(Form::File);
    let wal = place.open(WalConfig::new().with_background_flush(false)).unwrap();
    assert_is!(wal.status().staging, Some(StagingInUse::Mapped));
    let len = || std::fs::metadata(place.staging()).unwrap().len() - 4096;
    let first = len();
    if resident(&place.staging()) < 64 << 10 {
        wal_tests::note("skipped: the system makes no pages ready in advance");
        return;
    }
    assert!(resident(&place.staging()) >= first, "when it was opened");
    while len() == first {
        put(&wal, 1, 10_000);
    }
    // What was appended meanwhile is a fraction of it.
    assert!(resident(&place.staging()) >= len(), "when it has grown");
}
