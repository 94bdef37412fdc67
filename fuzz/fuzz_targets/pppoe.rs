//! libFuzzer on the decode target `pppoe`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::decode::target("pppoe")(bytes));
