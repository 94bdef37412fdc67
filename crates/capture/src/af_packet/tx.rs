//! The transmit ring: TPACKET_V2 slots (Documentation/networking/packet_mmap.rst).
//!
//! Each slot has one owner word. We fill slots in order and ask for them to be sent; one kick lets
//! the kernel walk on from where it stopped. It only ever touches slots that we asked it to send,
//! and only moves on during a kick, so a slot that it has not reached can be taken back.

use super::map::Map;
use std::mem::offset_of;
use std::sync::atomic::{AtomicU32, Ordering};

/// Offset of the frame in its slot.
pub(super) const DATA: usize = size_of::<libc::tpacket2_hdr>();
const STATUS: usize = offset_of!(libc::tpacket2_hdr, tp_status);
const LENGTH: usize = offset_of!(libc::tpacket2_hdr, tp_len);

const _: () = assert!(DATA.is_multiple_of(libc::TPACKET_ALIGNMENT));

/// Our end of the ring.
#[derive(Debug)]
pub(super) struct TxRing {
    map: Map,
    slot_bytes: usize,
    slots: usize,
    /// Slot to fill next.
    next: usize,
    /// Filled slots, just before `next`, that the kernel has not reached.
    queued: usize,
}

impl TxRing {
    /// A ring of `slots` empty slots of `slot_bytes` bytes each.
    pub fn new(map: Map, slot_bytes: usize, slots: usize) -> Self {
        TxRing { map, slot_bytes, slots, next: 0, queued: 0 }
    }

    /// Frames that wait for the kernel.
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// Whether there is no free slot.
    pub fn is_full(&self) -> bool {
        // Acquire: the kernel has done with the frame before the slot became free.
        self.status(self.next).load(Ordering::Acquire) != libc::TP_STATUS_AVAILABLE
    }

    /// Puts `frame` into the next slot and asks for it to be sent. False when there is none.
    ///
    /// # Panics
    /// When the frame is longer than a slot can hold: the caller has checked that.
    #[inline]
    pub fn fill(&mut self, frame: &[u8]) -> bool {
        assert!(frame.len() <= self.slot_bytes - DATA);
        if self.is_full() {
            return false;
        }
        let slot = self.next;
        // SAFETY: the slot is ours (its status says so), and the frame fits into it (checked).
        unsafe {
            let start = self.start(slot);
            start.add(LENGTH).cast::<u32>().write(frame.len() as u32);
            start.add(DATA).copy_from_nonoverlapping(frame.as_ptr(), frame.len());
        }
        // Release: the frame is in the slot before the kernel may look at it.
        self.status(slot).store(libc::TP_STATUS_SEND_REQUEST, Ordering::Release);
        self.next = (slot + 1) % self.slots;
        self.queued += 1;
        true
    }

    /// After a kick: forgets the slots that the kernel has reached. How many these were.
    pub fn settle(&mut self) -> usize {
        let before = self.queued;
        let waits = libc::TP_STATUS_SEND_REQUEST | libc::TP_STATUS_WRONG_FORMAT;
        while self.queued > 0 && self.oldest_status() & waits == 0 {
            self.queued -= 1;
        }
        before - self.queued
    }

    /// Removes the oldest queued frame if the kernel found fault with it; it stays there until
    /// then. The frames behind it move up one slot.
    pub fn remove_rejected(&mut self) -> bool {
        if self.queued == 0 || self.oldest_status() != libc::TP_STATUS_WRONG_FORMAT {
            return false;
        }
        let oldest = self.oldest();
        for distance in 1..self.queued {
            let (to, from) =
                ((oldest + distance - 1) % self.slots, (oldest + distance) % self.slots);
            // SAFETY: both slots are filled and the kernel has not reached them; it walks on in a
            // kick only, which needs `&mut` of the owner of this ring.
            unsafe {
                let (to, from) = (self.start(to), self.start(from));
                let len = from.add(LENGTH).cast::<u32>().read();
                to.add(LENGTH).cast::<u32>().write(len);
                to.add(DATA).copy_from_nonoverlapping(from.add(DATA), len as usize);
            }
            self.status(to).store(libc::TP_STATUS_SEND_REQUEST, Ordering::Release);
        }
        self.next = (self.next + self.slots - 1) % self.slots;
        self.status(self.next).store(libc::TP_STATUS_AVAILABLE, Ordering::Release);
        self.queued -= 1;
        true
    }

    /// Takes back all frames that the kernel has not reached. How many these were.
    pub fn take_back(&mut self) -> usize {
        let oldest = self.oldest();
        for distance in 0..self.queued {
            let slot = (oldest + distance) % self.slots;
            self.status(slot).store(libc::TP_STATUS_AVAILABLE, Ordering::Release);
        }
        self.next = oldest;
        std::mem::take(&mut self.queued)
    }

    fn oldest(&self) -> usize {
        (self.next + self.slots - self.queued) % self.slots
    }

    fn oldest_status(&self) -> u32 {
        self.status(self.oldest()).load(Ordering::Acquire)
    }

    fn start(&self, slot: usize) -> *mut u8 {
        self.map.at(slot * self.slot_bytes)
    }

    fn status(&self, slot: usize) -> &AtomicU32 {
        let word = self.map.at(slot * self.slot_bytes + STATUS).cast::<u32>();
        // SAFETY: the word is inside the map, aligned (slots are a power of two), lives as long as
        // `self`, and both sides access it atomically only.
        unsafe { AtomicU32::from_ptr(word) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT_BYTES: usize = 256;

    fn ring(slots: usize) -> TxRing {
        TxRing::new(Map::anonymous(slots * SLOT_BYTES), SLOT_BYTES, slots)
    }

    /// The kernel's end: sends up to `count` frames from slot `head` on, in one kick.
    fn kernel(ring: &TxRing, head: &mut usize, count: usize) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        while sent.len() < count
            && ring.status(*head).load(Ordering::Acquire) == libc::TP_STATUS_SEND_REQUEST
        {
            // SAFETY: the test plays the kernel, which owns slots with this status.
            let bytes = unsafe {
                let len = ring.start(*head).add(LENGTH).cast::<u32>().read() as usize;
                std::slice::from_raw_parts(ring.start(*head).add(DATA), len).to_vec()
            };
            sent.push(bytes);
            ring.status(*head).store(libc::TP_STATUS_AVAILABLE, Ordering::Release);
            *head = (*head + 1) % ring.slots;
        }
        sent
    }

    #[test]
    fn frames_leave_in_order_over_many_turns() {
        let mut ring = ring(4);
        let (mut head, mut filled, mut sent) = (0, 0u8, Vec::new());
        for step in 0..60 {
            while ring.fill(&[filled; 5]) {
                filled += 1;
            }
            assert!(ring.is_full());
            let taken = kernel(&ring, &mut head, 1 + step % 4);
            assert_eq!(ring.settle(), taken.len());
            sent.extend(taken);
        }
        sent.extend(kernel(&ring, &mut head, 4));
        assert_eq!(sent, (0..filled).map(|n| vec![n; 5]).collect::<Vec<_>>());
    }

    #[test]
    fn a_slot_is_not_reused_before_the_driver_is_done() {
        let mut ring = ring(2);
        assert!(ring.fill(&[1]) && ring.fill(&[2]));
        ring.status(0).store(libc::TP_STATUS_SENDING, Ordering::Release);
        assert_eq!(ring.settle(), 1);
        assert!(!ring.fill(&[3]), "slot 0 is with the driver");
        ring.status(0).store(libc::TP_STATUS_AVAILABLE, Ordering::Release);
        assert!(ring.fill(&[3]));
    }

    #[test]
    fn a_rejected_frame_is_removed_and_the_others_keep_their_order() {
        for first in 0..4 {
            let mut ring = ring(4);
            let mut head = 0;
            for n in 0..first {
                ring.fill(&[n]);
                kernel(&ring, &mut head, 1);
                ring.settle();
            }
            for n in 10..14 {
                assert!(ring.fill(&vec![n; usize::from(n)]));
            }
            assert!(!ring.remove_rejected(), "nothing is wrong yet");
            ring.status(head).store(libc::TP_STATUS_WRONG_FORMAT, Ordering::Release);
            assert_eq!(ring.settle(), 0);
            assert!(ring.remove_rejected());
            assert_eq!(ring.queued(), 3);
            let sent = kernel(&ring, &mut head, 4);
            assert_eq!(sent, [vec![11; 11], vec![12; 12], vec![13; 13]]);
            assert_eq!(ring.settle(), 3);
            assert!(ring.fill(&[1]), "the freed slot can be filled");
        }
    }

    #[test]
    fn what_is_taken_back_is_never_sent() {
        let mut ring = ring(4);
        let mut head = 0;
        for n in 0..3 {
            ring.fill(&[n]);
        }
        kernel(&ring, &mut head, 1);
        ring.settle();
        assert_eq!(ring.take_back(), 2);
        assert!(kernel(&ring, &mut head, 4).is_empty());
        assert!(ring.fill(&[9]));
        assert_eq!(kernel(&ring, &mut head, 4), [vec![9]]);
    }
}
