//! `tickwire latency`: round trips and one-way times, open loop.
//!
//! ```text
//! generator ─▶ SendJob ─▶ outlet ─▶ … a reflector, a replicator … ─▶ UDP port(s) ─▶ TallyJob
//! ```
//!
//! * [`args`]: the flags. * [`command`]: the course of a measurement. * [`reflect`]: the other end.
//! * [`feeds`]: several UDP ports as one. * [`tally`]: what arrives, and how long it took.
//! * [`sequence`]: which numbers arrived. * [`report`]: the account; [`plot`]: the distribution.

mod args;
mod command;
mod feeds;
mod functional;
mod plot;
mod reflect;
mod report;
mod sequence;
mod tally;

pub use args::LatencyArgs;
pub use command::run;
