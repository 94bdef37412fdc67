//! The machine: two registers and 16 words, all of 32 bits (McCanne and Jacobson, 1993).
//!
//! A load outside the captured bytes, a division by zero, and running off the end reject.

use super::insn::code::*;
use super::insn::{
    AD_INTERFACE_INDEX, AD_PACKET_TYPE, AD_VLAN_PRESENT, AD_VLAN_TCI, Insn, MEMORY_WORDS,
    SKF_AD_OFF,
};
use crate::interp::Packet;
use crate::ir::{Compare, Meta, Op, Size};

/// Backward jumps could run for ever: after so many steps the packet is rejected.
pub const STEPS_MAX: u32 = 65_536;

/// What `program` returns for `packet`.
pub fn run(program: &[Insn], packet: &Packet<'_>) -> u32 {
    machine(program, packet).unwrap_or(0)
}

fn machine(program: &[Insn], packet: &Packet<'_>) -> Option<u32> {
    let (mut a, mut x) = (0u32, 0u32);
    let mut memory = [0u32; MEMORY_WORDS];
    let mut at = 0u32;
    for _ in 0..STEPS_MAX {
        let insn = program.get(at as usize)?;
        let k = insn.k;
        at += 1;
        match insn.code & 7 {
            LD => a = load(insn, x, &memory, packet)?,
            LDX if insn.code & 0xe0 == MSH => {
                x = (packet.load(0, k, Size::Byte)? & 0x0f) << 2;
            }
            LDX => x = load(insn, x, &memory, packet)?,
            ST => *memory.get_mut(k as usize)? = a,
            STX => *memory.get_mut(k as usize)? = x,
            ALU if insn.code & 0xf0 == NEG => a = a.wrapping_neg(),
            ALU => a = alu(insn.code)?.apply(a, if insn.code & X != 0 { x } else { k })?,
            JMP if insn.code & 0xf0 == JA => at = at.wrapping_add(k),
            JMP => {
                let right = if insn.code & X != 0 { x } else { k };
                let taken = comparison(insn.code)?.apply(a, right);
                at += u32::from(if taken { insn.jt } else { insn.jf });
            }
            RET => return Some(if insn.code & 0x18 == A { a } else { k }),
            _ if insn.code == TAX => x = a,
            _ if insn.code == TXA => a = x,
            _ => return None,
        }
    }
    None
}

fn load(insn: &Insn, x: u32, memory: &[u32], packet: &Packet<'_>) -> Option<u32> {
    let size = match insn.code & 0x18 {
        W => Size::Word,
        H => Size::Half,
        _ => Size::Byte,
    };
    match insn.code & 0xe0 {
        IMM => Some(insn.k),
        MEM => memory.get(insn.k as usize).copied(),
        LEN => Some(packet.wire_len),
        ABS if insn.k >= SKF_AD_OFF => packet.meta(extension(insn.k)?),
        ABS => packet.load(0, insn.k, size),
        IND => packet.load(x, insn.k, size),
        _ => None,
    }
}

fn extension(offset: u32) -> Option<Meta> {
    match offset {
        AD_PACKET_TYPE => Some(Meta::PacketType),
        AD_INTERFACE_INDEX => Some(Meta::InterfaceIndex),
        AD_VLAN_TCI => Some(Meta::VlanTci),
        AD_VLAN_PRESENT => Some(Meta::VlanPresent),
        _ => None,
    }
}

fn alu(code: u16) -> Option<Op> {
    Some(match code & 0xf0 {
        ADD => Op::Add,
        SUB => Op::Sub,
        MUL => Op::Mul,
        DIV => Op::Div,
        MOD => Op::Mod,
        OR => Op::Or,
        AND => Op::And,
        XOR => Op::Xor,
        LSH => Op::Shl,
        RSH => Op::Shr,
        _ => return None,
    })
}

fn comparison(code: u16) -> Option<Compare> {
    Some(match code & 0xf0 {
        JEQ => Compare::Equal,
        JGT => Compare::Greater,
        JGE => Compare::GreaterEqual,
        JSET => Compare::AnyBit,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::listing::parse;
    use super::*;

    fn verdict(text: &str, bytes: &[u8]) -> u32 {
        run(&parse(text).unwrap(), &Packet::whole(bytes))
    }

    #[test]
    fn loads_stop_at_the_captured_bytes() {
        let text = "(000) ldh [1]\n(001) jeq #0x203 jt 2 jf 3\n(002) ret #7\n(003) ret #9";
        assert_eq!(verdict(text, &[1, 2, 3]), 7);
        assert_eq!(verdict(text, &[1, 2]), 0);
        assert_eq!(verdict(text, &[1, 2, 4]), 9);
        assert_eq!(verdict("(000) ldx #0xffffffff\n(001) ldb [x + 1]\n(002) ret #1", &[1]), 0);
    }

    #[test]
    fn arithmetic_is_exact() {
        let by_x = |op: &str, a: u32, x: u32| {
            let text = format!("(000) ldx #{x}\n(001) ld #{a}\n(002) {op} x\n(003) ret");
            verdict(&text, &[])
        };
        assert_eq!(by_x("lsh", 1, 32), 0);
        assert_eq!(by_x("rsh", 1, 33), 0);
        assert_eq!(by_x("div", 1, 0), 0);
        assert_eq!(by_x("sub", 1, 2), u32::MAX);
        assert_eq!(by_x("mod", 7, 4), 3);
    }

    #[test]
    fn endless_loops_end() {
        assert_eq!(verdict("(000) ja 0", &[]), 0);
    }
}
