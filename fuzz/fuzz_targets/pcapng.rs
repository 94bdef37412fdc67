//! libFuzzer on the capture file reader: `file::check_pcapng`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::file::check_pcapng(bytes));
