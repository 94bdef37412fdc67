//! libFuzzer on the market target `moldudp64`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::market::target("moldudp64")(bytes));
