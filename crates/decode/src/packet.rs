//! A whole packet: its layers, and the first fault if there is one.

use crate::protocol::ip;
use crate::*;
use arrayvec::ArrayVec;
use tickwire_frame::{LinkType, Reason};

/// The most layers that we follow; a packet with more is
/// [`too_many_layers`](Reason::TooManyLayers).
pub const LAYERS_MAX: usize = 16;

/// One header of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The names of the protocols say it all.
pub enum Layer<'a> {
    Ethernet(Ethernet<'a>),
    Llc(Llc<'a>),
    Vlan(Vlan<'a>),
    Mpls(Mpls<'a>),
    Pppoe(Pppoe<'a>),
    Ppp(Ppp<'a>),
    Sll(Sll<'a>),
    Loopback(Loopback<'a>),
    Arp(Arp<'a>),
    Ipv4(Ipv4<'a>),
    Ipv6(Ipv6<'a>),
    Ipv6Extensions(Ipv6Extensions<'a>),
    Icmp(Icmp<'a>),
    Icmpv6(Icmpv6<'a>),
    Igmp(Igmp<'a>),
    Tcp(Tcp<'a>),
    Udp(Udp<'a>),
    Sctp(Sctp<'a>),
    Ah(Ah<'a>),
    Esp(Esp<'a>),
    Gre(Gre<'a>),
    Vxlan(Vxlan<'a>),
    Geneve(Geneve<'a>),
}

impl Layer<'_> {
    /// The name, lower case and stable: it stands in JSON.
    pub const fn name(&self) -> &'static str {
        match self {
            Layer::Ethernet(_) => "ethernet",
            Layer::Llc(_) => "llc",
            Layer::Vlan(_) => "vlan",
            Layer::Mpls(_) => "mpls",
            Layer::Pppoe(_) => "pppoe",
            Layer::Ppp(_) => "ppp",
            Layer::Sll(_) => "sll",
            Layer::Loopback(_) => "loopback",
            Layer::Arp(_) => "arp",
            Layer::Ipv4(_) => "ipv4",
            Layer::Ipv6(_) => "ipv6",
            Layer::Ipv6Extensions(_) => "ipv6_extensions",
            Layer::Icmp(_) => "icmp",
            Layer::Icmpv6(_) => "icmpv6",
            Layer::Igmp(_) => "igmp",
            Layer::Tcp(_) => "tcp",
            Layer::Udp(_) => "udp",
            Layer::Sctp(_) => "sctp",
            Layer::Ah(_) => "ah",
            Layer::Esp(_) => "esp",
            Layer::Gre(_) => "gre",
            Layer::Vxlan(_) => "vxlan",
            Layer::Geneve(_) => "geneve",
        }
    }
}

impl Layer<'_> {
    /// Bytes of the header, with its options.
    pub fn header_len(&self) -> usize {
        match self {
            Layer::Ethernet(_) => Ethernet::LEN,
            Layer::Llc(llc) => llc.header_len(),
            Layer::Vlan(_) => Vlan::LEN,
            Layer::Mpls(mpls) => mpls.header_len(),
            Layer::Pppoe(_) => Pppoe::LEN,
            Layer::Ppp(ppp) => ppp.header_len(),
            Layer::Sll(sll) => sll.header_len(),
            Layer::Loopback(_) => Loopback::LEN,
            Layer::Arp(arp) => arp.packet_len(),
            Layer::Ipv4(ip) => ip.header_len(),
            Layer::Ipv6(_) => Ipv6::LEN,
            Layer::Ipv6Extensions(chain) => chain.header_len(),
            Layer::Icmp(_) => Icmp::LEN,
            Layer::Icmpv6(_) => Icmpv6::LEN,
            Layer::Igmp(_) => Igmp::LEN,
            Layer::Tcp(tcp) => tcp.header_len(),
            Layer::Udp(_) => Udp::LEN,
            Layer::Sctp(_) => Sctp::LEN,
            Layer::Ah(ah) => ah.header_len(),
            Layer::Esp(_) => Esp::LEN,
            Layer::Gre(gre) => gre.header_len(),
            Layer::Vxlan(_) => Vxlan::LEN,
            Layer::Geneve(geneve) => geneve.header_len(),
        }
    }

    /// Source and destination port of UDP, TCP or SCTP.
    pub(crate) fn ports(&self) -> Option<(u16, u16)> {
        Some(match self {
            Layer::Udp(udp) => (udp.source_port(), udp.destination_port()),
            Layer::Tcp(tcp) => (tcp.source_port(), tcp.destination_port()),
            Layer::Sctp(sctp) => (sctp.source_port(), sctp.destination_port()),
            _ => return None,
        })
    }
}

/// Why decoding could not go on, or found something wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The packet itself is malformed.
    Packet,
    /// The capture kept fewer bytes than were on the wire: nothing is wrong with the packet.
    Capture,
    /// The packet is the first fragment of a datagram whose rest is elsewhere: nothing is wrong.
    Fragment,
}

/// What was wrong first, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What was wrong.
    pub reason: Reason,
    /// Who is to blame.
    pub cause: Cause,
    /// How many layers were decoded before it.
    pub layer: usize,
    /// Where the header at fault begins, in bytes from the start of the packet.
    pub offset: usize,
}

/// The layers of a packet, outermost first. Never fails: see [`fault`](Self::fault).
#[derive(Clone, Debug)]
pub struct Packet<'a> {
    pub(crate) layers: ArrayVec<Layer<'a>, LAYERS_MAX>,
    pub(crate) fault: Option<Fault>,
    pub(crate) payload: &'a [u8],
    pub(crate) payload_offset: usize,
    pub(crate) missing: usize,
    pub(crate) next: Option<Unknown>,
}

/// The number of a protocol that was not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unknown {
    /// The link type of the capture: nothing of the packet was decoded, and nothing is wrong.
    LinkType(u16),
    /// An EtherType.
    EtherType(u16),
    /// An IP protocol number.
    Ip(u8),
    /// A PPP protocol number.
    Ppp(u16),
    /// The address family of a loopback header.
    Family(u32),
}

impl<'a> Packet<'a> {
    /// Decodes `bytes`, the captured part of a packet of `wire_len` bytes that begins with a header
    /// of type `link`. Decoding stops at the first fault that hides what follows; after other
    /// faults (a length beyond the packet, a bad option) it goes on, and the first fault is kept.
    #[inline]
    pub fn decode(link: LinkType, bytes: &'a [u8], wire_len: u32) -> Packet<'a> {
        crate::walk::decode(link, bytes, wire_len)
    }

    /// The layers, outermost first.
    pub fn layers(&self) -> &[Layer<'a>] {
        &self.layers
    }

    /// The first thing that was wrong, also when the capture or fragmentation is to blame.
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// How the packet is malformed; `None` when it is well or when it was only cut.
    pub fn malformed(&self) -> Option<Reason> {
        self.fault.filter(|fault| fault.cause == Cause::Packet).map(|fault| fault.reason)
    }

    /// The captured bytes after the last decoded layer, without link-layer padding.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Where [`payload`](Self::payload) begins, in bytes from the start of the packet.
    pub fn payload_offset(&self) -> usize {
        self.payload_offset
    }

    /// Length of the payload on the wire: more than [`payload`](Self::payload) has when the capture
    /// cut it.
    pub fn payload_len(&self) -> usize {
        self.payload.len() + self.missing
    }

    /// What the payload is, when the last layer says it and we do not decode it, or could not
    /// because of the [`fault`](Self::fault).
    pub fn unknown(&self) -> Option<Unknown> {
        self.next
    }

    /// Source and destination port of the UDP, TCP or SCTP header in the innermost IP header;
    /// `None` when that one carries something else, even if a tunnel around it has ports. Of a
    /// header that is cut or malformed as well, as long as its ports are there.
    pub fn ports(&self) -> Option<(u16, u16)> {
        let inner = &self.layers[self.innermost_network()?..];
        inner.iter().find_map(Layer::ports).or_else(|| self.undecoded_ports())
    }

    /// The ports of a UDP, TCP or SCTP header that follows the last layer and could not be decoded.
    pub(crate) fn undecoded_ports(&self) -> Option<(u16, u16)> {
        let Some(Unknown::Ip(ip::UDP | ip::TCP | ip::SCTP)) = self.next else { return None };
        let &[a, b, c, d] = self.payload.first_chunk()?;
        Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
    }

    /// Where the innermost IPv4, IPv6 or ARP header is among the layers: what comes after it
    /// belongs to the innermost packet, what comes before it to the tunnels around that.
    pub(crate) fn innermost_network(&self) -> Option<usize> {
        let is_network =
            |layer: &Layer<'_>| matches!(layer, Layer::Ipv4(_) | Layer::Ipv6(_) | Layer::Arp(_));
        self.layers.iter().rposition(is_network)
    }
}
