//! libFuzzer on the market target `itch50`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::market::target("itch50")(bytes));
