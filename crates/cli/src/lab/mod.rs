//! `tickwire lab`: the other ends of what is to be tested.
//!
//! ```text
//! lab exchange   orders ─▶ socket ─▶ Exchange (respond) ─▶ answers; a line for each order, a tally
//! ```
//!
//! * [`args`]: the flags. * [`exchange`]: the course of it. * [`datagrams`] and [`stream`]: its
//!   sockets. * [`orders`]: what came in, in a file.

mod args;
mod datagrams;
mod exchange;
mod orders;
mod stream;

pub use args::LabArgs;

use crate::exit::{Ended, Failure};
use args::LabCommand;

/// Does what was asked for.
pub fn run(args: &LabArgs) -> Result<Ended, Failure> {
    match &args.command {
        LabCommand::Exchange(args) => exchange::run(args),
    }
}
