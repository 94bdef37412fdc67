//! libFuzzer on the market target `packet`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::market::target("packet")(bytes));
