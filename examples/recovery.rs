//! What opening makes of the ends that a log can come to. One log is written, and copied at one moment, three times, each
//! time as another accident would have left it:
//!
//! 1. `kill -9`: every record that was appended is there, synced or not.
//! 2. A power cut in the middle of a write: what was acknowledged is there, the half-written rest is cut and kept aside.
//! 3. A flipped bit in what was acknowledged: the log does not open, `inspect` says what is wrong, and `salvage` reads the
//!    rest.
//!
//! Prints the reports.

#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use wal_db::{
    Wal, WalConfig,
    recovery::{self, SalvageItem},
};

const SECTOR: usize = 512;

fn main() -> anyhow::Result<()> {
    let root = tempfile::tempdir()?;
    let dir = root.path().join("log");
    // Without the background flusher nothing is written but what these calls write.
    let config = WalConfig::new().with_background_flush(false);
    let wal = Wal::open_segmented_with(&dir, 1 << 20, config)?;
    for n in 1..=3 {
        wal.append_and_sync(&record("acknowledged", n))?;
    }
    // On its way to the disk when the accident happens: written, and no sync has returned.
    wal.append(&record("unsynced", 4))?;
    wal.append(&record("unsynced", 5))?;
    wal.drain()?;
    // Not even written: in staging memory, which survives the process and not the power.
    wal.append(&record("staged", 6))?;

    println!("1. kill -9");
    let killed = copy(&dir, root.path().join("killed"))?;
    open(&killed)?;

    println!("2. a power cut, which tore the last write");
    let torn = copy(&dir, root.path().join("torn"))?;
    fs::remove_file(torn.join("staging"))?;
    damage(&torn, "unsynced 5", |bytes, at| {
        bytes[at / SECTOR * SECTOR..][..SECTOR].fill(0)
    })?;
    open(&torn)?;

    println!("3. a flipped bit in what was acknowledged");
    let flipped = copy(&dir, root.path().join("flipped"))?;
    fs::remove_file(flipped.join("staging"))?;
    damage(&flipped, "acknowledged 2", |bytes, at| bytes[at + 20] ^= 1)?;
    open(&flipped)?;
    let inspection = recovery::inspect(&flipped)?;
    println!(
        "   inspect: {} of 2 manifest copies intact, {}",
        inspection.intact_manifest_copies,
        match inspection.damage {
            Some(damage) => damage.to_string(),
            None => "no damage".to_owned(),
        }
    );
    for item in recovery::salvage(&flipped)? {
        match item? {
            SalvageItem::Record(record) => println!("   salvage: {}", name(record.data())),
            SalvageItem::Damage(damage) => println!("   salvage: {damage}"),
            _ => {}
        }
    }
    Ok(())
}

/// Long enough that two of them do not share a sector.
fn record(what: &str, n: u32) -> Vec<u8> {
    format!("{what} {n} {}", ".".repeat(2 * SECTOR)).into_bytes()
}

fn name(record: &[u8]) -> String {
    String::from_utf8_lossy(record)
        .trim_end_matches([' ', '.'])
        .to_owned()
}

fn open(dir: &Path) -> anyhow::Result<()> {
    let wal = match Wal::open_segmented(dir, 1 << 20) {
        Ok(wal) => wal,
        Err(error) => {
            println!("   open: {error}");
            return Ok(());
        }
    };
    let report = wal.recovery();
    println!(
        "   open: {} records found, {} from staging",
        report.found_records, report.staged_records
    );
    if let Some(cut) = &report.cut {
        let kept_at = cut.kept_at.as_deref().unwrap_or(Path::new("memory"));
        println!(
            "   open: bytes {}..{} cut, kept in {}",
            cut.start,
            cut.end,
            kept_at.display()
        );
    }
    for record in wal.iter()? {
        println!("   {}", name(record?.data()));
    }
    Ok(())
}

fn copy(from: &Path, to: PathBuf) -> anyhow::Result<PathBuf> {
    fs::create_dir(&to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(to)
}

/// Changes the segment file at the place where `text` stands.
fn damage(dir: &Path, text: &str, change: impl FnOnce(&mut [u8], usize)) -> anyhow::Result<()> {
    let path = dir.join("0000000000.seg");
    let mut bytes = fs::read(&path)?;
    let at = bytes
        .windows(text.len())
        .position(|window| window == text.as_bytes());
    change(&mut bytes, at.context("the record is in the segment")?);
    fs::write(&path, bytes)?;
    Ok(())
}
