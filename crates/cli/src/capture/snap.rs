//! `-s`: hands on only the first bytes of each packet.

use tickwire_engine::Job;
use tickwire_frame::{Batch, Frame, Ledger, Mask};

/// Cuts every packet to `bytes` and hands it to `inner`; its length on the wire stays known.
pub struct SnapJob<J> {
    bytes: usize,
    inner: J,
}

impl<J: Job> SnapJob<J> {
    /// Keeps at most `bytes` of each packet.
    pub fn new(bytes: u32, inner: J) -> Self {
        SnapJob { bytes: bytes as usize, inner }
    }
}

impl<J: Job> Job for SnapJob<J> {
    fn handle(&mut self, batch: &Batch<'_>, selected: Mask, ledger: &mut Ledger) {
        let mut cut = Batch::new();
        (cut.link, cut.interface) = (batch.link, batch.interface);
        for frame in batch.iter() {
            let bytes = &frame.bytes[..frame.bytes.len().min(self.bytes)];
            cut.push(Frame { bytes, ..frame });
        }
        self.inner.handle(&cut, selected, ledger);
    }

    fn tick(&mut self, ledger: &mut Ledger) {
        self.inner.tick(ledger);
    }

    fn finish(&mut self, ledger: &mut Ledger) {
        self.inner.finish(ledger);
    }
}
