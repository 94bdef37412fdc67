//! The headers of a subscriber's copies, made once; what differs from copy to copy is filled in.
//!
//! ```text
//! Ethernet ─ [VLAN] ─ IPv4 or IPv6 ─ UDP ─ payload
//! constant   const.   length, id,     length, checksum; source with SourceAddress::Keep
//!                     checksum
//! ```
//!
//! A copy has no IP options and is never to be fragmented (DF is set). Its identification is that
//! of the original, so that both can be told to belong together (RFC 6864 lets us choose).

use crate::datagram::Datagram;
use crate::{Hop, SourceAddress, Subscriber, UdpChecksum};
use std::net::IpAddr;
use tickwire_decode::checksum::Sum;
use tickwire_decode::{Ethernet, Ipv4, Ipv6, Udp, Vlan, ethertype, protocol::ip};
use tickwire_frame::Reason;

/// The longest header: Ethernet, a VLAN tag, IPv6, UDP.
pub const HEADER_BYTES_MAX: usize = Ethernet::LEN + Vlan::LEN + Ipv6::LEN + Udp::LEN;
/// Don't fragment, in the field of flags and fragment offset (RFC 791, 3.1).
const DONT_FRAGMENT: u16 = 0x4000;

/// The headers of one subscriber's copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// With zeros for what is filled in.
    pub(crate) header: [u8; HEADER_BYTES_MAX],
    pub(crate) len: usize,
    pub(crate) ip_at: usize,
    pub(crate) ipv4: bool,
    pub(crate) keep: bool,
    pub(crate) checksum: UdpChecksum,
    pub(crate) mtu: usize,
    /// What that and UDP allow of a payload.
    payload_max: usize,
    /// Of the IPv4 header as it stands here.
    pub(crate) ip_sum: Sum,
    /// Of addresses and ports as they stand here.
    pub(crate) udp_sum: Sum,
}

impl Template {
    /// For copies of a feed on `feed_port` to `subscriber` by way of `hop`.
    ///
    /// # Errors
    /// [`Reason::NoRoute`] when `hop` has an address of the other IP version as source.
    pub fn new(feed_port: u16, subscriber: &Subscriber, hop: &Hop) -> Result<Template, Reason> {
        let keep = subscriber.source == SourceAddress::Keep;
        let mut header = Builder { bytes: [0; HEADER_BYTES_MAX], len: 0 };
        header.put(&hop.destination_mac);
        header.put(&hop.source_mac);
        if let Some(vlan) = hop.vlan {
            header.put(&vlan.protocol.to_be_bytes());
            header.put(&vlan.id.to_be_bytes());
        }
        let ip_at = header.len + 2;
        let traffic_class = subscriber.dscp << 2;
        let addresses_at = match (hop.source, subscriber.address.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                header.put(&ethertype::IPV4.to_be_bytes());
                header.put(&[0x45, traffic_class, 0, 0, 0, 0]);
                header.put(&DONT_FRAGMENT.to_be_bytes());
                header.put(&[subscriber.ttl, ip::UDP, 0, 0]);
                header.put(&if keep { [0; 4] } else { source.octets() });
                header.put(&destination.octets());
                ip_at + 12
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                header.put(&ethertype::IPV6.to_be_bytes());
                header.put(&[0x60 | traffic_class >> 4, traffic_class << 4, 0, 0]);
                header.put(&[0, 0, ip::UDP, subscriber.ttl]);
                header.put(&if keep { [0; 16] } else { source.octets() });
                header.put(&destination.octets());
                ip_at + 8
            }
            _ => return Err(Reason::NoRoute),
        };
        let udp_at = header.len;
        header.put(&if keep { [0; 2] } else { feed_port.to_be_bytes() });
        header.put(&subscriber.address.port().to_be_bytes());
        header.put(&[0; 4]);
        let Builder { bytes, len } = header;
        let mtu = hop.mtu as usize;
        let payload_max = (ip_at + mtu).saturating_sub(len).min(usize::from(u16::MAX) - Udp::LEN);
        Ok(Template {
            ip_sum: Sum::default().over(&bytes[ip_at..udp_at]),
            udp_sum: Sum::default().over(&bytes[addresses_at..udp_at + 4]),
            header: bytes,
            len,
            ip_at,
            ipv4: subscriber.address.is_ipv4(),
            keep,
            checksum: subscriber.udp_checksum,
            mtu,
            payload_max,
        })
    }

    /// Writes a copy of `datagram` with its `payload` to the beginning of `slot`; its length.
    ///
    /// # Errors
    /// [`Reason::TooLong`] for the MTU or the slot.
    #[inline]
    pub fn write(
        &self,
        datagram: &Datagram,
        payload: &[u8],
        slot: &mut [u8],
    ) -> Result<usize, Reason> {
        let place = self.begin(slot)?.get_mut(..payload.len()).ok_or(Reason::TooLong)?;
        place.copy_from_slice(payload);
        self.finish(datagram, payload.len(), slot)
    }

    /// Writes what never changes of the headers to the beginning of `slot`: where the payload goes,
    /// as long as it may be. Write it there, and [`finish`](Self::finish).
    ///
    /// # Errors
    /// [`Reason::TooLong`] when not even an empty payload fits.
    #[inline]
    pub fn begin<'a>(&self, slot: &'a mut [u8]) -> Result<&'a mut [u8], Reason> {
        let payload_max = self.payload_max(slot.len());
        match slot.first_chunk_mut() {
            // More than the headers, but of constant length: the payload is not there yet.
            Some(start) => *start = self.header,
            None => slot
                .get_mut(..self.len)
                .ok_or(Reason::TooLong)?
                .copy_from_slice(&self.header[..self.len]),
        }
        slot.get_mut(self.len..self.len + payload_max).ok_or(Reason::TooLong)
    }

    /// Fills in what differs from copy to copy, around a payload of `payload_len` bytes that was
    /// written to where [`begin`](Self::begin) said; the length of the frame.
    ///
    /// # Errors
    /// [`Reason::TooLong`] for the MTU or the slot.
    #[inline]
    pub fn finish(
        &self,
        datagram: &Datagram,
        payload_len: usize,
        slot: &mut [u8],
    ) -> Result<usize, Reason> {
        if payload_len > self.payload_max(slot.len()) {
            return Err(Reason::TooLong);
        }
        let len = self.len + payload_len;
        let frame = slot.get_mut(..len).ok_or(Reason::TooLong)?;
        let (header, payload) = frame.split_at_mut(self.len);
        self.fill_in(datagram, payload, &mut header[self.ip_at..]);
        Ok(len)
    }

    /// The longest payload of a copy, in bytes: for the MTU, and for a slot of `slot_bytes`.
    #[inline]
    pub fn payload_max(&self, slot_bytes: usize) -> usize {
        slot_bytes.saturating_sub(self.len).min(self.payload_max)
    }

    /// `header` is that of IP and of UDP.
    #[inline]
    fn fill_in(&self, datagram: &Datagram, payload: &[u8], header: &mut [u8]) {
        let udp_len = (Udp::LEN + payload.len()) as u16;
        let mut udp_sum = self.udp_sum;
        let udp = if self.ipv4 {
            let (ip, udp) = header.split_first_chunk_mut::<{ Ipv4::LEN }>().expect("as built");
            let mut ip_sum = self.ip_sum;
            if self.keep
                && let IpAddr::V4(source) = datagram.source.ip()
            {
                ip[12..16].copy_from_slice(&source.octets());
                ip_sum = ip_sum.over(&source.octets());
                udp_sum = udp_sum.over(&source.octets());
            }
            let total = Ipv4::LEN as u16 + udp_len;
            let checksum = ip_sum.add_word(total).add_word(datagram.id).finish();
            ip[2..4].copy_from_slice(&total.to_be_bytes());
            ip[4..6].copy_from_slice(&datagram.id.to_be_bytes());
            ip[10..12].copy_from_slice(&checksum.to_be_bytes());
            udp
        } else {
            let (ip, udp) = header.split_first_chunk_mut::<{ Ipv6::LEN }>().expect("as built");
            if self.keep
                && let IpAddr::V6(source) = datagram.source.ip()
            {
                ip[8..24].copy_from_slice(&source.octets());
                udp_sum = udp_sum.over(&source.octets());
            }
            ip[4..6].copy_from_slice(&udp_len.to_be_bytes());
            udp
        };
        let udp = udp.first_chunk_mut::<{ Udp::LEN }>().expect("as built");
        if self.keep {
            let port = datagram.source.port().to_be_bytes();
            udp[..2].copy_from_slice(&port);
            udp_sum = udp_sum.over(&port);
        }
        let checksum = self.udp_checksum(datagram, payload, udp_sum, udp_len);
        udp[4..6].copy_from_slice(&udp_len.to_be_bytes());
        udp[6..].copy_from_slice(&checksum.to_be_bytes());
    }

    /// `changed` is the sum of the new addresses and ports.
    #[inline]
    fn udp_checksum(&self, datagram: &Datagram, payload: &[u8], changed: Sum, len: u16) -> u16 {
        let original = datagram.checksum;
        match self.checksum {
            UdpChecksum::Zero | UdpChecksum::ZeroOverIpv6 => return 0,
            UdpChecksum::Update if datagram.partial => {}
            // None stays none, but over IPv6 there must be one (RFC 8200, 8.1).
            UdpChecksum::Update if original == 0 && self.ipv4 => return 0,
            UdpChecksum::Update if original == 0 => {}
            UdpChecksum::Update => {
                // RFC 1624, equation 3: HC' = ~(~HC + ~m + m'), with all that changed as one m.
                let removed = datagram.headers.finish();
                return never_zero(changed.add_word(!original).add_word(removed).finish());
            }
            UdpChecksum::Compute => {}
        }
        let pseudo = changed.add_word(ip::UDP.into()).add_word(len);
        never_zero(pseudo.add_word(len).over(payload).finish())
    }

    /// Bytes before the payload.
    pub fn header_len(&self) -> usize {
        self.len
    }
}

/// A sum that comes out as 0 is sent as its other form, because 0 means none (RFC 768).
fn never_zero(checksum: u16) -> u16 {
    if checksum == 0 { 0xffff } else { checksum }
}

struct Builder {
    bytes: [u8; HEADER_BYTES_MAX],
    len: usize,
}

impl Builder {
    fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }
}
