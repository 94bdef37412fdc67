//! libFuzzer on what a peer of a FIX session says.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::respond_fix::conversation(bytes));
