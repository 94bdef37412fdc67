//! The part of a filter that a kernel can decide.
//!
//! Where a program asks what the kernel cannot answer, it is opened: the packets that get there
//! pass, and user space, which runs the whole filter again, decides them. So the part accepts all
//! that the whole accepts, and more. A test that can only lead to one verdict but "reject" does not
//! have to be asked: of `inbound and udp` the part `udp` is left.
//!
//! A walk over messages ends after a number of them ([`unrolled`]): where one more follows, the
//! packet passes.

use std::collections::HashMap;

use crate::ir::{Block, BlockId, End, Number, NumberId, Program, Slot};

/// How often a program is made smaller before nothing of it is tried.
const ATTEMPTS_MAX: usize = 40;

/// What a back end has too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Excess {
    /// Registers or memory, for the deepest numbers.
    Depth,
    /// Instructions or memory, for all blocks or the longest list.
    Length,
}

/// A back end's result for the largest part of `program` that it takes, and the number of blocks
/// that were opened; `undecided` blocks are. None when that part would accept everything.
pub(crate) fn part<T>(
    program: &Program,
    mut undecided: Vec<bool>,
    attempt: impl Fn(&Program) -> Result<T, Excess>,
) -> Option<T> {
    let mut kept = program.order();
    for _ in 0..ATTEMPTS_MAX {
        let opened = open(program, &undecided)?;
        let excess = match attempt(&opened) {
            Ok(result) => return Some(result),
            Err(excess) => excess,
        };
        kept.retain(|id| !undecided[id.0 as usize]);
        let largest = |measure: &dyn Fn(BlockId) -> usize| {
            kept.iter().map(|id| measure(*id)).max().unwrap_or_default()
        };
        let (depth, list) = (|id| depth(program, id), |id| list_len(program, id));
        let (deepest, longest) = (largest(&depth), largest(&list));
        match excess {
            Excess::Depth => drop_all(&mut undecided, &kept, |id| depth(id) == deepest),
            Excess::Length if longest > 0 => {
                drop_all(&mut undecided, &kept, |id| list(id) == longest);
            }
            Excess::Length => {
                let rest = kept.split_off(kept.len() / 2);
                drop_all(&mut undecided, &rest, |_| true);
            }
        }
    }
    None
}

fn drop_all(undecided: &mut [bool], blocks: &[BlockId], which: impl Fn(BlockId) -> bool) {
    for id in blocks.iter().filter(|id| which(**id)) {
        undecided[id.0 as usize] = true;
    }
}

/// For every block whether it computes a number that has a part for which `is_unknown` holds.
pub(crate) fn with_numbers(program: &Program, is_unknown: impl Fn(Number) -> bool) -> Vec<bool> {
    let mut unknown: Vec<bool> = Vec::with_capacity(program.numbers().len());
    for &number in program.numbers() {
        let below = program.operands(number).any(|id| unknown[id.0 as usize]);
        unknown.push(below || is_unknown(number));
    }
    let asks = |block: &Block| numbers(block).any(|id| unknown[id.0 as usize]);
    program.blocks.iter().map(asks).collect()
}

/// The program for packets of which all is there, with the first `messages` of its walks unrolled:
/// with one more the packet passes. Copies, and no loop that counts, since the verifier goes
/// through every round in any case, and in loops it seldom sees that two ways have become one.
pub(crate) fn unrolled(program: &Program, messages: u32) -> Program {
    let mut unrolled = program.clone().with_whole_packets();
    unrolled.blocks.clear();
    let pass = unrolled.add(Block { sets: Vec::new(), end: End::Return(true) });
    // A block, behind so many messages.
    let mut copies: HashMap<(BlockId, u32), BlockId> = HashMap::new();
    let mut waiting = Vec::new();
    let mut copy = |unrolled: &mut Program, waiting: &mut Vec<_>, id: BlockId, before: u32| {
        let block = program.block(id);
        let behind = before + u32::from(sets_one_of(block, &program.walk.steps));
        if behind > messages {
            return pass;
        }
        *copies.entry((id, behind)).or_insert_with(|| {
            let copy = unrolled.add(block.clone());
            waiting.push((copy, behind));
            copy
        })
    };
    unrolled.entry = copy(&mut unrolled, &mut waiting, program.entry, 0);
    while let Some((id, behind)) = waiting.pop() {
        let mut end = unrolled.block(id).end;
        match &mut end {
            End::Branch { yes, no, .. } => {
                *yes = copy(&mut unrolled, &mut waiting, *yes, behind);
                *no = copy(&mut unrolled, &mut waiting, *no, behind);
            }
            End::Jump(to) => *to = copy(&mut unrolled, &mut waiting, *to, behind),
            End::Return(_) => {}
        }
        unrolled.blocks[id.0 as usize].end = end;
    }
    unrolled
}

/// Whether a block sets one of some slots.
pub(crate) fn sets_one_of(block: &Block, slots: &[Slot]) -> bool {
    block.sets.iter().any(|(slot, _)| slots.contains(slot))
}

/// The program with `undecided` blocks opened; none when nothing is left that rejects.
pub(crate) fn open(program: &Program, undecided: &[bool]) -> Option<Program> {
    let mut opened = program.clone();
    // The part accepts packets without them, too.
    opened.needles.clear();
    // Whether a block rejects whatever the packet is. Targets come first.
    let mut rejects = vec![false; program.blocks.len()];
    for id in program.order().into_iter().rev() {
        let at = id.0 as usize;
        let block = &mut opened.blocks[at];
        if undecided[at] {
            let end = match block.end {
                End::Branch { yes, no, .. } if rejects[yes.0 as usize] => End::Jump(no),
                End::Branch { yes, no, .. } if rejects[no.0 as usize] => End::Jump(yes),
                _ => End::Return(true),
            };
            // A slot that cannot be computed may be asked for later.
            let end = if block.sets.is_empty() { end } else { End::Return(true) };
            *block = Block { sets: Vec::new(), end };
        }
        rejects[at] = match block.end {
            End::Return(verdict) => !verdict,
            End::Jump(to) => rejects[to.0 as usize],
            End::Branch { yes, no, .. } => rejects[yes.0 as usize] && rejects[no.0 as usize],
        };
    }
    let may_reject = may_reject(&opened);
    for (block, _) in opened.blocks.iter_mut().zip(&may_reject).filter(|(_, may)| !**may) {
        *block = Block { sets: Vec::new(), end: End::Return(true) };
    }
    may_reject[opened.entry.0 as usize].then_some(opened)
}

/// For every block whether a way from it leads to "reject".
fn may_reject(program: &Program) -> Vec<bool> {
    let mut sources: Vec<Vec<BlockId>> = vec![Vec::new(); program.blocks.len()];
    let mut reached = vec![false; program.blocks.len()];
    let mut next = Vec::new();
    for id in program.order() {
        program.successors(id).for_each(|to| sources[to.0 as usize].push(id));
        if program.block(id).end == End::Return(false) {
            next.push(id);
        }
    }
    while let Some(id) = next.pop() {
        if !std::mem::replace(&mut reached[id.0 as usize], true) {
            next.extend(&sources[id.0 as usize]);
        }
    }
    reached
}

/// The numbers that a block computes.
pub(crate) fn numbers(block: &Block) -> impl Iterator<Item = NumberId> + '_ {
    let pair = match block.end {
        End::Branch { test, .. } => [Some(test.left), Some(test.right)],
        _ => [None, None],
    };
    block.sets.iter().map(|(_, number)| *number).chain(pair.into_iter().flatten())
}

fn depth(program: &Program, id: BlockId) -> usize {
    numbers(program.block(id)).map(|number| program.depth(number).into()).max().unwrap_or_default()
}

/// The length of the list that a block looks into.
fn list_len(program: &Program, id: BlockId) -> usize {
    match program.block(id).end {
        End::Branch { test, .. } => program.values(test.right).map_or(0, <[u32]>::len),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use crate::generate::market::{FieldExpressions, MarketPackets};
    use crate::generate::{Expressions, Packets};
    use crate::{Filter, Metadata, Options, Packet, classic, interp};

    fn compile(text: &str, optimize: bool) -> Option<Filter> {
        let live = Options { linux_extensions: true, tags_in_frame: true, ..Options::default() };
        Filter::compile(text, &Options { optimize, ..live }).ok()
    }

    /// What each kernel part says of a packet that user space would accept or not.
    fn check(text: &str, packets: &mut Packets, optimize: bool) -> Option<[u32; 2]> {
        let filter = compile(text, optimize)?;
        let part = filter.classic_part().ok();
        let xdp = filter.xdp_part().ok();
        let mut spared = [0; 2];
        for at in 0..60 {
            let (bytes, wire_len) = packets.packet();
            let metadata =
                Metadata { vlan: None, packet_type: 4 * (at % 2), interface_index: 1 + at % 3 };
            let packet = Packet { bytes: &bytes, wire_len, metadata: Some(metadata) };
            let whole = filter.run(&packet) != 0;
            let by_part = [
                part.as_ref().map(|part| classic::run(&part.program, &packet) != 0),
                xdp.as_ref().map(|part| {
                    // The kernel has no metadata in XDP.
                    interp::run(part.program.source(), &Packet { metadata: None, ..packet }) != 0
                }),
            ];
            for (accepts, spared) in by_part.iter().zip(&mut spared) {
                assert!(!whole || accepts.unwrap_or(true), "{text}: false reject of {bytes:02x?}");
                *spared += u32::from(*accepts == Some(false));
            }
        }
        Some(spared)
    }

    /// The part accepts what the whole accepts, for filters that no kernel can run as a whole.
    #[test]
    fn a_part_never_rejects_what_the_whole_accepts() {
        let mut expressions = Expressions::new(51);
        let mut packets = Packets::new(52);
        let mut spared = [0; 2];
        let mut deep = "tcp[0]".to_owned();
        for index in 1..20 {
            deep = format!("(tcp[{index}] * {deep})");
        }
        let list: Vec<String> =
            (0..5000).map(|n| format!("10.0.{}.{}", n / 256, n % 256)).collect();
        let list = format!("host in {{{}}}", list.join(","));
        let words = [
            "inbound",
            "outbound",
            "ifindex 2",
            "ip6 protochain 17",
            "ip protochain 6",
            "ether[40000] = 1",
            &format!("{deep} > 9"),
            &list,
        ];
        for at in 0..if cfg!(debug_assertions) { 160 } else { 20_000 } {
            let word = words[at % words.len()];
            let (one, other) = (expressions.expression(), expressions.expression());
            let text = match at / words.len() % 4 {
                0 => format!("{word} and ({one})"),
                1 => format!("({one}) and not ({word})"),
                2 => format!("({one}) and ({word} or ({other}))"),
                _ => format!("({one}) or ({word} and ({other}))"),
            };
            let Some(more) = check(&text, &mut packets, at % 3 > 0) else { continue };
            (0..2).for_each(|back_end| spared[back_end] += more[back_end]);
        }
        assert!(spared.iter().all(|spared| *spared > 500), "{spared:?} packets spared");
    }

    /// To XDP a packet is as long as its bytes; none of these has more messages than are looked at.
    #[test]
    fn messages_are_looked_at_as_by_the_whole() {
        let (mut expressions, mut packets) = (FieldExpressions::new(53), MarketPackets::new(54));
        let [mut spared, mut undecided] = [0; 2];
        for _ in 0..if cfg!(debug_assertions) { 100 } else { 10_000 } {
            let text = expressions.tree().to_string();
            let Some(filter) = compile(&text, true) else { continue };
            let Ok(part) = filter.xdp_part() else { continue };
            for _ in 0..60 {
                let (bytes, _) = packets.packet();
                let packet = Packet::whole(&bytes);
                let whole = filter.run(&packet) != 0;
                let accepts = interp::run(part.program.source(), &packet) != 0;
                assert!(!whole || accepts, "{text}: false reject of {bytes:02x?}");
                spared += u32::from(!accepts);
                undecided += u32::from(accepts && !whole);
            }
        }
        assert!(spared > 1000 && undecided < spared / 10, "{spared} spared, {undecided} not");
    }

    #[test]
    fn what_remains_is_what_can_be_decided() {
        let code =
            |text: &str| compile(text, true).unwrap().xdp_part().map(|part| part.program.code());
        for text in ["inbound and udp", "udp and ifindex 3", "udp and not outbound"] {
            assert_eq!(code(text), code("udp"), "{text}");
            assert!(compile(text, true).unwrap().xdp_part().unwrap().rest.is_some());
        }
        assert_eq!(code("inbound or udp").unwrap_err().reason(), "metadata");
        let whole = compile("tcp", true).unwrap();
        assert!(whole.xdp_part().unwrap().rest.is_none());
        let chain = compile("udp and ip6 protochain 44", true).unwrap().classic_part().unwrap();
        assert!(chain.rest.is_some_and(|why| why.contains("protochain")));
    }
}
