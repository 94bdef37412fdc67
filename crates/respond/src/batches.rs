//! When all workers have seen what was set: the kill switch.
//!
//! A worker says when it begins a batch and when all that came of it has been handed to the kernel.
//! Who sets the kill switch looks at that afterwards: a worker that rests sees the switch in its
//! next batch; one in a batch may have asked before, and is waited for.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// Of one worker: even while it rests, odd while it is in a batch.
#[derive(Debug, Default)]
pub struct Batches(AtomicU64);

impl Batches {
    /// A batch begins; what was set before is seen in it.
    #[inline]
    pub fn begin(&self) {
        // A read of the switch must not come before this store: so says one order of all SeqCst
        // operations and the full barrier of a read-modify-write.
        self.0.fetch_or(1, SeqCst);
    }

    /// The batch has ended, and nothing of it is left in the process.
    #[inline]
    pub fn end(&self) {
        self.0.fetch_add(self.0.load(SeqCst) & 1, SeqCst);
    }

    /// The batch that is running now, if there is one. Ask after the switch was set, and then
    /// [`has_ended`](Self::has_ended) until it has.
    pub fn running(&self) -> Option<u64> {
        // As in `begin`, for the store of the switch.
        let batch = self.0.fetch_or(0, SeqCst);
        (batch & 1 == 1).then_some(batch)
    }

    /// Whether the batch that was running has ended.
    pub fn has_ended(&self, batch: u64) -> bool {
        self.0.load(SeqCst) != batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_batch_that_was_running_is_waited_for() {
        let batches = Batches::default();
        assert_eq!(batches.running(), None);
        batches.begin();
        let batch = batches.running().unwrap();
        assert!(!batches.has_ended(batch));
        batches.begin();
        assert!(!batches.has_ended(batch));
        batches.end();
        assert!(batches.has_ended(batch) && batches.running().is_none());
        batches.end();
        assert_eq!(batches.running(), None);
        batches.begin();
        assert!(batches.has_ended(batch) && batches.running().is_some());
    }
}
