//! GRE (RFC 2784, RFC 2890), with the routing field of RFC 1701 and version 1 of PPTP (RFC 2637).

use crate::read::{be16, get16, get32};
use tickwire_frame::Reason;

/// The most source route entries (RFC 1701) that we follow.
const ROUTES_MAX: usize = 16;

/// A GRE header and what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gre<'a> {
    header: &'a [u8; Gre::LEN],
    optional: &'a [u8],
    payload: &'a [u8],
}

const CHECKSUM: u16 = 0x8000;
const ROUTING: u16 = 0x4000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
const ACKNOWLEDGMENT: u16 = 0x0080;

impl<'a> Gre<'a> {
    /// Bytes of the header without optional fields.
    pub const LEN: usize = 4;

    /// Needs version 0 or 1 and all the fields that its flags announce.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Reason> {
        let (header, rest) =
            bytes.split_first_chunk::<{ Gre::LEN }>().ok_or(Reason::TruncatedGre)?;
        let mut gre = Gre { header, optional: &[], payload: rest };
        if gre.version() > 1 {
            return Err(Reason::GreBadVersion);
        }
        let mut optional_len = gre.sequence_at() + 4 * usize::from(gre.has(SEQUENCE));
        if gre.version() == 1 {
            optional_len += 4 * usize::from(gre.has(ACKNOWLEDGMENT));
        } else if gre.has(ROUTING) {
            optional_len = routes_end(rest, optional_len).ok_or(Reason::TruncatedGre)?;
        }
        (gre.optional, gre.payload) =
            rest.split_at_checked(optional_len).ok_or(Reason::TruncatedGre)?;
        Ok(gre)
    }

    fn has(&self, flag: u16) -> bool {
        be16(self.header, 0) & flag != 0
    }

    /// Where the key stands in the optional fields: after checksum and offset.
    fn key_at(&self) -> usize {
        4 * usize::from(self.version() == 0 && self.has(CHECKSUM | ROUTING))
    }

    fn sequence_at(&self) -> usize {
        self.key_at() + 4 * usize::from(self.has(KEY))
    }

    /// Bytes of the header with optional fields.
    pub fn header_len(&self) -> usize {
        Self::LEN + self.optional.len()
    }

    /// 0, or 1 for PPTP.
    pub fn version(&self) -> u8 {
        self.header[1] & 7
    }

    /// The EtherType of what follows.
    pub fn protocol(&self) -> u16 {
        be16(self.header, 2)
    }

    /// The checksum over header and payload, if there is one.
    pub fn checksum(&self) -> Option<u16> {
        (self.version() == 0 && self.has(CHECKSUM)).then(|| get16(self.optional, 0))?
    }

    /// The key (RFC 2890); in version 1 the payload length and the call.
    pub fn key(&self) -> Option<u32> {
        self.has(KEY).then(|| get32(self.optional, self.key_at()))?
    }

    /// The sequence number (RFC 2890).
    pub fn sequence(&self) -> Option<u32> {
        self.has(SEQUENCE).then(|| get32(self.optional, self.sequence_at()))?
    }

    /// What follows.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// Where the source routes that begin at `at` end: after an entry of family 0 and length 0.
fn routes_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    for _ in 0..ROUTES_MAX {
        let entry = bytes.get(at..)?.first_chunk::<4>()?;
        at += 4 + usize::from(entry[3]);
        if be16(entry, 0) == 0 && entry[3] == 0 {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_and_with_every_field() {
        let plain = Gre::parse(b"\0\0\x08\0!").unwrap();
        assert_eq!((plain.protocol(), plain.key(), plain.sequence()), (0x0800, None, None));
        assert_eq!((plain.checksum(), plain.payload()), (None, &b"!"[..]));
        let full = Gre::parse(b"\xb0\0\x65\x58\x12\x34\0\0\0\0\0\x05\0\0\0\x06!").unwrap();
        assert_eq!(
            (full.checksum(), full.key(), full.sequence()),
            (Some(0x1234), Some(5), Some(6))
        );
        assert_eq!((full.header_len(), full.payload()), (16, &b"!"[..]));
    }

    #[test]
    fn pptp() {
        let pptp = Gre::parse(b"\x30\x81\x88\x0b\0\x01\0\x02\0\0\0\x03\0\0\0\x04!").unwrap();
        assert_eq!((pptp.version(), pptp.key(), pptp.sequence()), (1, Some(0x1_0002), Some(3)));
        assert_eq!(pptp.payload(), b"!");
    }

    #[test]
    fn source_routes_are_walked_over() {
        let gre = Gre::parse(b"\x40\0\x08\0\0\0\0\0\x08\0\0\x04abcd\0\0\0\0!").unwrap();
        assert_eq!((gre.header_len(), gre.payload()), (20, &b"!"[..]));
        let endless = [&b"\x40\0\x08\0\0\0\0\0"[..], &[8, 0, 0, 0].repeat(100)].concat();
        assert_eq!(Gre::parse(&endless), Err(Reason::TruncatedGre));
    }

    #[test]
    fn malformed() {
        assert_eq!(Gre::parse(&[0; 3]), Err(Reason::TruncatedGre));
        assert_eq!(Gre::parse(b"\x20\0\x08\0\0\0\0"), Err(Reason::TruncatedGre));
        assert_eq!(Gre::parse(b"\0\x02\x08\0"), Err(Reason::GreBadVersion));
    }
}
