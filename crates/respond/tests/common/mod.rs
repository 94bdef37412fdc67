//! What the tests of several parts need.

#![allow(dead_code)] // Each test file uses a part of it.

use std::path::{Path, PathBuf};

pub mod kernel;

/// A folder of the corpus; `None`, loudly, when there is none.
pub fn corpus(folder: &str, test: &str) -> Option<PathBuf> {
    let Some(corpus) = std::env::var_os("TICKWIRE_CORPUS") else {
        eprintln!("SKIPPED: {test}: TICKWIRE_CORPUS is not set");
        return None;
    };
    Some(Path::new(&corpus).join(folder))
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

    /// One of `all`, which are some.
    pub fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }

    /// Whether one of so many times.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}
