//! PPP over Ethernet: discovery and session (RFC 2516).

use crate::read::{at_most, be16};
use tickwire_frame::Reason;

/// A PPPoE header and its payload: tags in discovery, a PPP packet in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pppoe<'a> {
    header: &'a [u8; Pppoe::LEN],
    payload: &'a [u8],
}

impl<'a> Pppoe<'a> {
    /// Bytes of the header.
    pub const LEN: usize = 6;

    /// Needs 6 bytes and version 1, type 1. The payload may be shorter than
    /// [`length`](Self::length) when the capture cut it.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Reason> {
        let (header, payload) = bytes.split_first_chunk().ok_or(Reason::TruncatedPppoe)?;
        if header[0] != 0x11 {
            return Err(Reason::PppoeBadVersion);
        }
        let payload = at_most(payload, be16(header, 4).into());
        Ok(Pppoe { header, payload })
    }

    /// The code: 0 in a session, else the discovery packet.
    pub fn code(&self) -> u8 {
        self.header[1]
    }

    /// The name of the code (RFC 2516, section 5), if it has one.
    pub fn code_name(&self) -> Option<&'static str> {
        Some(match self.code() {
            0x00 => "session",
            0x07 => "PADO",
            0x09 => "PADI",
            0x19 => "PADR",
            0x65 => "PADS",
            0xa7 => "PADT",
            _ => return None,
        })
    }

    /// The session identifier.
    pub fn session(&self) -> u16 {
        be16(self.header, 2)
    }

    /// Length of the payload on the wire, in bytes.
    pub fn length(&self) -> u16 {
        be16(self.header, 4)
    }

    /// The payload, without Ethernet padding.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The tags of a discovery packet.
    pub fn tags(&self) -> Tags<'a> {
        Tags { rest: self.payload }
    }
}

/// Tags of a discovery packet: type and value. Ends at the End-Of-List tag, at the end, or with
/// [`Reason::PppoeBadTag`].
#[derive(Clone, Debug)]
pub struct Tags<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Tags<'a> {
    type Item = Result<(u16, &'a [u8]), Reason>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let rest = std::mem::take(&mut self.rest);
        let Some((head, rest)) = rest.split_first_chunk::<4>() else {
            return Some(Err(Reason::PppoeBadTag));
        };
        let kind = be16(head, 0);
        if kind == 0 {
            return None;
        }
        let Some((value, rest)) = rest.split_at_checked(be16(head, 2).into()) else {
            return Some(Err(Reason::PppoeBadTag));
        };
        self.rest = rest;
        Some(Ok((kind, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn discovery_with_tags() {
        let bytes = b"\x11\x09\0\0\0\x0c\x01\x01\0\0\x01\x03\0\x04abcdpadding";
        let padi = Pppoe::parse(bytes).unwrap();
        assert_eq!((padi.code_name(), padi.session(), padi.length()), (Some("PADI"), 0, 12));
        let tags: Result<Vec<_>, _> = padi.tags().collect();
        assert_eq!(tags.unwrap(), [(0x0101, &b""[..]), (0x0103, b"abcd")]);
    }

    #[test]
    fn malformed() {
        assert_eq!(Pppoe::parse(&[0x11; 5]), Err(Reason::TruncatedPppoe));
        assert_eq!(Pppoe::parse(&[0x21; 6]), Err(Reason::PppoeBadVersion));
        let long_tag = Pppoe::parse(b"\x11\x09\0\0\0\x05\x01\x03\0\x02a").unwrap();
        assert_eq!(long_tag.tags().collect::<Vec<_>>(), [Err(Reason::PppoeBadTag)]);
        let short_tag = Pppoe::parse(b"\x11\x09\0\0\0\x03\x01\x03\0").unwrap();
        assert_eq!(short_tag.tags().collect::<Vec<_>>(), [Err(Reason::PppoeBadTag)]);
    }

    #[test]
    fn an_end_of_list_tag_ends_the_list() {
        let bytes = b"\x11\x09\0\0\0\x08\0\0\0\0\x01\x03\0\xff";
        assert_eq!(Pppoe::parse(bytes).unwrap().tags().count(), 0);
    }
}
