//! libFuzzer on the decode target `esp`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::decode::target("esp")(bytes));
