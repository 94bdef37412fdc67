//! What to open: a feed to receive, a subscriber to send to.

use std::net::{IpAddr, SocketAddr};

/// The longest UDP payload over IPv4 and IPv6 without jumbograms, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 65_527;

/// A feed, as a socket receives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpConfig {
    /// Address and port that the feed is sent to: one of this machine, the unspecified one for
    /// all of them (`0.0.0.0`, `::`), or a multicast group.
    pub listen: SocketAddr,
    /// For a group: receive this sender only (RFC 4607). None for any.
    pub source: Option<IpAddr>,
    /// The interface to receive on. Without: any for a unicast address, and the one that the
    /// routes say for a group.
    pub interface: Option<String>,
    /// Room for what arrives while nobody reads, in bytes. Above net.core.rmem_max it takes
    /// CAP_NET_ADMIN; what is in force is in the mode.
    pub buffer_bytes: usize,
    /// Longest payload that is kept whole, at most [`PAYLOAD_BYTES_MAX`]. Of a longer one the frame
    /// has the first bytes and the real length, as in a capture with a snap length.
    pub payload_bytes_max: usize,
    /// Give out Ethernet frames, with addresses of zero, instead of bare IP packets: for jobs and
    /// filters that see frames of other ports too.
    pub ethernet: bool,
    /// What the headers say that datagrams were sent to, in the place of where they were: for a
    /// socket that takes what belongs to another address, such as answers to requests for what a
    /// feed has lost. Of the IP version of `listen`.
    pub stands_for: Option<SocketAddr>,
}

impl UdpConfig {
    /// `listen` from any sender, whole datagrams as IP packets, 8 MiB of room.
    pub fn new(listen: SocketAddr) -> Self {
        UdpConfig {
            listen,
            source: None,
            interface: None,
            buffer_bytes: 8 << 20,
            payload_bytes_max: PAYLOAD_BYTES_MAX,
            ethernet: false,
            stands_for: None,
        }
    }
}

/// A subscriber, as a socket sends to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SenderConfig {
    /// Where to send: a unicast address or a multicast group.
    pub destination: SocketAddr,
    /// What the feed is sent to. Its port is the source port, unless
    /// [`source_port`](Self::source_port) says otherwise.
    pub feed: SocketAddr,
    /// Another source port than the feed's; 0 for one that the kernel chooses.
    pub source_port: Option<u16>,
    /// The interface to send by; that of the route without.
    pub interface: Option<String>,
    /// TTL or hop limit, 1 to 255, also of multicast.
    pub ttl: u8,
    /// Differentiated services code point, 0 to 63.
    pub dscp: u8,
    /// Whether to send UDP checksums. Without, receivers of IPv6 must accept that (RFC 6935).
    pub checksum: bool,
    /// Room for what the kernel has not sent yet, in bytes.
    pub buffer_bytes: usize,
}

impl SenderConfig {
    /// Copies of `feed` to `destination`: source port of the feed, TTL 64, DSCP 0, checksums,
    /// 1 MiB of room or what net.core.wmem_max allows.
    pub fn new(feed: SocketAddr, destination: SocketAddr) -> Self {
        SenderConfig {
            destination,
            feed,
            source_port: None,
            interface: None,
            ttl: 64,
            dscp: 0,
            checksum: true,
            buffer_bytes: 1 << 20,
        }
    }
}
