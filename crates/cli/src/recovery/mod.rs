//! Asking servers for what no line of a feed has brought: MoldUDP64 re-requests, gap-fill requests
//! of IEX-TP. What asks is one for all commands; what is missing each of them knows by itself.
//!
//! * `servers`: the socket to ask from, and whom; what can be wrong with them.
//! * `desk`: the thread that asks.

mod desk;
mod servers;

pub use desk::{Desk, DeskCounts, Follower, Watch};
pub use servers::{Opened, Wake, any_of, check};
