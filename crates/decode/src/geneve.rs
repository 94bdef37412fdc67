//! GENEVE (RFC 8926).

use crate::read::{be16, be24};
use tickwire_frame::Reason;

/// A GENEVE header, its options, and what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geneve<'a> {
    header: &'a [u8; Geneve::LEN],
    options: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Geneve<'a> {
    /// Bytes of the header without options.
    pub const LEN: usize = 8;

    /// Needs version 0, 8 bytes, and the options that the header announces.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Reason> {
        let (header, rest) =
            bytes.split_first_chunk::<{ Geneve::LEN }>().ok_or(Reason::TruncatedGeneve)?;
        if header[0] >> 6 != 0 {
            return Err(Reason::GeneveBadVersion);
        }
        let options_len = usize::from(header[0] & 0x3f) * 4;
        let (options, payload) =
            rest.split_at_checked(options_len).ok_or(Reason::TruncatedGeneve)?;
        Ok(Geneve { header, options, payload })
    }

    /// Bytes of the header with options.
    pub fn header_len(&self) -> usize {
        Self::LEN + self.options.len()
    }

    /// Whether it is a control packet.
    pub fn control(&self) -> bool {
        self.header[1] & 0x80 != 0
    }

    /// Whether some option must be understood by the receiver.
    pub fn critical(&self) -> bool {
        self.header[1] & 0x40 != 0
    }

    /// The EtherType of what follows.
    pub fn protocol(&self) -> u16 {
        be16(self.header, 2)
    }

    /// The network identifier, 24 bits.
    pub fn vni(&self) -> u32 {
        be24(self.header, 4)
    }

    /// The options.
    pub fn options(&self) -> GeneveOptions<'a> {
        GeneveOptions { rest: self.options }
    }

    /// What follows.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// One option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GeneveOption<'a> {
    /// The organisation that defined it.
    pub class: u16,
    /// The type; the highest bit marks a critical option.
    pub kind: u8,
    /// The data.
    pub data: &'a [u8],
}

/// The options of a header. Ends with the header or with [`Reason::GeneveBadOption`].
#[derive(Clone, Debug)]
pub struct GeneveOptions<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for GeneveOptions<'a> {
    type Item = Result<GeneveOption<'a>, Reason>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = std::mem::take(&mut self.rest);
        // The length of the options is a multiple of 4: none is cut in its first 4 bytes.
        let (head, rest) = rest.split_first_chunk::<4>()?;
        let Some((data, rest)) = rest.split_at_checked(usize::from(head[3] & 0x1f) * 4) else {
            return Some(Err(Reason::GeneveBadOption));
        };
        self.rest = rest;
        Some(Ok(GeneveOption { class: be16(head, 0), kind: head[2], data }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_options() {
        let bytes = b"\x02\xc0\x65\x58\0\0\x07\0\x01\x02\x83\x01abcd!";
        let geneve = Geneve::parse(bytes).unwrap();
        assert_eq!((geneve.vni(), geneve.protocol(), geneve.header_len()), (7, 0x6558, 16));
        assert!(geneve.control() && geneve.critical());
        assert_eq!(geneve.payload(), b"!");
        let options: Vec<_> = geneve.options().collect();
        assert_eq!(options, [Ok(GeneveOption { class: 0x0102, kind: 0x83, data: b"abcd" })]);
    }

    #[test]
    fn malformed() {
        assert_eq!(Geneve::parse(&[0; 7]), Err(Reason::TruncatedGeneve));
        assert_eq!(Geneve::parse(b"\x01\0\x65\x58\0\0\0\0abc"), Err(Reason::TruncatedGeneve));
        assert_eq!(Geneve::parse(b"\x40\0\x65\x58\0\0\0\0"), Err(Reason::GeneveBadVersion));
        let long = Geneve::parse(b"\x01\0\x65\x58\0\0\0\0\0\0\0\x01").unwrap();
        assert_eq!(long.options().collect::<Vec<_>>(), [Err(Reason::GeneveBadOption)]);
    }
}
