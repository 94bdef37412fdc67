//! libFuzzer on the market target `ouch42`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::market::target("ouch42")(bytes));
