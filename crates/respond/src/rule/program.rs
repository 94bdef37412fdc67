//! What a rule compiles to for one type of message, and how that runs.
//!
//! Flat: steps that compare and jump forward, over operands that are constants, fields at fixed
//! offsets, words of the market or registers. Nothing can overflow: intervals were looked at when
//! it was compiled. No heap, no loop, no call, so that it can become eBPF.

use super::ast::{Arith, Relation};
use crate::level1::Word;
use crate::order::Side;
use crate::strategy::Tick;

/// Registers that a program may use.
pub const REGISTERS: usize = 16;

/// A field of the message as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// In bytes, from the start of the message. The message is at least as long as its type says.
    pub offset: u16,
    /// In bytes: 1 to 8.
    pub len: u8,
    /// The least significant byte comes first.
    pub little: bool,
    /// Whether it may be negative.
    pub signed: bool,
    /// Whether it is text: bytes that only compare as equal or not, the first as the highest.
    pub text: bool,
    /// What it is multiplied with to have the decimals of the [`Scale`](crate::Scale).
    pub factor: u32,
    /// No number on the wire is taken for more, or for less than its negative: what is multiplied
    /// stays within [`NUMBER_MAX`](crate::NUMBER_MAX).
    pub max: i64,
}

/// Where a number comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// From the rule.
    Const(i64),
    /// From the message.
    Field(Load),
    /// From the market, with the message applied; it is known.
    Now(Word),
    /// From the market, before the message; it is known.
    Before(Word),
    /// 1 when nothing of the feed is missing, else 0.
    Fresh,
    /// From an earlier step.
    Register(u8),
}

/// Where to go on.
pub type Place = u16;

/// To this place a rule goes that does not fire.
pub const REJECT: Place = Place::MAX;

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Goes to `to` when the comparison comes out as `when`, else to the next step.
    Compare {
        /// What is compared.
        left: Operand,
        /// How.
        relation: Relation,
        /// With what.
        right: Operand,
        /// Which outcome jumps.
        when: bool,
        /// Where to: forward.
        to: Place,
    },
    /// Goes to `to` when the operand, a word of the market, is not known.
    Known {
        /// The word.
        word: Operand,
        /// Where to: forward.
        to: Place,
    },
    /// Computes a register.
    Arith {
        /// What.
        arith: Arith,
        /// From this.
        left: Operand,
        /// And this.
        right: Operand,
        /// The register.
        into: u8,
    },
}

/// The side of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SideOf {
    /// Always the same.
    Const(Side),
    /// From a byte of the message; when it is neither, the rule does not fire.
    Message {
        /// Where the byte is.
        offset: u16,
        /// The byte that buys.
        buy: u8,
        /// The byte that sells.
        sell: u8,
    },
}

/// A rule, for one type of message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The type, by its letter or length.
    pub key: u8,
    /// Run from the first on; behind the last, the rule fires.
    pub steps: Vec<Step>,
    /// The order's.
    pub side: SideOf,
    /// The order's: fits into `u32`.
    pub quantity: Operand,
    /// The order's.
    pub price: Operand,
}

/// The side, quantity and price of an order that a rule wants.
pub type Wanted = (Side, u32, i64);

impl Operand {
    #[inline(always)]
    fn value(&self, tick: &Tick<'_>, registers: &[i64; REGISTERS]) -> i64 {
        match self {
            Operand::Const(number) => *number,
            Operand::Field(load) => load.value(tick.message),
            Operand::Now(word) => tick.market.now(*word).unwrap_or(0),
            Operand::Before(word) => tick.market.before(*word).unwrap_or(0),
            Operand::Fresh => tick.fresh.into(),
            Operand::Register(at) => registers[usize::from(*at) % REGISTERS],
        }
    }

    #[inline(always)]
    fn is_known(&self, tick: &Tick<'_>) -> bool {
        match self {
            Operand::Now(word) => tick.market.now(*word).is_some(),
            Operand::Before(word) => tick.market.before(*word).is_some(),
            _ => true,
        }
    }
}

impl Load {
    /// The number in a message that is long enough; 0 in one that is not.
    #[inline(always)]
    fn value(&self, message: &[u8]) -> i64 {
        let Some(raw) = self.raw(message) else { return 0 };
        if self.text {
            return raw as i64;
        }
        let (factor, max) = (i64::from(self.factor), self.max);
        let number = match self.signed {
            true => {
                let unused = 64 - 8 * u32::from(self.len);
                ((raw << unused) as i64 >> unused).clamp(-max, max)
            }
            false => raw.min(max as u64) as i64,
        };
        number * factor
    }

    /// Its bytes as a number: of whatever width, out of the eight bytes that have them in the
    /// message, so that nothing depends on the width but two shifts.
    #[inline(always)]
    fn raw(&self, message: &[u8]) -> Option<u64> {
        let (offset, len) = (usize::from(self.offset), usize::from(self.len));
        if offset + len > message.len() {
            return None;
        }
        let Some(last) = message.len().checked_sub(8) else { return self.raw_of_short(message) };
        let from = offset.min(last);
        let window = u64::from_le_bytes(*message[from..].first_chunk()?);
        let (before, unused) = (8 * (offset - from), 64 - 8 * len);
        Some(match self.little {
            true => window >> before << unused >> unused,
            false => window.swap_bytes() << before >> unused,
        })
    }

    /// Of a message that has no eight bytes.
    #[cold]
    fn raw_of_short(&self, message: &[u8]) -> Option<u64> {
        let mut window = [0; 8];
        window.get_mut(..message.len())?.copy_from_slice(message);
        self.raw(&window)
    }
}

impl Arith {
    /// Computes it. Where it would overflow it wraps, but no program has such a step.
    #[inline(always)]
    pub fn of(self, left: i64, right: i64) -> i64 {
        match self {
            Arith::Add => left.wrapping_add(right),
            Arith::Subtract => left.wrapping_sub(right),
            Arith::Multiply => left.wrapping_mul(right),
            Arith::Min => left.min(right),
            Arith::Max => left.max(right),
        }
    }
}

impl Program {
    /// Runs it for a message of its type that is as long as the type says.
    #[inline]
    pub fn run(&self, tick: &Tick<'_>) -> Option<Wanted> {
        let mut registers = [0; REGISTERS];
        let mut at = 0;
        while let Some(step) = self.steps.get(at) {
            at += 1;
            match step {
                Step::Compare { left, relation, right, when, to } => {
                    let left = left.value(tick, &registers);
                    let right = right.value(tick, &registers);
                    if relation.holds(left, right) == *when {
                        if *to == REJECT {
                            return None;
                        }
                        at = usize::from(*to);
                    }
                }
                Step::Known { word, to } => {
                    if !word.is_known(tick) {
                        if *to == REJECT {
                            return None;
                        }
                        at = usize::from(*to);
                    }
                }
                Step::Arith { arith, left, right, into } => {
                    let left = left.value(tick, &registers);
                    let right = right.value(tick, &registers);
                    registers[usize::from(*into) % REGISTERS] = arith.of(left, right);
                }
            }
        }
        let side = self.side.of(tick.message)?;
        let quantity = self.quantity.value(tick, &registers) as u32;
        Some((side, quantity, self.price.value(tick, &registers)))
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
        let negative = load.signed && bytes[0] >= 0x80;
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
        for (message, offset) in (0..=bytes.len()).flat_map(|end| (0..22).map(move |at| (end, at)))
        {
            for (len, flags) in (1..=8).flat_map(|len| (0..8).map(move |flags| (len, flags))) {
                let (little, signed, text) = (flags & 1 > 0, flags & 2 > 0, flags == 4);
                let (factor, max) = if text { (1, 0) } else { (100, (1 << 60) / 100) };
                let load = Load { offset, len, little, signed, text, factor, max };
                let message = &bytes[..message];
                assert_eq!(load.value(message), slow(&load, message), "{load:?} {message:?}");
            }
        }
    }
}
