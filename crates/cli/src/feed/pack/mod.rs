//! `tickwire feed pack`: a file of messages as a capture of the feed that would have carried it.
//!
//! * [`args`]: the flags; `date`: the day. * `recorder`: packets to frames to records, on each
//!   line. * `command`: the course of a run.

mod args;
mod command;
mod date;
mod recorder;

pub use args::PackArgs;
pub use command::pack;
