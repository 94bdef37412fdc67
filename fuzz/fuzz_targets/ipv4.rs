//! libFuzzer on the decode target `ipv4`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::decode::target("ipv4")(bytes));
