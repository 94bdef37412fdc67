//! Ethernet II and IEEE 802.3 (IEEE 802.3-2022, 3.1.1).

use crate::mac::Mac;
use crate::read::{array, be16};
use tickwire_frame::Reason;

/// From this value on, the two bytes after the addresses are an EtherType; below, an 802.3 length.
pub const ETHERTYPE_MIN: u16 = 0x0600;

/// EtherTypes (IEEE registration authority) that we decode or name.
pub mod ethertype {
    /// IPv4.
    pub const IPV4: u16 = 0x0800;
    /// ARP.
    pub const ARP: u16 = 0x0806;
    /// Reverse ARP, in the format of ARP.
    pub const RARP: u16 = 0x8035;
    /// Transparent Ethernet bridging: a whole Ethernet frame follows.
    pub const TRANSPARENT_ETHERNET: u16 = 0x6558;
    /// IEEE 802.1Q customer tag.
    pub const VLAN: u16 = 0x8100;
    /// IPv6.
    pub const IPV6: u16 = 0x86dd;
    /// PPP, as GRE carries it.
    pub const PPP: u16 = 0x880b;
    /// MPLS, unicast.
    pub const MPLS: u16 = 0x8847;
    /// MPLS, multicast or upstream-assigned label.
    pub const MPLS_MULTICAST: u16 = 0x8848;
    /// PPPoE discovery.
    pub const PPPOE_DISCOVERY: u16 = 0x8863;
    /// PPPoE session.
    pub const PPPOE_SESSION: u16 = 0x8864;
    /// IEEE 802.1ad service tag.
    pub const SERVICE_VLAN: u16 = 0x88a8;
    /// IEEE 802.1AB LLDP.
    pub const LLDP: u16 = 0x88cc;
    /// IEEE 1588 PTP over Ethernet.
    pub const PTP: u16 = 0x88f7;
    /// The service tag of equipment older than 802.1ad.
    pub const OLD_SERVICE_VLAN: u16 = 0x9100;

    /// Whether a VLAN tag follows.
    #[inline]
    pub const fn is_vlan(ethertype: u16) -> bool {
        matches!(ethertype, VLAN | SERVICE_VLAN | OLD_SERVICE_VLAN)
    }
}

/// An Ethernet header and what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ethernet<'a> {
    header: &'a [u8; Ethernet::LEN],
    payload: &'a [u8],
}

impl<'a> Ethernet<'a> {
    /// Bytes of the header.
    pub const LEN: usize = 14;

    /// Needs 14 bytes.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Reason> {
        let (header, payload) = bytes.split_first_chunk().ok_or(Reason::TruncatedEthernet)?;
        Ok(Ethernet { header, payload })
    }

    /// Destination address.
    #[inline]
    pub fn destination(&self) -> Mac {
        Mac(array(self.header, 0))
    }

    /// Source address.
    #[inline]
    pub fn source(&self) -> Mac {
        Mac(array(self.header, 6))
    }

    /// The two bytes after the addresses, as they are.
    #[inline]
    pub fn type_or_length(&self) -> u16 {
        be16(self.header, 12)
    }

    /// The EtherType, when this is Ethernet II.
    #[inline]
    pub fn ethertype(&self) -> Option<u16> {
        Some(self.type_or_length()).filter(|&value| value >= ETHERTYPE_MIN)
    }

    /// The length of the LLC packet in bytes, when this is 802.3.
    #[inline]
    pub fn length(&self) -> Option<u16> {
        Some(self.type_or_length()).filter(|&value| value < ETHERTYPE_MIN)
    }

    /// All captured bytes after the header: padding is still there.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ethernet_ii_and_802_3() {
        let mut bytes = *b"\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\x01\x08\0ab";
        let frame = Ethernet::parse(&bytes).unwrap();
        assert_eq!(frame.destination(), Mac([0xff; 6]));
        assert_eq!(frame.source(), Mac([2, 0, 0, 0, 0, 1]));
        assert_eq!((frame.ethertype(), frame.length()), (Some(ethertype::IPV4), None));
        assert_eq!(frame.payload(), b"ab");
        bytes[12] = 0x05;
        let frame = Ethernet::parse(&bytes).unwrap();
        assert_eq!((frame.ethertype(), frame.length()), (None, Some(0x0500)));
    }

    #[test]
    fn needs_14_bytes() {
        assert_eq!(Ethernet::parse(&[0; 13]), Err(Reason::TruncatedEthernet));
        assert!(Ethernet::parse(&[0; 14]).is_ok());
    }
}
