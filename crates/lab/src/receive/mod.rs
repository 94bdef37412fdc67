//! Receivers that count or check numbered packets.
//!
//! * [`DropCounter`]: an XDP program that counts and drops them, faster than anything can send.
//! * [`UdpReceiver`]: a socket that checks every number.
//! * [`CopyReceiver`]: an AF_XDP port that checks the copies of many subscribers.

mod copies;
mod drop;
mod udp;

pub use copies::{Copies, CopiesReport, CopyReceiver};
pub use drop::DropCounter;
pub use udp::UdpReceiver;
