//! Ports over AF_XDP sockets: frames come from the driver's XDP hook into our own memory, past the
//! kernel's network stack. See <https://docs.kernel.org/networking/af_xdp.html>.
//!
//! ```text
//! driver ─▶ XDP program ──not ours──▶ the host's stack
//!               │ ours: redirect to the socket of this queue
//!               ▼
//!            RX ring ─▶ receive ─▶ batch on loan ─▶ fill ring     (frames go round)
//!            transmit ─▶ TX ring ─▶ driver ─▶ completion ring
//! ```
//!
//! * `config`: what to open, and how.
//! * `interface`: the XDP program on the interface, shared by the ports of its queues.
//! * `program`: which frames it takes; `stage`: what looks at them before.
//! * `umem`, `socket`: the memory, the four rings and the descriptor.
//! * `port`: receiving, and following the link; `account`: what was counted.
//! * `transmitter`: sending, for a port or alone; `keeper`: the socket of one that is alone;
//!   `handover`: what they tell it.
//! * `sys`: system calls; `errors`: what their failures mean; `holder`: who else has sockets.
//!
//! We own the memory of all frames and lend them to the kernel and to batches; every frame is
//! accounted for ([`tickwire_rings::Frames`]). The program goes with the process, even after
//! SIGKILL; a program of somebody else is never touched.
//!
//! The kernel's account of a socket in copy mode: frames redirected to it = frames read + frames
//! still in the RX ring + `rx_dropped` + `rx_ring_full` + `rx_invalid_descs`.
//! `rx_fill_ring_empty_descs` counts losses that `rx_dropped` has counted already.

mod account;
mod config;
mod errors;
mod handover;
mod holder;
mod interface;
mod keeper;
mod port;
mod program;
mod socket;
mod stage;
mod sys;
mod transmitter;
mod umem;

pub use config::{
    AfXdpConfig, Attach, CopyMode, RX_RING_DEFAULT, Selection, TX_RING_DEFAULT, TcpConnection,
    UdpDestination,
};
pub use interface::{QUEUES_MAX, attach_native, no_map, not_loaded};
pub use keeper::Reopening;
pub use port::{AfXdp, queue_count};
pub use program::{CONNECTIONS_MAX, DESTINATIONS_MAX};
pub use stage::{Stage, StageHandle};
pub use transmitter::AfXdpTransmitter;
