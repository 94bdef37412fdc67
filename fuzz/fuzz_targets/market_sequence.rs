//! libFuzzer on sequence numbers.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::market_sequence::sequence(bytes));
