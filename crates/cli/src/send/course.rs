//! A run of a sender, from open ports to its account.

use super::args::RunArgs;
use super::job::{SendJob, Shared};
use crate::exit::Failure;
use crate::progress;
use std::sync::Arc;
use tickwire_capture::Port;
use tickwire_capture::file::Progress;
use tickwire_engine::{Control, Engine, Idle, Outcome, Role, Select, Worker};

/// What is to be run.
pub struct Course {
    /// Where packets come from, when they are due.
    pub port: Box<dyn Port>,
    /// What sends them.
    pub job: SendJob,
    /// What the job reports to.
    pub shared: Arc<Shared>,
    /// What stops it.
    pub control: Arc<Control>,
    /// How far the file is read that packets come from.
    pub progress: Option<Progress>,
}

impl Course {
    /// Runs it to its end on a thread of its own, and shows on a terminal how far it is.
    pub fn run(self, args: &RunArgs) -> Result<Outcome, Failure> {
        let worker = Worker {
            name: "send".into(),
            port: self.port,
            select: Select::everything(),
            job: Box::new(self.job),
            core: args.core,
            idle: if args.spin { Idle::Spin } else { Idle::Sleep },
            role: Role::Source,
        };
        let engine = Engine::start(vec![worker], self.control).map_err(Failure::failed)?;
        let show = progress::is_wanted(false);
        progress::watch(&engine, self.progress.as_ref(), show, || {});
        let outcome = engine.join();
        match (&outcome.error, self.shared.done()) {
            (Some(error), None) => Err(Failure::failed(error)),
            _ => Ok(outcome),
        }
    }
}
