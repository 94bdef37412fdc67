//! Blocks that can go, and blocks that belong together.

use std::collections::HashMap;

use crate::ir::{BlockId, End, Number, NumberId, Program, SLOTS_MAX, Slot, Test};

/// Tests of constants, tests that do not matter, and jumps to empty blocks.
pub(super) fn simplify(program: &mut Program) -> bool {
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
pub(super) fn drop_dead_sets(program: &mut Program) -> bool {
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

/// The longest run of alternatives that is put in order.
const RUN_MAX: usize = 4_096;

/// In a run of alternatives (`port 1 or port 2 or …`: each test leads to the next when it fails,
/// and all lead to the same place when they hold) those that compare the same field with constants
/// are put together, in the order in which the fields first appear: one load, then comparisons. No
/// number is computed earlier than before, since a load may end the packet.
pub(super) fn group(program: &mut Program) -> bool {
    let mut entries = vec![0u32; program.blocks.len()];
    let order = program.order();
    for id in &order {
        program.successors(*id).for_each(|to| entries[to.0 as usize] += 1);
    }
    let mut done = vec![false; program.blocks.len()];
    let mut changed = false;
    for id in order {
        for side in [true, false] {
            let run = run(program, &entries, &done, id, side);
            if run.len() > 2 {
                run.iter().for_each(|id| done[id.0 as usize] = true);
                changed |= arrange(program, &run);
            }
        }
    }
    changed
}

/// The exit that leaves a run, and the one that goes on.
fn exits(program: &Program, id: BlockId, side: bool) -> Option<(Test, BlockId, BlockId)> {
    match program.block(id).end {
        End::Branch { test, yes, no } if side => Some((test, yes, no)),
        End::Branch { test, yes, no } => Some((test, no, yes)),
        _ => None,
    }
}

fn run(
    program: &Program,
    entries: &[u32],
    done: &[bool],
    first: BlockId,
    side: bool,
) -> Vec<BlockId> {
    let mut run = vec![first];
    let Some((_, out, mut next)) = exits(program, first, side) else { return run };
    while run.len() < RUN_MAX && !done[first.0 as usize] {
        let block = program.block(next);
        let alone = entries[next.0 as usize] == 1 && block.sets.is_empty();
        match exits(program, next, side) {
            Some((_, to, after)) if alone && to == out && !done[next.0 as usize] => {
                run.push(next);
                next = after;
            }
            _ => break,
        }
    }
    run
}

fn arrange(program: &mut Program, run: &[BlockId]) -> bool {
    let tests: Vec<Test> = run
        .iter()
        .filter_map(|id| match program.block(*id).end {
            End::Branch { test, .. } => Some(test),
            _ => None,
        })
        .collect();
    let known = |id| program.constant(id).is_some() || program.values(id).is_some();
    let mut first_seen: HashMap<NumberId, usize> = HashMap::new();
    let place = |(at, test): (usize, &Test)| match known(test.right) {
        true => (*first_seen.entry(test.left).or_insert(at), *test),
        false => (at, *test),
    };
    let mut placed: Vec<(usize, Test)> = tests.iter().enumerate().map(place).collect();
    placed.sort_by_key(|(place, _)| *place);
    let sorted: Vec<Test> = placed.into_iter().map(|(_, test)| test).collect();
    if sorted == tests {
        return false;
    }
    for (id, sorted) in run.iter().zip(sorted) {
        if let End::Branch { test, .. } = &mut program.blocks[id.0 as usize].end {
            *test = sorted;
        }
    }
    true
}
