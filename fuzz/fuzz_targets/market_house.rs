//! libFuzzer on the market target `house`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::market::target("house")(bytes));
