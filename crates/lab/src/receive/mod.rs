//! Receivers that count or check numbered packets.
//!
//! * [`DropCounter`]: an XDP program that counts and drops them, faster than anything can send.
//! * [`UdpReceiver`]: a socket that checks every number.

mod drop;
mod udp;

pub use drop::DropCounter;
pub use udp::UdpReceiver;
