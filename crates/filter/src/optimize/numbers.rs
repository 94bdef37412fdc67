//! Numbers that are known without a packet.

use crate::error::{FilterError, Result};
use crate::ir::{Compare, End, Number, NumberId, Op, Program, Test};

/// Folds every number that the program uses.
pub(super) fn fold_numbers(program: &mut Program) -> Result<()> {
    // Operands come before their users, so one pass over the old arena sees folded operands.
    let mut folded: Vec<NumberId> = Vec::new();
    for at in 0..program.numbers().len() {
        let number = program.numbers()[at];
        let at = |id: NumberId| folded[id.0 as usize];
        let number = match number {
            Number::Load { base: Some(base), offset, size } => {
                Number::Load { base: Some(at(base)), offset, size }
            }
            Number::Binary(op, left, right) => Number::Binary(op, at(left), at(right)),
            other => other,
        };
        let id = fold(program, number);
        folded.push(id);
    }
    let map = |id: &mut NumberId| *id = folded[id.0 as usize];
    for id in program.order() {
        let block = &mut program.blocks[id.0 as usize];
        block.sets.iter_mut().for_each(|(_, number)| map(number));
        if let End::Branch { test, .. } = &mut block.end {
            map(&mut test.left);
            map(&mut test.right);
        }
    }
    check_divisions(program)
}

fn fold(program: &mut Program, number: Number) -> NumberId {
    match number {
        Number::Binary(op, left, right) => {
            let known = (program.constant(left), program.constant(right));
            if let (Some(l), Some(r)) = known
                && let Some(value) = op.apply(l, r)
            {
                return program.literal(value);
            }
            match (op, known.1) {
                (Op::And | Op::Mul, Some(0)) => return program.literal(0),
                (Op::Or, Some(u32::MAX)) => return program.literal(u32::MAX),
                (Op::And, Some(u32::MAX)) | (Op::Mul | Op::Div, Some(1)) => return left,
                (Op::Add | Op::Sub | Op::Or | Op::Xor | Op::Shl | Op::Shr, Some(0)) => return left,
                _ => {}
            }
            // (x + 1) + 2, and 1 + x: one constant, on the right.
            if op == Op::Add {
                if let (Some(value), None) = known {
                    return program.binary_const(Op::Add, right, value);
                }
                if let (Number::Binary(Op::Add, inner, first), Some(second)) =
                    (program.number(left), known.1)
                    && let Some(first) = program.constant(first)
                {
                    let sum = program.literal(first.wrapping_add(second));
                    return fold(program, Number::Binary(Op::Add, inner, sum));
                }
            }
            program.intern(number)
        }
        Number::Load { base: Some(base), offset, size } => {
            match program.constant(base).map(|base| base.checked_add(offset)) {
                Some(Some(offset)) => program.intern(Number::Load { base: None, offset, size }),
                _ => program.intern(number),
            }
        }
        other => program.intern(other),
    }
}

fn check_divisions(program: &Program) -> Result<()> {
    let error = |what| Err(FilterError::value(0..0, format!("{what} by zero")));
    let mut stack: Vec<NumberId> = Vec::new();
    for id in program.order() {
        let block = program.block(id);
        stack.extend(block.sets.iter().map(|(_, number)| *number));
        if let End::Branch { test, .. } = block.end {
            stack.extend([test.left, test.right]);
        }
    }
    let mut seen = vec![false; program.numbers().len()];
    while let Some(id) = stack.pop() {
        if std::mem::replace(&mut seen[id.0 as usize], true) {
            continue;
        }
        let number = program.number(id);
        if let Number::Binary(op @ (Op::Div | Op::Mod), _, right) = number
            && program.constant(right) == Some(0)
        {
            return error(if op == Op::Div { "division" } else { "modulus" });
        }
        stack.extend(program.operands(number));
    }
    Ok(())
}

/// `x & m = 0` as a test of any bit: one instruction less.
pub(super) fn prefer_any_bit(program: &mut Program) {
    for id in program.order() {
        let End::Branch { test, yes, no } = program.block(id).end else { continue };
        if test.compare != Compare::Equal || program.constant(test.right) != Some(0) {
            continue;
        }
        if let Number::Binary(Op::And, left, mask) = program.number(test.left)
            && program.constant(mask).is_some()
        {
            let test = Test { left, compare: Compare::AnyBit, right: mask };
            program.blocks[id.0 as usize].end = End::Branch { test, yes: no, no: yes };
        }
    }
}
