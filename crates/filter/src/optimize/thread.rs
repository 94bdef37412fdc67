//! An exit goes past the tests whose outcome is known on it.
//!
//! Knowledge is carried along the graph: the outcomes of the tests on the way, and where several
//! ways meet, what they have in common: outcomes that all of them know, and the values that a field
//! can have (behind `tcp or udp or sctp` the protocol is one of three).

use std::collections::HashMap;
use std::rc::Rc;

use crate::ir::{BlockId, Compare, End, Number, NumberId, Program, Test};

/// How many outcomes of tests of one number are looked through.
const OUTCOMES_MAX: usize = 64;
/// Of how many numbers something is remembered: ethertype, protocol, ports, addresses, lengths.
const NUMBERS_MAX: usize = 24;
/// How many values of one number are remembered.
const VALUES_MAX: usize = 64;
/// How many tests an exit goes past at once.
const STEPS_MAX: usize = 64;

/// The outcome of a test, and those that were known before it.
struct Outcome {
    compare: Compare,
    right: NumberId,
    held: bool,
    count: usize,
    before: Option<Rc<Outcome>>,
}

/// What is known of one number.
#[derive(Clone, Default)]
struct Fact {
    outcomes: Option<Rc<Outcome>>,
    /// It is one of these.
    values: Option<Rc<[u32]>>,
}

type Facts = HashMap<NumberId, Fact>;

/// Sends every exit past the tests whose outcome it knows.
pub(super) fn thread(program: &mut Program) -> bool {
    let order = program.order();
    let variable = variable(program);
    let mut rank = vec![usize::MAX; program.blocks.len()];
    for (at, id) in order.iter().enumerate() {
        rank[id.0 as usize] = at;
    }
    let mut entry: HashMap<BlockId, Facts> = HashMap::new();
    let mut looped = vec![false; program.blocks.len()];
    for id in &order {
        for to in program.successors(*id) {
            looped[to.0 as usize] |= rank[to.0 as usize] <= rank[id.0 as usize];
        }
    }
    let mut changed = false;
    for id in order {
        let mut facts = entry.remove(&id).unwrap_or_default();
        if looped[id.0 as usize] {
            facts.clear();
        }
        if !program.block(id).sets.is_empty() {
            facts.retain(|number, _| !variable[number.0 as usize]);
        }
        match program.block(id).end {
            End::Return(_) => {}
            End::Jump(to) => arrive(&mut entry, to, facts),
            End::Branch { test, yes, no } => {
                let behind_yes = learn(program, facts.clone(), test, true);
                let behind_no = learn(program, facts, test, false);
                let to_yes = past(program, &behind_yes, yes);
                let to_no = past(program, &behind_no, no);
                if (to_yes, to_no) != (yes, no) {
                    let end = End::Branch { test, yes: to_yes, no: to_no };
                    program.blocks[id.0 as usize].end = end;
                    changed = true;
                }
                // An exit that goes further than before may skip a block that had been the only
                // way here; what it knows arrives where it goes now.
                for (to, facts) in [(to_yes, behind_yes), (to_no, behind_no)] {
                    // Nothing is asked any more at a verdict, where most ways end.
                    if !matches!(program.block(to).end, End::Return(_)) {
                        arrive(&mut entry, to, facts);
                    }
                }
            }
        }
    }
    changed
}

/// Whether a number depends on a slot.
fn variable(program: &Program) -> Vec<bool> {
    let mut variable: Vec<bool> = Vec::with_capacity(program.numbers().len());
    for number in program.numbers() {
        let slot = matches!(number, Number::Slot(_));
        let below = program.operands(*number).any(|id| variable[id.0 as usize]);
        variable.push(slot || below);
    }
    variable
}

fn learn(program: &Program, mut facts: Facts, test: Test, held: bool) -> Facts {
    if facts.len() >= NUMBERS_MAX && !facts.contains_key(&test.left) {
        return facts;
    }
    let fact = facts.entry(test.left).or_default();
    let before = fact.outcomes.take();
    let count = before.as_ref().map_or(0, |outcome| outcome.count) + 1;
    let Test { compare, right, .. } = test;
    fact.outcomes = Some(Rc::new(Outcome { compare, right, held, count, before }));
    if let (Compare::Equal, Some(value)) = (compare, program.constant(right)) {
        if held {
            fact.values = Some(Rc::new([value]));
        } else if let Some(values) = &fact.values {
            fact.values = Some(values.iter().copied().filter(|known| *known != value).collect());
        }
    }
    facts
}

/// What is known where several ways meet.
fn arrive(entry: &mut HashMap<BlockId, Facts>, at: BlockId, facts: Facts) {
    let Some(known) = entry.get_mut(&at) else {
        entry.insert(at, facts);
        return;
    };
    known.retain(|number, fact| {
        let Some(other) = facts.get(number) else { return false };
        fact.outcomes = common(fact.outcomes.take(), other.outcomes.clone());
        fact.values = match (&fact.values, &other.values) {
            (Some(ours), Some(theirs)) => {
                let mut values: Vec<u32> = ours.iter().chain(theirs.iter()).copied().collect();
                values.sort_unstable();
                values.dedup();
                (values.len() <= VALUES_MAX).then(|| values.into())
            }
            _ => None,
        };
        fact.outcomes.is_some() || fact.values.is_some()
    });
}

/// The part that two histories share.
fn common(mut left: Option<Rc<Outcome>>, mut right: Option<Rc<Outcome>>) -> Option<Rc<Outcome>> {
    for _ in 0..2 * OUTCOMES_MAX {
        match (&left, &right) {
            (Some(l), Some(r)) if Rc::ptr_eq(l, r) => return left,
            (Some(l), Some(r)) if l.count > r.count => left = l.before.clone(),
            (Some(_), Some(r)) => right = r.before.clone(),
            _ => return None,
        }
    }
    None
}

/// Where an exit to `to` can go at once.
fn past(program: &Program, facts: &Facts, mut to: BlockId) -> BlockId {
    for _ in 0..STEPS_MAX {
        let block = program.block(to);
        let End::Branch { test, yes, no } = block.end else { break };
        if !block.sets.is_empty() {
            break;
        }
        let Some(fact) = facts.get(&test.left) else { break };
        match outcome(program, fact, test) {
            Some(true) => to = yes,
            Some(false) => to = no,
            None => match together(program, fact, to) {
                Some(next) => to = next,
                None => break,
            },
        }
    }
    to
}

/// The outcome of `test`, if it is known. That a comparison by order follows from an equality is
/// not concluded, since libpcap does not, and its loads are part of the meaning.
fn outcome(program: &Program, fact: &Fact, test: Test) -> Option<bool> {
    let mut known = &fact.outcomes;
    for _ in 0..OUTCOMES_MAX {
        let Some(outcome) = known else { break };
        if (outcome.compare, outcome.right) == (test.compare, test.right) {
            return Some(outcome.held);
        }
        known = &outcome.before;
    }
    let values = fact.values.as_ref().filter(|_| test.compare == Compare::Equal)?;
    let value = program.constant(test.right)?;
    match values.contains(&value) {
        false => Some(false),
        true => (values.len() == 1).then_some(true),
    }
}

/// Where a row of tests of one number leads for all the values that it can have, if to one place.
fn together(program: &Program, fact: &Fact, from: BlockId) -> Option<BlockId> {
    let values = fact.values.as_ref()?;
    let End::Branch { test: first, .. } = program.block(from).end else { return None };
    let follow = |value: u32| {
        let mut at = from;
        for _ in 0..STEPS_MAX {
            let block = program.block(at);
            let End::Branch { test, yes, no } = block.end else { break };
            let Some(right) = program.constant(test.right) else { break };
            let same = test.left == first.left && test.compare == Compare::Equal;
            if !same || !block.sets.is_empty() {
                break;
            }
            at = if value == right { yes } else { no };
        }
        at
    };
    let mut places = values.iter().map(|value| follow(*value));
    let place = places.next()?;
    (place != from && places.all(|other| other == place)).then_some(place)
}
