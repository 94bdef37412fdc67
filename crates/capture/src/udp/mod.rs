//! Feeds and subscribers through the kernel's UDP sockets: for what needs no privilege, for
//! datagrams longer than a frame, and for interfaces that nothing else can use.
//!
//! * [`UdpPort`]: receives a feed, 64 datagrams a system call, and gives out frames: the socket's
//!   word on addresses, ports, TTL and DSCP stands as IP and UDP headers in front of the payload,
//!   so that filters, decoders and jobs see what they see elsewhere.
//! * [`UdpSender`]: sends to one subscriber, 64 datagrams a system call.
//!
//! ```no_run
//! use tickwire_capture::DatagramSender;
//! use tickwire_capture::udp::{SenderConfig, UdpConfig, UdpPort, UdpSender};
//!
//! let feed = "239.1.1.1:5000".parse()?;
//! let config = UdpConfig { interface: Some("eth1".into()), ..UdpConfig::new(feed) };
//! let port = UdpPort::open(&config)?;
//! let mut sender = UdpSender::open(&SenderConfig::new(feed, "10.0.0.9:6000".parse()?))?;
//! sender.send(&[b"payload"], &mut |reason, count| eprintln!("{count} lost: {reason}"));
//! # drop(port);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # One port number, many sockets
//!
//! A subscriber sees the port of the feed as source port, so every sender is bound to the port
//! that the feed comes in on. Before it is connected the kernel could take it for a receiver of
//! the feed. It does not:
//!
//! * A feed that is a group reaches members only (`IP_MULTICAST_ALL` and `IPV6_MULTICAST_ALL` are
//!   off), and senders are members of nothing.
//! * Senders are bound to all addresses: a receiver on one address comes before them.
//! * With a receiver on all addresses they form a group (`SO_REUSEPORT`), whose program always
//!   chooses its first member, the receiver.
//!
//! A feed on the unspecified address (`0.0.0.0`, `::`) is the exception: while a sender connects,
//! the kernel moves it between the chains that a lookup may be walking, and single datagrams can
//! miss the receiver (1 of 20 000 while thousands of senders came). Name an address instead; the
//! table of `tickwire replicate` takes no other.
//!
//! Open the port before its senders, and in the same process: the kernel refuses the address
//! to others (EADDRINUSE).

mod config;
mod headers;
mod open;
mod port;
mod sender;
mod slots;

pub use config::{PAYLOAD_BYTES_MAX, SenderConfig, UdpConfig};
pub use port::UdpPort;
pub use sender::UdpSender;

use std::os::fd::AsFd;

/// Datagrams that the kernel dropped at a socket since it was made: its buffer was full, or the
/// checksum was wrong. Wraps.
///
/// # Errors
/// When it is no socket.
pub fn drops_of(socket: &impl AsFd) -> std::io::Result<u32> {
    crate::sockets::drops(socket)
}
