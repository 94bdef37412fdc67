//! The assembler: method calls in, instructions out.
//!
//! Jumps name [`Label`]s, which may be bound before or after the jump. The assembler checks what
//! it can know (labels, offsets); the kernel's verifier does the rest.

use crate::isa::*;
use std::fmt;
use std::os::fd::{AsFd, AsRawFd, RawFd};

/// The farthest that a jump without a condition goes in its short form, in instructions: half of
/// what it reaches. The kernel puts instructions of its own between those that it loads, and
/// refuses a program whose jumps do not reach over them.
const NEAR_MAX: i64 = 16_383;

/// A place in the program to jump to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label(usize);

/// What the assembler itself can find wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsmError {
    /// A jump to a label that was never bound: a bug of the generator.
    Unbound {
        /// Index of the jump.
        at: usize,
    },
    /// A conditional jump that does not fit into 16 bits.
    TooFar {
        /// Index of the jump.
        at: usize,
    },
}

impl fmt::Display for AsmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AsmError::Unbound { at } => {
                write!(f, "the label of the jump at instruction {at} was never bound")
            }
            AsmError::TooFar { at } => {
                write!(f, "the jump at instruction {at} is too far: the program is too long")
            }
        }
    }
}

impl std::error::Error for AsmError {}

/// Collects instructions and resolves labels.
#[derive(Debug, Default)]
pub struct Assembler {
    code: Vec<Instruction>,
    labels: Vec<Option<usize>>,
    jumps: Vec<(usize, Label)>,
}

impl Assembler {
    /// An empty program.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many instruction words there are so far.
    pub fn len(&self) -> usize {
        self.code.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.code.is_empty()
    }

    /// A new label, not bound yet.
    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// Binds `label` to the next instruction.
    pub fn bind(&mut self, label: Label) {
        self.labels[label.0] = Some(self.code.len());
    }

    /// Whether a jump so far goes to `label`. Code that nothing reaches must not be emitted: the
    /// verifier refuses it.
    pub fn is_used(&self, label: Label) -> bool {
        self.jumps.iter().any(|&(_, target)| target == label)
    }

    /// `dst = dst op operand`, 64 bits; [`Alu::Mov`] copies.
    pub fn alu(&mut self, op: Alu, dst: Reg, operand: impl Into<Operand>) {
        self.operate(CLASS_ALU64 | op as u8, dst, 0, operand.into());
    }

    /// `dst = dst op operand` in 32 bits; the upper half becomes 0.
    pub fn alu32(&mut self, op: Alu, dst: Reg, operand: impl Into<Operand>) {
        self.operate(CLASS_ALU | op as u8, dst, 0, operand.into());
    }

    /// `dst = operand`, 64 bits.
    pub fn mov(&mut self, dst: Reg, operand: impl Into<Operand>) {
        self.alu(Alu::Mov, dst, operand);
    }

    /// Turns the low `bits` (16, 32 or 64) of `dst` from host into network order or back, and
    /// clears the others (section 4.2).
    pub fn to_be(&mut self, dst: Reg, bits: i32) {
        self.emit(CLASS_ALU | SOURCE_REG | BYTE_SWAP, dst as u8, 0, bits);
    }

    /// Swaps the low `bits` (16, 32 or 64) of `dst`, whatever the machine's order of bytes is, and
    /// clears the others (section 4.2, unconditional; Linux 6.6).
    pub fn swap(&mut self, dst: Reg, bits: i32) {
        self.emit(CLASS_ALU64 | BYTE_SWAP, dst as u8, 0, bits);
    }

    /// `dst = *(size *)(src + offset)`, zero-extended.
    pub fn load(&mut self, size: Size, dst: Reg, src: Reg, offset: i16) {
        self.emit(CLASS_LDX | MODE_MEM | size as u8, registers(dst, src), offset, 0);
    }

    /// `*(size *)(dst + offset) = operand`.
    pub fn store(&mut self, size: Size, dst: Reg, offset: i16, operand: impl Into<Operand>) {
        match operand.into() {
            Operand::Reg(src) => {
                self.emit(CLASS_STX | MODE_MEM | size as u8, registers(dst, src), offset, 0);
            }
            Operand::Imm(value) => {
                self.emit(CLASS_ST | MODE_MEM | size as u8, dst as u8, offset, value);
            }
        }
    }

    /// `*(u64 *)(dst + offset) += src`, atomically (section 5.3).
    pub fn atomic_add(&mut self, dst: Reg, offset: i16, src: Reg) {
        self.atomic(dst, offset, src, Alu::Add as i32);
    }

    /// `src = *(u64 *)(dst + offset)`, and adds what was in `src` there, both in one step: a full
    /// memory barrier (section 5.3, `FETCH`).
    pub fn atomic_fetch_add(&mut self, dst: Reg, offset: i16, src: Reg) {
        self.atomic(dst, offset, src, Alu::Add as i32 | FETCH);
    }

    /// `src` and `*(u64 *)(dst + offset)` change places, in one step: a full memory barrier
    /// (section 5.3, `XCHG`).
    pub fn atomic_exchange(&mut self, dst: Reg, offset: i16, src: Reg) {
        self.atomic(dst, offset, src, EXCHANGE);
    }

    /// Stores `src` as `*(u64 *)(dst + offset)` if R0 was there, all in one step: a full memory
    /// barrier. R0 is what was there (section 5.3, `CMPXCHG`).
    pub fn atomic_compare_exchange(&mut self, dst: Reg, offset: i16, src: Reg) {
        self.atomic(dst, offset, src, COMPARE_EXCHANGE);
    }

    /// `dst = value`, all 64 bits; two instruction words (section 5.4).
    pub fn load_imm64(&mut self, dst: Reg, value: u64) {
        self.wide(dst, 0, value);
    }

    /// `dst = map`: the address of a map for a helper. The kernel takes a reference of its own
    /// when the program is loaded; until then `map` must stay open.
    pub fn load_map(&mut self, dst: Reg, map: &impl AsFd) {
        self.load_map_fd(dst, map.as_fd().as_raw_fd());
    }

    /// The same by number: for listings, and where the map is behind another type.
    pub fn load_map_fd(&mut self, dst: Reg, map: RawFd) {
        self.wide(dst, PSEUDO_MAP_FD, u64::from(map as u32));
    }

    /// `dst = &value[offset]`: the address of a byte of the only value of an array map.
    pub fn load_map_value(&mut self, dst: Reg, map: RawFd, offset: u32) {
        self.wide(dst, PSEUDO_MAP_VALUE, u64::from(offset) << 32 | u64::from(map as u32));
    }

    /// Jumps to `target`.
    pub fn jump(&mut self, target: Label) {
        self.jumps.push((self.code.len(), target));
        self.emit(CLASS_JMP | JUMP_ALWAYS, 0, 0, 0);
    }

    /// Jumps to `target` if `dst cond operand` in 64 bits.
    pub fn jump_if(&mut self, cond: Cond, dst: Reg, operand: impl Into<Operand>, target: Label) {
        self.jumps.push((self.code.len(), target));
        self.operate(CLASS_JMP | cond as u8, dst, 0, operand.into());
    }

    /// Jumps to `target` if `dst cond operand` in the lower 32 bits.
    pub fn jump_if32(&mut self, cond: Cond, dst: Reg, operand: impl Into<Operand>, target: Label) {
        self.jumps.push((self.code.len(), target));
        self.operate(CLASS_JMP32 | cond as u8, dst, 0, operand.into());
    }

    /// Calls a kernel function: arguments in R1 to R5, result in R0; R1 to R5 are lost.
    pub fn call(&mut self, helper: Helper) {
        self.emit(CLASS_JMP | CALL, 0, 0, helper as i32);
    }

    /// Returns R0.
    pub fn exit(&mut self) {
        self.emit(CLASS_JMP | EXIT, 0, 0, 0);
    }

    /// `R0 = action; exit`.
    pub fn exit_with(&mut self, action: XdpAction) {
        self.mov(Reg::R0, action as i32);
        self.exit();
    }

    /// Resolves the jumps and hands out the program. A jump over more than 16 383
    /// instructions takes the form with 32 bits (section 4.3, `JA` of the class `JMP32`), for which
    /// Linux must be 6.6 or later.
    ///
    /// # Errors
    /// A label that was never bound, or a conditional jump over more than 32 767 instructions.
    pub fn finish(mut self) -> Result<Vec<Instruction>, AsmError> {
        for &(at, label) in &self.jumps {
            let target = self.labels[label.0].ok_or(AsmError::Unbound { at })?;
            // An offset counts from the instruction after the jump.
            let distance = target as i64 - (at as i64 + 1);
            let jump = &mut self.code[at];
            match (i16::try_from(distance), i32::try_from(distance)) {
                (Ok(near), _) if jump.is_branch() || distance.abs() <= NEAR_MAX => {
                    jump.offset = near;
                }
                (_, Ok(far)) if !jump.is_branch() => {
                    jump.opcode = CLASS_JMP32 | JUMP_ALWAYS;
                    jump.immediate = far;
                }
                _ => return Err(AsmError::TooFar { at }),
            }
        }
        Ok(self.code)
    }

    fn operate(&mut self, opcode: u8, dst: Reg, offset: i16, operand: Operand) {
        match operand {
            Operand::Reg(src) => self.emit(opcode | SOURCE_REG, registers(dst, src), offset, 0),
            Operand::Imm(value) => self.emit(opcode, dst as u8, offset, value),
        }
    }

    fn atomic(&mut self, dst: Reg, offset: i16, src: Reg, operation: i32) {
        let opcode = CLASS_STX | MODE_ATOMIC | Size::U64 as u8;
        self.emit(opcode, registers(dst, src), offset, operation);
    }

    fn wide(&mut self, dst: Reg, source: u8, value: u64) {
        let opcode = CLASS_LD | Size::U64 as u8;
        self.emit(opcode, dst as u8 | source << 4, 0, value as u32 as i32);
        self.emit(0, 0, 0, (value >> 32) as i32);
    }

    fn emit(&mut self, opcode: u8, registers: u8, offset: i16, immediate: i32) {
        self.code.push(Instruction { opcode, registers, offset, immediate });
    }
}

const fn registers(dst: Reg, src: Reg) -> u8 {
    dst as u8 | (src as u8) << 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use Reg::*;

    fn one(build: impl FnOnce(&mut Assembler)) -> (u8, u8, i16, i32) {
        let mut asm = Assembler::new();
        build(&mut asm);
        let first = asm.code[0];
        (first.opcode, first.registers, first.offset, first.immediate)
    }

    /// Expected values: `llvm-mc -arch=bpfel -show-encoding` of the text in the comment.
    #[test]
    fn encodings_are_those_of_llvm() {
        // r1 = r2; r1 = -1; w3 += 7; r4 >>= 5; r1 = be16 r1
        assert_eq!(one(|a| a.mov(R1, R2)), (0xbf, 0x21, 0, 0));
        assert_eq!(one(|a| a.mov(R1, -1)), (0xb7, 0x01, 0, -1));
        assert_eq!(one(|a| a.alu32(Alu::Add, R3, 7)), (0x04, 0x03, 0, 7));
        assert_eq!(one(|a| a.alu(Alu::Rsh, R4, 5)), (0x77, 0x04, 0, 5));
        assert_eq!(one(|a| a.to_be(R1, 16)), (0xdc, 0x01, 0, 16));
        // r3 = bswap64 r3
        assert_eq!(one(|a| a.swap(R3, 64)), (0xd7, 0x03, 0, 64));
        // r2 = *(u32 *)(r1 + 4); r2 = *(u8 *)(r1 + 23); *(u64 *)(r10 - 8) = r1; *(u32 *)(r10 - 4) =
        // 0
        assert_eq!(one(|a| a.load(Size::U32, R2, R1, 4)), (0x61, 0x12, 4, 0));
        assert_eq!(one(|a| a.load(Size::U8, R2, R1, 23)), (0x71, 0x12, 23, 0));
        assert_eq!(one(|a| a.store(Size::U64, R10, -8, R1)), (0x7b, 0x1a, -8, 0));
        assert_eq!(one(|a| a.store(Size::U32, R10, -4, 0)), (0x62, 0x0a, -4, 0));
        // lock *(u64 *)(r0 + 0) += r1; call 51; exit
        assert_eq!(one(|a| a.atomic_add(R0, 0, R1)), (0xdb, 0x10, 0, 0));
        assert_eq!(one(|a| a.atomic_fetch_add(R0, 8, R1)), (0xdb, 0x10, 8, 1));
        // r0 = xchg_64(r1 + 8, r0); r0 = cmpxchg_64(r1 - 8, r0, r3)
        assert_eq!(one(|a| a.atomic_exchange(R1, 8, R0)), (0xdb, 0x01, 8, 0xe1));
        assert_eq!(one(|a| a.atomic_compare_exchange(R1, -8, R3)), (0xdb, 0x31, -8, 0xf1));
        assert_eq!(one(|a| a.call(Helper::RedirectMap)), (0x85, 0, 0, 51));
        assert_eq!(one(|a| a.exit()), (0x95, 0, 0, 0));
    }

    #[test]
    fn conditions_encode_width_and_source() {
        fn jump(width32: bool, cond: Cond, operand: Operand) -> (u8, u8) {
            let mut asm = Assembler::new();
            let here = asm.label();
            asm.bind(here);
            if width32 {
                asm.jump_if32(cond, R3, operand, here);
            } else {
                asm.jump_if(cond, R3, operand, here);
            }
            let code = asm.finish().unwrap();
            assert_eq!(code[0].offset, -1, "a jump to itself");
            (code[0].opcode, code[0].registers)
        }
        assert_eq!(jump(false, Cond::Gt, R2.into()), (0x2d, 0x23));
        assert_eq!(jump(false, Cond::Ne, 5.into()), (0x55, 0x03));
        assert_eq!(jump(true, Cond::Eq, 5.into()), (0x16, 0x03));
        assert_eq!(jump(true, Cond::SLt, R2.into()), (0xce, 0x23));
    }

    #[test]
    fn wide_constants_take_two_words() {
        let mut asm = Assembler::new();
        asm.load_imm64(R1, 0x1122_3344_8899_aabb);
        let code = asm.finish().unwrap();
        assert_eq!(code.len(), 2);
        assert_eq!((code[0].opcode, code[0].registers), (0x18, 0x01));
        assert_eq!(code[0].immediate as u32, 0x8899_aabb);
        assert_eq!((code[1].opcode, code[1].immediate), (0, 0x1122_3344));
    }

    #[test]
    fn labels_resolve_forward_and_backward() {
        let mut asm = Assembler::new();
        let (top, out) = (asm.label(), asm.label());
        asm.bind(top);
        asm.jump_if(Cond::Eq, R1, 0, out); // 0
        asm.load_imm64(R2, 1); // 1, 2
        asm.jump(top); // 3
        asm.bind(out);
        asm.exit(); // 4
        let code = asm.finish().unwrap();
        assert_eq!((code[0].offset, code[3].offset), (3, -4));
        assert_eq!(code[3].opcode, 0x05);
    }

    #[test]
    fn bad_labels_are_named() {
        let mut asm = Assembler::new();
        let nowhere = asm.label();
        asm.exit();
        asm.jump(nowhere);
        assert_eq!(asm.finish(), Err(AsmError::Unbound { at: 1 }));

        let branch = |asm: &mut Assembler, far| asm.jump_if(Cond::Eq, R1, 0, far);
        assert_eq!(over(40_000, branch), Err(AsmError::TooFar { at: 0 }));
    }

    /// `jump` to a label behind so many instructions, then one back from there to the start.
    fn over(
        count: usize,
        jump: impl FnOnce(&mut Assembler, Label),
    ) -> Result<Vec<Instruction>, AsmError> {
        let mut asm = Assembler::new();
        let (start, far) = (asm.label(), asm.label());
        asm.bind(start);
        jump(&mut asm, far);
        (0..count).for_each(|_| asm.exit());
        asm.bind(far);
        asm.jump(start);
        asm.finish()
    }

    /// Opcode 6 is that of `gotol` in the kernel's and LLVM's listings.
    #[test]
    fn a_jump_takes_the_long_form_where_it_must() {
        for (count, forward) in [(16_383, (0x05, 16_383, 0)), (16_384, (0x06, 0, 16_384))] {
            let code = over(count, |asm, far| asm.jump(far)).unwrap();
            let (first, last) = (code[0], code[count + 1]);
            assert_eq!((first.opcode, first.offset, first.immediate), forward);
            assert_eq!(first.distance(), count as i64);
            assert_eq!((last.opcode, last.offset), (0x06, 0));
            assert_eq!(last.distance(), -(count as i64 + 2));
            assert!(first.is_jump() && last.is_jump() && !last.is_branch());
        }
    }

    #[test]
    fn an_instruction_is_eight_bytes() {
        assert_eq!(size_of::<Instruction>(), 8);
    }
}
