//! libFuzzer on the market target `eobi`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::market::target("eobi")(bytes));
