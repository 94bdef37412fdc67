//! `tickwire ctl`: talks to a running tickwire over its control socket.
//!
//! * [`args`]: the flags.
//! * `replicate`: feeds and subscribers. `respond`: the brakes, the state, the figures.
//! * `ask`: what they share.

mod args;
mod ask;
mod replicate;
mod respond;

pub use args::CtlArgs;

use crate::exit::{Ended, Failure};
use args::Job;

/// Runs the command.
pub fn run(args: &CtlArgs) -> Result<Ended, Failure> {
    match &args.job {
        Job::Replicate(job) => replicate::run(&args.control, &job.action),
        Job::Respond(job) => respond::run(&args.control, &job.action),
    }
}
