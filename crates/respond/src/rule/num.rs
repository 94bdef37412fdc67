//! Numbers before they are steps: what they are made of, and between what they always are.

use super::ast::Arith;
use super::error::{Fault, Span};
use super::program::Operand;
use crate::level1::Word;

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Pieces, nanoseconds, anything but money.
    Number,
    /// Money, in units of the scale.
    Price,
}

/// A number, and between what it always is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Num {
    pub value: Value,
    pub low: i128,
    pub high: i128,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Operand(Operand),
    Arith(Arith, Box<Num>, Box<Num>),
}

impl Num {
    pub(super) fn operand(operand: Operand, low: i128, high: i128) -> Num {
        Num { value: Value::Operand(operand), low, high }
    }

    pub(super) fn constant(number: i64) -> Num {
        Num::operand(Operand::Const(number), number.into(), number.into())
    }

    /// The words of the market in it that may not be known.
    pub(super) fn words(&self, found: &mut Vec<Operand>) {
        match &self.value {
            Value::Operand(Operand::Now(Word::Tick)) => {}
            Value::Operand(word @ (Operand::Now(_) | Operand::Before(_))) => {
                if !found.contains(word) {
                    found.push(*word);
                }
            }
            Value::Operand(_) => {}
            Value::Arith(_, left, right) => {
                left.words(found);
                right.words(found);
            }
        }
    }

    pub(super) fn has_words(&self) -> bool {
        let mut found = Vec::new();
        self.words(&mut found);
        !found.is_empty()
    }
}

/// Arithmetic that cannot overflow.
///
/// # Errors
/// It could.
pub(super) fn arith(of: Arith, left: Num, right: Num, span: &Span) -> Result<Num, Fault> {
    let corners = [(left.low, right.low), (left.low, right.high), (left.high, right.low)];
    let corners = corners.into_iter().chain([(left.high, right.high)]);
    let outcomes = corners.map(|(left, right)| match of {
        Arith::Add => left.checked_add(right),
        Arith::Subtract => left.checked_sub(right),
        Arith::Multiply => left.checked_mul(right),
        Arith::Min => Some(left.min(right)),
        Arith::Max => Some(left.max(right)),
    });
    let outcomes = outcomes.collect::<Option<Vec<i128>>>();
    let bounds = outcomes.and_then(|all| Some((*all.iter().min()?, *all.iter().max()?)));
    let fits = |bound: i128| bound.unsigned_abs() <= i64::MAX as u128;
    let Some((low, high)) = bounds.filter(|(low, high)| fits(*low) && fits(*high)) else {
        let message = "this may not fit into 64 bits: bound it, such as min(…, 1000) * 2";
        return Err(Fault { span: span.clone(), message: message.into() });
    };
    Ok(match (&left.value, &right.value) {
        (Value::Operand(Operand::Const(left)), Value::Operand(Operand::Const(right))) => {
            Num::constant(of.of(*left, *right))
        }
        _ => Num { value: Value::Arith(of, left.into(), right.into()), low, high },
    })
}
