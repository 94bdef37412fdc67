//! libFuzzer on the market target `sbe_schema`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::market::target("sbe_schema")(bytes));
