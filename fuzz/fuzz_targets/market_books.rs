//! libFuzzer on the market target `books`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::market::target("books")(bytes));
