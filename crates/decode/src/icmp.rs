//! ICMP (RFC 792).

use crate::checksum::Sum;
use crate::read::{be16, be32};
use tickwire_frame::Reason;

/// An ICMP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icmp<'a> {
    header: &'a [u8; Icmp::LEN],
    payload: &'a [u8],
}

impl<'a> Icmp<'a> {
    /// Bytes of the header: every message has as many.
    pub const LEN: usize = 8;

    /// Needs 8 bytes.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Reason> {
        let (header, payload) = bytes.split_first_chunk().ok_or(Reason::TruncatedIcmp)?;
        Ok(Icmp { header, payload })
    }

    /// The type.
    pub fn kind(&self) -> u8 {
        self.header[0]
    }

    /// The code.
    pub fn code(&self) -> u8 {
        self.header[1]
    }

    /// The checksum.
    pub fn checksum(&self) -> u16 {
        be16(self.header, 2)
    }

    /// Whether the checksum is right. All of the message must be there.
    pub fn checksum_is_valid(&self) -> bool {
        Sum::default().over(self.header).over(self.payload).is_valid()
    }

    /// The last four bytes of the header, whose meaning depends on the type.
    pub fn rest_of_header(&self) -> u32 {
        be32(self.header, 4)
    }

    /// Identifier and sequence number of an echo request or reply, a timestamp or an address mask
    /// message.
    pub fn echo(&self) -> Option<(u16, u16)> {
        matches!(self.kind(), 0 | 8 | 13..=18).then(|| (be16(self.header, 4), be16(self.header, 6)))
    }

    /// The packet that an error message is about, as much of it as the message quotes.
    pub fn quoted(&self) -> Option<&'a [u8]> {
        matches!(self.kind(), 3 | 4 | 5 | 11 | 12).then_some(self.payload)
    }

    /// The captured bytes after the header.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn echo_and_error() {
        let mut bytes = *b"\x08\0\0\0\0\x07\0\x02data";
        let sum = crate::checksum::internet(&bytes);
        bytes[2..4].copy_from_slice(&sum.to_be_bytes());
        let echo = Icmp::parse(&bytes).unwrap();
        assert_eq!((echo.kind(), echo.code(), echo.echo()), (8, 0, Some((7, 2))));
        assert!(echo.checksum_is_valid() && echo.quoted().is_none());
        bytes[0] = 3;
        let error = Icmp::parse(&bytes).unwrap();
        assert_eq!((error.echo(), error.quoted()), (None, Some(&b"data"[..])));
        assert!(!error.checksum_is_valid());
    }

    #[test]
    fn needs_8_bytes() {
        assert_eq!(Icmp::parse(&[0; 7]), Err(Reason::TruncatedIcmp));
    }
}
