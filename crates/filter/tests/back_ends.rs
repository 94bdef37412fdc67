//! Every back end against the interpreter, on the same seeded random expressions and packets:
//! classic BPF, vector code on each kernel of this machine, native code, and eBPF in the Linux
//! kernel by BPF_PROG_TEST_RUN.
//!
//! A long run goes in slices, each with a seed of its own:
//!
//! ```text
//! TICKWIRE_AGREEMENT_EXPRESSIONS=50000 TICKWIRE_AGREEMENT_SEED=7 \
//!     cargo test --release -p tickwire-filter --test back_ends -- --nocapture
//! ```

#[path = "xdp/support.rs"]
#[allow(dead_code)]
mod support;

use std::collections::BTreeMap;
use support::{Loaded, PACKET_BYTES_MIN, may_load};
use tickwire_filter::ebpf::Xdp;
use tickwire_filter::generate::{Expressions, Packets};
use tickwire_filter::ir::Program;
use tickwire_filter::native::Native;
use tickwire_filter::vector;
use tickwire_filter::{ErrorKind, Filter, Options, Packet, classic, interp};
use tickwire_frame::{Batch, FRAMES_MAX, Frame, Mask, Timestamp};

/// How many expressions, and packets for each.
const EXPRESSIONS: u64 = if cfg!(debug_assertions) { 600 } else { 20_000 };
const PACKETS: usize = 100;

/// A number from the environment.
fn setting(name: &str, otherwise: u64) -> u64 {
    let value = std::env::var(name).ok().map(|text| text.parse());
    value.map_or(otherwise, |value| value.unwrap_or_else(|_| panic!("{name} is no number")))
}

/// What was compared.
#[derive(Default)]
struct Tally {
    expressions: u64,
    refused: BTreeMap<&'static str, u64>,
    accepted: u64,
    /// Verdicts compared, by back end.
    verdicts: BTreeMap<String, u64>,
}

/// One expression and its packets.
struct Case<'a> {
    text: &'a str,
    program: &'a Program,
    packets: &'a [(Vec<u8>, u32)],
    /// The interpreter's verdicts.
    want: Vec<bool>,
}

impl<'a> Case<'a> {
    fn new(text: &'a str, program: &'a Program, packets: &'a [(Vec<u8>, u32)]) -> Case<'a> {
        let run = |(bytes, wire_len): &(Vec<u8>, u32)| {
            interp::run(program, &Packet { bytes, wire_len: *wire_len, metadata: None }) != 0
        };
        Case { text, program, packets, want: packets.iter().map(run).collect() }
    }

    fn disagree(&self, back_end: &str, at: usize) -> ! {
        let (bytes, wire_len) = &self.packets[at];
        let (text, want) = (self.text, self.want[at]);
        panic!(
            "{back_end}: not {want} for `{text}` on {bytes:02x?} of {wire_len}\n{}",
            self.program
        );
    }

    fn classic(&self, filter: &Filter, tally: &mut Tally) {
        let code = match filter.classic() {
            Ok(code) => code,
            // Plain programs may need more memory than classic BPF has.
            Err(error) => {
                assert_eq!(error.kind, ErrorKind::Limit, "{}: {error}", self.text);
                *tally.refused.entry("classic: memory").or_default() += 1;
                return;
            }
        };
        for (at, (bytes, wire_len)) in self.packets.iter().enumerate() {
            let packet = Packet { bytes, wire_len: *wire_len, metadata: None };
            if (classic::run(&code, &packet) != 0) != self.want[at] {
                self.disagree("classic", at);
            }
        }
        *tally.verdicts.entry("classic".into()).or_default() += self.packets.len() as u64;
    }

    fn batches(&self, tally: &mut Tally) {
        let native = Native::compile(self.program).unwrap();
        let vectors = vector::plans(self.program);
        for (part, packets) in self.packets.chunks(FRAMES_MAX).enumerate() {
            let first = part * FRAMES_MAX;
            let mut batch = Batch::new();
            let mut want = Mask::EMPTY;
            for (index, (bytes, wire_len)) in packets.iter().enumerate() {
                let frame = Frame::new(bytes, Timestamp::ZERO);
                batch.push(Frame { wire_len: *wire_len, ..frame });
                want.set_if(index, self.want[first + index]);
            }
            let check = |back_end: &str, got: Mask| {
                if let Some(index) =
                    (0..packets.len()).find(|at| got.contains(*at) != want.contains(*at))
                {
                    self.disagree(back_end, first + index);
                }
            };
            check("native", native.select(&batch));
            *tally.verdicts.entry("native".into()).or_default() += packets.len() as u64;
            for vector in &vectors {
                let kernel = vector.kernel();
                check(&kernel.to_string(), vector.select(&batch, |_| want));
                let (_, unsure) = vector.decide(&batch);
                let decided = packets.len() - unsure.count();
                *tally.verdicts.entry(kernel.to_string()).or_default() += decided as u64;
            }
        }
    }

    fn in_the_kernel(&self, tally: &mut Tally) {
        let xdp = match Xdp::compile(self.program) {
            Ok(xdp) => xdp,
            Err(refusal) => panic!("XDP refuses `{}`: {refusal}", self.text),
        };
        let loaded = Loaded::new(&xdp);
        for (at, (bytes, _)) in self.packets.iter().enumerate() {
            if bytes.len() < PACKET_BYTES_MIN {
                continue;
            }
            // To XDP a packet is as long as its bytes.
            let want = interp::run(self.program, &Packet::whole(bytes)) != 0;
            if loaded.accepts(bytes) != want {
                self.disagree("eBPF in the kernel (of a whole packet)", at);
            }
            *tally.verdicts.entry("eBPF".into()).or_default() += 1;
        }
    }
}

#[test]
fn all_back_ends_agree() {
    let count = setting("TICKWIRE_AGREEMENT_EXPRESSIONS", EXPRESSIONS);
    let seed = setting("TICKWIRE_AGREEMENT_SEED", 1);
    let in_the_kernel = may_load("all_back_ends_agree, the part in the kernel");
    let mut expressions = Expressions::new(2 * seed);
    let mut packets = Packets::new(2 * seed + 1);
    let mut tally = Tally::default();
    for index in 0..count {
        let text = expressions.expression();
        let options = Options { optimize: index % 4 != 0, ..Options::default() };
        let filter = match Filter::compile(&text, &options) {
            Ok(filter) => filter,
            Err(error) => {
                assert_ne!(error.kind, ErrorKind::Syntax, "{text}: {error}");
                *tally.refused.entry("by the front end").or_default() += 1;
                continue;
            }
        };
        tally.expressions += 1;
        let packets: Vec<(Vec<u8>, u32)> = (0..PACKETS).map(|_| packets.packet()).collect();
        let case = Case::new(&text, filter.program(), &packets);
        tally.accepted += case.want.iter().map(|want| u64::from(*want)).sum::<u64>();
        case.classic(&filter, &mut tally);
        case.batches(&mut tally);
        if in_the_kernel {
            case.in_the_kernel(&mut tally);
        }
    }
    let Tally { expressions, refused, accepted, verdicts } = tally;
    println!(
        "seed {seed}: {expressions} expressions, {} packets, {accepted} accepted, \
         0 mismatches; verdicts {verdicts:?}; refused {refused:?}",
        expressions * PACKETS as u64
    );
    assert!(accepted > count * 10, "{accepted} packets accepted: the pools do not meet");
    assert!(expressions > count / 2, "{refused:?}");
}

/// A verdict of the optimised program is that of the plain one, unless the plain one ended at a
/// load behind what was captured: where the optimised one has dropped that, the packet may pass.
#[test]
fn optimised_programs_mean_the_same() {
    let mut expressions = Expressions::new(11);
    let mut packets = Packets::new(12);
    let mut passed = 0;
    for _ in 0..EXPRESSIONS {
        let text = expressions.expression();
        let plain = Options { optimize: false, ..Options::default() };
        let Ok(plain) = Filter::compile(&text, &plain) else { continue };
        let optimized = Filter::compile(&text, &Options::default());
        for _ in 0..40 {
            let (bytes, wire_len) = packets.packet();
            let packet = Packet { bytes: &bytes, wire_len, metadata: None };
            let got = optimized.as_ref().is_ok_and(|filter| filter.run(&packet) != 0);
            match interp::verdict(plain.program(), &packet) {
                Some(want) => assert_eq!(got, want, "{text} on {bytes:02x?}"),
                None => passed += u32::from(got),
            }
        }
    }
    println!("{passed} packets passed that ended before a load that was dropped");
    assert!(passed > 0);
}
