//! libFuzzer on the market target `iex_gap_fill`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::market::target("iex_gap_fill")(bytes));
