//! What can be told of a number without a packet.

use crate::ir::{Number, NumberId, Op, Program, Size};

/// The size of a number that can be compared in network order: a load of more than a byte, or one
/// under a constant mask.
pub(super) fn raw_size(program: &Program, id: NumberId) -> Option<Size> {
    match program.number(id) {
        Number::Load { size: size @ (Size::Half | Size::Word), .. } => Some(size),
        Number::Binary(Op::And, left, right) => {
            program.constant(right)?;
            raw_size(program, left)
        }
        _ => None,
    }
}

/// `value` as it lies in the packet, read in host order.
pub(super) fn in_order(value: u32, raw: Option<Size>) -> u32 {
    match raw {
        Some(Size::Half) => u32::from((value as u16).to_be()),
        Some(Size::Word) => value.to_be(),
        _ => value,
    }
}

/// A value that the number is never above, by rules that the verifier knows too: it forgets what
/// it knew when bytes are swapped.
pub(super) fn largest(program: &Program, id: NumberId) -> u32 {
    match program.number(id) {
        Number::Const(value) => value,
        Number::Load { size: Size::Byte, .. } => Size::Byte.max(),
        Number::Binary(op, left, right) => {
            let (left, right) = (largest(program, left), program.constant(right));
            match (op, right) {
                (Op::And, Some(mask)) => left.min(mask),
                (Op::Shr, Some(by @ 0..=31)) => left >> by,
                (Op::Shl, Some(by @ 0..=31)) if left.leading_zeros() >= by => left << by,
                (Op::Add, Some(more)) => left.saturating_add(more),
                _ => u32::MAX,
            }
        }
        _ => u32::MAX,
    }
}
