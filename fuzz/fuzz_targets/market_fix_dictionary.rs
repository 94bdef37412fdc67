//! libFuzzer on the market target `fix_dictionary`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::market::target("fix_dictionary")(bytes));
