//! Link-layer addresses, broadcast and multicast.

use super::Lowerer;
use super::fragment::{Fragment, not};
use super::layout::{Place, is_ethernet, is_wlan};
use crate::ast::Direction;
use crate::error::Result;
use crate::ir::Size;
use crate::link::number as dlt;

const BROADCAST: [u8; 6] = [0xff; 6];

impl Lowerer<'_> {
    /// Where the source and the destination address are, if this link type has MAC addresses.
    fn macs(&self) -> Option<(Place, Place)> {
        let header = self.layout.header;
        let (source, destination) = match self.layout.link {
            link if is_ethernet(link) => (6, 0),
            dlt::FDDI => (7, 1),
            dlt::IEEE802 => (8, 2),
            dlt::IP_OVER_FC => (10, 2),
            dlt::SUNATM if self.layout.lane => (6, 0),
            _ => return None,
        };
        Some((header.plus(source), header.plus(destination)))
    }

    pub(super) fn ether_supported(&self, what: &str) -> Result<()> {
        if self.macs().is_some() || is_wlan(self.layout.link) {
            Ok(())
        } else {
            Err(self.not_on_link(what))
        }
    }

    pub(super) fn ether_host(
        &mut self,
        direction: Option<Direction>,
        address: [u8; 6],
    ) -> Result<Fragment> {
        if is_wlan(self.layout.link) {
            return self.wlan_host(direction, address);
        }
        let Some((source, destination)) = self.macs() else {
            return Err(self.not_on_link("link host with a MAC address"));
        };
        let host = self.by_direction(direction, |lowerer, from| {
            lowerer.bytes(if from { source } else { destination }, &address)
        })?;
        Ok(self.inside(host))
    }

    /// In front of tests of a MAC header that may not be there.
    fn inside(&mut self, test: Fragment) -> Fragment {
        let test = self.framed(test);
        if self.layout.link != dlt::SUNATM {
            return test;
        }
        let data = self.lane_data();
        self.program.and(data, test)
    }

    /// One-octet addresses: ARCnet, BACnet MS/TP.
    pub(super) fn octet_host(
        &mut self,
        direction: Option<Direction>,
        address: u8,
    ) -> Result<Fragment> {
        let (source, destination) = match self.layout.link {
            dlt::ARCNET | dlt::ARCNET_LINUX => (0, 1),
            dlt::BACNET_MS_TP => (4, 3),
            _ => return Err(self.not_on_link("link host $XX")),
        };
        self.by_direction(direction, |lowerer, from| {
            let place = Place::at(if from { source } else { destination });
            lowerer.equal(place, Size::Byte, u32::from(address))
        })
    }

    pub(super) fn broadcast(&mut self, protocol: Option<&'static str>) -> Result<Fragment> {
        match protocol {
            Some("ip") => return self.ip_broadcast(),
            None | Some("link") => {}
            Some(other) => return Err(self.wrong_protocol(other, "'broadcast'")),
        }
        match self.layout.link {
            dlt::ARCNET | dlt::ARCNET_LINUX => self.octet_host(Some(Direction::Destination), 0),
            dlt::BACNET_MS_TP => self.octet_host(Some(Direction::Destination), 0xff),
            link if is_wlan(link) => self.wlan_host(Some(Direction::Destination), BROADCAST),
            _ => {
                let Some((_, destination)) = self.macs() else {
                    return Err(self.not_on_link("broadcast"));
                };
                let test = self.bytes(destination, &BROADCAST);
                Ok(self.inside(test))
            }
        }
    }

    pub(super) fn multicast(&mut self, protocol: Option<&'static str>) -> Result<Fragment> {
        match protocol {
            Some("ip") => return self.ip_multicast(false),
            Some("ip6") => return self.ip_multicast(true),
            None | Some("link") => {}
            Some(other) => return Err(self.wrong_protocol(other, "'multicast'")),
        }
        match self.layout.link {
            dlt::ARCNET | dlt::ARCNET_LINUX => self.octet_host(Some(Direction::Destination), 0),
            link if is_wlan(link) => Ok(self.wlan_multicast()),
            _ => {
                let Some((_, destination)) = self.macs() else {
                    return Err(self.not_on_link("multicast"));
                };
                let test = self.any_bit(destination, Size::Byte, 1);
                Ok(self.inside(test))
            }
        }
    }

    /// ATM LAN emulation: not a control frame.
    pub(super) fn lane_data(&mut self) -> Fragment {
        not(self.equal(Place::at(4), Size::Half, 0xff00))
    }
}
