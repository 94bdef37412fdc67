//! Where the copies of a subscriber leave and whom they reach first.

use std::net::IpAddr;
use tickwire_decode::Mac;
use tickwire_frame::Reason;

/// The next hop of a subscriber, as routes and neighbours have it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Index of the interface that the copies leave by.
    pub ifindex: u32,
    /// The link address of that interface.
    pub source_mac: Mac,
    /// The link address of the subscriber or of the gateway; of the group for multicast.
    pub destination_mac: Mac,
    /// The VLAN tag that the copies carry.
    pub vlan: Option<u16>,
    /// The address of ours that copies come from, of the subscriber's IP version.
    pub source: IpAddr,
    /// The longest IP packet on this way, in bytes.
    pub mtu: u32,
}

/// The next hop, or why there is none: [`Reason::NoNeighbour`], [`Reason::NoRoute`], … Each
/// datagram for the subscriber is counted under that reason then.
pub type Path = Result<Hop, Reason>;
