//! libFuzzer on the market target `ouch50`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::market::target("ouch50")(bytes));
