//! libFuzzer on the decode target `icmp`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::decode::target("icmp")(bytes));
