//! Frames on their way out: from the TX ring through the kernel to the completion ring, each with
//! a tag of the caller, so that it is known of every frame whether it was lost.
//!
//! ```text
//! slot ─▶ push ─▶ TX ring ─▶ kernel ─▶ completion ring ─▶ reap: free again
//!                    │          └─ refused: lost, and completes like the others
//!                    └─ revoke: lost, free at once
//! ```
//!
//! The TX ring's consumer index does not say by itself what the kernel has taken, nor what it will
//! not take any more (net/xdp/xsk_queue.h, xsk.c `__xsk_generic_xmit`):
//!
//! * The kernel works on copies of both indexes. It publishes its consumer only after a call that
//!   sent a frame, or when it looks for more entries. A call that was refused its first frame has
//!   taken that one, and the shared index stands still. So [`TxQueue`] keeps an index of its own,
//!   `settled`, which runs ahead of the shared one.
//! * The kernel remembers how far the producer was when it looked last, and sends up to there in
//!   later calls. So an entry that it has seen cannot be taken back by setting the producer back.
//!   [`TxQueue::revoke`] overwrites entries with an invalid descriptor instead, which the kernel
//!   skips (and counts as `tx_invalid_descs`).

use crate::ring::{Consumer, Descriptor, Producer};
use crate::{FrameCount, Frames};

/// What the kernel skips: no length, and beyond every UMEM.
const REVOKED: Descriptor = Descriptor { address: u64::MAX, len: 0, options: 0 };

/// The frames for sending of one UMEM, and the rings of the socket that they go through. `T` and
/// `C` own the memory of the TX and the completion ring.
#[derive(Debug)]
pub struct TxQueue<T, C = T> {
    rings: Option<Rings<T, C>>,
    /// Of the UMEM's frames only ours: number 0 is at `base`.
    frames: Frames,
    base: u64,
    frame_bytes: u32,
    /// By frame.
    tags: Box<[u32]>,
}

/// The rings of one socket.
#[derive(Debug)]
struct Rings<T, C> {
    tx: Producer<Descriptor, T>,
    completion: Consumer<u64, C>,
    /// The frame of each entry of the TX ring, by its index modulo the size.
    order: Box<[u32]>,
    /// The first entry whose fate is open: those before were taken by the kernel, or are lost.
    settled: u32,
}

impl<T, C> TxQueue<T, C> {
    /// `frames` frames of `frame_bytes`, the first of them at `base`, counted from the start of
    /// the UMEM. Without rings yet.
    pub fn new(base: u64, frame_bytes: u32, frames: u32) -> Self {
        let tags = vec![0; frames as usize].into();
        TxQueue { rings: None, frames: Frames::new(frames), base, frame_bytes, tags }
    }

    /// Sends through the rings of a new socket from now on.
    ///
    /// # Panics
    /// If there is a socket already: [`disconnect`](Self::disconnect) it.
    pub fn connect(&mut self, tx: Producer<Descriptor, T>, completion: Consumer<u64, C>) {
        assert!(self.rings.is_none(), "connected already");
        let (order, settled) = (vec![0; tx.size() as usize].into(), tx.next());
        self.rings = Some(Rings { tx, completion, order, settled });
    }

    /// Gives the rings up. Frames that did not complete are lost: `lost` gets their tags. The
    /// caller closes the socket, so that the kernel is done with them.
    pub fn disconnect(&mut self, lost: &mut dyn FnMut(u32)) {
        self.reap();
        self.rings = None;
        self.frames.all_sending().for_each(|frame| lost(self.tags[frame as usize]));
        self.frames.reclaim();
    }

    /// Whether there are rings.
    pub fn is_connected(&self) -> bool {
        self.rings.is_some()
    }

    /// Where the frame of the next [`push`](Self::push) is, counted from the start of the UMEM;
    /// none while the ring is full or all frames are on their way.
    #[inline]
    pub fn slot(&mut self) -> Option<u64> {
        if self.rings.as_mut()?.tx.free(1) == 0 {
            return None;
        }
        if self.frames.next_free().is_none() {
            self.reap();
        }
        let frame = self.frames.next_free()?;
        Some(self.base + u64::from(frame) * u64::from(self.frame_bytes))
    }

    /// Puts the first `len` bytes of the frame in [`slot`](Self::slot) into the TX ring.
    ///
    /// # Panics
    /// When there is no slot.
    #[inline]
    pub fn push(&mut self, len: u32, tag: u32) {
        let address = self.slot().expect("a slot for the frame");
        let rings = self.rings.as_mut().expect("a slot has a ring");
        let frame = self.frames.lend_for_sending().expect("a slot has a frame");
        let at = rings.at(rings.tx.next());
        rings.order[at] = frame;
        self.tags[frame as usize] = tag;
        let pushed = rings.tx.push(Descriptor { address, len, options: 0 });
        debug_assert!(pushed, "there was a slot");
    }

    /// Shows the kernel what was pushed.
    #[inline]
    pub fn publish(&mut self) {
        if let Some(rings) = &mut self.rings {
            rings.tx.publish();
        }
    }

    /// Takes completed frames back. An address that the kernel did not have is left alone: its
    /// frame stays where it is.
    #[inline]
    pub fn reap(&mut self) {
        let Some(rings) = &mut self.rings else { return };
        while let Some(address) = rings.completion.pop() {
            let number = address.wrapping_sub(self.base) / u64::from(self.frame_bytes);
            let _ = self.frames.complete(u32::try_from(number).unwrap_or(u32::MAX));
        }
        rings.completion.release();
    }

    /// How many frames were pushed and not taken by the kernel yet.
    pub fn waiting(&mut self) -> u32 {
        self.rings.as_mut().map_or(0, Rings::waiting)
    }

    /// Whether the shared index shows entries that the kernel has not given back. Their frames may
    /// be settled all the same; but their places are not free.
    pub fn is_behind(&mut self) -> bool {
        self.rings.as_mut().is_some_and(|rings| rings.tx.outstanding() > 0)
    }

    /// Whether the kernel has to be called to see new entries.
    pub fn needs_wakeup(&self) -> bool {
        self.rings.as_ref().is_some_and(|rings| rings.tx.needs_wakeup())
    }

    /// The kernel has said that of the frames that it took since [`waiting`](Self::waiting) was
    /// asked, the last one was lost: its tag. None when there was nothing to take.
    ///
    /// Call it before [`reap`](Self::reap): the frame completes like any other.
    pub fn last_taken(&mut self) -> Option<u32> {
        let rings = self.rings.as_mut()?;
        let before = rings.settled;
        let waiting = rings.waiting();
        // The kernel does not publish its index when the first frame that it took was the last.
        if rings.settled == before {
            if waiting == 0 {
                return None;
            }
            rings.settled = before.wrapping_add(1);
        }
        let frame = rings.order[rings.at(rings.settled.wrapping_sub(1))];
        Some(self.tags[frame as usize])
    }

    /// Takes back all frames that the kernel has not taken: `lost` gets their tags.
    ///
    /// # Safety
    /// The kernel does not read the TX ring now: it does so only in system calls of this thread
    /// (copy mode), or the socket is closed.
    pub unsafe fn revoke(&mut self, lost: &mut dyn FnMut(u32)) {
        let Some(rings) = &mut self.rings else { return };
        for _ in 0..rings.waiting() {
            let frame = rings.order[rings.at(rings.settled)];
            // SAFETY: the kernel does not read now, by the contract.
            unsafe { rings.tx.overwrite(rings.settled, REVOKED) };
            rings.settled = rings.settled.wrapping_add(1);
            let complete = self.frames.complete(frame);
            debug_assert!(complete.is_ok(), "a frame in the TX ring is lent for sending");
            lost(self.tags[frame as usize]);
        }
        rings.tx.publish();
    }

    /// How many frames are where.
    pub fn count(&self) -> FrameCount {
        self.frames.count()
    }

    /// Counts every frame anew: for tests. Panics when one is missing, see [`Frames::verify`].
    pub fn verify(&self) {
        self.frames.verify();
    }
}

impl<T, C> Rings<T, C> {
    /// The place of an entry in `order`.
    #[inline]
    fn at(&self, index: u32) -> usize {
        (index & (self.tx.size() - 1)) as usize
    }

    /// Moves `settled` to where the kernel is seen to be; how many entries are open then.
    fn waiting(&mut self) -> u32 {
        let released = self.tx.released();
        let open = self.tx.next().wrapping_sub(self.settled);
        // Not when it is behind us: then `settled` knows more. Nor when it claims the impossible.
        let taken = released.wrapping_sub(self.settled);
        if taken > open {
            return open;
        }
        self.settled = released;
        open - taken
    }
}
