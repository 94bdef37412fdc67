//! libFuzzer on datagrams and their copies.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::replicate::frames(bytes));
