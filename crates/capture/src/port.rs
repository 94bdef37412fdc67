//! What every port can do: receive batches, transmit frames, and account for what the kernel lost.

use std::fmt;
use std::time::Duration;
use tickwire_filter::Filter;
use tickwire_frame::{Batch, Ledger};

/// What one [`Port::receive`] brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// The batch has one frame or more.
    Frames,
    /// Nothing is there now; [`Port::wait`] sleeps until something may be.
    Idle,
    /// Nothing will ever come again: the end of a file.
    End,
}

/// What became of the frames given to one [`Port::transmit`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// How many of the first frames were taken. The others are still the caller's: the ring is
    /// full, try again after [`Port::wait`] or count them as discarded.
    pub accepted: usize,
}

/// One counter of the kernel or the driver, by the name it has there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelCounter {
    /// `rx_ring_full`, `tp_drops`, `rx_queue_0_drops`, …
    pub name: String,
    /// Its value since the port was opened.
    pub value: u64,
}

/// What is in force, said aloud at start and in every summary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mode {
    /// The back end: `af_xdp`, `af_packet`, `file`, `sim`, …
    pub port: &'static str,
    /// How it runs: `zero-copy`, `copy`, `generic`, `tpacket_v3`, `pcap`, …
    pub mode: String,
    /// Why not something faster; empty when it is the fastest there is.
    pub why: String,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.port, self.mode)?;
        if self.why.is_empty() { Ok(()) } else { write!(f, ": {}", self.why) }
    }
}

/// A port failed for good. The text names the cause and the cure.
///
/// What a port can live through (a link that is down, an interface that comes back) is no error:
/// the port reports nothing to receive, counts, and goes on.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// The system refused something: what we did, why it failed, what to do about it.
    #[error("{what}: {source}{}", Cure(.cure))]
    System {
        /// What we tried, with the object: `bind queue 0 of eth0`.
        what: String,
        /// What the system said.
        source: std::io::Error,
        /// What the user can do; may be empty.
        cure: String,
    },
    /// The input is broken: where, and how. Everything before it has been received.
    #[error("{0}")]
    Broken(String),
    /// This port cannot do that.
    #[error("{what}{}", Cure(.cure))]
    Unsupported {
        /// What was asked, and why it cannot be.
        what: String,
        /// What to do instead; may be empty.
        cure: String,
    },
}

impl PortError {
    /// A system call failed. `cure` gives way when the cause is a limit of open files.
    pub fn system(
        what: impl Into<String>,
        source: impl Into<std::io::Error>,
        cure: impl Into<String>,
    ) -> Self {
        let source = source.into();
        let cure = files_cure(&source).map_or_else(|| cure.into(), str::to_owned);
        PortError::System { what: what.into(), source, cure }
    }
}

/// What helps when there are too many open files: the same whatever was tried.
fn files_cure(error: &std::io::Error) -> Option<&'static str> {
    match error.raw_os_error()? {
        libc::EMFILE => Some("allow this process more open files: `ulimit -n 65536` before it"),
        libc::ENFILE => Some(
            "allow this machine more open files: `sudo sysctl fs.file-max=1000000`, or find who \
             holds so many with `lsof`",
        ),
        _ => None,
    }
}

struct Cure<'a>(&'a str);

impl fmt::Display for Cure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "; {}", self.0) }
    }
}

/// An interface queue or a file that frames come from or go to.
///
/// A port belongs to one worker thread. Frames are on loan: those of a batch are valid until the
/// next `receive`, which first takes them all back, so none can be forgotten.
pub trait Port: Send {
    /// Takes back the frames of the batch before, then fills the (empty) `batch` with up to 64
    /// frames. Does not block, except for the time a disk or a pipe takes (bounded for a pipe).
    ///
    /// Sets `batch.link` and `batch.interface`.
    fn receive<'p>(&'p mut self, batch: &mut Batch<'p>) -> Result<Received, PortError>;

    /// Sleeps until a frame may be there, at most for `timeout`. May return early.
    fn wait(&mut self, timeout: Duration) -> Result<(), PortError>;

    /// Copies `frames` into the transmit ring, in order, with one kick.
    fn transmit(&mut self, frames: &[&[u8]]) -> Result<Sent, PortError>;

    /// Housekeeping, called by the engine about ten times a second and once at the end: enters the
    /// kernel's losses since the last call into `ledger` ([`Ledger::lost`]) and the accepted frames
    /// that were not sent ([`Ledger::unsent`]), watches the link, reopens what came back.
    fn tick(&mut self, ledger: &mut Ledger) -> Result<(), PortError>;

    /// From now on frames that `filter` rejects are not wanted: a port whose kernel can run it,
    /// or a part of it, replaces what the kernel runs, in one step. What is delivered may still
    /// hold frames that it rejects; none that it accepts is missing.
    ///
    /// # Errors
    /// When the port is broken. That a kernel cannot run a filter is no error: then it delivers
    /// everything, and [`mode`](Self::mode) says so.
    fn set_filter(&mut self, _filter: &Filter) -> Result<(), PortError> {
        Ok(())
    }

    /// Stops new frames from arriving, so that what is queued can be drained and the sums compared.
    /// Frames that arrive later are none of ours.
    fn quiesce(&mut self) -> Result<(), PortError>;

    /// What a person should know at once and a counter does not say: a link that went down, an
    /// interface that is gone. The oldest one that was not taken yet; asked after every `tick`.
    fn take_notice(&mut self) -> Option<String> {
        None
    }

    /// The counters of the kernel and the driver, as they are now; none where there is neither.
    fn kernel_counters(&mut self) -> Vec<KernelCounter> {
        Vec::new()
    }

    /// What is in force.
    fn mode(&self) -> Mode;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn too_many_open_files_have_a_cure_whatever_was_tried() {
        for (errno, cure) in [(libc::EMFILE, "ulimit -n"), (libc::ENFILE, "fs.file-max")] {
            let error = PortError::system("open x", io::Error::from_raw_os_error(errno), "");
            assert!(error.to_string().contains(cure), "{error}");
        }
        let error = PortError::system("open x", io::Error::from_raw_os_error(libc::ENOENT), "no");
        assert!(error.to_string().ends_with("; no"), "{error}");
    }
}
