//! Lists as comparisons, for back ends that cannot look into memory.
//!
//! A list becomes a tree: halves are told apart until few values are left, which are compared one
//! by one. Neighbouring values are a range, and so two comparisons at most.

use crate::ir::{Block, BlockId, Compare, End, NumberId, Program, Test};

/// Ranges that share a way out: classic BPF jumps over at most 255 instructions at once, so that
/// targets far away cost each comparison two instructions more.
const NEAR_RANGES: usize = 128;
/// From so many ranges on a way out of their own is worth it.
const NEAR_RANGES_MIN: usize = 12;
/// From so many values in a row on a range is fewer comparisons.
const RANGE_VALUES_MIN: u32 = 3;

/// The same program, in which only lists of at least `values_min` values are left. Up to `leaf`
/// ranges are compared one by one: few are fast, many are short.
pub(crate) fn expand(program: &Program, values_min: usize, leaf: usize) -> Program {
    let mut program = program.clone();
    for id in program.order() {
        let End::Branch { test, yes, no } = program.block(id).end else { continue };
        let Some(values) = program.values(test.right) else { continue };
        if values.len() < values_min {
            let ranges = ranges(values);
            let mut tree = Tree { program: &mut program, left: test.left, leaf };
            let end = tree.of(&ranges, [yes, no], false);
            program.blocks[id.0 as usize].end = end;
        }
    }
    program
}

/// Values in a row together; single ones alone.
fn ranges(values: &[u32]) -> Vec<(u32, u32)> {
    let mut ranges = Vec::new();
    for run in values.chunk_by(|one, next| one + 1 == *next) {
        let (low, high) = (run[0], run[run.len() - 1]);
        if high - low + 1 >= RANGE_VALUES_MIN {
            ranges.push((low, high));
        } else {
            ranges.extend(run.iter().map(|value| (*value, *value)));
        }
    }
    ranges
}

struct Tree<'a> {
    program: &'a mut Program,
    left: NumberId,
    leaf: usize,
}

impl Tree<'_> {
    /// Depth is the logarithm of the number of ranges.
    fn of(&mut self, ranges: &[(u32, u32)], exits: [BlockId; 2], near: bool) -> End {
        if !near && (NEAR_RANGES_MIN..=NEAR_RANGES).contains(&ranges.len()) {
            let exits = exits.map(|to| self.add(End::Jump(to)));
            return self.of(ranges, exits, true);
        }
        let [yes, no] = exits;
        if ranges.len() <= self.leaf {
            return ranges.iter().rev().fold(End::Jump(no), |rest, range| {
                let no = if rest == End::Jump(no) { no } else { self.add(rest) };
                self.one(*range, yes, no)
            });
        }
        let (lower, upper) = ranges.split_at(ranges.len() / 2);
        let [no, yes] = [lower, upper].map(|half| {
            let end = self.of(half, exits, near);
            self.add(end)
        });
        End::Branch { test: self.test(Compare::GreaterEqual, upper[0].0), yes, no }
    }

    fn one(&mut self, (low, high): (u32, u32), yes: BlockId, no: BlockId) -> End {
        if low == high {
            return End::Branch { test: self.test(Compare::Equal, low), yes, no };
        }
        let test = self.test(Compare::Greater, high);
        let inside = self.add(End::Branch { test, yes: no, no: yes });
        End::Branch { test: self.test(Compare::GreaterEqual, low), yes: inside, no }
    }

    fn test(&mut self, compare: Compare, value: u32) -> Test {
        Test { left: self.left, compare, right: self.program.literal(value) }
    }

    fn add(&mut self, end: End) -> BlockId {
        self.program.add(Block { sets: Vec::new(), end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Packet;
    use crate::interp::run;
    use crate::ir::{Number, Size};

    #[test]
    fn a_tree_holds_what_its_list_holds() {
        for step in [1, 2, 97] {
            for count in [1, 2, 3, 4, 5, 16, 100, 600] {
                let mut program = Program::new(1);
                let left = Number::Load { base: None, offset: 0, size: Size::Half };
                let left = program.intern(left);
                let values: Vec<u32> = (0..count).map(|n| 50 + step * n).collect();
                let right = program.list(&values);
                let test = Test { left, compare: Compare::In, right };
                let end = End::Branch { test, yes: BlockId(1), no: BlockId(2) };
                program.add(Block { sets: Vec::new(), end });
                program.add(Block { sets: Vec::new(), end: End::Return(true) });
                program.add(Block { sets: Vec::new(), end: End::Return(false) });
                let expanded = expand(&program, usize::MAX, 3);
                for value in 0..=0xffff_u16 {
                    let packet =
                        Packet { bytes: &value.to_be_bytes(), wire_len: 2, metadata: None };
                    assert_eq!(run(&expanded, &packet), run(&program, &packet), "{value}");
                }
                let code = crate::classic::emit(&program).unwrap();
                assert!(code.len() <= 10 + count as usize * 3 / 2, "{} for {count}", code.len());
            }
        }
    }
}
