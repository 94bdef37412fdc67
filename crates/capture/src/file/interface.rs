//! What a capture file says of the interfaces that its packets came from.

use super::limits::packet_bytes_max;
use tickwire_frame::LinkType;

/// An interface of a capture file, as it is read from one or written into one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// What the first byte of its packets means.
    pub link: LinkType,
    /// At most this many bytes of a packet are kept.
    pub snaplen: u32,
    /// `eth0`; empty when unknown (pcap has no names).
    pub name: String,
    /// What the interface is; may be empty.
    pub description: String,
    /// The filter in force when the packets were captured; may be empty.
    pub filter: String,
    /// The operating system of the machine that captured; may be empty.
    pub os: String,
}

impl Interface {
    /// An interface of which only the link type is known. Its snapshot length is the longest that
    /// other tools accept.
    pub fn new(link: LinkType) -> Interface {
        Interface {
            link,
            snaplen: packet_bytes_max(link),
            name: String::new(),
            description: String::new(),
            filter: String::new(),
            os: String::new(),
        }
    }

    /// The same with a name.
    pub fn named(self, name: impl Into<String>) -> Interface {
        Interface { name: name.into(), ..self }
    }
}

/// The counters of an Interface Statistics Block; each may be missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceStatistics {
    /// `isb_ifrecv`: packets that the interface received.
    pub received: Option<u64>,
    /// `isb_ifdrop`: packets that the interface lost for want of room.
    pub dropped: Option<u64>,
    /// `isb_filteraccept`: packets that the filter let pass.
    pub filter_accepted: Option<u64>,
    /// `isb_osdrop`: packets that the operating system lost.
    pub os_dropped: Option<u64>,
    /// `isb_usrdeliv`: packets that reached the program.
    pub delivered: Option<u64>,
}

impl InterfaceStatistics {
    /// Each counter that is there, by its name in the specification and its option code.
    pub(super) fn counters(&self) -> impl Iterator<Item = (&'static str, u16, u64)> {
        [
            ("isb_ifrecv", 4, self.received),
            ("isb_ifdrop", 5, self.dropped),
            ("isb_filteraccept", 6, self.filter_accepted),
            ("isb_osdrop", 7, self.os_dropped),
            ("isb_usrdeliv", 8, self.delivered),
        ]
        .into_iter()
        .filter_map(|(name, code, value)| value.map(|value| (name, code, value)))
    }
}
