//! From the graph to instructions: blocks, tests and look-ups.

use super::compute::Compute;
use super::graph::{End, Graph};
use super::registers::{CONTEXT, DATA, DATA_END, Registers};
use super::values::{in_order, raw_size};
use super::{OFFSET_MAX, Refusal, STACK_BYTES_RESERVED};
use crate::ir::{BlockId, Compare, Number, Program, Slot, Test};
use crate::table::Kind;
use std::os::fd::RawFd;
use tickwire_ebpf::{Alu, Assembler, Cond, Helper, Label, Operand, Reg, Size, xdp_md};

/// Where a slot lies, from the frame pointer. What is stored at a multiple of eight the verifier
/// remembers, as it must of what a loop counts. Elsewhere it forgets, and so sees that two ways
/// have become one, however they came by the value: else the ways through messages are too many.
pub(super) fn slot_place(graph: &Graph, slot: Slot) -> (Size, i16) {
    let begin = -(STACK_BYTES_RESERVED + 16 + 8 * i16::from(slot.0));
    if graph.looped.contains(&true) { (Size::U64, begin) } else { (Size::U32, begin + 4) }
}

/// Where the length on the wire lies.
pub(super) const WIRE_LEN_OFFSET: i16 = -(STACK_BYTES_RESERVED + 8);

/// Emits everything.
pub(super) fn emit(
    graph: &Graph,
    asm: &mut Assembler,
    tables: &[RawFd],
    accept: Label,
    reject: Label,
) -> Result<(), Refusal> {
    if let Some(verdict) = graph.verdict(graph.program.entry) {
        asm.jump(if verdict { accept } else { reject });
        return Ok(());
    }
    let labels = graph.nodes.iter().map(|_| asm.label()).collect();
    let entries = vec![None; graph.nodes.len()];
    let mut emitter = Emitter { graph, asm, tables, labels, entries, accept, reject };
    emitter.prologue();
    for at in 0..graph.order.len() {
        emitter.node(at)?;
    }
    Ok(())
}

/// What is known where a block begins.
#[derive(Clone)]
struct Entry {
    registers: Registers,
    /// So many bytes at the start of the packet are there.
    checked: u32,
}

struct Emitter<'a> {
    graph: &'a Graph,
    asm: &'a mut Assembler,
    tables: &'a [RawFd],
    labels: Vec<Label>,
    entries: Vec<Option<Entry>>,
    accept: Label,
    reject: Label,
}

impl Emitter<'_> {
    /// Packet bounds into registers, the length on the wire and zeros onto the stack.
    fn prologue(&mut self) {
        let program = &self.graph.program;
        let used = |number: &Number| {
            let mut uses = program.numbers().iter().zip(&self.graph.uses);
            uses.any(|(known, uses)| known == number && *uses > 0)
        };
        let slots: Vec<Slot> =
            (0..program.slots).map(Slot).filter(|slot| used(&Number::Slot(*slot))).collect();
        let asm = &mut *self.asm;
        if used(&Number::WireLen) {
            // Over all buffers: `data_end - data` is the first one only.
            asm.mov(Reg::R1, CONTEXT);
            asm.call(Helper::XdpBuffLen);
            asm.store(Size::U64, Reg::R10, WIRE_LEN_OFFSET, Reg::R0);
        }
        asm.load(Size::U32, DATA, CONTEXT, xdp_md::DATA);
        asm.load(Size::U32, DATA_END, CONTEXT, xdp_md::DATA_END);
        for slot in slots {
            let (size, offset) = slot_place(self.graph, slot);
            asm.store(size, Reg::R10, offset, 0);
        }
    }

    fn node(&mut self, at: usize) -> Result<(), Refusal> {
        let graph = self.graph;
        let id = graph.order[at];
        let node = graph.node(id);
        if graph.verdict(id).is_some() {
            // Edges go to the label of the verdict itself.
            return Ok(());
        }
        self.asm.bind(self.labels[id.0 as usize]);
        let known = self.entries[id.0 as usize].take();
        let known = known.filter(|_| !graph.looped[id.0 as usize]);
        let Entry { registers, mut checked } =
            known.unwrap_or_else(|| Entry { registers: Registers::default(), checked: 0 });
        let on_yes = node.successors().next().map_or(self.reject, |to| self.target(to));
        let mut compute = Compute::new(graph, self.asm, registers, [self.accept, self.reject]);
        let needed = graph.needed[id.0 as usize];
        if needed > checked {
            compute.check(needed)?;
            checked = needed;
        }
        if node.sets.is_empty() {
            compute.plan(node.numbers());
        }
        for (slot, number) in &node.sets {
            compute.set(*slot, *number)?;
        }
        match node.end {
            End::Branch { test, yes, no } => {
                let jump = prepare(&mut compute, &graph.program, test)?;
                let registers = compute.finish();
                self.reach(id, [yes, no], &registers, checked);
                self.branch(at, jump, yes, no);
            }
            End::Member { number, table, yes, no } => {
                let raw = raw_size(&graph.program, number).is_some();
                let held = compute.number(number, raw)?;
                compute.member(held, &graph.tables[table].kind, self.tables[table], on_yes)?;
                let registers = compute.finish();
                self.reach(id, [yes, no], &registers, checked);
                self.go(at, no);
            }
            End::Jump(to) => {
                let registers = compute.finish();
                self.reach(id, [to, to], &registers, checked);
                self.go(at, to);
            }
            End::Return(verdict) => {
                let target = if verdict { self.accept } else { self.reject };
                self.asm.jump(target);
            }
        }
        Ok(())
    }

    /// What is known at the targets of a block.
    fn reach(&mut self, from: BlockId, targets: [BlockId; 2], registers: &Registers, checked: u32) {
        for to in targets {
            if self.graph.is_back(from, to) {
                continue;
            }
            let entry = &mut self.entries[to.0 as usize];
            *entry = Some(match entry.take() {
                None => Entry { registers: registers.clone(), checked },
                Some(known) => Entry {
                    registers: known.registers.meet(registers),
                    checked: known.checked.min(checked),
                },
            });
        }
    }

    /// Where a jump to a block goes.
    fn target(&self, to: BlockId) -> Label {
        match self.graph.verdict(to) {
            Some(true) => self.accept,
            Some(false) => self.reject,
            None => self.labels[to.0 as usize],
        }
    }

    /// Whether `to` is emitted right behind the block at `at`.
    fn is_next(&self, at: usize, to: BlockId) -> bool {
        let rest = &self.graph.order[at + 1..];
        rest.iter().find(|id| self.graph.verdict(**id).is_none()) == Some(&to)
    }

    fn go(&mut self, at: usize, to: BlockId) {
        if !self.is_next(at, to) {
            let target = self.target(to);
            self.asm.jump(target);
        }
    }

    fn branch(&mut self, at: usize, jump: Jump, yes: BlockId, no: BlockId) {
        let (on_yes, on_no) = (self.target(yes), self.target(no));
        let Jump { cond, left, right } = jump;
        match inverse(cond) {
            Some(inverse) if self.is_next(at, yes) => {
                self.asm.jump_if32(inverse, left, right, on_no);
            }
            _ => {
                self.asm.jump_if32(cond, left, right, on_yes);
                self.go(at, no);
            }
        }
    }
}

/// A conditional jump, but for its target.
#[derive(Clone, Copy)]
struct Jump {
    cond: Cond,
    left: Reg,
    right: Operand,
}

/// Brings both sides of a test into registers, in network order where the test allows it.
fn prepare(compute: &mut Compute<'_>, program: &Program, test: Test) -> Result<Jump, Refusal> {
    let cond = match test.compare {
        Compare::Equal => Cond::Eq,
        Compare::Greater => Cond::Gt,
        Compare::GreaterEqual => Cond::Ge,
        Compare::AnyBit => Cond::Set,
        Compare::In => unreachable!("a list is looked into, not compared with"),
    };
    let Some(value) = program.constant(test.right) else {
        let [left, right] = compute.pair(test.left, test.right)?;
        let jump = Jump { cond, left: left.reg(), right: right.reg().into() };
        compute.release([left, right]);
        return Ok(jump);
    };
    let raw = raw_for(program, test, value).filter(|_| !compute.holds(test.left));
    let left = compute.number(test.left, raw.is_some())?;
    let jump = Jump { cond, left: left.reg(), right: (in_order(value, raw) as i32).into() };
    compute.release([left]);
    Ok(jump)
}

/// The size of the left side where it can stay in network order: a test for equality or for bits
/// with a value that fits into it.
fn raw_for(program: &Program, test: Test, value: u32) -> Option<crate::ir::Size> {
    let size = raw_size(program, test.left)?;
    let order_matters = matches!(test.compare, Compare::Greater | Compare::GreaterEqual);
    (!order_matters && value <= size.max()).then_some(size)
}

fn inverse(cond: Cond) -> Option<Cond> {
    Some(match cond {
        Cond::Eq => Cond::Ne,
        Cond::Gt => Cond::Le,
        Cond::Ge => Cond::Lt,
        // There is no jump for "no common bit".
        _ => return None,
    })
}

/// The instructions that look into a table; jump to `yes` when `key` is there.
pub(super) fn look_up(
    asm: &mut Assembler,
    kind: &Kind,
    map: RawFd,
    key: Reg,
    [at, word]: [Reg; 2],
    yes: Label,
) {
    match *kind {
        Kind::Bitmap => {
            asm.alu32(Alu::Mov, at, key);
            asm.alu32(Alu::Rsh, at, 3);
            asm.alu32(Alu::And, at, 0x1ff8);
            asm.load_map_value(word, map, 0);
            asm.alu(Alu::Add, word, at);
            asm.load(Size::U64, word, word, 0);
            // A shift by a register takes its low six bits.
            asm.alu(Alu::Rsh, word, key);
            asm.jump_if(Cond::Set, word, 1, yes);
        }
        Kind::Hash { bits, multipliers } => {
            for multiplier in multipliers {
                asm.alu32(Alu::Mov, at, key);
                asm.alu32(Alu::Mul, at, multiplier as i32);
                asm.alu32(Alu::Rsh, at, 32 - bits as i32);
                asm.alu32(Alu::Lsh, at, 2);
                asm.load_map_value(word, map, 0);
                asm.alu(Alu::Add, word, at);
                asm.load(Size::U32, word, word, 0);
                asm.jump_if32(Cond::Eq, word, key, yes);
            }
        }
    }
}

/// A load's offset fits into an instruction.
const _: () = assert!(OFFSET_MAX < i16::MAX as u32 - 3);
