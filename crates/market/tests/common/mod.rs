//! What the tests of several protocols need.

#![allow(dead_code)] // Each test file uses a part of it.

use std::net::IpAddr;
pub mod injected;
pub mod scripts;

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

/// A UDP datagram of a capture.
pub struct Datagram {
    /// When it was captured, in nanoseconds since 1970.
    pub at_ns: u64,
    /// Where it went.
    pub destination: IpAddr,
    /// What it carries.
    pub payload: Vec<u8>,
}

/// The UDP datagrams in a capture, in the order of the capture.
pub fn datagrams(path: &Path) -> Vec<Datagram> {
    let mut port = FilePort::open(path).unwrap();
    let mut datagrams = Vec::new();
    loop {
        let mut batch = Batch::new();
        if matches!(port.receive(&mut batch).unwrap(), Received::End) {
            return datagrams;
        }
        for frame in batch.iter() {
            let tuple = five_tuple(batch.link, frame.bytes).unwrap();
            datagrams.push(Datagram {
                at_ns: frame.timestamp.as_nanos(),
                destination: tuple.addresses.destination(),
                payload: tuple.payload(frame.bytes).to_vec(),
            });
        }
    }
}

/// The payloads of the UDP datagrams in a capture, in the order of the capture.
pub fn payloads(path: &Path) -> Vec<Vec<u8>> {
    datagrams(path).into_iter().map(|datagram| datagram.payload).collect()
}

/// Numbers that depend on a seed alone (splitmix64).
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below `bound`, which is small.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.bits() % bound
    }

    /// Whether one of so many times.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// Bytes that depend on `seed` alone.
pub fn random_bytes<const N: usize>(seed: u64) -> [u8; N] {
    let mut random = Random(seed);
    std::array::from_fn(|_| (random.bits() >> 56) as u8)
}
