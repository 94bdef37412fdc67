//! `tickwire ctl`: talks to a running tickwire over its control socket.
//!
//! * [`args`]: the flags.
//! * `replicate`: feeds and subscribers.

mod args;
mod replicate;

pub use args::CtlArgs;

use crate::exit::{Ended, Failure};
use args::Job;

/// Runs the command.
pub fn run(args: &CtlArgs) -> Result<Ended, Failure> {
    match &args.job {
        Job::Replicate(job) => replicate::run(&args.control, &job.action),
    }
}
