//! `tickwire generate`: traffic at a given rate and size, and how late each packet left.
//!
//! * [`args`]: the flags. * [`command`]: the course of a run.

mod args;
mod command;

pub use args::{GenerateArgs, MessageChoice};
pub use command::{limits, run};
