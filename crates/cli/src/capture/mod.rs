//! `tickwire capture`: packets from an interface or a file, to lines, a capture file, and a ledger
//! that adds up.
//!
//! * [`args`]: the flags; `check`: what goes together is checked before anything is opened.
//! * `command`: the course of a run, from flags to exit code.
//! * `source`: opens what packets come from.
//! * `filter`: which packets are wanted, and how that is replaced meanwhile.
//! * `groups`: multicast groups that are joined meanwhile.
//! * `workers`: which worker does what; live packets go through a queue to a slow output.
//! * `count`, `snap`, `print`, `write`: the jobs.
//! * `style`: how a packet is printed.
//! * `output`: standard output without getting stuck.
//! * `summary`: what is shown at the end.
//! * `interfaces`: `-D`.

mod args;
pub mod check;
mod command;
mod count;
mod filter;
mod groups;
mod interfaces;
mod output;
mod print;
mod snap;
mod source;
mod style;
mod summary;
mod workers;
mod write;

pub use args::{
    CaptureArgs, Group, List, PortChoice, Queues, SNAPLEN_BYTES_MAX, SummaryFormat,
    parse_buffer_kib, parse_group, parse_list_value, parse_queues,
};
pub use command::run;
pub use filter::CaptureFilter;
pub use groups::Memberships;
pub use output::Output;
pub use source::{Source, Wanted, open_file, open_interface};
pub use summary::Summary;
pub use workers::{Trouble, queue_for, stages};
