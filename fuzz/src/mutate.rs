//! From a well-formed packet to something that no sender would send.
//!
//! The mutator knows where trouble lies: bytes that are lengths, offsets or kinds of headers are
//! hit far more often than payload, because most of a header sits in the first bytes of a packet.

use crate::packets::Sample;
use crate::random::Random;
use tickwire_frame::LinkType;

/// The most changes to one packet.
const CHANGES_MAX: usize = 6;

/// The longest packet that the mutator makes.
pub const PACKET_BYTES_MAX: usize = 4096;

/// Bytes that parsers stumble over: ends of ranges, and kinds of headers.
const BYTES: &[u8] = &[
    0, 1, 2, 3, 4, 5, 6, 7, 8, 0x0f, 0x10, 0x11, 0x1f, 0x2f, 0x3a, 0x3c, 0x40, 0x44, 0x45, 0x46,
    0x4f, 0x60, 0x7f, 0x80, 0x81, 0x84, 0x88, 0xaa, 0xf0, 0xfe, 0xff,
];

/// Fields of two bytes that parsers stumble over: lengths, EtherTypes, ports.
const WORDS: &[u16] = &[
    0, 1, 7, 8, 9, 19, 20, 21, 39, 40, 41, 0x05dc, 0x0600, 0x0800, 0x0806, 0x6558, 0x7fff, 0x8000,
    0x8100, 0x8847, 0x8864, 0x86dd, 0x88a8, 0x9100, 0xfffe, 0xffff, 4789, 6081, 0x2000, 0x1fff,
];

/// Link types that a packet may be read as.
pub const LINKS: &[LinkType] = &[
    LinkType::ETHERNET,
    LinkType::NULL,
    LinkType::PPP,
    LinkType::PPP_SERIAL,
    LinkType::PPP_ETHER,
    LinkType::RAW,
    LinkType::LOOP,
    LinkType::LINUX_SLL,
    LinkType::IPV4,
    LinkType::IPV6,
    LinkType::LINUX_SLL2,
];

/// Makes mutated packets from seeds. The same seed gives the same packets in the same order.
#[derive(Clone, Debug)]
pub struct Mutator {
    seeds: Vec<Sample>,
    random: Random,
    bytes: Vec<u8>,
}

/// A mutated packet, on loan until the next.
#[derive(Clone, Copy, Debug)]
pub struct Mutated<'a> {
    /// How it is to be read.
    pub link: LinkType,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Its length on the wire.
    pub wire_len: u32,
}

impl Mutator {
    /// From these packets, which must not be none.
    pub fn new(seeds: Vec<Sample>, seed: u64) -> Self {
        assert!(!seeds.is_empty(), "a mutator needs a packet to begin with");
        let bytes = Vec::with_capacity(PACKET_BYTES_MAX);
        Mutator { seeds, random: Random::new(seed), bytes }
    }

    /// Packet `index` of `seed`, without making those before it.
    pub fn nth(&mut self, seed: u64, index: u64) -> Mutated<'_> {
        self.random = Random::new(seed ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let chosen = self.random.below(self.seeds.len());
        let mut link = self.seeds[chosen].link;
        self.bytes.clear();
        let len = self.seeds[chosen].bytes.len().min(PACKET_BYTES_MAX);
        self.bytes.extend_from_slice(&self.seeds[chosen].bytes[..len]);
        for _ in 0..self.random.below(CHANGES_MAX + 1) {
            self.change();
        }
        if self.random.below(32) == 0 {
            link = *self.random.pick(LINKS);
        }
        let extra = if self.random.below(4) == 0 { self.random.below(2000) } else { 0 };
        Mutated { link, bytes: &self.bytes, wire_len: (self.bytes.len() + extra) as u32 }
    }

    /// A position, near the start more often than not.
    fn position(&mut self) -> usize {
        let len = self.bytes.len();
        let within = if self.random.below(4) == 0 { len } else { len.min(80) };
        self.random.below(within)
    }

    fn change(&mut self) {
        let at = self.position();
        let room = PACKET_BYTES_MAX - self.bytes.len();
        match self.random.below(10) {
            0 | 1 => self.flip(at),
            2 | 3 => {
                let byte = *self.random.pick(BYTES);
                self.set(at, &[byte]);
            }
            4 => {
                let word = *self.random.pick(WORDS);
                self.set(at, &word.to_be_bytes());
            }
            5 => self.nudge(at),
            6 => self.bytes.truncate(at),
            7 => self.extend(room),
            8 => self.splice(at),
            _ => self.repeat(at, room),
        }
    }

    fn flip(&mut self, at: usize) {
        let bit = self.random.below(8);
        if let Some(byte) = self.bytes.get_mut(at) {
            *byte ^= 1 << bit;
        }
    }

    fn set(&mut self, at: usize, value: &[u8]) {
        if let Some(place) = self.bytes.get_mut(at..at + value.len()) {
            place.copy_from_slice(value);
        }
    }

    /// Edits what may be a length: one more or less, or a few.
    fn nudge(&mut self, at: usize) {
        let by = [1, 0xff, 4, 0xfc, 8, 0xf8][self.random.below(6)];
        if let Some(byte) = self.bytes.get_mut(at) {
            *byte = byte.wrapping_add(by);
        }
    }

    fn extend(&mut self, room: usize) {
        let len = self.random.below(64).min(room);
        let fill = *self.random.pick(BYTES);
        self.bytes.resize(self.bytes.len() + len, fill);
    }

    /// The rest of another packet from `at` on.
    fn splice(&mut self, at: usize) {
        let other = self.random.below(self.seeds.len());
        let from = self.random.below(self.seeds[other].bytes.len());
        let tail = &self.seeds[other].bytes[from..];
        self.bytes.truncate(at);
        let len = tail.len().min(PACKET_BYTES_MAX - self.bytes.len());
        self.bytes.extend_from_slice(&tail[..len]);
    }

    /// A piece again and again, as in stacks of tags, labels and tunnels.
    fn repeat(&mut self, at: usize, room: usize) {
        let len = (4 << self.random.below(5)).min(self.bytes.len() - at);
        for _ in 0..self.random.below(20).min(room / len.max(1)) {
            self.bytes.extend_from_within(at..at + len);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packets::samples;

    #[test]
    fn the_same_seed_and_index_give_the_same_packet() {
        let mut a = Mutator::new(samples(), 1);
        let mut b = Mutator::new(samples(), 2);
        for index in 0..1000 {
            a.nth(9, index);
        }
        let first = a.nth(9, 500).bytes.to_vec();
        assert_eq!(b.nth(9, 500).bytes, first);
    }

    #[test]
    fn packets_differ_and_stay_bounded() {
        let mut mutator = Mutator::new(samples(), 0);
        let mut distinct = std::collections::HashSet::new();
        for index in 0..2000 {
            let mutated = mutator.nth(3, index);
            assert!(mutated.bytes.len() <= PACKET_BYTES_MAX);
            assert!(mutated.wire_len as usize >= mutated.bytes.len());
            distinct.insert(mutated.bytes.to_vec());
        }
        assert!(distinct.len() > 1500, "{} of 2000 differ", distinct.len());
    }
}
