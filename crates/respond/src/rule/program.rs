//! What a rule compiles to for one type of message. [`Runner`](super::Runner) runs it.
//!
//! Flat: steps that compare and jump forward, over operands that are constants, fields at fixed
//! offsets, words of the market or registers. Nothing can overflow: intervals were looked at when
//! it was compiled. No heap, no loop, no call, so that it can become eBPF.

use super::ast::{Arith, Relation};
use crate::level1::Word;
use crate::order::Side;

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
