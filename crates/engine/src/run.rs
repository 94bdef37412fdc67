//! The run loop.

use crate::{Control, Job, Published, Select};
use std::time::{Duration, Instant};
use tickwire_capture::{Port, PortError, Received};
use tickwire_frame::{Batch, Ledger, LinkType, Reason};

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
    /// After frames sleep for this long, and only when none have come meanwhile until something
    /// comes, so that one wake-up serves many: the least CPU, and so much more latency. While a
    /// core has enough to do it makes no difference.
    Gather(Duration),
    /// Ask again at once: the lowest latency, one core at 100 %.
    Spin,
}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The port failed.
    #[error(transparent)]
    Port(#[from] PortError),
    /// Frames came of a link type that the filter cannot be compiled for.
    #[error(
        "the filter means nothing for frames of link type {link}: {error}; use words that all \
         interfaces of the capture have"
    )]
    Filter {
        /// The link type of the frames.
        link: LinkType,
        /// What is wrong with the filter.
        error: String,
    },
}

/// Receives, selects, handles and settles until the port ends or `control` says stop; then drains
/// the port and settles the rest. The final ledger comes back, and its difference is 0.
///
/// An error ends the loop; what was received before has been handled, and its ledger
/// comes back with the error.
pub fn run(
    port: &mut dyn Port,
    select: &mut Select,
    job: &mut dyn Job,
    idle: Idle,
    control: &Control,
    published: &Published,
) -> (Ledger, Result<(), RunError>) {
    let mut ledger = Ledger::default();
    let looped = run_loop(port, select, job, idle, control, published, &mut ledger);
    let drained = looped.and_then(|ended| match ended {
        Ended::Port => Ok(()),
        Ended::Asked if control.full() => Ok(()),
        Ended::Asked => drain(port, select, job, control, &mut ledger),
    });
    // Also after an error: what the kernel lost until then belongs into the sum.
    let ticked = tick(port, published, &mut ledger);
    job.finish(&mut ledger);
    published.store(&ledger);
    (ledger, drained.and(ticked.map_err(RunError::from)))
}

enum Ended {
    Port,
    Asked,
}

fn run_loop(
    port: &mut dyn Port,
    select: &mut Select,
    job: &mut dyn Job,
    idle: Idle,
    control: &Control,
    published: &Published,
    ledger: &mut Ledger,
) -> Result<Ended, RunError> {
    let mut ticker = Ticker::new();
    let mut came = false;
    while !control.stopped() {
        match step(port, select, job, control, ledger)? {
            Received::Frames => came = true,
            Received::End => return Ok(Ended::Port),
            // No PAUSE: it takes 40 to 140 cycles, and a hypervisor may take a loop of them for one
            // that waits for another core, and stop this one.
            Received::Idle if idle == Idle::Spin => {}
            Received::Idle => {
                match idle {
                    // More is to be expected: one wake-up, by the clock, instead of two.
                    Idle::Gather(time) if std::mem::take(&mut came) => std::thread::sleep(time),
                    _ => port.wait(Duration::from_millis(TICK_MS))?,
                }
                ticker.look_soon();
            }
        }
        if let Some(now) = ticker.due() {
            tick(port, published, ledger)?;
            select.tick(port)?;
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
    select: &mut Select,
    job: &mut dyn Job,
    control: &Control,
    ledger: &mut Ledger,
) -> Result<Received, RunError> {
    let mut batch = Batch::new();
    let received = port.receive(&mut batch)?;
    if received == Received::Frames {
        let selected = select.select(&batch)?;
        let selected = control.admit(&mut batch, selected);
        ledger.receive(&batch);
        ledger.selected += selected.count() as u64;
        ledger.discard(Reason::NotSelected, (batch.len() - selected.count()) as u64);
        job.handle(&batch, selected, ledger);
    }
    Ok(received)
}

/// The port's housekeeping, and what it has to say.
fn tick(port: &mut dyn Port, published: &Published, ledger: &mut Ledger) -> Result<(), PortError> {
    let ticked = port.tick(ledger);
    while let Some(notice) = port.take_notice() {
        published.notice(notice);
    }
    ticked
}

/// After a stop: nothing new may arrive, what waits in the port is handled.
fn drain(
    port: &mut dyn Port,
    select: &mut Select,
    job: &mut dyn Job,
    control: &Control,
    ledger: &mut Ledger,
) -> Result<(), RunError> {
    port.quiesce()?;
    let deadline = Instant::now() + Duration::from_millis(STOP_MS_MAX);
    while step(port, select, job, control, ledger)? == Received::Frames && Instant::now() < deadline
    {
    }
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
