//! The number that travels with each datagram, and what it tells of those that never came.
//!
//! The ingress program puts a stamp before the frame, as metadata: it is no part of the packet, so
//! no MTU counts it, and clones of the frame carry it too. Numbers have no gaps on a CPU, and a
//! subscriber's program sees each of them once and in order. So a gap is what the kernel did not
//! even offer to the program: it skips an interface that is down or whose MTU is too small, and
//! stops where it finds no memory for a clone, without a word (`dev_map_enqueue_multi` in
//! kernel/bpf/devmap.c).

use super::counters::{self, Account, FIRST_STAMP, LAST_STAMP, slot_of};
use super::headers::need;
use crate::FEEDS_MAX;
use tickwire_ebpf::{Alu, Assembler, Cond, Helper, Label, Reg, Reg::*, Size, XdpAction, xdp_md};
use tickwire_frame::Reason;

/// Bytes of a stamp: a multiple of 4, as all metadata.
pub(super) const STAMP_BYTES: i32 = 8;
/// The low bits: the position of the feed. Above them the number of its datagram on this CPU, from
/// 1 on, so that no stamp is 0. At 10^7 packets a second it lasts for two hundred years.
const FEED_BITS: u32 = 8;
const _: () = assert!(FEEDS_MAX <= 1 << FEED_BITS);

/// The stamp of datagram `number` on a CPU of the feed in position `feed`.
pub const fn stamp(feed: u32, number: u64) -> u64 {
    number << FEED_BITS | feed as u64
}

/// Datagrams of a feed that a subscriber's program has not seen on one CPU, besides the gaps
/// between those that it saw, which it counts itself under [`Reason::LinkDown`]. The subscriber is
/// there since number `after`, and `offered` is the number of the last one whose copies have all
/// been made; `first` and `last` are the stamps in the subscriber's account.
///
/// First those before all that it saw, then those behind.
pub fn unseen(after: u64, offered: u64, first: u64, last: u64) -> [u64; 2] {
    match first >> FEED_BITS {
        0 => [offered.saturating_sub(after), 0],
        number => [(number - 1).saturating_sub(after), offered.saturating_sub(last >> FEED_BITS)],
    }
}

/// Makes room for a stamp before the frame, or jumps to `refused`: the driver has none.
pub(super) fn make_room(asm: &mut Assembler, refused: Label) {
    asm.mov(R1, R6);
    asm.mov(R2, -STAMP_BYTES);
    asm.call(Helper::XdpAdjustMeta);
    asm.jump_if(Cond::Ne, R0, 0, refused);
}

/// Turns the number in `number` into the stamp of the feed that `feed` says, and writes it.
pub(super) fn write(asm: &mut Assembler, number: Reg, feed: Reg, missing: Label) {
    asm.alu(Alu::Lsh, number, FEED_BITS as i32);
    asm.alu(Alu::Or, number, feed);
    at(asm, missing);
    asm.store(Size::U64, R2, 0, number);
}

/// Sets `to` to the stamp, or jumps to `missing`.
pub(super) fn read(asm: &mut Assembler, to: Reg, missing: Label) {
    at(asm, missing);
    asm.load(Size::U64, to, R2, 0);
}

/// Sets R2 to the address of the stamp.
fn at(asm: &mut Assembler, missing: Label) {
    asm.load(Size::U32, R2, R6, xdp_md::DATA_META);
    asm.load(Size::U32, R3, R6, xdp_md::DATA);
    need(asm, R2, STAMP_BYTES as i16, missing);
}

/// Makes of the stamp in `stamp` the position of the feed.
pub(super) fn feed_of(asm: &mut Assembler, stamp: Reg) {
    asm.alu(Alu::And, stamp, (1 << FEED_BITS) - 1);
}

/// Takes the stamp off the frame, notes it and counts the gap before it. Drops the second copy with
/// one stamp, uncounted: a subscriber who moves has two places for a moment. Uses R7 and R8.
pub(super) fn take(asm: &mut Assembler, account: &Account, missing: Label) {
    let [seen, before, first] = [(); 3].map(|()| asm.label());
    read(asm, R7, missing);
    asm.mov(R1, R6);
    asm.mov(R2, STAMP_BYTES);
    asm.call(Helper::XdpAdjustMeta);
    asm.jump_if(Cond::Ne, R0, 0, missing);
    account.look_up(asm, seen);
    asm.load(Size::U64, R1, R0, counters::at(LAST_STAMP));
    asm.mov(R8, R7);
    asm.alu(Alu::Sub, R8, R1);
    asm.store(Size::U64, R0, counters::at(LAST_STAMP), R7);
    asm.jump_if(Cond::Ne, R1, 0, before);
    asm.store(Size::U64, R0, counters::at(FIRST_STAMP), R7);
    asm.jump(seen);
    asm.bind(before);
    asm.jump_if(Cond::Ne, R8, 0, first);
    asm.exit_with(XdpAction::Drop);
    asm.bind(first);
    asm.alu(Alu::Rsh, R8, FEED_BITS as i32);
    asm.alu(Alu::Sub, R8, 1);
    counters::add(asm, slot_of(Reason::LinkDown), R8.into());
    asm.bind(seen);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_has_not_seen_lies_before_and_behind_what_it_saw() {
        let at = |number| stamp(255, number);
        assert_eq!(unseen(10, 10, 0, 0), [0, 0], "nothing came");
        assert_eq!(unseen(10, 15, 0, 0), [5, 0], "nothing was seen");
        assert_eq!(unseen(10, 15, at(11), at(15)), [0, 0]);
        assert_eq!(unseen(10, 15, at(13), at(13)), [2, 2]);
        assert_eq!(unseen(10, 15, at(9), at(16)), [0, 0], "it was there before, and goes on");
    }
}
