//! libFuzzer on state files.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::replicate::state(bytes));
