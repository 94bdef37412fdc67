//! Ports: where frames come from and go to. One back end, one file.
//!
//! * [`port`]: the [`Port`] trait, its errors, and what a port says of itself.

mod port;

pub use port::{KernelCounter, Mode, Port, PortError, Received, Sent};
