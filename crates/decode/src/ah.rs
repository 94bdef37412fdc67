//! IP Authentication Header (RFC 4302) behind an IPv4 header. Behind IPv6 it is one of the
//! [extension headers](crate::Ipv6Extensions).

use crate::read::be32;
use tickwire_frame::Reason;

/// An authentication header and what it protects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ah<'a> {
    header: &'a [u8; Ah::LEN],
    icv: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Ah<'a> {
    /// Bytes of the header without the integrity check value.
    pub const LEN: usize = 12;

    /// Needs the fixed part, which the length must count, and the integrity check value.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Reason> {
        let (header, rest) = bytes.split_first_chunk::<{ Ah::LEN }>().ok_or(Reason::TruncatedAh)?;
        // RFC 4302, 2.2: the header's length in units of 4 bytes, minus 2.
        let len = (usize::from(header[1]) + 2) * 4;
        let icv_len = len.checked_sub(Self::LEN).ok_or(Reason::AhBadLength)?;
        let (icv, payload) = rest.split_at_checked(icv_len).ok_or(Reason::TruncatedAh)?;
        Ok(Ah { header, icv, payload })
    }

    /// Bytes of the header with the integrity check value.
    pub fn header_len(&self) -> usize {
        Self::LEN + self.icv.len()
    }

    /// The protocol of the payload (IANA protocol numbers).
    pub fn protocol(&self) -> u8 {
        self.header[0]
    }

    /// Security parameters index.
    pub fn spi(&self) -> u32 {
        be32(self.header, 4)
    }

    /// Sequence number.
    pub fn sequence(&self) -> u32 {
        be32(self.header, 8)
    }

    /// The integrity check value with its padding.
    pub fn icv(&self) -> &'a [u8] {
        self.icv
    }

    /// What it protects.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8; 22] = b"\x11\x03\0\0\0\0\x01\0\0\0\0\x07icv_icv_da";

    #[test]
    fn fields() {
        let ah = Ah::parse(HEADER).unwrap();
        assert_eq!((ah.protocol(), ah.spi(), ah.sequence()), (17, 0x100, 7));
        assert_eq!((ah.header_len(), ah.icv(), ah.payload()), (20, &b"icv_icv_"[..], &b"da"[..]));
    }

    #[test]
    fn malformed() {
        let with_length = |length| {
            let mut bytes = *HEADER;
            bytes[1] = length;
            Ah::parse(&bytes).map(|ah| ah.header_len())
        };
        assert_eq!(Ah::parse(&HEADER[..11]), Err(Reason::TruncatedAh));
        assert_eq!(Ah::parse(&HEADER[..19]), Err(Reason::TruncatedAh));
        assert_eq!(with_length(0), Err(Reason::AhBadLength));
        assert_eq!(with_length(1), Ok(12));
        assert_eq!(with_length(255), Err(Reason::TruncatedAh));
    }
}
