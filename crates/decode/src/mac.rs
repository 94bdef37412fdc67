//! 48-bit link addresses.

use std::fmt;

/// A MAC address, in wire order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// All ones.
    pub const BROADCAST: Mac = Mac([0xff; 6]);

    /// Whether it is a group address (IEEE 802.3, 3.2.3): multicast or broadcast.
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 == 1
    }
}

/// `00:11:22:aa:bb:cc`.
impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_knows_groups() {
        let mac = Mac([1, 0, 0x5e, 0xa, 0xb, 0xff]);
        assert_eq!(mac.to_string(), "01:00:5e:0a:0b:ff");
        assert!(mac.is_multicast() && Mac::BROADCAST.is_multicast());
        assert!(!Mac([2, 0, 0, 0, 0, 1]).is_multicast());
    }
}
