//! Where every frame of a UMEM is.
//!
//! A frame is free, or lent to the kernel for receiving, or held by us with a packet in it, or lent
//! to the kernel for sending. Each move is checked against where the frame was: an address that
//! the kernel hands back twice, or never had, is refused instead of being used twice.

use std::fmt;

/// Where a frame is, as we know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Place {
    Free,
    /// In the fill ring, in the kernel, or in the RX ring.
    Receiving,
    /// Taken from the RX ring: a batch on loan points to it.
    Held,
    /// In the TX ring, in the kernel, or in the completion ring.
    Sending,
}

/// How many frames are where; the sum is all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameCount {
    /// Ready for anything.
    pub free: u32,
    /// Lent to the kernel for receiving: fill ring, kernel, RX ring.
    pub receiving: u32,
    /// With a received packet that a batch points to.
    pub held: u32,
    /// Lent to the kernel for sending: TX ring, kernel, completion ring.
    pub sending: u32,
}

impl FrameCount {
    /// All frames.
    pub fn total(&self) -> u32 {
        self.free + self.receiving + self.held + self.sending
    }
}

/// A frame was not where it should have been: the other side broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("frame {frame} came back from where it was not")]
pub struct Misplaced {
    /// Its number; possibly beyond the last.
    pub frame: u32,
}

/// The account of all frames of one UMEM, by number.
pub struct Frames {
    place: Box<[Place]>,
    free: Vec<u32>,
    receiving: u32,
    held: u32,
    sending: u32,
}

impl Frames {
    /// `total` frames, all free.
    pub fn new(total: u32) -> Self {
        Frames {
            place: vec![Place::Free; total as usize].into_boxed_slice(),
            // The lowest number comes first.
            free: (0..total).rev().collect(),
            receiving: 0,
            held: 0,
            sending: 0,
        }
    }

    /// A free frame for the fill ring.
    #[inline]
    pub fn lend_for_receiving(&mut self) -> Option<u32> {
        let frame = self.free.pop()?;
        self.place[frame as usize] = Place::Receiving;
        self.receiving += 1;
        Some(frame)
    }

    /// The frame that [`lend_for_sending`](Self::lend_for_sending) gives next.
    #[inline]
    pub fn next_free(&self) -> Option<u32> {
        self.free.last().copied()
    }

    /// A free frame for the TX ring.
    #[inline]
    pub fn lend_for_sending(&mut self) -> Option<u32> {
        let frame = self.free.pop()?;
        self.place[frame as usize] = Place::Sending;
        self.sending += 1;
        Some(frame)
    }

    /// The kernel put a packet into `frame`, and it came out of the RX ring.
    ///
    /// # Errors
    /// The kernel did not have it for receiving: it must not be touched.
    #[inline]
    pub fn hold(&mut self, frame: u32) -> Result<(), Misplaced> {
        self.move_from(Place::Receiving, Place::Held, frame)?;
        self.receiving -= 1;
        self.held += 1;
        Ok(())
    }

    /// We are done with the packet in `frame`: back to the fill ring.
    ///
    /// # Errors
    /// We did not hold it.
    #[inline]
    pub fn recycle(&mut self, frame: u32) -> Result<(), Misplaced> {
        self.move_from(Place::Held, Place::Receiving, frame)?;
        self.held -= 1;
        self.receiving += 1;
        Ok(())
    }

    /// The kernel has sent `frame` (or given it up): it came out of the completion ring.
    ///
    /// # Errors
    /// The kernel did not have it for sending.
    #[inline]
    pub fn complete(&mut self, frame: u32) -> Result<(), Misplaced> {
        self.move_from(Place::Sending, Place::Free, frame)?;
        self.sending -= 1;
        self.free.push(frame);
        Ok(())
    }

    /// All frames that are lent for sending.
    pub fn all_sending(&self) -> impl Iterator<Item = u32> + '_ {
        (0u32..).zip(&self.place).filter(|(_, place)| **place == Place::Sending).map(|(n, _)| n)
    }

    /// The socket is closed, the kernel has nothing any more: every frame is free again.
    /// Returns what was where before.
    pub fn reclaim(&mut self) -> FrameCount {
        let before = self.count();
        self.place.fill(Place::Free);
        self.free.clear();
        self.free.extend((0..self.place.len() as u32).rev());
        (self.receiving, self.held, self.sending) = (0, 0, 0);
        before
    }

    /// How many frames are where, by the running counts.
    pub fn count(&self) -> FrameCount {
        FrameCount {
            free: self.free.len() as u32,
            receiving: self.receiving,
            held: self.held,
            sending: self.sending,
        }
    }

    /// Counts every frame anew and compares: what tests call after everything they do.
    ///
    /// # Panics
    /// When a frame is missing, is twice in the free list, or a running count is wrong.
    pub fn verify(&self) {
        let count_of = |place| self.place.iter().filter(|&&p| p == place).count() as u32;
        let counted = FrameCount {
            free: count_of(Place::Free),
            receiving: count_of(Place::Receiving),
            held: count_of(Place::Held),
            sending: count_of(Place::Sending),
        };
        assert_eq!(counted, self.count(), "running counts differ from the frames");
        assert_eq!(counted.total() as usize, self.place.len(), "a frame is missing");
        let mut listed = vec![false; self.place.len()];
        for &frame in &self.free {
            assert!(!std::mem::replace(&mut listed[frame as usize], true), "{frame} is free twice");
            assert_eq!(self.place[frame as usize], Place::Free);
        }
    }

    #[inline]
    fn move_from(&mut self, from: Place, to: Place, frame: u32) -> Result<(), Misplaced> {
        match self.place.get_mut(frame as usize) {
            Some(place) if *place == from => {
                *place = to;
                Ok(())
            }
            _ => Err(Misplaced { frame }),
        }
    }
}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Frames").field(&self.count()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_goes_round() {
        let mut frames = Frames::new(2);
        let frame = frames.lend_for_receiving().unwrap();
        assert_eq!(frames.hold(frame), Ok(()));
        assert_eq!(frames.count(), FrameCount { free: 1, held: 1, ..FrameCount::default() });
        assert_eq!(frames.recycle(frame), Ok(()));
        let other = frames.lend_for_sending().unwrap();
        assert_ne!(frame, other);
        assert_eq!(frames.lend_for_sending(), None);
        assert_eq!(frames.complete(other), Ok(()));
        frames.verify();
    }

    #[test]
    fn a_lying_kernel_is_refused() {
        let mut frames = Frames::new(4);
        let frame = frames.lend_for_receiving().unwrap();
        assert_eq!(frames.complete(frame), Err(Misplaced { frame }), "never sent");
        assert_eq!(frames.hold(3), Err(Misplaced { frame: 3 }), "still free");
        assert_eq!(frames.hold(4), Err(Misplaced { frame: 4 }), "beyond the last");
        assert_eq!(frames.hold(frame), Ok(()));
        assert_eq!(frames.hold(frame), Err(Misplaced { frame }), "twice");
        frames.verify();
    }

    #[test]
    fn closing_brings_everything_back() {
        let mut frames = Frames::new(8);
        for _ in 0..3 {
            let frame = frames.lend_for_receiving().unwrap();
            frames.hold(frame).unwrap();
            frames.lend_for_sending().unwrap();
        }
        let before = frames.reclaim();
        assert_eq!((before.held, before.sending, before.free), (3, 3, 2));
        assert_eq!(frames.count().free, 8);
        frames.verify();
    }
}
