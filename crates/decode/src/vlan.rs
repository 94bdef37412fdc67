//! VLAN tags: IEEE 802.1Q, 802.1ad, and the older 0x9100 (IEEE 802.1Q-2022, 9.6).

use crate::read::be16;
use tickwire_frame::Reason;

/// One tag and what follows it. The tag's own EtherType stands in the header before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vlan<'a> {
    tpid: u16,
    header: &'a [u8; Vlan::LEN],
    payload: &'a [u8],
}

impl<'a> Vlan<'a> {
    /// Bytes of the tag after its EtherType: the control information and the next EtherType.
    pub const LEN: usize = 4;

    /// Needs 4 bytes. `tpid` is the EtherType that announced the tag.
    #[inline]
    pub fn parse(tpid: u16, bytes: &'a [u8]) -> Result<Self, Reason> {
        let (header, payload) = bytes.split_first_chunk().ok_or(Reason::TruncatedVlan)?;
        Ok(Vlan { tpid, header, payload })
    }

    /// The EtherType of the tag: 0x8100, 0x88a8 or 0x9100.
    pub fn tpid(&self) -> u16 {
        self.tpid
    }

    /// The VLAN identifier, 0 to 4095; 0 means a priority tag.
    #[inline]
    pub fn id(&self) -> u16 {
        be16(self.header, 0) & 0xfff
    }

    /// Priority code point, 0 to 7.
    pub fn priority(&self) -> u8 {
        self.header[0] >> 5
    }

    /// Drop eligible indicator.
    pub fn drop_eligible(&self) -> bool {
        self.header[0] & 0x10 != 0
    }

    /// The EtherType of what follows, or an 802.3 length.
    #[inline]
    pub fn ethertype(&self) -> u16 {
        be16(self.header, 2)
    }

    /// What follows.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        let tag = Vlan::parse(0x8100, b"\xb0\x64\x08\0!").unwrap();
        assert_eq!((tag.id(), tag.priority(), tag.drop_eligible()), (100, 5, true));
        assert_eq!((tag.tpid(), tag.ethertype(), tag.payload()), (0x8100, 0x0800, &b"!"[..]));
    }

    #[test]
    fn needs_4_bytes() {
        assert_eq!(Vlan::parse(0x8100, &[0; 3]), Err(Reason::TruncatedVlan));
    }
}
