//! What a log reports of itself goes into logs and monitoring as any serde format, and settings come from one.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

use serde_json::{Value, json};
use wal_db::{Durability, Staging, Wal, WalConfig, event::Skipped, recovery};
use wal_tests::{put, quiet, quiet_heap};

fn json(of: impl serde::Serialize) -> Value {
    serde_json::to_value(of).unwrap()
}

#[test]
fn reports_are_serialized_wherever_the_log_is() {
    let root = tempfile::tempdir().unwrap();
    // No Unicode.
    let path = root.path().join(OsStr::from_bytes(b"log\xff"));
    let shown = path.to_string_lossy().into_owned();
    let wal = Wal::open_segmented_with(&path, 1 << 20, quiet_heap()).unwrap();
    let lsn = put(&wal, 1, 100).0;
    put(&wal, 2, 100);
    wal.sync().unwrap();

    let status = json(wal.status());
    assert_eq!((&status["path"], &status["head"]), (&json!(shown), &json!(0)));
    assert_eq!(
        (&status["records"], &status["staging"]),
        (&json!(2), &json!("Heap"))
    );
    assert_eq!(status["failure"], Value::Null);
    assert_eq!(status["config"]["staging"], json!("Heap"));
    let recovery = json(wal.recovery());
    assert_eq!(
        (&recovery["created"], &recovery["cut"]),
        (&json!(true), &Value::Null)
    );
    wal.close().unwrap();

    let inspection = json(recovery::inspect(&path).unwrap());
    let segment = &inspection["segments"][0];
    assert!(segment["path"].as_str().unwrap().starts_with(&shown), "{segment}");
    assert_eq!(inspection["recovery"]["clean"], json!(true));

    let segment = path.join("0000000000.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[4096 + 64 + 50 + lsn.get() as usize] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let report = json(Wal::open_read_only(&path).unwrap().verify().unwrap());
    let damage = &report["damage"][0];
    assert_eq!((&damage["lsn"], &damage["reason"]), (&json!(0), &json!("Frame")));
    assert_eq!(damage["path"], json!(shown));
    assert_eq!(json(Skipped::default())["not_typed"], json!(0));
}

#[test]
fn settings_name_what_is_not_as_by_default() {
    let read = |text: Value| serde_json::from_value::<WalConfig>(text);
    let config = read(json!({ "staging": "WriteThrough", "durability": "Certified" })).unwrap();
    let expected = WalConfig::new()
        .with_staging(Staging::WriteThrough)
        .with_durability(Durability::Certified);
    assert_eq!(config, expected);
    assert_eq!(read(json(quiet())).unwrap(), quiet());
    assert!(read(json!({ "stagin": "Heap" })).is_err(), "a typo");
}
