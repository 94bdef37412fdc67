//! Seeded random programs in the IR: what no text would ever make.

use tickwire_filter::generate::Random;
use tickwire_filter::ir::{
    Block, BlockId, Compare, End, Number, NumberId, Op, Program, Size, Slot, Test,
};

/// The most slots of a random program.
const SLOTS_MAX: usize = 4;
/// How often a random loop runs at most.
const ROUNDS_MAX: u32 = 9;

const OPS: [Op; 10] =
    [Op::Add, Op::Sub, Op::Mul, Op::Div, Op::Mod, Op::And, Op::Or, Op::Xor, Op::Shl, Op::Shr];
const COMPARES: [Compare; 4] =
    [Compare::Equal, Compare::Greater, Compare::GreaterEqual, Compare::AnyBit];
const SIZES: [Size; 3] = [Size::Byte, Size::Half, Size::Word];
const VALUES: [u32; 16] =
    [0, 1, 2, 3, 4, 5, 8, 15, 31, 32, 33, 0xff, 0x102, 0xffff, 0x1_0000, u32::MAX];

/// Makes programs.
pub struct Programs {
    random: Random,
}

impl Programs {
    pub fn new(seed: u64) -> Self {
        Programs { random: Random::new(seed) }
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.random.below(from.len())]
    }

    /// A program of a few blocks, some with a loop.
    pub fn program(&mut self) -> Program {
        let mut program = Program::new(1);
        program.slots = self.random.below(SLOTS_MAX + 1) as u8;
        let numbers: Vec<NumberId> =
            (0..2 + self.random.below(5)).map(|_| self.number(&mut program, 3)).collect();
        let count = 2 + self.random.below(12);
        let accept = BlockId(count as u32);
        let reject = BlockId(count as u32 + 1);
        for at in 0..count {
            let sets = self.sets(&mut program, &numbers);
            let target = |random: &mut Random| match random.below(6) {
                0 => accept,
                1 => reject,
                _ => BlockId((at + 1 + random.below(3)).min(count + 1) as u32),
            };
            let (yes, no) = (target(&mut self.random), target(&mut self.random));
            let end = match self.random.below(8) {
                0 => End::Jump(yes),
                _ => End::Branch { test: self.test(&mut program, &numbers), yes, no },
            };
            program.add(Block { sets, end });
        }
        program.add(Block { sets: Vec::new(), end: End::Return(true) });
        program.add(Block { sets: Vec::new(), end: End::Return(false) });
        if self.random.one_in(3) {
            self.add_loop(&mut program, &numbers, count);
        }
        program
    }

    fn sets(&mut self, program: &mut Program, numbers: &[NumberId]) -> Vec<(Slot, NumberId)> {
        if program.slots == 0 || !self.random.one_in(3) {
            return Vec::new();
        }
        let slots = usize::from(program.slots);
        let some = |random: &mut Random| Slot(random.below(slots) as u8);
        let count = 1 + self.random.below(2);
        (0..count).map(|_| (some(&mut self.random), self.pick(numbers))).collect()
    }

    fn test(&mut self, program: &mut Program, numbers: &[NumberId]) -> Test {
        let left = self.pick(numbers);
        let right = match self.random.below(5) {
            0 => self.pick(numbers),
            _ => {
                let value = self.pick(&VALUES);
                program.literal(value)
            }
        };
        Test { left, compare: self.pick(&COMPARES), right }
    }

    fn number(&mut self, program: &mut Program, depth: usize) -> NumberId {
        let kind = if depth == 0 { self.random.below(4) } else { self.random.below(9) };
        let number = match kind {
            0 => Number::Const(self.pick(&VALUES)),
            1 if program.slots > 0 => {
                Number::Slot(Slot(self.random.below(usize::from(program.slots)) as u8))
            }
            2 => Number::WireLen,
            1..=5 => {
                let base =
                    (depth > 0 && self.random.one_in(3)).then(|| self.number(program, depth - 1));
                let offset = match self.random.below(20) {
                    0 => 2000,
                    1 => 32_760,
                    _ => self.random.below(64) as u32,
                };
                Number::Load { base, offset, size: self.pick(&SIZES) }
            }
            6 => {
                // A header length, as filters have it.
                let byte = Number::Load { base: None, offset: 14, size: Size::Byte };
                let byte = program.intern(byte);
                let words = program.binary_const(Op::And, byte, 15);
                let two = program.literal(2);
                Number::Binary(Op::Shl, words, two)
            }
            _ => {
                let op = self.pick(&OPS);
                let left = self.number(program, depth - 1);
                Number::Binary(op, left, self.number(program, depth - 1))
            }
        };
        program.intern(number)
    }

    /// Sends one exit of a block back to an earlier one, by way of a counter of its own.
    fn add_loop(&mut self, program: &mut Program, numbers: &[NumberId], count: usize) {
        let counter = Slot(program.slots);
        program.slots += 1;
        let from = self.random.below(count);
        let to = BlockId(self.random.below(from + 1) as u32);
        let counted = program.intern(Number::Slot(counter));
        let more = program.binary_const(Op::Add, counted, 1);
        let max = program.literal(1 + self.random.below(ROUNDS_MAX as usize) as u32);
        let test = Test { left: counted, compare: Compare::Greater, right: max };
        let out = BlockId(count as u32 + self.random.below(2) as u32);
        let end = End::Branch { test, yes: out, no: to };
        let back = program.add(Block { sets: vec![(counter, more)], end });
        let test = self.test(program, numbers);
        if let End::Branch { yes, .. } = program.blocks[from].end {
            program.blocks[from].end = End::Branch { test, yes, no: back };
        }
    }
}
