//! Where the headers of a link type lie.

use crate::ir::Slot;
use crate::link::number as dlt;

/// A place in the packet: a fixed number of bytes, plus a slot when a header before it varies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub slot: Option<Slot>,
    pub fixed: u32,
}

impl Place {
    pub const fn at(fixed: u32) -> Place {
        Place { slot: None, fixed }
    }

    pub const fn plus(self, bytes: u32) -> Place {
        Place { slot: self.slot, fixed: self.fixed + bytes }
    }
}

/// Where the headers lie, at one point of the filter text: encapsulations shift it for all that
/// comes after them in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The link type whose rules hold now (PPP after `pppoes`, Ethernet after `vxlan`).
    pub link: u16,
    /// The link header.
    pub header: Place,
    /// The field that says which protocol follows.
    pub kind: Place,
    /// What follows the link header; the LLC header where there is one.
    pub payload: Place,
    /// From the payload to the network header.
    pub network: u32,
    /// The same when there is an LLC header without SNAP.
    pub network_nosnap: u32,
    /// How many MPLS labels the text has gone through.
    pub labels: u32,
    /// Inside `vxlan` or `geneve`.
    pub overlay: bool,
    /// ATM LAN emulation: an Ethernet frame inside an ATM cell.
    pub lane: bool,
}

/// Link types whose headers have a computed length.
pub(crate) fn is_wlan(link: u16) -> bool {
    matches!(
        link,
        dlt::IEEE802_11
            | dlt::PRISM_HEADER
            | dlt::IEEE802_11_RADIO
            | dlt::IEEE802_11_RADIO_AVS
            | dlt::PPI
    )
}

pub(crate) fn is_ethernet(link: u16) -> bool {
    matches!(
        link,
        dlt::EN10MB
            | dlt::NETANALYZER
            | dlt::NETANALYZER_TRANSPARENT
            | dlt::DSA_TAG_BRCM
            | dlt::DSA_TAG_DSA
    )
}

pub(crate) fn is_juniper(link: u16) -> bool {
    matches!(
        link,
        130..=137 | 164 | 167 | 168 | 178..=181 | 183 | 194 | 200 | 232..=234
            | dlt::JUNIPER_ATM_CEMIC
    )
}

/// Link header at 0; protocol field, payload, network header behind the payload, without SNAP.
fn offsets(link: u16) -> (u32, u32, u32, u32) {
    match link {
        dlt::ARCNET => (2, 6, 0, 0),
        dlt::ARCNET_LINUX => (4, 8, 0, 0),
        dlt::EN10MB => (12, 14, 0, 3),
        dlt::DSA_TAG_BRCM | dlt::DSA_TAG_DSA => (16, 18, 0, 3),
        dlt::NETANALYZER => (16, 18, 0, 3),
        dlt::NETANALYZER_TRANSPARENT => (24, 26, 0, 3),
        dlt::SLIP => (0, 16, 0, 0),
        dlt::SLIP_BSDOS => (0, 24, 0, 0),
        dlt::NULL | dlt::LOOP => (0, 4, 0, 0),
        dlt::ENC => (0, 12, 0, 0),
        dlt::PPP | dlt::PPP_PPPD | dlt::C_HDLC | dlt::HDLC | dlt::PPP_SERIAL => (2, 4, 0, 0),
        dlt::PPP_ETHER => (6, 8, 0, 0),
        dlt::PPP_BSDOS => (5, 24, 0, 0),
        dlt::FDDI => (13, 13, 8, 3),
        dlt::IEEE802 => (14, 14, 8, 3),
        dlt::ATM_RFC1483 | dlt::ATM_CLIP => (0, 0, 8, 3),
        dlt::SUNATM => (4, 4, 8, 3),
        dlt::IP_OVER_FC => (16, 16, 8, 3),
        dlt::LINUX_SLL => (14, 16, 0, 0),
        dlt::LINUX_SLL2 => (0, 20, 0, 0),
        dlt::FRELAY => (2, 0, 0, 0),
        dlt::APPLE_IP_OVER_IEEE1394 => (16, 18, 0, 0),
        dlt::SYMANTEC_FIREWALL => (6, 44, 0, 0),
        dlt::PFLOG => (1, 0, 0, 0),
        dlt::IPNET => (1, 24, 0, 0),
        dlt::PFSYNC => (0, 4, 0, 0),
        _ if is_wlan(link) => (0, 0, 8, 3),
        _ if is_juniper(link) => juniper(link),
        _ => (0, 0, 0, 0),
    }
}

/// Juniper's headers differ by interface card; the ATM cards carry LLC.
fn juniper(link: u16) -> (u32, u32, u32, u32) {
    match link {
        dlt::JUNIPER_GGSN | dlt::JUNIPER_MONITOR => (6, 12, 0, 0),
        dlt::JUNIPER_ETHER | dlt::JUNIPER_PPPOE => (16, 32, 0, 3),
        dlt::JUNIPER_PPPOE_ATM => (4, 6, 0, 0),
        dlt::JUNIPER_ATM1 => (4, 4, 0, 10),
        dlt::JUNIPER_ATM2 => (8, 8, 0, 10),
        _ => (4, 4, 0, 0),
    }
}

/// Whether it is known where the network header of this link type begins.
pub(crate) fn has_network(link: u16) -> bool {
    match link {
        dlt::JUNIPER_MLPPP
        | dlt::JUNIPER_MLFR
        | dlt::JUNIPER_GGSN
        | dlt::JUNIPER_MFR
        | dlt::JUNIPER_ATM2
        | dlt::JUNIPER_ATM1
        | dlt::JUNIPER_MONITOR
        | dlt::JUNIPER_PPPOE
        | dlt::JUNIPER_PPPOE_ATM
        | dlt::JUNIPER_ETHER
        | dlt::JUNIPER_PPP
        | dlt::JUNIPER_FRELAY
        | dlt::JUNIPER_CHDLC => true,
        _ => !is_juniper(link),
    }
}

impl Layout {
    pub fn new(link: u16) -> Layout {
        let (kind, payload, network, network_nosnap) = offsets(link);
        let header = match link {
            dlt::NETANALYZER => 4,
            dlt::NETANALYZER_TRANSPARENT => 12,
            _ => 0,
        };
        Layout {
            link,
            header: Place::at(header),
            kind: Place::at(kind),
            payload: Place::at(payload),
            network,
            network_nosnap,
            labels: 0,
            overlay: false,
            lane: false,
        }
    }

    /// `bytes` into the network header.
    pub fn network(&self, bytes: u32) -> Place {
        self.payload.plus(self.network + bytes)
    }

    /// `bytes` into what follows an LLC header without SNAP.
    pub fn nosnap(&self, bytes: u32) -> Place {
        self.payload.plus(self.network_nosnap + bytes)
    }
}
