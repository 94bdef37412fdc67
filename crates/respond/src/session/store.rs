//! Where a session's numbers outlive the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The numbers of the next message in either direction, kept where they outlive the process: a
/// session that forgot them would be refused, or would send a number twice.
///
/// Each is set before the bytes of a message with it leave, or after the message has been handled.
/// 0 means that none was ever set. Must neither block nor fail: the edge maps words of a file.
pub trait SequenceStore: Send {
    /// The number of the next message that we send.
    fn outgoing(&self) -> u64;
    /// The number of the next message that we expect.
    fn incoming(&self) -> u64;
    /// Keeps the number of the next message that we send.
    fn set_outgoing(&self, next: u64);
    /// Keeps the number of the next message that we expect.
    fn set_incoming(&self, next: u64);
}

/// The first two words of those that [`Memory::target`](crate::Memory::target) has for a session;
/// words of zero begin with 1.
impl SequenceStore for &'static [AtomicU64] {
    fn outgoing(&self) -> u64 {
        self[0].load(Ordering::Relaxed).max(1)
    }

    fn incoming(&self) -> u64 {
        self[1].load(Ordering::Relaxed).max(1)
    }

    fn set_outgoing(&self, next: u64) {
        self[0].store(next, Ordering::Relaxed);
    }

    fn set_incoming(&self, next: u64) {
        self[1].store(next, Ordering::Relaxed);
    }
}

/// Outgoing and incoming, in memory that others may look at.
///
/// Relaxed: one thread writes, and no other memory depends on what is read. A mapped file has the
/// words in the order of the program whatever becomes of the process, because the kernel owns them
/// once they are stored.
impl SequenceStore for Arc<[AtomicU64; 2]> {
    fn outgoing(&self) -> u64 {
        self[0].load(Ordering::Relaxed)
    }

    fn incoming(&self) -> u64 {
        self[1].load(Ordering::Relaxed)
    }

    fn set_outgoing(&self, next: u64) {
        self[0].store(next, Ordering::Relaxed);
    }

    fn set_incoming(&self, next: u64) {
        self[1].store(next, Ordering::Relaxed);
    }
}
