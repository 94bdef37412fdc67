//! A worker's ledger as other threads may read it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tickwire_frame::{Ledger, Reason};

/// How many notices of a worker wait to be taken; later ones are dropped.
const NOTICES_MAX: usize = 64;

/// A copy of one worker's [`Ledger`] that other threads read without stopping it.
///
/// The worker writes it about ten times a second. A reader may see numbers of two neighbouring
/// moments mixed; the final ones are exact.
#[derive(Debug)]
pub struct Published {
    received: AtomicU64,
    selected: AtomicU64,
    delivered: AtomicU64,
    received_bytes: AtomicU64,
    discarded: [AtomicU64; Reason::COUNT],
    unsent: [AtomicU64; Reason::COUNT],
    malformed: [AtomicU64; Reason::COUNT],
    notices: Mutex<Vec<String>>,
}

impl Default for Published {
    fn default() -> Self {
        Published {
            received: AtomicU64::new(0),
            selected: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            received_bytes: AtomicU64::new(0),
            discarded: [const { AtomicU64::new(0) }; Reason::COUNT],
            unsent: [const { AtomicU64::new(0) }; Reason::COUNT],
            malformed: [const { AtomicU64::new(0) }; Reason::COUNT],
            notices: Mutex::default(),
        }
    }
}

impl Published {
    /// Writes `ledger` where others can see it.
    pub fn store(&self, ledger: &Ledger) {
        self.received.store(ledger.received, Relaxed);
        self.selected.store(ledger.selected, Relaxed);
        self.delivered.store(ledger.delivered, Relaxed);
        self.received_bytes.store(ledger.received_bytes, Relaxed);
        for &reason in Reason::ALL {
            self.discarded[reason as usize].store(ledger.discarded[reason], Relaxed);
            self.unsent[reason as usize].store(ledger.unsent[reason], Relaxed);
            self.malformed[reason as usize].store(ledger.malformed[reason], Relaxed);
        }
    }

    /// Leaves what the port has to say ([`Port::take_notice`](tickwire_capture::Port)) for others
    /// to read. Locks: for rare events only.
    pub fn notice(&self, text: String) {
        let mut notices = self.notices.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if notices.len() < NOTICES_MAX {
            notices.push(text);
        }
    }

    /// Takes the notices, oldest first.
    pub fn take_notices(&self) -> Vec<String> {
        std::mem::take(&mut *self.notices.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    /// The ledger as it was last written.
    pub fn load(&self) -> Ledger {
        let mut ledger = Ledger {
            received: self.received.load(Relaxed),
            selected: self.selected.load(Relaxed),
            delivered: self.delivered.load(Relaxed),
            received_bytes: self.received_bytes.load(Relaxed),
            ..Ledger::default()
        };
        for &reason in Reason::ALL {
            ledger.discarded.add(reason, self.discarded[reason as usize].load(Relaxed));
            ledger.unsent.add(reason, self.unsent[reason as usize].load(Relaxed));
            ledger.malformed.add(reason, self.malformed[reason as usize].load(Relaxed));
        }
        ledger
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_loaded() {
        let mut ledger = Ledger { delivered: 3, selected: 4, ..Ledger::default() };
        ledger.lost(Reason::PacketDropped, 7);
        ledger.malformed.add(Reason::EmptyPacket, 1);
        ledger.unsent.add(Reason::LinkDown, 2);
        let published = Published::default();
        published.store(&ledger);
        assert_eq!(published.load(), ledger);
    }
}
