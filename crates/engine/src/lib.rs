//! The run loop: one worker per queue, run to completion, and the account of every packet.
//!
//! * [`run`](run()): the loop itself, on one screen: receive, select, handle, settle.
//! * [`Select`]: which frames are wanted; [`Filters`]: the filter of a run, replaced meanwhile.
//! * [`Job`]: what a worker does with its frames.
//! * [`Engine`]: one thread per worker, pinned; starts them, watches them, adds up their ledgers.
//! * [`Control`]: how to stop them: a signal, a deadline, a number of packets.
//! * [`queue`](queue()): hands frames to a slower thread (a disk, a terminal) without ever making
//!   the receiving one wait.
//!
//! No allocation, lock, log line or clock call per packet: clocks are read and ledgers are
//! published about ten times a second.

#![forbid(unsafe_code)]

mod control;
mod engine;
mod job;
mod published;
mod queue;
mod run;
mod select;

pub use control::Control;
pub use engine::{Engine, EngineError, Outcome, Role, Worker, WorkerOutcome};
pub use job::Job;
pub use published::Published;
pub use queue::{QueueJob, QueuePort, queue};
pub use run::{Idle, RunError, STOP_MS_MAX, TICK_MS, run};
pub use select::{FilterText, Filters, Select};
