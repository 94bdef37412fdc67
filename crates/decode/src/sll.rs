//! Linux cooked capture, versions 1 and 2
//! (<https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL.html>, `…_SLL2.html`).

use crate::read::{at_most, be16, be32};
use tickwire_frame::Reason;

/// What the two "protocol" bytes mean depends on the hardware type; these are the special values.
pub mod sll_protocol {
    /// Novell 802.3 without LLC.
    pub const NOVELL: u16 = 0x0001;
    /// IEEE 802.2 LLC.
    pub const LLC: u16 = 0x0004;
}

/// Hardware types (`ARPHRD_` of Linux) that change the meaning of the protocol field.
pub mod hardware {
    /// An Ethernet-like device.
    pub const ETHER: u16 = 1;
    /// GRE over IPv4: the protocol field is GRE's.
    pub const IPGRE: u16 = 778;
    /// The loopback device.
    pub const LOOPBACK: u16 = 772;
    /// Netlink: the protocol field is a netlink family.
    pub const NETLINK: u16 = 824;
}

/// A Linux cooked header of either version and what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sll<'a> {
    header: SllHeader<'a>,
    payload: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SllHeader<'a> {
    V1(&'a [u8; 16]),
    V2(&'a [u8; 20]),
}

impl<'a> Sll<'a> {
    /// Version 1; needs 16 bytes.
    pub fn parse_v1(bytes: &'a [u8]) -> Result<Self, Reason> {
        let (header, payload) = bytes.split_first_chunk().ok_or(Reason::TruncatedLinuxCooked)?;
        Ok(Sll { header: SllHeader::V1(header), payload })
    }

    /// Version 2; needs 20 bytes.
    pub fn parse_v2(bytes: &'a [u8]) -> Result<Self, Reason> {
        let (header, payload) = bytes.split_first_chunk().ok_or(Reason::TruncatedLinuxCooked)?;
        Ok(Sll { header: SllHeader::V2(header), payload })
    }

    /// 1 or 2.
    pub fn version(&self) -> u8 {
        match self.header {
            SllHeader::V1(_) => 1,
            SllHeader::V2(_) => 2,
        }
    }

    /// Bytes of the header: 16 or 20.
    pub fn header_len(&self) -> usize {
        match self.header {
            SllHeader::V1(header) => header.len(),
            SllHeader::V2(header) => header.len(),
        }
    }

    /// 0 to us, 1 broadcast, 2 multicast, 3 to somebody else, 4 sent by us.
    pub fn packet_type(&self) -> u16 {
        match self.header {
            SllHeader::V1(header) => be16(header, 0),
            SllHeader::V2(header) => header[10].into(),
        }
    }

    /// The packet type in tcpdump's words.
    pub fn packet_type_name(&self) -> &'static str {
        match self.packet_type() {
            0 => "In",
            1 => "B",
            2 => "M",
            3 => "P",
            4 => "Out",
            _ => "?",
        }
    }

    /// The device's `ARPHRD_` type.
    pub fn hardware(&self) -> u16 {
        match self.header {
            SllHeader::V1(header) => be16(header, 2),
            SllHeader::V2(header) => be16(header, 8),
        }
    }

    /// The sender's link address, at most 8 bytes of it.
    pub fn address(&self) -> &'a [u8] {
        match self.header {
            SllHeader::V1(header) => at_most(&header[6..14], be16(header, 4).into()),
            SllHeader::V2(header) => at_most(&header[12..20], header[11].into()),
        }
    }

    /// The index of the interface, which only version 2 has.
    pub fn interface(&self) -> Option<u32> {
        match self.header {
            SllHeader::V1(_) => None,
            SllHeader::V2(header) => Some(be32(header, 4)),
        }
    }

    /// The protocol field: an EtherType for most hardware.
    pub fn protocol(&self) -> u16 {
        match self.header {
            SllHeader::V1(header) => be16(header, 14),
            SllHeader::V2(header) => be16(header, 0),
        }
    }

    /// What follows.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1() {
        let bytes = b"\0\x04\0\x01\0\x06\x02\0\0\0\0\x09\0\0\x08\0!";
        let sll = Sll::parse_v1(bytes).unwrap();
        assert_eq!((sll.packet_type_name(), sll.hardware(), sll.protocol()), ("Out", 1, 0x0800));
        assert_eq!(sll.address(), [2, 0, 0, 0, 0, 9]);
        assert_eq!((sll.interface(), sll.payload()), (None, &b"!"[..]));
        assert_eq!(Sll::parse_v1(&bytes[..15]), Err(Reason::TruncatedLinuxCooked));
    }

    #[test]
    fn version_2() {
        let bytes = b"\x86\xdd\0\0\0\0\0\x07\0\x01\x00\x06\x02\0\0\0\0\x09\0\0!";
        let sll = Sll::parse_v2(bytes).unwrap();
        assert_eq!((sll.packet_type_name(), sll.hardware(), sll.protocol()), ("In", 1, 0x86dd));
        assert_eq!((sll.interface(), sll.address().len()), (Some(7), 6));
        assert_eq!(Sll::parse_v2(&bytes[..19]), Err(Reason::TruncatedLinuxCooked));
    }

    #[test]
    fn an_absurd_address_length_is_bounded() {
        let sll =
            Sll::parse_v1(b"\0\0\0\x01\xff\xff\x01\x02\x03\x04\x05\x06\x07\x08\x08\0").unwrap();
        assert_eq!(sll.address().len(), 8);
    }
}
