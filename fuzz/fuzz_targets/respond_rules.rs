//! libFuzzer on configurations, rules and the messages that they look at.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::respond_rules::target(bytes));
