//! libFuzzer on streams of TCP.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::stream::stream(bytes));
