//! libFuzzer on the market target `fast`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::market::target("fast")(bytes));
