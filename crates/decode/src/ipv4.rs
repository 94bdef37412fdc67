//! IPv4 with options and fragments (RFC 791).

use crate::checksum::Sum;
use crate::read::{array, at_most, be16};
use std::net::Ipv4Addr;
use tickwire_frame::Reason;

/// The greatest length of a whole IPv4 packet, in bytes.
const TOTAL_LEN_MAX: usize = 65_535;

/// An IPv4 header, its options, and its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4<'a> {
    header: &'a [u8; Ipv4::LEN],
    options: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Ipv4<'a> {
    /// Bytes of the header without options.
    pub const LEN: usize = 20;

    /// Needs a whole header with a sane length. The payload ends where the total length says or,
    /// when the capture cut it, before: compare with [`payload_len`](Self::payload_len).
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Reason> {
        let (header, rest) =
            bytes.split_first_chunk::<{ Ipv4::LEN }>().ok_or(Reason::TruncatedIpv4)?;
        if header[0] >> 4 != 4 {
            return Err(Reason::Ipv4BadVersion);
        }
        let options_len = (usize::from(header[0] & 15) * 4)
            .checked_sub(Self::LEN)
            .ok_or(Reason::Ipv4BadHeaderLength)?;
        let (options, payload) = rest.split_at_checked(options_len).ok_or(Reason::TruncatedIpv4)?;
        let ip = Ipv4 { header, options, payload };
        match ip.payload_len() {
            None => Err(Reason::Ipv4BadTotalLength),
            Some(len) => Ok(Ipv4 { payload: at_most(payload, len), ..ip }),
        }
    }

    /// Bytes of the header with options: 20 to 60.
    #[inline]
    pub fn header_len(&self) -> usize {
        Self::LEN + self.options.len()
    }

    /// Differentiated services code point, 6 bits (RFC 2474).
    pub fn dscp(&self) -> u8 {
        self.header[1] >> 2
    }

    /// Explicit congestion notification, 2 bits (RFC 3168).
    pub fn ecn(&self) -> u8 {
        self.header[1] & 3
    }

    /// Length of header and payload on the wire; 0 in a packet that the network card will still
    /// cut into segments and that is too long for the field.
    #[inline]
    pub fn total_len(&self) -> u16 {
        be16(self.header, 2)
    }

    /// Length of the payload on the wire. With a total length of 0 it is all that is there. `None`
    /// when the total length is below the header length, which [`parse`](Self::parse) refuses.
    #[inline]
    pub fn payload_len(&self) -> Option<usize> {
        match usize::from(self.total_len()) {
            0 => Some(self.payload.len()),
            total => total.checked_sub(self.header_len()),
        }
    }

    /// Identification of the datagram that a fragment belongs to.
    pub fn id(&self) -> u16 {
        be16(self.header, 4)
    }

    /// The reserved flag, which must be zero.
    pub fn reserved_flag(&self) -> bool {
        self.header[6] & 0x80 != 0
    }

    /// Do not fragment.
    pub fn dont_fragment(&self) -> bool {
        self.header[6] & 0x40 != 0
    }

    /// More fragments follow.
    #[inline]
    pub fn more_fragments(&self) -> bool {
        self.header[6] & 0x20 != 0
    }

    /// Where this fragment begins in the datagram's payload, in bytes.
    #[inline]
    pub fn fragment_offset(&self) -> usize {
        usize::from(be16(self.header, 6) & 0x1fff) * 8
    }

    /// Whether it is one of several fragments.
    #[inline]
    pub fn is_fragment(&self) -> bool {
        be16(self.header, 6) & 0x3fff != 0
    }

    /// Whether the fragment ends past what an IPv4 packet can hold.
    pub fn fragment_too_long(&self) -> bool {
        let len = self.payload_len().unwrap_or(0);
        self.is_fragment() && self.fragment_offset() + len + Self::LEN > TOTAL_LEN_MAX
    }

    /// Time to live.
    pub fn ttl(&self) -> u8 {
        self.header[8]
    }

    /// The protocol of the payload (IANA protocol numbers).
    #[inline]
    pub fn protocol(&self) -> u8 {
        self.header[9]
    }

    /// The header checksum.
    pub fn checksum(&self) -> u16 {
        be16(self.header, 10)
    }

    /// Whether the header checksum is right.
    pub fn checksum_is_valid(&self) -> bool {
        Sum::default().over(self.header).over(self.options).is_valid()
    }

    /// Source address.
    #[inline]
    pub fn source(&self) -> Ipv4Addr {
        array::<20, 4>(self.header, 12).into()
    }

    /// Destination address.
    #[inline]
    pub fn destination(&self) -> Ipv4Addr {
        array::<20, 4>(self.header, 16).into()
    }

    /// Source and destination as they lie in the header: 8 bytes.
    #[inline]
    pub fn addresses(&self) -> [u8; 8] {
        array(self.header, 12)
    }

    /// The options.
    pub fn options(&self) -> Ipv4Options<'a> {
        Ipv4Options { rest: self.options }
    }

    /// The captured bytes of the payload, without link-layer padding.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// The options of an IPv4 header: type and data, without No Operation. Ends at End of Options, at
/// the end of the header, or with [`Reason::Ipv4BadOption`].
#[derive(Clone, Debug)]
pub struct Ipv4Options<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Ipv4Options<'a> {
    type Item = Result<(u8, &'a [u8]), Reason>;

    fn next(&mut self) -> Option<Self::Item> {
        while let [1, rest @ ..] = self.rest {
            self.rest = rest;
        }
        let rest = std::mem::take(&mut self.rest);
        match *rest {
            [] | [0, ..] => None,
            [kind, len, ..] if (2..=rest.len()).contains(&usize::from(len)) => {
                let (option, rest) = rest.split_at(len.into());
                self.rest = rest;
                Some(Ok((kind, &option[2..])))
            }
            _ => Some(Err(Reason::Ipv4BadOption)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> [u8; 24] {
        *b"\x45\xb8\0\x18\x12\x34\x40\0\x40\x11\0\0\x0a\0\0\x01\xef\x01\x01\x02data"
    }

    #[test]
    fn fields() {
        let bytes = header();
        let ip = Ipv4::parse(&bytes).unwrap();
        assert_eq!((ip.dscp(), ip.ecn(), ip.total_len(), ip.id()), (46, 0, 24, 0x1234));
        assert!(ip.dont_fragment() && !ip.more_fragments() && !ip.is_fragment());
        assert_eq!((ip.ttl(), ip.protocol()), (64, 17));
        assert_eq!(ip.source(), Ipv4Addr::new(10, 0, 0, 1));
        assert_eq!(ip.destination(), Ipv4Addr::new(239, 1, 1, 2));
        assert_eq!((ip.payload(), ip.header_len()), (&b"data"[..], 20));
    }

    #[test]
    fn padding_is_no_payload_and_a_cut_payload_is_shorter() {
        let mut bytes = header();
        bytes[3] = 22;
        assert_eq!(Ipv4::parse(&bytes).unwrap().payload(), b"da");
        bytes[3] = 200;
        let ip = Ipv4::parse(&bytes).unwrap();
        assert_eq!((ip.payload(), ip.payload_len()), (&b"data"[..], Some(180)));
    }

    #[test]
    fn a_total_length_of_zero_means_all() {
        let mut bytes = header();
        bytes[3] = 0;
        let ip = Ipv4::parse(&bytes).unwrap();
        assert_eq!((ip.payload(), ip.payload_len()), (&b"data"[..], Some(4)));
    }

    #[test]
    fn each_malformation_has_its_reason() {
        let with = |at: usize, value: u8| {
            let mut bytes = header();
            bytes[at] = value;
            Ipv4::parse(&bytes).map(|_| ())
        };
        assert_eq!(Ipv4::parse(&header()[..19]), Err(Reason::TruncatedIpv4));
        assert_eq!(with(0, 0x4f), Err(Reason::TruncatedIpv4));
        assert_eq!(with(0, 0x65), Err(Reason::Ipv4BadVersion));
        assert_eq!(with(0, 0x44), Err(Reason::Ipv4BadHeaderLength));
        assert_eq!(with(3, 19), Err(Reason::Ipv4BadTotalLength));
        assert_eq!(with(3, 20), Ok(()));
    }

    #[test]
    fn options_end_or_say_why_not() {
        let options = |rest: &'static [u8]| Ipv4Options { rest }.collect::<Vec<_>>();
        assert_eq!(
            options(b"\x94\x04\0\0\x01\x07\x03\x04\0\xff"),
            [Ok((0x94, &b"\0\0"[..])), Ok((7, &b"\x04"[..]))]
        );
        for bad in [&b"\x07"[..], b"\x07\x01\0", b"\x07\x04\0", b"\x01\x01\x07\0"] {
            assert_eq!(options(bad), [Err(Reason::Ipv4BadOption)]);
        }
    }

    #[test]
    fn fragments() {
        let mut bytes = header();
        bytes[6..8].copy_from_slice(&[0x20, 0x05]);
        let ip = Ipv4::parse(&bytes).unwrap();
        assert!(ip.is_fragment() && ip.more_fragments() && !ip.fragment_too_long());
        assert_eq!(ip.fragment_offset(), 40);
        bytes[6..8].copy_from_slice(&[0x1f, 0xff]);
        assert!(Ipv4::parse(&bytes).unwrap().fragment_too_long());
    }

    #[test]
    fn checksum() {
        let mut bytes = header();
        assert!(!Ipv4::parse(&bytes).unwrap().checksum_is_valid());
        let sum = crate::checksum::internet(&bytes[..20]);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        assert!(Ipv4::parse(&bytes).unwrap().checksum_is_valid());
    }
}
