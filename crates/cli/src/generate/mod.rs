//! `tickwire generate`: traffic at a given rate and size, and how late each packet left.
//!
//! * [`args`]: the flags. * [`command`]: the course of a run. * `day`: that of a made-up day.

mod args;
mod command;
mod day;

pub use args::{ByteOrder, GenerateArgs, MessageChoice, payload_bytes};
pub use command::{limits, run};
