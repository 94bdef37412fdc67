//! libFuzzer on sessions with exchanges.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::respond_session::conversations(bytes));
