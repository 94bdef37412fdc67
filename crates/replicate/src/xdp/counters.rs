//! What the programs count, in an array of accounts, each with a value for each CPU.

use crate::Counts;
use std::os::fd::RawFd;
use tickwire_ebpf::{Alu, Assembler, Cond, Helper, Label, Operand, Reg, Reg::*, Size};
use tickwire_frame::Reason;

/// Reasons that the programs know, in the order of their slots.
pub const SLOT_REASONS: [Reason; 15] = [
    Reason::NotSelected,
    Reason::NoNeighbour,
    Reason::NoRoute,
    Reason::NoEgress,
    Reason::LinkDown,
    Reason::TooLong,
    Reason::TxRingFull,
    Reason::TxRefused,
    Reason::TxInvalid,
    Reason::Fragment,
    Reason::Ipv4BadTotalLength,
    Reason::Ipv4LengthBeyondPacket,
    Reason::Ipv6LengthBeyondPacket,
    Reason::UdpBadLength,
    Reason::UdpLengthBeyondPacket,
];
/// Slots of the account of a feed or subscriber: copies, payload bytes, stamps, and one for each
/// reason.
pub const SLOTS: usize = REASONS + SLOT_REASONS.len();
/// Bytes of an account.
pub const ACCOUNT_BYTES: usize = 8 * SLOTS;

/// Of a subscriber: copies that left; of a feed: datagrams that were handed on.
pub const COPIED: usize = 0;
/// Payload bytes of these.
const BYTES: usize = 1;
/// The first [stamp](super::stamp()) that a subscriber's program saw on a CPU, the last; 0: none.
pub const FIRST_STAMP: usize = 2;
/// See [`FIRST_STAMP`].
pub const LAST_STAMP: usize = 3;
const REASONS: usize = 4;

/// Where a program counts.
#[derive(Clone, Copy, Debug)]
pub struct Counters {
    /// A `BPF_MAP_TYPE_PERCPU_ARRAY` of values of [`ACCOUNT_BYTES`].
    pub map: RawFd,
    /// Which of them.
    pub account: u32,
}

/// An account as people see it, out of its `slots`: [`SLOTS`] for each CPU.
pub fn counts(slots: &[u64]) -> Counts {
    let sum = |slot| slots.iter().skip(slot).step_by(SLOTS).sum();
    let mut counts = Counts { copied: sum(COPIED), bytes: sum(BYTES), ..Counts::default() };
    for &reason in &SLOT_REASONS {
        counts.discarded.add(reason, sum(slot_of(reason)));
    }
    counts
}

/// The slot of a reason; of those that programs do not know that of [`Reason::TxRefused`].
pub(super) fn slot_of(reason: Reason) -> usize {
    let refused = SLOT_REASONS.iter().position(|&known| known == Reason::TxRefused);
    let place = SLOT_REASONS.iter().position(|&known| known == reason).or(refused);
    REASONS + place.expect("it is in the list")
}

/// The same inside a program: the number may be in a register.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    /// The array.
    pub map: RawFd,
    /// Which account; in a register, it must be one of R6 to R9.
    pub number: Operand,
}

impl From<&Counters> for Account {
    fn from(counters: &Counters) -> Account {
        Account { map: counters.map, number: (counters.account as i32).into() }
    }
}

impl Account {
    /// Counts a datagram under `reason`. Keeps R6 to R9.
    pub(super) fn discarded(&self, asm: &mut Assembler, reason: Reason) {
        let missing = asm.label();
        self.look_up(asm, missing);
        add(asm, slot_of(reason), 1.into());
        asm.bind(missing);
    }

    /// Counts a datagram under the reason whose slot is in R7, or jumps to `missing`. Keeps R6 to
    /// R9.
    pub(super) fn discarded_in(&self, asm: &mut Assembler, missing: Label) {
        self.look_up(asm, missing);
        asm.mov(R1, R7);
        asm.jump_if(Cond::Ge, R1, SLOTS as i32, missing);
        asm.alu(Alu::Lsh, R1, 3);
        asm.alu(Alu::Add, R0, R1);
        add(asm, 0, 1.into());
    }

    /// Counts a copy that left, with as many payload bytes as R7 says, or jumps to `missing`. Keeps
    /// R6 to R9.
    pub(super) fn copied(&self, asm: &mut Assembler, missing: Label) {
        self.look_up(asm, missing);
        add(asm, COPIED, 1.into());
        add(asm, BYTES, R7.into());
    }

    /// Counts as many payload bytes as R7 says. Keeps R6 to R9.
    pub(super) fn bytes(&self, asm: &mut Assembler) {
        let missing = asm.label();
        self.look_up(asm, missing);
        add(asm, BYTES, R7.into());
        asm.bind(missing);
    }

    /// Counts a datagram of a feed, and sets `to`, one of R6 to R9, to its number on this CPU, from
    /// 1 on. A full memory barrier: whoever looks at the count after he changed what later
    /// datagrams find knows by it which are later. Keeps R6 to R9.
    pub(super) fn count_in(&self, asm: &mut Assembler, to: Reg) {
        let missing = asm.label();
        asm.mov(to, 0);
        self.look_up(asm, missing);
        asm.mov(to, 1);
        asm.atomic_fetch_add(R0, at(COPIED), to);
        asm.bind(missing);
        asm.alu(Alu::Add, to, 1);
    }

    /// Sets R0 to the address of the account, or jumps to `missing`, which only the verifier thinks
    /// possible. Keeps R6 to R9.
    pub(super) fn look_up(&self, asm: &mut Assembler, missing: Label) {
        asm.store(Size::U32, R10, -4, self.number);
        asm.mov(R2, R10);
        asm.alu(Alu::Add, R2, -4);
        asm.load_map_fd(R1, self.map);
        asm.call(Helper::MapLookup);
        asm.jump_if(Cond::Eq, R0, 0, missing);
    }
}

/// Adds `amount` to a slot of the account at R0. Uses R1.
pub(super) fn add(asm: &mut Assembler, slot: usize, amount: Operand) {
    // One value per CPU, and the program is not preempted: no atomic needed.
    asm.load(Size::U64, R1, R0, at(slot));
    asm.alu(Alu::Add, R1, amount);
    asm.store(Size::U64, R0, at(slot), R1);
}

/// Where a slot is in its account.
pub(super) const fn at(slot: usize) -> i16 {
    8 * slot as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_is_read_once() {
        let slots: Vec<u64> = (0..SLOTS).map(|slot| 1 << slot).collect();
        let (stamps, all) = (1 << FIRST_STAMP | 1 << LAST_STAMP, (1 << SLOTS) - 1);
        let sum = |counts: Counts| counts.offered() + counts.bytes + stamps;
        assert_eq!(sum(counts(&slots)), all);
        let of_two_cpus = counts(&[&slots[..], &slots].concat());
        assert_eq!(sum(of_two_cpus) - stamps, 2 * (all - stamps));
        assert_eq!(slot_of(Reason::DiskFull), slot_of(Reason::TxRefused));
    }
}
