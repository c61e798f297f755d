//! What the types of a large program cost its compiler: `cargo run --release -p wal-tests --bin lock-cost`.
//!
//! Writes a program with a family of `--variants N` (200), each of which holds one enum of as many variants, and its
//! `wal.lock`; then measures `cargo check` with serde's derives alone, and with those of this crate and the lock beside
//! them. The exit code is 1 if that takes more than three times as long as serde's alone and two seconds, or if the
//! lock has more than 100 KB.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::expect_used)] // a command

use std::{
    error::Error,
    fmt::Write as _,
    fs, io,
    path::Path,
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

const MANIFEST: &str = r#"
[package]
name = "large"
version = "0.0.0"
edition = "2024"

[features]
wal = ["dep:wal-db"]

[dependencies]
serde = { version = "1", features = ["derive"] }
wal-db = { path = "PATH", features = ["testing"], optional = true }

[workspace]
"#;

fn main() -> ExitCode {
    let variants = match arguments(std::env::args().skip(1)) {
        Some(variants) => variants,
        None => {
            eprintln!("usage: lock-cost [--variants N]");
            return ExitCode::from(2);
        }
    };
    match measure(variants) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn arguments(mut arguments: impl Iterator<Item = String>) -> Option<usize> {
    match (arguments.next().as_deref(), arguments.next()) {
        (None, None) => Some(200),
        (Some("--variants"), Some(number)) if arguments.next().is_none() => number.parse().ok(),
        _ => None,
    }
}

fn measure(variants: usize) -> Result<bool, Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace");
    let wal_db = root.join("wal-db");
    let manifest = MANIFEST.replace("PATH", wal_db.to_str().ok_or("a path of text")?);
    fs::write(dir.path().join("Cargo.toml"), manifest)?;
    fs::copy(root.join("Cargo.lock"), dir.path().join("Cargo.lock"))?;
    fs::create_dir(dir.path().join("src"))?;
    fs::write(dir.path().join("src/lib.rs"), program(variants))?;

    let lock = dir.path().join("wal.lock");
    cargo(dir.path(), &["test", "--quiet", "--features", "wal"])?;
    let bytes = fs::metadata(&lock)?.len();
    let serde = check(dir.path(), &[])?;
    let locked = check(dir.path(), &["--features", "wal"])?;
    fs::remove_file(&lock)?;
    let unlocked = check(dir.path(), &["--features", "wal"])?;

    println!("{:<34}{:>9.2} s", "serde's derives", serde.as_secs_f64());
    println!(
        "{:<34}{:>9.2} s",
        "with WalRecord and WalSchema",
        unlocked.as_secs_f64()
    );
    println!("{:<34}{:>9.2} s", "with wal.lock, too", locked.as_secs_f64());
    println!("{:<34}{:>9.1} KB", "wal.lock", bytes as f64 / 1000.0);
    Ok(locked <= serde * 3 + Duration::from_secs(2) && bytes <= 100_000)
}

/// The fastest of three, each of the program alone: what it uses is checked before.
fn check(dir: &Path, features: &[&str]) -> io::Result<Duration> {
    let arguments = [&["check", "--quiet"], features].concat();
    cargo(dir, &arguments)?;
    let mut fastest = Duration::MAX;
    for _ in 0..3 {
        let source = dir.join("src/lib.rs");
        fs::File::options()
            .append(true)
            .open(source)?
            .set_modified(std::time::SystemTime::now())?;
        let start = Instant::now();
        cargo(dir, &arguments)?;
        fastest = fastest.min(start.elapsed());
    }
    Ok(fastest)
}

fn cargo(dir: &Path, arguments: &[&str]) -> io::Result<()> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.current_dir(dir).args(arguments).arg("--offline");
    cargo
        .env("WAL_LOCK", "update")
        .env("CARGO_INCREMENTAL", "0")
        .env("CARGO_TARGET_DIR", dir.join("target"));
    let status = cargo.status()?;
    let failed = || io::Error::other(format!("cargo {arguments:?}: {status}"));
    status.success().then_some(()).ok_or_else(failed)
}

fn program(variants: usize) -> String {
    let mut text = String::from(
        "#![allow(dead_code)]\n\
         use serde::{Deserialize, Serialize};\n\n\
         #[derive(Serialize, Deserialize)]\n\
         #[cfg_attr(feature = \"wal\", derive(wal_db::WalSchema))]\n\
         pub enum Shared {\n",
    );
    let mut line = |line: String| writeln!(text, "{line}").expect("text");
    for i in 0..variants {
        line(format!(
            "    Case{i} {{ id: u64, name: String, amount: Option<i64> }},"
        ));
    }
    line(
        "}\n\n\
         #[derive(Serialize, Deserialize)]\n\
         #[cfg_attr(feature = \"wal\", derive(wal_db::WalRecord), wal(name = \"large\"))]\n\
         pub enum Event {"
            .to_owned(),
    );
    for i in 0..variants {
        line(format!("    Event{i} {{ id: u64, shared: Shared }},"));
    }
    line(
        "}\n\n\
         #[cfg(all(test, feature = \"wal\"))]\n\
         #[test]\n\
         fn released() {\n    \
             wal_db::testing::check_lock!(crate::Event);\n\
         }"
        .to_owned(),
    );
    text
}
