//! From the IR to lanes and a table of decisions.
//!
//! A *lane* is a 16-bit field at a fixed offset, masked, and the range it must lie in; a 32-bit
//! field is two lanes. A *node* is a block of the program: it holds when its lanes hold. All
//! lanes of all frames are computed, whatever the path; that is why a frame must be as long as the
//! whole *window*: then no load can fail, and the order of the tests does not matter.
//!
//! An offset behind the IPv4 header is taken to be that of a header without options, and the node
//! is *guarded* by the lane that says so. What cannot be decided by lanes is *unsure*: the exact
//! back end decides.

use crate::ir::{Block, BlockId, Compare, End, Number, NumberId, Op, Program, Size, Test};

/// Lanes of one 16-byte load.
pub(super) const LANES_PER_LOAD: usize = 8;
/// Loads of one frame, at most: beyond it native code is faster.
pub(super) const LOADS_MAX: usize = 4;
/// Words of lanes: all lanes, one that always holds, and one for every test of the length.
pub(super) const WORDS_MAX: usize = LOADS_MAX * LANES_PER_LOAD + 1 + LENGTHS_MAX;
/// The lane that always holds.
pub(super) const ALWAYS: u8 = (LOADS_MAX * LANES_PER_LOAD) as u8;
/// Tests of the length on the wire, at most.
const LENGTHS_MAX: usize = 4;
/// How long a window may be.
pub(super) const WINDOW_BYTES_MAX: usize = 256;
/// Nodes, at most.
pub(super) const NODES_MAX: usize = 64;

/// Where a node goes when it is not to another node.
pub(super) const ACCEPT: u8 = 0;
pub(super) const REJECT: u8 = 1;
pub(super) const UNSURE: u8 = 2;
/// Where the first node is; the others follow.
pub(super) const FIRST: u8 = 3;

/// `low <= field & mask <= high`, for the one or two bytes at `offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Lane {
    offset: u32,
    bytes: u32,
    mask: u16,
    low: u16,
    high: u16,
}

/// Sixteen bytes of the frame, and what is done with them.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(16))]
pub(super) struct Load {
    /// For every byte of a lane which byte of the load it is; 0x80 is none.
    pub(super) shuffle: [u8; 16],
    pub(super) mask: [u16; LANES_PER_LOAD],
    pub(super) low: [u16; LANES_PER_LOAD],
    pub(super) high: [u16; LANES_PER_LOAD],
    /// Where in the frame it begins.
    pub(super) offset: usize,
    /// How many lanes are in use.
    pub(super) lanes: usize,
    /// Where the words of its lanes begin.
    pub(super) word: usize,
}

/// One block: where the frames that reach it go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    /// The lane without which the node is unsure.
    pub(super) guard: u8,
    /// The lanes that must hold.
    pub(super) lanes: [u8; 2],
    /// All ones when the test is that they do not.
    pub(super) flip: u64,
    pub(super) yes: u8,
    pub(super) no: u8,
}

/// What is computed for every frame, and how it is decided.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) loads: Vec<Load>,
    pub(super) nodes: Vec<Node>,
    /// Bounds of the length on the wire: `low <= length <= high`.
    pub(super) lengths: Vec<(u32, u32)>,
    /// How long a frame must be, in bytes.
    pub(super) window: usize,
    /// Whether any lane is a range.
    pub(super) ranges: bool,
}

/// A node whose lanes are not yet placed.
struct Draft {
    guard: Option<Lane>,
    tests: Tests,
    flip: bool,
    yes: u8,
    no: u8,
}

enum Tests {
    Lanes(Vec<Lane>),
    Length(u32, u32),
}

/// A field at an offset that is fixed, if the guard holds.
struct Field {
    guard: Option<Lane>,
    offset: u32,
    size: Size,
    mask: u32,
}

/// The plan of a program, if its tests are of the kind that lanes can make.
pub(super) fn plan(program: &Program) -> Option<Plan> {
    let drafts = drafts(program)?;
    let mut lanes: Vec<Lane> = Vec::new();
    for draft in &drafts {
        lanes.extend(draft.guard);
        if let Tests::Lanes(tests) = &draft.tests {
            lanes.extend(tests);
        }
    }
    lanes.sort_unstable();
    lanes.dedup();
    let window = lanes.iter().map(|lane| lane.offset + lane.bytes).max()?.max(16) as usize;
    let (loads, places) = place(&lanes, window)?;
    let mut lengths = Vec::new();
    let nodes = drafts.iter().map(|draft| draft.node(&lanes, &places, &mut lengths));
    let nodes = nodes.collect::<Option<_>>()?;
    let ranges = lanes.iter().any(|lane| lane.low != lane.high);
    Some(Plan { loads, nodes, lengths, window, ranges })
}

impl Draft {
    fn node(&self, lanes: &[Lane], places: &[u8], lengths: &mut Vec<(u32, u32)>) -> Option<Node> {
        let place = |lane: &Lane| lanes.binary_search(lane).map_or(ALWAYS, |at| places[at]);
        let guard = self.guard.as_ref().map_or(ALWAYS, place);
        let flip = if self.flip { u64::MAX } else { 0 };
        let mut both = [ALWAYS; 2];
        match &self.tests {
            Tests::Lanes(tests) => {
                for (place_of, lane) in both.iter_mut().zip(tests) {
                    *place_of = place(lane);
                }
            }
            Tests::Length(low, high) => {
                let known = lengths.iter().position(|known| *known == (*low, *high));
                let at = known.unwrap_or(lengths.len());
                if at == LENGTHS_MAX {
                    return None;
                }
                if known.is_none() {
                    lengths.push((*low, *high));
                }
                both[0] = ALWAYS + 1 + at as u8;
            }
        }
        Some(Node { guard, lanes: both, flip, yes: self.yes, no: self.no })
    }
}

/// Puts sorted lanes into as few loads as a greedy walk finds; says where each one went.
fn place(lanes: &[Lane], window: usize) -> Option<(Vec<Load>, Vec<u8>)> {
    let mut loads: Vec<Load> = Vec::new();
    let mut places = Vec::new();
    for lane in lanes {
        let end = (lane.offset + lane.bytes) as usize;
        let fits =
            loads.last().is_some_and(|load| load.lanes < LANES_PER_LOAD && end <= load.offset + 16);
        if !fits {
            if loads.len() == LOADS_MAX || window > WINDOW_BYTES_MAX {
                return None;
            }
            let offset = (lane.offset as usize).min(window - 16);
            let word = loads.len() * LANES_PER_LOAD;
            loads.push(Load { shuffle: [0x80; 16], offset, word, ..Load::default() });
        }
        let index = loads.len() - 1;
        let load = &mut loads[index];
        let at = load.lanes;
        let first = (lane.offset as usize - load.offset) as u8;
        // Lanes are little-endian: the last byte of the field comes first.
        load.shuffle[2 * at] = first + lane.bytes as u8 - 1;
        if lane.bytes == 2 {
            load.shuffle[2 * at + 1] = first;
        }
        (load.mask[at], load.low[at], load.high[at]) = (lane.mask, lane.low, lane.high);
        load.lanes += 1;
        places.push((load.word + at) as u8);
    }
    Some((loads, places))
}

/// The blocks as nodes; none when the first one is unsure already.
fn drafts(program: &Program) -> Option<Vec<Draft>> {
    let order = program.order();
    let mut nodes = vec![UNSURE; program.blocks.len()];
    let mut known: Vec<(BlockId, Tests, Option<Lane>, bool)> = Vec::new();
    for id in &order {
        let block = program.block(*id);
        nodes[id.0 as usize] = match block.end {
            _ if !block.sets.is_empty() => UNSURE,
            End::Return(accepts) => {
                if accepts {
                    ACCEPT
                } else {
                    REJECT
                }
            }
            End::Jump(_) => UNSURE,
            End::Branch { test, .. } => match tests(program, test) {
                Some((tests, guard, flip)) if known.len() < NODES_MAX => {
                    known.push((*id, tests, guard, flip));
                    FIRST + known.len() as u8 - 1
                }
                _ => UNSURE,
            },
        };
    }
    if nodes[program.entry.0 as usize] != FIRST {
        return None;
    }
    let draft = |(at, (id, tests, guard, flip)): (usize, (BlockId, Tests, Option<Lane>, bool))| {
        let mut targets = program.successors(id).map(|to| match nodes[behind_jumps(program, to)] {
            // A way back: a frame would have to pass this table twice.
            back if (FIRST..=FIRST + at as u8).contains(&back) => UNSURE,
            target => target,
        });
        Some(Draft { guard, tests, flip, yes: targets.next()?, no: targets.next()? })
    };
    known.into_iter().enumerate().map(draft).collect()
}

/// The block that a chain of empty jumps ends in.
fn behind_jumps(program: &Program, mut id: BlockId) -> usize {
    for _ in 0..program.blocks.len() {
        match program.block(id) {
            Block { sets, end: End::Jump(to) } if sets.is_empty() => id = *to,
            _ => break,
        }
    }
    id.0 as usize
}

/// What a test asks of lanes, behind which guard, and whether the outcome is turned round.
fn tests(program: &Program, test: Test) -> Option<(Tests, Option<Lane>, bool)> {
    let constant = program.constant(test.right)?;
    if program.number(test.left) == Number::WireLen {
        let (low, high) = range(test.compare, constant, u32::MAX)?;
        return Some((Tests::Length(low, high), None, false));
    }
    let field = field(program, test.left)?;
    let mask = field.mask & field.size.max();
    let (mask, low, high, flip) = match test.compare {
        Compare::AnyBit => (mask & constant, 0, 0, true),
        compare => {
            let (low, high) = range(compare, constant, field.size.max()).unwrap_or((1, 0));
            (mask, low, high, false)
        }
    };
    let lane = |offset, bytes, mask: u32, low: u32, high: u32| {
        let (mask, low, high) = (mask as u16, low as u16, high as u16);
        Lane { offset, bytes, mask, low, high }
    };
    // What no value can be: a lane of nothing that ought to be 1.
    let never = low > high || (low == high && low & !mask != 0);
    let (mask, low, high) = if never { (0, 0x1_0001, 0x1_0001) } else { (mask, low, high) };
    let lanes = match field.size {
        Size::Byte => vec![lane(field.offset, 1, mask, low, high)],
        Size::Half => vec![lane(field.offset, 2, mask, low, high)],
        Size::Word if low == high => vec![
            lane(field.offset, 2, mask >> 16, low >> 16, low >> 16),
            lane(field.offset + 2, 2, mask, low, low),
        ],
        Size::Word => return None,
    };
    Some((Tests::Lanes(lanes), field.guard, flip))
}

/// The values for which a comparison holds; none when there are none.
fn range(compare: Compare, constant: u32, max: u32) -> Option<(u32, u32)> {
    let (low, high) = match compare {
        Compare::Equal => (constant, constant),
        Compare::Greater => (constant.checked_add(1)?, max),
        Compare::GreaterEqual => (constant, max),
        Compare::AnyBit | Compare::In => return None,
    };
    (low <= max).then_some((low, high))
}

fn field(program: &Program, number: NumberId) -> Option<Field> {
    if let Number::Binary(Op::And, inner, mask) = program.number(number) {
        let field = field(program, inner)?;
        return Some(Field { mask: field.mask & program.constant(mask)?, ..field });
    }
    let Number::Load { base, offset, size } = program.number(number) else { return None };
    let (guard, start) = match base {
        None => (None, 0),
        Some(base) => {
            let (guard, start) = header4(program, base)?;
            (Some(guard), start)
        }
    };
    let offset = offset.checked_add(start)?;
    // Also keeps all sums of offsets small.
    let near = offset as usize + 4 <= WINDOW_BYTES_MAX;
    near.then_some(Field { guard, offset, size, mask: u32::MAX })
}

/// The length of an IPv4 header, taken to be 20 bytes, and the lane that says so.
fn header4(program: &Program, number: NumberId) -> Option<(Lane, u32)> {
    let Number::Binary(op, words, four) = program.number(number) else { return None };
    match (op, program.constant(four)?) {
        (Op::Mul, 4) | (Op::Shl, 2) => {}
        _ => return None,
    }
    let Number::Binary(Op::And, byte, mask) = program.number(words) else { return None };
    let Number::Load { base: None, offset, size: Size::Byte } = program.number(byte) else {
        return None;
    };
    let near = program.constant(mask)? == 0x0f && offset as usize + 4 <= WINDOW_BYTES_MAX;
    near.then_some((Lane { offset, bytes: 1, mask: 0x0f, low: 5, high: 5 }, 20))
}
