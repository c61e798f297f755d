#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| wal_tests::fuzz_targets::open(input));
