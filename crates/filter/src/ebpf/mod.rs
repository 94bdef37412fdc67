//! The IR as eBPF, to run in front of a port, in XDP.
//!
//! ```text
//! IR ─▶ simplify: exits past tests that are known
//!    ─▶ lists: chains of comparisons as lists, short ones as trees, long ones as tables
//!    ─▶ graph: what must be known of every block
//!    ─▶ emit, compute: instructions for blocks and numbers
//! ```
//!
//! What is emitted is a fragment without a frame: the surrounding program says where accepted and
//! rejected packets go (two labels). The verifier accepts it by construction: every load lies
//! behind a check of the packet's end on the same way, computed offsets are bounded before they
//! are added to a pointer, loops count. What XDP cannot do is a [`Refusal`], with its name.
//!
//! Same verdicts as the [interpreter](crate::interp) for every packet that lies in one buffer and
//! is not longer than 32 767 bytes. Of a packet in several buffers only the first can be loaded
//! from, so that a load behind it rejects.
//!
//! Nothing in here talks to the kernel: tables are bytes that the loader puts into maps.

mod compute;
mod emit;
pub mod flow;
mod graph;
mod lists;
mod registers;
mod sample;
mod simplify;
mod values;

pub use crate::table::{LIST_VALUES_MIN, Table};
pub use registers::CONTEXT;
pub use sample::Sampling;

use crate::ir::{CHAIN_HEADERS_MAX, Meta, Number, Program};
use crate::part::{self, Excess};
use graph::Graph;
use std::fmt;
use std::os::fd::RawFd;
use tickwire_ebpf::{Assembler, Instruction, Label};
use tickwire_frame::LinkType;

/// The stack below the frame pointer that the surrounding program may use, in bytes.
pub const STACK_BYTES_RESERVED: i16 = 64;
/// The most instructions of a filter: jumps reach 32 767 of them, and the surrounding program
/// needs some.
pub const INSTRUCTIONS_MAX: usize = 32_000;
/// The most conditional jumps on one way, counted as often as a loop may run: the verifier
/// remembers 8192 places to come back to.
pub const BRANCHES_MAX: usize = 8_000;
/// The most messages of a packet that a part of a filter looks at, those of each pass counted. The
/// walk takes 3 to 4 ns a message here; over more, it takes longer than what it spares: a redirect,
/// a copy, and a search in user space, which is fastest in full packets.
pub const MESSAGES_MAX: u32 = 16;
/// About how many blocks they may become: what compiling takes.
const UNROLLED_BLOCKS_MAX: usize = 8_192;
/// The highest fixed offset of a load: what an instruction can express.
pub const OFFSET_MAX: u32 = 32_760;

/// Why a filter cannot run in XDP; it runs in user space then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is made for packets that do not begin with an Ethernet header.
    LinkType(LinkType),
    /// It asks for what only a socket knows.
    Metadata(Meta),
    /// It looks at every message of a packet.
    Messages,
    /// It loads from further behind than XDP can.
    Offset {
        /// Where from.
        offset: u32,
    },
    /// A number has so many parts that are needed at once that the registers do not hold them.
    TooDeep,
    /// It has too many instructions.
    TooLong {
        /// How many.
        instructions: usize,
    },
    /// It has too many conditional jumps for the verifier.
    TooManyBranches {
        /// How many.
        branches: usize,
    },
    /// A list has too many values.
    ListTooLong {
        /// How many.
        values: usize,
    },
}

impl Refusal {
    /// Its name, for logs and metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Refusal::LinkType(_) => "link_type",
            Refusal::Metadata(_) => "metadata",
            Refusal::Messages => "messages",
            Refusal::Offset { .. } => "offset",
            Refusal::TooDeep => "too_deep",
            Refusal::TooLong { .. } => "too_long",
            Refusal::TooManyBranches { .. } => "too_many_branches",
            Refusal::ListTooLong { .. } => "list_too_long",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::LinkType(link) => {
                write!(f, "XDP sees Ethernet packets, the filter is for link type {}", link.0)
            }
            Refusal::Metadata(meta) => {
                let what = match meta {
                    Meta::VlanPresent | Meta::VlanTci => "a VLAN tag that is kept beside the frame",
                    Meta::PacketType => "the direction of the packet",
                    Meta::InterfaceIndex => "the interface of the packet",
                };
                write!(f, "XDP does not know {what}")
            }
            Refusal::Messages => f.write_str("it looks at every message of a packet"),
            Refusal::Offset { offset } => write!(
                f,
                "a load at offset {offset}: XDP reads the first {OFFSET_MAX} bytes of a packet"
            ),
            Refusal::TooDeep => {
                f.write_str("the arithmetic needs more registers than there are: split it")
            }
            Refusal::TooLong { instructions } => write!(
                f,
                "{instructions} eBPF instructions, the limit is {INSTRUCTIONS_MAX}: shorten the \
                 filter"
            ),
            Refusal::TooManyBranches { branches } => write!(
                f,
                "{branches} conditional jumps, the kernel verifies at most {BRANCHES_MAX}: shorten \
                 the filter"
            ),
            Refusal::ListTooLong { values } => {
                write!(f, "a list of {values} values is too long for a table: split it")
            }
        }
    }
}

impl std::error::Error for Refusal {}

/// A filter that can run in XDP.
#[derive(Clone, Debug)]
pub struct Xdp {
    graph: Graph,
    messages_max: Option<u32>,
}

/// Equal when the kernel would do the same.
impl PartialEq for Xdp {
    fn eq(&self, other: &Xdp) -> bool {
        self.graph.tables == other.graph.tables && self.code() == other.code()
    }
}

impl Eq for Xdp {}

impl Xdp {
    /// Compiles `program`, and makes sure that [`emit`](Self::emit) will work.
    ///
    /// # Errors
    /// What XDP, the verifier or a table cannot do.
    pub fn compile(program: &Program) -> Result<Xdp, Refusal> {
        Xdp::of(program, Short::Rejects)
    }

    fn of(program: &Program, short: Short) -> Result<Xdp, Refusal> {
        let xdp = Xdp { graph: Graph::new(program, short)?, messages_max: None };
        let code = xdp.fragment()?;
        if code.len() > INSTRUCTIONS_MAX {
            return Err(Refusal::TooLong { instructions: code.len() });
        }
        let branches = branches(&code);
        if branches > BRANCHES_MAX {
            return Err(Refusal::TooManyBranches { branches });
        }
        Ok(xdp)
    }

    /// The largest part of `program` that can run; see [`crate::Filter::xdp_part`].
    pub(crate) fn part(program: &Program) -> Option<Xdp> {
        let passes = program.walk.passes;
        let mut messages = MESSAGES_MAX.checked_div(passes).unwrap_or(0);
        let blocks = program.order().len();
        while blocks * (messages * passes) as usize > UNROLLED_BLOCKS_MAX {
            messages /= 2;
        }
        while messages > 0 {
            match Xdp::walking_part(program, messages) {
                Ok(None) => return None,
                Ok(walking) => return walking,
                Err(Refusal::TooLong { .. } | Refusal::TooManyBranches { .. }) => messages /= 2,
                Err(_) => break,
            }
        }
        let undecided = part::with_numbers(program, |number| {
            is_unknown(number) || number == Number::CapturedLen
        });
        part::part(program, undecided, |program| {
            Xdp::of(program, Short::Passes).map_err(|refusal| match refusal {
                Refusal::TooDeep => Excess::Depth,
                _ => Excess::Length,
            })
        })
    }

    /// The part that looks at so many messages in each pass; none when it would accept everything.
    fn walking_part(program: &Program, messages: u32) -> Result<Option<Xdp>, Refusal> {
        let unrolled = part::unrolled(program, messages * program.walk.passes);
        let mut undecided = part::with_numbers(&unrolled, is_unknown);
        for (block, undecided) in unrolled.blocks.iter().zip(&mut undecided) {
            *undecided |= part::sets_one_of(block, &program.walk.scans);
        }
        let Some(opened) = part::open(&unrolled, &undecided) else { return Ok(None) };
        let xdp = Xdp::of(&opened, Short::Passes)?;
        let steps = |id| part::sets_one_of(opened.block(id), &program.walk.steps);
        let walks = opened.order().into_iter().any(steps);
        let messages_max = walks.then_some(messages);
        Ok(Some(Xdp { messages_max, ..xdp }))
    }

    /// How many messages a packet may have to be decided by them, in a part that looks at messages;
    /// one with more may pass undecided.
    pub fn messages_max(&self) -> Option<u32> {
        self.messages_max
    }

    /// The program that it was made from, as it is emitted.
    #[cfg(test)]
    pub(crate) fn source(&self) -> &Program {
        &self.graph.program
    }

    /// The tables that it looks into. Each becomes the only value of an array map.
    pub fn tables(&self) -> &[Table] {
        &self.graph.tables
    }

    /// Appends the filter to a program. [`CONTEXT`] must hold the context and is kept, the stack
    /// above [`STACK_BYTES_RESERVED`] too; all other registers are lost. Control leaves by jumps to
    /// `accept` and `reject` alone, and not always to both (see [`Assembler::is_used`]).
    ///
    /// # Panics
    /// Unless there is one descriptor in `tables` for each of [`tables`](Self::tables).
    pub fn emit(&self, asm: &mut Assembler, tables: &[RawFd], accept: Label, reject: Label) {
        assert_eq!(tables.len(), self.graph.tables.len(), "one map for each table");
        emit::emit(&self.graph, asm, tables, accept, reject).expect("tried when it was compiled");
    }

    /// The instructions for a listing: R6 is the context; tables are numbered from 0; the last four
    /// instructions return 1 for an accepted packet and 0 for a rejected one.
    pub fn code(&self) -> Vec<Instruction> {
        self.fragment().expect("tried when it was compiled")
    }

    fn fragment(&self) -> Result<Vec<Instruction>, Refusal> {
        let mut asm = Assembler::new();
        let (accept, reject) = (asm.label(), asm.label());
        let tables: Vec<RawFd> = (0..self.graph.tables.len() as RawFd).collect();
        emit::emit(&self.graph, &mut asm, &tables, accept, reject)?;
        for (label, value) in [(accept, 1), (reject, 0)] {
            asm.bind(label);
            asm.mov(tickwire_ebpf::Reg::R0, value);
            asm.exit();
        }
        let instructions = asm.len();
        asm.finish().map_err(|_| Refusal::TooLong { instructions })
    }
}

/// What XDP does not know, or does not reach.
fn is_unknown(number: Number) -> bool {
    match number {
        Number::Meta(_) => true,
        Number::Load { offset, .. } => offset > OFFSET_MAX,
        _ => false,
    }
}

/// What becomes of a packet that ends before a load behind a computed place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Short {
    /// As the IR has it.
    Rejects,
    /// It passes: the rest may lie in another buffer, or behind 32 767 bytes.
    Passes,
}

/// How many conditional jumps the verifier may have to come back to.
fn branches(code: &[Instruction]) -> usize {
    let rounds = CHAIN_HEADERS_MAX as usize + 1;
    let targets = |at: usize| at as i64 + 1 + code[at].distance();
    let loops: Vec<(i64, i64)> = (0..code.len())
        .filter(|at| code[*at].is_jump() && targets(*at) <= *at as i64)
        .map(|at| (targets(at), at as i64))
        .collect();
    let times = |at: usize| {
        let looped = loops.iter().any(|(from, to)| (*from..=*to).contains(&(at as i64)));
        if looped { rounds } else { 1 }
    };
    (0..code.len()).filter(|at| code[*at].is_branch()).map(times).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{Block, BlockId, Compare, End, Number, NumberId, Op, Size, Test};
    use crate::{Filter, Options};
    use tickwire_ebpf::listing;

    fn listed(text: &str) -> String {
        let filter = Filter::compile(text, &Options::default()).unwrap();
        listing(&filter.xdp().unwrap().code()).to_string()
    }

    /// One check for what all ways need, network order in the constants, each field loaded once.
    #[test]
    fn the_code_of_a_port_is_as_expected() {
        let expected = "   0: r7 = *(u32 *)(r6 + 0)
   1: r8 = *(u32 *)(r6 + 4)
   2: r0 = r7
   3: r0 += 24
   4: if r0 > r8 goto 25
   5: r1 = *(u16 *)(r7 + 12)
   6: if w1 != 8 goto 25
   7: r2 = *(u8 *)(r7 + 23)
   8: if w2 != 17 goto 25
   9: r3 = *(u16 *)(r7 + 20)
  10: if w3 & 0xff1f goto 25
  11: r4 = *(u8 *)(r7 + 14)
  12: w4 &= 15
  13: w4 <<= 2
  14: r4 += r7
  15: r5 = r4
  16: r5 += 18
  17: if r5 > r8 goto 25
  18: r9 = *(u16 *)(r4 + 16)
  19: if w9 == 0x8813 goto 23
  20: if w9 == 0x8913 goto 23
  21: if w9 == 0x8a13 goto 23
  22: goto 25
  23: r0 = 1
  24: exit
  25: r0 = 0
  26: exit
";
        assert_eq!(listed("ip and udp dst port (5000 or 5001 or 5002)"), expected);
    }

    /// What is asked before each port is asked once.
    #[test]
    fn known_tests_are_skipped() {
        let text = listed("port 1 or port 2 or port 3 or port 4");
        assert_eq!(text.matches("== 132").count() + text.matches("!= 132").count(), 2, "{text}");
        assert_eq!(text.matches("& 0xff1f").count(), 1, "{text}");
    }

    #[test]
    fn a_filter_that_asks_nothing_is_a_jump() {
        assert_eq!(listed("").lines().next(), Some("   0: goto 1"));
    }

    #[test]
    fn refusals_are_named() {
        let options = Options { linux_extensions: true, ..Options::default() };
        let refusal = Filter::compile("inbound", &options).unwrap().xdp().unwrap_err();
        assert_eq!(refusal, Refusal::Metadata(Meta::PacketType));
        assert!(refusal.to_string().contains("direction"), "{refusal}");

        let refusal = Filter::compile("ether[40000] = 1", &Options::default()).unwrap();
        assert_eq!(refusal.xdp().unwrap_err(), Refusal::Offset { offset: 40_000 });

        let options = Options { link_type: LinkType::RAW, ..Options::default() };
        let refusal = Filter::compile("tcp", &options).unwrap().xdp().unwrap_err();
        assert_eq!(refusal.reason(), "link_type");
    }

    /// A balanced tree of sums of different loads needs a register for each level.
    #[test]
    fn arithmetic_beyond_the_registers_is_refused() {
        let mut program = Program::new(1);
        let tree = |program: &mut Program, levels: u32| {
            let mut row: Vec<NumberId> = (0..1 << levels)
                .map(|at| Number::Load { base: None, offset: at, size: Size::Byte })
                .map(|number| program.intern(number))
                .collect();
            while row.len() > 1 {
                let pairs = row.chunks(2).map(|pair| Number::Binary(Op::Sub, pair[0], pair[1]));
                row = pairs.collect::<Vec<_>>().into_iter().map(|n| program.intern(n)).collect();
            }
            row[0]
        };
        let left = tree(&mut program, 10);
        let right = program.literal(1);
        let test = Test { left, compare: Compare::Equal, right };
        let end = End::Branch { test, yes: BlockId(1), no: BlockId(2) };
        program.add(Block { sets: Vec::new(), end });
        program.add(Block { sets: Vec::new(), end: End::Return(true) });
        program.add(Block { sets: Vec::new(), end: End::Return(false) });
        assert_eq!(Xdp::compile(&program).unwrap_err(), Refusal::TooDeep);
    }

    /// Tests of different numbers cannot become a table.
    #[test]
    fn what_the_verifier_could_not_finish_is_refused() {
        let mut program = Program::new(1);
        let count = BRANCHES_MAX as u32 + 10;
        for at in 0..count {
            let offset = 1499 - at % 1500;
            let left = program.intern(Number::Load { base: None, offset, size: Size::Byte });
            let right = program.literal(7 + at / 1500);
            let test = Test { left, compare: Compare::Greater, right };
            let end = End::Branch { test, yes: BlockId(count), no: BlockId(at + 1) };
            program.add(Block { sets: Vec::new(), end });
        }
        program.add(Block { sets: Vec::new(), end: End::Return(true) });
        let refusal = Xdp::compile(&program).unwrap_err();
        assert_eq!(refusal.reason(), "too_many_branches", "{refusal}");
    }
}
