//! Sending datagrams to one receiver, for jobs that hand out payloads.

use tickwire_frame::Reason;

/// A way to one receiver: a connected UDP socket, or memory in tests.
///
/// One sender for each receiver, so that a receiver without a neighbour entry or with a closed
/// port costs the others nothing (their datagrams never wait in the same socket buffer).
pub trait DatagramSender: Send {
    /// Sends each of `payloads` as one datagram, in order, in as few system calls as possible;
    /// never blocks. What does not leave is reported to `lost` with its reason and number:
    /// [`Reason::NoNeighbour`], [`Reason::NoRoute`], [`Reason::TooLong`], [`Reason::LinkDown`],
    /// [`Reason::TxRingFull`] (the socket buffer is full), [`Reason::TxRefused`]. So for the
    /// caller: sent = payloads − lost; nothing is reported later.
    ///
    /// Does not allocate.
    fn send(&mut self, payloads: &[&[u8]], lost: &mut dyn FnMut(Reason, u64));
}
