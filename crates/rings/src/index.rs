//! The index protocol of a ring with one writer and one reader.
//!
//! Two shared u32 count slots written and slots read since the beginning, modulo 2^32. Each side
//! alone stores its own and only loads the other's:
//!
//! ```text
//!            consumer            producer
//!    ···free···|······filled········|·······free···
//! ```
//!
//! The writer fills free slots, then stores `producer` (release); the reader loads it (acquire)
//! and so sees the slots. The other way round, the reader stores `consumer` (release) when it is
//! done with slots, and the writer loads it (acquire) before it overwrites them. Each side keeps a
//! copy of the other's index and looks again only when the copy does not suffice, so that the
//! cache line changes cores as seldom as possible.
//!
//! Arithmetic wraps: 2^32 slots pass in 72 minutes at a million packets per second.

use crate::sync::{AtomicU32, Ordering};
use std::ptr::NonNull;

/// The writer's end.
#[derive(Debug)]
pub struct ProducerIndex {
    producer: NonNull<AtomicU32>,
    consumer: NonNull<AtomicU32>,
    /// Our own index; it runs ahead of the shared one by the slots not yet published.
    next: u32,
    /// The consumer's index when we last looked.
    seen: u32,
    size: u32,
}

/// The reader's end.
#[derive(Debug)]
pub struct ConsumerIndex {
    producer: NonNull<AtomicU32>,
    consumer: NonNull<AtomicU32>,
    /// Our own index; it runs ahead of the shared one by the slots not yet released.
    next: u32,
    /// The producer's index when we last looked.
    seen: u32,
    size: u32,
}

impl ProducerIndex {
    /// Over the two shared indexes of a ring of `size` slots; goes on from where they are.
    ///
    /// # Safety
    /// Both pointers are valid for as long as the result lives, and nobody else writes `producer`.
    pub unsafe fn new(
        producer: NonNull<AtomicU32>,
        consumer: NonNull<AtomicU32>,
        size: u32,
    ) -> Self {
        // SAFETY: both are valid by the contract.
        let (next, seen) = unsafe {
            (producer.as_ref().load(Ordering::Relaxed), consumer.as_ref().load(Ordering::Acquire))
        };
        ProducerIndex { producer, consumer, next, seen, size }
    }

    /// The index of the next slot to write, modulo 2^32.
    #[inline]
    pub fn next(&self) -> u32 {
        self.next
    }

    /// How many slots are free, as far as we know without looking.
    #[inline]
    fn free_known(&self) -> u32 {
        // A reader that claims more than was written (a broken kernel) has a ring without room.
        self.size.saturating_sub(self.next.wrapping_sub(self.seen))
    }

    /// How many slots may be written now, looking at the reader's index if fewer than `wanted`
    /// are known to be free. May be more or less than `wanted`.
    #[inline]
    pub fn free(&mut self, wanted: u32) -> u32 {
        let known = self.free_known();
        if known >= wanted {
            return known;
        }
        // SAFETY: valid by the contract of `new`.
        self.seen = unsafe { self.consumer.as_ref() }.load(Ordering::Acquire);
        self.free_known()
    }

    /// Goes past `count` slots that were written; the reader sees them after [`publish`].
    ///
    /// [`publish`]: Self::publish
    #[inline]
    pub fn advance(&mut self, count: u32) {
        debug_assert!(count <= self.free_known(), "advance past the free slots");
        self.next = self.next.wrapping_add(count);
    }

    /// Shows the reader everything that was written.
    #[inline]
    pub fn publish(&mut self) {
        // SAFETY: valid by the contract of `new`.
        unsafe { self.producer.as_ref() }.store(self.next, Ordering::Release);
    }

    /// The reader's index: what is before it was read and released. Looks.
    pub fn released(&mut self) -> u32 {
        // SAFETY: valid by the contract of `new`.
        self.seen = unsafe { self.consumer.as_ref() }.load(Ordering::Acquire);
        self.seen
    }

    /// How many published slots the reader has not released yet. Looks.
    pub fn outstanding(&mut self) -> u32 {
        let released = self.released();
        // SAFETY: valid by the contract of `new`.
        unsafe { self.producer.as_ref() }.load(Ordering::Relaxed).wrapping_sub(released)
    }
}

impl ConsumerIndex {
    /// Over the two shared indexes of a ring of `size` slots; goes on from where they are.
    ///
    /// # Safety
    /// Both pointers are valid for as long as the result lives, and nobody else writes `consumer`.
    pub unsafe fn new(
        producer: NonNull<AtomicU32>,
        consumer: NonNull<AtomicU32>,
        size: u32,
    ) -> Self {
        // SAFETY: both are valid by the contract.
        let next = unsafe { consumer.as_ref() }.load(Ordering::Relaxed);
        ConsumerIndex { producer, consumer, next, seen: next, size }
    }

    /// The index of the next slot to read, modulo 2^32.
    #[inline]
    pub fn next(&self) -> u32 {
        self.next
    }

    /// How many slots may be read now, looking at the writer's index if none is known. Never more
    /// than the ring has, whatever the other side claims.
    #[inline]
    pub fn available(&mut self) -> u32 {
        let known = self.seen.wrapping_sub(self.next);
        if known > 0 {
            return known;
        }
        // SAFETY: valid by the contract of `new`.
        let claimed = unsafe { self.producer.as_ref() }.load(Ordering::Acquire);
        let filled = claimed.wrapping_sub(self.next).min(self.size);
        self.seen = self.next.wrapping_add(filled);
        filled
    }

    /// Goes past `count` slots that were read; the writer gets them after [`release`].
    ///
    /// [`release`]: Self::release
    #[inline]
    pub fn advance(&mut self, count: u32) {
        debug_assert!(count <= self.seen.wrapping_sub(self.next), "advance past the filled slots");
        self.next = self.next.wrapping_add(count);
    }

    /// Gives the writer back everything that was read.
    #[inline]
    pub fn release(&mut self) {
        // SAFETY: valid by the contract of `new`.
        unsafe { self.consumer.as_ref() }.store(self.next, Ordering::Release);
    }
}

// SAFETY: an index end is a pair of pointers to atomics, valid wherever the end goes (contract of
// `new`), and plain numbers.
unsafe impl Send for ProducerIndex {}
// SAFETY: as above.
unsafe impl Send for ConsumerIndex {}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// A broken or hostile other side may claim any index: we never go beyond the ring.
    #[test]
    fn mad_indexes_are_bounded() {
        for claim in [0u32, 1, 8, 9, 1 << 31, u32::MAX] {
            for start in [0u32, 5, u32::MAX - 3] {
                let (ours, theirs) = (AtomicU32::new(start), AtomicU32::new(start));
                let (ours, theirs) = (NonNull::from(&ours), NonNull::from(&theirs));
                // SAFETY: both atomics live to the end of this block.
                let mut consumer = unsafe { ConsumerIndex::new(theirs, ours, 8) };
                // SAFETY: as above.
                unsafe { theirs.as_ref() }.store(start.wrapping_add(claim), Ordering::Relaxed);
                assert_eq!(consumer.available(), claim.min(8));
                // SAFETY: as above.
                let mut producer = unsafe { ProducerIndex::new(ours, theirs, 8) };
                // A reader ahead of the writer: more than `size` slots in use by the numbers.
                let used = claim.wrapping_neg();
                assert_eq!(producer.free(8), 8u32.saturating_sub(used));
            }
        }
    }
}
