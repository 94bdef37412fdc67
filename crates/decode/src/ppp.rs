//! PPP (RFC 1661), with or without HDLC-like framing (RFC 1662).

use crate::read::be16;
use tickwire_frame::Reason;

/// PPP protocol numbers (IANA) that we decode or name.
pub mod protocol {
    /// IPv4.
    pub const IPV4: u16 = 0x0021;
    /// IPv6.
    pub const IPV6: u16 = 0x0057;
    /// MPLS, unicast.
    pub const MPLS: u16 = 0x0281;
    /// IP control protocol.
    pub const IPCP: u16 = 0x8021;
    /// IPv6 control protocol.
    pub const IPV6CP: u16 = 0x8057;
    /// Link control protocol.
    pub const LCP: u16 = 0xc021;
    /// Password authentication protocol.
    pub const PAP: u16 = 0xc023;
    /// Challenge handshake authentication protocol.
    pub const CHAP: u16 = 0xc223;
}

/// What follows a PPP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PppNext {
    /// A PPP protocol number.
    Protocol(u16),
    /// An EtherType: Cisco's HDLC has one where PPP has its protocol.
    EtherType(u16),
}

/// A PPP header and what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ppp<'a> {
    header_len: u8,
    next: PppNext,
    payload: &'a [u8],
}

impl<'a> Ppp<'a> {
    /// Needs the protocol field: one byte when it is compressed, else two, after the address and
    /// control bytes `ff 03` where there are any.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Reason> {
        // Cisco HDLC: unicast or multicast address, control 0, EtherType.
        if let Some((&[0x0f | 0x8f, 0, high, low], payload)) = bytes.split_first_chunk() {
            let next = PppNext::EtherType(u16::from_be_bytes([high, low]));
            return Ok(Ppp { header_len: 4, next, payload });
        }
        let rest = bytes.strip_prefix(b"\xff\x03").unwrap_or(bytes);
        let framing = bytes.len() - rest.len();
        let first = *rest.first().ok_or(Reason::TruncatedPpp)?;
        // The lowest bit of the last byte of a protocol number is always 1.
        let (protocol, len) = if first & 1 == 1 {
            (u16::from(first), 1)
        } else {
            let field = rest.first_chunk::<2>().ok_or(Reason::TruncatedPpp)?;
            (be16(field, 0), 2)
        };
        let next = PppNext::Protocol(protocol);
        Ok(Ppp { header_len: (framing + len) as u8, next, payload: &rest[len..] })
    }

    /// Bytes of the header: 1 to 4.
    pub fn header_len(&self) -> usize {
        self.header_len.into()
    }

    /// What follows.
    pub fn next(&self) -> PppNext {
        self.next
    }

    /// The bytes that follow.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_and_without_framing_and_compression() {
        for (bytes, len) in [
            (&b"\xff\x03\x00\x21\x45"[..], 4),
            (b"\x00\x21\x45", 2),
            (b"\x21\x45", 1),
            (b"\xff\x03\x21\x45", 3),
        ] {
            let ppp = Ppp::parse(bytes).unwrap();
            assert_eq!(ppp.next(), PppNext::Protocol(protocol::IPV4));
            assert_eq!((ppp.header_len(), ppp.payload()), (len, &b"\x45"[..]));
        }
    }

    #[test]
    fn cisco_hdlc() {
        let hdlc = Ppp::parse(b"\x0f\x00\x08\x00\x45").unwrap();
        assert_eq!((hdlc.next(), hdlc.header_len()), (PppNext::EtherType(0x0800), 4));
    }

    #[test]
    fn truncated() {
        for bytes in [&b""[..], b"\xff\x03", b"\xff\x03\x00", b"\x00"] {
            assert_eq!(Ppp::parse(bytes), Err(Reason::TruncatedPpp));
        }
    }
}
