//! A file of messages as a feed: what `pack` writes and `serve` sends.
//!
//! * [`args`]: the flags of packets. * [`programme`]: the packets of a file, and when each is due.
//! * [`faults`]: what is lost, doubled and overtaken on a line, on purpose. * [`lines`]: the
//!   summary of a line.

pub mod args;
pub mod faults;
pub mod lines;
pub mod programme;
