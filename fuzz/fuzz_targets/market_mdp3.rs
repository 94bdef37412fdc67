//! libFuzzer on the market target `mdp3`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::market::target("mdp3")(bytes));
