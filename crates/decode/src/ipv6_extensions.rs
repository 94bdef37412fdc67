//! IPv6 extension headers (RFC 8200, section 4; the list is IANA's).

use crate::protocol::ip;
use crate::read::{be16, be32};
use tickwire_frame::Reason;

/// The most extension headers of one packet that we follow.
pub const IPV6_EXTENSIONS_MAX: usize = 16;

/// The chain of extension headers of one packet, and what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Extensions<'a> {
    first: u8,
    bytes: &'a [u8],
    protocol: u8,
    fragment: Option<Ipv6Fragment>,
    payload: &'a [u8],
}

/// A fragment header (RFC 8200, section 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Fragment {
    /// Where this fragment begins in the fragmentable part, in bytes.
    pub offset: u16,
    /// More fragments follow.
    pub more: bool,
    /// Identification of the packet that the fragments belong to.
    pub id: u32,
}

impl Ipv6Fragment {
    /// Whether the packet is in several pieces: a fragment header on a whole packet ("atomic
    /// fragment", RFC 6946) says no.
    pub fn is_fragment(&self) -> bool {
        self.more || self.offset != 0
    }
}

/// Whether `next_header` is an extension header that we can walk over.
#[inline]
pub const fn is_extension(next_header: u8) -> bool {
    matches!(
        next_header,
        ip::HOP_BY_HOP
            | ip::ROUTING
            | ip::FRAGMENT
            | ip::AUTHENTICATION
            | ip::DESTINATION_OPTIONS
            | ip::MOBILITY
            | ip::HIP
            | ip::SHIM6
    )
}

/// Length in bytes of the header of `kind` that `bytes` begin with.
fn extension_len(kind: u8, bytes: &[u8]) -> Option<usize> {
    let units = usize::from(*bytes.get(1)?);
    let len = match kind {
        ip::FRAGMENT => 8,
        // RFC 4302, 2.2: in units of 4 bytes, minus 2.
        ip::AUTHENTICATION => (units + 2) * 4,
        _ => (units + 1) * 8,
    };
    (len <= bytes.len()).then_some(len)
}

impl<'a> Ipv6Extensions<'a> {
    /// Walks from the `payload` of an IPv6 header whose next header is `first`. An empty chain is
    /// fine. Stops after a fragment header that is not the first fragment's: what follows it is the
    /// middle of something.
    pub fn parse(first: u8, payload: &'a [u8]) -> Result<Self, Reason> {
        let mut kind = first;
        let mut at = 0;
        let mut fragment = None;
        for count in 0.. {
            if !is_extension(kind) {
                break;
            }
            if count == IPV6_EXTENSIONS_MAX {
                return Err(Reason::Ipv6TooManyExtensions);
            }
            let rest = &payload[at..];
            let len = extension_len(kind, rest).ok_or(Reason::TruncatedIpv6Extension)?;
            if let (ip::FRAGMENT, Some(header)) = (kind, rest.first_chunk::<8>()) {
                let found = fragment_header(header);
                fragment = Some(found);
                (kind, at) = (rest[0], at + len);
                if found.offset != 0 {
                    break;
                }
                continue;
            }
            (kind, at) = (rest[0], at + len);
        }
        let (bytes, payload) = payload.split_at(at);
        Ok(Ipv6Extensions { first, bytes, protocol: kind, fragment, payload })
    }

    /// Bytes of all the headers.
    pub fn header_len(&self) -> usize {
        self.bytes.len()
    }

    /// The protocol of the payload (IANA protocol numbers).
    pub fn protocol(&self) -> u8 {
        self.protocol
    }

    /// The last fragment header.
    pub fn fragment(&self) -> Option<Ipv6Fragment> {
        self.fragment
    }

    /// The headers: kind and bytes of each.
    pub fn headers(&self) -> impl Iterator<Item = (u8, &'a [u8])> + 'a {
        let (mut kind, mut rest) = (self.first, self.bytes);
        std::iter::from_fn(move || {
            let (header, after) = rest.split_at_checked(extension_len(kind, rest)?)?;
            let this = kind;
            (kind, rest) = (header[0], after);
            Some((this, header))
        })
    }

    /// What follows.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

fn fragment_header(header: &[u8; 8]) -> Ipv6Fragment {
    let field = be16(header, 2);
    Ipv6Fragment { offset: field & 0xfff8, more: field & 1 == 1, id: be32(header, 4) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hop_by_hop_then_destination_options() {
        let bytes = b"\x3c\0\x05\x02\0\0\x01\0\x11\x01ffffffffffffffdata";
        let chain = Ipv6Extensions::parse(0, bytes).unwrap();
        assert_eq!((chain.protocol(), chain.header_len()), (17, 24));
        assert_eq!(chain.payload(), b"data");
        let lens: Vec<_> = chain.headers().map(|(kind, header)| (kind, header.len())).collect();
        assert_eq!(lens, [(0, 8), (60, 16)]);
    }

    #[test]
    fn an_empty_chain() {
        let chain = Ipv6Extensions::parse(6, b"tcp").unwrap();
        assert_eq!((chain.protocol(), chain.header_len(), chain.payload()), (6, 0, &b"tcp"[..]));
        assert_eq!(chain.headers().count(), 0);
    }

    #[test]
    fn fragments_stop_the_walk_unless_first() {
        let later = b"\0\0\x05\xa9\0\0\0\x07\x3b\0......";
        let chain = Ipv6Extensions::parse(44, later).unwrap();
        let fragment = chain.fragment().unwrap();
        assert_eq!((fragment.offset, fragment.more, fragment.id), (1448, true, 7));
        assert_eq!((chain.protocol(), chain.header_len()), (0, 8));
        let atomic = Ipv6Extensions::parse(44, b"\x11\0\0\0\0\0\0\x07data").unwrap();
        assert!(!atomic.fragment().unwrap().is_fragment());
    }

    #[test]
    fn authentication_counts_in_words() {
        let chain = Ipv6Extensions::parse(51, b"\x06\x01..........data").unwrap();
        assert_eq!((chain.header_len(), chain.protocol()), (12, 6));
    }

    #[test]
    fn malformed() {
        let truncated = Err(Reason::TruncatedIpv6Extension);
        for bytes in [&b""[..], b"\x3b", b"\x3b\0......"[..7].as_ref(), b"\x3b\x01......"] {
            assert_eq!(Ipv6Extensions::parse(0, bytes), truncated);
        }
        let loop_of_options = [60, 0, 0, 0, 0, 0, 0, 0].repeat(IPV6_EXTENSIONS_MAX + 1);
        assert_eq!(Ipv6Extensions::parse(60, &loop_of_options), Err(Reason::Ipv6TooManyExtensions));
    }
}
