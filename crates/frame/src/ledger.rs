//! The account of every packet: `received = delivered + Σ discarded[reason]`.

use crate::{Batch, Reason};
use std::ops::{AddAssign, Index};

/// One number for each [`Reason`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters([u64; Reason::COUNT]);

impl Default for Counters {
    fn default() -> Self {
        Counters([0; Reason::COUNT])
    }
}

impl Counters {
    /// Counts `count` more for `reason`.
    #[inline]
    pub fn add(&mut self, reason: Reason, count: u64) {
        self.0[reason as usize] += count;
    }

    /// The sum over all reasons.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Every reason with its count, in the order of the definition.
    pub fn iter(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        Reason::ALL.iter().map(|&reason| (reason, self[reason]))
    }

    /// The reasons whose count is not zero.
    pub fn nonzero(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        self.iter().filter(|&(_, count)| count > 0)
    }
}

impl Index<Reason> for Counters {
    type Output = u64;
    #[inline]
    fn index(&self, reason: Reason) -> &u64 {
        &self.0[reason as usize]
    }
}

impl AddAssign<&Counters> for Counters {
    fn add_assign(&mut self, other: &Counters) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine += theirs;
        }
    }
}

/// What became of every packet of one port or worker.
///
/// `received` counts each packet that reached the port, also those that the kernel had to drop
/// there; they are discarded under a reason of the kernel. So the [`difference`](Self::difference)
/// is 0 at every moment, and the sum over ports and workers is again a ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Packets that reached the port.
    pub received: u64,
    /// Packets that passed the filter; all that we read when there is none.
    pub selected: u64,
    /// Packets that were handled to the end: written, printed, counted, sent.
    pub delivered: u64,
    /// Packets that were not, by reason.
    pub discarded: Counters,
    /// Frames that a port accepted for sending and that did not leave, by reason. They are no part
    /// of `received`, so they have no place in its sum: what a worker sends are answers and copies,
    /// none or many for each packet that it received. Who sends counts what it offers, and
    /// `sent = offered − Σ unsent`.
    pub unsent: Counters,
    /// Packets in which the decoder found a fault, by reason. Not a fate: such a packet is
    /// delivered or discarded like any other.
    pub malformed: Counters,
    /// Bytes of the packets that we read, as on the wire.
    pub received_bytes: u64,
}

impl Ledger {
    /// Enters the frames of a batch that we read.
    #[inline]
    pub fn receive(&mut self, batch: &Batch<'_>) {
        self.received += batch.len() as u64;
        self.received_bytes += batch.wire_lens().iter().map(|&len| u64::from(len)).sum::<u64>();
    }

    /// Enters `count` packets that ended under `reason` without our ever reading them: the kernel
    /// counts such losses for us.
    pub fn lost(&mut self, reason: Reason, count: u64) {
        self.received += count;
        self.discarded.add(reason, count);
    }

    /// Discards `count` packets that were received.
    #[inline]
    pub fn discard(&mut self, reason: Reason, count: u64) {
        self.discarded.add(reason, count);
    }

    /// `received − delivered − Σ discarded`: 0, or we have a bug.
    pub fn difference(&self) -> i64 {
        self.received as i64 - self.delivered as i64 - self.discarded.total() as i64
    }
}

impl AddAssign<&Ledger> for Ledger {
    fn add_assign(&mut self, other: &Ledger) {
        self.received += other.received;
        self.selected += other.selected;
        self.delivered += other.delivered;
        self.discarded += &other.discarded;
        self.unsent += &other.unsent;
        self.malformed += &other.malformed;
        self.received_bytes += other.received_bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_add_up() {
        let mut ledger = Ledger { received: 10, selected: 8, delivered: 8, ..Ledger::default() };
        assert_eq!(ledger.difference(), 2);
        ledger.discard(Reason::NotSelected, 2);
        ledger.lost(Reason::XskRxRingFull, 5);
        assert_eq!((ledger.received, ledger.difference()), (15, 0));
        ledger.unsent.add(Reason::TxRefused, 4);
        assert_eq!(ledger.difference(), 0, "what is sent is another account");

        let mut total = Ledger::default();
        total += &ledger;
        total += &ledger;
        assert_eq!((total.received, total.difference()), (30, 0));
        assert_eq!(total.discarded[Reason::XskRxRingFull], 10);
        assert_eq!(total.discarded.nonzero().count(), 2);
        assert_eq!(total.unsent[Reason::TxRefused], 8);
    }

    #[test]
    fn a_forgotten_packet_shows() {
        let ledger = Ledger { received: 1, ..Ledger::default() };
        assert_eq!(ledger.difference(), 1);
    }
}
