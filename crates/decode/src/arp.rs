//! ARP and reverse ARP (RFC 826, RFC 903).

use crate::read::be16;
use std::net::Ipv4Addr;
use tickwire_frame::Reason;

/// An ARP packet with addresses of any length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp<'a> {
    header: &'a [u8; Arp::LEN],
    addresses: &'a [u8],
}

impl<'a> Arp<'a> {
    /// Bytes of the fixed part; four addresses follow.
    pub const LEN: usize = 8;

    /// Needs the fixed part and all four addresses.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Reason> {
        let (header, rest) =
            bytes.split_first_chunk::<{ Arp::LEN }>().ok_or(Reason::TruncatedArp)?;
        let addresses_len = 2 * (usize::from(header[4]) + usize::from(header[5]));
        let addresses = rest.get(..addresses_len).ok_or(Reason::TruncatedArp)?;
        Ok(Arp { header, addresses })
    }

    /// Hardware type (IANA); 1 is Ethernet.
    pub fn hardware(&self) -> u16 {
        be16(self.header, 0)
    }

    /// The protocol whose address is asked for, as an EtherType.
    pub fn protocol(&self) -> u16 {
        be16(self.header, 2)
    }

    /// 1 request, 2 reply, 3 and 4 the same of reverse ARP.
    pub fn operation(&self) -> u16 {
        be16(self.header, 6)
    }

    fn address(&self, index: usize) -> &'a [u8] {
        let hardware = usize::from(self.header[4]);
        let protocol = usize::from(self.header[5]);
        let start = (index / 2) * (hardware + protocol) + (index % 2) * hardware;
        let len = if index.is_multiple_of(2) { hardware } else { protocol };
        self.addresses.get(start..start + len).unwrap_or(&[])
    }

    /// The sender's hardware address.
    pub fn sender_hardware(&self) -> &'a [u8] {
        self.address(0)
    }

    /// The sender's protocol address.
    pub fn sender_protocol(&self) -> &'a [u8] {
        self.address(1)
    }

    /// The target's hardware address; unset in a request.
    pub fn target_hardware(&self) -> &'a [u8] {
        self.address(2)
    }

    /// The target's protocol address.
    pub fn target_protocol(&self) -> &'a [u8] {
        self.address(3)
    }

    /// Sender and target, when the protocol is IPv4.
    pub fn ipv4(&self) -> Option<(Ipv4Addr, Ipv4Addr)> {
        let sender: [u8; 4] = self.sender_protocol().try_into().ok()?;
        let target: [u8; 4] = self.target_protocol().try_into().ok()?;
        (self.protocol() == crate::ethertype::IPV4).then_some((sender.into(), target.into()))
    }

    /// Bytes of the packet, without padding.
    pub fn packet_len(&self) -> usize {
        Self::LEN + self.addresses.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &[u8; 30] = b"\0\x01\x08\0\x06\x04\0\x01\x02\0\0\0\0\x01\x0a\0\0\x01\
                                 \0\0\0\0\0\0\x0a\0\0\x02pa";

    #[test]
    fn request() {
        let arp = Arp::parse(REQUEST).unwrap();
        assert_eq!((arp.hardware(), arp.protocol(), arp.operation()), (1, 0x0800, 1));
        assert_eq!(arp.sender_hardware(), [2, 0, 0, 0, 0, 1]);
        assert_eq!(arp.target_hardware(), [0; 6]);
        assert_eq!(arp.ipv4(), Some(([10, 0, 0, 1].into(), [10, 0, 0, 2].into())));
        assert_eq!(arp.packet_len(), 28);
    }

    #[test]
    fn truncated_at_every_length() {
        for len in 0..28 {
            assert_eq!(Arp::parse(&REQUEST[..len]), Err(Reason::TruncatedArp));
        }
    }

    #[test]
    fn odd_address_lengths() {
        let arp = Arp::parse(b"\0\x01\x08\0\x01\x02\0\x01ABBCDD").unwrap();
        assert_eq!((arp.sender_protocol(), arp.target_hardware()), (&b"BB"[..], &b"C"[..]));
        assert_eq!((arp.target_protocol(), arp.ipv4()), (&b"DD"[..], None));
    }
}
