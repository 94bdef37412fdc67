//! Ports: where frames come from and go to. One back end, one file.
//!
//! * [`bpf`]: eBPF programs, assembled and loaded by ourselves.
//! * [`port`]: the [`Port`] trait, its errors, and what a port says of itself.

pub mod bpf;
mod port;

pub use port::{KernelCounter, Mode, Port, PortError, Received, Sent};
