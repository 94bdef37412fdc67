//! What a worker does with its frames.

use tickwire_frame::{Batch, Ledger, Mask};

/// What a worker does with its frames: capture, replicate, respond, analyze, detect.
///
/// A job never sees a socket, so it is tested with plain arrays.
pub trait Job: Send {
    /// Handles the `selected` frames of `batch`. Every one of them ends in the ledger: counted as
    /// `delivered`, or discarded under its reason. The frames are gone when this returns.
    fn handle(&mut self, batch: &Batch<'_>, selected: Mask, ledger: &mut Ledger);

    /// Called about ten times a second: flush what waits, settle what was written meanwhile.
    fn tick(&mut self, _ledger: &mut Ledger) {}

    /// Called once, after the last frame: write out and settle everything that is still open.
    fn finish(&mut self, _ledger: &mut Ledger) {}
}

/// The smallest job: every frame counts as delivered.
impl Job for () {
    fn handle(&mut self, _: &Batch<'_>, selected: Mask, ledger: &mut Ledger) {
        ledger.delivered += selected.count() as u64;
    }
}

/// So that a job can hand on to another one that is chosen at run time.
impl<J: Job + ?Sized> Job for Box<J> {
    fn handle(&mut self, batch: &Batch<'_>, selected: Mask, ledger: &mut Ledger) {
        (**self).handle(batch, selected, ledger);
    }

    fn tick(&mut self, ledger: &mut Ledger) {
        (**self).tick(ledger);
    }

    fn finish(&mut self, ledger: &mut Ledger) {
        (**self).finish(ledger);
    }
}
