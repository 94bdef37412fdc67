//! A ring over plain memory: a kernel without a kernel, for tests and simulations.

use crate::ring::{Consumer, Parts, Producer};
use crate::sync::{Arc, AtomicU32, UnsafeCell};
use std::ptr::NonNull;

/// The memory of one ring.
#[derive(Debug)]
pub struct Memory<T> {
    producer: AtomicU32,
    consumer: AtomicU32,
    flags: AtomicU32,
    entries: Box<[UnsafeCell<T>]>,
}

// SAFETY: the entries are touched only through the two ends of one ring, which keep to the index
// protocol; the rest is atomic.
unsafe impl<T: Send> Sync for Memory<T> {}
// SAFETY: plain data.
unsafe impl<T: Send> Send for Memory<T> {}

/// The writing end of a plain ring.
pub type PlainProducer<T> = Producer<T, Arc<Memory<T>>>;
/// The reading end of a plain ring.
pub type PlainConsumer<T> = Consumer<T, Arc<Memory<T>>>;

/// An empty ring of `size` entries (a power of two) whose indexes both begin at `start`.
pub fn plain_ring<T: Copy + Default + Send>(
    size: u32,
    start: u32,
) -> (PlainProducer<T>, PlainConsumer<T>) {
    let memory = Arc::new(Memory {
        producer: AtomicU32::new(start),
        consumer: AtomicU32::new(start),
        flags: AtomicU32::new(0),
        entries: (0..size).map(|_| UnsafeCell::new(T::default())).collect(),
    });
    let parts = || Parts {
        producer: NonNull::from(&memory.producer),
        consumer: NonNull::from(&memory.consumer),
        flags: NonNull::from(&memory.flags),
        entries: NonNull::from(&memory.entries[..]).cast(),
        size,
    };
    // SAFETY: the parts point into `memory`, which each end keeps alive behind its own `Arc` and
    // which does not move; these are the only two ends, and all entries are initialised.
    unsafe {
        (
            Producer::from_parts(parts(), memory.clone()),
            Consumer::from_parts(parts(), memory.clone()),
        )
    }
}
