//! What the tests of several protocols need.

#![allow(dead_code)] // Each test file uses a part of it.

use std::path::{Path, PathBuf};
use tickwire_capture::{FilePort, Port, Received};
use tickwire_decode::five_tuple;
use tickwire_frame::Batch;

/// A folder of the corpus; `None`, loudly, when there is none.
pub fn corpus(folder: &str, test: &str) -> Option<PathBuf> {
    let Some(corpus) = std::env::var_os("TICKWIRE_CORPUS") else {
        eprintln!("SKIPPED: {test}: TICKWIRE_CORPUS is not set");
        return None;
    };
    Some(Path::new(&corpus).join(folder))
}

/// The payloads of the UDP datagrams in a capture, in the order of the capture.
pub fn payloads(path: &Path) -> Vec<Vec<u8>> {
    let mut port = FilePort::open(path).unwrap();
    let mut payloads = Vec::new();
    loop {
        let mut batch = Batch::new();
        if matches!(port.receive(&mut batch).unwrap(), Received::End) {
            return payloads;
        }
        for frame in batch.iter() {
            let tuple = five_tuple(batch.link, frame.bytes).unwrap();
            payloads.push(tuple.payload(frame.bytes).to_vec());
        }
    }
}

/// Bytes that depend on `seed` alone (splitmix64).
pub fn random_bytes<const N: usize>(seed: u64) -> [u8; N] {
    let mut state = seed;
    std::array::from_fn(|_| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z >> 56) as u8
    })
}
