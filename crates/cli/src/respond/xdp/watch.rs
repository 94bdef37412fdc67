//! The thread that lets the kernel trade: every few milliseconds it takes the desk, reads what was
//! decided, and renews the lease. Whatever hangs, trading ends with the lease.

use super::{Kernel, Records};
use crate::exit::Failure;
use crate::respond::desk::Desk;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tickwire_frame::Timestamp;

/// The longest pause between two rounds, in milliseconds: records are in the log so soon.
const ROUND_MS_MAX: u64 = 5;
/// Rounds that may fail in a row before the lease runs out.
const ROUNDS_A_LEASE: u32 = 5;
/// Looks at both clocks, the closest of which counts.
const CLOCK_READS: usize = 3;

/// The thread.
#[derive(Debug)]
pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Records>,
}

impl Watch {
    /// Starts it. The kernel may trade when this returns.
    ///
    /// # Errors
    /// When there is no room for a thread.
    pub fn start(
        kernel: &Arc<Kernel>,
        mut records: Records,
        desk: &Arc<Mutex<Desk>>,
    ) -> Result<Watch, Failure> {
        let (kernel, desk) = (Arc::clone(kernel), Arc::clone(desk));
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let pause = Duration::from_millis(ROUND_MS_MAX).min(kernel.lease() / ROUNDS_A_LEASE);
        renew(&kernel, Some(kernel.lease()));
        let thread = std::thread::Builder::new().name("kernel rules".to_owned());
        let thread = thread.spawn(move || {
            while !stopped.load(Relaxed) {
                records.take(&desk);
                renew(&kernel, Some(kernel.lease()));
                std::thread::sleep(pause);
            }
            renew(&kernel, None);
            kernel.state().settle();
            records
        });
        Ok(Watch { stop, thread: thread.map_err(Failure::failed)? })
    }

    /// Takes the lease back: nothing is sent by the kernel when this returns. What is left to be
    /// read; `None` when the thread panicked, which it has said.
    pub fn end(self) -> Option<Records> {
        self.stop.store(true, Relaxed);
        self.thread.join().ok()
    }
}

/// It may trade for so long from now on; not any more when that is `None`.
fn renew(kernel: &Kernel, lease: Option<Duration>) {
    let (monotonic_ns, wall_ns) = clocks();
    let until_ns = lease.map_or(0, |lease| monotonic_ns + lease.as_nanos() as u64);
    kernel.state().renew(until_ns, wall_ns.wrapping_sub(monotonic_ns));
}

/// CLOCK_MONOTONIC and the time since 1970 at one moment, in nanoseconds.
fn clocks() -> (u64, u64) {
    let look = || {
        let before_ns = monotonic_ns();
        let wall_ns = Timestamp::now().as_nanos();
        (monotonic_ns() - before_ns, before_ns, wall_ns)
    };
    let looks = [(); CLOCK_READS].map(|()| look());
    let (_, monotonic_ns, wall_ns) = looks.into_iter().min().unwrap_or_default();
    (monotonic_ns, wall_ns)
}

/// CLOCK_MONOTONIC, in nanoseconds.
pub fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
