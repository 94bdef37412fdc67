//! The intermediate representation: a control-flow graph of blocks over 32-bit numbers.
//!
//! A block sets slots, then tests or returns. Numbers are nodes of an arena in which equal
//! expressions are one node, so that two tests of the same field compare ids. There is no heap, no
//! pointer and no unbounded loop: the back edges are those of `protochain`, each of which counts in
//! a slot up to [`CHAIN_HEADERS_MAX`], and those over the messages of a market data packet, each of
//! which leaves at least two bytes of it behind. So every program can become native code, and
//! all but the loops over messages classic BPF, eBPF, or masked compares; in eBPF those are
//! unrolled for the first messages of a packet.
//!
//! Bounds are explicit in the meaning: **a load that is not wholly inside the captured bytes, or a
//! division by zero, ends the program with "reject"**, wherever it stands, even under `not`. Loads
//! have no other effect, so their order inside a block does not matter, and two checks may be
//! merged where every path from there loads that far.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// How many headers `protochain` looks through before it rejects.
pub const CHAIN_HEADERS_MAX: u32 = 256;
/// How many slots a program may have.
pub const SLOTS_MAX: usize = 32;
/// How many blocks a program may have: as many as classic BPF has instructions.
pub const BLOCKS_MAX: usize = 4_096;
/// How many values a list may have.
pub const LIST_VALUES_MAX: usize = 65_536;
/// How deep a number may be nested.
pub const DEPTH_MAX: u16 = 256;

/// A number, by its place in the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NumberId(pub u32);

/// A block, by its place in the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockId(pub u32);

/// A 32-bit variable. All are 0 at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub u8);

/// A list of numbers, by its place in the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListId(pub u32);

/// How many bytes a load takes, most significant first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Size {
    /// One.
    Byte,
    /// Two.
    Half,
    /// Four.
    Word,
}

impl Size {
    /// In bytes.
    pub const fn bytes(self) -> u32 {
        match self {
            Size::Byte => 1,
            Size::Half => 2,
            Size::Word => 4,
        }
    }

    /// The largest value that such a load can bring.
    pub const fn max(self) -> u32 {
        match self {
            Size::Byte => 0xff,
            Size::Half => 0xffff,
            Size::Word => u32::MAX,
        }
    }
}

/// What Linux knows of a packet beside its bytes (`SKF_AD_*` in linux/filter.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Meta {
    /// 1 when a VLAN tag is kept beside the frame.
    VlanPresent,
    /// The tag control information of that tag.
    VlanTci,
    /// `PACKET_HOST`, `PACKET_OUTGOING` (4), …
    PacketType,
    /// Index of the interface.
    InterfaceIndex,
}

/// An operation on two numbers; all wrap at 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Sum.
    Add,
    /// Difference.
    Sub,
    /// Product.
    Mul,
    /// Quotient; by 0 rejects the packet.
    Div,
    /// Remainder; by 0 rejects the packet.
    Mod,
    /// Bitwise and.
    And,
    /// Bitwise or.
    Or,
    /// Bitwise exclusive or.
    Xor,
    /// Shift left; by 32 or more gives 0.
    Shl,
    /// Shift right; by 32 or more gives 0.
    Shr,
}

impl Op {
    /// The result; none for a division by 0.
    pub fn apply(self, left: u32, right: u32) -> Option<u32> {
        Some(match self {
            Op::Add => left.wrapping_add(right),
            Op::Sub => left.wrapping_sub(right),
            Op::Mul => left.wrapping_mul(right),
            Op::Div => left.checked_div(right)?,
            Op::Mod => left.checked_rem(right)?,
            Op::And => left & right,
            Op::Or => left | right,
            Op::Xor => left ^ right,
            Op::Shl => left.checked_shl(right).unwrap_or(0),
            Op::Shr => left.checked_shr(right).unwrap_or(0),
        })
    }
}

/// A 32-bit number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Number {
    /// A constant.
    Const(u32),
    /// The value of a slot.
    Slot(Slot),
    /// The length on the wire.
    WireLen,
    /// How many bytes were captured: what ends the loop over messages. In front of a port it is the
    /// length on the wire.
    CapturedLen,
    /// What Linux knows beside the bytes.
    Meta(Meta),
    /// Bytes of the packet at `base + offset`; the sum does not wrap.
    Load {
        /// A computed part of the offset.
        base: Option<NumberId>,
        /// The fixed part.
        offset: u32,
        /// How many bytes.
        size: Size,
    },
    /// An operation on two numbers.
    Binary(Op, NumberId, NumberId),
    /// A list: no number by itself, but the right side of [`Compare::In`].
    List(ListId),
}

/// How a test compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compare {
    /// Equal.
    Equal,
    /// Above.
    Greater,
    /// Above or equal.
    GreaterEqual,
    /// Any bit in common.
    AnyBit,
    /// One of a [`Number::List`], which only ever stands on the right of this.
    In,
}

impl Compare {
    /// The outcome for two known numbers. A number is no list: `In` does not hold.
    pub fn apply(self, left: u32, right: u32) -> bool {
        match self {
            Compare::Equal => left == right,
            Compare::Greater => left > right,
            Compare::GreaterEqual => left >= right,
            Compare::AnyBit => left & right != 0,
            Compare::In => false,
        }
    }
}

/// A comparison of two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Test {
    /// Left of it.
    pub left: NumberId,
    /// How they compare.
    pub compare: Compare,
    /// Right of it.
    pub right: NumberId,
}

/// Where a block goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// To `yes` when the test holds, else to `no`.
    Branch {
        /// What is tested.
        test: Test,
        /// When it holds.
        yes: BlockId,
        /// When it does not.
        no: BlockId,
    },
    /// On.
    Jump(BlockId),
    /// The verdict: accepted with the snap length, or rejected.
    Return(bool),
}

/// Sets of slots, one after the other, then an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Slots that it sets, in order.
    pub sets: Vec<(Slot, NumberId)>,
    /// Where it goes.
    pub end: End,
}

/// A filter.
#[derive(Clone, Debug)]
pub struct Program {
    numbers: Vec<Number>,
    depths: Vec<u16>,
    known: HashMap<Number, NumberId>,
    lists: Vec<Arc<[u32]>>,
    /// The blocks; only those that [`entry`](Self::entry) reaches matter.
    pub blocks: Vec<Block>,
    /// Where it starts.
    pub entry: BlockId,
    /// How many slots it uses.
    pub slots: u8,
    /// What an accepted packet returns.
    pub snaplen: u32,
    /// Whether an optimiser may drop loads whose values do not matter. libpcap never does in
    /// programs with `geneve` or `protochain`.
    pub may_optimize: bool,
    /// Of these every accepted packet contains one; empty where that is not known.
    pub needles: Vec<Vec<u8>>,
    /// How it goes through the messages of a packet of market data.
    pub walk: Walk,
}

/// How a program goes through the messages of a packet, for who has to bound it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    /// Slots of which each message sets one, once in each pass.
    pub steps: Vec<Slot>,
    /// Slots that count bytes: the loops that set them take a round for each.
    pub scans: Vec<Slot>,
    /// How often it may go through all messages.
    pub passes: u32,
}

impl Program {
    /// A program that accepts nothing yet.
    pub fn new(snaplen: u32) -> Self {
        Program {
            numbers: Vec::new(),
            depths: Vec::new(),
            known: HashMap::new(),
            lists: Vec::new(),
            blocks: Vec::new(),
            entry: BlockId(0),
            slots: 0,
            snaplen,
            may_optimize: true,
            needles: Vec::new(),
            walk: Walk::default(),
        }
    }

    /// The number behind an id.
    pub fn number(&self, id: NumberId) -> Number {
        self.numbers[id.0 as usize]
    }

    /// The value, when it is a constant.
    pub fn constant(&self, id: NumberId) -> Option<u32> {
        match self.number(id) {
            Number::Const(value) => Some(value),
            _ => None,
        }
    }

    /// The block behind an id.
    pub fn block(&self, id: BlockId) -> &Block {
        &self.blocks[id.0 as usize]
    }

    /// Every number, in an order in which operands come before what uses them.
    pub fn numbers(&self) -> &[Number] {
        &self.numbers
    }

    /// How deep a number is nested.
    pub fn depth(&self, id: NumberId) -> u16 {
        self.depths[id.0 as usize]
    }

    /// The id of `number`, which is stored once. Nothing is folded.
    pub fn intern(&mut self, number: Number) -> NumberId {
        if let Some(id) = self.known.get(&number) {
            return *id;
        }
        let below = self.operands(number).map(|id| self.depth(id)).max().unwrap_or(0);
        let id = NumberId(self.numbers.len() as u32);
        self.numbers.push(number);
        self.depths.push(below.saturating_add(1));
        self.known.insert(number, id);
        id
    }

    /// The numbers that `number` is made of.
    pub fn operands(&self, number: Number) -> impl Iterator<Item = NumberId> + use<> {
        let pair = match number {
            Number::Load { base, .. } => [base, None],
            Number::Binary(_, left, right) => [Some(left), Some(right)],
            _ => [None, None],
        };
        pair.into_iter().flatten()
    }

    /// A constant.
    pub fn literal(&mut self, value: u32) -> NumberId {
        self.intern(Number::Const(value))
    }

    /// A list of `values` as the right side of [`Compare::In`]; equal lists are stored once.
    pub fn list(&mut self, values: &[u32]) -> NumberId {
        let mut values = values.to_vec();
        values.sort_unstable();
        values.dedup();
        let known = self.lists.iter().position(|list| **list == *values);
        let at = known.unwrap_or_else(|| {
            self.lists.push(values.into());
            self.lists.len() - 1
        });
        self.intern(Number::List(ListId(at as u32)))
    }

    /// The same in front of a port, where all of a packet is there. Two nodes may be the same
    /// number then.
    pub(crate) fn with_whole_packets(mut self) -> Program {
        for number in &mut self.numbers {
            if *number == Number::CapturedLen {
                *number = Number::WireLen;
            }
        }
        self
    }

    /// The values on the right side of [`Compare::In`], ascending, each once; none for a number.
    pub fn values(&self, id: NumberId) -> Option<&[u32]> {
        match self.number(id) {
            Number::List(ListId(at)) => Some(&self.lists[at as usize]),
            _ => None,
        }
    }

    /// Whether a test holds, once both its sides are known.
    pub fn holds(&self, test: Test, left: u32, right: u32) -> bool {
        match self.values(test.right) {
            Some(values) => values.binary_search(&left).is_ok(),
            None => test.compare.apply(left, right),
        }
    }

    /// An operation, with a constant on the right.
    pub fn binary_const(&mut self, op: Op, left: NumberId, right: u32) -> NumberId {
        let right = self.literal(right);
        self.intern(Number::Binary(op, left, right))
    }

    /// Adds a block.
    pub fn add(&mut self, block: Block) -> BlockId {
        self.blocks.push(block);
        BlockId(self.blocks.len() as u32 - 1)
    }

    /// The targets of a block.
    pub fn successors(&self, id: BlockId) -> impl Iterator<Item = BlockId> + use<> {
        let pair = match self.block(id).end {
            End::Branch { yes, no, .. } => [Some(yes), Some(no)],
            End::Jump(to) => [Some(to), None],
            End::Return(_) => [None, None],
        };
        pair.into_iter().flatten()
    }

    /// The blocks that the entry reaches, each after all that lead to it, but for back edges
    /// (reverse postorder).
    pub fn order(&self) -> Vec<BlockId> {
        let mut seen = vec![false; self.blocks.len()];
        let mut post = Vec::new();
        let mut stack = vec![(self.entry, false)];
        while let Some((id, done)) = stack.pop() {
            if done {
                post.push(id);
            } else if !std::mem::replace(&mut seen[id.0 as usize], true) {
                stack.push((id, true));
                // The `no` side first, so that the `yes` side comes first in the result.
                let next: Vec<BlockId> = self.successors(id).collect();
                stack.extend(next.into_iter().map(|to| (to, false)));
            }
        }
        post.reverse();
        post
    }

    /// For every block whether a way back leads to it.
    pub fn loop_heads(&self) -> Vec<bool> {
        let order = self.order();
        let mut rank = vec![usize::MAX; self.blocks.len()];
        for (at, id) in order.iter().enumerate() {
            rank[id.0 as usize] = at;
        }
        let mut heads = vec![false; self.blocks.len()];
        for &id in &order {
            for to in self.successors(id) {
                heads[to.0 as usize] |= rank[to.0 as usize] <= rank[id.0 as usize];
            }
        }
        heads
    }

    /// Whether a block that the entry reaches asks for a [`Meta`].
    pub fn needs_metadata(&self) -> bool {
        let mut asked: Vec<NumberId> = Vec::new();
        for id in self.order() {
            let block = self.block(id);
            asked.extend(block.sets.iter().map(|(_, number)| *number));
            if let End::Branch { test, .. } = block.end {
                asked.extend([test.left, test.right]);
            }
        }
        let mut seen = vec![false; self.numbers.len()];
        while let Some(id) = asked.pop() {
            if std::mem::replace(&mut seen[id.0 as usize], true) {
                continue;
            }
            let number = self.number(id);
            if matches!(number, Number::Meta(_)) {
                return true;
            }
            asked.extend(self.operands(number));
        }
        false
    }

    /// The text of a number.
    pub fn show(&self, id: NumberId) -> impl fmt::Display + '_ {
        Shown { program: self, id }
    }
}

/// How many values of a list are printed.
const LIST_VALUES_SHOWN: usize = 8;

struct Shown<'a> {
    program: &'a Program,
    id: NumberId,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |id| Shown { program: self.program, id };
        match self.program.number(self.id) {
            Number::Const(value) => write!(f, "{value:#x}"),
            Number::Slot(Slot(slot)) => write!(f, "s{slot}"),
            Number::WireLen => f.write_str("wire_len"),
            Number::CapturedLen => f.write_str("captured_len"),
            Number::Meta(meta) => write!(f, "{meta:?}"),
            Number::Load { base: None, offset, size } => {
                write!(f, "[{offset}:{}]", size.bytes())
            }
            Number::Load { base: Some(base), offset, size } => {
                write!(f, "[{} + {offset}:{}]", show(base), size.bytes())
            }
            Number::Binary(op, left, right) => write!(f, "{op:?}({}, {})", show(left), show(right)),
            Number::List(_) => {
                let values = self.program.values(self.id).unwrap_or_default();
                let shown = values.iter().take(LIST_VALUES_SHOWN);
                let shown: Vec<String> = shown.map(|value| format!("{value:#x}")).collect();
                let more = if values.len() > LIST_VALUES_SHOWN { ", …" } else { "" };
                write!(f, "{{{}{more}}} ({} values)", shown.join(", "), values.len())
            }
        }
    }
}

/// One line a block: `b3: s0 = …; [12:2] Equal 0x800 ? b4 : b7`.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for id in self.order() {
            let block = self.block(id);
            write!(f, "b{}: ", id.0)?;
            for (Slot(slot), number) in &block.sets {
                write!(f, "s{slot} = {}; ", self.show(*number))?;
            }
            match block.end {
                End::Branch { test, yes, no } => {
                    let (left, right) = (self.show(test.left), self.show(test.right));
                    writeln!(f, "{left} {:?} {right} ? b{} : b{}", test.compare, yes.0, no.0)?;
                }
                End::Jump(to) => writeln!(f, "jump b{}", to.0)?,
                End::Return(true) => writeln!(f, "accept {}", self.snaplen)?,
                End::Return(false) => writeln!(f, "reject")?,
            }
        }
        Ok(())
    }
}
