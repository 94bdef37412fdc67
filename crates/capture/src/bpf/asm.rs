//! An eBPF assembler: method calls in, instructions out.
//!
//! The encoding is that of RFC 9669 (BPF Instruction Set Architecture); section numbers in the
//! comments refer to it. Jumps name [`Label`]s, which may be bound before or after the jump.
//! The assembler checks what it can know (labels, offsets); the kernel's verifier does the rest.

use std::os::fd::{AsFd, AsRawFd};

/// One 64-bit instruction word (RFC 9669 section 3). Wide instructions take two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// Operation and class.
    pub opcode: u8,
    /// Destination register in the low four bits, source register in the high four.
    pub registers: u8,
    /// Signed offset of a load, store or jump.
    pub offset: i16,
    /// Immediate operand.
    pub immediate: i32,
}

/// A register (RFC 9669 section 2.1 and the kernel's calling convention).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reg {
    /// Return value of helpers and of the program.
    R0,
    /// First argument; the context on entry. Lost over a call, like R2 to R5.
    R1,
    /// Second argument.
    R2,
    /// Third argument.
    R3,
    /// Fourth argument.
    R4,
    /// Fifth argument.
    R5,
    /// Kept over calls.
    R6,
    /// Kept over calls.
    R7,
    /// Kept over calls.
    R8,
    /// Kept over calls.
    R9,
    /// Frame pointer, read only: the stack is the 512 bytes below it.
    R10,
}

/// The second operand of arithmetic, jumps and stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A register.
    Reg(Reg),
    /// A constant, sign-extended to 64 bits where the operation is 64 bits wide.
    Imm(i32),
}

impl From<Reg> for Operand {
    fn from(reg: Reg) -> Self {
        Operand::Reg(reg)
    }
}

impl From<i32> for Operand {
    fn from(value: i32) -> Self {
        Operand::Imm(value)
    }
}

/// Arithmetic (RFC 9669 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Alu {
    Add = 0x00,
    Sub = 0x10,
    Mul = 0x20,
    Div = 0x30,
    Or = 0x40,
    And = 0x50,
    Lsh = 0x60,
    Rsh = 0x70,
    Mod = 0x90,
    Xor = 0xa0,
    Mov = 0xb0,
    Arsh = 0xc0,
}

/// Conditions of jumps, unsigned unless the name starts with `S` (RFC 9669 section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Cond {
    Eq = 0x10,
    Gt = 0x20,
    Ge = 0x30,
    /// Any common bit is set.
    Set = 0x40,
    Ne = 0x50,
    SGt = 0x60,
    SGe = 0x70,
    Lt = 0xa0,
    Le = 0xb0,
    SLt = 0xc0,
    SLe = 0xd0,
}

/// Width of a memory access (RFC 9669 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Size {
    /// 1 byte.
    U8 = 0x10,
    /// 2 bytes.
    U16 = 0x08,
    /// 4 bytes.
    U32 = 0x00,
    /// 8 bytes.
    U64 = 0x18,
}

/// Kernel functions that a program may call, by their number in `enum bpf_func_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Helper {
    /// `void *bpf_map_lookup_elem(map, key)`.
    MapLookup = 1,
    /// `long bpf_map_update_elem(map, key, value, flags)`.
    MapUpdate = 2,
    /// `u64 bpf_ktime_get_ns()`: CLOCK_MONOTONIC.
    KtimeGetNs = 5,
    /// `u32 bpf_get_prandom_u32()`.
    PrandomU32 = 7,
    /// `u32 bpf_get_smp_processor_id()`.
    ProcessorId = 8,
    /// `long bpf_redirect(ifindex, flags)`.
    Redirect = 23,
    /// `s64 bpf_csum_diff(from, from_size, to, to_size, seed)`.
    CsumDiff = 28,
    /// `long bpf_xdp_adjust_head(ctx, delta)`.
    XdpAdjustHead = 44,
    /// `long bpf_redirect_map(map, key, flags)`; the low bits of `flags` are the verdict when the
    /// key has no entry.
    RedirectMap = 51,
    /// `long bpf_xdp_adjust_tail(ctx, delta)`.
    XdpAdjustTail = 65,
    /// `u64 bpf_xdp_get_buff_len(ctx)`: length of the packet over all of its buffers.
    XdpBuffLen = 188,
}

/// Verdicts of an XDP program (`enum xdp_action`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum XdpAction {
    /// A bug in the program: dropped, and traced.
    Aborted = 0,
    /// Dropped.
    Drop = 1,
    /// On to the kernel's own stack.
    Pass = 2,
    /// Back out of the same interface.
    Tx = 3,
    /// To where a redirect helper said.
    Redirect = 4,
}

/// Offsets into `struct xdp_md`, the context of an XDP program; each is a 32-bit field.
pub mod xdp_md {
    /// First byte of the packet.
    pub const DATA: i16 = 0;
    /// One past the last byte.
    pub const DATA_END: i16 = 4;
    /// Index of the interface that received it.
    pub const INGRESS_IFINDEX: i16 = 12;
    /// Receive queue.
    pub const RX_QUEUE_INDEX: i16 = 16;
}

/// A place in the program to jump to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label(usize);

/// What the assembler itself can find wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AsmError {
    /// A jump to a label that was never bound: a bug of the generator.
    #[error("the label of the jump at instruction {at} was never bound")]
    Unbound {
        /// Index of the jump.
        at: usize,
    },
    /// A jump that does not fit into 16 bits.
    #[error("the jump at instruction {at} is too far: the program is too long")]
    TooFar {
        /// Index of the jump.
        at: usize,
    },
}

const CLASS_LD: u8 = 0x00;
const CLASS_LDX: u8 = 0x01;
const CLASS_ST: u8 = 0x02;
const CLASS_STX: u8 = 0x03;
const CLASS_ALU: u8 = 0x04;
const CLASS_JMP: u8 = 0x05;
const CLASS_JMP32: u8 = 0x06;
const CLASS_ALU64: u8 = 0x07;
const MODE_MEM: u8 = 0x60;
const MODE_ATOMIC: u8 = 0xc0;
const SOURCE_REG: u8 = 0x08;
const JUMP_ALWAYS: u8 = 0x00;
const CALL: u8 = 0x80;
const EXIT: u8 = 0x90;
const BYTE_SWAP: u8 = 0xd0;
const PSEUDO_MAP_FD: u8 = 1;

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
        let opcode = CLASS_STX | MODE_ATOMIC | Size::U64 as u8;
        self.emit(opcode, registers(dst, src), offset, Alu::Add as i32);
    }

    /// `dst = value`, all 64 bits; two instruction words (section 5.4).
    pub fn load_imm64(&mut self, dst: Reg, value: u64) {
        self.wide(dst, 0, value);
    }

    /// `dst = map`: the address of a map for a helper. The kernel takes a reference of its own
    /// when the program is loaded; until then `map` must stay open.
    pub fn load_map(&mut self, dst: Reg, map: &impl AsFd) {
        self.wide(dst, PSEUDO_MAP_FD, map.as_fd().as_raw_fd() as u32 as u64);
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

    /// Resolves the jumps and hands out the program.
    ///
    /// # Errors
    /// A label that was never bound, or a jump over more than 32 767 instructions.
    pub fn finish(mut self) -> Result<Vec<Instruction>, AsmError> {
        for &(at, label) in &self.jumps {
            let target = self.labels[label.0].ok_or(AsmError::Unbound { at })?;
            // An offset counts from the instruction after the jump.
            let distance = target as i64 - (at as i64 + 1);
            self.code[at].offset = i16::try_from(distance).map_err(|_| AsmError::TooFar { at })?;
        }
        Ok(self.code)
    }

    fn operate(&mut self, opcode: u8, dst: Reg, offset: i16, operand: Operand) {
        match operand {
            Operand::Reg(src) => self.emit(opcode | SOURCE_REG, registers(dst, src), offset, 0),
            Operand::Imm(value) => self.emit(opcode, dst as u8, offset, value),
        }
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
        // r2 = *(u32 *)(r1 + 4); r2 = *(u8 *)(r1 + 23); *(u64 *)(r10 - 8) = r1; *(u32 *)(r10 - 4) = 0
        assert_eq!(one(|a| a.load(Size::U32, R2, R1, 4)), (0x61, 0x12, 4, 0));
        assert_eq!(one(|a| a.load(Size::U8, R2, R1, 23)), (0x71, 0x12, 23, 0));
        assert_eq!(one(|a| a.store(Size::U64, R10, -8, R1)), (0x7b, 0x1a, -8, 0));
        assert_eq!(one(|a| a.store(Size::U32, R10, -4, 0)), (0x62, 0x0a, -4, 0));
        // lock *(u64 *)(r0 + 0) += r1; call 51; exit
        assert_eq!(one(|a| a.atomic_add(R0, 0, R1)), (0xdb, 0x10, 0, 0));
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

        let mut asm = Assembler::new();
        let far = asm.label();
        asm.jump(far);
        for _ in 0..40_000 {
            asm.exit();
        }
        asm.bind(far);
        assert_eq!(asm.finish(), Err(AsmError::TooFar { at: 0 }));
    }

    #[test]
    fn an_instruction_is_eight_bytes() {
        assert_eq!(size_of::<Instruction>(), 8);
    }
}
