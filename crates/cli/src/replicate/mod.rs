//! `tickwire replicate`: one feed in, many subscribers out.
//!
//! * [`args`]: the flags; `spec`: feeds and subscribers as people write them.
//! * `settings`: flags and configuration file put together and checked.
//! * `command`: the course of a run, from flags to exit code.
//! * `modes`: which mode; `frames` (af_xdp) and `sockets` (udp) open what it takes.
//! * `recovery`: what no line of merged feeds brings is asked for.
//! * `fresh`: what waited for too long is discarded.
//! * `kernel`: mode xdp, the table as programs in the kernel.
//! * `keeper`: the table, and all that changes it.
//! * `store`: its state file; `warnings`: what is not as it should be.
//! * `control`: what the control plane asks.
//! * `report`: the final account.

mod args;
mod command;
mod control;
mod frames;
mod keeper;
mod kernel;
mod modes;
mod recovery;
mod report;
mod settings;
mod sockets;
mod spec;
mod store;
mod warnings;
mod ways;

pub use args::ReplicateArgs;
pub use command::run;
pub use report::merged_in_words;
