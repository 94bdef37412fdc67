//! Exits are sent past the tests whose outcome is known on the way to them.
//!
//! `port 1 or port 2 or …` asks again and again whether the packet is TCP, UDP or SCTP and not a
//! later fragment; here those questions are asked once, so that what remains is a chain of
//! comparisons of one number, which [`super::lists`] makes one table of.
//!
//! Exact for every packet, also one that is cut: a test is skipped only where its number was
//! computed before on every way there, so that its loads are known to succeed. Packets do not
//! change, so what is known stays known; numbers that depend on slots are left alone.

use crate::ir::{BlockId, Compare, End, Number, NumberId, Program, Test};

/// How often the pass may run; each run skips one more layer of tests.
const ROUNDS_MAX: usize = 16;
/// How many facts are kept on the way to a block.
const FACTS_MAX: usize = 24;
/// How many values a number may be known to be one of.
const VALUES_MAX: usize = 8;
/// How many tests one exit is sent past in a round.
const STEPS_MAX: usize = 64;

/// What is known of a number at some place.
#[derive(Clone, Debug, PartialEq)]
enum Fact {
    /// It was computed, and is one of these values, or any where there are none.
    Values(NumberId, Vec<u32>),
    /// The outcome of a test of it against a constant.
    Outcome(Test, bool),
}

type Facts = Vec<Fact>;

/// Simplifies in place.
pub(super) fn simplify(program: &mut Program) {
    let variable = variable(program);
    for _ in 0..ROUNDS_MAX {
        if !round(program, &variable) {
            break;
        }
    }
}

/// For every number whether it depends on a slot.
pub(super) fn variable(program: &Program) -> Vec<bool> {
    let mut variable: Vec<bool> = Vec::with_capacity(program.numbers().len());
    for &number in program.numbers() {
        let below = program.operands(number).any(|id| variable[id.0 as usize]);
        variable.push(below || matches!(number, Number::Slot(_)));
    }
    variable
}

fn round(program: &mut Program, variable: &[bool]) -> bool {
    let order = program.order();
    let looped = program.loop_heads();
    let mut known: Vec<Option<Facts>> = vec![None; program.blocks.len()];
    let mut changed = false;
    for id in order {
        let mut facts = known[id.0 as usize].take().unwrap_or_default();
        if looped[id.0 as usize] {
            facts.clear();
        }
        let mut learn = |to: BlockId, facts: &Facts| {
            let there = &mut known[to.0 as usize];
            *there = Some(there.take().map_or_else(|| facts.clone(), |old| meet(&old, facts)));
        };
        match program.block(id).end {
            End::Return(_) => {}
            End::Jump(to) => learn(to, &facts),
            End::Branch { test, yes, no } => {
                let (on_yes, on_no) = outcomes(program, variable, &facts, test);
                let end = match decide(program, &facts, test) {
                    Some(true) => End::Jump(follow(program, &facts, yes)),
                    Some(false) => End::Jump(follow(program, &facts, no)),
                    None => {
                        let yes = follow(program, &on_yes, yes);
                        let no = follow(program, &on_no, no);
                        let free = yes == no && is_computed(program, &facts, test);
                        if free { End::Jump(yes) } else { End::Branch { test, yes, no } }
                    }
                };
                match end {
                    End::Branch { yes, no, .. } => {
                        learn(yes, &on_yes);
                        learn(no, &on_no);
                    }
                    End::Jump(to) => learn(to, &facts),
                    End::Return(_) => {}
                }
                changed |= end != program.block(id).end;
                program.blocks[id.0 as usize].end = end;
            }
        }
    }
    changed
}

/// Where control really goes from `to`, given what is known.
fn follow(program: &Program, facts: &Facts, mut to: BlockId) -> BlockId {
    for _ in 0..STEPS_MAX {
        let block = program.block(to);
        if !block.sets.is_empty() {
            break;
        }
        to = match block.end {
            End::Jump(next) => next,
            End::Branch { test, yes, no } => match decide(program, facts, test) {
                Some(true) => yes,
                Some(false) => no,
                None => break,
            },
            End::Return(_) => break,
        };
    }
    to
}

/// What is known at both exits of a test.
fn outcomes(program: &Program, variable: &[bool], facts: &Facts, test: Test) -> (Facts, Facts) {
    let (mut yes, mut no) = (facts.clone(), facts.clone());
    let Some(value) = program.constant(test.right) else { return (yes, no) };
    if variable[test.left.0 as usize] {
        return (yes, no);
    }
    let before = values(facts, test.left).unwrap_or_default().to_vec();
    if test.compare == Compare::Equal {
        set_values(&mut yes, test.left, vec![value]);
    } else {
        set_values(&mut yes, test.left, before.clone());
        push(&mut yes, Fact::Outcome(test, true));
        push(&mut no, Fact::Outcome(test, false));
    }
    // Only a known list can shrink; an empty one means "any".
    let rest = before.iter().copied().filter(|&known| !test.compare.apply(known, value));
    set_values(&mut no, test.left, rest.collect());
    (yes, no)
}

fn values(facts: &Facts, number: NumberId) -> Option<&[u32]> {
    facts.iter().find_map(|fact| match fact {
        Fact::Values(id, values) if *id == number => Some(&values[..]),
        _ => None,
    })
}

fn set_values(facts: &mut Facts, number: NumberId, values: Vec<u32>) {
    facts.retain(|fact| !matches!(fact, Fact::Values(id, _) if *id == number));
    push(facts, Fact::Values(number, values));
}

fn push(facts: &mut Facts, fact: Fact) {
    if facts.contains(&fact) {
        return;
    }
    if facts.len() == FACTS_MAX {
        facts.remove(0);
    }
    facts.push(fact);
}

/// The outcome of a test, where it is known.
fn decide(program: &Program, facts: &Facts, test: Test) -> Option<bool> {
    let right = program.constant(test.right)?;
    if let Some(left) = program.constant(test.left) {
        return Some(test.compare.apply(left, right));
    }
    if let Some(&[first, ref rest @ ..]) = values(facts, test.left) {
        let outcome = test.compare.apply(first, right);
        if rest.iter().all(|&value| test.compare.apply(value, right) == outcome) {
            return Some(outcome);
        }
    }
    facts.iter().find_map(|fact| match fact {
        Fact::Outcome(known, outcome) if *known == test => Some(*outcome),
        _ => None,
    })
}

/// Whether the test has nothing left that could reject the packet.
fn is_computed(program: &Program, facts: &Facts, test: Test) -> bool {
    [test.left, test.right]
        .into_iter()
        .all(|id| program.constant(id).is_some() || values(facts, id).is_some())
}

/// What holds on both ways.
fn meet(one: &Facts, other: &Facts) -> Facts {
    let common = one.iter().filter_map(|fact| match fact {
        Fact::Values(id, mine) => {
            let theirs = values(other, *id)?;
            let mut union = mine.clone();
            union.extend(theirs.iter().filter(|value| !mine.contains(value)));
            let any = mine.is_empty() || theirs.is_empty() || union.len() > VALUES_MAX;
            Some(Fact::Values(*id, if any { Vec::new() } else { union }))
        }
        outcome => other.contains(outcome).then(|| outcome.clone()),
    });
    common.collect()
}
