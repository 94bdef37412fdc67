//! A [`Program`] as one Cranelift function over a batch.
//!
//! ```text
//! next(left, accepted):   while left != 0
//!     frame = index of the lowest bit of left
//!     … the blocks of the program, with a check in front of the first load that needs one …
//! accept: next(left without that bit, accepted with it)
//! reject: next(left without that bit, accepted)
//! ```
//!
//! Fields are compared in the order in which they lie in memory, with constants turned round
//! instead. A tail of tests that loads nothing unchecked becomes one condition without a branch:
//! its outcome is what the traffic decides, so that no predictor can learn it.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I8, I16, I32, I64};
use cranelift_codegen::ir::{Block, BlockArg, InstBuilder, MemFlagsData, Type, Value};
use cranelift_codegen::isa::TargetFrontendConfig;
use cranelift_frontend::{FunctionBuilder, Variable};

use super::NATIVE_INSTRUCTIONS_MAX;
use super::bounds::Bounds;
use crate::ir::{
    BlockId, Compare, End, Meta, Number, NumberId, Op, Program, SLOTS_MAX, Size, Slot, Test,
};
use crate::table::{Kind, Table};

/// Tests that become one condition, at most.
const CONDITION_TESTS_MAX: usize = 8;
/// Bytes of one slice, and of one packet's metadata.
const SLICE_BYTES: i64 = 16;
const METADATA_BYTES: i64 = 16;

/// Where a slice keeps its parts, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SliceLayout {
    pub(super) pointer: i32,
    pub(super) length: i32,
}

/// The parameters of the function.
struct Params {
    frames: Value,
    wire_lens: Value,
    metadata: Value,
}

/// The frame at hand.
#[derive(Clone, Copy)]
struct Frame {
    index: Value,
    bytes: Value,
    length: Value,
    /// Its bit in the mask.
    bit: Value,
    /// The frames after it.
    left: Value,
    /// The frames accepted so far.
    accepted: Value,
}

pub(super) struct Emitter<'a, 'b> {
    program: &'a Program,
    /// By the number that is the list.
    tables: &'a [Option<Table>],
    bounds: Bounds,
    order: Vec<BlockId>,
    /// Whether a number depends on a slot.
    variable: Vec<bool>,
    builder: FunctionBuilder<'b>,
    blocks: Vec<Option<Block>>,
    slots: Vec<Variable>,
    params: Params,
    frame: Frame,
    next: Block,
    reject: Block,
    /// Values of numbers in the block at hand, each with the stamp of its time.
    values: Vec<(u32, Value)>,
    /// Times: of the block, and of the last change of a slot.
    stamps: (u32, u32),
    clock: u32,
    /// Bytes behind every base that are known to be there.
    checked: Vec<u64>,
}

/// Fills the function of `builder`: `fn(frames, wire_lens, metadata, candidates) -> accepted`.
pub(super) fn emit(
    program: &Program,
    tables: &[Option<Table>],
    builder: FunctionBuilder<'_>,
    layout: SliceLayout,
    config: TargetFrontendConfig,
) {
    let order = program.order();
    let variable = variable(program);
    let bounds = Bounds::new(program, &order, &variable);
    let mut builder = builder;
    let entry = builder.create_block();
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    let [frames, wire_lens, metadata, candidates] = builder.block_params(entry)[..] else {
        unreachable!("the signature has four parameters");
    };
    let params = Params { frames, wire_lens, metadata };
    let zero = builder.ins().iconst(I64, 0);
    let next = builder.create_block();
    builder.ins().jump(next, &[BlockArg::from(candidates), BlockArg::from(zero)]);
    let frame = begin_frame(&mut builder, next, &params, layout);
    let reject = builder.create_block();
    let slots = (0..SLOTS_MAX.min(program.slots.into())).map(|_| builder.declare_var(I32));
    let slots = slots.collect();
    let mut emitter = Emitter {
        program,
        tables,
        bounds,
        variable,
        builder,
        blocks: vec![None; program.blocks.len()],
        slots,
        params,
        frame,
        next,
        reject,
        values: vec![(0, zero); program.numbers().len()],
        stamps: (0, 0),
        clock: 0,
        checked: Vec::new(),
        order,
    };
    emitter.emit_blocks();
    let mut builder = emitter.builder;
    builder.switch_to_block(reject);
    builder.ins().jump(next, &[BlockArg::from(frame.left), BlockArg::from(frame.accepted)]);
    builder.seal_all_blocks();
    builder.finalize(config);
}

/// The head of the loop over the frames; leaves the builder in its body.
fn begin_frame(
    builder: &mut FunctionBuilder<'_>,
    next: Block,
    params: &Params,
    layout: SliceLayout,
) -> Frame {
    let left = builder.append_block_param(next, I64);
    let accepted = builder.append_block_param(next, I64);
    let body = builder.create_block();
    let done = builder.create_block();
    builder.switch_to_block(next);
    builder.ins().brif(left, body, &[], done, &[]);
    builder.switch_to_block(done);
    builder.ins().return_(&[accepted]);
    builder.switch_to_block(body);
    let index = builder.ins().ctz(left);
    let negative = builder.ins().ineg(left);
    let bit = builder.ins().band(left, negative);
    let rest = builder.ins().bxor(left, bit);
    let scaled = builder.ins().imul_imm_u(index, SLICE_BYTES);
    let slice = builder.ins().iadd(params.frames, scaled);
    let bytes = builder.ins().load(I64, memory(), slice, layout.pointer);
    let length = builder.ins().load(I64, memory(), slice, layout.length);
    Frame { index, bytes, length, bit, left: rest, accepted }
}

/// Bytes that nobody writes while the function runs. Not movable: the check comes first.
fn memory() -> MemFlagsData {
    MemFlagsData::new().with_notrap().with_readonly()
}

fn variable(program: &Program) -> Vec<bool> {
    let mut variable: Vec<bool> = Vec::with_capacity(program.numbers().len());
    for number in program.numbers() {
        let slot = matches!(number, Number::Slot(_));
        variable.push(slot || program.operands(*number).any(|id| variable[id.0 as usize]));
    }
    variable
}

impl Emitter<'_, '_> {
    fn emit_blocks(&mut self) {
        let zero = self.builder.ins().iconst(I32, 0);
        for slot in &self.slots {
            self.builder.def_var(*slot, zero);
        }
        let entry = self.target(self.program.entry);
        self.builder.ins().jump(entry, &[]);
        for at in 0..self.order.len() {
            self.emit_block(self.order[at]);
        }
    }

    fn emit_block(&mut self, id: BlockId) {
        let block = self.target(id);
        self.builder.switch_to_block(block);
        self.clock += 1;
        self.stamps = (self.clock, self.clock);
        // Beyond the limit nobody will use the code: let it end soon.
        let large = self.builder.func.dfg.num_insts() > NATIVE_INSTRUCTIONS_MAX;
        if large || self.bounds.rejects(id) {
            self.builder.ins().jump(self.reject, &[]);
            return;
        }
        self.checked = self.bounds.checked(id).to_vec();
        for (Slot(slot), number) in &self.program.block(id).sets {
            let value = self.number(id, *number);
            self.builder.def_var(self.slots[usize::from(*slot)], value);
            self.clock += 1;
            self.stamps.1 = self.clock;
        }
        match self.program.block(id).end {
            End::Return(accepts) => self.finish(accepts),
            End::Jump(to) => {
                let to = self.target(to);
                self.builder.ins().jump(to, &[]);
            }
            End::Branch { test, yes, no } => self.branch(id, test, yes, no),
        }
    }

    /// The Cranelift block of a block.
    fn target(&mut self, id: BlockId) -> Block {
        let block = &mut self.blocks[id.0 as usize];
        *block.get_or_insert_with(|| self.builder.create_block())
    }

    fn finish(&mut self, accepts: bool) {
        let Frame { left, accepted, bit, .. } = self.frame;
        let accepted = if accepts { self.builder.ins().bor(accepted, bit) } else { accepted };
        self.builder.ins().jump(self.next, &[BlockArg::from(left), BlockArg::from(accepted)]);
    }

    fn branch(&mut self, id: BlockId, test: Test, yes: BlockId, no: BlockId) {
        let outcome = self.test(id, test);
        if let Some(accepts) = self.condition(outcome, yes, no, CONDITION_TESTS_MAX) {
            let Frame { left, accepted, bit, .. } = self.frame;
            let with = self.builder.ins().bor(accepted, bit);
            let accepted = self.builder.ins().select(accepts, with, accepted);
            self.builder.ins().jump(self.next, &[BlockArg::from(left), BlockArg::from(accepted)]);
            return;
        }
        let (yes, no) = (self.target(yes), self.target(no));
        self.builder.ins().brif(outcome, yes, &[], no, &[]);
    }

    // Conditions without branches.

    /// Whether the packet is accepted, when all that remains can be computed without a check.
    fn condition(
        &mut self,
        outcome: Value,
        yes: BlockId,
        no: BlockId,
        tests: usize,
    ) -> Option<Value> {
        let tests = tests.checked_sub(1)?;
        let verdict = |id: BlockId| match self.program.block(id) {
            block if block.sets.is_empty() => match block.end {
                End::Return(accepts) => Some(accepts),
                _ => None,
            },
            _ => None,
        };
        match (verdict(yes), verdict(no)) {
            (Some(true), Some(true)) => Some(self.builder.ins().iconst(I8, 1)),
            (Some(false), Some(false)) => Some(self.builder.ins().iconst(I8, 0)),
            (Some(true), Some(false)) => Some(outcome),
            (Some(false), Some(true)) => Some(self.not(outcome)),
            (Some(accepts), None) => {
                let rest = self.rest(no, tests)?;
                Some(self.join(outcome, accepts, rest))
            }
            (None, Some(accepts)) => {
                let rest = self.rest(yes, tests)?;
                let outcome = self.not(outcome);
                Some(self.join(outcome, accepts, rest))
            }
            (None, None) => None,
        }
    }

    /// `accepts` when `outcome` holds, else `rest`.
    fn join(&mut self, outcome: Value, accepts: bool, rest: Value) -> Value {
        if accepts {
            return self.builder.ins().bor(outcome, rest);
        }
        let not = self.not(outcome);
        self.builder.ins().band(not, rest)
    }

    fn rest(&mut self, id: BlockId, tests: usize) -> Option<Value> {
        let block = self.program.block(id);
        let End::Branch { test, yes, no } = block.end else { return None };
        let covered = self.bounds.covered(id, &self.checked);
        if tests == 0 || !covered || !block.sets.is_empty() {
            return None;
        }
        let outcome = self.test(id, test);
        self.condition(outcome, yes, no, tests)
    }

    fn not(&mut self, outcome: Value) -> Value {
        self.builder.ins().bxor_imm_u(outcome, 1)
    }

    // Tests.

    fn test(&mut self, id: BlockId, test: Test) -> Value {
        if let Some(value) = self.field_test(id, test) {
            return value;
        }
        let left = self.number(id, test.left);
        if test.compare == Compare::In {
            return self.member(left, test.right);
        }
        let right = self.number(id, test.right);
        let condition = match test.compare {
            Compare::Equal => IntCC::Equal,
            Compare::Greater => IntCC::UnsignedGreaterThan,
            Compare::GreaterEqual => IntCC::UnsignedGreaterThanOrEqual,
            Compare::In => unreachable!("handled above"),
            Compare::AnyBit => {
                let common = self.builder.ins().band(left, right);
                return self.builder.ins().icmp_imm_u(IntCC::NotEqual, common, 0);
            }
        };
        self.builder.ins().icmp(condition, left, right)
    }

    /// Whether a number is in a list: comparisons for a short one, else the two places of its
    /// table that the number may be in.
    fn member(&mut self, key: Value, list: NumberId) -> Value {
        let Some(Table { bytes, kind: Kind::Hash { bits, multipliers } }) =
            &self.tables[list.0 as usize]
        else {
            let program = self.program;
            let values = program.values(list).unwrap_or_default();
            let mut found = self.builder.ins().iconst(I8, 0);
            for value in values {
                let same = self.builder.ins().icmp_imm_u(IntCC::Equal, key, i64::from(*value));
                found = self.builder.ins().bor(found, same);
            }
            return found;
        };
        let table = self.builder.ins().iconst(I64, bytes.as_ptr().addr() as i64);
        let [first, second] = multipliers.map(|multiplier| {
            let hash = self.builder.ins().imul_imm_u(key, i64::from(multiplier));
            let place = self.builder.ins().ushr_imm_u(hash, i64::from(32 - bits));
            let place = self.builder.ins().uextend(I64, place);
            let offset = self.builder.ins().ishl_imm_u(place, 2);
            let address = self.builder.ins().iadd(table, offset);
            let there = self.builder.ins().load(I32, memory(), address, 0);
            self.builder.ins().icmp(IntCC::Equal, there, key)
        });
        self.builder.ins().bor(first, second)
    }

    /// A field, masked or not, against a constant: compared as it lies in memory.
    fn field_test(&mut self, id: BlockId, test: Test) -> Option<Value> {
        let constant = self.program.constant(test.right)?;
        let (field, mask) = match self.program.number(test.left) {
            Number::Binary(Op::And, field, mask) => (field, self.program.constant(mask)),
            _ => (test.left, Some(u32::MAX)),
        };
        let Number::Load { base, offset, size } = self.program.number(field) else { return None };
        let mask = mask? & size.max();
        let (mask, condition, constant) = match test.compare {
            Compare::Equal if constant > size.max() => return None,
            Compare::Equal => (mask, IntCC::Equal, constant),
            Compare::AnyBit => (mask & constant, IntCC::NotEqual, 0),
            _ => return None,
        };
        let mut value = self.load(id, base, offset, size);
        if mask != size.max() {
            value = self.builder.ins().band_imm_u(value, i64::from(in_memory(mask, size)));
        }
        let constant = i64::from(in_memory(constant, size));
        Some(self.builder.ins().icmp_imm_u(condition, value, constant))
    }

    // Numbers.

    /// Recursion is bounded by [`DEPTH_MAX`](crate::ir::DEPTH_MAX).
    fn number(&mut self, id: BlockId, number: NumberId) -> Value {
        let at = number.0 as usize;
        let stamp = if self.variable[at] { self.stamps.1 } else { self.stamps.0 };
        if self.values[at].0 == stamp {
            return self.values[at].1;
        }
        let value = match self.program.number(number) {
            Number::Const(value) => self.builder.ins().iconst(I32, i64::from(value)),
            Number::Slot(Slot(slot)) => self.builder.use_var(self.slots[usize::from(slot)]),
            Number::WireLen => {
                let place = self.element(self.params.wire_lens, 4);
                self.builder.ins().load(I32, memory(), place, 0)
            }
            Number::CapturedLen => {
                let length = self.frame.length;
                self.builder.ins().ireduce(I32, length)
            }
            Number::Meta(meta) => self.meta(meta),
            Number::List(_) => unreachable!("a list is looked into, not computed"),
            Number::Load { base, offset, size } => {
                let value = self.load(id, base, offset, size);
                self.host_order(value, size)
            }
            Number::Binary(op, left, right) => {
                let operands = (self.number(id, left), self.number(id, right));
                self.binary(op, operands, self.program.constant(right))
            }
        };
        self.values[at] = (stamp, value);
        value
    }

    fn binary(&mut self, op: Op, (left, right): (Value, Value), constant: Option<u32>) -> Value {
        let ins = self.builder.ins();
        match op {
            Op::Add => ins.iadd(left, right),
            Op::Sub => ins.isub(left, right),
            Op::Mul => ins.imul(left, right),
            Op::And => ins.band(left, right),
            Op::Or => ins.bor(left, right),
            Op::Xor => ins.bxor(left, right),
            Op::Shl | Op::Shr => {
                let shifted =
                    if op == Op::Shl { ins.ishl(left, right) } else { ins.ushr(left, right) };
                // The machine looks at five bits of the distance only.
                match constant {
                    Some(distance) if distance < 32 => shifted,
                    Some(_) => self.builder.ins().iconst(I32, 0),
                    None => {
                        let near =
                            self.builder.ins().icmp_imm_u(IntCC::UnsignedLessThan, right, 32);
                        let zero = self.builder.ins().iconst(I32, 0);
                        self.builder.ins().select(near, shifted, zero)
                    }
                }
            }
            Op::Div | Op::Mod => {
                if constant.is_none_or(|divisor| divisor == 0) {
                    self.reject_unless(right);
                }
                if constant == Some(0) {
                    // Never reached, but a division by a known zero is no instruction.
                    return left;
                }
                let ins = self.builder.ins();
                if op == Op::Div { ins.udiv(left, right) } else { ins.urem(left, right) }
            }
        }
    }

    /// Goes on in a new block when `condition` is not 0.
    fn reject_unless(&mut self, condition: Value) {
        let on = self.builder.create_block();
        self.builder.ins().brif(condition, on, &[], self.reject, &[]);
        self.builder.switch_to_block(on);
    }

    /// The address of this frame's element of an array.
    fn element(&mut self, array: Value, bytes: i64) -> Value {
        let offset = self.builder.ins().imul_imm_u(self.frame.index, bytes);
        self.builder.ins().iadd(array, offset)
    }

    /// Without metadata a test of it rejects.
    fn meta(&mut self, meta: Meta) -> Value {
        self.reject_unless(self.params.metadata);
        let place = self.element(self.params.metadata, METADATA_BYTES);
        let offset = match meta {
            Meta::VlanPresent => 0,
            Meta::VlanTci => 4,
            Meta::PacketType => 8,
            Meta::InterfaceIndex => 12,
        };
        self.builder.ins().load(I32, memory(), place, offset)
    }

    // Loads.

    /// The bytes as they lie in memory, as a 32-bit number, behind a check where it needs one.
    fn load(&mut self, id: BlockId, base: Option<NumberId>, offset: u32, size: Size) -> Value {
        let computed = base.map(|base| {
            let value = self.number(id, base);
            self.builder.ins().uextend(I64, value)
        });
        let end = u64::from(offset) + u64::from(size.bytes());
        match self.bounds.base(base) {
            Some(tracked) if self.checked[tracked] >= end => {}
            Some(tracked) => {
                let reach = self.bounds.needed(id, tracked).max(end);
                self.check(computed, reach);
                self.checked[tracked] = reach;
            }
            None => self.check(computed, end),
        }
        let mut place = self.frame.bytes;
        if let Some(computed) = computed {
            place = self.builder.ins().iadd(place, computed);
        }
        let near = i32::try_from(offset).unwrap_or_else(|_| {
            place = self.builder.ins().iadd_imm_u(place, i64::from(offset));
            0
        });
        match size {
            Size::Byte => self.builder.ins().uload8(I32, memory(), place, near),
            Size::Half => self.builder.ins().uload16(I32, memory(), place, near),
            Size::Word => self.builder.ins().load(I32, memory(), place, near),
        }
    }

    /// Rejects unless `base + reach` bytes are there. The sum stays far below 64 bits.
    fn check(&mut self, base: Option<Value>, reach: u64) {
        let reach = reach as i64;
        let length = self.frame.length;
        let fits = match base {
            None => self.builder.ins().icmp_imm_u(IntCC::UnsignedGreaterThanOrEqual, length, reach),
            Some(base) => {
                let end = self.builder.ins().iadd_imm_u(base, reach);
                self.builder.ins().icmp(IntCC::UnsignedLessThanOrEqual, end, length)
            }
        };
        self.reject_unless(fits);
    }

    fn host_order(&mut self, value: Value, size: Size) -> Value {
        if cfg!(target_endian = "big") {
            return value;
        }
        let swap = |builder: &mut FunctionBuilder<'_>, kind: Type| match kind {
            I16 => {
                let half = builder.ins().ireduce(I16, value);
                let half = builder.ins().bswap(half);
                builder.ins().uextend(I32, half)
            }
            _ => builder.ins().bswap(value),
        };
        match size {
            Size::Byte => value,
            Size::Half => swap(&mut self.builder, I16),
            Size::Word => swap(&mut self.builder, I32),
        }
    }
}

/// A field of the packet as the machine loads it.
fn in_memory(value: u32, size: Size) -> u32 {
    match size {
        Size::Byte => value,
        Size::Half => (value as u16).to_be().into(),
        Size::Word => value.to_be(),
    }
}
