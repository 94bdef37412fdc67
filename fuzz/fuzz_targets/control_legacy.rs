//! libFuzzer on the older program's UDP control protocol.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::control::legacy(bytes));
