//! Writes what the fuzzer starts from, where nothing better is at hand: `cargo run -p wal-tests --bin fuzz-seeds -- DIR`
//! makes a folder for each target in `DIR`. The corpora in `fuzz/corpus` began so.

use std::{fs, io, path::PathBuf};

use wal_tests::fuzz_targets::{TARGETS, seeds};

fn main() -> io::Result<()> {
    let root = std::env::args_os().nth(1).map(PathBuf::from);
    let root = root.ok_or_else(|| io::Error::other("which folder?"))?;
    for (target, _) in TARGETS {
        let dir = root.join(target);
        fs::create_dir_all(&dir)?;
        for (i, seed) in seeds(target).into_iter().enumerate() {
            fs::write(dir.join(format!("seed-{i:03}")), seed)?;
        }
    }
    Ok(())
}
