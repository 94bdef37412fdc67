//! The control-flow graph that is emitted: that of the IR, with long lists as one test each, and
//! with what has to be known of every block before its code can be written.

use super::lists;
use super::simplify::{simplify, variable};
use super::values::{self, raw_size};
use super::{OFFSET_MAX, Refusal, Short};
use crate::expand::expand;
use crate::ir::{self, BlockId, Number, NumberId, Op, Program, Size, Slot, Test};
use crate::table::{LIST_VALUES_MIN, Table};

/// Ranges of a short list that are compared one by one.
const LEAF_RANGES: usize = 3;

/// Where a node goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// As in the IR.
    Branch { test: Test, yes: BlockId, no: BlockId },
    /// To `yes` when `number` is in the table.
    Member { number: NumberId, table: usize, yes: BlockId, no: BlockId },
    /// As in the IR.
    Jump(BlockId),
    /// As in the IR.
    Return(bool),
}

/// A block.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub sets: Vec<(Slot, NumberId)>,
    pub end: End,
}

impl Node {
    pub fn successors(&self) -> impl Iterator<Item = BlockId> + use<> {
        let pair = match self.end {
            End::Branch { yes, no, .. } | End::Member { yes, no, .. } => [Some(yes), Some(no)],
            End::Jump(to) => [Some(to), None],
            End::Return(_) => [None, None],
        };
        pair.into_iter().flatten()
    }

    /// The numbers that it computes.
    pub fn numbers(&self) -> impl Iterator<Item = NumberId> + '_ {
        let pair = match self.end {
            End::Branch { test, .. } => [Some(test.left), Some(test.right)],
            End::Member { number, .. } => [Some(number), None],
            _ => [None, None],
        };
        self.sets.iter().map(|(_, number)| *number).chain(pair.into_iter().flatten())
    }
}

/// The program as it is emitted.
#[derive(Clone, Debug)]
pub(super) struct Graph {
    pub program: Program,
    pub nodes: Vec<Node>,
    pub tables: Vec<Table>,
    /// The nodes that are emitted, each after all that lead to it but for ways back.
    pub order: Vec<BlockId>,
    /// The place of a node in `order`; `usize::MAX` for one that nothing leads to.
    pub rank: Vec<usize>,
    /// Whether a way back leads to a node.
    pub looped: Vec<bool>,
    /// How many bytes at the start of the packet must be there on every way from a node on that
    /// may accept.
    pub needed: Vec<u32>,
    /// For every number: whether it depends on a slot.
    pub variable: Vec<bool>,
    /// For every number: in how many places it is an operand.
    pub uses: Vec<u32>,
    /// Of a part, not the whole.
    pub short: Short,
}

impl Graph {
    pub fn new(program: &Program, short: Short) -> Result<Graph, Refusal> {
        let mut program = program.clone();
        simplify(&mut program);
        lists::collect(&mut program);
        let program = expand(&program, LIST_VALUES_MIN, LEAF_RANGES);
        let rejects = rejecting(&program);
        let nodes = program.blocks.iter().map(|block| node(block, &rejects)).collect();
        let variable = variable(&program);
        let mut graph = Graph {
            nodes,
            tables: Vec::new(),
            order: Vec::new(),
            rank: Vec::new(),
            looped: Vec::new(),
            needed: Vec::new(),
            variable,
            uses: vec![0; program.numbers().len()],
            short,
            program,
        };
        graph.lay_out();
        graph.make_tables()?;
        graph.find_needs();
        graph.lay_out();
        graph.check_numbers()?;
        Ok(graph)
    }

    /// Lists become tables.
    fn make_tables(&mut self) -> Result<(), Refusal> {
        for &id in &self.order.clone() {
            let End::Branch { test, yes, no } = self.node(id).end else { continue };
            let Some(values) = self.program.values(test.right).map(<[u32]>::to_vec) else {
                continue;
            };
            let table = self.table(test.left, &values)?;
            self.nodes[id.0 as usize].end = End::Member { number: test.left, table, yes, no };
        }
        Ok(())
    }

    pub fn node(&self, id: BlockId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// The verdict behind an edge, where it leads to nothing else.
    pub fn verdict(&self, id: BlockId) -> Option<bool> {
        match self.node(id) {
            Node { sets, end: End::Return(verdict) } if sets.is_empty() => Some(*verdict),
            _ => None,
        }
    }

    /// Reverse postorder.
    fn lay_out(&mut self) {
        let mut seen = vec![false; self.nodes.len()];
        self.order.clear();
        let mut stack = vec![(self.program.entry, false)];
        while let Some((id, done)) = stack.pop() {
            if done {
                self.order.push(id);
            } else if !std::mem::replace(&mut seen[id.0 as usize], true) {
                stack.push((id, true));
                // The last one pushed is finished first and so comes last: the longer way of a
                // list, `no`, falls through.
                let next: Vec<BlockId> = self.node(id).successors().collect();
                stack.extend(next.into_iter().map(|to| (to, false)));
            }
        }
        self.order.reverse();
        self.rank = vec![usize::MAX; self.nodes.len()];
        for (at, id) in self.order.iter().enumerate() {
            self.rank[id.0 as usize] = at;
        }
        self.looped = vec![false; self.nodes.len()];
        for &id in &self.order {
            for to in self.nodes[id.0 as usize].successors() {
                self.looped[to.0 as usize] |= self.is_back(id, to);
            }
        }
    }

    /// Whether an edge leads back.
    pub fn is_back(&self, from: BlockId, to: BlockId) -> bool {
        self.rank[to.0 as usize] <= self.rank[from.0 as usize]
    }

    /// Refuses what XDP does not have, and counts the uses of numbers.
    fn check_numbers(&mut self) -> Result<(), Refusal> {
        let mut walks = false;
        let mut seen = vec![false; self.program.numbers().len()];
        let mut stack: Vec<NumberId> = Vec::new();
        for &id in &self.order {
            stack.extend(self.nodes[id.0 as usize].numbers());
        }
        stack.iter().for_each(|id| self.uses[id.0 as usize] += 1);
        while let Some(id) = stack.pop() {
            if std::mem::replace(&mut seen[id.0 as usize], true) {
                continue;
            }
            let number = self.program.number(id);
            match number {
                Number::Meta(meta) => return Err(Refusal::Metadata(meta)),
                Number::CapturedLen => walks = true,
                Number::Load { offset, .. } if offset > OFFSET_MAX => {
                    return Err(Refusal::Offset { offset });
                }
                _ => {}
            }
            for operand in self.program.operands(number) {
                self.uses[operand.0 as usize] += 1;
                stack.push(operand);
            }
        }
        if walks { Err(Refusal::Messages) } else { Ok(()) }
    }

    /// A way that ends in "reject" does not care how long the packet is, so it does not lower what
    /// the others need: a packet that is too short is rejected either way.
    fn find_needs(&mut self) {
        let extents = self.extents();
        self.needed = vec![0; self.nodes.len()];
        for &id in self.order.iter().rev() {
            let node = self.node(id);
            let own = node.numbers().map(|number| extents[number.0 as usize]).max().unwrap_or(0);
            let later = match node.end {
                End::Return(verdict) => (!verdict).then_some(u32::MAX),
                _ => node
                    .successors()
                    .map(|to| if self.is_back(id, to) { 0 } else { self.needed[to.0 as usize] })
                    .min(),
            };
            self.needed[id.0 as usize] = own.max(later.unwrap_or(0));
        }
        // Where all ways reject, there is nothing to compute.
        for (node, _) in self.nodes.iter_mut().zip(&self.needed).filter(|(_, n)| **n == u32::MAX) {
            *node = Node { sets: Vec::new(), end: End::Return(false) };
        }
    }

    /// For every number how many bytes at the start of the packet its loads at fixed places take.
    fn extents(&self) -> Vec<u32> {
        let mut extents: Vec<u32> = Vec::with_capacity(self.program.numbers().len());
        for &number in self.program.numbers() {
            let below = self.program.operands(number).map(|id| extents[id.0 as usize]).max();
            let own = match number {
                // What lies beyond is refused where it is used.
                Number::Load { base: None, offset, size } => offset.saturating_add(size.bytes()),
                _ => 0,
            };
            extents.push(own.max(below.unwrap_or(0)));
        }
        extents
    }

    /// The table of `list`, shared with an equal one. The keys are as the program has them at hand:
    /// in network order for what is loaded.
    fn table(&mut self, number: NumberId, list: &[u32]) -> Result<usize, Refusal> {
        let raw = raw_size(&self.program, number);
        let largest = raw.map_or_else(|| values::largest(&self.program, number), Size::max);
        let fitting = list.iter().filter(|value| raw.is_none_or(|size| **value <= size.max()));
        let keys = fitting.map(|value| values::in_order(*value, raw));
        let refusal = Refusal::ListTooLong { values: list.len() };
        let table = Table::new(keys, largest).ok_or(refusal)?;
        if let Some(at) = self.tables.iter().position(|known| *known == table) {
            return Ok(at);
        }
        self.tables.push(table);
        Ok(self.tables.len() - 1)
    }
}

/// For every number whether computing it always rejects: a division by the constant 0.
fn rejecting(program: &Program) -> Vec<bool> {
    let mut rejects: Vec<bool> = Vec::with_capacity(program.numbers().len());
    for &number in program.numbers() {
        let below = program.operands(number).any(|id| rejects[id.0 as usize]);
        let own = match number {
            Number::Binary(Op::Div | Op::Mod, _, right) => program.constant(right) == Some(0),
            _ => false,
        };
        rejects.push(below || own);
    }
    rejects
}

fn node(block: &ir::Block, rejects: &[bool]) -> Node {
    let end = match block.end {
        ir::End::Branch { test, yes, no } => End::Branch { test, yes, no },
        ir::End::Jump(to) => End::Jump(to),
        ir::End::Return(verdict) => End::Return(verdict),
    };
    let node = Node { sets: block.sets.clone(), end };
    let hopeless = node.numbers().any(|number| rejects[number.0 as usize]);
    if hopeless { Node { sets: Vec::new(), end: End::Return(false) } } else { node }
}
