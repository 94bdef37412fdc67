//! libFuzzer on the decode target `five_tuple`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::decode::target("five_tuple")(bytes));
