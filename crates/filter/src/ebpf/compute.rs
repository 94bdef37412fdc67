//! From numbers to instructions.
//!
//! Numbers are 32 bits wide and zero-extended in their registers; the 32-bit instructions wrap as
//! the IR says. A packet that a load or a division fails on goes to `reject`.

use super::emit::{WIRE_LEN_OFFSET, look_up, slot_place};
use super::graph::Graph;
use super::registers::{Content, DATA, DATA_END, Held, Registers};
use super::values::{in_order, largest, raw_size};
use super::{OFFSET_MAX, Refusal, Short};
use crate::ir::{self, Number, NumberId, Op, Slot};
use crate::table::Kind;
use std::collections::HashSet;
use std::os::fd::RawFd;
use tickwire_ebpf::{Alu, Assembler, Cond, Label, Reg, Size};

/// The largest number that is added to a pointer. With a load's own offset it stays below 65 535,
/// the most that the verifier believes in.
const BASE_MAX: u32 = 0x7fff;
const _: () = assert!(BASE_MAX + OFFSET_MAX + 4 <= 0xffff);

/// Computes the numbers of one block.
pub(super) struct Compute<'a> {
    graph: &'a Graph,
    asm: &'a mut Assembler,
    registers: Registers,
    reject: Label,
    /// Where a packet goes that ends before a load behind a slot.
    short: Label,
    /// How far the loads of this block go behind each base, so that one check does for all.
    planned: Vec<(NumberId, u32)>,
}

impl<'a> Compute<'a> {
    pub fn new(
        graph: &'a Graph,
        asm: &'a mut Assembler,
        registers: Registers,
        [accept, reject]: [Label; 2],
    ) -> Self {
        let short = if graph.short == Short::Passes { accept } else { reject };
        Compute { graph, asm, registers, reject, short, planned: Vec::new() }
    }

    /// What the registers hold at the end.
    pub fn finish(self) -> Registers {
        self.registers
    }

    /// Notes the loads behind computed bases. Only right where no slot is set in between.
    pub fn plan(&mut self, numbers: impl Iterator<Item = NumberId>) {
        let program = &self.graph.program;
        let mut stack: Vec<NumberId> = numbers.collect();
        let mut seen = HashSet::new();
        while let Some(id) = stack.pop() {
            if !seen.insert(id) {
                continue;
            }
            let number = program.number(id);
            if let Number::Load { base: Some(base), offset, size } = number {
                let end = offset + size.bytes();
                match self.planned.iter_mut().find(|(known, _)| *known == base) {
                    Some((_, known)) => *known = end.max(*known),
                    None => self.planned.push((base, end)),
                }
            }
            stack.extend(program.operands(number));
        }
    }

    /// Rejects a packet of less than `bytes` bytes.
    pub fn check(&mut self, bytes: u32) -> Result<(), Refusal> {
        self.check_from(DATA, bytes, self.reject)
    }

    fn check_from(&mut self, start: Reg, bytes: u32, short: Label) -> Result<(), Refusal> {
        let end = self.take()?;
        self.asm.mov(end.reg(), start);
        self.asm.alu(Alu::Add, end.reg(), bytes as i32);
        self.asm.jump_if(Cond::Gt, end.reg(), DATA_END, short);
        self.registers.release(end);
        Ok(())
    }

    /// Sets a slot.
    pub fn set(&mut self, slot: Slot, number: NumberId) -> Result<(), Refusal> {
        let value = self.number(number, false)?;
        let (size, offset) = slot_place(self.graph, slot);
        self.asm.store(size, Reg::R10, offset, value.reg());
        self.registers.release(value);
        let variable = &self.graph.variable;
        self.registers.forget(|id| variable[id.0 as usize]);
        Ok(())
    }

    /// Brings a number into a register, in network order when `raw` (see [`raw_size`]). The
    /// register must not be written to, and is to be released.
    pub fn number(&mut self, id: NumberId, raw: bool) -> Result<Held, Refusal> {
        let content = if raw { Content::Raw(id) } else { Content::Number(id) };
        if let Some(held) = self.registers.find(content) {
            return Ok(held);
        }
        let held = match self.graph.program.number(id) {
            Number::Const(value) => {
                let held = self.take()?;
                self.asm.alu32(Alu::Mov, held.reg(), value as i32);
                held
            }
            Number::Slot(slot) => self.stacked(slot_place(self.graph, slot))?,
            Number::WireLen => self.stacked((Size::U64, WIRE_LEN_OFFSET))?,
            Number::Meta(meta) => return Err(Refusal::Metadata(meta)),
            Number::CapturedLen => return Err(Refusal::Messages),
            Number::List(_) => unreachable!("a list is looked into, not computed"),
            Number::Load { base, offset, size } => self.load(id, base, offset, size, raw)?,
            Number::Binary(_, left, mask) if raw => {
                let held = self.number(left, true)?;
                let held = self.writable(held, left)?;
                let mask = self.graph.program.constant(mask).unwrap_or_default();
                let mask = in_order(mask, raw_size(&self.graph.program, left));
                self.asm.alu32(Alu::And, held.reg(), mask as i32);
                held
            }
            Number::Binary(op, left, right) => self.binary(op, left, right)?,
        };
        self.registers.set(held, Some(content));
        Ok(held)
    }

    /// Whether the number is in a register, in host order.
    pub fn holds(&self, id: NumberId) -> bool {
        self.registers.holds(Content::Number(id))
    }

    /// Both numbers in registers, the deeper one first: the other needs fewer registers.
    pub fn pair(&mut self, left: NumberId, right: NumberId) -> Result<[Held; 2], Refusal> {
        let program = &self.graph.program;
        if program.depth(left) >= program.depth(right) {
            let left = self.number(left, false)?;
            Ok([left, self.number(right, false)?])
        } else {
            let right = self.number(right, false)?;
            Ok([self.number(left, false)?, right])
        }
    }

    /// Gives registers back.
    pub fn release<const N: usize>(&mut self, held: [Held; N]) {
        held.into_iter().for_each(|held| self.registers.release(held));
    }

    /// Jumps to `yes` when the key is in the table; the key is released.
    pub fn member(
        &mut self,
        key: Held,
        kind: &Kind,
        map: RawFd,
        yes: Label,
    ) -> Result<(), Refusal> {
        let (at, word) = (self.take()?, self.take()?);
        look_up(self.asm, kind, map, key.reg(), [at.reg(), word.reg()], yes);
        self.release([key, at, word]);
        Ok(())
    }

    fn take(&mut self) -> Result<Held, Refusal> {
        self.registers.take().ok_or(Refusal::TooDeep)
    }

    /// A register with what `held` holds, which may be overwritten. `held` is released.
    fn writable(&mut self, held: Held, id: NumberId) -> Result<Held, Refusal> {
        if self.graph.uses[id.0 as usize] <= 1 && self.registers.is_own(held) {
            self.registers.set(held, None);
            return Ok(held);
        }
        let copy = self.take()?;
        self.asm.alu32(Alu::Mov, copy.reg(), held.reg());
        self.registers.release(held);
        Ok(copy)
    }

    fn stacked(&mut self, (size, offset): (Size, i16)) -> Result<Held, Refusal> {
        let held = self.take()?;
        self.asm.load(size, held.reg(), Reg::R10, offset);
        Ok(held)
    }

    fn load(
        &mut self,
        id: NumberId,
        base: Option<NumberId>,
        offset: u32,
        size: ir::Size,
        raw: bool,
    ) -> Result<Held, Refusal> {
        let held = match (raw, self.registers.find(Content::Raw(id))) {
            (false, Some(known)) => self.writable(known, id)?,
            _ => {
                let (start, pinned) = match base {
                    None => (DATA, None),
                    Some(base) => {
                        let pointer = self.pointer(base, offset + size.bytes())?;
                        (pointer.reg(), Some(pointer))
                    }
                };
                let held = self.take()?;
                self.asm.load(width(size), held.reg(), start, offset as i16);
                pinned.into_iter().for_each(|pointer| self.registers.release(pointer));
                held
            }
        };
        if !raw && size != ir::Size::Byte {
            self.asm.to_be(held.reg(), 8 * size.bytes() as i32);
        }
        Ok(held)
    }

    /// The first byte of the packet plus `base`, from where on `end` bytes are there.
    fn pointer(&mut self, base: NumberId, end: u32) -> Result<Held, Refusal> {
        if let Some(held) = self.registers.find(Content::Pointer { base, extent: 0 }) {
            let known = self.registers.get(held);
            let enough =
                |content| matches!(content, Content::Pointer { extent, .. } if extent >= end);
            if !known.is_some_and(enough) {
                self.check_from(held.reg(), end, self.short_of(base))?;
                self.registers.set(held, Some(Content::Pointer { base, extent: end }));
            }
            return Ok(held);
        }
        let planned = self.planned.iter().find(|(known, _)| *known == base);
        let extent = planned.map_or(end, |(_, planned)| end.max(*planned));
        let offset = self.number(base, false)?;
        let unbounded = largest(&self.graph.program, base) > BASE_MAX;
        if unbounded {
            let short = self.short_of(base);
            self.asm.jump_if32(Cond::Gt, offset.reg(), BASE_MAX as i32, short);
        }
        let pointer = self.writable(offset, base)?;
        if unbounded && pointer == offset {
            // The upper half is 0; this tells the verifier, as a copy does.
            self.asm.alu32(Alu::Mov, pointer.reg(), pointer.reg());
        }
        self.asm.alu(Alu::Add, pointer.reg(), DATA);
        self.check_from(pointer.reg(), extent, self.short_of(base))?;
        self.registers.set(pointer, Some(Content::Pointer { base, extent }));
        Ok(pointer)
    }

    /// Where a packet goes that ends too early for a load behind `base`.
    fn short_of(&self, base: NumberId) -> Label {
        if self.graph.variable[base.0 as usize] { self.short } else { self.reject }
    }

    fn binary(&mut self, op: Op, left: NumberId, right: NumberId) -> Result<Held, Refusal> {
        let (left, right) = match (op, self.graph.program.constant(right)) {
            (Op::Div | Op::Mod, Some(0)) | (_, None) => (left, right),
            (op, Some(value)) => {
                let held = self.number(left, false)?;
                let held = self.writable(held, left)?;
                match op {
                    Op::Shl | Op::Shr if value >= 32 => self.asm.alu32(Alu::Mov, held.reg(), 0),
                    _ => self.asm.alu32(instruction(op), held.reg(), value as i32),
                }
                return Ok(held);
            }
        };
        let [first, second] = self.pair(left, right)?;
        if matches!(op, Op::Div | Op::Mod) {
            self.asm.jump_if32(Cond::Eq, second.reg(), 0, self.reject);
        }
        let held = self.writable(first, left)?;
        if matches!(op, Op::Shl | Op::Shr) {
            // The instruction takes the low five bits of the distance; 0 shifted is 0.
            let near = self.asm.label();
            self.asm.jump_if32(Cond::Le, second.reg(), 31, near);
            self.asm.alu32(Alu::Mov, held.reg(), 0);
            self.asm.bind(near);
        }
        self.asm.alu32(instruction(op), held.reg(), second.reg());
        self.registers.release(second);
        Ok(held)
    }
}

fn width(size: ir::Size) -> Size {
    match size {
        ir::Size::Byte => Size::U8,
        ir::Size::Half => Size::U16,
        ir::Size::Word => Size::U32,
    }
}

fn instruction(op: Op) -> Alu {
    match op {
        Op::Add => Alu::Add,
        Op::Sub => Alu::Sub,
        Op::Mul => Alu::Mul,
        Op::Div => Alu::Div,
        Op::Mod => Alu::Mod,
        Op::And => Alu::And,
        Op::Or => Alu::Or,
        Op::Xor => Alu::Xor,
        Op::Shl => Alu::Lsh,
        Op::Shr => Alu::Rsh,
    }
}
