//! A program as it runs: what can be told of its operands beforehand has been told.
//!
//! [`Program`] is what rules mean, and what is shown and turned into eBPF; this is the same for
//! this machine. A field is the eight bytes that end with it and two shifts, whatever its width,
//! and a field that is compared with a constant one step without a look at the relation.

use super::ast::{Arith, Relation};
use super::program::{Load, Operand, Place, Program, REGISTERS, REJECT, SideOf, Step};
use crate::level1::Word;
use crate::order::Side;
use crate::strategy::Tick;

/// The side, quantity and price of an order that a rule wants.
pub type Wanted = (Side, u32, i64);

/// A program, ready to run.
#[derive(Clone, Debug)]
pub struct Runner {
    ops: Box<[Op]>,
    side: SideOf,
    quantity: Value,
    price: Value,
}

#[derive(Clone, Copy, Debug)]
enum Op {
    /// Goes to `to` when the field is one of `low` to `high`, or when it is none of them.
    Within {
        field: Window,
        low: i64,
        high: i64,
        inside: bool,
        to: Place,
    },
    Compare {
        left: Value,
        relation: Relation,
        right: Value,
        when: bool,
        to: Place,
    },
    Known {
        word: Value,
        to: Place,
    },
    Arith {
        arith: Arith,
        left: Value,
        right: Value,
        into: u8,
    },
}

#[derive(Clone, Copy, Debug)]
enum Value {
    Const(i64),
    Field(Window),
    Now(Word),
    Before(Word),
    Fresh,
    Register(u8),
}

/// Eight bytes of a message with a field in them.
#[derive(Clone, Copy, Debug)]
struct Window {
    from: u16,
    little: bool,
    signed: bool,
    /// Bits to shift out on the left, and then on the right.
    left: u8,
    right: u8,
    factor: u32,
    max: u64,
}

impl Runner {
    /// Of a program.
    pub fn of(program: &Program) -> Self {
        Runner {
            ops: program.steps.iter().map(Op::of).collect(),
            side: program.side,
            quantity: Value::of(&program.quantity),
            price: Value::of(&program.price),
        }
    }

    /// Runs it for a message of its type that is as long as the type says.
    #[inline]
    pub fn run(&self, tick: &Tick<'_>) -> Option<Wanted> {
        let mut registers = [0; REGISTERS];
        let mut at = 0;
        while let Some(op) = self.ops.get(at) {
            at += 1;
            let (jumps, to) = match op {
                Op::Within { field, low, high, inside, to } => {
                    let value = field.value(tick.message);
                    ((*low <= value && value <= *high) == *inside, *to)
                }
                Op::Compare { left, relation, right, when, to } => {
                    let left = left.get(tick, &registers);
                    (relation.holds(left, right.get(tick, &registers)) == *when, *to)
                }
                Op::Known { word, to } => (!word.is_known(tick), *to),
                Op::Arith { arith, left, right, into } => {
                    let left = left.get(tick, &registers);
                    let number = arith.of(left, right.get(tick, &registers));
                    registers[usize::from(*into) % REGISTERS] = number;
                    continue;
                }
            };
            if jumps && to == REJECT {
                return None;
            }
            if jumps {
                at = usize::from(to);
            }
        }
        let side = self.side.of(tick.message)?;
        let quantity = self.quantity.get(tick, &registers) as u32;
        Some((side, quantity, self.price.get(tick, &registers)))
    }
}

impl Op {
    fn of(step: &Step) -> Self {
        match *step {
            Step::Compare {
                left: Operand::Field(load),
                relation,
                right: Operand::Const(number),
                when,
                to,
            } => {
                let (low, high, inside) = interval(relation, number);
                Op::Within { field: Window::of(&load), low, high, inside: inside == when, to }
            }
            Step::Compare { left, relation, right, when, to } => {
                let (left, right) = (Value::of(&left), Value::of(&right));
                Op::Compare { left, relation, right, when, to }
            }
            Step::Known { word, to } => Op::Known { word: Value::of(&word), to },
            Step::Arith { arith, left, right, into } => {
                Op::Arith { arith, left: Value::of(&left), right: Value::of(&right), into }
            }
        }
    }
}

/// The numbers that stand in a relation to `number`, from the lowest to the highest; or, when the
/// last says so, all others.
fn interval(relation: Relation, number: i64) -> (i64, i64, bool) {
    match relation {
        Relation::Equal => (number, number, true),
        Relation::NotEqual => (number, number, false),
        Relation::LessOrEqual => (i64::MIN, number, true),
        Relation::Greater => (i64::MIN, number, false),
        Relation::GreaterOrEqual => (number, i64::MAX, true),
        Relation::Less => (number, i64::MAX, false),
    }
}

impl Value {
    fn of(operand: &Operand) -> Self {
        match *operand {
            Operand::Const(number) => Value::Const(number),
            Operand::Field(load) => Value::Field(Window::of(&load)),
            Operand::Now(word) => Value::Now(word),
            Operand::Before(word) => Value::Before(word),
            Operand::Fresh => Value::Fresh,
            Operand::Register(at) => Value::Register(at),
        }
    }

    #[inline(always)]
    fn get(&self, tick: &Tick<'_>, registers: &[i64; REGISTERS]) -> i64 {
        match self {
            Value::Const(number) => *number,
            Value::Field(field) => field.value(tick.message),
            Value::Now(word) => tick.market.now(*word).unwrap_or(0),
            Value::Before(word) => tick.market.before(*word).unwrap_or(0),
            Value::Fresh => tick.fresh.into(),
            Value::Register(at) => registers[usize::from(*at) % REGISTERS],
        }
    }

    #[inline(always)]
    fn is_known(&self, tick: &Tick<'_>) -> bool {
        match self {
            Value::Now(word) => tick.market.now(*word).is_some(),
            Value::Before(word) => tick.market.before(*word).is_some(),
            _ => true,
        }
    }
}

impl Window {
    fn of(load: &Load) -> Self {
        let (offset, len) = (load.offset, u16::from(load.len));
        // The first fields of a message have less than eight bytes before their end.
        let from = (offset + len).saturating_sub(8);
        let (before, behind) = (8 * (offset - from), 8 * (from + 8 - offset - len));
        let (left, right) = match load.little {
            true => (behind, before + behind),
            false => (before, before + behind),
        };
        // Text is the bits as they are.
        let max = if load.text { u64::MAX } else { load.max as u64 };
        Window {
            from,
            little: load.little,
            signed: load.signed && !load.text,
            left: left as u8,
            right: right as u8,
            factor: load.factor,
            max,
        }
    }

    /// The number in a message that is long enough; 0 in one that is not.
    #[inline(always)]
    fn value(&self, message: &[u8]) -> i64 {
        let from = usize::from(self.from);
        let window = match message.get(from..from + 8) {
            Some(window) => *window.first_chunk().expect("eight bytes"),
            None => self.short(message),
        };
        let word = u64::from_le_bytes(window);
        let word = (if self.little { word } else { word.swap_bytes() }) << self.left;
        let number = if self.signed {
            let max = self.max as i64;
            (word as i64 >> self.right).clamp(-max, max)
        } else {
            (word >> self.right).min(self.max) as i64
        };
        number.wrapping_mul(self.factor.into())
    }

    /// Of a message that has no eight bytes.
    #[cold]
    fn short(&self, message: &[u8]) -> [u8; 8] {
        let mut window = [0; 8];
        if self.from == 0 {
            window[..message.len()].copy_from_slice(message);
        }
        window
    }
}

impl SideOf {
    #[inline(always)]
    fn of(&self, message: &[u8]) -> Option<Side> {
        match self {
            SideOf::Const(side) => Some(*side),
            SideOf::Message { offset, buy, sell } => match message.get(usize::from(*offset))? {
                byte if byte == buy => Some(Side::Buy),
                byte if byte == sell => Some(Side::Sell),
                _ => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Byte for byte.
    fn slow(load: &Load, message: &[u8]) -> i64 {
        let from = usize::from(load.offset);
        let Some(bytes) = message.get(from..from + usize::from(load.len)) else { return 0 };
        let mut bytes = bytes.to_vec();
        if load.little {
            bytes.reverse();
        }
        let negative = load.signed && !load.text && bytes[0] >= 0x80;
        let mut number = if negative { -1 } else { 0 };
        bytes.iter().for_each(|&byte| number = number << 8 | i128::from(byte));
        if load.text {
            return number as i64;
        }
        number.clamp(-i128::from(load.max), load.max.into()) as i64 * i64::from(load.factor)
    }

    #[test]
    fn fields_of_any_width_and_place() {
        let bytes: Vec<u8> = (0..20_u8).map(|at| at.wrapping_mul(0x9d) ^ 0xa5).collect();
        for (end, offset) in (0..=bytes.len()).flat_map(|end| (0..end).map(move |at| (end, at))) {
            for (len, flags) in (1..=8).flat_map(|len| (0..8).map(move |flags| (len, flags))) {
                let (little, signed, text) = (flags & 1 > 0, flags & 2 > 0, flags & 4 > 0);
                let (factor, max) = if text { (1, 1 << 60) } else { (100, (1 << 60) / 100) };
                let (offset, end) = (offset as u16, end.max(offset + usize::from(len)));
                let load = Load { offset, len, little, signed, text, factor, max };
                let Some(message) = bytes.get(..end) else { continue };
                let value = Window::of(&load).value(message);
                assert_eq!(value, slow(&load, message), "{load:?} {message:?}");
            }
        }
        let last = Load { offset: 12, len: 8, ..LOAD };
        assert_eq!((Window::of(&last).value(&bytes[..19]), Window::of(&last).value(&[])), (0, 0));
    }

    const LOAD: Load =
        Load { offset: 0, len: 8, little: true, signed: true, text: false, factor: 1, max: 9 };

    #[test]
    fn an_interval_is_its_relation() {
        use Relation::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        let numbers = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX];
        for relation in [Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual] {
            for (left, right) in numbers.iter().flat_map(|l| numbers.map(|right| (*l, right))) {
                let (low, high, inside) = interval(relation, right);
                let holds = (low <= left && left <= high) == inside;
                assert_eq!(holds, relation.holds(left, right), "{left} {relation:?} {right}");
            }
        }
    }
}
