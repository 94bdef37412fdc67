//! The instruction set: words, registers, operations, helpers (RFC 9669, BPF Instruction Set
//! Architecture; section numbers in the comments refer to it).

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

impl Instruction {
    /// Whether it may go elsewhere than to the next instruction, and come back from there only by
    /// another jump: no call, no exit.
    pub const fn is_jump(&self) -> bool {
        self.is_branch() || self.opcode == CLASS_JMP | JUMP_ALWAYS || self.is_long_jump()
    }

    /// How many instructions a jump goes on, counted from the one after it.
    pub const fn distance(&self) -> i64 {
        if self.is_long_jump() { self.immediate as i64 } else { self.offset as i64 }
    }

    const fn is_long_jump(&self) -> bool {
        self.opcode == CLASS_JMP32 | JUMP_ALWAYS
    }

    /// Whether it is a conditional jump.
    pub const fn is_branch(&self) -> bool {
        let class = self.opcode & 0x07;
        let code = self.opcode & 0xf0;
        (class == CLASS_JMP || class == CLASS_JMP32)
            && code != JUMP_ALWAYS
            && code != CALL
            && code != EXIT
    }
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
    /// `long bpf_tail_call(ctx, prog_array, index)`: goes on in another program; comes back only
    /// when there is none.
    TailCall = 12,
    /// `long bpf_redirect(ifindex, flags)`.
    Redirect = 23,
    /// `s64 bpf_csum_diff(from, from_size, to, to_size, seed)`.
    CsumDiff = 28,
    /// `long bpf_xdp_adjust_head(ctx, delta)`.
    XdpAdjustHead = 44,
    /// `long bpf_redirect_map(map, key, flags)`; the low bits of `flags` are the verdict when the
    /// key has no entry.
    RedirectMap = 51,
    /// `long bpf_xdp_adjust_meta(ctx, delta)`: moves where the bytes begin that go along before the
    /// packet, and are no part of it.
    XdpAdjustMeta = 54,
    /// `long bpf_xdp_adjust_tail(ctx, delta)`.
    XdpAdjustTail = 65,
    /// `long bpf_ringbuf_output(ringbuf, data, size, flags)`: copies a record into a ring; EAGAIN
    /// when it is full.
    RingbufOutput = 130,
    /// `void *bpf_ringbuf_reserve(ringbuf, size, flags)`: room for a record, which must be
    /// submitted or discarded; 0 when the ring is full.
    RingbufReserve = 131,
    /// `void bpf_ringbuf_submit(data, flags)`.
    RingbufSubmit = 132,
    /// `void bpf_ringbuf_discard(data, flags)`.
    RingbufDiscard = 133,
    /// `u64 bpf_xdp_get_buff_len(ctx)`: length of the packet over all of its buffers.
    XdpBuffLen = 188,
}

impl Helper {
    /// The kernel's name of a helper that we know.
    pub const fn name(number: i32) -> Option<&'static str> {
        Some(match number {
            1 => "bpf_map_lookup_elem",
            2 => "bpf_map_update_elem",
            5 => "bpf_ktime_get_ns",
            7 => "bpf_get_prandom_u32",
            8 => "bpf_get_smp_processor_id",
            12 => "bpf_tail_call",
            23 => "bpf_redirect",
            28 => "bpf_csum_diff",
            44 => "bpf_xdp_adjust_head",
            51 => "bpf_redirect_map",
            54 => "bpf_xdp_adjust_meta",
            65 => "bpf_xdp_adjust_tail",
            130 => "bpf_ringbuf_output",
            131 => "bpf_ringbuf_reserve",
            132 => "bpf_ringbuf_submit",
            133 => "bpf_ringbuf_discard",
            188 => "bpf_xdp_get_buff_len",
            _ => return None,
        })
    }
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
    /// First of the bytes that go along before the packet; where it begins when there are none.
    pub const DATA_META: i16 = 8;
    /// Index of the interface that received it.
    pub const INGRESS_IFINDEX: i16 = 12;
    /// Receive queue.
    pub const RX_QUEUE_INDEX: i16 = 16;
}

// Parts of an opcode (sections 3.1, 4 and 5).

pub(crate) const CLASS_LD: u8 = 0x00;
pub(crate) const CLASS_LDX: u8 = 0x01;
pub(crate) const CLASS_ST: u8 = 0x02;
pub(crate) const CLASS_STX: u8 = 0x03;
pub(crate) const CLASS_ALU: u8 = 0x04;
pub(crate) const CLASS_JMP: u8 = 0x05;
pub(crate) const CLASS_JMP32: u8 = 0x06;
pub(crate) const CLASS_ALU64: u8 = 0x07;
pub(crate) const MODE_MEM: u8 = 0x60;
pub(crate) const MODE_ATOMIC: u8 = 0xc0;
/// An atomic operation that also brings the value before; a full memory barrier then.
pub(crate) const FETCH: i32 = 0x01;
/// An atomic exchange, and one under a condition (section 5.3).
pub(crate) const EXCHANGE: i32 = 0xe0 | FETCH;
pub(crate) const COMPARE_EXCHANGE: i32 = 0xf0 | FETCH;
pub(crate) const SOURCE_REG: u8 = 0x08;
pub(crate) const JUMP_ALWAYS: u8 = 0x00;
pub(crate) const CALL: u8 = 0x80;
pub(crate) const EXIT: u8 = 0x90;
pub(crate) const BYTE_SWAP: u8 = 0xd0;
pub(crate) const PSEUDO_MAP_FD: u8 = 1;
pub(crate) const PSEUDO_MAP_VALUE: u8 = 2;
