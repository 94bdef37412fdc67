//! What the first byte of a frame means.

use std::fmt;

/// A link-layer header type, by its number in pcap's `LINKTYPE_` list
/// (<https://www.tcpdump.org/linktypes.html>). Numbers without a name here are carried all the
/// same: they can be counted, filtered by length and written, but not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkType(pub u16);

macro_rules! link_types {
    ($($constant:ident = $number:literal, $name:literal, $doc:literal;)*) => {
        impl LinkType {
            $(#[doc = $doc] pub const $constant: LinkType = LinkType($number);)*

            /// The name as libpcap spells it (`EN10MB`), if we know the number.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($name),)*
                    _ => None,
                }
            }

            /// The type with this libpcap name, in any case.
            pub fn from_name(name: &str) -> Option<LinkType> {
                $(if name.eq_ignore_ascii_case($name) { return Some(LinkType($number)); })*
                None
            }
        }
    };
}

link_types! {
    NULL = 0, "NULL", "BSD loopback: a 4-byte address family in the host order of the writer.";
    ETHERNET = 1, "EN10MB", "Ethernet II and IEEE 802.3.";
    PPP = 9, "PPP", "PPP, possibly in HDLC-like framing (RFC 1662).";
    PPP_SERIAL = 50, "PPP_SERIAL", "PPP in HDLC-like framing.";
    PPP_ETHER = 51, "PPP_ETHER", "PPPoE session packets.";
    RAW = 101, "RAW", "An IPv4 or IPv6 packet without a link header.";
    LOOP = 108, "LOOP", "OpenBSD loopback: a 4-byte address family in network order.";
    LINUX_SLL = 113, "LINUX_SLL", "Linux cooked capture v1.";
    IPV4 = 228, "IPV4", "An IPv4 packet.";
    IPV6 = 229, "IPV6", "An IPv6 packet.";
    LINUX_SLL2 = 276, "LINUX_SLL2", "Linux cooked capture v2.";
}

impl Default for LinkType {
    fn default() -> Self {
        LinkType::ETHERNET
    }
}

/// The libpcap name, or the bare number.
impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        assert_eq!(LinkType::from_name("en10mb"), Some(LinkType::ETHERNET));
        assert_eq!(LinkType::ETHERNET.to_string(), "EN10MB");
        assert_eq!(LinkType(4711).to_string(), "4711");
        assert_eq!(LinkType::from_name("no such link"), None);
    }
}
