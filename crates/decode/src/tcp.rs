//! TCP with options (RFC 9293).

use crate::checksum::Sum;
use crate::read::{be16, be32, get16, get32};
use std::fmt;
use tickwire_frame::Reason;

/// A TCP header, its options, and its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp<'a> {
    header: &'a [u8; Tcp::LEN],
    options: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Tcp<'a> {
    /// Bytes of the header without options.
    pub const LEN: usize = 20;

    /// Needs a whole header with a sane data offset.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Reason> {
        let (header, rest) =
            bytes.split_first_chunk::<{ Tcp::LEN }>().ok_or(Reason::TruncatedTcp)?;
        let options_len = (usize::from(header[12] >> 4) * 4)
            .checked_sub(Self::LEN)
            .ok_or(Reason::TcpBadDataOffset)?;
        let (options, payload) = rest.split_at_checked(options_len).ok_or(Reason::TruncatedTcp)?;
        Ok(Tcp { header, options, payload })
    }

    /// Bytes of the header with options: 20 to 60.
    #[inline]
    pub fn header_len(&self) -> usize {
        Self::LEN + self.options.len()
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

    /// Sequence number of the first byte of the payload, or of SYN.
    pub fn sequence(&self) -> u32 {
        be32(self.header, 4)
    }

    /// The next sequence number that the sender expects, when ACK is set.
    pub fn acknowledgment(&self) -> u32 {
        be32(self.header, 8)
    }

    /// The flags.
    #[inline]
    pub fn flags(&self) -> TcpFlags {
        TcpFlags(be16(self.header, 12) & 0x1ff)
    }

    /// The window, not scaled.
    pub fn window(&self) -> u16 {
        be16(self.header, 14)
    }

    /// The checksum.
    pub fn checksum(&self) -> u16 {
        be16(self.header, 16)
    }

    /// Whether the checksum is right, given the sum of the pseudo header
    /// ([`pseudo_ipv4`](crate::checksum::pseudo_ipv4)). All of the payload must be there.
    pub fn checksum_is_valid(&self, pseudo: Sum) -> bool {
        pseudo.over(self.header).over(self.options).over(self.payload).is_valid()
    }

    /// The urgent pointer, when URG is set.
    pub fn urgent(&self) -> u16 {
        be16(self.header, 18)
    }

    /// The options.
    pub fn options(&self) -> TcpOptions<'a> {
        TcpOptions { rest: self.options }
    }

    /// The captured bytes of the payload.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// The nine flags of a TCP header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TcpFlags(pub u16);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: TcpFlags = TcpFlags(0x001);
    /// Synchronise sequence numbers.
    pub const SYN: TcpFlags = TcpFlags(0x002);
    /// Reset the connection.
    pub const RST: TcpFlags = TcpFlags(0x004);
    /// Push.
    pub const PSH: TcpFlags = TcpFlags(0x008);
    /// The acknowledgment number is valid.
    pub const ACK: TcpFlags = TcpFlags(0x010);
    /// The urgent pointer is valid.
    pub const URG: TcpFlags = TcpFlags(0x020);
    /// Congestion experienced (RFC 3168).
    pub const ECE: TcpFlags = TcpFlags(0x040);
    /// Congestion window reduced (RFC 3168).
    pub const CWR: TcpFlags = TcpFlags(0x080);
    /// Accurate ECN, formerly nonce sum (RFC 9768).
    pub const AE: TcpFlags = TcpFlags(0x100);

    /// Whether all of `other` are set.
    #[inline]
    pub const fn contains(self, other: TcpFlags) -> bool {
        self.0 & other.0 == other.0
    }

    /// The letters that tcpdump prints, `.` for ACK; at most 9, in a buffer that the caller owns.
    pub fn letters(self, buffer: &mut [u8; 9]) -> &str {
        let mut len = 0;
        for (bit, &letter) in b"FSRP.UEWe".iter().enumerate() {
            if self.0 >> bit & 1 == 1 {
                buffer[len] = letter;
                len += 1;
            }
        }
        // They are ASCII.
        std::str::from_utf8(&buffer[..len]).unwrap_or("")
    }
}

/// As tcpdump prints them: `S.` is SYN and ACK, `none` is none.
impl fmt::Display for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0; 9];
        f.write_str(match self.letters(&mut buffer) {
            "" => "none",
            letters => letters,
        })
    }
}

/// One TCP option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpOption<'a> {
    /// No operation: padding.
    Nop,
    /// Maximum segment size, in bytes.
    MaximumSegmentSize(u16),
    /// Window scale: shift count (RFC 7323).
    WindowScale(u8),
    /// Selective acknowledgment is permitted (RFC 2018).
    SackPermitted,
    /// Blocks of selectively acknowledged bytes: pairs of sequence numbers, 8 bytes each.
    Sack(&'a [[u8; 8]]),
    /// Timestamp value and echo reply (RFC 7323).
    Timestamps(u32, u32),
    /// MD5 digest (RFC 2385).
    Md5(&'a [u8; 16]),
    /// TCP-AO: KeyID, RNextKeyID, message authentication code (RFC 5925).
    Authentication(u8, u8, &'a [u8]),
    /// The cookie of TCP Fast Open; empty when one is asked for (RFC 7413).
    FastOpen(&'a [u8]),
    /// End of options: what follows in the header is padding.
    End,
    /// Any other: kind and data.
    Other(u8, &'a [u8]),
}

/// The options of a TCP header. Ends at End of Options, at the end of the header, or with
/// [`Reason::TcpBadOption`].
#[derive(Clone, Debug)]
pub struct TcpOptions<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for TcpOptions<'a> {
    type Item = Result<TcpOption<'a>, Reason>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = std::mem::take(&mut self.rest);
        match *rest {
            [] => None,
            [0, ..] => Some(Ok(TcpOption::End)),
            [1, ref rest @ ..] => {
                self.rest = rest;
                Some(Ok(TcpOption::Nop))
            }
            [kind, len, ..] if (2..=rest.len()).contains(&usize::from(len)) => {
                let (option, rest) = rest.split_at(len.into());
                self.rest = rest;
                Some(Ok(known(kind, &option[2..])))
            }
            _ => Some(Err(Reason::TcpBadOption)),
        }
    }
}

/// The option of this kind, when its length is that of its definition.
fn known(kind: u8, data: &[u8]) -> TcpOption<'_> {
    let option = match (kind, data.len()) {
        (2, 2) => get16(data, 0).map(TcpOption::MaximumSegmentSize),
        (3, 1) => Some(TcpOption::WindowScale(data[0])),
        (4, 0) => Some(TcpOption::SackPermitted),
        (5, 8..) if data.len().is_multiple_of(8) => Some(TcpOption::Sack(data.as_chunks().0)),
        (8, 8) => get32(data, 0)
            .zip(get32(data, 4))
            .map(|(value, echo)| TcpOption::Timestamps(value, echo)),
        (19, 16) => data.first_chunk().map(TcpOption::Md5),
        (29, 2..) => Some(TcpOption::Authentication(data[0], data[1], &data[2..])),
        (34, _) => Some(TcpOption::FastOpen(data)),
        _ => None,
    };
    option.unwrap_or(TcpOption::Other(kind, data))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYN: &[u8; 44] = b"\x80\0\0\x50\0\0\0\x01\0\0\0\x02\xa0\x02\xfa\xf0\0\0\0\0\
        \x02\x04\x05\xb4\x04\x02\x08\x0a\0\0\0\x09\0\0\0\0\x01\x03\x03\x07data";

    #[test]
    fn fields() {
        let tcp = Tcp::parse(SYN).unwrap();
        assert_eq!((tcp.source_port(), tcp.destination_port()), (32768, 80));
        assert_eq!((tcp.sequence(), tcp.acknowledgment(), tcp.window()), (1, 2, 64240));
        assert_eq!((tcp.flags(), tcp.header_len()), (TcpFlags::SYN, 40));
        assert_eq!(tcp.payload(), b"data");
    }

    #[test]
    fn options() {
        let options: Result<Vec<_>, _> = Tcp::parse(SYN).unwrap().options().collect();
        assert_eq!(
            options.unwrap(),
            [
                TcpOption::MaximumSegmentSize(1460),
                TcpOption::SackPermitted,
                TcpOption::Timestamps(9, 0),
                TcpOption::Nop,
                TcpOption::WindowScale(7),
            ]
        );
        let all = |rest: &'static [u8]| TcpOptions { rest }.collect::<Vec<_>>();
        assert_eq!(
            all(b"\x05\x0a\0\0\0\x01\0\0\0\x02\0\xff"),
            [Ok(TcpOption::Sack(&[[0, 0, 0, 1, 0, 0, 0, 2]])), Ok(TcpOption::End)]
        );
        assert_eq!(all(b"\x02\x03\x05"), [Ok(TcpOption::Other(2, b"\x05"))]);
    }

    #[test]
    fn malformed() {
        let with_offset = |offset: u8| {
            let mut bytes = *SYN;
            bytes[12] = offset << 4;
            Tcp::parse(&bytes).map(|_| ())
        };
        assert_eq!(Tcp::parse(&SYN[..19]), Err(Reason::TruncatedTcp));
        assert_eq!(with_offset(4), Err(Reason::TcpBadDataOffset));
        assert_eq!(with_offset(12), Err(Reason::TruncatedTcp));
        assert_eq!(with_offset(11), Ok(()));
        for rest in [&b"\x02"[..], b"\x02\x01", b"\x02\0", b"\x02\x04\x05"] {
            assert_eq!(TcpOptions { rest }.collect::<Vec<_>>(), [Err(Reason::TcpBadOption)]);
        }
    }

    #[test]
    fn flags_print_like_tcpdump() {
        assert_eq!(TcpFlags(0x12).to_string(), "S.");
        assert_eq!(TcpFlags(0).to_string(), "none");
        assert_eq!(TcpFlags(0x1ff).to_string(), "FSRP.UEWe");
        assert!(TcpFlags(0x12).contains(TcpFlags::ACK));
    }
}
