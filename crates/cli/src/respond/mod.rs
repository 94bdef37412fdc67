//! `tickwire respond`: market data in, orders out, with the brakes on.
//!
//! * [`args`]: the flags; `settings`: the configuration, put together and checked.
//! * `command`: the course of a run, from flags to exit code.
//! * `ingress`, `egress`: opens what market data comes through, and where orders go.
//! * `desk`: the one owner of all that trades. `store`: what of it survives the process.
//! * `job`: what a worker does with its frames; `listen`: the same with streams.
//! * `targets`: where orders leave; `wire`, `dial`: connections; `user_tcp`: those of our own TCP.
//! * `peers`: who sends, and who takes orders.
//! * `panel`: what the control plane asks; `report`: the final account.
//! * `reload`: other rules and limits while it runs.
//! * `xdp`: rules in the kernel.
//! * `audit`: the log of decisions, and reading it. `explain`: what rules mean.

mod args;
mod audit;
mod command;
mod desk;
mod dial;
mod egress;
mod explain;
mod ingress;
mod job;
mod listen;
mod panel;
mod peers;
mod reload;
mod report;
mod settings;
mod store;
mod targets;
mod user_tcp;
mod wire;
mod xdp;

pub use args::RespondArgs;
pub use command::run;
