//! IEEE 802.2 LLC, with SNAP (ISO/IEC 8802-2; SNAP: IEEE 802-2014, 9.5).

use crate::read::{be16, be24};
use tickwire_frame::Reason;

/// The service access point of SNAP.
pub const SAP_SNAP: u8 = 0xaa;
/// The service access point of spanning tree.
pub const SAP_STP: u8 = 0x42;
/// The service access point of IPv4.
pub const SAP_IP: u8 = 0x06;

/// An LLC header, its SNAP header if there is one, and what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Llc<'a> {
    sap: &'a [u8; 2],
    control: &'a [u8],
    snap: Option<&'a [u8; 5]>,
    payload: &'a [u8],
}

impl<'a> Llc<'a> {
    /// Needs 3 bytes (4 for information and supervisory frames), and 5 more for SNAP.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Reason> {
        let (sap, rest) = bytes.split_first_chunk().ok_or(Reason::TruncatedLlc)?;
        // The control field is one byte in unnumbered frames (both low bits set), else two.
        let first = *rest.first().ok_or(Reason::TruncatedLlc)?;
        let control_len = if first & 3 == 3 { 1 } else { 2 };
        let (control, rest) = rest.split_at_checked(control_len).ok_or(Reason::TruncatedLlc)?;
        if *sap != [SAP_SNAP; 2] || first != 3 {
            return Ok(Llc { sap, control, snap: None, payload: rest });
        }
        let (snap, payload) = rest.split_first_chunk().ok_or(Reason::TruncatedLlc)?;
        Ok(Llc { sap, control, snap: Some(snap), payload })
    }

    /// Bytes of the header: 3, 4 or 8.
    pub fn header_len(&self) -> usize {
        2 + self.control.len() + self.snap.map_or(0, |snap| snap.len())
    }

    /// Destination service access point.
    pub fn dsap(&self) -> u8 {
        self.sap[0]
    }

    /// Source service access point; its lowest bit marks a response.
    pub fn ssap(&self) -> u8 {
        self.sap[1]
    }

    /// The control field: one byte (unnumbered) or two, in wire order.
    pub fn control(&self) -> &'a [u8] {
        self.control
    }

    /// The SNAP header: organisation and protocol.
    pub fn snap(&self) -> Option<(u32, u16)> {
        self.snap.map(|snap| (be24(snap, 0), be16(snap, 3)))
    }

    /// The EtherType of what follows, where SNAP gives one: organisation 0 (RFC 1042) or 0x0000f8
    /// (IEEE 802.1H bridge tunnel).
    pub fn ethertype(&self) -> Option<u16> {
        match self.snap() {
            Some((0 | 0xf8, protocol)) => Some(protocol),
            _ => None,
        }
    }

    /// What follows.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snap_gives_an_ethertype() {
        let llc = Llc::parse(b"\xaa\xaa\x03\0\0\0\x08\0x").unwrap();
        assert_eq!((llc.ethertype(), llc.payload()), (Some(0x0800), b"x".as_slice()));
        assert_eq!(llc.header_len(), 8);
        let other = Llc::parse(b"\xaa\xaa\x03\0\0\x0c\x20\0").unwrap();
        assert_eq!((other.snap(), other.ethertype()), (Some((0xc, 0x2000)), None));
    }

    #[test]
    fn control_is_one_byte_or_two() {
        assert_eq!(Llc::parse(b"\x42\x42\x03\0").unwrap().header_len(), 3);
        let info = Llc::parse(b"\xf0\xf1\x00\x02!").unwrap();
        assert_eq!((info.header_len(), info.control()), (4, b"\0\x02".as_slice()));
        assert_eq!((info.dsap(), info.ssap()), (0xf0, 0xf1));
    }

    #[test]
    fn every_cut_is_refused() {
        let whole = b"\xaa\xaa\x03\0\0\0\x08\0";
        for len in 0..whole.len() {
            assert_eq!(Llc::parse(&whole[..len]), Err(Reason::TruncatedLlc));
        }
        assert_eq!(Llc::parse(b"\xf0\xf1\x00"), Err(Reason::TruncatedLlc));
    }
}
