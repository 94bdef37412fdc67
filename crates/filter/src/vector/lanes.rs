//! From the IR to lanes and nodes.
//!
//! A *lane* is a 16-bit field at a fixed offset, masked, and the range it must lie in; a 32-bit
//! field is two lanes. A *node* is a block of the program: it holds when its lanes hold. All
//! lanes of all frames are computed, whatever the path; that is why a frame must be as long as the
//! whole *window*: then no load can fail, and the order of the tests does not matter.
//!
//! What cannot be decided by lanes is *unsure*: the exact back end decides. So is what is known
//! to be rare, where deciding it would make all other packets slower: an IPv4 header with options
//! (an offset behind it is taken to be that of a header of 20 bytes, and the node is *guarded* by
//! the lane that says so), and what lies behind the Fragment header of IPv6.

use crate::ir::{Block, BlockId, Compare, End, Number, NumberId, Op, Program, Size, Test};

/// How long a window may be.
pub(super) const WINDOW_BYTES_MAX: usize = 256;
/// Nodes, at most.
const NODES_MAX: usize = 64;
/// The first byte of an IPv4 header without options: version 4, five words.
const IPV4_WITHOUT_OPTIONS: u16 = 0x45;
/// The number of the Fragment header in IPv6 (RFC 8200, section 4.5).
const IPV6_FRAGMENT: u32 = 44;

/// `low <= field & mask <= high`, for the one or two bytes at `offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lane {
    pub(super) offset: u32,
    pub(super) bytes: u32,
    pub(super) mask: u16,
    pub(super) low: u16,
    pub(super) high: u16,
}

impl Lane {
    /// What is left of a masked field of which nothing is asked: no need to look.
    fn always_holds(&self) -> bool {
        self.low == 0 && self.high >= self.mask
    }

    /// Whether no value of the field can lie in the range.
    pub(super) fn never_holds(&self) -> bool {
        self.low > self.mask
    }

    /// Whether no frame can have both: they ask different things of the same field.
    pub(super) fn excludes(&self, other: &Lane) -> bool {
        let field = |lane: &Lane| (lane.offset, lane.bytes, lane.mask);
        field(self) == field(other) && (self.high < other.low || other.high < self.low)
    }
}

/// Where a node sends a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Reject,
    Accept,
    Unsure,
    /// The node at this place, which is a later one.
    Node(usize),
}

/// What a node asks.
#[derive(Clone, Debug)]
pub(super) enum Tests {
    /// All of these hold.
    Lanes(Vec<Lane>),
    /// `low <= length on the wire <= high`.
    Length(u32, u32),
}

/// One block.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// The lane without which the node is unsure.
    pub(super) guard: Option<Lane>,
    pub(super) tests: Tests,
    pub(super) yes: Target,
    pub(super) no: Target,
    /// How long a frame must be for its loads to succeed, in bytes.
    pub(super) window: usize,
}

/// A field at an offset that is fixed, if the guard holds.
struct Field {
    guard: Option<Lane>,
    offset: u32,
    size: Size,
    mask: u32,
}

/// The blocks as nodes, and how long a frame must be for all of their loads to succeed, in bytes.
/// None when the first one is unsure already.
pub(super) fn nodes(program: &Program) -> Option<(Vec<Node>, usize)> {
    let order = program.order();
    let mut targets = vec![Target::Unsure; program.blocks.len()];
    let mut known = Vec::new();
    for id in &order {
        let block = program.block(*id);
        targets[id.0 as usize] = match block.end {
            _ if !block.sets.is_empty() => Target::Unsure,
            End::Return(true) => Target::Accept,
            End::Return(false) => Target::Reject,
            End::Jump(_) => Target::Unsure,
            End::Branch { test, .. } => match tests(program, test) {
                Some(tests) if known.len() < NODES_MAX => {
                    known.push((*id, test, tests));
                    Target::Node(known.len() - 1)
                }
                _ => Target::Unsure,
            },
        };
    }
    if targets[program.entry.0 as usize] != Target::Node(0) {
        return None;
    }
    let node = |(at, (id, test, (tests, guard, flip)))| {
        let mut ends = program.successors(id).map(|to| match targets[behind_jumps(program, to)] {
            // A way back: a frame would have to pass the nodes twice.
            Target::Node(back) if back <= at => Target::Unsure,
            target => target,
        });
        let (mut yes, mut no) = (ends.next()?, ends.next()?);
        if fragment(program, test) && matches!(yes, Target::Node(_)) {
            yes = Target::Unsure;
        }
        if flip {
            (yes, no) = (no, yes);
        }
        let window = window(program, test.left, guard);
        Some(Node { guard, tests, yes, no, window })
    };
    let nodes: Vec<Node> = known.into_iter().enumerate().map(node).collect::<Option<_>>()?;
    let window = longest_window(&nodes);
    Some((nodes, window))
}

/// The window of the nodes that frames can reach.
fn longest_window(nodes: &[Node]) -> usize {
    let mut reached = vec![false; nodes.len()];
    reached[0] = true;
    let mut window = 0;
    for (at, node) in nodes.iter().enumerate() {
        if !reached[at] {
            continue;
        }
        window = window.max(node.window);
        for target in [node.yes, node.no] {
            if let Target::Node(next) = target {
                reached[next] = true;
            }
        }
    }
    window
}

/// How long a frame must be for the field of a test and its guard, in bytes.
fn window(program: &Program, left: NumberId, guard: Option<Lane>) -> usize {
    let guard = guard.map_or(0, |lane| lane.offset + lane.bytes);
    let field = field(program, left).map_or(0, |field| field.offset + field.size.bytes());
    guard.max(field) as usize
}

/// Whether a test asks for the Fragment header of IPv6.
fn fragment(program: &Program, test: Test) -> bool {
    let byte = matches!(program.number(test.left), Number::Load { size: Size::Byte, .. });
    byte && test.compare == Compare::Equal && program.constant(test.right) == Some(IPV6_FRAGMENT)
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
    let mut lanes = match field.size {
        Size::Byte => vec![lane(field.offset, 1, mask, low, high)],
        Size::Half => vec![lane(field.offset, 2, mask, low, high)],
        Size::Word if low == high => vec![
            lane(field.offset, 2, mask >> 16, low >> 16, low >> 16),
            lane(field.offset + 2, 2, mask, low, low),
        ],
        Size::Word => return None,
    };
    lanes.retain(|lane| !lane.always_holds());
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
    let low = IPV4_WITHOUT_OPTIONS;
    near.then_some((Lane { offset, bytes: 1, mask: 0xff, low, high: low }, 20))
}
