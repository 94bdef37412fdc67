//! ICMPv6 (RFC 4443) with neighbour discovery (RFC 4861) and multicast listeners (RFC 3810).

use crate::checksum::Sum;
use crate::read::{array, be16, be32, get16, get32};
use std::net::Ipv6Addr;
use tickwire_frame::Reason;

/// ICMPv6 types (IANA).
pub mod icmpv6_type {
    /// Destination unreachable.
    pub const UNREACHABLE: u8 = 1;
    /// Packet too big.
    pub const TOO_BIG: u8 = 2;
    /// Time exceeded.
    pub const TIME_EXCEEDED: u8 = 3;
    /// Parameter problem.
    pub const PARAMETER_PROBLEM: u8 = 4;
    /// Echo request.
    pub const ECHO_REQUEST: u8 = 128;
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 129;
    /// Multicast listener query.
    pub const LISTENER_QUERY: u8 = 130;
    /// Multicast listener report, version 1.
    pub const LISTENER_REPORT: u8 = 131;
    /// Multicast listener done.
    pub const LISTENER_DONE: u8 = 132;
    /// Router solicitation.
    pub const ROUTER_SOLICITATION: u8 = 133;
    /// Router advertisement.
    pub const ROUTER_ADVERTISEMENT: u8 = 134;
    /// Neighbour solicitation.
    pub const NEIGHBOUR_SOLICITATION: u8 = 135;
    /// Neighbour advertisement.
    pub const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
    /// Redirect.
    pub const REDIRECT: u8 = 137;
    /// Multicast listener report, version 2.
    pub const LISTENER_REPORT_V2: u8 = 143;
}

use icmpv6_type as kind;

/// An ICMPv6 message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icmpv6<'a> {
    header: &'a [u8; Icmpv6::LEN],
    body: &'a [u8],
}

impl<'a> Icmpv6<'a> {
    /// Bytes of the header.
    pub const LEN: usize = 4;

    /// Needs the header and the fixed part of its type.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Reason> {
        let (header, body) =
            bytes.split_first_chunk::<{ Icmpv6::LEN }>().ok_or(Reason::TruncatedIcmpv6)?;
        let message = Icmpv6 { header, body };
        if body.len() < message.fixed_len() {
            return Err(Reason::TruncatedIcmpv6);
        }
        Ok(message)
    }

    /// Bytes of the fixed part after the header.
    fn fixed_len(&self) -> usize {
        match self.kind() {
            kind::LISTENER_QUERY..=kind::LISTENER_DONE => 20,
            kind::NEIGHBOUR_SOLICITATION | kind::NEIGHBOUR_ADVERTISEMENT => 20,
            kind::ROUTER_ADVERTISEMENT => 12,
            kind::REDIRECT => 36,
            kind::UNREACHABLE..=kind::PARAMETER_PROBLEM
            | kind::ECHO_REQUEST
            | kind::ECHO_REPLY
            | kind::ROUTER_SOLICITATION
            | kind::LISTENER_REPORT_V2 => 4,
            _ => 0,
        }
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

    /// Whether the checksum is right, given the sum of the pseudo header
    /// ([`pseudo_ipv6`](crate::checksum::pseudo_ipv6)). All of the message must be there.
    pub fn checksum_is_valid(&self, pseudo: Sum) -> bool {
        pseudo.over(self.header).over(self.body).is_valid()
    }

    /// Identifier and sequence number of an echo request or reply.
    pub fn echo(&self) -> Option<(u16, u16)> {
        matches!(self.kind(), kind::ECHO_REQUEST | kind::ECHO_REPLY)
            .then(|| get16(self.body, 0).zip(get16(self.body, 2)))?
    }

    /// The greatest packet that fits, of Packet Too Big, in bytes.
    pub fn mtu(&self) -> Option<u32> {
        (self.kind() == kind::TOO_BIG).then(|| get32(self.body, 0))?
    }

    /// The target of neighbour discovery, or the group of a multicast listener message.
    pub fn target(&self) -> Option<Ipv6Addr> {
        let has_target = matches!(
            self.kind(),
            kind::LISTENER_QUERY..=kind::LISTENER_DONE
                | kind::NEIGHBOUR_SOLICITATION..=kind::REDIRECT
        );
        let fixed = self.body.first_chunk::<20>().filter(|_| has_target)?;
        Some(array::<20, 16>(fixed, 4).into())
    }

    /// The neighbour discovery options.
    pub fn options(&self) -> NdOptions<'a> {
        let has_options = matches!(self.kind(), kind::ROUTER_SOLICITATION..=kind::REDIRECT);
        let rest = self.body.get(self.fixed_len()..).filter(|_| has_options);
        NdOptions { rest: rest.unwrap_or(&[]) }
    }

    /// The packet that an error message is about, as much of it as the message quotes.
    pub fn quoted(&self) -> Option<&'a [u8]> {
        self.body.get(4..).filter(|_| matches!(self.kind(), 1..=4))
    }

    /// How many groups a version 2 listener report names.
    pub fn record_count(&self) -> Option<u16> {
        let fixed = self.body.first_chunk::<4>()?;
        (self.kind() == kind::LISTENER_REPORT_V2).then(|| be32(fixed, 0) as u16)
    }

    /// The captured bytes after the header.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }
}

/// Neighbour discovery options: type and data (RFC 4861, 4.6). Ends at the end of the message or
/// with [`Reason::Icmpv6BadOption`] or [`Reason::TruncatedIcmpv6`].
#[derive(Clone, Debug)]
pub struct NdOptions<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for NdOptions<'a> {
    type Item = Result<(u8, &'a [u8]), Reason>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = std::mem::take(&mut self.rest);
        match *rest {
            [] => None,
            [_, 0, ..] => Some(Err(Reason::Icmpv6BadOption)),
            [kind, units, ..] if rest.len() >= usize::from(units) * 8 => {
                let (option, rest) = rest.split_at(usize::from(units) * 8);
                self.rest = rest;
                Some(Ok((kind, &option[2..])))
            }
            _ => Some(Err(Reason::TruncatedIcmpv6)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn solicitation() -> Vec<u8> {
        let mut bytes = b"\x87\0\0\0\0\0\0\0".to_vec();
        bytes.extend(Ipv6Addr::LOCALHOST.octets());
        bytes.extend(b"\x01\x01\x02\0\0\0\0\x01");
        bytes
    }

    #[test]
    fn neighbour_solicitation() {
        let bytes = solicitation();
        let message = Icmpv6::parse(&bytes).unwrap();
        assert_eq!(message.target(), Some(Ipv6Addr::LOCALHOST));
        let options: Result<Vec<_>, _> = message.options().collect();
        assert_eq!(options.unwrap(), [(1, &[2, 0, 0, 0, 0, 1][..])]);
    }

    #[test]
    fn echo_mtu_and_quote() {
        let echo = Icmpv6::parse(b"\x80\0\0\0\0\x01\0\x02").unwrap();
        assert_eq!((echo.echo(), echo.target(), echo.mtu()), (Some((1, 2)), None, None));
        let big = Icmpv6::parse(b"\x02\0\0\0\0\0\x05\0quote").unwrap();
        assert_eq!((big.mtu(), big.quoted()), (Some(1280), Some(&b"quote"[..])));
        let report = Icmpv6::parse(b"\x8f\0\0\0\0\0\0\x02").unwrap();
        assert_eq!(report.record_count(), Some(2));
    }

    #[test]
    fn malformed() {
        assert_eq!(Icmpv6::parse(&[200; 3]), Err(Reason::TruncatedIcmpv6));
        assert_eq!(Icmpv6::parse(&solicitation()[..23]), Err(Reason::TruncatedIcmpv6));
        for (units, len, reason) in [
            (0, 32, Reason::Icmpv6BadOption),
            (1, 31, Reason::TruncatedIcmpv6),
            (2, 32, Reason::TruncatedIcmpv6),
        ] {
            let mut bytes = solicitation();
            bytes[25] = units;
            let message = Icmpv6::parse(&bytes[..len]).unwrap();
            let options: Vec<_> = message.options().collect();
            assert_eq!(options, [Err(reason)]);
        }
    }
}
