//! The disassembler: one line an instruction, in the notation of LLVM and the kernel's verifier.
//!
//! ```text
//!    0: r6 = r1
//!    1: w2 = *(u32 *)(r6 + 0)
//!    2: if w2 != 0x5000 goto 5
//! ```
//!
//! `r` names 64 bits of a register, `w` the lower 32. Jumps name the instruction they go to, by the
//! number at the start of its line. What is not an instruction that the assembler knows is shown
//! as its bytes, never refused.

use crate::isa::*;
use std::fmt;

/// The text of `code`, one line an instruction (a wide instruction takes two numbers).
pub fn listing(code: &[Instruction]) -> Listing<'_> {
    Listing { code }
}

/// See [`listing`].
#[derive(Clone, Copy, Debug)]
pub struct Listing<'a> {
    code: &'a [Instruction],
}

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut at = 0;
        while let Some(insn) = self.code.get(at) {
            write!(f, "{at:4}: ")?;
            let wide = insn.opcode == CLASS_LD | Size::U64 as u8;
            match self.code.get(at + 1) {
                Some(second) if wide => load_wide(f, insn, second)?,
                _ => one(f, at, insn)?,
            }
            writeln!(f)?;
            at += 1 + usize::from(wide);
        }
        Ok(())
    }
}

fn one(f: &mut fmt::Formatter<'_>, at: usize, insn: &Instruction) -> fmt::Result {
    let text = match insn.opcode & 0x07 {
        CLASS_ALU => arithmetic(insn, 'w'),
        CLASS_ALU64 => arithmetic(insn, 'r'),
        CLASS_JMP => jump(at, insn, 'r'),
        CLASS_JMP32 => jump(at, insn, 'w'),
        CLASS_LDX | CLASS_ST | CLASS_STX => memory(insn),
        _ => None,
    };
    match text {
        Some(text) => f.write_str(&text),
        None => write!(
            f,
            "({:#04x}) registers {:#04x} offset {} immediate {:#x}",
            insn.opcode, insn.registers, insn.offset, insn.immediate
        ),
    }
}

fn load_wide(f: &mut fmt::Formatter<'_>, first: &Instruction, second: &Instruction) -> fmt::Result {
    let dst = first.registers & 0x0f;
    if first.registers >> 4 == PSEUDO_MAP_FD {
        return write!(f, "r{dst} = map[fd {}]", first.immediate);
    }
    if first.registers >> 4 == PSEUDO_MAP_VALUE {
        return write!(f, "r{dst} = map[fd {}][0] + {}", first.immediate, second.immediate);
    }
    let value = u64::from(second.immediate as u32) << 32 | u64::from(first.immediate as u32);
    write!(f, "r{dst} = {value:#x} ll")
}

/// `w` or `r` is the letter of both registers.
fn arithmetic(insn: &Instruction, letter: char) -> Option<String> {
    let dst = insn.registers & 0x0f;
    let code = insn.opcode & 0xf0;
    if code == BYTE_SWAP {
        let order = if insn.opcode & SOURCE_REG != 0 { "be" } else { "le" };
        let known = letter == 'w' && matches!(insn.immediate, 16 | 32 | 64);
        return known.then(|| format!("r{dst} = {order}{} r{dst}", insn.immediate));
    }
    let operator = match code {
        c if c == Alu::Add as u8 => "+=",
        c if c == Alu::Sub as u8 => "-=",
        c if c == Alu::Mul as u8 => "*=",
        c if c == Alu::Div as u8 => "/=",
        c if c == Alu::Or as u8 => "|=",
        c if c == Alu::And as u8 => "&=",
        c if c == Alu::Lsh as u8 => "<<=",
        c if c == Alu::Rsh as u8 => ">>=",
        c if c == Alu::Mod as u8 => "%=",
        c if c == Alu::Xor as u8 => "^=",
        c if c == Alu::Mov as u8 => "=",
        c if c == Alu::Arsh as u8 => "s>>=",
        _ => return None,
    };
    Some(format!("{letter}{dst} {operator} {}", operand(insn, letter)))
}

/// The second operand. Small constants are decimal, others hexadecimal.
fn operand(insn: &Instruction, letter: char) -> String {
    if insn.opcode & SOURCE_REG != 0 {
        return format!("{letter}{}", insn.registers >> 4);
    }
    match insn.immediate {
        small @ -255..=255 => small.to_string(),
        large => format!("{large:#x}"),
    }
}

fn jump(at: usize, insn: &Instruction, letter: char) -> Option<String> {
    let to = at as i64 + 1 + insn.distance();
    let code = insn.opcode & 0xf0;
    match (insn.opcode, letter) {
        (_, 'r') if insn.opcode == CLASS_JMP | JUMP_ALWAYS => return Some(format!("goto {to}")),
        (_, 'w') if insn.opcode == CLASS_JMP32 | JUMP_ALWAYS => return Some(format!("gotol {to}")),
        (_, 'r') if insn.opcode == CLASS_JMP | EXIT => return Some("exit".into()),
        (_, 'r') if insn.opcode == CLASS_JMP | CALL => {
            let name = Helper::name(insn.immediate).map(|name| format!("call {name}"));
            return Some(name.unwrap_or_else(|| format!("call {}", insn.immediate)));
        }
        _ => {}
    }
    let operator = match code {
        c if c == Cond::Eq as u8 => "==",
        c if c == Cond::Gt as u8 => ">",
        c if c == Cond::Ge as u8 => ">=",
        c if c == Cond::Set as u8 => "&",
        c if c == Cond::Ne as u8 => "!=",
        c if c == Cond::SGt as u8 => "s>",
        c if c == Cond::SGe as u8 => "s>=",
        c if c == Cond::Lt as u8 => "<",
        c if c == Cond::Le as u8 => "<=",
        c if c == Cond::SLt as u8 => "s<",
        c if c == Cond::SLe as u8 => "s<=",
        _ => return None,
    };
    let dst = insn.registers & 0x0f;
    Some(format!("if {letter}{dst} {operator} {} goto {to}", operand(insn, letter)))
}

fn memory(insn: &Instruction) -> Option<String> {
    let (dst, src) = (insn.registers & 0x0f, insn.registers >> 4);
    let width = match insn.opcode & 0x18 {
        s if s == Size::U8 as u8 => "u8",
        s if s == Size::U16 as u8 => "u16",
        s if s == Size::U32 as u8 => "u32",
        _ => "u64",
    };
    let place = |base: u8| {
        let sign = if insn.offset < 0 { '-' } else { '+' };
        format!("*({width} *)(r{base} {sign} {})", insn.offset.unsigned_abs())
    };
    match (insn.opcode & 0x07, insn.opcode & 0xe0) {
        (CLASS_LDX, MODE_MEM) => Some(format!("r{dst} = {}", place(src))),
        (CLASS_STX, MODE_MEM) => Some(format!("{} = r{src}", place(dst))),
        (CLASS_ST, MODE_MEM) => Some(format!("{} = {}", place(dst), insn.immediate)),
        (CLASS_STX, MODE_ATOMIC) if insn.immediate == Alu::Add as i32 => {
            Some(format!("lock {} += r{src}", place(dst)))
        }
        (CLASS_STX, MODE_ATOMIC) if insn.immediate == Alu::Add as i32 | FETCH => {
            Some(format!("r{src} = fetch_add({}, r{src})", place(dst)))
        }
        (CLASS_STX, MODE_ATOMIC) if insn.immediate == EXCHANGE => {
            Some(format!("r{src} = xchg({}, r{src})", place(dst)))
        }
        (CLASS_STX, MODE_ATOMIC) if insn.immediate == COMPARE_EXCHANGE => {
            Some(format!("r0 = cmpxchg({}, r0, r{src})", place(dst)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Assembler, Reg::*};

    #[test]
    fn every_kind_of_instruction_has_its_text() {
        let mut asm = Assembler::new();
        let (top, out) = (asm.label(), asm.label());
        asm.mov(R6, R1);
        asm.bind(top);
        asm.load(Size::U32, R2, R6, xdp_md::DATA);
        asm.alu32(Alu::And, R2, 0x1fff);
        asm.alu(Alu::Add, R2, -4);
        asm.to_be(R2, 16);
        asm.jump_if(Cond::Gt, R2, R6, out);
        asm.jump_if32(Cond::Set, R2, 2, top);
        asm.load_map_fd(R1, 7);
        asm.load_map_value(R3, 7, 16);
        asm.store(Size::U32, R10, -4, 0);
        asm.store(Size::U8, R10, -8, R2);
        asm.atomic_add(R0, 8, R1);
        asm.atomic_fetch_add(R0, 8, R1);
        asm.atomic_exchange(R0, 8, R1);
        asm.atomic_compare_exchange(R2, -8, R1);
        asm.call(Helper::RedirectMap);
        asm.call(Helper::RingbufReserve);
        asm.jump(top);
        asm.bind(out);
        asm.exit();
        let code = asm.finish().unwrap();
        let expected = "   0: r6 = r1
   1: r2 = *(u32 *)(r6 + 0)
   2: w2 &= 0x1fff
   3: r2 += -4
   4: r2 = be16 r2
   5: if r2 > r6 goto 20
   6: if w2 & 2 goto 1
   7: r1 = map[fd 7]
   9: r3 = map[fd 7][0] + 16
  11: *(u32 *)(r10 - 4) = 0
  12: *(u8 *)(r10 - 8) = r2
  13: lock *(u64 *)(r0 + 8) += r1
  14: r1 = fetch_add(*(u64 *)(r0 + 8), r1)
  15: r1 = xchg(*(u64 *)(r0 + 8), r1)
  16: r0 = cmpxchg(*(u64 *)(r2 - 8), r0, r1)
  17: call bpf_redirect_map
  18: call bpf_ringbuf_reserve
  19: goto 1
  20: exit
";
        assert_eq!(listing(&code).to_string(), expected);
    }

    #[test]
    fn long_jumps_name_where_they_go() {
        let insn = Instruction { opcode: 0x06, registers: 0, offset: 0, immediate: -70_000 };
        assert_eq!(listing(&[insn]).to_string(), "   0: gotol -69999\n");
    }

    /// Any eight bytes have a line, also half of a wide instruction at the end.
    #[test]
    fn what_is_unknown_is_shown_as_it_is() {
        let insn = Instruction { opcode: 0x18, registers: 1, offset: -2, immediate: 300 };
        let text = listing(&[insn]).to_string();
        assert_eq!(text, "   0: (0x18) registers 0x01 offset -2 immediate 0x12c\n");
        for opcode in 0..=u8::MAX {
            let insn = Instruction { opcode, registers: 0xff, offset: i16::MIN, immediate: -1 };
            assert!(listing(&[insn, insn]).to_string().ends_with('\n'));
        }
    }
}
