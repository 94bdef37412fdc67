//! The fast path: from the first byte to addresses, ports and payload.
//!
//! The common shapes (Ethernet with up to two VLAN tags, IPv4 without options or IPv6 without
//! extension headers, UDP or TCP) take a few bounds checks and loads. Everything else, and every
//! fault, goes to [`Packet::decode`], which knows all shapes and gives the exact reason; so both
//! always agree.

use crate::protocol::ip;
use crate::read::{array, be16};
use crate::{Cause, Ethernet, Ipv4, Ipv6, Layer, Packet, Tcp, Udp, Vlan, ethertype, is_extension};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use tickwire_frame::{LinkType, Reason};

/// Source and destination address, of the same version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Addresses {
    V4 { source: Ipv4Addr, destination: Ipv4Addr },
    V6 { source: Ipv6Addr, destination: Ipv6Addr },
}

impl Addresses {
    /// The source.
    #[inline]
    pub fn source(&self) -> IpAddr {
        match *self {
            Addresses::V4 { source, .. } => source.into(),
            Addresses::V6 { source, .. } => source.into(),
        }
    }

    /// The destination.
    #[inline]
    pub fn destination(&self) -> IpAddr {
        match *self {
            Addresses::V4 { destination, .. } => destination.into(),
            Addresses::V6 { destination, .. } => destination.into(),
        }
    }
}

/// What tells one flow from another, and where the payload lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FiveTuple {
    /// Source and destination address.
    pub addresses: Addresses,
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// 6 for TCP, 17 for UDP.
    pub protocol: u8,
    /// Where the payload of UDP or TCP begins, in bytes from the start of the packet.
    pub payload_offset: u32,
    /// How many bytes of the payload were captured.
    pub payload_len: u32,
}

impl FiveTuple {
    /// The payload; `bytes` must be those that the tuple was decoded from.
    #[inline]
    pub fn payload<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let start = self.payload_offset as usize;
        bytes.get(start..start + self.payload_len as usize).unwrap_or(&[])
    }
}

/// Why a packet has no five-tuple.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Miss {
    /// It is not IP, or of a link type that is not decoded.
    NotIp,
    /// It is IP, but neither UDP nor TCP.
    NotUdpOrTcp,
    /// It is a fragment, first or later: its ports or its payload are elsewhere.
    Fragment,
    /// It is malformed, or the capture cut it in its headers; the reason is that of
    /// [`Packet::decode`] for a packet whose end is not known.
    Fault(Reason),
}

/// The five-tuple of the outermost UDP or TCP layer of `bytes`, which begin with a header of type
/// `link`.
///
/// Of tunnels it gives the outer UDP or, where there is none (GRE, IP in IP), nothing; use
/// [`Packet::decode`] to look inside.
#[inline]
pub fn five_tuple(link: LinkType, bytes: &[u8]) -> Result<FiveTuple, Miss> {
    common_five_tuple(link, bytes).map_or_else(|| exact(link, bytes), Ok)
}

/// The same as [`five_tuple`] for the common shapes: Ethernet with up to two VLAN tags, IPv4
/// without options or fragments or IPv6 without extension headers, UDP or TCP, with lengths that
/// hold one another. `None` says that it is something else, good or bad: ask [`Packet::decode`].
#[inline]
pub fn common_five_tuple(link: LinkType, bytes: &[u8]) -> Option<FiveTuple> {
    if link == LinkType::ETHERNET { fast_ethernet(bytes) } else { None }
}

#[inline(always)]
fn fast_ethernet(bytes: &[u8]) -> Option<FiveTuple> {
    let (header, mut rest) = bytes.split_first_chunk::<{ Ethernet::LEN }>()?;
    let mut kind = be16(header, 12);
    let mut at = Ethernet::LEN;
    if kind != ethertype::IPV4 {
        for _ in 0..2 {
            if !ethertype::is_vlan(kind) {
                break;
            }
            let (tag, after) = rest.split_first_chunk::<{ Vlan::LEN }>()?;
            (kind, rest, at) = (be16(tag, 2), after, at + Vlan::LEN);
        }
        if kind == ethertype::IPV6 {
            return fast_ipv6(rest, at);
        }
    }
    if kind == ethertype::IPV4 { fast_ipv4(rest, at) } else { None }
}

#[inline(always)]
fn fast_ipv4(packet: &[u8], at: usize) -> Option<FiveTuple> {
    let (header, rest) = packet.split_first_chunk::<{ Ipv4::LEN }>()?;
    // No options, whole, and a length that includes the header.
    let declared = usize::from(be16(header, 2)).checked_sub(Ipv4::LEN)?;
    if header[0] != 0x45 || be16(header, 6) & 0x3fff != 0 {
        return None;
    }
    let addresses = Addresses::V4 {
        source: array::<20, 4>(header, 12).into(),
        destination: array::<20, 4>(header, 16).into(),
    };
    fast_ports(header[9], addresses, rest, declared, at + Ipv4::LEN)
}

#[inline(always)]
fn fast_ipv6(packet: &[u8], at: usize) -> Option<FiveTuple> {
    let (header, rest) = packet.split_first_chunk::<{ Ipv6::LEN }>()?;
    let declared = usize::from(be16(header, 4));
    if header[0] >> 4 != 6 || declared == 0 || is_extension(header[6]) {
        return None;
    }
    let addresses = Addresses::V6 {
        source: array::<40, 16>(header, 8).into(),
        destination: array::<40, 16>(header, 24).into(),
    };
    fast_ports(header[6], addresses, rest, declared, at + Ipv6::LEN)
}

/// `declared` is the length of the IP payload on the wire; `rest` may be shorter (cut by the
/// capture) or longer (padding).
#[inline(always)]
fn fast_ports(
    protocol: u8,
    addresses: Addresses,
    rest: &[u8],
    declared: usize,
    at: usize,
) -> Option<FiveTuple> {
    let available = declared.min(rest.len());
    let (ports, header_len, end) = match protocol {
        ip::UDP => {
            let header = rest.first_chunk::<{ Udp::LEN }>()?;
            let len = usize::from(be16(header, 4));
            if len < Udp::LEN || len > declared {
                return None;
            }
            (*header.first_chunk::<4>()?, Udp::LEN, len.min(available))
        }
        ip::TCP => {
            let header = rest.first_chunk::<{ Tcp::LEN }>()?;
            let header_len = usize::from(header[12] >> 4) * 4;
            if header_len < Tcp::LEN || header_len > available {
                return None;
            }
            (*header.first_chunk::<4>()?, header_len, available)
        }
        _ => return None,
    };
    Some(FiveTuple {
        addresses,
        source_port: be16(&ports, 0),
        destination_port: be16(&ports, 2),
        protocol,
        payload_offset: (at + header_len) as u32,
        payload_len: (end - header_len) as u32,
    })
}

/// The same for every packet, by way of all its layers.
#[cold]
#[inline(never)]
fn exact(link: LinkType, bytes: &[u8]) -> Result<FiveTuple, Miss> {
    // Nobody says how long the packet was on the wire, so what is absent may have been there.
    let packet = Packet::decode(link, bytes, u32::MAX);
    let mut addresses = None;
    let mut payload_offset = 0;
    for (index, layer) in packet.layers().iter().enumerate() {
        payload_offset += layer.header_len();
        let (source_port, destination_port, protocol, payload_len) = match layer {
            Layer::Ipv4(ip) => {
                if ip.is_fragment() {
                    return Err(Miss::Fragment);
                }
                let (source, destination) = (ip.source(), ip.destination());
                let tunnel = addresses.replace(Addresses::V4 { source, destination });
                if tunnel.is_some() {
                    return Err(Miss::NotUdpOrTcp);
                }
                continue;
            }
            Layer::Ipv6(ip) => {
                let (source, destination) = (ip.source(), ip.destination());
                let tunnel = addresses.replace(Addresses::V6 { source, destination });
                if tunnel.is_some() {
                    return Err(Miss::NotUdpOrTcp);
                }
                continue;
            }
            Layer::Ipv6Extensions(chain) => {
                if chain.fragment().is_some_and(|part| part.is_fragment()) {
                    return Err(Miss::Fragment);
                }
                continue;
            }
            Layer::Ah(_) => continue,
            Layer::Udp(udp) => {
                let (source, destination) = (udp.source_port(), udp.destination_port());
                (source, destination, ip::UDP, udp.payload().len())
            }
            Layer::Tcp(tcp) => {
                let (source, destination) = (tcp.source_port(), tcp.destination_port());
                (source, destination, ip::TCP, tcp.payload().len())
            }
            _ if addresses.is_some() => return Err(Miss::NotUdpOrTcp),
            _ => continue,
        };
        let Some(addresses) = addresses else { return Err(Miss::NotIp) };
        // Whatever is wrong before the ports, or with where the payload ends; not TCP's options.
        if let Some(fault) = packet.fault().filter(|fault| fault.cause == Cause::Packet)
            && (fault.layer < index || fault.reason == Reason::UdpLengthBeyondPacket)
            && fault.layer <= index
        {
            return Err(Miss::Fault(fault.reason));
        }
        return Ok(FiveTuple {
            addresses,
            source_port,
            destination_port,
            protocol,
            payload_offset: payload_offset as u32,
            payload_len: payload_len as u32,
        });
    }
    match packet.fault() {
        Some(fault) => Err(Miss::Fault(fault.reason)),
        None if addresses.is_some() => Err(Miss::NotUdpOrTcp),
        None => Err(Miss::NotIp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ethernet, IPv4 from 10.0.0.1 to 10.0.0.2, UDP from 1 to 2, `data`, padding.
    const UDP: &[u8; 50] = b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x08\0\
        \x45\0\0\x20\0\0\0\0\x40\x11\0\0\x0a\0\0\x01\x0a\0\0\x02\
        \0\x01\0\x02\0\x0c\0\0datapadd";

    fn with(at: usize, byte: u8) -> Result<FiveTuple, Miss> {
        let mut bytes = *UDP;
        bytes[at] = byte;
        five_tuple(LinkType::ETHERNET, &bytes)
    }

    #[test]
    fn both_ways_give_the_same() {
        let fast = five_tuple(LinkType::ETHERNET, UDP).unwrap();
        assert_eq!(Ok(fast), exact(LinkType::ETHERNET, UDP));
        assert_eq!(fast.addresses.source(), IpAddr::from([10, 0, 0, 1]));
        assert_eq!(fast.addresses.destination(), IpAddr::from([10, 0, 0, 2]));
        assert_eq!((fast.source_port, fast.destination_port, fast.protocol), (1, 2, 17));
        assert_eq!((fast.payload_offset, fast.payload(UDP)), (42, &b"data"[..]));
        let raw = five_tuple(LinkType::RAW, &UDP[14..]).unwrap();
        assert_eq!((raw.payload_offset, raw.addresses), (28, fast.addresses));
    }

    #[test]
    fn each_miss() {
        assert_eq!(with(12, 0x90), Err(Miss::NotIp));
        assert_eq!(with(23, 1), Err(Miss::NotUdpOrTcp));
        assert_eq!(with(20, 0x20), Err(Miss::Fragment));
        assert_eq!(with(14, 0x35), Err(Miss::Fault(Reason::Ipv4BadVersion)));
        assert_eq!(with(39, 7), Err(Miss::Fault(Reason::UdpBadLength)));
        assert_eq!(with(39, 13), Err(Miss::Fault(Reason::UdpLengthBeyondPacket)));
        let cut = five_tuple(LinkType::ETHERNET, &UDP[..41]);
        assert_eq!(cut, Err(Miss::Fault(Reason::TruncatedUdp)));
    }

    #[test]
    fn a_cut_payload_is_shorter() {
        let tuple = five_tuple(LinkType::ETHERNET, &UDP[..44]).unwrap();
        assert_eq!((tuple.payload(&UDP[..44]), tuple.payload_len), (&b"da"[..], 2));
    }

    #[test]
    fn a_payload_of_other_bytes_is_empty() {
        let tuple = five_tuple(LinkType::ETHERNET, UDP).unwrap();
        assert_eq!(tuple.payload(b"short"), b"");
    }
}
