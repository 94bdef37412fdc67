//! The run loop.

use crate::{Control, Job, Published};
use std::time::{Duration, Instant};
use tickwire_capture::{Port, PortError, Received};
use tickwire_frame::{Batch, Ledger};

/// How often a worker does its housekeeping: kernel counters, link state, published ledger.
pub const TICK_MS: u64 = 100;

/// How long a worker may take to drain its port after it was told to stop.
pub const STOP_MS_MAX: u64 = 500;

/// Batches between two looks at the clock when the port is never idle.
const BATCHES_PER_CLOCK_READ: u32 = 256;

/// What a worker does when nothing has arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Idle {
    /// Sleep in the kernel until something comes: costs a wake-up, frees the core.
    #[default]
    Sleep,
    /// Ask again at once: the lowest latency, one core at 100 %.
    Spin,
}

/// Receives, selects, handles and settles until the port ends or `control` says stop; then drains
/// the port and settles the rest. The final ledger comes back, and its difference is 0.
///
/// An error of the port ends the loop; what was received before has been handled, and its ledger
/// comes back with the error.
pub fn run(
    port: &mut dyn Port,
    job: &mut dyn Job,
    idle: Idle,
    control: &Control,
    published: &Published,
) -> (Ledger, Result<(), PortError>) {
    let mut ledger = Ledger::default();
    let looped = run_loop(port, job, idle, control, published, &mut ledger);
    let drained = looped.and_then(|ended| match ended {
        Ended::Port => Ok(()),
        Ended::Asked if control.full() => Ok(()),
        Ended::Asked => drain(port, job, control, &mut ledger),
    });
    // Also after an error: what the kernel lost until then belongs into the sum.
    let ticked = port.tick(&mut ledger);
    job.finish(&mut ledger);
    published.store(&ledger);
    (ledger, drained.and(ticked))
}

enum Ended {
    Port,
    Asked,
}

fn run_loop(
    port: &mut dyn Port,
    job: &mut dyn Job,
    idle: Idle,
    control: &Control,
    published: &Published,
    ledger: &mut Ledger,
) -> Result<Ended, PortError> {
    let mut ticker = Ticker::new();
    while !control.stopped() {
        match step(port, job, control, ledger)? {
            Received::Frames => {}
            Received::End => return Ok(Ended::Port),
            Received::Idle if idle == Idle::Sleep => {
                port.wait(Duration::from_millis(TICK_MS))?;
                ticker.look_soon();
            }
            Received::Idle => std::hint::spin_loop(),
        }
        if let Some(now) = ticker.due() {
            port.tick(ledger)?;
            job.tick(ledger);
            published.store(ledger);
            control.check_deadline(now);
        }
    }
    Ok(Ended::Asked)
}

/// One batch: receive, select, handle, settle.
#[inline]
fn step(
    port: &mut dyn Port,
    job: &mut dyn Job,
    control: &Control,
    ledger: &mut Ledger,
) -> Result<Received, PortError> {
    let mut batch = Batch::new();
    let received = port.receive(&mut batch)?;
    if received == Received::Frames {
        let everything = batch.all();
        let selected = control.admit(&mut batch, everything);
        ledger.receive(&batch);
        ledger.selected += selected.count() as u64;
        job.handle(&batch, selected, ledger);
    }
    Ok(received)
}

/// After a stop: nothing new may arrive, what waits in the port is handled.
fn drain(
    port: &mut dyn Port,
    job: &mut dyn Job,
    control: &Control,
    ledger: &mut Ledger,
) -> Result<(), PortError> {
    port.quiesce()?;
    let deadline = Instant::now() + Duration::from_millis(STOP_MS_MAX);
    while step(port, job, control, ledger)? == Received::Frames && Instant::now() < deadline {}
    Ok(())
}

/// Says about ten times a second that housekeeping is due, at the price of few clock readings.
struct Ticker {
    last: Instant,
    countdown: u32,
}

impl Ticker {
    fn new() -> Self {
        Ticker { last: Instant::now(), countdown: BATCHES_PER_CLOCK_READ }
    }

    /// The worker has slept: the clock may have moved a lot.
    fn look_soon(&mut self) {
        self.countdown = 1;
    }

    #[inline]
    fn due(&mut self) -> Option<Instant> {
        self.countdown -= 1;
        if self.countdown > 0 {
            return None;
        }
        self.countdown = BATCHES_PER_CLOCK_READ;
        let now = Instant::now();
        if now.duration_since(self.last) < Duration::from_millis(TICK_MS) {
            return None;
        }
        self.last = now;
        Some(now)
    }
}
