//! What the programs count, in an array with values for each CPU.

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
/// Slots of one feed or subscriber: copies, payload bytes, stamps, and one for each reason.
pub const SLOTS: u32 = REASONS + SLOT_REASONS.len() as u32;

/// Of a subscriber: copies that left; of a feed: datagrams that were handed on.
pub const COPIED: u32 = 0;
/// Payload bytes of these.
const BYTES: u32 = 1;
/// The first [stamp](super::stamp()) that a subscriber's program saw on a CPU, the last; 0: none.
pub const FIRST_STAMP: u32 = 2;
/// See [`FIRST_STAMP`].
pub const LAST_STAMP: u32 = 3;
const REASONS: u32 = 4;

/// Where a program counts: [`SLOTS`] values of a `BPF_MAP_TYPE_PERCPU_ARRAY` of `u64`.
#[derive(Clone, Copy, Debug)]
pub struct Counters {
    /// The array.
    pub map: RawFd,
    /// The first of its slots in the array: a multiple of [`SLOTS`].
    pub first: u32,
}

/// The account that `slot(n)` says, which gives value `n` of a feed or subscriber summed over
/// all CPUs.
///
/// # Errors
/// Those of `slot`.
pub fn counts<E>(mut slot: impl FnMut(u32) -> Result<u64, E>) -> Result<Counts, E> {
    let mut counts = Counts { copied: slot(COPIED)?, bytes: slot(BYTES)?, ..Counts::default() };
    for &reason in &SLOT_REASONS {
        counts.discarded.add(reason, slot(slot_of(reason))?);
    }
    Ok(counts)
}

/// The slot of a reason; of those that programs do not know that of [`Reason::TxRefused`].
pub(super) fn slot_of(reason: Reason) -> u32 {
    let refused = SLOT_REASONS.iter().position(|&known| known == Reason::TxRefused);
    let place = SLOT_REASONS.iter().position(|&known| known == reason).or(refused);
    REASONS + place.expect("it is in the list") as u32
}

/// The same inside a program: the first slot may be in a register.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    /// The array.
    pub map: RawFd,
    /// The first of the slots; in a register, it must be one of R6 to R9.
    pub first: Operand,
}

impl From<&Counters> for Account {
    fn from(counters: &Counters) -> Account {
        Account { map: counters.map, first: (counters.first as i32).into() }
    }
}

impl Account {
    /// Counts a datagram under `reason`. Keeps R6 to R9.
    pub(super) fn discarded(&self, asm: &mut Assembler, reason: Reason) {
        self.add(asm, (slot_of(reason) as i32).into(), 1.into());
    }

    /// Counts a copy that left, with as many payload bytes as R7 says. Keeps R6 to R9.
    pub(super) fn copied(&self, asm: &mut Assembler) {
        self.add(asm, (COPIED as i32).into(), 1.into());
        self.bytes(asm);
    }

    /// Counts as many payload bytes as R7 says. Keeps R6 to R9.
    pub(super) fn bytes(&self, asm: &mut Assembler) {
        self.add(asm, (BYTES as i32).into(), R7.into());
    }

    /// Adds `amount` to a slot; in registers, both must be in R6 to R9, which are kept.
    pub(super) fn add(&self, asm: &mut Assembler, slot: Operand, amount: Operand) {
        let missing = self.look_up(asm, slot);
        // One value per CPU, and the program is not preempted: no atomic needed.
        asm.load(Size::U64, R1, R0, 0);
        asm.alu(Alu::Add, R1, amount);
        asm.store(Size::U64, R0, 0, R1);
        asm.bind(missing);
    }

    /// Counts a datagram of a feed, and sets `to`, one of R6 to R9, to its number on this CPU, from
    /// 1 on. A full memory barrier: whoever looks at the count after he changed what later
    /// datagrams find knows by it which are later. Keeps R6 to R9.
    pub(super) fn count_in(&self, asm: &mut Assembler, to: Reg) {
        asm.mov(to, 0);
        let missing = self.look_up(asm, (COPIED as i32).into());
        asm.mov(to, 1);
        asm.atomic_fetch_add(R0, 0, to);
        asm.bind(missing);
        asm.alu(Alu::Add, to, 1);
    }

    /// Sets R0 to the address of a slot. The label is for the caller to bind: the array is too
    /// short, which the verifier cannot know that it is not.
    pub(super) fn look_up(&self, asm: &mut Assembler, slot: Operand) -> Label {
        let missing = asm.label();
        asm.mov(R1, slot);
        asm.alu(Alu::Add, R1, self.first);
        asm.store(Size::U32, R10, -4, R1);
        asm.mov(R2, R10);
        asm.alu(Alu::Add, R2, -4);
        asm.load_map_fd(R1, self.map);
        asm.call(Helper::MapLookup);
        asm.jump_if(Cond::Eq, R0, 0, missing);
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_is_read_once() {
        let mut asked = Vec::new();
        let read = counts(|slot| {
            asked.push(slot);
            Ok::<_, ()>(1 << slot)
        });
        asked.extend([FIRST_STAMP, LAST_STAMP]);
        asked.sort_unstable();
        assert!(asked.into_iter().eq(0..SLOTS));
        let (counts, stamps) = (read.unwrap(), 1 << FIRST_STAMP | 1 << LAST_STAMP);
        assert_eq!(counts.offered() + counts.bytes + stamps, (1 << SLOTS) - 1);
        assert_eq!(slot_of(Reason::DiskFull), slot_of(Reason::TxRefused));
    }
}
