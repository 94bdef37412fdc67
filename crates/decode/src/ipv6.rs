//! IPv6 (RFC 8200).

use crate::read::{array, at_most, be16, be32};
use std::net::Ipv6Addr;
use tickwire_frame::Reason;

/// An IPv6 header and its payload, which begins with the extension headers if there are any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6<'a> {
    header: &'a [u8; Ipv6::LEN],
    payload: &'a [u8],
}

impl<'a> Ipv6<'a> {
    /// Bytes of the header.
    pub const LEN: usize = 40;

    /// Needs 40 bytes and version 6. The payload ends where the payload length says or, when the
    /// capture cut it, before: compare with [`payload_len`](Self::payload_len).
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Reason> {
        let (header, payload) =
            bytes.split_first_chunk::<{ Ipv6::LEN }>().ok_or(Reason::TruncatedIpv6)?;
        if header[0] >> 4 != 6 {
            return Err(Reason::Ipv6BadVersion);
        }
        let ip = Ipv6 { header, payload };
        Ok(Ipv6 { payload: at_most(payload, ip.payload_len()), ..ip })
    }

    /// Traffic class: 6 bits DSCP, 2 bits ECN.
    pub fn traffic_class(&self) -> u8 {
        (be16(self.header, 0) >> 4) as u8
    }

    /// Flow label, 20 bits.
    pub fn flow_label(&self) -> u32 {
        be32(self.header, 0) & 0xf_ffff
    }

    /// The payload length field: 0 in a jumbogram (RFC 2675) and in a packet that the network card
    /// will still cut into segments.
    #[inline]
    pub fn payload_length_field(&self) -> u16 {
        be16(self.header, 4)
    }

    /// Length of the payload on the wire. With a payload length of 0 it is all that is there,
    /// unless No Next Header says that nothing is.
    #[inline]
    pub fn payload_len(&self) -> usize {
        match self.payload_length_field() {
            0 if self.next_header() != 59 => self.payload.len(),
            len => len.into(),
        }
    }

    /// The kind of the first extension header, or the protocol of the payload.
    #[inline]
    pub fn next_header(&self) -> u8 {
        self.header[6]
    }

    /// Hop limit.
    pub fn hop_limit(&self) -> u8 {
        self.header[7]
    }

    /// Source address.
    #[inline]
    pub fn source(&self) -> Ipv6Addr {
        array::<40, 16>(self.header, 8).into()
    }

    /// Destination address.
    #[inline]
    pub fn destination(&self) -> Ipv6Addr {
        array::<40, 16>(self.header, 24).into()
    }

    /// Source and destination as they lie in the header: 32 bytes.
    #[inline]
    pub fn addresses(&self) -> [u8; 32] {
        array(self.header, 8)
    }

    /// The captured bytes of the payload, without link-layer padding.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet() -> [u8; 44] {
        let mut bytes = [0; 44];
        bytes[..8].copy_from_slice(&[0x6a, 0xb1, 0x23, 0x45, 0, 4, 17, 64]);
        bytes[23] = 1;
        bytes[24..26].copy_from_slice(&[0xff, 0x02]);
        bytes[40..].copy_from_slice(b"data");
        bytes
    }

    #[test]
    fn fields() {
        let bytes = packet();
        let ip = Ipv6::parse(&bytes).unwrap();
        assert_eq!((ip.traffic_class(), ip.flow_label()), (0xab, 0x12345));
        assert_eq!((ip.next_header(), ip.hop_limit(), ip.payload_len()), (17, 64, 4));
        assert_eq!(ip.source(), Ipv6Addr::LOCALHOST);
        assert_eq!(ip.destination().to_string(), "ff02::");
        assert_eq!(ip.payload(), b"data");
    }

    #[test]
    fn lengths() {
        let mut bytes = packet();
        bytes[5] = 2;
        assert_eq!(Ipv6::parse(&bytes).unwrap().payload(), b"da");
        bytes[5] = 0;
        assert_eq!(Ipv6::parse(&bytes).unwrap().payload(), b"data");
        bytes[6] = 59;
        assert_eq!(Ipv6::parse(&bytes).unwrap().payload(), b"");
        bytes[5] = 9;
        let cut = Ipv6::parse(&bytes).unwrap();
        assert_eq!((cut.payload(), cut.payload_len()), (&b"data"[..], 9));
    }

    #[test]
    fn malformed() {
        let mut bytes = packet();
        assert_eq!(Ipv6::parse(&bytes[..39]), Err(Reason::TruncatedIpv6));
        bytes[0] = 0x45;
        assert_eq!(Ipv6::parse(&bytes), Err(Reason::Ipv6BadVersion));
    }
}
