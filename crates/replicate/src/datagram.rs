//! The UDP datagram in a frame: what it takes to find its feed and to copy it.
//!
//! Ethernet with up to two VLAN tags, or no link header; IPv4, with options or without; IPv6
//! without extension headers; UDP. Other shapes are no datagrams of a feed: XDP programs, which
//! must agree with this, do not look further either.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tickwire_decode::checksum::Sum;
use tickwire_decode::{Ethernet, Ipv4, Ipv6, Udp, Vlan, ethertype, protocol::ip};
use tickwire_frame::{Flags, Frame, LinkType, Reason};

/// The most VLAN tags that we look through.
pub const VLAN_TAGS_MAX: usize = 2;
/// The next header of a fragment (RFC 8200, 4.5).
const IPV6_FRAGMENT: u8 = 44;

/// A UDP datagram in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Who sent it.
    pub source: SocketAddr,
    /// Where it was sent.
    pub destination: SocketAddr,
    /// Identifier of its outermost VLAN tag.
    pub vlan: Option<u16>,
    /// Its IPv4 identification; 0 over IPv6.
    pub id: u16,
    /// Its UDP checksum as it stands there.
    pub checksum: u16,
    /// The checksum was left to hardware and never filled in: the port says so, or what stands
    /// there is the sum of the pseudo header alone, as Linux leaves it (XDP does not say so). One
    /// right checksum of 65 536 is that sum, too: computed, it comes out the same. So is that of
    /// one damaged datagram of 65 536, which gets a right one: nobody can tell it from the others,
    /// and just as many of the damaged are right by chance and pass every check.
    pub partial: bool,
    /// Sum of its addresses and ports, all that copies may change of what the checksum covers.
    pub headers: Sum,
    /// Where its payload begins in the frame.
    pub payload_at: usize,
    /// Bytes of its payload.
    pub payload_len: usize,
    /// Its lengths contradict each other, or the frame was cut: it cannot be copied.
    pub fault: Option<Reason>,
}

/// Why a frame has no [`Datagram`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// It is something else.
    NotUdp,
    /// It is a fragment of a packet to this address.
    Fragment(IpAddr),
    /// It ends, or is wrong, before the ports.
    Malformed(Reason),
}

impl Datagram {
    /// Of no use; to fill arrays with.
    pub const NONE: Datagram = Datagram {
        source: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
        destination: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
        vlan: None,
        id: 0,
        checksum: 0,
        partial: false,
        headers: Sum::ZERO,
        payload_at: 0,
        payload_len: 0,
        fault: None,
    };

    /// The datagram in a frame of type `link`.
    #[inline]
    pub fn parse(link: LinkType, frame: &Frame<'_>) -> Result<Datagram, Miss> {
        let bytes = frame.bytes;
        let (at, vlan, kind) = match link {
            LinkType::ETHERNET => ethernet(bytes)?,
            LinkType::RAW | LinkType::IPV4 | LinkType::IPV6 => {
                match bytes.first().map(|first| first >> 4) {
                    Some(4) => (0, None, ethertype::IPV4),
                    Some(6) => (0, None, ethertype::IPV6),
                    Some(_) => return Err(Miss::Malformed(Reason::IpBadVersion)),
                    None => return Err(Miss::Malformed(Reason::EmptyPacket)),
                }
            }
            _ => return Err(Miss::NotUdp),
        };
        let packet = &bytes[at..];
        let mut datagram = match kind {
            ethertype::IPV4 => ipv4(packet)?,
            ethertype::IPV6 => ipv6(packet)?,
            _ => return Err(Miss::NotUdp),
        };
        datagram.vlan = vlan;
        datagram.payload_at += at;
        datagram.partial |= frame.flags.contains(Flags::CHECKSUM_PARTIAL);
        if datagram.fault.is_some() && frame.wire_len as usize > bytes.len() {
            datagram.fault = Some(Reason::TooLong);
        }
        Ok(datagram)
    }

    /// Its payload; `bytes` must be those of its frame.
    #[inline]
    pub fn payload<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes.get(self.payload_at..self.payload_at + self.payload_len).unwrap_or(&[])
    }

    /// Its payload was replaced by others of at most `len` bytes: a checksum, if it has one, is to
    /// be made.
    pub(crate) fn cut(&mut self, len: usize) {
        (self.payload_len, self.partial) = (len, self.checksum != 0);
    }

    /// Whether its checksum says that it is as it was sent: also when it has none, or one that was
    /// left to hardware. `bytes` must be those of its frame.
    #[inline]
    pub fn is_intact(&self, bytes: &[u8]) -> bool {
        let len = (Udp::LEN + self.payload_len) as u16;
        // Once for the pseudo header, once for the header of UDP.
        let lengths = self.headers.add_word(ip::UDP.into()).add_word(len).add_word(len);
        let sum = lengths.add_word(self.checksum).over(self.payload(bytes));
        self.partial || self.checksum == 0 || sum.is_valid()
    }
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// Where the packet begins, the outermost VLAN, the EtherType.
#[inline]
fn ethernet(bytes: &[u8]) -> Result<(usize, Option<u16>, u16), Miss> {
    if bytes.len() < Ethernet::LEN {
        return Err(Miss::Malformed(Reason::TruncatedEthernet));
    }
    let (mut at, mut vlan, mut kind) = (Ethernet::LEN, None, be16(bytes, 12));
    for _ in 0..VLAN_TAGS_MAX {
        if !ethertype::is_vlan(kind) {
            break;
        }
        let tag = bytes.get(at..at + Vlan::LEN).ok_or(Miss::Malformed(Reason::TruncatedVlan))?;
        vlan = vlan.or(Some(be16(tag, 0) & 0xfff));
        (at, kind) = (at + Vlan::LEN, be16(tag, 2));
    }
    Ok((at, vlan, kind))
}

#[inline]
fn ipv4(packet: &[u8]) -> Result<Datagram, Miss> {
    let Some(header) = packet.first_chunk::<{ Ipv4::LEN }>() else {
        return Err(Miss::Malformed(Reason::TruncatedIpv4));
    };
    let header_len = usize::from(header[0] & 15) * 4;
    if header[0] >> 4 != 4 {
        return Err(Miss::Malformed(Reason::Ipv4BadVersion));
    }
    if header_len < Ipv4::LEN {
        return Err(Miss::Malformed(Reason::Ipv4BadHeaderLength));
    }
    if header[9] != ip::UDP {
        return Err(Miss::NotUdp);
    }
    let [a, b, c, d] = [header[16], header[17], header[18], header[19]];
    let destination = Ipv4Addr::new(a, b, c, d);
    if be16(header, 6) & 0x3fff != 0 {
        return Err(Miss::Fragment(destination.into()));
    }
    let udp = packet.get(header_len..).unwrap_or(&[]);
    let total = usize::from(be16(header, 2));
    let fault = if total < header_len {
        Some(Reason::Ipv4BadTotalLength)
    } else if total > packet.len() {
        Some(Reason::Ipv4LengthBeyondPacket)
    } else {
        None
    };
    let source = Ipv4Addr::new(header[12], header[13], header[14], header[15]);
    let sum = Sum::default().over(&header[12..20]);
    let len = total.saturating_sub(header_len);
    let datagram = udp_part(source.into(), destination.into(), sum, udp, header_len, len)?;
    Ok(Datagram { id: be16(header, 4), fault: fault.or(datagram.fault), ..datagram })
}

#[inline]
fn ipv6(packet: &[u8]) -> Result<Datagram, Miss> {
    let Some((header, udp)) = packet.split_first_chunk::<{ Ipv6::LEN }>() else {
        return Err(Miss::Malformed(Reason::TruncatedIpv6));
    };
    if header[0] >> 4 != 6 {
        return Err(Miss::Malformed(Reason::Ipv6BadVersion));
    }
    let address = |at| Ipv6Addr::from(*header[at..].first_chunk::<16>().expect("40 bytes"));
    let (source, destination) = (address(8), address(24));
    match header[6] {
        ip::UDP => {}
        IPV6_FRAGMENT => return Err(Miss::Fragment(destination.into())),
        _ => return Err(Miss::NotUdp),
    }
    let len = usize::from(be16(header, 4));
    let fault = (len > udp.len()).then_some(Reason::Ipv6LengthBeyondPacket);
    let sum = Sum::default().over(&header[8..40]);
    let datagram = udp_part(source.into(), destination.into(), sum, udp, Ipv6::LEN, len)?;
    Ok(Datagram { fault: fault.or(datagram.fault), ..datagram })
}

/// `len` is how long the IP header says that `udp` is.
#[inline(always)]
fn udp_part(
    source: IpAddr,
    destination: IpAddr,
    sum: Sum,
    udp: &[u8],
    header_len: usize,
    len: usize,
) -> Result<Datagram, Miss> {
    let Some(header) = udp.first_chunk::<{ Udp::LEN }>() else {
        return Err(Miss::Malformed(Reason::TruncatedUdp));
    };
    let udp_len = usize::from(be16(header, 4));
    let pseudo = sum.add_word(ip::UDP.into()).add_word(be16(header, 4));
    let fault = if udp_len < Udp::LEN {
        Some(Reason::UdpBadLength)
    } else if udp_len > len {
        Some(Reason::UdpLengthBeyondPacket)
    } else {
        None
    };
    Ok(Datagram {
        source: SocketAddr::new(source, be16(header, 0)),
        destination: SocketAddr::new(destination, be16(header, 2)),
        checksum: be16(header, 6),
        partial: be16(header, 6) == !pseudo.finish(),
        headers: sum.over(&header[..4]),
        payload_at: header_len + Udp::LEN,
        payload_len: udp_len.saturating_sub(Udp::LEN),
        fault,
        ..Datagram::NONE
    })
}
