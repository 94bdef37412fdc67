//! libFuzzer on the decode target `arp`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::decode::target("arp")(bytes));
