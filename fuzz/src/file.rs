//! Mutated capture files through the reader: from memory, whole or in small pieces.
//!
//! The mutator knows the formats: magic numbers, lengths, resolutions and options are hit more
//! often than the bytes of packets, and a block's two lengths are changed together as often as
//! alone.
use crate::random::Random;
use flate2::{Compression, write::GzEncoder};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Cursor, ErrorKind, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};
use tickwire_capture::{FilePort, Port, Received};
use tickwire_frame::Batch;

/// The most changes to one file.
const CHANGES_MAX: usize = 6;
/// The longest file that the mutator makes, before packing.
const FILE_BYTES_MAX: usize = 8192;
/// So many receives in a row without a packet are a hang.
const IDLES_MAX: usize = 100_000;
/// No packet may be longer: the largest that any link type allows.
const PACKET_BYTES_MAX: usize = 128 << 20;
/// No file of that size may take longer, in a debug build on a busy machine.
const FILE_MS_MAX: u64 = 5_000;

/// Numbers that readers stumble over: ends of ranges, limits, magics, block types.
const WORDS: &[u32] = &[
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    8,
    11,
    12,
    13,
    16,
    20,
    28,
    31,
    32,
    33,
    0xbad,
    0xffff,
    0x1_0000,
    262_144,
    262_145,
    1 << 20,
    (1 << 20) + 4,
    16 << 20,
    (16 << 20) + 4,
    128 << 20,
    0x7fff_fffc,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fffc,
    0xffff_ffff,
    0xa1b2_c3d4,
    0xa1b2_3c4d,
    0xa1b2_cd34,
    0x0a0d_0d0a,
    0x1a2b_3c4d,
    0x0001_0009,
    0x0008_000e,
    0x0004_0002,
];
/// Values of `if_tsresol`, link types whose limits differ, versions.
const BYTES: &[u8] =
    &[0, 1, 2, 3, 4, 6, 9, 12, 14, 19, 20, 63, 64, 101, 127, 128, 189, 191, 192, 249, 255];

/// Which bytes a number has in a file.
#[derive(Clone, Copy)]
struct Order {
    is_big: bool,
}

impl Order {
    fn u16(self, value: u16) -> [u8; 2] {
        if self.is_big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn u32(self, value: u32) -> [u8; 4] {
        if self.is_big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn words(self, words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|&word| self.u32(word)).collect()
    }

    fn pcap_header(self, magic: u32, minor: u16, snaplen: u32, link: u32) -> Vec<u8> {
        let version = [self.u16(2), self.u16(minor)].concat();
        [self.u32(magic).to_vec(), version, self.words(&[0, 0, snaplen, link])].concat()
    }

    fn record(self, header_bytes: usize, length: usize) -> Vec<u8> {
        let mut record = self.words(&[1_700_000_000, 5, length as u32, 60.max(length as u32)]);
        record.resize(header_bytes, 4);
        record.resize(header_bytes + length, 0xab);
        record
    }

    fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let padded = body.len().next_multiple_of(4);
        let mut block = self.words(&[kind, (padded + 12) as u32]);
        block.extend_from_slice(body);
        block.resize(8 + padded, 0);
        block.extend(self.u32((padded + 12) as u32));
        block
    }

    fn option(self, code: u16, value: &[u8]) -> Vec<u8> {
        let mut option = [self.u16(code), self.u16(value.len() as u16)].concat();
        option.extend_from_slice(value);
        option.resize(4 + value.len().next_multiple_of(4), 0);
        option
    }

    /// A section header and an interface.
    fn pcapng_start(self) -> Vec<u8> {
        let version = [self.u16(1), self.u16(0)].concat();
        let section = [self.u32(0x1a2b_3c4d).to_vec(), version, vec![0xff; 8]].concat();
        let fixed = [self.u16(1), self.u16(0)].concat();
        let options = [
            self.option(2, b"eth0"),
            self.option(9, &[9]),
            self.option(11, b"\0udp"),
            self.option(14, &[0; 8]),
            self.option(0, b""),
        ];
        let interface = [fixed, self.u32(262_144).to_vec(), options.concat()].concat();
        [self.block(0x0a0d_0d0a, &section), self.block(1, &interface)].concat()
    }

    /// One of every kind of block that follows.
    fn pcapng_blocks(self) -> Vec<u8> {
        let packet = [0xcd; 10];
        let options = [self.option(1, b"comment"), self.option(2, &[2, 0, 0, 0])].concat();
        let enhanced = [self.words(&[0, 0, 9, 10, 60]), packet.to_vec(), vec![0; 2], options];
        let simple = [self.u32(10).to_vec(), packet.to_vec()];
        let ids = [self.u16(0), self.u16(3)].concat();
        let obsolete = [ids, self.words(&[0, 9, 10, 60]), packet.to_vec()];
        let statistics = [self.words(&[0, 0, 0]), self.option(5, &[7; 8])];
        [
            self.block(6, &enhanced.concat()),
            self.block(3, &simple.concat()),
            self.block(2, &obsolete.concat()),
            self.block(5, &statistics.concat()),
            self.block(0xbad, b"custom"),
            self.block(6, &[self.words(&[0, 0, 9, 0, 0])].concat()),
        ]
        .concat()
    }
}

/// Well-formed files of every variant.
pub fn samples() -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    for is_big in [false, true] {
        let order = Order { is_big };
        for (magic, minor, header_bytes) in
            [(0xa1b2_c3d4, 4, 16), (0xa1b2_3c4d, 4, 16), (0xa1b2_cd34, 4, 24), (0xa1b2_c3d4, 3, 16)]
        {
            let mut file = order.pcap_header(magic, minor, 96, 1);
            for length in [0, 14, 60, 96] {
                file.extend(order.record(header_bytes, length));
            }
            files.push(file);
        }
        files.push([order.pcapng_start(), order.pcapng_blocks()].concat());
        let other = Order { is_big: !is_big };
        let sections = [order.pcapng_start(), order.pcapng_blocks(), other.pcapng_start()];
        files.push([sections.concat(), other.pcapng_blocks()].concat());
    }
    files
}

/// How a mutated file is packed.
#[derive(Clone, Copy, Debug)]
enum Packing {
    Gzip,
    Zstd,
}

fn pack(bytes: &[u8], packing: Packing) -> Vec<u8> {
    match packing {
        Packing::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_default()
        }
        Packing::Zstd => compress_to_vec(bytes, CompressionLevel::Fastest),
    }
}

/// Mutated file `index` of `seed`.
pub fn nth(samples: &[Vec<u8>], seed: u64, index: u64) -> Vec<u8> {
    let mut random = Random::new(seed ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut file = random.pick(samples).clone();
    for _ in 0..random.below(CHANGES_MAX + 1) {
        change(&mut file, &mut random, samples);
        file.truncate(FILE_BYTES_MAX);
    }
    let packing = match random.below(16) {
        0 => Packing::Gzip,
        1 => Packing::Zstd,
        _ => return file,
    };
    let mut packed = pack(&file, packing);
    if random.below(2) == 0 {
        packed.extend(pack(&file, packing));
    }
    for _ in 0..random.below(4) {
        change(&mut packed, &mut random, samples);
    }
    packed
}

fn change(file: &mut Vec<u8>, random: &mut Random, samples: &[Vec<u8>]) {
    let at = random.below(file.len());
    let word_at = at & !3;
    let order = Order { is_big: random.below(2) == 0 };
    match random.below(10) {
        0 => set(file, at, &[1 << random.below(8)]),
        1 => set(file, at, &[*random.pick(BYTES)]),
        2 | 3 => set(file, word_at, &order.u32(*random.pick(WORDS))),
        4 => {
            let length = order.u16(*random.pick(WORDS) as u16);
            set(file, at & !1, &length);
        }
        5 => {
            if let Some(byte) = file.get_mut(at) {
                *byte = byte.wrapping_add([1, 0xff, 4, 0xfc][random.below(4)]);
            }
        }
        6 => file.truncate(at),
        7 => block_length(file, random),
        8 => {
            let piece: Vec<u8> = file[word_at.min(file.len())..].iter().take(64).copied().collect();
            file.splice(word_at..word_at, piece);
        }
        _ => {
            let other = random.pick(samples);
            file.truncate(word_at);
            file.extend_from_slice(&other[random.below(other.len()) & !3..]);
        }
    }
}

fn set(file: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = file.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

/// Changes the length of a pcapng block in front and, where that still is in the file, behind.
fn block_length(file: &mut [u8], random: &mut Random) {
    let mut at = 0;
    for _ in 0..random.below(12) {
        match length_at(file, at) {
            Some(length) if length >= 12 && at + length < file.len() => at += length,
            _ => break,
        }
    }
    let Some(length) = length_at(file, at) else { return };
    let longer = length.wrapping_add([4, 8, 12, 0usize.wrapping_sub(4)][random.below(4)]);
    set(file, at + 4, &(longer as u32).to_le_bytes());
    if let Some(trailer) = at.checked_add(longer).and_then(|end| end.checked_sub(4)) {
        set(file, trailer, &(longer as u32).to_le_bytes());
    }
}

fn length_at(file: &[u8], at: usize) -> Option<usize> {
    let word = file.get(at + 4..at + 8)?;
    Some(u32::from_le_bytes([word[0], word[1], word[2], word[3]]) as usize)
}

/// What a file holds: packets, a digest of all that is known of them, and whether it was whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Contents {
    packets: u64,
    digest: u64,
    is_whole: bool,
}

/// Gives a file in small pieces, and now and then nothing: a slow pipe.
struct Pieces {
    bytes: Cursor<Vec<u8>>,
    random: Random,
}

impl Read for Pieces {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let length = 1 + self.random.below(40);
        if length.is_multiple_of(8) {
            return Err(ErrorKind::WouldBlock.into());
        }
        let length = length.min(bytes.len());
        self.bytes.read(&mut bytes[..length])
    }
}

fn read(mut port: FilePort) -> Contents {
    let mut hasher = DefaultHasher::new();
    let (mut packets, mut idles) = (0, 0);
    let is_whole = loop {
        let mut batch = Batch::new();
        match port.receive(&mut batch) {
            Ok(Received::Frames) => idles = 0,
            Ok(Received::Idle) => {
                idles += 1;
                assert!(idles < IDLES_MAX, "the reader hangs");
            }
            Ok(Received::End) => break true,
            Err(error) => {
                assert!(error.to_string().starts_with("fuzz"), "no file name in: {error}");
                let after = port.receive(&mut Batch::new()).expect("nothing after an error");
                assert_eq!(after, Received::End);
                break false;
            }
        }
        packets += batch.len() as u64;
        for frame in batch.iter() {
            assert!(frame.wire_len as usize >= frame.bytes.len(), "longer captured than it was");
            assert!(frame.bytes.len() <= PACKET_BYTES_MAX, "too long a packet");
            (frame.bytes, frame.wire_len, frame.timestamp, frame.flags).hash(&mut hasher);
            (batch.interface, batch.link).hash(&mut hasher);
        }
    };
    let _ = (port.interfaces(), port.statistics(), port.kernel_counters(), port.mode());
    assert_eq!(port.packets(), packets, "packets are counted");
    Contents { packets, digest: hasher.finish(), is_whole }
}

/// The target: reads `file` at once and in pieces, which must be the same.
pub fn check(file: &[u8]) {
    let whole = read(FilePort::from_reader(Cursor::new(file.to_vec()), "fuzz"));
    let random = Random::new(file.len() as u64);
    let pieces = Pieces { bytes: Cursor::new(file.to_vec()), random };
    let pieces = read(FilePort::from_reader(pieces, "fuzz"));
    assert_eq!(whole, pieces, "in pieces it is another file");
}

/// The same with `records` behind a pcap header.
pub fn check_pcap(records: &[u8]) {
    let header = Order { is_big: false }.pcap_header(0xa1b2_c3d4, 4, 262_144, 1);
    check(&[&header, records].concat());
}

/// The same with `blocks` behind a section header and an interface.
pub fn check_pcapng(blocks: &[u8]) {
    check(&[&Order { is_big: false }.pcapng_start(), blocks].concat());
}

/// What a run over many files showed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Files read.
    pub files: u64,
    /// The slowest file.
    pub slowest: Duration,
    /// Which one that was.
    pub slowest_index: u64,
}

/// Checks the files `range` of `seed`. The error tells how to make the file again.
pub fn run(seed: u64, range: std::ops::Range<u64>) -> Result<Figures, String> {
    let samples = samples();
    let mut figures = Figures::default();
    for index in range {
        let file = nth(&samples, seed, index);
        let start = Instant::now();
        if catch_unwind(AssertUnwindSafe(|| check(&file))).is_err() {
            let hex: String = file.iter().map(|byte| format!("{byte:02x}")).collect();
            return Err(format!("file {index} of seed {seed} failed; its bytes: {hex}"));
        }
        let time = start.elapsed();
        if time > Duration::from_millis(FILE_MS_MAX) {
            return Err(format!("file {index} of seed {seed} took {time:?}"));
        }
        if time > figures.slowest {
            (figures.slowest, figures.slowest_index) = (time, index);
        }
        figures.files += 1;
    }
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_whole_and_packing_keeps_them() {
        for sample in samples() {
            let plain = read(FilePort::from_reader(Cursor::new(sample.clone()), "fuzz"));
            assert!(plain.is_whole && plain.packets >= 4, "{plain:?}");
            for packing in [Packing::Gzip, Packing::Zstd] {
                let packed = pack(&sample, packing);
                let packed = read(FilePort::from_reader(Cursor::new(packed), "fuzz"));
                assert_eq!(packed, plain, "{packing:?}");
            }
        }
    }

    #[test]
    fn many_mutated_files_still_have_packets() {
        let samples = samples();
        let count = |index| {
            let file = nth(&samples, 1, index);
            read(FilePort::from_reader(Cursor::new(file), "fuzz")).packets
        };
        let with_packets = (0..1000).filter(|&index| count(index) > 0).count();
        // Too few would mean that the mutator breaks headers only; too many that it breaks nothing.
        assert!((500..990).contains(&with_packets), "{with_packets}");
    }
}
