//! Native and vector code against the interpreter: random programs of the IR, with everything the
//! language may never produce in one place. Expressions of the language: `back_ends.rs`.

use tickwire_filter::generate::{Packets, Random};
use tickwire_filter::ir::{
    Block, BlockId, Compare, End, Meta, Number, NumberId, Op, Program, Size, Slot, Test,
};
use tickwire_filter::native::Native;
use tickwire_filter::vector::{self, Vector};
use tickwire_filter::{Filter, Metadata, Options, Packet, interp};
use tickwire_frame::{Batch, Frame, Mask, Timestamp};

const PROGRAMS: usize = if cfg!(debug_assertions) { 400 } else { 20_000 };
/// Runs that random loops may make, each.
const LOOP_RUNS: u32 = 5;

/// Values that fields and constants share, so that tests hold now and then.
const VALUES: [u32; 12] = [0, 1, 2, 4, 5, 0x0f, 0x1f, 0x20, 0x21, 0x45, 0xff, 0x4500];
const EXTREMES: [u32; 6] = [u32::MAX, u32::MAX - 1, 0x8000_0000, 0x7fff_ffff, 0x1_0000, 0xffff];
const OPS: [Op; 10] =
    [Op::Add, Op::Sub, Op::Mul, Op::Div, Op::Mod, Op::And, Op::Or, Op::Xor, Op::Shl, Op::Shr];

fn pick<T: Copy>(random: &mut Random, from: &[T]) -> T {
    from[random.below(from.len())]
}

/// Programs of up to 12 blocks and as many numbers as they need.
struct Programs {
    random: Random,
    program: Program,
}

impl Programs {
    fn next(random: Random) -> (Program, Random) {
        let mut programs = Programs { random, program: Program::new(100) };
        programs.program.slots = 8;
        let blocks = 2 + programs.random.below(11);
        for at in 0..blocks {
            let block = programs.block(at, blocks);
            programs.program.add(block);
        }
        (programs.program, programs.random)
    }

    fn block(&mut self, at: usize, blocks: usize) -> Block {
        if at + 1 >= blocks - 1 {
            return Block { sets: Vec::new(), end: End::Return(at + 1 == blocks) };
        }
        let later = |random: &mut Random| BlockId((at + 1 + random.below(blocks - at - 1)) as u32);
        let (yes, no) = (later(&mut self.random), later(&mut self.random));
        match self.random.below(12) {
            0 => Block { sets: self.sets(), end: End::Jump(yes) },
            // A loop that counts in a slot of its own: slots from 4 on are not set otherwise.
            1 if at < 4 => {
                let slot = Slot(4 + at as u8);
                let count = self.program.intern(Number::Slot(slot));
                let counted = self.program.binary_const(Op::Add, count, 1);
                let right = self.program.literal(LOOP_RUNS);
                let test = Test { left: count, compare: Compare::Greater, right };
                let back = BlockId(self.random.below(at + 1) as u32);
                let mut sets = self.sets();
                sets.push((slot, counted));
                Block { sets, end: End::Branch { test, yes, no: back } }
            }
            2 | 3 => {
                let sets = self.sets();
                Block { sets, end: End::Branch { test: self.test(), yes, no } }
            }
            _ => Block { sets: Vec::new(), end: End::Branch { test: self.test(), yes, no } },
        }
    }

    fn sets(&mut self) -> Vec<(Slot, NumberId)> {
        let count = self.random.below(3);
        (0..count).map(|_| (Slot(self.random.below(4) as u8), self.number(2))).collect()
    }

    fn test(&mut self) -> Test {
        let compare = pick(
            &mut self.random,
            &[
                Compare::Equal,
                Compare::Equal,
                Compare::Greater,
                Compare::GreaterEqual,
                Compare::AnyBit,
            ],
        );
        let plain = !self.random.one_in(4);
        let left = if plain { self.field() } else { self.number(3) };
        let right = if plain { self.constant() } else { self.number(1) };
        Test { left, compare, right }
    }

    fn constant(&mut self) -> NumberId {
        let values: &[u32] = if self.random.one_in(12) { &EXTREMES } else { &VALUES };
        let mut value = pick(&mut self.random, values);
        if self.random.one_in(4) {
            value = value << 8 | pick(&mut self.random, &VALUES);
        }
        self.program.literal(value)
    }

    /// What most tests are of: a field, sometimes masked, sometimes behind an IPv4 header.
    fn field(&mut self) -> NumberId {
        let base = self.random.one_in(5).then(|| self.header4());
        let offset = self.random.below(40) as u32;
        let size = pick(&mut self.random, &[Size::Byte, Size::Half, Size::Half, Size::Word]);
        let load = self.program.intern(Number::Load { base, offset, size });
        if !self.random.one_in(4) {
            return load;
        }
        let mask = pick(&mut self.random, &[0, 0x0f, 0xff, 0xf0f0, 0xffff_0000, 0x1fff]);
        self.program.binary_const(Op::And, load, mask)
    }

    fn header4(&mut self) -> NumberId {
        let offset = self.random.below(4) as u32;
        let byte = self.program.intern(Number::Load { base: None, offset, size: Size::Byte });
        let words = self.program.binary_const(Op::And, byte, 0x0f);
        let (op, four) = pick(&mut self.random, &[(Op::Shl, 2), (Op::Mul, 4)]);
        self.program.binary_const(op, words, four)
    }

    fn number(&mut self, depth: usize) -> NumberId {
        let metas = [Meta::VlanPresent, Meta::VlanTci, Meta::PacketType, Meta::InterfaceIndex];
        let number = match self.random.below(if depth == 0 { 6 } else { 12 }) {
            0 | 1 => return self.constant(),
            2 => Number::Slot(Slot(self.random.below(4) as u8)),
            3 => Number::WireLen,
            4 if self.random.one_in(4) => Number::Meta(pick(&mut self.random, &metas)),
            4 | 5 => return self.field(),
            6 => {
                // The sum of base and offset does not wrap.
                let base = Some(self.number(depth - 1));
                let far = self.random.one_in(8);
                let offset = if far { u32::MAX - 2 } else { self.random.below(20) as u32 };
                Number::Load {
                    base,
                    offset,
                    size: pick(&mut self.random, &[Size::Byte, Size::Word]),
                }
            }
            _ => {
                let op = pick(&mut self.random, &OPS);
                Number::Binary(op, self.number(depth - 1), self.number(depth - 1))
            }
        };
        self.program.intern(number)
    }
}

/// Bytes of the same few values, of 0 to 70.
fn bytes(random: &mut Random) -> Vec<u8> {
    let len = if random.one_in(3) { random.below(70) } else { 64 };
    let byte = |_| pick(random, &VALUES) as u8;
    (0..len).map(byte).collect()
}

struct Sample {
    bytes: Vec<u8>,
    wire_len: u32,
    metadata: Metadata,
}

fn samples(random: &mut Random, count: usize) -> Vec<Sample> {
    let sample = |_| {
        let bytes = bytes(random);
        let wire_len = bytes.len() as u32 + random.below(3) as u32;
        let metadata = Metadata {
            vlan: random.one_in(2).then(|| random.below(3) as u16),
            packet_type: random.below(5) as u32,
            interface_index: random.below(5) as u32,
        };
        Sample { bytes, wire_len, metadata }
    };
    (0..count).map(sample).collect()
}

fn batch(samples: &[Sample]) -> Batch<'_> {
    let mut batch = Batch::new();
    for Sample { bytes, wire_len, .. } in samples {
        let frame = Frame::new(bytes, Timestamp::ZERO);
        batch.push(Frame { wire_len: *wire_len, ..frame });
    }
    batch
}

fn of_packets(frames: &[(Vec<u8>, u32)]) -> Batch<'_> {
    let mut batch = Batch::new();
    for (bytes, wire_len) in frames {
        batch.push(Frame { wire_len: *wire_len, ..Frame::new(bytes, Timestamp::ZERO) });
    }
    batch
}

/// The interpreter's mask.
fn want(program: &Program, batch: &Batch<'_>, metadata: Option<&[Sample]>) -> Mask {
    let mut mask = Mask::EMPTY;
    for (index, frame) in batch.iter().enumerate() {
        let metadata = metadata.map(|samples| samples[index].metadata);
        let packet = Packet { bytes: frame.bytes, wire_len: frame.wire_len, metadata };
        mask.set_if(index, interp::run(program, &packet) != 0);
    }
    mask
}

/// Compares all back ends; returns how many frames passed and how many vector code decided.
fn compare(
    program: &Program,
    native: &Native,
    vectors: &[Vector],
    batch: &Batch<'_>,
) -> (usize, usize) {
    let want = want(program, batch, None);
    assert_eq!(native.select(batch), want, "native code of\n{program}");
    let mut decided = 0;
    for vector in vectors {
        let (accepted, unsure) = vector.decide(batch);
        let kernel = vector.kernel();
        assert_eq!(accepted, want.without(unsure), "{kernel}: of {unsure:?} unsure\n{program}");
        let exact = |frames| native.select_from(batch, frames);
        assert_eq!(vector.select(batch, exact), want, "{kernel} and native code of\n{program}");
        decided = batch.len() - unsure.count();
    }
    (want.count(), decided)
}

#[test]
fn random_programs_agree() {
    let mut random = Random::new(1);
    let (mut passed, mut decided, mut planned) = (0, 0, 0);
    for at in 0..PROGRAMS {
        let (program, rest) = Programs::next(random);
        random = rest;
        let native = Native::compile(&program).unwrap();
        let vectors = vector::plans(&program);
        planned += usize::from(!vectors.is_empty());
        let samples = samples(&mut random, at % 65);
        let batch = batch(&samples);
        let (more, also) = compare(&program, &native, &vectors, &batch);
        (passed, decided) = (passed + more, decided + also);
        let metadata: Vec<Metadata> = samples.iter().map(|sample| sample.metadata).collect();
        let with = native.select_with(&batch, &metadata);
        assert_eq!(with, want(&program, &batch, Some(&samples)), "with metadata\n{program}");
    }
    // Neither side of a verdict is rare, nor is vector code.
    assert!(
        passed > PROGRAMS * 3 && passed < PROGRAMS * 29,
        "{passed} of {} passed",
        PROGRAMS * 32
    );
    assert!(planned > PROGRAMS / 5, "{planned} of {PROGRAMS} in vector code");
    assert!(decided > PROGRAMS * 3, "{decided} of {} decided by vector code", PROGRAMS * 32);
}

#[test]
fn packets_of_every_length_agree() {
    let mut random = Random::new(2);
    for _ in 0..PROGRAMS / 4 {
        let (program, rest) = Programs::next(random);
        random = rest;
        let native = Native::compile(&program).unwrap();
        let vectors = vector::plans(&program);
        let whole: Vec<u8> = (0..64).map(|_| pick(&mut random, &VALUES) as u8).collect();
        let mut batch = Batch::new();
        for len in 0..64 {
            // A copy, so that a load beyond its end is seen by an address sanitizer.
            batch.push(Frame::new(&whole[..len], Timestamp::ZERO));
        }
        compare(&program, &native, &vectors, &batch);
    }
}

#[test]
fn protochain_runs_in_native_code() {
    let options = Options::default();
    let filter = Filter::compile("ip6 protochain 17 or ip protochain 6", &options).unwrap();
    let native = Native::compile(filter.program()).unwrap();
    let mut packets = Packets::new(23);
    let mut passed = 0;
    for _ in 0..200 {
        let frames: Vec<(Vec<u8>, u32)> = (0..64).map(|_| packets.packet()).collect();
        let batch = of_packets(&frames);
        let want = want(filter.program(), &batch, None);
        assert_eq!(native.select(&batch), want);
        passed += want.count();
    }
    assert!(passed > 200, "{passed} packets passed");
}

/// Large filters are compiled by other parts of Cranelift, in less time.
#[test]
fn large_filters_agree() {
    let kinds: [fn(usize) -> String; 5] = [
        |k| format!("ip[{}] = {}", k % 60, k % 251),
        |k| format!("tcp[{}] > {}", k % 60, k % 251),
        |k| format!("ip[{}] * 3 + ip[{}] % 7 = {}", k % 60, (k * 7) % 50, k),
        |k| format!("host fe80::{k:x}:{:x}", k * 3),
        |k| format!("(not port {} and host 10.0.{}.{})", k + 1, k % 200, k % 99),
    ];
    let mut packets = Packets::new(29);
    let (mut compiled, mut passed, mut all) = (0, 0, 0);
    for (kind, terms) in kinds.iter().flat_map(|kind| [40, 100, 250, 600].map(|n| (kind, n))) {
        let word = if terms % 100 == 0 { " or " } else { " or not " };
        let text = (0..terms).map(kind).collect::<Vec<_>>().join(word);
        let Ok(filter) = Filter::compile(&text, &Options::default()) else { continue };
        let Ok(native) = Native::compile(filter.program()) else { continue };
        compiled += usize::from(terms > 40);
        for _ in 0..4 {
            let frames: Vec<(Vec<u8>, u32)> = (0..64).map(|_| packets.packet()).collect();
            let batch = of_packets(&frames);
            let want = want(filter.program(), &batch, None);
            assert_eq!(native.select(&batch), want, "{text}");
            (passed, all) = (passed + want.count(), all + 64);
        }
    }
    assert!(compiled >= 8, "{compiled} large filters compiled");
    assert!(passed > all / 20 && passed < all * 19 / 20, "{passed} of {all} passed");
}

/// Lengths on the wire beside few and many fields: the last table of each plan is theirs.
#[test]
fn lengths_beside_fields_agree() {
    let fields = [
        "ip",
        "tcp",
        "arp net 10.0.0.0/8",
        "ip src or dst host 10.0.0.2",
        "ether multicast or src net 192.168.1.0/28",
        "ip multicast or ip proto 132 and not ip proto 6",
        "tcp port 80 or udp port 53",
        "host 10.0.0.2 and portrange 0-6000",
    ];
    let mut packets = Packets::new(37);
    let (mut passed, mut decided, mut all) = (0, 0, 0);
    for (field, end) in fields.iter().flat_map(|field| {
        ["|| len != 60", "or less 100", "and greater 60", "and len > 60 and less 90"]
            .map(|end| (field, end))
    }) {
        let filter = Filter::compile(&format!("{field} {end}"), &Options::default()).unwrap();
        let native = Native::compile(filter.program()).unwrap();
        let vectors = vector::plans(filter.program());
        assert!(!vectors.is_empty(), "{field} {end}");
        for _ in 0..20 {
            let frames: Vec<(Vec<u8>, u32)> = (0..64).map(|_| packets.packet()).collect();
            let batch = of_packets(&frames);
            let (more, also) = compare(filter.program(), &native, &vectors, &batch);
            (passed, decided, all) = (passed + more, decided + also, all + 64);
        }
    }
    assert!(passed > all / 10 && passed < all * 9 / 10, "{passed} of {all} passed");
    assert!(decided > all / 4, "{decided} of {all} decided by vector code");
}
