//! BSD null and OpenBSD loopback headers
//! (<https://www.tcpdump.org/linktypes.html>, LINKTYPE_NULL and LINKTYPE_LOOP).

use tickwire_frame::Reason;

/// A four-byte address family and what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loopback<'a> {
    family: u32,
    payload: &'a [u8],
}

impl<'a> Loopback<'a> {
    /// Bytes of the header.
    pub const LEN: usize = 4;

    /// Needs 4 bytes. The family is in the byte order of the machine that wrote it, which nothing
    /// tells; every family is below 65536, so the order that makes it small is the right one.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Reason> {
        let (&field, payload) = bytes.split_first_chunk().ok_or(Reason::TruncatedLoopback)?;
        let family = u32::from_be_bytes(field).min(u32::from_le_bytes(field));
        Ok(Loopback { family, payload })
    }

    /// The address family.
    pub fn family(&self) -> u32 {
        self.family
    }

    /// 4 or 6 when IP follows. `AF_INET` is 2 everywhere; `AF_INET6` is 10 on Linux, 23 on Windows,
    /// 24 on NetBSD and OpenBSD, 28 on FreeBSD, 30 on Darwin.
    pub fn ip_version(&self) -> Option<u8> {
        match self.family {
            2 => Some(4),
            10 | 23 | 24 | 28 | 30 => Some(6),
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
    fn either_byte_order_and_every_family() {
        assert_eq!(Loopback::parse(b"\x02\0\0\0").unwrap().ip_version(), Some(4));
        assert_eq!(Loopback::parse(b"\0\0\0\x02").unwrap().ip_version(), Some(4));
        for family in [10, 23, 24, 28, 30] {
            assert_eq!(Loopback::parse(&[family, 0, 0, 0]).unwrap().ip_version(), Some(6));
            assert_eq!(Loopback::parse(&[0, 0, 0, family]).unwrap().ip_version(), Some(6));
        }
        assert_eq!(Loopback::parse(&[7, 0, 0, 0]).unwrap().ip_version(), None);
    }

    #[test]
    fn needs_4_bytes() {
        assert_eq!(Loopback::parse(&[0; 3]), Err(Reason::TruncatedLoopback));
    }
}
