//! libFuzzer on the head of a control request.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::control::head(bytes));
