//! Finds chains of comparisons with one outcome, and makes tables of them.
//!
//! `dst port 1 or dst port 2 or …` is a chain of tests `x = c` that all go to the same place when
//! they hold and to the next test when they do not. Chains may alternate between numbers (source
//! and destination). Tests may change places once every number in them has been computed: from
//! then on no load can fail. The first test of each number therefore stays where it is.

use super::Refusal;
use super::graph::{End, Graph, Node};
use super::table::LIST_VALUES_MIN;
use crate::ir::{BlockId, Compare, NumberId, Test};

/// The numbers that may alternate in a chain; with more of them it ends.
const NUMBERS_MAX: usize = 16;

/// A test of a chain.
#[derive(Clone, Copy)]
struct Link {
    test: Test,
    value: u32,
    no: BlockId,
}

/// What a chain becomes.
enum Part {
    One(Test),
    Table(NumberId, usize),
}

/// Replaces every chain that has a long list in it.
pub(super) fn collect(graph: &mut Graph) -> Result<(), Refusal> {
    let mut done = vec![false; graph.nodes.len()];
    for at in 0..graph.order.len() {
        let head = graph.order[at];
        if done[head.0 as usize] {
            continue;
        }
        let Some((yes, links)) = chain(graph, head, &mut done) else { continue };
        if links.len() < LIST_VALUES_MIN {
            continue;
        }
        let parts = parts(graph, &links)?;
        if parts.len() < links.len() {
            replace(graph, head, yes, links[links.len() - 1].no, &parts);
        }
    }
    Ok(())
}

fn link(graph: &Graph, id: BlockId) -> Option<(BlockId, Link)> {
    let End::Branch { test, yes, no } = graph.node(id).end else { return None };
    let value = graph.program.constant(test.right)?;
    (test.compare == Compare::Equal).then_some((yes, Link { test, value, no }))
}

/// The chain that begins at `head`, and where all of its tests go when they hold.
fn chain(graph: &Graph, head: BlockId, done: &mut [bool]) -> Option<(BlockId, Vec<Link>)> {
    let (yes, first) = link(graph, head)?;
    let mut links = vec![first];
    let mut at = first.no;
    // A way back would be a chain without end: only ways forward are followed.
    let mut before = head;
    while !graph.is_back(before, at)
        && graph.node(at).sets.is_empty()
        && let Some((to, next)) = link(graph, at)
        && to == yes
    {
        done[at.0 as usize] = true;
        links.push(next);
        before = at;
        at = next.no;
    }
    Some((yes, links))
}

fn parts(graph: &mut Graph, links: &[Link]) -> Result<Vec<Part>, Refusal> {
    let mut parts = Vec::new();
    let mut computed: Vec<NumberId> = Vec::new();
    // Tests that wait to be grouped, by number.
    let mut waiting: Vec<Vec<Link>> = Vec::new();
    for link in links {
        match computed.iter().position(|number| *number == link.test.left) {
            Some(at) => waiting[at].push(*link),
            None => {
                flush(graph, &mut waiting, &mut parts)?;
                parts.push(Part::One(link.test));
                if computed.len() < NUMBERS_MAX {
                    computed.push(link.test.left);
                    waiting.push(Vec::new());
                }
            }
        }
    }
    flush(graph, &mut waiting, &mut parts)?;
    Ok(parts)
}

fn flush(graph: &mut Graph, waiting: &mut [Vec<Link>], to: &mut Vec<Part>) -> Result<(), Refusal> {
    for group in waiting {
        let Some(first) = group.first() else { continue };
        if group.len() < LIST_VALUES_MIN {
            to.extend(group.iter().map(|link| Part::One(link.test)));
        } else {
            let number = first.test.left;
            let values: Vec<u32> = group.iter().map(|link| link.value).collect();
            to.push(Part::Table(number, graph.table(number, &values)?));
        }
        group.clear();
    }
    Ok(())
}

/// Puts `parts` in the place of the chain at `head`.
fn replace(graph: &mut Graph, head: BlockId, yes: BlockId, last: BlockId, parts: &[Part]) {
    let mut no = last;
    for (at, part) in parts.iter().enumerate().rev() {
        let end = match *part {
            Part::One(test) => End::Branch { test, yes, no },
            Part::Table(number, table) => End::Member { number, table, yes, no },
        };
        if at == 0 {
            graph.nodes[head.0 as usize].end = end;
        } else {
            graph.nodes.push(Node { sets: Vec::new(), end });
            no = BlockId(graph.nodes.len() as u32 - 1);
        }
    }
}
