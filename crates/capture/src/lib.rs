//! Ports: where frames come from and go to. One back end, one file.
//!
//! * [`af_packet`]: packet sockets, on every Linux machine.
//! * [`af_xdp`]: XDP sockets, past the kernel's stack.
//! * [`auto`]: chooses a port for an interface, and says why.
//! * [`bpf`]: eBPF programs, assembled and loaded by ourselves.
//! * [`carriers`]: whether frames pass on an interface, for the path of packets.
//! * `datagrams`: the [`DatagramSender`] trait, for jobs that hand out payloads.
//! * [`ethtool`]: queues, rings, offloads and driver of an interface.
//! * [`mod@file`]: capture files, read and written.
//! * [`interfaces`]: the interfaces of this machine, and how to find one by name.
//! * [`link`]: whether an interface is there, up, and still the same.
//! * `mapping`: memory that we map.
//! * [`multicast`]: membership of groups, which ports see frames of.
//! * [`netdev`]: what the kernel says about XDP on an interface.
//! * [`probes`]: static tracepoints, for `perf` and `bpftrace`.
//! * `port`: the [`Port`] trait, its errors, and what a port says of itself.
//! * [`routes`]: where a packet has to go next, and changes of that.
//! * [`sim`]: a port in memory, with faults and a clock of its own.
//! * [`state_file`]: words in a file, mapped, that outlive the process.
//! * [`udp`]: feeds and subscribers through the kernel's sockets.
//! * `transmitter`: the [`Transmitter`] trait, for jobs that write frames themselves.

pub mod af_packet;
pub mod af_xdp;
pub mod auto;
pub mod bpf;
pub mod carriers;
mod datagrams;
pub mod ethtool;
pub mod file;
pub mod interfaces;
pub mod link;
mod mapping;
pub mod multicast;
pub mod netdev;
mod netlink;
mod port;
pub mod probes;
pub mod routes;
pub mod sim;
mod sockets;
pub mod state_file;
mod transmitter;
pub mod udp;

pub use datagrams::DatagramSender;
pub use file::FilePort;
pub use port::{KernelCounter, Mode, Port, PortError, Received, Sent};
pub use sockets::set_busy_poll;
pub use transmitter::{FRAME_BYTES_MIN, Transmitter};
