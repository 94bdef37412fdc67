//! The answer to a lookup.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use tickwire_frame::Reason;

/// A link-layer address (EUI-48).
pub type Mac = [u8; 6];

/// Where everybody on a link listens.
pub(super) const BROADCAST: Mac = [0xff; 6];

/// Where a packet goes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextHop {
    /// Known: frames can be written.
    Resolved(Hop),
    /// The neighbour has not answered ARP or neighbour discovery (yet). The kernel was asked to
    /// try, and is asked again while this is so. Neighbour discovery speaks from the link-local
    /// address of the interface: without one the kernel asks nobody.
    Unresolved {
        /// The interface behind which it should be.
        ifindex: u32,
        /// Who does not answer: the gateway, or the destination itself.
        neighbour: IpAddr,
        /// False when we have no right to have the kernel ask, and it does not by itself: then it
        /// takes a datagram through a socket to make it ask. It is some milliseconds until that
        /// is seen here, and a second after it gave up this is false again.
        is_asked: bool,
    },
    /// The interface is down, has no carrier, or was deleted.
    LinkDown {
        /// Its index; an interface that is made again has another one.
        ifindex: u32,
    },
    /// No route, or one that says unreachable, prohibited, or blackhole.
    NoRoute,
    /// This machine itself: the loopback, or one of its addresses.
    Local,
    /// There is a route, but not one that we can write frames for.
    Refused {
        /// The interface it leads to.
        ifindex: u32,
        /// Why.
        why: Refusal,
    },
}

impl NextHop {
    /// What a frame needs, or under which name a packet is discarded meanwhile.
    ///
    /// # Errors
    /// The reason, for everything but [`NextHop::Resolved`].
    pub fn hop(&self) -> Result<Hop, Reason> {
        match *self {
            NextHop::Resolved(hop) => Ok(hop),
            NextHop::Unresolved { .. } => Err(Reason::NoNeighbour),
            NextHop::LinkDown { .. } => Err(Reason::LinkDown),
            NextHop::NoRoute => Err(Reason::NoRoute),
            NextHop::Local | NextHop::Refused { .. } => Err(Reason::NoEgress),
        }
    }
}

/// What a frame needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The interface that takes the frame. For a route through a VLAN interface this is the one
    /// below it, and [`vlan`](Self::vlan) is the tag to write.
    pub ifindex: u32,
    /// The tag that the frame has to carry.
    pub vlan: Option<Vlan>,
    /// Source address of the frame: that of the interface (of the VLAN interface, if it is one).
    pub source_mac: Mac,
    /// Destination address of the frame: the neighbour's, or that of the group.
    pub destination_mac: Mac,
    /// Source address of the packet, as the kernel would choose it.
    pub source: IpAddr,
    /// Longest packet in bytes, from the IP header on: that of the interface, or of the route if
    /// that is less.
    pub mtu: u32,
}

/// An IEEE 802.1Q tag, priority 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vlan {
    /// Its ethertype: 0x8100 (802.1Q), or 0x88a8 (802.1ad).
    pub protocol: u16,
    /// The VLAN, 0 to 4095.
    pub id: u16,
}

/// Why there is no frame for a route that the kernel itself could use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The interface carries no Ethernet frames: a tunnel, a raw IP device.
    NotEthernet,
    /// A VLAN in a VLAN: more tags than we write.
    VlanInVlan,
    /// What is below the VLAN interface is in another network namespace.
    VlanElsewhere,
    /// The kernel wraps what takes this route: MPLS, segment routing, an IP tunnel.
    Wrapped,
    /// The interface has no address to send from.
    NoSource,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::NotEthernet => "it carries no Ethernet frames; use mode udp",
            Refusal::VlanInVlan => "it is a VLAN in a VLAN; use mode udp",
            Refusal::VlanElsewhere => {
                "the interface below this VLAN is in another network namespace; use mode udp"
            }
            Refusal::Wrapped => "its route wraps packets (encap); use mode udp",
            Refusal::NoSource => "it has no address of this family; give it one (`ip addr add`)",
        })
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NextHop::Resolved(hop) => {
                write!(f, "resolved: interface {}, ", hop.ifindex)?;
                if let Some(vlan) = hop.vlan {
                    write!(f, "VLAN {}, ", vlan.id)?;
                }
                let [a, b, c, d, e, g] = hop.destination_mac;
                write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
            }
            NextHop::Unresolved { ifindex, neighbour, .. } => {
                write!(f, "{neighbour} does not answer on interface {ifindex}")
            }
            NextHop::LinkDown { ifindex } => write!(f, "interface {ifindex} is down or gone"),
            NextHop::NoRoute => f.write_str("no route; add one (`ip route add`)"),
            NextHop::Local => f.write_str("an address of this machine"),
            NextHop::Refused { ifindex, why } => write!(f, "interface {ifindex}: {why}"),
        }
    }
}

/// The link-layer address of a multicast group: the low 23 bits of an IPv4 group (RFC 1112
/// section 6.4), the low 32 of an IPv6 group (RFC 2464 section 7). None for other addresses.
pub fn group_mac(group: IpAddr) -> Option<Mac> {
    match group {
        IpAddr::V4(group) if group.is_multicast() => Some(group_mac_v4(group)),
        IpAddr::V6(group) if group.is_multicast() => Some(group_mac_v6(group)),
        _ => None,
    }
}

fn group_mac_v4(group: Ipv4Addr) -> Mac {
    let [_, b, c, d] = group.octets();
    [0x01, 0x00, 0x5e, b & 0x7f, c, d]
}

fn group_mac_v6(group: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = group.octets();
    [0x33, 0x33, a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_have_the_addresses_of_the_standards() {
        let mac = |group: &str| group_mac(group.parse().unwrap());
        assert_eq!(mac("239.129.1.2"), Some([0x01, 0x00, 0x5e, 0x01, 0x01, 0x02]));
        assert_eq!(mac("224.0.0.251"), Some([0x01, 0x00, 0x5e, 0x00, 0x00, 0xfb]));
        assert_eq!(mac("ff02::1:ff00:1234"), Some([0x33, 0x33, 0xff, 0x00, 0x12, 0x34]));
        assert_eq!(mac("10.0.0.1"), None);
        assert_eq!(mac("fe80::1"), None);
    }

    #[test]
    fn texts_name_cause_and_cure() {
        let refused = NextHop::Refused { ifindex: 3, why: Refusal::NotEthernet };
        assert_eq!(refused.to_string(), "interface 3: it carries no Ethernet frames; use mode udp");
        let neighbour = "10.0.0.9".parse().unwrap();
        let waiting = NextHop::Unresolved { ifindex: 3, neighbour, is_asked: true }.to_string();
        assert_eq!(waiting, "10.0.0.9 does not answer on interface 3");
    }
}
