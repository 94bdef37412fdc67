//! libFuzzer on the decode target `icmpv6`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::decode::target("icmpv6")(bytes));
