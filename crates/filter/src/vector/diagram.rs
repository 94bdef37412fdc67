//! The nodes as a decision diagram: which lanes decide, in the order in which they lie, and what
//! comes out.
//!
//! A reduced ordered decision diagram (R. E. Bryant, 1986) with three outcomes instead of two.
//! Lanes that do not matter in the end are not in it.

use std::collections::HashMap;

use super::lanes::{Lane, Node, Target, Tests};

/// Steps of making a diagram, at most: it can grow exponentially where the order of the tests
/// contradicts that of the lanes.
const DIAGRAM_STEPS_MAX: usize = 4_000;

/// A node of the diagram, or an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Id(u16);

pub(super) const REJECT: Id = Id(0);
pub(super) const ACCEPT: Id = Id(1);
pub(super) const UNSURE: Id = Id(2);
/// How many outcomes there are: nodes come behind them.
const OUTCOMES: u16 = 3;

/// Something that a frame has or has not: a lane holds, its length lies within bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Variable {
    Lane(Lane),
    Length(u32, u32),
}

pub(super) struct Diagram {
    pub(super) variables: Vec<Variable>,
    pub(super) root: Id,
    /// A variable, and where to go without and with it.
    nodes: Vec<(usize, Id, Id)>,
    known: HashMap<(usize, Id, Id), Id>,
    chosen: HashMap<(usize, Id, Id), Id>,
}

impl Diagram {
    /// None when it would be too large.
    pub(super) fn new(nodes: &[Node]) -> Option<Diagram> {
        let mut variables: Vec<Variable> = Vec::new();
        for node in nodes {
            variables.extend(node.guard.map(Variable::Lane));
            match &node.tests {
                Tests::Lanes(lanes) => variables.extend(lanes.iter().copied().map(Variable::Lane)),
                Tests::Length(low, high) => variables.push(Variable::Length(*low, *high)),
            }
        }
        variables.sort_unstable();
        variables.dedup();
        let (nodes_of, known, chosen) = Default::default();
        let mut diagram = Diagram { variables, root: UNSURE, nodes: nodes_of, known, chosen };
        let mut ids = vec![UNSURE; nodes.len()];
        for (at, node) in nodes.iter().enumerate().rev() {
            ids[at] = diagram.outcome_of(node, &ids)?;
        }
        diagram.root = ids[0];
        Some(diagram)
    }

    fn outcome_of(&mut self, node: &Node, ids: &[Id]) -> Option<Id> {
        let id = |target| match target {
            Target::Reject => REJECT,
            Target::Accept => ACCEPT,
            Target::Unsure => UNSURE,
            Target::Node(at) => ids[at],
        };
        let (yes, no) = (id(node.yes), id(node.no));
        let outcome = match &node.tests {
            Tests::Lanes(lanes) => {
                lanes.iter().try_fold(yes, |yes, lane| self.choose_lane(*lane, yes, no))?
            }
            Tests::Length(low, high) => self.choose(Variable::Length(*low, *high), yes, no)?,
        };
        match node.guard {
            // A load that fails rejects, too.
            Some(guard) if outcome != REJECT => self.choose_lane(guard, outcome, UNSURE),
            _ => Some(outcome),
        }
    }

    fn choose_lane(&mut self, lane: Lane, yes: Id, no: Id) -> Option<Id> {
        if lane.never_holds() { Some(no) } else { self.choose(Variable::Lane(lane), yes, no) }
    }

    fn choose(&mut self, variable: Variable, yes: Id, no: Id) -> Option<Id> {
        let variable = self.variables.binary_search(&variable).ok()?;
        self.choose_at(variable, yes, no)
    }

    /// `yes` for frames that have the variable, else `no`. Recursion is as deep as there are
    /// variables.
    fn choose_at(&mut self, variable: usize, yes: Id, no: Id) -> Option<Id> {
        if yes == no {
            return Some(yes);
        }
        if let Some(id) = self.chosen.get(&(variable, yes, no)) {
            return Some(*id);
        }
        if self.chosen.len() >= DIAGRAM_STEPS_MAX {
            return None;
        }
        let top = variable.min(self.variable(yes)).min(self.variable(no));
        let id = if top == variable {
            let (yes, no) = (self.after(yes, top, true), self.after(no, top, false));
            self.node(top, no, yes)
        } else {
            let [without, with] = [false, true].map(|has| {
                let (yes, no) = (self.after(yes, top, has), self.after(no, top, has));
                self.choose_at(variable, yes, no)
            });
            self.node(top, without?, with?)
        };
        self.chosen.insert((variable, yes, no), id);
        Some(id)
    }

    fn node(&mut self, variable: usize, without: Id, with: Id) -> Id {
        if without == with {
            return with;
        }
        let node = (variable, without, with);
        *self.known.entry(node).or_insert_with(|| {
            self.nodes.push(node);
            Id(self.nodes.len() as u16 - 1 + OUTCOMES)
        })
    }

    fn parts(&self, id: Id) -> Option<(usize, Id, Id)> {
        let at = id.0.checked_sub(OUTCOMES)?;
        Some(self.nodes[usize::from(at)])
    }

    /// The variable that is asked first; that of an outcome is above all.
    pub(super) fn variable(&self, id: Id) -> usize {
        self.parts(id).map_or(usize::MAX, |(variable, ..)| variable)
    }

    /// What remains when it is known whether a frame has `variable`, the first that may matter.
    pub(super) fn after(&self, id: Id, variable: usize, has: bool) -> Id {
        match self.parts(id) {
            Some((first, without, with)) if first == variable => {
                if has {
                    with
                } else {
                    without
                }
            }
            _ => id,
        }
    }

    /// The variables that matter, in order.
    pub(super) fn support(&self) -> Vec<usize> {
        let mut found = vec![false; self.variables.len()];
        let mut seen = vec![false; self.nodes.len()];
        let mut stack = vec![self.root];
        while let Some(id) = stack.pop() {
            let Some((variable, without, with)) = self.parts(id) else { continue };
            if !std::mem::replace(&mut seen[usize::from(id.0 - OUTCOMES)], true) {
                found[variable] = true;
                stack.extend([without, with]);
            }
        }
        (0..found.len()).filter(|variable| found[*variable]).collect()
    }
}
