//! Code from the IR.
//!
//! Blocks are laid out in reverse postorder. The accumulator and the index register are followed
//! across blocks, so that a field that is tested twice is loaded once. Slots are the first words of
//! scratch memory, temporaries come behind them. A test that is too far from its target goes
//! through an unconditional jump.

use std::collections::BTreeSet;

use super::insn::code::*;
use super::insn::{
    AD_INTERFACE_INDEX, AD_PACKET_TYPE, AD_VLAN_PRESENT, AD_VLAN_TCI, Insn, MEMORY_WORDS,
};
use crate::KernelPart;
use crate::error::{FilterError, Result};
use crate::expand::expand;
use crate::ir::{Block, BlockId, Compare, End, Meta, Number, NumberId, Op, Program, Size, Slot};
use crate::part::{self, Excess};

/// The kernel's limit (BPF_MAXINSNS).
pub const INSTRUCTIONS_MAX: usize = 4096;

/// Ranges of a list that are compared one by one.
const LEAF_RANGES: usize = 16;

/// What the registers hold, as far as is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Held {
    a: Option<NumberId>,
    x: Option<NumberId>,
}

impl Held {
    fn both(self, other: Held) -> Held {
        Held { a: self.a.filter(|_| self.a == other.a), x: self.x.filter(|_| self.x == other.x) }
    }
}

/// The code of one block: statements, then a test with both targets, a jump, or a return.
struct Piece {
    code: Vec<Insn>,
    end: Tail,
}

#[derive(Clone, Copy)]
enum Tail {
    /// The test, and where it goes.
    Branch(Insn, BlockId, BlockId),
    Jump(BlockId),
    Return(u32),
}

/// Classic BPF for `program`.
pub fn emit(program: &Program) -> Result<Vec<Insn>> {
    try_emit(program).map_err(|excess| FilterError::limit(0..0, excess.to_string()))
}

/// The largest part of `program` that a Linux socket takes; see
/// [`classic_part`](crate::Filter::classic_part).
pub(crate) fn part(program: &Program) -> std::result::Result<KernelPart<Vec<Insn>>, String> {
    let heads = program.loop_heads();
    let looped = program.order().into_iter().any(|id| heads[id.0 as usize]);
    let walks = part::with_numbers(program, |number| number == Number::CapturedLen);
    let undecided = heads.iter().zip(walks).map(|(head, walks)| *head || walks).collect();
    let why = match try_emit(program) {
        Ok(_) if looped => "it loops over headers (protochain), and classic BPF cannot".to_owned(),
        Ok(program) => return Ok(KernelPart { program, rest: None }),
        Err(excess) => excess.to_string(),
    };
    let made = part::part(program, undecided, |program| {
        try_emit(program).map_err(|excess| match excess {
            TooMuch::Memory => Excess::Depth,
            TooMuch::Instructions(_) | TooMuch::Messages => Excess::Length,
        })
    });
    let program = made.ok_or_else(|| why.clone())?;
    Ok(KernelPart { program, rest: Some(why) })
}

/// What classic BPF has too little of.
#[derive(Clone, Copy, Debug, thiserror::Error)]
enum TooMuch {
    #[error(
        "classic BPF has only {MEMORY_WORDS} words of memory; use simpler arithmetic or fewer \
         encapsulations"
    )]
    Memory,
    #[error("it looks at every message of a packet, and classic BPF cannot loop")]
    Messages,
    #[error("{0} classic BPF instructions, the limit is {INSTRUCTIONS_MAX}; shorten the filter")]
    Instructions(usize),
}

type Emitted<T> = std::result::Result<T, TooMuch>;

fn try_emit(program: &Program) -> Emitted<Vec<Insn>> {
    let program = &expand(program, usize::MAX, LEAF_RANGES);
    let order = program.order();
    let mut emitter = Emitter { program, code: Vec::new(), held: Held::default(), temporary: 0 };
    let mut pieces: Vec<Piece> = Vec::with_capacity(order.len());
    let mut entry: Vec<Option<Held>> = vec![None; program.blocks.len()];
    let mut rank = vec![usize::MAX; program.blocks.len()];
    for (at, id) in order.iter().enumerate() {
        rank[id.0 as usize] = at;
    }
    let slots = Slots::of(program, &order)?;
    let looped = program.loop_heads();
    for (at, id) in order.iter().enumerate() {
        emitter.held = match entry[id.0 as usize] {
            Some(held) if !looped[id.0 as usize] => held,
            _ => Held::default(),
        };
        emitter.temporary = slots.words();
        if at == 0 {
            emitter.clear_slots(&slots);
        }
        let end = emitter.block(program.block(*id))?;
        for to in program.successors(*id) {
            let held = emitter.held;
            let known = &mut entry[to.0 as usize];
            *known = Some(known.map_or(held, |other| other.both(held)));
        }
        pieces.push(Piece { code: std::mem::take(&mut emitter.code), end });
    }
    assemble(&order, &pieces, &rank)
}

/// The slots that are in use, ascending.
struct Slots {
    read: BTreeSet<Slot>,
    set: BTreeSet<Slot>,
}

impl Slots {
    fn of(program: &Program, order: &[BlockId]) -> Emitted<Slots> {
        let mut slots = Slots { read: BTreeSet::new(), set: BTreeSet::new() };
        let mut seen = vec![false; program.numbers().len()];
        for id in order {
            let block = program.block(*id);
            slots.set.extend(block.sets.iter().map(|(slot, _)| *slot));
            let mut stack: Vec<NumberId> = part::numbers(block).collect();
            while let Some(id) = stack.pop() {
                if std::mem::replace(&mut seen[id.0 as usize], true) {
                    continue;
                }
                match program.number(id) {
                    Number::Slot(slot) => drop(slots.read.insert(slot)),
                    Number::CapturedLen => return Err(TooMuch::Messages),
                    number => stack.extend(program.operands(number)),
                }
            }
        }
        if slots.words() > MEMORY_WORDS { Err(TooMuch::Memory) } else { Ok(slots) }
    }

    /// Words of memory up to the last of them.
    fn words(&self) -> usize {
        let last = self.read.last().max(self.set.last());
        last.map_or(0, |slot| usize::from(slot.0) + 1)
    }
}

struct Emitter<'a> {
    program: &'a Program,
    code: Vec<Insn>,
    held: Held,
    /// The next free word of scratch memory.
    temporary: usize,
}

impl Emitter<'_> {
    fn push(&mut self, code: u16, k: u32) {
        self.code.push(Insn::new(code, k));
    }

    /// Slots are 0 at the start; the kernel refuses to read memory that was never written.
    fn clear_slots(&mut self, slots: &Slots) {
        let written_first: Vec<Slot> =
            self.program.block(self.program.entry).sets.iter().map(|(slot, _)| *slot).collect();
        let read: Vec<u32> = slots
            .read
            .iter()
            .filter(|slot| !written_first.contains(slot))
            .map(|slot| u32::from(slot.0))
            .collect();
        if read.is_empty() || slots.set.is_empty() {
            return;
        }
        self.push(LD | IMM, 0);
        for slot in read {
            self.push(ST, slot);
        }
    }

    fn block(&mut self, block: &Block) -> Emitted<Tail> {
        for (Slot(slot), number) in &block.sets {
            self.load_a(*number)?;
            self.push(ST, u32::from(*slot));
            // What was computed from the old value is no longer what the number says.
            self.held = Held::default();
        }
        match block.end {
            End::Return(true) => Ok(Tail::Return(self.program.snaplen)),
            End::Return(false) => Ok(Tail::Return(0)),
            End::Jump(to) => Ok(Tail::Jump(to)),
            End::Branch { test, yes, no } => {
                let jump = JMP
                    | match test.compare {
                        Compare::Equal => JEQ,
                        Compare::Greater => JGT,
                        Compare::GreaterEqual => JGE,
                        Compare::AnyBit => JSET,
                        Compare::In => unreachable!("expanded"),
                    };
                let insn = match self.program.constant(test.right) {
                    Some(value) => {
                        self.load_a(test.left)?;
                        Insn::new(jump | K, value)
                    }
                    None => {
                        self.load_pair(test.left, test.right)?;
                        Insn::new(jump | X, 0)
                    }
                };
                Ok(Tail::Branch(insn, yes, no))
            }
        }
    }

    /// `left` into A and `right` into X.
    fn load_pair(&mut self, left: NumberId, right: NumberId) -> Emitted<()> {
        if self.loads_into_x(right) && !self.needs_x(left) {
            self.load_x(right);
            return self.load_a(left);
        }
        let word = self.temporary()?;
        self.load_a(right)?;
        self.push(ST, word);
        self.load_a(left)?;
        self.push(LDX | MEM, word);
        self.held.x = Some(right);
        self.temporary -= 1;
        Ok(())
    }

    fn temporary(&mut self) -> Emitted<u32> {
        if self.temporary >= MEMORY_WORDS {
            return Err(TooMuch::Memory);
        }
        self.temporary += 1;
        Ok(self.temporary as u32 - 1)
    }

    /// Whether one instruction brings it into X.
    fn loads_into_x(&self, id: NumberId) -> bool {
        match self.program.number(id) {
            Number::Const(_) | Number::Slot(_) | Number::WireLen => true,
            _ => self.header_length(id).is_some(),
        }
    }

    fn load_x(&mut self, id: NumberId) {
        if self.held.x == Some(id) {
            return;
        }
        match self.program.number(id) {
            Number::Const(value) => self.push(LDX | IMM, value),
            Number::Slot(Slot(slot)) => self.push(LDX | MEM, u32::from(slot)),
            Number::WireLen => self.push(LDX | LEN, 0),
            _ => {
                let offset = self.header_length(id).unwrap_or_default();
                self.push(LDX | B | MSH, offset);
            }
        }
        self.held.x = Some(id);
    }

    /// `([k] & 15) << 2`, which has an instruction of its own.
    fn header_length(&self, id: NumberId) -> Option<u32> {
        let program = self.program;
        let Number::Binary(Op::Shl, words, two) = program.number(id) else { return None };
        let Number::Binary(Op::And, first, mask) = program.number(words) else { return None };
        let Number::Load { base: None, offset, size: Size::Byte } = program.number(first) else {
            return None;
        };
        let fits = program.constant(two) == Some(2) && program.constant(mask) == Some(0x0f);
        fits.then_some(offset)
    }

    /// Whether computing it uses X.
    fn needs_x(&self, id: NumberId) -> bool {
        match self.program.number(id) {
            Number::Load { base, .. } => base.is_some(),
            Number::Binary(_, left, right) => {
                self.program.constant(right).is_none() || self.needs_x(left)
            }
            _ => false,
        }
    }

    /// A number into A.
    fn load_a(&mut self, id: NumberId) -> Emitted<()> {
        if self.held.a == Some(id) {
            return Ok(());
        }
        match self.program.number(id) {
            Number::List(_) => unreachable!("expanded"),
            Number::Const(value) => self.push(LD | IMM, value),
            Number::Slot(Slot(slot)) => self.push(LD | MEM, u32::from(slot)),
            Number::WireLen => self.push(LD | LEN, 0),
            Number::CapturedLen => unreachable!("refused"),
            Number::Meta(meta) => self.push(LD | W | ABS, extension(meta)),
            Number::Load { base: None, offset, size } => self.push(LD | width(size) | ABS, offset),
            Number::Load { base: Some(base), offset, size } => {
                if self.loads_into_x(base) {
                    self.load_x(base);
                } else if self.held.x != Some(base) {
                    self.load_a(base)?;
                    self.push(TAX, 0);
                    self.held.x = Some(base);
                }
                self.push(LD | width(size) | IND, offset);
            }
            Number::Binary(op, left, right) => self.binary(op, left, right)?,
        }
        self.held.a = Some(id);
        Ok(())
    }

    fn binary(&mut self, op: Op, left: NumberId, right: NumberId) -> Emitted<()> {
        let code = ALU | operation(op);
        match self.program.constant(right) {
            // The kernel refuses constant shifts that leave nothing.
            Some(32..) if matches!(op, Op::Shl | Op::Shr) => {
                self.load_a(left)?;
                self.push(ALU | AND | K, 0);
            }
            // And constant divisions by zero: a division by X = 0 rejects.
            Some(0) if matches!(op, Op::Div | Op::Mod) => {
                self.load_a(left)?;
                self.push(LDX | IMM, 0);
                self.held.x = Some(right);
                self.push(code | X, 0);
            }
            Some(value) => {
                self.load_a(left)?;
                self.push(code | K, value);
            }
            None => {
                self.load_pair(left, right)?;
                self.push(code | X, 0);
            }
        }
        self.held.a = None;
        Ok(())
    }
}

fn width(size: Size) -> u16 {
    match size {
        Size::Byte => B,
        Size::Half => H,
        Size::Word => W,
    }
}

fn extension(meta: Meta) -> u32 {
    match meta {
        Meta::VlanPresent => AD_VLAN_PRESENT,
        Meta::VlanTci => AD_VLAN_TCI,
        Meta::PacketType => AD_PACKET_TYPE,
        Meta::InterfaceIndex => AD_INTERFACE_INDEX,
    }
}

fn operation(op: Op) -> u16 {
    match op {
        Op::Add => ADD,
        Op::Sub => SUB,
        Op::Mul => MUL,
        Op::Div => DIV,
        Op::Mod => MOD,
        Op::And => AND,
        Op::Or => OR,
        Op::Xor => XOR,
        Op::Shl => LSH,
        Op::Shr => RSH,
    }
}

/// Places the pieces one after the other and resolves the targets.
fn assemble(order: &[BlockId], pieces: &[Piece], rank: &[usize]) -> Emitted<Vec<Insn>> {
    let rank = |id: BlockId| rank[id.0 as usize];
    // Which tests go through jumps: found by trying, since every jump moves what is behind it.
    let mut far = vec![false; pieces.len()];
    let mut start = vec![0; pieces.len() + 1];
    loop {
        for (at, piece) in pieces.iter().enumerate() {
            let tail = match piece.end {
                Tail::Jump(to) if rank(to) == at + 1 => 0,
                Tail::Branch(..) if far[at] => 3,
                _ => 1,
            };
            start[at + 1] = start[at] + piece.code.len() + tail;
        }
        let mut moved = false;
        for (at, piece) in pieces.iter().enumerate() {
            if let Tail::Branch(_, yes, no) = piece.end
                && !far[at]
                && [yes, no].iter().any(|to| {
                    let (from, to) = (start[at + 1], start[rank(*to)]);
                    to < from || to - from > usize::from(u8::MAX)
                })
            {
                far[at] = true;
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
    let count = start[pieces.len()];
    if count > INSTRUCTIONS_MAX {
        return Err(TooMuch::Instructions(count));
    }
    let mut code = Vec::with_capacity(count);
    for (at, (piece, _)) in pieces.iter().zip(order).enumerate() {
        code.extend_from_slice(&piece.code);
        let next = start[at + 1];
        let jump = |from: usize, to: BlockId| {
            Insn::new(JMP | JA, (start[rank(to)] as u32).wrapping_sub(from as u32))
        };
        match piece.end {
            Tail::Return(value) => code.push(Insn::new(RET | K, value)),
            Tail::Jump(to) if rank(to) == at + 1 => {}
            Tail::Jump(to) => code.push(jump(next, to)),
            Tail::Branch(test, yes, no) if far[at] => {
                code.push(Insn { jt: 0, jf: 1, ..test });
                code.push(jump(next - 1, yes));
                code.push(jump(next, no));
            }
            Tail::Branch(test, yes, no) => {
                let skip = |to: BlockId| (start[rank(to)] - next) as u8;
                code.push(Insn { jt: skip(yes), jf: skip(no), ..test });
            }
        }
    }
    Ok(code)
}
