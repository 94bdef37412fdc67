//! "Is it protocol X?" for every link type.
//!
//! Protocols are EtherTypes above 1500 and LLC service access points up to 255, as in
//! `ether proto`.

use super::Lowerer;
use super::fragment::{Fragment, not};
use super::layout::{is_ethernet, is_juniper, is_wlan};
use crate::error::Result;
use crate::ir::{Compare, Size};
use crate::link::number as dlt;

/// EtherTypes that are tested in many places.
pub(super) mod ethertype {
    pub const IP: u32 = 0x0800;
    pub const ARP: u32 = 0x0806;
    pub const RARP: u32 = 0x8035;
    pub const ATALK: u32 = 0x809b;
    pub const AARP: u32 = 0x80f3;
    pub const IPX: u32 = 0x8137;
    pub const IP6: u32 = 0x86dd;
    pub const MPLS: u32 = 0x8847;
    pub const PPPOE_DISCOVERY: u32 = 0x8863;
    pub const PPPOE_SESSION: u32 = 0x8864;
    pub const TRANSPARENT_ETHERNET: u32 = 0x6558;
}
use ethertype::{AARP, ARP, ATALK, IP, IP6, IPX, RARP};

/// Up to here the field after the addresses is a length (IEEE 802.3).
pub(super) const LENGTH_MAX: u32 = 1500;
const SAP_IP: u32 = 0x06;
const SAP_STP: u32 = 0x42;
const SAP_IPX: u32 = 0xe0;
const SAP_NETBEUI: u32 = 0xf0;
const SAP_ISO: u32 = 0xfe;

/// Protocols that use the same SAP as source and destination.
fn both_saps(protocol: u32) -> bool {
    matches!(protocol, SAP_IP | SAP_NETBEUI | SAP_ISO)
}

impl Lowerer<'_> {
    pub(super) fn link_type(&mut self, protocol: u32) -> Result<Fragment> {
        if self.layout.labels > 0 {
            return self.mpls_payload(protocol);
        }
        let kind = self.layout.kind;
        let link = self.layout.link;
        Ok(match link {
            _ if is_ethernet(link) => self.ethernet_type(protocol)?,
            _ if is_wlan(link) => {
                let data = self.wlan_data();
                let llc = self.llc_type(protocol)?;
                self.program.and(data, llc)
            }
            dlt::SUNATM => self.atm_type(protocol)?,
            dlt::FDDI | dlt::IEEE802 | dlt::ATM_RFC1483 | dlt::ATM_CLIP | dlt::IP_OVER_FC => {
                self.llc_type(protocol)?
            }
            dlt::LINUX_SLL | dlt::LINUX_SLL2 => self.cooked_type(protocol)?,
            dlt::RAW | dlt::SLIP | dlt::SLIP_BSDOS => self.version(protocol),
            dlt::IPV4 => Fragment::Always(protocol == IP),
            dlt::IPV6 => Fragment::Always(protocol == IP6),
            dlt::PPP | dlt::PPP_PPPD | dlt::PPP_SERIAL | dlt::PPP_ETHER | dlt::PPP_BSDOS => {
                self.ppp_type(protocol)?
            }
            dlt::C_HDLC | dlt::HDLC => {
                self.at_most("HDLC protocol", protocol, 0xffff)?;
                let value = if protocol == SAP_ISO { 0xfefe } else { protocol };
                self.equal(kind, Size::Half, value)
            }
            dlt::NULL | dlt::LOOP | dlt::ENC => self.family(protocol),
            dlt::PFLOG => match protocol {
                IP => self.equal(kind, Size::Byte, 2),
                IP6 => self.any_family(Size::Byte, &self.ip6_families()),
                _ => Fragment::Always(false),
            },
            dlt::ARCNET | dlt::ARCNET_LINUX => match protocol {
                IP6 => self.equal(kind, Size::Byte, 0xc4),
                IP => self.equal(kind, Size::Byte, 0xd4),
                ARP => self.equal(kind, Size::Byte, 0xd5),
                RARP => self.equal(kind, Size::Byte, 0xd6),
                ATALK => self.equal(kind, Size::Byte, 0xdd),
                _ => Fragment::Always(false),
            },
            dlt::LTALK => Fragment::Always(protocol == ATALK),
            // Q.922 UI frames: the network layer protocol identifier behind control octet 3.
            dlt::FRELAY => match protocol {
                IP => self.equal(kind, Size::Half, 0x03cc),
                IP6 => self.equal(kind, Size::Half, 0x038e),
                SAP_ISO => self.any_family(Size::Half, &[0x0381, 0x0382, 0x0383]),
                _ => Fragment::Always(false),
            },
            dlt::IPNET => match protocol {
                IP => self.equal(kind, Size::Byte, 2),
                IP6 => self.equal(kind, Size::Byte, 26),
                _ => Fragment::Always(false),
            },
            dlt::APPLE_IP_OVER_IEEE1394 | dlt::SYMANTEC_FIREWALL => {
                self.at_most("EtherType", protocol, 0xffff)?;
                self.equal(kind, Size::Half, protocol)
            }
            // Every Juniper header begins with the same magic; which protocol follows is not said.
            _ if is_juniper(link) => {
                self.masked(self.layout.header, Size::Word, 0xffff_ff00, 0x4d47_4300)
            }
            _ => return Err(self.not_on_link("a test of the protocol")),
        })
    }

    /// Ethernet II, or 802.3 with LLC.
    pub(super) fn ethernet_type(&mut self, protocol: u32) -> Result<Fragment> {
        let kind = self.layout.kind;
        let llc = self.layout.payload;
        if both_saps(protocol) {
            let framed = self.is_802_3();
            let saps = self.equal(llc, Size::Half, protocol << 8 | protocol);
            return Ok(self.program.and(framed, saps));
        }
        match protocol {
            SAP_IPX => {
                let ethernet = self.equal(kind, Size::Half, IPX);
                let framed = self.is_802_3();
                let snap = self.snap(0, IPX);
                let sap = self.equal(llc, Size::Byte, SAP_IPX);
                // Novell's own framing: no LLC, but a checksum field of ones.
                let raw = self.equal(llc, Size::Half, 0xffff);
                let inner = self.program.any([snap, sap, raw]);
                let framed = self.program.and(framed, inner);
                Ok(self.program.or(ethernet, framed))
            }
            ATALK | AARP => {
                let ethernet = self.equal(kind, Size::Half, protocol);
                let framed = self.is_802_3();
                let snap = self.appletalk(protocol);
                let framed = self.program.and(framed, snap);
                Ok(self.program.or(ethernet, framed))
            }
            _ if protocol > LENGTH_MAX => {
                self.at_most("EtherType", protocol, 0xffff)?;
                Ok(self.equal(kind, Size::Half, protocol))
            }
            _ => {
                self.at_most("LLC DSAP", protocol, 0xff)?;
                let framed = self.is_802_3();
                let sap = self.equal(llc, Size::Byte, protocol);
                Ok(self.program.and(framed, sap))
            }
        }
    }

    pub(super) fn is_802_3(&mut self) -> Fragment {
        let field = self.load(self.layout.kind, Size::Half);
        not(self.compare(field, Compare::Greater, LENGTH_MAX))
    }

    /// LLC, with SNAP for what has an EtherType.
    pub(super) fn llc_type(&mut self, protocol: u32) -> Result<Fragment> {
        let llc = self.layout.payload;
        if both_saps(protocol) {
            return Ok(self.equal(llc, Size::Half, protocol << 8 | protocol));
        }
        match protocol {
            ATALK => Ok(self.appletalk(protocol)),
            _ if protocol > LENGTH_MAX => {
                self.at_most("EtherType", protocol, 0xffff)?;
                Ok(self.equal(llc.plus(6), Size::Half, protocol))
            }
            _ => {
                self.at_most("LLC DSAP", protocol, 0xff)?;
                Ok(self.equal(llc, Size::Byte, protocol))
            }
        }
    }

    /// Linux cooked: an EtherType, or 1 for raw 802.3, or 4 for 802.2.
    fn cooked_type(&mut self, protocol: u32) -> Result<Fragment> {
        let kind = self.layout.kind;
        let llc = self.layout.payload;
        if protocol > LENGTH_MAX && !matches!(protocol, ATALK | AARP) {
            self.at_most("EtherType", protocol, 0xffff)?;
            return Ok(self.equal(kind, Size::Half, protocol));
        }
        if matches!(protocol, ATALK | AARP) {
            let ethernet = self.equal(kind, Size::Half, protocol);
            let framed = self.equal(kind, Size::Half, 4);
            let snap = self.appletalk(protocol);
            let framed = self.program.and(framed, snap);
            return Ok(self.program.or(ethernet, framed));
        }
        self.at_most("LLC DSAP", protocol, 0xff)?;
        if protocol == SAP_IPX {
            let ethernet = self.equal(kind, Size::Half, IPX);
            let raw = self.equal(kind, Size::Half, 1);
            let framed = self.equal(kind, Size::Half, 4);
            let sap = self.equal(llc, Size::Byte, SAP_IPX);
            let snap = self.snap(0, IPX);
            let inner = self.program.or(sap, snap);
            let framed = self.program.and(framed, inner);
            return Ok(self.program.any([ethernet, raw, framed]));
        }
        let framed = self.equal(kind, Size::Half, 4);
        let sap = if both_saps(protocol) {
            self.equal(llc, Size::Half, protocol << 8 | protocol)
        } else {
            self.equal(llc, Size::Byte, protocol)
        };
        Ok(self.program.and(framed, sap))
    }

    /// PPP protocol numbers (IANA); what has none of its own keeps its EtherType.
    fn ppp_type(&mut self, protocol: u32) -> Result<Fragment> {
        self.at_most("PPP protocol", protocol, 0xffff)?;
        let kind = self.layout.kind;
        if self.layout.link == dlt::PPP_BSDOS && protocol == IP {
            // Plain, and with Van Jacobson compression, both ways.
            return Ok(self.any_family(Size::Half, &[0x0021, 0x002d, 0x002f]));
        }
        let number = match protocol {
            IP => 0x0021,
            IP6 => 0x0057,
            0x6003 => 0x0027,
            ATALK => 0x0029,
            0x0600 => 0x0025,
            SAP_ISO => 0x0023,
            SAP_STP => 0x0031,
            SAP_IPX => 0x002b,
            other => other,
        };
        Ok(self.equal(kind, Size::Half, number))
    }

    /// The version of a raw IP packet.
    pub(super) fn version(&mut self, protocol: u32) -> Fragment {
        let header = self.layout.header;
        match protocol {
            IP => self.masked(header, Size::Byte, 0xf0, 0x40),
            IP6 => self.masked(header, Size::Byte, 0xf0, 0x60),
            _ => Fragment::Always(false),
        }
    }

    /// BSD loopback: an address family, in network order (LOOP) or in that of the machine that
    /// captured. A file may come from any machine, so that both orders and every system's number
    /// for IPv6 are looked for; live it is ours.
    fn family(&mut self, protocol: u32) -> Fragment {
        let families: Vec<u32> = match protocol {
            IP => vec![2],
            IP6 => self.ip6_families(),
            _ => return Fragment::Always(false),
        };
        let host_order = self.layout.link != dlt::LOOP;
        let swapped = families.iter().map(|family| family.swap_bytes());
        let values: Vec<u32> = match (host_order, self.options.from_file) {
            (false, _) => families,
            (true, true) => families.iter().copied().chain(swapped).collect(),
            (true, false) => {
                families.iter().map(|family| u32::from_be_bytes(family.to_ne_bytes())).collect()
            }
        };
        self.any_family(Size::Word, &values)
    }

    /// AF_INET6 of Darwin, NetBSD and OpenBSD, FreeBSD in files; Linux's live.
    fn ip6_families(&self) -> Vec<u32> {
        if self.options.from_file { vec![30, 24, 28] } else { vec![10] }
    }

    fn any_family(&mut self, size: Size, values: &[u32]) -> Fragment {
        let kind = self.layout.kind;
        let mut condition = Fragment::Always(false);
        for value in values {
            let test = self.equal(kind, size, *value);
            condition = self.program.or(condition, test);
        }
        condition
    }

    /// SNAP: LLC aa aa 03, then an organisation and a protocol (IEEE 802).
    pub(super) fn snap(&mut self, organisation: u32, protocol: u32) -> Fragment {
        let llc = self.layout.payload;
        let low = self.equal(llc.plus(4), Size::Word, (organisation & 0xffff) << 16 | protocol);
        let high = self.equal(llc, Size::Word, 0xaaaa_0300 | organisation >> 16);
        self.program.and(low, high)
    }

    fn appletalk(&mut self, protocol: u32) -> Fragment {
        self.snap(if protocol == ATALK { 0x08_0007 } else { 0 }, protocol)
    }
}
