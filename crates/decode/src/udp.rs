//! UDP (RFC 768).

use crate::checksum::Sum;
use crate::read::{at_most, be16};
use tickwire_frame::Reason;

/// A UDP header and its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp<'a> {
    header: &'a [u8; Udp::LEN],
    payload: &'a [u8],
}

impl<'a> Udp<'a> {
    /// Bytes of the header.
    pub const LEN: usize = 8;

    /// Needs 8 bytes and a length of at least 8. The payload ends where the length says or, when
    /// the capture cut it, before: compare with [`payload_len`](Self::payload_len).
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Reason> {
        let (header, payload) = bytes.split_first_chunk().ok_or(Reason::TruncatedUdp)?;
        let udp = Udp { header, payload };
        match udp.payload_len() {
            None => Err(Reason::UdpBadLength),
            Some(len) => Ok(Udp { payload: at_most(payload, len), ..udp }),
        }
    }

    /// Source port.
    #[inline]
    pub fn source_port(&self) -> u16 {
        be16(self.header, 0)
    }

    /// Destination port.
    #[inline]
    pub fn destination_port(&self) -> u16 {
        be16(self.header, 2)
    }

    /// The length field: header and payload on the wire; 0 in a jumbogram (RFC 2675) and in a
    /// packet that the network card will still cut into datagrams.
    #[inline]
    pub fn length(&self) -> u16 {
        be16(self.header, 4)
    }

    /// Length of the payload on the wire; with a length of 0 it is all that is there. `None` when
    /// the length is below that of the header, which [`parse`](Self::parse) refuses.
    #[inline]
    pub fn payload_len(&self) -> Option<usize> {
        match usize::from(self.length()) {
            0 => Some(self.payload.len()),
            len => len.checked_sub(Self::LEN),
        }
    }

    /// The checksum; 0 means that there is none, which IPv6 allows only in tunnels (RFC 6935).
    pub fn checksum(&self) -> u16 {
        be16(self.header, 6)
    }

    /// Whether the checksum is right, given the sum of the pseudo header
    /// ([`pseudo_ipv4`](crate::checksum::pseudo_ipv4)). All of the payload must be there.
    pub fn checksum_is_valid(&self, pseudo: Sum) -> bool {
        pseudo.over(self.header).over(self.payload).is_valid()
    }

    /// The captured bytes of the payload.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::pseudo_ipv4;

    #[test]
    fn fields_and_padding() {
        let udp = Udp::parse(b"\x12\x34\0\x35\0\x0a\0\0datatrailer").unwrap();
        assert_eq!((udp.source_port(), udp.destination_port()), (0x1234, 53));
        assert_eq!((udp.payload(), udp.payload_len()), (&b"da"[..], Some(2)));
        let jumbo = Udp::parse(b"\x12\x34\0\x35\0\0\0\0data").unwrap();
        assert_eq!(jumbo.payload(), b"data");
    }

    #[test]
    fn malformed() {
        assert_eq!(Udp::parse(&[0; 7]), Err(Reason::TruncatedUdp));
        assert_eq!(Udp::parse(b"\0\x01\0\x02\0\x07\0\0"), Err(Reason::UdpBadLength));
        assert!(Udp::parse(b"\0\x01\0\x02\0\x08\0\0").is_ok());
    }

    #[test]
    fn checksum() {
        let mut bytes = *b"\x12\x34\0\x35\0\x0c\0\0data";
        let pseudo = pseudo_ipv4(&[10, 0, 0, 1, 10, 0, 0, 2], 17, 12);
        let sum = pseudo.over(&bytes).finish();
        bytes[6..8].copy_from_slice(&sum.to_be_bytes());
        assert!(Udp::parse(&bytes).unwrap().checksum_is_valid(pseudo));
        bytes[11] ^= 1;
        assert!(!Udp::parse(&bytes).unwrap().checksum_is_valid(pseudo));
    }
}
