//! libFuzzer on the decode target `ah`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::decode::target("ah")(bytes));
