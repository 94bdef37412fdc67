//! SCTP (RFC 9260).

use crate::crc32c::Crc32c;
use crate::read::{be16, be32};
use tickwire_frame::Reason;

/// An SCTP common header and its chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sctp<'a> {
    header: &'a [u8; Sctp::LEN],
    payload: &'a [u8],
}

impl<'a> Sctp<'a> {
    /// Bytes of the common header.
    pub const LEN: usize = 12;

    /// Needs 12 bytes.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Reason> {
        let (header, payload) = bytes.split_first_chunk().ok_or(Reason::TruncatedSctp)?;
        Ok(Sctp { header, payload })
    }

    /// Source port.
    pub fn source_port(&self) -> u16 {
        be16(self.header, 0)
    }

    /// Destination port.
    pub fn destination_port(&self) -> u16 {
        be16(self.header, 2)
    }

    /// The verification tag of the association.
    pub fn verification_tag(&self) -> u32 {
        be32(self.header, 4)
    }

    /// The checksum: a CRC32c, the only field in little-endian order (RFC 9260, appendix A).
    pub fn checksum(&self) -> u32 {
        be32(self.header, 8).swap_bytes()
    }

    /// The checksum that would be right. All of the packet must be there.
    pub fn expected_checksum(&self) -> u32 {
        Crc32c::default().over(&self.header[..8]).over(&[0; 4]).over(self.payload).finish()
    }

    /// The chunks.
    pub fn chunks(&self) -> SctpChunks<'a> {
        SctpChunks { rest: self.payload }
    }

    /// The captured bytes after the common header.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// One chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SctpChunk<'a> {
    /// Chunk type.
    pub kind: u8,
    /// Chunk flags.
    pub flags: u8,
    /// The value, without padding.
    pub value: &'a [u8],
}

impl SctpChunk<'_> {
    /// The name of the type (RFC 9260, 3.2), if it has one.
    pub fn name(&self) -> Option<&'static str> {
        const NAMES: [&str; 15] = [
            "DATA",
            "INIT",
            "INIT ACK",
            "SACK",
            "HB REQ",
            "HB ACK",
            "ABORT",
            "SHUTDOWN",
            "SHUTDOWN ACK",
            "OP ERR",
            "COOKIE ECHO",
            "COOKIE ACK",
            "ECN ECHO",
            "CWR",
            "SHUTDOWN COMPLETE",
        ];
        NAMES.get(usize::from(self.kind)).copied()
    }
}

/// The chunks of a packet. Ends at the end of the packet, with [`Reason::SctpBadChunkLength`] or
/// [`Reason::TruncatedSctpChunk`].
#[derive(Clone, Debug)]
pub struct SctpChunks<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for SctpChunks<'a> {
    type Item = Result<SctpChunk<'a>, Reason>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = std::mem::take(&mut self.rest);
        if bytes.is_empty() {
            return None;
        }
        let Some((head, rest)) = bytes.split_first_chunk::<4>() else {
            return Some(Err(Reason::TruncatedSctpChunk));
        };
        let Some(value_len) = usize::from(be16(head, 2)).checked_sub(4) else {
            return Some(Err(Reason::SctpBadChunkLength));
        };
        let Some(value) = rest.get(..value_len) else {
            return Some(Err(Reason::TruncatedSctpChunk));
        };
        // The padding to 4 bytes may be missing after the last chunk (RFC 9260, 3.2).
        self.rest = rest.get(value_len.next_multiple_of(4)..).unwrap_or(&[]);
        Some(Ok(SctpChunk { kind: head[0], flags: head[1], value }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_and_padding() {
        let bytes = b"\0\x01\0\x02\0\0\0\x03\0\0\0\0\x00\x03\0\x05A\0\0\0\x0b\0\0\x04";
        let sctp = Sctp::parse(bytes).unwrap();
        assert_eq!((sctp.source_port(), sctp.destination_port()), (1, 2));
        assert_eq!(sctp.verification_tag(), 3);
        let chunks: Result<Vec<_>, _> = sctp.chunks().collect();
        let chunks = chunks.unwrap();
        assert_eq!((chunks[0].name(), chunks[0].value), (Some("DATA"), &b"A"[..]));
        assert_eq!((chunks[1].name(), chunks[1].flags), (Some("COOKIE ACK"), 0));
    }

    #[test]
    fn malformed() {
        assert_eq!(Sctp::parse(&[0; 11]), Err(Reason::TruncatedSctp));
        let chunks = |rest: &'static [u8]| SctpChunks { rest }.collect::<Vec<_>>();
        assert_eq!(chunks(b"\0\0\0"), [Err(Reason::TruncatedSctpChunk)]);
        assert_eq!(chunks(b"\0\0\0\x05"), [Err(Reason::TruncatedSctpChunk)]);
        assert_eq!(chunks(b"\0\0\0\x03"), [Err(Reason::SctpBadChunkLength)]);
    }

    #[test]
    fn checksum_is_little_endian() {
        let mut bytes = *b"\0\x01\0\x02\0\0\0\x03\0\0\0\0\x0b\0\0\x04";
        let expected = Sctp::parse(&bytes).unwrap().expected_checksum();
        bytes[8..12].copy_from_slice(&expected.to_le_bytes());
        let sctp = Sctp::parse(&bytes).unwrap();
        assert_eq!(sctp.checksum(), sctp.expected_checksum());
    }
}
