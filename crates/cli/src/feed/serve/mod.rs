//! `tickwire feed serve`: plays a file of messages as a feed, on one line or several.
//!
//! ```text
//! Programme ──due now──▶ engine ──▶ SendJob ──▶ Lines: A, B, C, each with its faults
//! ```
//!
//! * [`args`]: the flags. * `broadcast`: the port that gives out what is due.
//! * `outlet`: a socket for each line; `requests`: answers for who missed something.
//! * `summary`: the account. * `command`: the course of a run.

mod args;
pub mod broadcast;
mod command;
mod outlet;
mod requests;
mod summary;

pub use args::ServeArgs;
pub use command::serve;
