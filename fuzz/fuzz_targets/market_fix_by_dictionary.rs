//! libFuzzer on the market target `fix_by_dictionary`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::market::target("fix_by_dictionary")(
    bytes
));
