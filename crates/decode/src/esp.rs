//! IP Encapsulating Security Payload (RFC 4303). What follows the header is encrypted, so decoding
//! ends here.

use crate::read::be32;
use tickwire_frame::Reason;

/// An ESP header and the encrypted rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Esp<'a> {
    header: &'a [u8; Esp::LEN],
    payload: &'a [u8],
}

impl<'a> Esp<'a> {
    /// Bytes of the header.
    pub const LEN: usize = 8;

    /// Needs 8 bytes.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Reason> {
        let (header, payload) = bytes.split_first_chunk().ok_or(Reason::TruncatedEsp)?;
        Ok(Esp { header, payload })
    }

    /// Security parameters index.
    pub fn spi(&self) -> u32 {
        be32(self.header, 0)
    }

    /// Sequence number.
    pub fn sequence(&self) -> u32 {
        be32(self.header, 4)
    }

    /// Initialisation vector, encrypted data, trailer and integrity check value: only who has the
    /// key can tell them apart.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_truncation() {
        let esp = Esp::parse(b"\0\0\x10\0\0\0\0\x07secret").unwrap();
        assert_eq!((esp.spi(), esp.sequence(), esp.payload()), (0x1000, 7, &b"secret"[..]));
        assert_eq!(Esp::parse(&[0; 7]), Err(Reason::TruncatedEsp));
    }
}
