//! Conditions before they are steps.

use super::ast::Relation;
use super::error::Fault;
use super::num::Num;

/// A condition, in which nothing but the whole is [`Test::Const`].
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Test {
    Const(bool),
    /// False, too, while one of the words in it is not known.
    Compare(Num, Relation, Num),
    Not(Box<Test>),
    And(Vec<Test>),
    Or(Vec<Test>),
}

/// Tests together, of which one that comes out as `decisive` decides. What stands behind one that
/// does is not looked at: it may be about fields of other messages.
///
/// # Errors
/// Those of the tests.
pub(super) fn join(
    tests: impl Iterator<Item = Result<Test, Fault>>,
    decisive: bool,
    joined: fn(Vec<Test>) -> Test,
) -> Result<Test, Fault> {
    let mut open = Vec::new();
    for test in tests {
        match test? {
            Test::Const(outcome) if outcome == decisive => return Ok(Test::Const(decisive)),
            Test::Const(_) => {}
            other => open.push(other),
        }
    }
    Ok(match open.len() {
        0 => Test::Const(!decisive),
        1 => open.remove(0),
        _ => joined(open),
    })
}

/// A comparison, or its outcome where that can be told.
pub(super) fn compared(left: Num, relation: Relation, right: Num) -> Test {
    let below = left.high < right.low;
    let above = left.low > right.high;
    let outcome = match relation {
        Relation::Equal => (below || above).then_some(false),
        Relation::NotEqual => (below || above).then_some(true),
        Relation::Less if below => Some(true),
        Relation::Less => (left.low >= right.high).then_some(false),
        Relation::LessOrEqual if above => Some(false),
        Relation::LessOrEqual => (left.high <= right.low).then_some(true),
        Relation::Greater if above => Some(true),
        Relation::Greater => (left.high <= right.low).then_some(false),
        Relation::GreaterOrEqual if below => Some(false),
        Relation::GreaterOrEqual => (left.low >= right.high).then_some(true),
    };
    match outcome {
        // While a word is not known, it is not true.
        Some(outcome) if !(outcome && (left.has_words() || right.has_words())) => {
            Test::Const(outcome)
        }
        _ => Test::Compare(left, relation, right),
    }
}
