//! Ports over `AF_PACKET` sockets: every Linux machine has them, every interface, no driver needs
//! to know.
//!
//! Receiving goes through a ring of TPACKET_V3 blocks that the kernel fills (`rx`); several
//! workers share an interface through `PACKET_FANOUT`. Sending goes through a ring and a socket of
//! its own, past the queueing discipline (`tx`). Both rings are memory of the kernel, mapped here;
//! received frames are lent out of it and never copied.
//!
//! A filter runs in the kernel, in front of the ring (`filter`); what it rejects costs no copy, and
//! the kernel does not count it.
//!
//! What it never does: take a frame away from the host. It sees copies, so nothing on the machine
//! changes while it runs.
//!
//! The account of a socket, which the kernel keeps exactly: packets that passed its filter
//! = frames read + frames still in the ring + `tp_drops`. (With TPACKET_V3 `tp_packets` includes
//! the drops.)

mod fanout;
mod filter;
mod map;
mod port;
mod receiver;
mod rx;
mod socket;
mod transmitter;
mod tx;

pub use fanout::Fanout;
pub use filter::KernelFilter;
pub(crate) use filter::in_kernel;
pub use port::{AfPacket, AfPacketConfig, may_open};

/// Keeps an interface promiscuous until it is dropped: for ports that have no way of their own.
#[derive(Debug)]
pub(crate) struct Promiscuous {
    _socket: socket::PacketSocket,
}

impl Promiscuous {
    /// The interface with index `index`, in the namespace of the calling thread.
    pub fn new(index: u32) -> Result<Self, crate::PortError> {
        let socket = socket::PacketSocket::new()?;
        socket.make_promiscuous(index).map_err(|source| {
            crate::PortError::system("make the interface promiscuous", source, "")
        })?;
        Ok(Promiscuous { _socket: socket })
    }
}
