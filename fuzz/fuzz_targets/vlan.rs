//! libFuzzer on the decode target `vlan`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::decode::target("vlan")(bytes));
