//! libFuzzer on the decode target `ethernet`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::decode::target("ethernet")(bytes));
