//! The worker of mode `xdp`: it sees no frames, and keeps the account of what the kernel did.

use super::Kernel;
use std::sync::Arc;
use std::time::Duration;
use tickwire_capture::{Mode, Port, PortError, Received, Sent};
use tickwire_frame::{Batch, Ledger};
use tickwire_replicate::Counts;

/// A port without frames.
#[derive(Debug)]
pub struct KernelPort {
    kernel: Arc<Kernel>,
    /// Which worker of the table's accounts it is.
    worker: usize,
    /// What the ledger has.
    entered: Counts,
}

impl KernelPort {
    /// The account of `kernel` is entered as that of `worker`.
    pub fn new(kernel: Arc<Kernel>, worker: usize) -> KernelPort {
        KernelPort { kernel, worker, entered: Counts::default() }
    }

    /// What carries the table.
    pub fn kernel(&self) -> &Arc<Kernel> {
        &self.kernel
    }
}

impl Port for KernelPort {
    fn receive<'p>(&'p mut self, _batch: &mut Batch<'p>) -> Result<Received, PortError> {
        Ok(Received::Idle)
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), PortError> {
        std::thread::sleep(timeout);
        Ok(())
    }

    fn transmit(&mut self, _frames: &[&[u8]]) -> Result<Sent, PortError> {
        Ok(Sent::default())
    }

    fn tick(&mut self, ledger: &mut Ledger) -> Result<(), PortError> {
        let now = self.kernel.read(self.worker)?;
        let copied = now.copied - self.entered.copied;
        ledger.received += copied;
        ledger.selected += copied;
        ledger.delivered += copied;
        ledger.received_bytes += now.bytes - self.entered.bytes;
        for (reason, count) in now.discarded.iter() {
            let more = count - self.entered.discarded[reason];
            ledger.received += more;
            ledger.discard(reason, more);
        }
        self.entered = now;
        self.kernel.follow_links()
    }

    fn quiesce(&mut self) -> Result<(), PortError> {
        self.kernel.detach()
    }

    fn take_notice(&mut self) -> Option<String> {
        self.kernel.take_notice()
    }

    fn mode(&self) -> Mode {
        Mode { port: "xdp", mode: "native".into(), why: String::new() }
    }
}
