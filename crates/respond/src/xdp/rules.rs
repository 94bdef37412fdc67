//! The programs of rules as instructions.

use super::classes::Classes;
use super::code::{Code, Slot};
use super::frame::TICK_AT;
use super::layout::{feed, instrument, rule};
use super::plan::{KernelRule, Plan};
use crate::level1::Word;
use crate::order::Side;
use crate::rule::{Arith, Load, Operand, Place, Program, REJECT, Relation, SideOf, Step};
use tickwire_ebpf::{Alu, Cond, Label, Reg, Reg::*, Size};

/// What a price is while nobody has said it.
const ABSENT: i64 = i64::MIN;

/// Asks the rules of the instrument's class, in the order of the configuration. The first that
/// fires goes to `fired`, with what it wants on the stack; when none does, to `silent`.
pub(super) fn ask(code: &mut Code<'_>, plan: &Plan, classes: &Classes, to: [Label; 2]) {
    let [fired, silent] = to;
    let leaves: Vec<Label> = classes.programs.iter().map(|_| code.asm.label()).collect();
    code.get(R1, Slot::Class);
    branch(code, 0, &[&[silent], leaves.as_slice()].concat());
    let has_feeds = plan.feeds().len() > 1;
    for (leaf, programs) in leaves.iter().zip(&classes.programs) {
        code.asm.bind(*leaf);
        let mut goes_on = true;
        for &place in programs {
            let no = code.asm.label();
            let program = &plan.programs()[place];
            let flow = Flow::of(&program.program);
            if has_feeds {
                code.word(R1, R8, feed::PLACE);
                code.asm.jump_if(Cond::Ne, R1, program.feed as i32, no);
            }
            emit(code, program, &flow, place, no);
            code.asm.jump(fired);
            code.asm.bind(no);
            goes_on = has_feeds || flow.rejects;
            if !goes_on {
                // It always fires: those behind it are never asked.
                break;
            }
        }
        if goes_on {
            code.asm.jump(silent);
        }
    }
}

/// Goes to the leaf of the class in R1, of which the first has the number `from`. What is no class
/// is taken for the last.
fn branch(code: &mut Code<'_>, from: usize, leaves: &[Label]) {
    let [leaf] = leaves else {
        let (lower, upper) = leaves.split_at(leaves.len() / 2);
        let above = code.asm.label();
        code.asm.jump_if(Cond::Ge, R1, (from + lower.len()) as i32, above);
        branch(code, from, lower);
        code.asm.bind(above);
        return branch(code, from + lower.len(), upper);
    };
    code.asm.jump(*leaf);
}

/// Where a program can come. The verifier takes no code that nothing leads to, and a tick says what
/// its trade was, so that no step goes where the trade would not be known.
pub(super) struct Flow {
    steps: Vec<bool>,
    pub fires: bool,
    rejects: bool,
}

impl Flow {
    pub fn of(program: &Program) -> Flow {
        let mut steps = vec![false; program.steps.len() + 1];
        steps[0] = true;
        let mut rejects = matches!(program.side, SideOf::Message { .. });
        for (at, step) in program.steps.iter().enumerate() {
            if !steps[at] {
                continue;
            }
            steps[at + 1] = true;
            match step {
                Step::Arith { .. } => {}
                Step::Known { word, .. } if may_be_unknown(word).is_none() => {}
                Step::Compare { to, .. } | Step::Known { to, .. } => match *to {
                    REJECT => rejects = true,
                    to => steps[usize::from(to)] = true,
                },
            }
        }
        let fires = steps[program.steps.len()];
        Flow { steps, fires, rejects }
    }
}

/// Runs one program; to `no` when it does not fire.
fn emit(code: &mut Code<'_>, of: &KernelRule, flow: &Flow, place: usize, no: Label) {
    let Program { steps, side, quantity, price, .. } = &of.program;
    let labels: Vec<Label> = (0..=steps.len()).map(|_| code.asm.label()).collect();
    let target = |to: &Place| if *to == REJECT { no } else { labels[usize::from(*to)] };
    for (at, step) in steps.iter().enumerate().filter(|(at, _)| flow.steps[*at]) {
        code.asm.bind(labels[at]);
        match step {
            Step::Compare { left, relation, right, when, to } => {
                compare(code, (left, *relation, right), *when, target(to));
            }
            Step::Known { word, to } => unless_known(code, word, target(to)),
            Step::Arith { arith, left, right, into } => {
                arithmetic(code, *arith, left, right);
                code.asm.store(Size::U64, R10, Slot::register(*into), R1);
            }
        }
    }
    code.asm.bind(labels[steps.len()]);
    code.rules_word(R3, code.rules_layout.rule(place));
    wanted_side(code, side, no);
    for (operand, word, slot) in
        [(quantity, rule::QUANTITY, Slot::Quantity), (price, rule::PRICE, Slot::OrderPrice)]
    {
        // The word of what is computed is 0. With it added, the verifier does not know between
        // which bounds the number is, which are of this rule alone.
        code.word(R4, R3, word);
        match operand {
            Operand::Const(_) => code.asm.mov(R1, R4),
            other => {
                value(code, R1, other);
                code.asm.alu(Alu::Add, R1, R4);
            }
        }
        if matches!(slot, Slot::Quantity) {
            code.asm.alu32(Alu::Mov, R1, R1);
        }
        code.put(slot, R1);
    }
    for (word, slot) in [
        (rule::NUMBER, Slot::Rule),
        (rule::TARGET, Slot::Target),
        (rule::TARGET_NUMBER, Slot::TargetNumber),
        (rule::COOL_DOWN_NS, Slot::CoolDownNs),
        (rule::COOL_DOWNS_AT, Slot::CoolDown),
    ] {
        code.word(R1, R3, word);
        code.put(slot, R1);
    }
}

/// The side, with the words of the rule in R3.
fn wanted_side(code: &mut Code<'_>, side: &SideOf, no: Label) {
    match *side {
        SideOf::Const(_) => code.word(R1, R3, rule::SIDE),
        SideOf::Message { offset, buy, sell } => {
            let known = code.asm.label();
            code.asm.load(Size::U8, R2, R9, TICK_AT + offset as i16);
            code.asm.mov(R1, Side::Buy as i32);
            code.asm.jump_if(Cond::Eq, R2, i32::from(buy), known);
            code.asm.jump_if(Cond::Ne, R2, i32::from(sell), no);
            code.asm.mov(R1, Side::Sell as i32);
            code.asm.bind(known);
        }
    }
    code.put(Slot::Side, R1);
}

/// Jumps when the comparison comes out as `when`.
fn compare(
    code: &mut Code<'_>,
    (left, relation, right): (&Operand, Relation, &Operand),
    when: bool,
    to: Label,
) {
    let cond = match (relation, when) {
        (Relation::Equal, true) | (Relation::NotEqual, false) => Cond::Eq,
        (Relation::NotEqual, true) | (Relation::Equal, false) => Cond::Ne,
        (Relation::Less, true) | (Relation::GreaterOrEqual, false) => Cond::SLt,
        (Relation::LessOrEqual, true) | (Relation::Greater, false) => Cond::SLe,
        (Relation::Greater, true) | (Relation::LessOrEqual, false) => Cond::SGt,
        (Relation::GreaterOrEqual, true) | (Relation::Less, false) => Cond::SGe,
    };
    value(code, R1, left);
    match right {
        Operand::Const(number) if i32::try_from(*number).is_ok() => {
            code.asm.jump_if(cond, R1, *number as i32, to);
        }
        _ => {
            code.asm.mov(R0, R1);
            value(code, R1, right);
            code.asm.jump_if(cond, R0, R1, to);
        }
    }
}

/// Jumps when a word of the market is not known.
fn unless_known(code: &mut Code<'_>, word: &Operand, to: Label) {
    let Some(slot) = may_be_unknown(word) else { return };
    code.get(R1, slot);
    code.constant(R2, ABSENT);
    code.asm.jump_if(Cond::Eq, R1, R2, to);
}

/// Where a word of the market lies that may not be known. The tick is a trade: it says what the
/// last one is. The tick size is of the configuration.
fn may_be_unknown(word: &Operand) -> Option<Slot> {
    match word {
        Operand::Before(Word::Last) => Some(Slot::PriceBefore),
        Operand::Before(Word::LastSize) => Some(Slot::SizeBefore),
        _ => None,
    }
}

/// R1 is what the arithmetic gives. No program has a step that could overflow.
fn arithmetic(code: &mut Code<'_>, arith: Arith, left: &Operand, right: &Operand) {
    value(code, R1, left);
    code.asm.mov(R0, R1);
    value(code, R1, right);
    let (alu, keep) = match arith {
        Arith::Add => (Alu::Add, None),
        Arith::Multiply => (Alu::Mul, None),
        Arith::Subtract => (Alu::Sub, None),
        Arith::Min => (Alu::Mov, Some(Cond::SLe)),
        Arith::Max => (Alu::Mov, Some(Cond::SGe)),
    };
    match keep {
        None => {
            code.asm.alu(alu, R0, R1);
            code.asm.mov(R1, R0);
        }
        Some(cond) => {
            let done = code.asm.label();
            code.asm.jump_if(cond, R1, R0, done);
            code.asm.mov(R1, R0);
            code.asm.bind(done);
        }
    }
}

/// `reg = the operand`. Uses R2 and R5.
fn value(code: &mut Code<'_>, reg: Reg, operand: &Operand) {
    match operand {
        Operand::Const(number) => code.constant(reg, *number),
        Operand::Field(load) => field(code, reg, load),
        Operand::Fresh => code.get(reg, Slot::Fresh),
        Operand::Register(number) => {
            code.asm.load(Size::U64, reg, R10, Slot::register(*number));
        }
        Operand::Now(Word::Tick) | Operand::Before(Word::Tick) => {
            code.word(reg, R7, instrument::TICK);
        }
        Operand::Now(Word::Last) => code.get(reg, Slot::Price),
        Operand::Now(Word::LastSize) => code.get(reg, Slot::Size),
        Operand::Before(Word::Last) => known_or_zero(code, reg, Slot::PriceBefore),
        Operand::Before(Word::LastSize) => known_or_zero(code, reg, Slot::SizeBefore),
        // No rule that is planned for the kernel needs another.
        Operand::Now(_) | Operand::Before(_) => code.asm.mov(reg, 0),
    }
}

fn known_or_zero(code: &mut Code<'_>, reg: Reg, slot: Slot) {
    let known = code.asm.label();
    code.get(reg, slot);
    code.constant(R2, ABSENT);
    code.asm.jump_if(Cond::Ne, reg, R2, known);
    code.asm.mov(reg, 0);
    code.asm.bind(known);
}

/// A field of the tick, as [`Load`] says.
fn field(code: &mut Code<'_>, reg: Reg, load: &Load) {
    let at = TICK_AT + load.offset as i16;
    let bits = 8 * i32::from(load.len);
    let size = match load.len {
        1 => Some(Size::U8),
        2 => Some(Size::U16),
        4 => Some(Size::U32),
        8 => Some(Size::U64),
        _ => None,
    };
    match size {
        Some(size) => {
            code.asm.load(size, reg, R9, at);
            // Loaded as the machine has it.
            if load.len > 1 && load.little != cfg!(target_endian = "little") {
                code.asm.swap(reg, bits);
            }
        }
        None => bytes(code, reg, at, load),
    }
    if load.text {
        return;
    }
    let max = load.max;
    if load.signed {
        code.asm.alu(Alu::Lsh, reg, 64 - bits);
        code.asm.alu(Alu::Arsh, reg, 64 - bits);
        if bits == 64 || max < 1 << (bits - 1) {
            bound(code, reg, Cond::SLe, max);
            bound(code, reg, Cond::SGe, -max);
        }
    } else if bits == 64 || max < (1_i64 << bits) - 1 {
        bound(code, reg, Cond::Le, max);
    }
    if load.factor != 1 {
        code.constant(R5, load.factor.into());
        code.asm.alu(Alu::Mul, reg, R5);
    }
}

/// A number of three, five, six or seven bytes.
fn bytes(code: &mut Code<'_>, reg: Reg, at: i16, load: &Load) {
    code.asm.mov(reg, 0);
    for byte in 0..i16::from(load.len) {
        let from = if load.little { i16::from(load.len) - 1 - byte } else { byte };
        code.asm.alu(Alu::Lsh, reg, 8);
        code.asm.load(Size::U8, R5, R9, at + from);
        code.asm.alu(Alu::Or, reg, R5);
    }
}

/// `reg = limit`, unless `reg cond limit`.
fn bound(code: &mut Code<'_>, reg: Reg, cond: Cond, limit: i64) {
    let within = code.asm.label();
    code.constant(R5, limit);
    code.asm.jump_if(cond, reg, R5, within);
    code.asm.mov(reg, R5);
    code.asm.bind(within);
}
