//! Listings as tcpdump prints them with `-d`, `-dd` and `-ddd`, and the way back.

use std::fmt::Write;

use super::insn::code::*;
use super::insn::{
    AD_INTERFACE_INDEX, AD_PACKET_TYPE, AD_VLAN_PRESENT, AD_VLAN_TCI, Insn, SKF_AD_OFF,
};

/// How a listing looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// `-d`: assembler.
    Assembler,
    /// `-dd`: a C fragment.
    C,
    /// `-ddd`: decimal numbers, the count first.
    Decimal,
}

/// The text of a program, one line an instruction.
pub fn disassemble(program: &[Insn], listing: Listing) -> String {
    let mut out = String::new();
    if listing == Listing::Decimal {
        let _ = writeln!(out, "{}", program.len());
    }
    for (at, insn) in program.iter().enumerate() {
        let Insn { code, jt, jf, k } = *insn;
        let _ = match listing {
            Listing::Assembler => writeln!(out, "{}", line(at, *insn)),
            Listing::C => writeln!(out, "{{ {code:#x}, {jt}, {jf}, {k:#010x} }},"),
            Listing::Decimal => writeln!(out, "{code} {jt} {jf} {k}"),
        };
    }
    out
}

const EXTENSIONS: [(u32, &str); 4] = [
    (AD_PACKET_TYPE, "type"),
    (AD_INTERFACE_INDEX, "ifidx"),
    (AD_VLAN_TCI, "vlan_tci"),
    (AD_VLAN_PRESENT, "vlanp"),
];

const ALU_NAMES: [(u16, &str); 10] = [
    (ADD, "add"),
    (SUB, "sub"),
    (MUL, "mul"),
    (DIV, "div"),
    (OR, "or"),
    (AND, "and"),
    (LSH, "lsh"),
    (RSH, "rsh"),
    (MOD, "mod"),
    (XOR, "xor"),
];

const JUMP_NAMES: [(u16, &str); 4] = [(JEQ, "jeq"), (JGT, "jgt"), (JGE, "jge"), (JSET, "jset")];

const SIZE_NAMES: [(u16, &str); 3] = [(W, "ld"), (H, "ldh"), (B, "ldb")];

fn named(table: &[(u16, &'static str)], code: u16) -> Option<&'static str> {
    table.iter().find(|(known, _)| *known == code).map(|(_, name)| *name)
}

fn line(at: usize, insn: Insn) -> String {
    let (name, operand) = words(at, insn);
    if insn.code & 7 == JMP && insn.code & 0xf0 != JA {
        let (jt, jf) = (at + 1 + usize::from(insn.jt), at + 1 + usize::from(insn.jf));
        return format!("({at:03}) {name:<8} {operand:<16} jt {jt}\tjf {jf}");
    }
    format!("({at:03}) {name:<8} {operand}")
}

fn words(at: usize, insn: Insn) -> (&'static str, String) {
    let Insn { code, k, .. } = insn;
    let unknown = ("unimp", format!("{code:#x}"));
    match code & 7 {
        LD | LDX => load(code, k).unwrap_or(unknown),
        ST => ("st", format!("M[{k}]")),
        STX => ("stx", format!("M[{k}]")),
        ALU if code & 0xf0 == NEG => ("neg", String::new()),
        ALU => match named(&ALU_NAMES, code & 0xf0) {
            None => unknown,
            Some(name) if code & X != 0 => (name, "x".into()),
            Some(name @ ("and" | "or" | "xor")) => (name, format!("#{k:#x}")),
            Some(name) => (name, format!("#{k}")),
        },
        JMP if code & 0xf0 == JA => ("ja", (at + 1).wrapping_add(k as usize).to_string()),
        JMP => match named(&JUMP_NAMES, code & 0xf0) {
            None => unknown,
            Some(name) if code & X != 0 => (name, "x".into()),
            Some(name) => (name, format!("#{k:#x}")),
        },
        RET if code & 0x18 == A => ("ret", String::new()),
        RET => ("ret", format!("#{k}")),
        _ if code == TAX => ("tax", String::new()),
        _ if code == TXA => ("txa", String::new()),
        _ => unknown,
    }
}

fn load(code: u16, k: u32) -> Option<(&'static str, String)> {
    let extended = code & 7 == LDX;
    let name = if extended { "ldx" } else { named(&SIZE_NAMES, code & 0x18)? };
    Some(match code & 0xe0 {
        IMM => (name, format!("#{k:#x}")),
        MEM => (name, format!("M[{k}]")),
        LEN => (name, "#pktlen".into()),
        MSH => ("ldxb", format!("4*([{k}]&0xf)")),
        ABS if k >= SKF_AD_OFF => {
            let field = EXTENSIONS.iter().find(|(offset, _)| *offset == k);
            (name, field.map_or(format!("[{}]", k as i32), |(_, name)| format!("[{name}]")))
        }
        ABS => (name, format!("[{k}]")),
        IND => (name, format!("[x + {k}]")),
        _ => return None,
    })
}

/// A listing in any of the three forms as a program; the error names the line.
pub fn parse(text: &str) -> Result<Vec<Insn>, String> {
    let lines: Vec<&str> =
        text.lines().map(|line| line.split(';').next().unwrap_or("").trim()).collect();
    let lines: Vec<&str> = lines.into_iter().filter(|line| !line.is_empty()).collect();
    let decimal = lines.first().is_some_and(|first| first.parse::<usize>().is_ok());
    let body = if decimal { &lines[1..] } else { &lines[..] };
    body.iter()
        .enumerate()
        .map(|(at, line)| {
            let insn = if decimal {
                numbers(line)
            } else if line.starts_with('{') {
                numbers(&line.replace(['{', '}', ','], " "))
            } else {
                assembler(at, line)
            };
            insn.ok_or_else(|| format!("line {}: '{line}' is no instruction", at + 1))
        })
        .collect()
}

fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

fn numbers(line: &str) -> Option<Insn> {
    let mut numbers = line.split_whitespace().map(number);
    Some(Insn {
        code: numbers.next()??.try_into().ok()?,
        jt: numbers.next()??.try_into().ok()?,
        jf: numbers.next()??.try_into().ok()?,
        k: numbers.next()??,
    })
}

fn assembler(at: usize, line: &str) -> Option<Insn> {
    let rest = line.strip_prefix('(')?.split_once(')')?.1.trim();
    let (head, targets) = match rest.split_once(" jt ") {
        Some((head, targets)) => (head.trim(), Some(targets)),
        None => (rest, None),
    };
    let (name, operand) = head.split_once(char::is_whitespace).unwrap_or((head, ""));
    let mut insn = operation(at, name, operand.trim())?;
    if let Some(targets) = targets {
        let (yes, no) = targets.split_once("jf")?;
        let skip = |target: &str| {
            u8::try_from(target.trim().parse::<usize>().ok()?.checked_sub(at + 1)?).ok()
        };
        (insn.jt, insn.jf) = (skip(yes)?, skip(no)?);
    }
    Some(insn)
}

fn operation(at: usize, name: &str, operand: &str) -> Option<Insn> {
    let constant = || number(operand.strip_prefix('#')?);
    let memory = || number(operand.strip_prefix("M[")?.strip_suffix(']')?);
    let find = |table: &[(u16, &str)]| {
        table.iter().find(|(_, known)| *known == name).map(|(code, _)| *code)
    };
    if let Some(op) = find(&ALU_NAMES) {
        return Some(source(ALU | op, operand, constant()));
    }
    if let Some(op) = find(&JUMP_NAMES) {
        return Some(source(JMP | op, operand, constant()));
    }
    Some(match name {
        "st" => Insn::new(ST, memory()?),
        "stx" => Insn::new(STX, memory()?),
        "neg" => Insn::new(ALU | NEG, 0),
        "tax" => Insn::new(TAX, 0),
        "txa" => Insn::new(TXA, 0),
        "ret" if operand.is_empty() => Insn::new(RET | A, 0),
        "ret" => Insn::new(RET | K, constant()?),
        "ja" => {
            // Backward jumps wrap around, as the machine adds them.
            let target = operand.parse::<u32>().ok()?;
            Insn::new(JMP | JA, target.wrapping_sub(at as u32 + 1))
        }
        "ldxb" => {
            let offset = operand.strip_prefix("4*([")?.strip_suffix("]&0xf)")?;
            Insn::new(LDX | B | MSH, number(offset)?)
        }
        "ldx" => loaded(LDX, operand, constant(), memory())?,
        _ => loaded(LD | find(&SIZE_NAMES)?, operand, constant(), memory())?,
    })
}

fn source(code: u16, operand: &str, constant: Option<u32>) -> Insn {
    if operand == "x" {
        return Insn::new(code | X, 0);
    }
    Insn::new(code | K, constant.unwrap_or(0))
}

fn loaded(class: u16, operand: &str, constant: Option<u32>, memory: Option<u32>) -> Option<Insn> {
    if operand == "#pktlen" {
        return Some(Insn::new(class | LEN, 0));
    }
    if let Some(k) = constant {
        return Some(Insn::new(class | IMM, k));
    }
    if let Some(k) = memory {
        return Some(Insn::new(class | MEM, k));
    }
    let inside = operand.strip_prefix('[')?.strip_suffix(']')?;
    if let Some(offset) = inside.strip_prefix("x + ") {
        return Some(Insn::new(class | IND, number(offset)?));
    }
    if let Some((offset, _)) = EXTENSIONS.iter().find(|(_, name)| *name == inside) {
        return Some(Insn::new(class | ABS, *offset));
    }
    let offset = number(inside).or_else(|| Some(inside.parse::<i32>().ok()? as u32))?;
    Some(Insn::new(class | ABS, offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
(000) ldh      [12]
(001) jeq      #0x800           jt 2\tjf 6
(002) ldxb     4*([14]&0xf)
(003) ldh      [x + 14]
(004) jset     #0x1fff          jt 6\tjf 5
(005) ret      #262144
(006) ret      #0
";

    #[test]
    fn the_three_forms_round_trip() {
        let program = parse(TEXT).unwrap();
        assert_eq!(disassemble(&program, Listing::Assembler), TEXT);
        for form in [Listing::C, Listing::Decimal] {
            assert_eq!(parse(&disassemble(&program, form)).unwrap(), program);
        }
        let c = disassemble(&program, Listing::C);
        assert_eq!(c.lines().next(), Some("{ 0x28, 0, 0, 0x0000000c },"));
        assert_eq!(disassemble(&program, Listing::Decimal).lines().nth(1), Some("40 0 0 12"));
    }

    #[test]
    fn nonsense_names_its_line() {
        assert!(parse("(000) ldh [12]\n(001) foo").unwrap_err().starts_with("line 2"));
    }
}
