//! The rings of an AF_XDP socket: a power of two of equal entries in memory shared with the kernel.
//!
//! We produce into the fill and TX rings and consume from the RX and completion rings; the kernel
//! has the other ends. Entries are `u64` addresses (fill, completion) or descriptors (RX, TX).
//! See <https://docs.kernel.org/networking/af_xdp.html>, "Rings".

use crate::index::{ConsumerIndex, ProducerIndex};
use crate::sync::{AtomicU32, Ordering, UnsafeCell, fence};
use std::fmt;
use std::ptr::NonNull;

/// The most entries of a ring: the kernel's own limit is 2^31 bytes of entries; ours is humane.
pub const RING_SIZE_MAX: u32 = 1 << 20;

/// `XDP_RING_NEED_WAKEUP`: the kernel sleeps and must be called.
const NEED_WAKEUP: u32 = 1;

/// An entry of the RX and TX rings: `struct xdp_desc` of linux/if_xdp.h.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Descriptor {
    /// Where the packet begins, counted from the start of the UMEM, in bytes.
    pub address: u64,
    /// How long it is, in bytes.
    pub len: u32,
    /// Flags; 0 is a packet that is whole in this frame.
    pub options: u32,
}

/// Where a ring lies: what the kernel's offsets (XDP_MMAP_OFFSETS) point to.
pub struct Parts<T> {
    /// Counts entries written.
    pub producer: NonNull<AtomicU32>,
    /// Counts entries read.
    pub consumer: NonNull<AtomicU32>,
    /// The kernel's flags to us.
    pub flags: NonNull<AtomicU32>,
    /// The first of `size` entries.
    pub entries: NonNull<UnsafeCell<T>>,
    /// How many entries: a power of two, at most [`RING_SIZE_MAX`].
    pub size: u32,
}

impl<T> Parts<T> {
    fn check(&self) {
        assert!(
            self.size.is_power_of_two() && self.size <= RING_SIZE_MAX,
            "a ring has a power of two of entries, at most {RING_SIZE_MAX}: {}",
            self.size
        );
    }
}

impl<T> fmt::Debug for Parts<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("size", &self.size).finish_non_exhaustive()
    }
}

/// The end of a ring that writes entries. `O` owns the memory and goes when the end goes.
#[derive(Debug)]
pub struct Producer<T, O> {
    index: ProducerIndex,
    parts: Parts<T>,
    _owner: O,
}

/// The end of a ring that reads entries. `O` owns the memory and goes when the end goes.
#[derive(Debug)]
pub struct Consumer<T, O> {
    index: ConsumerIndex,
    parts: Parts<T>,
    _owner: O,
}

impl<T: Copy, O> Producer<T, O> {
    /// The writing end of the ring at `parts`.
    ///
    /// # Safety
    /// `parts` points into memory that `owner` keeps valid for reads and writes, wherever `owner`
    /// is moved to; entries are aligned for `T`; there is no other producer on this ring, and the
    /// consumer keeps to the protocol of [`crate::index`] (a kernel, or a [`Consumer`]).
    pub unsafe fn from_parts(parts: Parts<T>, owner: O) -> Self {
        parts.check();
        // SAFETY: valid and exclusive by the contract.
        let index = unsafe { ProducerIndex::new(parts.producer, parts.consumer, parts.size) };
        Producer { index, parts, _owner: owner }
    }

    /// How many entries the ring has.
    pub fn size(&self) -> u32 {
        self.parts.size
    }

    /// How many entries may be pushed now; looks at the reader if fewer than `wanted` are known.
    #[inline]
    pub fn free(&mut self, wanted: u32) -> u32 {
        self.index.free(wanted)
    }

    /// Writes one entry, to be seen after [`publish`](Self::publish); false when the ring is full.
    #[inline]
    #[must_use]
    pub fn push(&mut self, entry: T) -> bool {
        if self.index.free(1) == 0 {
            return false;
        }
        // SAFETY: the slot is free, so only we touch it until it is published.
        unsafe { self.overwrite(self.index.next(), entry) };
        self.index.advance(1);
        true
    }

    /// Writes another entry in the place of the one at `index`, published or not.
    ///
    /// # Safety
    /// The reader does not run now, or does not read this slot.
    #[inline]
    pub unsafe fn overwrite(&mut self, index: u32, entry: T) {
        let slot = (index & (self.parts.size - 1)) as usize;
        // SAFETY: `slot` is below `size`, so it lies within the entries; nobody else touches it,
        // by the contract.
        unsafe { self.parts.entries.add(slot).as_ref().with_mut(|place| place.write(entry)) };
    }

    /// The index of the next entry to push, modulo 2^32.
    #[inline]
    pub fn next(&self) -> u32 {
        self.index.next()
    }

    /// The index of the first entry that the reader has not given back, modulo 2^32. Looks.
    #[inline]
    pub fn released(&mut self) -> u32 {
        self.index.released()
    }

    /// Shows the reader all entries pushed so far.
    #[inline]
    pub fn publish(&mut self) {
        self.index.publish();
    }

    /// Whether the reader sleeps and has to be called to see new entries.
    #[inline]
    pub fn needs_wakeup(&self) -> bool {
        // The reader sets the flag, then looks at the ring again, then sleeps. Our publish must
        // not move behind our look at the flag, or both could miss each other.
        fence(Ordering::SeqCst);
        // SAFETY: valid by the contract of `from_parts`.
        unsafe { self.parts.flags.as_ref() }.load(Ordering::Relaxed) & NEED_WAKEUP != 0
    }

    /// How many published entries the reader has not taken yet.
    pub fn outstanding(&mut self) -> u32 {
        self.index.outstanding()
    }
}

impl<T: Copy, O> Consumer<T, O> {
    /// The reading end of the ring at `parts`.
    ///
    /// # Safety
    /// As for [`Producer::from_parts`], with the roles exchanged; in addition every bit pattern
    /// that the producer may write is a valid `T`.
    pub unsafe fn from_parts(parts: Parts<T>, owner: O) -> Self {
        parts.check();
        // SAFETY: valid and exclusive by the contract.
        let index = unsafe { ConsumerIndex::new(parts.producer, parts.consumer, parts.size) };
        Consumer { index, parts, _owner: owner }
    }

    /// How many entries the ring has.
    pub fn size(&self) -> u32 {
        self.parts.size
    }

    /// How many entries may be popped now; looks at the writer if none is known.
    #[inline]
    pub fn available(&mut self) -> u32 {
        self.index.available()
    }

    /// Reads one entry; its slot goes back to the writer with [`release`](Self::release).
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        if self.index.available() == 0 {
            return None;
        }
        let slot = (self.index.next() & (self.parts.size - 1)) as usize;
        // SAFETY: `slot` is below `size`, so it lies within the entries; it was published and not
        // released, so the writer leaves it alone.
        let entry = unsafe { self.parts.entries.add(slot).as_ref().with(|place| place.read()) };
        self.index.advance(1);
        Some(entry)
    }

    /// Gives the writer back the slots of all entries popped so far.
    #[inline]
    pub fn release(&mut self) {
        self.index.release();
    }

    /// Sets or clears the need-wakeup flag: what the kernel does when it has this end.
    pub fn set_need_wakeup(&self, needed: bool) {
        // SAFETY: valid by the contract of `from_parts`.
        let flags = unsafe { self.parts.flags.as_ref() };
        flags.store(if needed { NEED_WAKEUP } else { 0 }, Ordering::Relaxed);
        // Pairs with the fence in `needs_wakeup`: the caller looks at the ring after this.
        fence(Ordering::SeqCst);
    }
}

// SAFETY: the pointers are valid wherever `owner` goes (contract of `from_parts`); the entries are
// plain data (`Copy`), touched only under the index protocol.
unsafe impl<T: Copy + Send, O: Send> Send for Producer<T, O> {}
// SAFETY: as above.
unsafe impl<T: Copy + Send, O: Send> Send for Consumer<T, O> {}
