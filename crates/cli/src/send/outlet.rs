//! Where packets leave.

use tickwire_capture::{Mode, PortError};
use tickwire_frame::{Counters, LinkType, Reason};

/// What became of the first packets that were handed to an outlet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handed {
    /// The first so many left …
    pub sent: usize,
    /// … and the one after them will not, for this reason.
    pub refused: Option<Reason>,
}

/// Sends packets. Belongs to one worker's thread.
pub trait Outlet: Send {
    /// What the first byte of a packet has to mean; `None` where it takes UDP payloads.
    fn link(&self) -> Option<LinkType>;

    /// Sends the first packets of a list that is not empty, in order, with one system call where
    /// possible. Deals with one packet at least; what it leaves over is handed over again.
    fn send(&mut self, packets: &[&[u8]]) -> Result<Handed, PortError>;

    /// Housekeeping, about ten times a second: enters packets that `send` took for
    /// sent, but that did not leave.
    fn tick(&mut self, _lost: &mut Counters) -> Result<(), PortError> {
        Ok(())
    }

    /// At the end: gives what is on its way a moment, and enters the rest.
    fn finish(&mut self, lost: &mut Counters) -> Result<(), PortError> {
        self.tick(lost)
    }

    /// What a person should know at once.
    fn take_notice(&mut self) -> Option<String> {
        None
    }

    /// What the system said, by the name of the error, and how often.
    fn answers(&self) -> Vec<(String, u64)> {
        Vec::new()
    }

    /// What is in force.
    fn mode(&self) -> Mode;
}
