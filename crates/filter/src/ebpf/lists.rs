//! Finds chains of comparisons with one outcome, and makes lists of them.
//!
//! `dst port 1 or dst port 2 or …` is a chain of tests `x = c` that all go to the same place when
//! they hold and to the next test when they do not. Chains may alternate between numbers (source
//! and destination). Tests may change places once every number in them has been computed: from
//! then on no load can fail. Where there are several numbers, the first test of each therefore
//! stays where it is.

use crate::ir::{Block, BlockId, Compare, End, NumberId, Program, Test};

/// The numbers that may alternate in a chain; with more of them it ends.
const NUMBERS_MAX: usize = 16;
/// From how many values on a list is better than comparing with one after the other.
const VALUES_MIN: usize = 4;

/// Replaces every chain that has a list in it.
pub(super) fn collect(program: &mut Program) {
    let order = program.order();
    let heads = program.loop_heads();
    let mut done = vec![false; program.blocks.len()];
    for head in order {
        if done[head.0 as usize] {
            continue;
        }
        let Some((yes, chain)) = chain(program, head, &heads, &mut done) else { continue };
        let last = chain[chain.len() - 1].1;
        let tests: Vec<Test> = chain.into_iter().map(|(test, _)| test).collect();
        let parts = parts(program, &tests);
        if parts.len() < tests.len() {
            replace(program, head, yes, last, &parts);
        }
    }
}

/// A test that is a link of a chain, and both its targets.
fn link(program: &Program, id: BlockId) -> Option<(Test, BlockId, BlockId)> {
    let End::Branch { test, yes, no } = program.block(id).end else { return None };
    let constant = test.compare == Compare::Equal && program.constant(test.right).is_some();
    (constant || test.compare == Compare::In).then_some((test, yes, no))
}

/// The chain that begins at `head`, each test with where it goes when it does not hold, and where
/// all go when they hold.
fn chain(
    program: &Program,
    head: BlockId,
    loop_heads: &[bool],
    done: &mut [bool],
) -> Option<(BlockId, Vec<(Test, BlockId)>)> {
    let (first, yes, mut at) = link(program, head)?;
    let mut chain = vec![(first, at)];
    // A way back would be a chain without end: it leads to the head of a loop.
    while !loop_heads[at.0 as usize]
        && program.block(at).sets.is_empty()
        && let Some((test, to, no)) = link(program, at)
        && to == yes
    {
        done[at.0 as usize] = true;
        chain.push((test, no));
        at = no;
    }
    Some((yes, chain))
}

fn parts(program: &mut Program, tests: &[Test]) -> Vec<Test> {
    if tests.iter().all(|test| test.left == tests[0].left) {
        return list(program, tests);
    }
    let mut parts = Vec::new();
    let mut computed: Vec<NumberId> = Vec::new();
    // Tests that wait to be grouped, by number.
    let mut waiting: Vec<Vec<Test>> = Vec::new();
    for &test in tests {
        match computed.iter().position(|number| *number == test.left) {
            Some(at) => waiting[at].push(test),
            None => {
                flush(program, &mut waiting, &mut parts);
                parts.push(test);
                if computed.len() < NUMBERS_MAX {
                    computed.push(test.left);
                    waiting.push(Vec::new());
                }
            }
        }
    }
    flush(program, &mut waiting, &mut parts);
    parts
}

fn flush(program: &mut Program, waiting: &mut [Vec<Test>], to: &mut Vec<Test>) {
    for group in waiting {
        to.extend(list(program, group));
        group.clear();
    }
}

/// Tests of one number, as one where they have enough values.
fn list(program: &mut Program, tests: &[Test]) -> Vec<Test> {
    let mut values = Vec::new();
    for test in tests {
        values.extend(program.constant(test.right));
        values.extend(program.values(test.right).unwrap_or_default());
    }
    if tests.len() < 2 || values.len() < VALUES_MIN {
        return tests.to_vec();
    }
    vec![Test { left: tests[0].left, compare: Compare::In, right: program.list(&values) }]
}

/// Puts `parts` in the place of the chain at `head`.
fn replace(program: &mut Program, head: BlockId, yes: BlockId, last: BlockId, parts: &[Test]) {
    let mut no = last;
    for (at, &test) in parts.iter().enumerate().rev() {
        let end = End::Branch { test, yes, no };
        if at == 0 {
            program.blocks[head.0 as usize].end = end;
        } else {
            no = program.add(Block { sets: Vec::new(), end });
        }
    }
}
