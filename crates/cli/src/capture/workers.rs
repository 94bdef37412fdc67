//! Which worker does what.
//!
//! ```text
//! file            port ─► filter ─► snap ─► count ─► print | write             one worker
//! live, quiet     port ─► filter ─► snap ─► count                              one a queue
//! live            port ─► filter ─► snap ─► count ─► queue ─► print | write   and one for all
//! ```

use super::count::{CountJob, Totals};
use super::filter::CaptureFilter;
use super::snap::SnapJob;
use super::source::Source;
use crate::exit::Failure;
use std::collections::TryReserveError;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use tickwire_engine::{Idle, Job, QueueJob, QueuePort, Role, Select, Worker, queue};

/// Room between a receiving worker and the output, in bytes: half a second of a full gigabit, which
/// is what a disk may stall.
const QUEUE_BYTES_MAX: usize = 64 << 20;
/// Room for all workers together, in bytes.
const QUEUES_BYTES_MAX: usize = 256 << 20;

/// Errors of an output, which end the command with exit code 1.
#[derive(Clone, Debug, Default)]
pub struct Trouble {
    first: Arc<OnceLock<String>>,
    output_closed: Arc<AtomicBool>,
}

impl Trouble {
    /// Notes an error; the first one is kept.
    pub fn set(&self, message: String) {
        let _ = self.first.set(message);
    }

    /// Notes that the reader of standard output has gone: no error.
    pub fn output_closed(&self) {
        self.output_closed.store(true, Relaxed);
    }

    /// The first error.
    pub fn get(&self) -> Option<&str> {
        self.first.get().map(String::as_str)
    }

    /// Whether the reader of standard output has gone.
    pub fn is_output_closed(&self) -> bool {
        self.output_closed.load(Relaxed)
    }
}

/// How the workers are to run.
#[derive(Clone, Debug)]
pub struct Running {
    /// Bytes kept of each packet; everything when `None`.
    pub snaplen: Option<u32>,
    /// The cores for the receiving workers, in order, then for the output.
    pub cores: Vec<usize>,
    /// What a receiving worker does when nothing arrives.
    pub idle: Idle,
}

/// What stands between the receiving workers and an output that is slower than they are.
pub type Queue = (Vec<QueueJob>, QueuePort);

/// The queue for `source`, when it needs one. Allocates a lot: before the clock of a run starts.
pub fn queue_for(source: &Source) -> Result<Option<Queue>, Failure> {
    if !source.is_live {
        return Ok(None);
    }
    let workers = source.ports.len().max(1);
    let bytes = QUEUE_BYTES_MAX.min(QUEUES_BYTES_MAX / workers);
    queue(workers, bytes).map(Some).map_err(|error| no_memory(workers, bytes, &error))
}

fn no_memory(workers: usize, bytes: usize, error: &TryReserveError) -> Failure {
    Failure::failed(format_args!(
        "cannot set up the queue of {} MiB between receiving and output: {error}; raise the \
         memory limit (`ulimit -v`, the container's), or count only, which needs no queue: -q",
        (workers * bytes) >> 20
    ))
}

/// The workers for `source`: what they count goes into `totals`, and packets go into `output` when
/// there is one, through `between` when that is there.
pub fn workers(
    source: Source,
    output: Option<Box<dyn Job>>,
    between: Option<Queue>,
    totals: &Totals,
    filter: &CaptureFilter,
    running: &Running,
) -> Vec<Worker> {
    let (stages, stage) = stages(source.ports.len(), output, between);
    let receivers = source.ports.into_iter().zip(stages).map(|((name, port), next)| Worker {
        name,
        port,
        select: filter.select(),
        job: snapped(running.snaplen, Box::new(CountJob::new(next, totals.clone()))),
        core: None,
        idle: running.idle,
        role: Role::Source,
    });
    let mut workers: Vec<Worker> = receivers.chain(stage).collect();
    for (worker, &core) in workers.iter_mut().zip(&running.cores) {
        worker.core = Some(core);
    }
    workers
}

/// What follows in each of `count` receiving workers, and the worker of the output when it has one
/// of its own.
pub fn stages(
    count: usize,
    output: Option<Box<dyn Job>>,
    between: Option<Queue>,
) -> (Vec<Box<dyn Job>>, Option<Worker>) {
    let boxed = |jobs: Vec<QueueJob>| jobs.into_iter().map(|job| Box::new(job) as _).collect();
    match (output, between) {
        (None, _) => ((0..count).map(|_| Box::new(()) as Box<dyn Job>).collect(), None),
        (Some(output), None) => (vec![output], None),
        (Some(output), Some((jobs, port))) => {
            let worker = Worker {
                name: "output".to_owned(),
                port: Box::new(port),
                select: Select::everything(),
                job: output,
                core: None,
                idle: Idle::Sleep,
                role: Role::Stage,
            };
            (boxed(jobs), Some(worker))
        }
    }
}

fn snapped(snaplen: Option<u32>, job: Box<dyn Job>) -> Box<dyn Job> {
    match snaplen {
        Some(bytes) => Box::new(SnapJob::new(bytes, job)),
        None => job,
    }
}
