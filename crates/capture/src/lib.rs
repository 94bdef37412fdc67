//! Ports: where frames come from and go to. One back end, one file.
//!
//! * [`bpf`]: eBPF programs, assembled and loaded by ourselves.
//! * [`file`]: capture files, read and written.
//! * [`port`]: the [`Port`] trait, its errors, and what a port says of itself.

pub mod bpf;
pub mod file;
mod port;

pub use file::FilePort;
pub use port::{KernelCounter, Mode, Port, PortError, Received, Sent};
