//! libFuzzer on the market target `soupbintcp`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::market::target("soupbintcp")(bytes));
