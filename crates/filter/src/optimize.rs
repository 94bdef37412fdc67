//! The optimiser: the same verdicts from fewer tests.
//!
//! * numbers are folded; a division by a constant 0 is an error
//! * a test whose outcome is known on the way to it is skipped, and so is one whose outcome does
//!   not matter
//! * slots that nobody reads are not set
//!
//! A test that is skipped takes its loads with it, so that a packet which is cut inside them may
//! be accepted where the unoptimised program rejects it. libpcap's optimiser does the same.

use std::collections::HashMap;

use crate::error::{FilterError, Result};
use crate::ir::{BlockId, Compare, End, Number, NumberId, Op, Program, SLOTS_MAX, Slot, Test};

/// How often the passes may run.
const ROUNDS_MAX: usize = 8;
/// How many tests on the way are asked for what they tell.
const ANCESTORS_MAX: usize = 128;

/// Optimises in place.
pub(crate) fn optimize(program: &mut Program) -> Result<()> {
    if !program.may_optimize {
        return Ok(());
    }
    fold_numbers(program)?;
    for _ in 0..ROUNDS_MAX {
        let mut changed = simplify(program);
        changed |= drop_dead_sets(program);
        changed |= thread(program);
        if !changed {
            break;
        }
    }
    prefer_any_bit(program);
    Ok(())
}

// Numbers.

fn fold_numbers(program: &mut Program) -> Result<()> {
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
fn prefer_any_bit(program: &mut Program) {
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

// Blocks.

/// Tests of constants, tests that do not matter, and jumps to empty blocks.
fn simplify(program: &mut Program) -> bool {
    let mut changed = false;
    for id in program.order().into_iter().rev() {
        let end = program.block(id).end;
        let target = |to: BlockId| skip_jumps(program, to);
        let simpler = match end {
            End::Branch { test, yes, no } => {
                let (yes, no) = (target(yes), target(no));
                match (program.constant(test.left), program.constant(test.right)) {
                    _ if yes == no => End::Jump(yes),
                    (Some(left), Some(right)) => {
                        End::Jump(if test.compare.apply(left, right) { yes } else { no })
                    }
                    _ => End::Branch { test, yes, no },
                }
            }
            End::Jump(to) => {
                let to = target(to);
                let block = program.block(to);
                // An end without sets in front of it can be had at once.
                match block.end {
                    End::Return(_) | End::Branch { .. } if block.sets.is_empty() => block.end,
                    _ => End::Jump(to),
                }
            }
            End::Return(_) => end,
        };
        if simpler != end {
            program.blocks[id.0 as usize].end = simpler;
            changed = true;
        }
    }
    program.entry = skip_jumps(program, program.entry);
    changed
}

fn skip_jumps(program: &Program, mut id: BlockId) -> BlockId {
    // A chain of jumps is no longer than there are blocks; loops of jumps alone do not occur.
    for _ in 0..program.blocks.len() {
        match program.block(id) {
            block if !block.sets.is_empty() => break,
            block => match block.end {
                End::Jump(to) => id = to,
                _ => break,
            },
        }
    }
    id
}

/// Sets of slots that are read nowhere.
fn drop_dead_sets(program: &mut Program) -> bool {
    let mut changed = false;
    loop {
        let mut read = [false; SLOTS_MAX];
        let mut seen = vec![false; program.numbers().len()];
        for id in program.order() {
            let block = program.block(id);
            let mut stack: Vec<NumberId> = block.sets.iter().map(|(_, number)| *number).collect();
            if let End::Branch { test, .. } = block.end {
                stack.extend([test.left, test.right]);
            }
            while let Some(number) = stack.pop() {
                if std::mem::replace(&mut seen[number.0 as usize], true) {
                    continue;
                }
                if let Number::Slot(Slot(slot)) = program.number(number) {
                    read[usize::from(slot)] = true;
                }
                stack.extend(program.operands(program.number(number)));
            }
        }
        let mut dropped = false;
        for id in program.order() {
            let sets = &mut program.blocks[id.0 as usize].sets;
            let before = sets.len();
            sets.retain(|(Slot(slot), _)| read[usize::from(*slot)]);
            dropped |= sets.len() < before;
        }
        if !dropped {
            return changed;
        }
        changed = true;
    }
}

// Threading.

/// What leads to a block: nothing known, exactly one exit of one block, or several.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    None,
    One(BlockId, bool),
    /// All ways come through the test of this block, by either exit.
    Through(BlockId),
    Many,
}

struct Ways {
    ways: Vec<Way>,
    /// Whether a number depends on a slot.
    variable: Vec<bool>,
}

/// Sends every exit past the tests whose outcome it already knows.
fn thread(program: &mut Program) -> bool {
    let order = program.order();
    let ways = Ways { ways: ways(program, &order), variable: variable(program) };
    let mut changed = false;
    for id in order {
        let End::Branch { test, yes, no } = program.block(id).end else { continue };
        let exit = |to: BlockId, outcome: bool| {
            let mut to = to;
            for _ in 0..ANCESTORS_MAX {
                let next = program.block(to);
                let End::Branch { test, yes, no } = next.end else { break };
                if !next.sets.is_empty() {
                    break;
                }
                match ways.outcome(program, id, outcome, test) {
                    Some(true) => to = yes,
                    Some(false) => to = no,
                    None => break,
                }
            }
            to
        };
        let (to_yes, to_no) = (exit(yes, true), exit(no, false));
        if (to_yes, to_no) != (yes, no) {
            program.blocks[id.0 as usize].end = End::Branch { test, yes: to_yes, no: to_no };
            changed = true;
        }
    }
    changed
}

fn variable(program: &Program) -> Vec<bool> {
    let mut variable: Vec<bool> = Vec::with_capacity(program.numbers().len());
    for number in program.numbers() {
        let slot = matches!(number, Number::Slot(_));
        let below = program.operands(*number).any(|id| variable[id.0 as usize]);
        variable.push(slot || below);
    }
    variable
}

/// For every block how it is reached. A block with several ways in gets the nearest block that
/// all of them come through (its immediate dominator, Cooper, Harvey and Kennedy 2001).
fn ways(program: &Program, order: &[BlockId]) -> Vec<Way> {
    let mut rank = vec![usize::MAX; program.blocks.len()];
    for (at, id) in order.iter().enumerate() {
        rank[id.0 as usize] = at;
    }
    let mut ways = vec![Way::None; program.blocks.len()];
    let mut reached: HashMap<BlockId, Vec<(BlockId, Option<bool>)>> = HashMap::new();
    for id in order {
        match program.block(*id).end {
            End::Branch { yes, no, .. } => {
                reached.entry(yes).or_default().push((*id, Some(true)));
                reached.entry(no).or_default().push((*id, Some(false)));
            }
            End::Jump(to) => reached.entry(to).or_default().push((*id, None)),
            End::Return(_) => {}
        }
    }
    for id in order {
        if matches!(program.block(*id).end, End::Return(_)) {
            continue;
        }
        let Some(from) = reached.get(id) else { continue };
        let backward = from.iter().any(|(from, _)| rank[from.0 as usize] >= rank[id.0 as usize]);
        ways[id.0 as usize] = match from[..] {
            _ if backward => Way::Many,
            [(from, Some(outcome))] => Way::One(from, outcome),
            [(from, None)] => Way::Through(from),
            _ => common(&ways, &rank, from).map_or(Way::Many, Way::Through),
        };
    }
    ways
}

fn common(ways: &[Way], rank: &[usize], from: &[(BlockId, Option<bool>)]) -> Option<BlockId> {
    let up = |id: BlockId| match ways[id.0 as usize] {
        Way::One(from, _) | Way::Through(from) => Some(from),
        _ => None,
    };
    let mut steps = 0;
    let mut meet = from[0].0;
    for (other, _) in &from[1..] {
        let mut other = *other;
        while meet != other {
            steps += 1;
            if steps > ANCESTORS_MAX {
                return None;
            }
            if rank[meet.0 as usize] > rank[other.0 as usize] {
                meet = up(meet)?;
            } else {
                other = up(other)?;
            }
        }
    }
    Some(meet)
}

impl Ways {
    /// What is known of `test` behind exit `outcome` of block `at`.
    fn outcome(&self, program: &Program, at: BlockId, outcome: bool, test: Test) -> Option<bool> {
        let variable = self.variable[test.left.0 as usize] || self.variable[test.right.0 as usize];
        let mut at = at;
        let mut outcome = Some(outcome);
        for _ in 0..ANCESTORS_MAX {
            let block = program.block(at);
            if let (Some(outcome), End::Branch { test: known, .. }) = (outcome, block.end)
                && let Some(answer) = implied(program, known, outcome, test)
            {
                return Some(answer);
            }
            if variable && !block.sets.is_empty() {
                return None;
            }
            (at, outcome) = match self.ways[at.0 as usize] {
                Way::One(from, outcome) => (from, Some(outcome)),
                Way::Through(from) if !variable => (from, None),
                _ => return None,
            };
        }
        None
    }
}

/// The outcome of `test`, given that of `known`. A number that equals one constant equals no
/// other; that a comparison by order follows from an equality is not concluded, since libpcap does
/// not, and its loads are part of the meaning.
fn implied(program: &Program, known: Test, outcome: bool, test: Test) -> Option<bool> {
    if known.left != test.left || known.compare != test.compare {
        return None;
    }
    if known.right == test.right {
        return Some(outcome);
    }
    let constants =
        program.constant(known.right).is_some() && program.constant(test.right).is_some();
    (known.compare == Compare::Equal && outcome && constants).then_some(false)
}
