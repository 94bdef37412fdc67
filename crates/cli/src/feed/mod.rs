//! `tickwire feed`: market data, from the datagram to the field: what is in it, and what is not.
//!
//! * [`args`]: the flags; `command`: the course of a run.
//! * `recording`: files of messages without packets.
//! * `job`: frames to datagrams to packets, and what becomes of each.
//! * `tcp`: streams of TCP: connections, and the messages in them; `fix`: those of FIX, printed.
//! * `account`: counts by protocol and type; `stats`: how they are shown.
//! * `print`: messages on standard output; `text`: one as a line or an object; `schema`: of SBE.
//! * `streams`: the numbers of each line; `history`: what was missing; `ranges`: sets of numbers.
//! * [`publish`]: a file of messages as packets; `pack`: these in a capture file; `serve`:
//!   these sent.
//! * [`recovery`]: what is missing is asked for; `ordered`: messages in a file, in order.
//! * `merge`: the lines of each feed as one; `arbitrate`: that written
//!   again; `book`: what is bid and offered; `by_time`: several files at once.
//! * `gaps`: the report of what is missing; `report`: as people read it.

mod account;
mod arbitrate;
mod args;
mod book;
mod by_time;
mod command;
mod fix;
mod gaps;
mod history;
mod job;
mod merge;
mod ordered;
mod pack;
mod print;
pub mod publish;
mod ranges;
mod recording;
mod recovery;
mod report;
pub mod schema;
pub mod serve;
mod stats;
mod streams;
mod tcp;
mod text;

pub use args::FeedArgs;
pub use command::run;
