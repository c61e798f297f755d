//! The fuzzer's corpora and its own seeds, run through its targets without it, on stable Rust. A file that fails here
//! is a finding: `fuzz/README.md` says how to look at it.

use std::{fs, path::Path};

use wal_tests::{
    fuzz_targets::{TARGETS, seeds},
    within,
};

#[test]
fn every_file_of_the_corpora_passes() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    for (target, run) in TARGETS {
        let mut count = 0;
        let files = fs::read_dir(corpora.join(target)).expect("a corpus of every target");
        for file in files {
            let path = file.expect("a file").path();
            let input = fs::read(&path).expect("its bytes");
            assert!(input.len() <= 8 << 10, "{}: too long to be kept", path.display());
            passes(run, input, &path.display().to_string());
            count += 1;
        }
        assert!((8..=100).contains(&count), "{target}: {count} files");
    }
}

#[test]
fn what_the_log_writes_itself_passes() {
    for (target, run) in TARGETS {
        let seeds = seeds(target);
        assert!(seeds.len() > 8, "{target}: {} seeds", seeds.len());
        for (i, seed) in seeds.into_iter().enumerate() {
            passes(run, seed, &format!("{target}, seed {i}"));
        }
    }
}

/// Runs a target, and says for which input it panicked or hangs.
fn passes(run: fn(&[u8]), input: Vec<u8>, what: &str) {
    struct Say<'a>(&'a str);
    impl Drop for Say<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                let text = format!("a finding of the fuzzer: {}\n", self.0);
                std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes()).ok();
            }
        }
    }
    let _say = Say(what);
    within(what, move || run(&input));
}
