//! Where a session's numbers outlive the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tickwire_market::Ascii;

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

/// Where an OUCH session is: what another process needs to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The name of the session.
    pub session: Ascii<10>,
    /// Of which number the message is from which on it tells all about the orders that are open.
    pub mark: u64,
    /// The number of the next message: those before have been handled.
    pub next: u64,
}

impl Place {
    /// The first words of those that [`Memory::target`](crate::Memory::target) has for a session;
    /// `None` when no place was kept there.
    pub fn read(words: &[AtomicU64]) -> Option<Place> {
        let [mark, next, head, tail] =
            [0, 1, 2, 3].map(|word: usize| words[word].load(Ordering::Relaxed));
        let name = (u128::from(tail) << 64 | u128::from(head)).to_le_bytes();
        let (&name, _) = name.split_first_chunk()?;
        let is_name = name.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
        (is_name && mark > 0).then_some(Place { session: Ascii(name), mark, next })
    }

    /// Keeps it. No order leaves while it is written, so that the words belong together for whoever
    /// needs them, wherever the process is killed.
    pub fn write(&self, words: &[AtomicU64]) {
        let mut name = [0; 16];
        name[..10].copy_from_slice(&self.session.0);
        let name = u128::from_le_bytes(name);
        for (word, value) in
            words.iter().zip([self.mark, self.next, name as u64, (name >> 64) as u64])
        {
            word.store(value, Ordering::Relaxed);
        }
    }
}
