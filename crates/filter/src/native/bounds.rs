//! How far one bounds check may reach.
//!
//! A load outside the captured bytes rejects, and loads have no other effect. So a check may ask
//! for all that *every* path from it will load, or for more where the path rejects anyway; and a
//! load needs no check where every path to it has asked for as much. Both are data-flow problems
//! over the blocks, one backward and one forward, solved from the most optimistic answer down.
//!
//! Offsets are tracked by base: the fixed ones, and those from the same number that depends on no
//! slot (the length of an IPv4 header, say). Other loads are checked one by one.

use crate::ir::{BlockId, End, Number, NumberId, Op, Program};

/// How many bases are tracked.
const BASES_MAX: usize = 8;
/// More than any packet has: every path from there rejects.
const NEVER: u64 = u64::MAX;

/// For every block and base, in bytes behind the base.
pub(super) struct Bounds {
    /// `None` is the start of the packet.
    bases: Vec<Option<NumberId>>,
    /// What the block itself loads.
    loads: Vec<Vec<u64>>,
    /// Whether the block can reject by something that is not tracked: another load, a division, or
    /// missing metadata.
    untracked: Vec<bool>,
    /// What every path from the start of the block loads.
    needed: Vec<Vec<u64>>,
    /// What has been checked on every path to the start of the block.
    checked: Vec<Vec<u64>>,
}

impl Bounds {
    /// Solves both problems for the blocks of `order`.
    pub(super) fn new(program: &Program, order: &[BlockId], variable: &[bool]) -> Bounds {
        let mut bounds = Bounds {
            bases: vec![None],
            loads: vec![Vec::new(); program.blocks.len()],
            untracked: vec![false; program.blocks.len()],
            needed: Vec::new(),
            checked: Vec::new(),
        };
        let mut seen = vec![u32::MAX; program.numbers().len()];
        for id in order {
            bounds.collect(program, *id, variable, &mut seen);
        }
        let bases = bounds.bases.len();
        for loads in &mut bounds.loads {
            loads.resize(bases, 0);
        }
        bounds.needed = vec![vec![NEVER; bases]; program.blocks.len()];
        bounds.checked = vec![vec![NEVER; bases]; program.blocks.len()];
        bounds.checked[index(program.entry)].fill(0);
        while bounds.step_backward(program, order) {}
        while bounds.step_forward(program, order) {}
        bounds
    }

    /// Notes the loads of one block, those inside of bases included.
    fn collect(&mut self, program: &Program, id: BlockId, variable: &[bool], seen: &mut [u32]) {
        let block = program.block(id);
        let mut stack: Vec<NumberId> = block.sets.iter().map(|(_, number)| *number).collect();
        if let End::Branch { test, .. } = block.end {
            stack.extend([test.left, test.right]);
        }
        while let Some(number) = stack.pop() {
            if std::mem::replace(&mut seen[number.0 as usize], id.0) == id.0 {
                continue;
            }
            match program.number(number) {
                Number::Load { base, offset, size } => match self.base_or_add(base, variable) {
                    Some(base) => {
                        let end = u64::from(offset) + u64::from(size.bytes());
                        let loads = &mut self.loads[index(id)];
                        loads.resize(loads.len().max(base + 1), 0);
                        loads[base] = loads[base].max(end);
                    }
                    None => self.untracked[index(id)] = true,
                },
                Number::Binary(Op::Div | Op::Mod, ..) | Number::Meta(_) => {
                    self.untracked[index(id)] = true;
                }
                _ => {}
            }
            stack.extend(program.operands(program.number(number)));
        }
    }

    fn base_or_add(&mut self, base: Option<NumberId>, variable: &[bool]) -> Option<usize> {
        if base.is_some_and(|base| variable[base.0 as usize]) {
            return None;
        }
        if let Some(known) = self.base(base) {
            return Some(known);
        }
        if self.bases.len() == BASES_MAX {
            return None;
        }
        self.bases.push(base);
        Some(self.bases.len() - 1)
    }

    /// The place of a base that is tracked.
    pub(super) fn base(&self, base: Option<NumberId>) -> Option<usize> {
        self.bases.iter().position(|known| *known == base)
    }

    /// What has been checked at the start of a block, by base.
    pub(super) fn checked(&self, id: BlockId) -> &[u64] {
        &self.checked[index(id)]
    }

    /// How far a check in `id` may reach.
    pub(super) fn needed(&self, id: BlockId, base: usize) -> u64 {
        self.needed[index(id)][base]
    }

    /// Whether nothing in `id` can reject where so much is checked.
    pub(super) fn covered(&self, id: BlockId, checked: &[u64]) -> bool {
        let loads = &self.loads[index(id)];
        !self.untracked[index(id)] && loads.iter().zip(checked).all(|(load, known)| load <= known)
    }

    /// Whether every path from `id` rejects.
    pub(super) fn rejects(&self, id: BlockId) -> bool {
        self.needed[index(id)][0] == NEVER
    }

    fn step_backward(&mut self, program: &Program, order: &[BlockId]) -> bool {
        let mut changed = false;
        for id in order.iter().rev() {
            for base in 0..self.bases.len() {
                let after = match program.block(*id).end {
                    End::Return(accepts) => {
                        if accepts {
                            0
                        } else {
                            NEVER
                        }
                    }
                    End::Jump(to) => self.needed(to, base),
                    End::Branch { yes, no, .. } => {
                        self.needed(yes, base).min(self.needed(no, base))
                    }
                };
                let needed = after.max(self.loads[index(*id)][base]);
                changed |= needed != self.needed(*id, base);
                self.needed[index(*id)][base] = needed;
            }
        }
        changed
    }

    fn step_forward(&mut self, program: &Program, order: &[BlockId]) -> bool {
        let mut changed = false;
        for id in order {
            for base in 0..self.bases.len() {
                let before = self.checked[index(*id)][base];
                let checks = self.loads[index(*id)][base] > before;
                let known = if checks { self.needed(*id, base) } else { before };
                for to in program.successors(*id) {
                    let checked = &mut self.checked[index(to)][base];
                    changed |= known < *checked;
                    *checked = known.min(*checked);
                }
            }
        }
        changed
    }
}

fn index(id: BlockId) -> usize {
    id.0 as usize
}
