//! One thread per worker: starts them, watches them, adds up their ledgers.

use crate::{Control, Idle, Job, Published, RunError, Select, run};
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use std::sync::Arc;
use std::sync::atomic::{
    AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};
use tickwire_capture::{KernelCounter, Mode, Port, PortError};
use tickwire_frame::Ledger;

/// Where a worker's frames come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// From outside: an interface queue or a file. It stops when [`Control`] says so.
    Source,
    /// From other workers of this engine, through a queue. It stops when they have, and its
    /// frames are already counted as received.
    Stage,
}

/// A port, a job, and how to run them.
pub struct Worker {
    /// Name of the thread, at most 15 characters to be seen whole: `rx-eth0-0`.
    pub name: String,
    /// Where its frames come from.
    pub port: Box<dyn Port>,
    /// Which of them are wanted.
    pub select: Select,
    /// What it does with them.
    pub job: Box<dyn Job>,
    /// The core it is pinned to; not pinned when `None`.
    pub core: Option<usize>,
    /// What it does when nothing arrives.
    pub idle: Idle,
    /// Source or stage.
    pub role: Role,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker")
            .field("name", &self.name)
            .field("mode", &self.port.mode())
            .field("core", &self.core)
            .field("idle", &self.idle)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// Why an engine could not start, or ended early.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The filter means nothing for frames that came.
    #[error("{0}")]
    Filter(String),
    /// A worker could not be pinned to its core.
    #[error(
        "cannot pin worker {worker} to core {core}: {source}; \
         choose one of the cores that `taskset -p $$` shows"
    )]
    Pin {
        /// Name of the worker.
        worker: String,
        /// The core that was asked for.
        core: usize,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system gave us no thread.
    #[error("cannot start worker {worker}: {source}; see `ulimit -u` and the memory limits")]
    Thread {
        /// Name of the worker.
        worker: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A worker panicked: a bug of ours. The others were stopped and settled.
    #[error("worker {worker} panicked: {message}; this is a bug, please report it")]
    Panicked {
        /// Name of the worker.
        worker: String,
        /// The message of the panic.
        message: String,
    },
}

impl From<RunError> for EngineError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Port(error) => EngineError::Port(error),
            RunError::Filter { .. } => EngineError::Filter(error.to_string()),
        }
    }
}

/// What one worker did.
#[derive(Debug)]
pub struct WorkerOutcome {
    /// Its name.
    pub name: String,
    /// Source or stage.
    pub role: Role,
    /// Its own ledger.
    pub ledger: Ledger,
    /// The counters of the kernel and the driver at the end.
    pub kernel: Vec<KernelCounter>,
    /// What was in force.
    pub mode: Mode,
    /// CPU time that its thread used.
    pub cpu: Duration,
}

/// What an engine did, from its start to its end.
#[derive(Debug)]
pub struct Outcome {
    /// The sum: `received` counts each packet once, however many workers it passed.
    pub ledger: Ledger,
    /// Each worker's own account, sources first, in the order given. A worker that panicked is
    /// missing.
    pub workers: Vec<WorkerOutcome>,
    /// From the start of the first worker to the end of the last.
    pub elapsed: Duration,
    /// The first error, if one ended the run early.
    pub error: Option<EngineError>,
}

struct WorkerThread {
    name: String,
    role: Role,
    published: Arc<Published>,
    handle: JoinHandle<Result<(WorkerOutcome, Option<RunError>), EngineError>>,
}

/// Running workers.
pub struct Engine {
    control: Arc<Control>,
    threads: Vec<WorkerThread>,
    started: Instant,
    /// How many workers have not ended.
    running: Arc<AtomicUsize>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("workers", &self.threads.len()).finish_non_exhaustive()
    }
}

impl Engine {
    /// Starts one thread per worker. When one cannot be started, those that run are stopped.
    pub fn start(workers: Vec<Worker>, control: Arc<Control>) -> Result<Engine, EngineError> {
        let running = Arc::default();
        let mut engine = Engine { control, threads: Vec::new(), started: Instant::now(), running };
        for worker in workers {
            if let Err(error) = engine.spawn(worker) {
                engine.control.stop();
                engine.join();
                return Err(error);
            }
        }
        Ok(engine)
    }

    fn spawn(&mut self, worker: Worker) -> Result<(), EngineError> {
        let (name, role) = (worker.name.clone(), worker.role);
        let published = Arc::new(Published::default());
        let (control, shared) = (Arc::clone(&self.control), Arc::clone(&published));
        let ending = Ending { running: Arc::clone(&self.running), owner: std::thread::current() };
        self.running.fetch_add(1, Relaxed);
        let handle = std::thread::Builder::new()
            .name(name.clone())
            .spawn(move || {
                let _ending = ending;
                work(worker, &control, &shared)
            })
            .map_err(|source| EngineError::Thread { worker: name.clone(), source })?;
        self.threads.push(WorkerThread { name, role, published, handle });
        Ok(())
    }

    /// The sum of all ledgers, at most a tenth of a second old. While frames wait in a queue
    /// between workers its difference is their number.
    pub fn ledger(&self) -> Ledger {
        let mut total = Ledger::default();
        for thread in &self.threads {
            add(&mut total, thread.role, &thread.published.load());
        }
        total
    }

    /// Takes what the ports had to say since the last call: links that went down, interfaces that
    /// are gone or back. Oldest first within a worker.
    pub fn take_notices(&self) -> Vec<String> {
        self.threads.iter().flat_map(|thread| thread.published.take_notices()).collect()
    }

    /// Whether a worker still runs.
    pub fn is_running(&self) -> bool {
        self.running.load(Acquire) > 0
    }

    /// Sleeps until a worker ends, at most for `timeout`; may return early. On another thread than
    /// the one that started the engine it sleeps for all of it.
    pub fn wait(&self, timeout: Duration) {
        if self.is_running() {
            std::thread::park_timeout(timeout);
        }
    }

    /// Waits for all workers to end, by themselves or because [`Control::stop`] was called.
    pub fn join(self) -> Outcome {
        let mut outcome = Outcome {
            ledger: Ledger::default(),
            workers: Vec::new(),
            elapsed: Duration::ZERO,
            error: None,
        };
        for WorkerThread { name, role, published, handle } in self.threads {
            let error = match handle.join() {
                Ok(Ok((worker, error))) => {
                    add(&mut outcome.ledger, role, &worker.ledger);
                    outcome.workers.push(worker);
                    error.map(EngineError::from)
                }
                Ok(Err(error)) => Some(error),
                Err(panic) => {
                    add(&mut outcome.ledger, role, &published.load());
                    Some(EngineError::Panicked { worker: name, message: message_of(&*panic) })
                }
            };
            outcome.error = outcome.error.or(error);
        }
        outcome.elapsed = self.started.elapsed();
        outcome
    }
}

/// Adds a worker's ledger to the sum. What a stage received has been counted by its sources.
fn add(total: &mut Ledger, role: Role, ledger: &Ledger) {
    match role {
        Role::Source => *total += ledger,
        Role::Stage => {
            let inner = Ledger { received: 0, selected: 0, received_bytes: 0, ..ledger.clone() };
            *total += &inner;
        }
    }
}

/// The body of a worker's thread.
fn work(
    mut worker: Worker,
    control: &Control,
    published: &Published,
) -> Result<(WorkerOutcome, Option<RunError>), EngineError> {
    // However this thread ends other than well, the others must not go on without it.
    let mut guard = StopUnlessWell { control, well: false };
    if let Some(core) = worker.core {
        pin(core).map_err(|source| EngineError::Pin {
            worker: worker.name.clone(),
            core,
            source,
        })?;
    }
    let never = Control::default();
    let control = if worker.role == Role::Stage { &never } else { control };
    let Worker { port, select, job, idle, .. } = &mut worker;
    let (ledger, result) = run(&mut **port, select, &mut **job, *idle, control, published);
    guard.well = result.is_ok();
    let outcome = WorkerOutcome {
        kernel: worker.port.kernel_counters(),
        mode: worker.port.mode(),
        name: worker.name,
        role: worker.role,
        ledger,
        cpu: thread_cpu_time(),
    };
    Ok((outcome, result.err()))
}

/// Tells who started the engine that a worker has ended, however it did.
struct Ending {
    running: Arc<AtomicUsize>,
    owner: Thread,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.running.fetch_sub(1, Release);
        self.owner.unpark();
    }
}

struct StopUnlessWell<'a> {
    control: &'a Control,
    well: bool,
}

impl Drop for StopUnlessWell<'_> {
    fn drop(&mut self) {
        if !self.well {
            self.control.stop();
        }
    }
}

fn pin(core: usize) -> std::io::Result<()> {
    if core >= CpuSet::MAX_CPU {
        return Err(std::io::Error::from(std::io::ErrorKind::InvalidInput));
    }
    let mut cores = CpuSet::new();
    cores.set(core);
    Ok(sched_setaffinity(None, &cores)?)
}

fn thread_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.max(0) as u64, time.tv_nsec as u32)
}

fn message_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
