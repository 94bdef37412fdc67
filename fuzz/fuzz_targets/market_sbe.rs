//! libFuzzer on the market target `sbe`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::market::target("sbe")(bytes));
