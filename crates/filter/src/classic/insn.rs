//! The instruction, as in `struct sock_filter` (linux/filter.h) and `struct bpf_insn`.

/// One instruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Insn {
    /// What it does.
    pub code: u16,
    /// How many instructions to skip when a test holds.
    pub jt: u8,
    /// How many instructions to skip when it does not.
    pub jf: u8,
    /// The constant.
    pub k: u32,
}

impl Insn {
    /// A statement.
    pub const fn new(code: u16, k: u32) -> Insn {
        Insn { code, jt: 0, jf: 0, k }
    }
}

/// Opcodes: class, then size and mode, or operation and source.
pub mod code {
    #![allow(missing_docs)]
    pub const LD: u16 = 0x00;
    pub const LDX: u16 = 0x01;
    pub const ST: u16 = 0x02;
    pub const STX: u16 = 0x03;
    pub const ALU: u16 = 0x04;
    pub const JMP: u16 = 0x05;
    pub const RET: u16 = 0x06;
    pub const MISC: u16 = 0x07;

    pub const W: u16 = 0x00;
    pub const H: u16 = 0x08;
    pub const B: u16 = 0x10;

    pub const IMM: u16 = 0x00;
    pub const ABS: u16 = 0x20;
    pub const IND: u16 = 0x40;
    pub const MEM: u16 = 0x60;
    pub const LEN: u16 = 0x80;
    pub const MSH: u16 = 0xa0;

    pub const ADD: u16 = 0x00;
    pub const SUB: u16 = 0x10;
    pub const MUL: u16 = 0x20;
    pub const DIV: u16 = 0x30;
    pub const OR: u16 = 0x40;
    pub const AND: u16 = 0x50;
    pub const LSH: u16 = 0x60;
    pub const RSH: u16 = 0x70;
    pub const NEG: u16 = 0x80;
    pub const MOD: u16 = 0x90;
    pub const XOR: u16 = 0xa0;

    pub const JA: u16 = 0x00;
    pub const JEQ: u16 = 0x10;
    pub const JGT: u16 = 0x20;
    pub const JGE: u16 = 0x30;
    pub const JSET: u16 = 0x40;

    pub const K: u16 = 0x00;
    pub const X: u16 = 0x08;
    /// `ret` returns the accumulator.
    pub const A: u16 = 0x10;

    pub const TAX: u16 = 0x07;
    pub const TXA: u16 = 0x87;
}

/// Words of scratch memory.
pub const MEMORY_WORDS: usize = 16;

/// Where Linux's extensions begin: an absolute load from here on is no load from the packet.
pub const SKF_AD_OFF: u32 = 0xffff_f000;
/// `SKF_AD_PKTTYPE`.
pub const AD_PACKET_TYPE: u32 = SKF_AD_OFF + 4;
/// `SKF_AD_IFINDEX`.
pub const AD_INTERFACE_INDEX: u32 = SKF_AD_OFF + 8;
/// `SKF_AD_VLAN_TAG`.
pub const AD_VLAN_TCI: u32 = SKF_AD_OFF + 44;
/// `SKF_AD_VLAN_TAG_PRESENT`.
pub const AD_VLAN_PRESENT: u32 = SKF_AD_OFF + 48;
