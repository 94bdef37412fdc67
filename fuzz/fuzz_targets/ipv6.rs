//! libFuzzer on the decode target `ipv6`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::decode::target("ipv6")(bytes));
