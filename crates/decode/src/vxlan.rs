//! VXLAN (RFC 7348).

use crate::read::be24;
use tickwire_frame::Reason;

/// A VXLAN header and the Ethernet frame in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vxlan<'a> {
    header: &'a [u8; Vxlan::LEN],
    payload: &'a [u8],
}

impl<'a> Vxlan<'a> {
    /// Bytes of the header.
    pub const LEN: usize = 8;

    /// Needs 8 bytes and the flag that says that the network identifier is valid.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Reason> {
        let (header, payload) =
            bytes.split_first_chunk::<{ Vxlan::LEN }>().ok_or(Reason::TruncatedVxlan)?;
        if header[0] & 0x08 == 0 {
            return Err(Reason::VxlanBadFlags);
        }
        Ok(Vxlan { header, payload })
    }

    /// The flags.
    pub fn flags(&self) -> u8 {
        self.header[0]
    }

    /// The network identifier, 24 bits.
    pub fn vni(&self) -> u32 {
        be24(self.header, 4)
    }

    /// The Ethernet frame.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_faults() {
        let vxlan = Vxlan::parse(b"\x08\0\0\0\0\x12\x34\0!").unwrap();
        assert_eq!((vxlan.vni(), vxlan.flags(), vxlan.payload()), (0x1234, 8, &b"!"[..]));
        assert_eq!(Vxlan::parse(&[8; 7]), Err(Reason::TruncatedVxlan));
        assert_eq!(Vxlan::parse(&[0; 8]), Err(Reason::VxlanBadFlags));
    }
}
