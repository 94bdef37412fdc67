//! From a decision diagram to tables that decide 64 frames with a few instructions.
//!
//! The lanes of a frame are bytes of up to five planes, each of two *groups* of four bits. A *term*
//! is a set of values for every group: a frame whose groups all lie in their sets has the term's
//! outcome. Eight terms at a time become a byte for each of the 16 values of a group; the
//! conjunction of a frame's bytes are the terms that it meets. (The trick of "shufti" in
//! Hyperscan: X. Wang et al., NSDI 2019.)

use super::diagram::{ACCEPT, Diagram, Id, REJECT, UNSURE, Variable};
use super::layout::{PLANE_LANES, PLANES_MAX};

/// Bits of a group.
const GROUP_BITS: usize = 4;
/// Groups of all planes: those of lanes, and the one of the tests of the length.
const GROUPS_MAX: usize = (PLANES_MAX + 1) * PLANE_LANES / GROUP_BITS;
/// Terms of one table.
const TABLE_TERMS: usize = 8;
/// Terms, at most: beyond it native code is faster.
const TERMS_MAX: usize = 3 * TABLE_TERMS;
/// Terms before they are merged, at most.
const TERMS_FOUND_MAX: usize = 64;
/// All values of a group.
const ANY: u16 = u16::MAX;

/// Up to eight terms.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(super) struct Table {
    /// For both groups of each plane, the lower bits first, and each of their values the terms
    /// that allow it.
    pub(super) planes: [[[u8; 16]; 2]; PLANES_MAX + 1],
    /// The terms that accept.
    pub(super) accept: u8,
    /// The terms that leave it to the exact back end.
    pub(super) unsure: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Term {
    outcome: Id,
    /// The values of each group, a bit each.
    sets: [u16; GROUPS_MAX],
}

struct Finder<'a> {
    diagram: &'a Diagram,
    /// Where each variable is: bit *n* of plane *p* is *8 * p + n*.
    places: &'a [usize],
    /// Values that no frame has, by group.
    impossible: [u16; GROUPS_MAX],
    terms: Vec<Term>,
}

/// The tables for variables at `places`; none when there are too many terms.
pub(super) fn tables(diagram: &Diagram, places: &[usize]) -> Option<Vec<Table>> {
    let impossible = impossible(diagram, places);
    let mut finder = Finder { diagram, places, impossible, terms: Vec::new() };
    finder.find(diagram.root, [ANY; GROUPS_MAX])?;
    let mut terms = finder.terms;
    while merge(&mut terms) {}
    (terms.len() <= TERMS_MAX).then(|| terms.chunks(TABLE_TERMS).map(table).collect())
}

/// Values of a group in which two lanes hold that exclude each other.
fn impossible(diagram: &Diagram, places: &[usize]) -> [u16; GROUPS_MAX] {
    let mut impossible = [0; GROUPS_MAX];
    for (one, other) in (0..places.len()).flat_map(|one| (0..one).map(move |other| (one, other))) {
        let (Variable::Lane(left), Variable::Lane(right)) =
            (diagram.variables[one], diagram.variables[other])
        else {
            continue;
        };
        let used = places[one] != usize::MAX && places[other] != usize::MAX;
        if used && places[one] / GROUP_BITS == places[other] / GROUP_BITS && left.excludes(&right) {
            let both = 1 << (places[one] % GROUP_BITS) | 1 << (places[other] % GROUP_BITS);
            let values = (0..16u16).filter(|value| value & both == both);
            impossible[places[one] / GROUP_BITS] |= values.fold(0, |set, value| set | 1 << value);
        }
    }
    impossible
}

impl Finder<'_> {
    /// The terms below a node, each with `sets` for the groups before it. Recursion is as deep as
    /// there are groups.
    fn find(&mut self, id: Id, sets: [u16; GROUPS_MAX]) -> Option<()> {
        if id == REJECT {
            return Some(());
        }
        let Some(group) = self.group(id) else {
            self.terms.push(Term { outcome: id, sets });
            return (self.terms.len() <= TERMS_FOUND_MAX).then_some(());
        };
        let mut after: Vec<(Id, u16)> = Vec::new();
        for value in (0..16).filter(|value| self.impossible[group] >> value & 1 == 0) {
            let next = self.after(id, group, value);
            match after.iter_mut().find(|(known, _)| *known == next) {
                Some((_, set)) => *set |= 1 << value,
                None => after.push((next, 1 << value)),
            }
        }
        for (next, set) in after {
            let mut sets = sets;
            sets[group] = set | self.impossible[group];
            self.find(next, sets)?;
        }
        Some(())
    }

    /// The group of a node; none for an outcome.
    fn group(&self, id: Id) -> Option<usize> {
        self.places.get(self.diagram.variable(id)).map(|place| place / GROUP_BITS)
    }

    /// Where a node leads when the bits of its group are known.
    fn after(&self, mut id: Id, group: usize, value: u16) -> Id {
        while self.group(id) == Some(group) {
            let variable = self.diagram.variable(id);
            let has = value >> (self.places[variable] % GROUP_BITS) & 1 == 1;
            id = self.diagram.after(id, variable, has);
        }
        id
    }
}

/// Makes one term of two that differ in one group only; whether there were such.
fn merge(terms: &mut Vec<Term>) -> bool {
    for one in 0..terms.len() {
        for other in one + 1..terms.len() {
            let (left, right) = (terms[one], terms[other]);
            let mut groups = (0..GROUPS_MAX).filter(|at| left.sets[*at] != right.sets[*at]);
            let (first, second) = (groups.next(), groups.next());
            if let (true, Some(group), None) = (left.outcome == right.outcome, first, second) {
                terms[one].sets[group] |= right.sets[group];
                terms.swap_remove(other);
                return true;
            }
        }
    }
    false
}

fn table(terms: &[Term]) -> Table {
    let terms_where = |holds: &dyn Fn(&Term) -> bool| {
        let bits = terms.iter().enumerate().map(|(at, term)| u8::from(holds(term)) << at);
        bits.fold(0, |all, bit| all | bit)
    };
    let allow =
        |group: usize, value: usize| terms_where(&|term| term.sets[group] >> value & 1 == 1);
    Table {
        planes: std::array::from_fn(|plane| {
            std::array::from_fn(|half| std::array::from_fn(|value| allow(2 * plane + half, value)))
        }),
        accept: terms_where(&|term| term.outcome == ACCEPT),
        unsure: terms_where(&|term| term.outcome == UNSURE),
    }
}
