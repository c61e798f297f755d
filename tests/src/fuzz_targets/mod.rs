//! What the fuzzer runs, one function for each target: bytes in, a panic if anything is wrong. `fuzz/` hands them
//! bytes that libFuzzer makes up; `hostile::corpus` replays those that are kept in `fuzz/corpus`, on stable Rust.
//!
//! Memory and time are the fuzzer's to watch: it is started with limits (see `fuzz/README.md`).

mod checksums;
mod decode;
mod events;
mod image;
mod inspect;
mod open;
mod operations;
mod seeds;
mod store;

pub use decode::decode;
pub use inspect::{inspect, salvage};
pub use open::open;
pub use operations::operations;
pub use seeds::seeds;

/// A target: it panics at a finding.
pub type Target = fn(&[u8]);

/// Every target by the name of its corpus.
pub const TARGETS: [(&str, Target); 5] = [
    ("open", open),
    ("inspect", inspect),
    ("salvage", salvage),
    ("decode", decode),
    ("operations", operations),
];
