//! IPv4 and IPv6: addresses, protocols, broadcast and multicast.

use std::net::Ipv6Addr;

use super::Lowerer;
use super::fragment::Fragment;
use super::layout::{Place, has_network};
use super::linktype::ethertype::{ARP, IP, IP6, RARP};
use crate::ast::{Direction, Qualifiers};
use crate::error::Result;
use crate::ir::{Compare, Number, NumberId, Op, Size};

/// Protocol numbers (IANA).
pub(super) mod protocol {
    pub const ICMP: u32 = 1;
    pub const IGMP: u32 = 2;
    pub const TCP: u32 = 6;
    pub const IGRP: u32 = 9;
    pub const UDP: u32 = 17;
    pub const FRAGMENT: u32 = 44;
    pub const ESP: u32 = 50;
    pub const AH: u32 = 51;
    pub const ICMP6: u32 = 58;
    pub const NO_NEXT: u32 = 59;
    pub const PIM: u32 = 103;
    pub const VRRP: u32 = 112;
    pub const SCTP: u32 = 132;
}

/// The length of an IPv6 header in bytes.
pub(super) const IP6_BYTES: u32 = 40;

impl Lowerer<'_> {
    /// `bytes` into the network header.
    pub(super) fn network(&self, bytes: u32) -> Result<Place> {
        if has_network(self.layout.link) {
            Ok(self.layout.network(bytes))
        } else {
            Err(self.not_on_link("a test of the network header"))
        }
    }

    /// An IPv4 address in IP, ARP or RARP headers.
    pub(super) fn host4(
        &mut self,
        qualifiers: Qualifiers,
        address: u32,
        mask: u32,
    ) -> Result<Fragment> {
        self.hosts4(qualifiers, &[address], mask)
    }

    /// Any of some IPv4 networks of one mask.
    pub(super) fn hosts4(
        &mut self,
        qualifiers: Qualifiers,
        addresses: &[u32],
        mask: u32,
    ) -> Result<Fragment> {
        let direction = qualifiers.direction;
        match qualifiers.protocol {
            Some("ip") => self.host4_in(IP, (12, 16), direction, addresses, mask),
            Some("arp") => self.host4_in(ARP, (14, 24), direction, addresses, mask),
            Some("rarp") => self.host4_in(RARP, (14, 24), direction, addresses, mask),
            None => {
                let ip = self.host4_in(IP, (12, 16), direction, addresses, mask)?;
                if self.layout.labels > 0 {
                    // Nothing but IP is told apart behind an MPLS label.
                    return Ok(ip);
                }
                let arp = self.host4_in(ARP, (14, 24), direction, addresses, mask)?;
                let rarp = self.host4_in(RARP, (14, 24), direction, addresses, mask)?;
                Ok(self.program.any([ip, arp, rarp]))
            }
            Some(other) => Err(self.wrong_protocol(other, "an IPv4 address")),
        }
    }

    fn host4_in(
        &mut self,
        protocol: u32,
        (source, destination): (u32, u32),
        direction: Option<Direction>,
        addresses: &[u32],
        mask: u32,
    ) -> Result<Fragment> {
        let is = self.link_type(protocol)?;
        let (source, destination) = (self.network(source)?, self.network(destination)?);
        let host = self.any_of(direction, addresses, |lowerer, from, wanted| {
            let place = if from { source } else { destination };
            lowerer.masked_one_of(place, mask, wanted)
        })?;
        Ok(self.program.and(is, host))
    }

    /// An IPv6 prefix.
    pub(super) fn host6(
        &mut self,
        qualifiers: Qualifiers,
        address: Ipv6Addr,
        mask: u128,
    ) -> Result<Fragment> {
        if !matches!(qualifiers.protocol, None | Some("ip6")) {
            let protocol = qualifiers.protocol.unwrap_or_default();
            return Err(self.wrong_protocol(protocol, "an IPv6 address"));
        }
        let is = self.link_type(IP6)?;
        let (source, destination) = (self.network(8)?, self.network(24)?);
        let address = u128::from(address);
        let host = self.by_direction(qualifiers.direction, |lowerer, from| {
            let place = if from { source } else { destination };
            let mut condition = Fragment::Always(true);
            for word in 0..4u32 {
                let part = |value: u128| (value >> (96 - 32 * word)) as u32;
                let place = place.plus(4 * word);
                let test = lowerer.masked(place, Size::Word, part(mask), part(address));
                condition = lowerer.program.and(condition, test);
            }
            condition
        })?;
        Ok(self.program.and(is, host))
    }

    /// `ip proto N`: no look at fragments.
    pub(super) fn protocol4(&mut self, number: u32) -> Result<Fragment> {
        let is = self.link_type(IP)?;
        let field = self.network(9)?;
        let test = self.equal(field, Size::Byte, number);
        Ok(self.program.and(is, test))
    }

    /// `ip6 proto N`: in the fixed header, or behind exactly one Fragment header.
    pub(super) fn protocol6(&mut self, number: u32) -> Result<Fragment> {
        let is = self.link_type(IP6)?;
        let next = self.network(6)?;
        let behind = self.network(IP6_BYTES)?;
        let direct = self.equal(next, Size::Byte, number);
        let fragment = self.equal(next, Size::Byte, protocol::FRAGMENT);
        let fragmented = self.equal(behind, Size::Byte, number);
        let fragmented = self.program.and(fragment, fragmented);
        let test = self.program.or(direct, fragmented);
        Ok(self.program.and(is, test))
    }

    pub(super) fn protocol46(&mut self, number: u32) -> Result<Fragment> {
        let four = self.protocol4(number)?;
        let six = self.protocol6(number)?;
        Ok(self.program.or(four, six))
    }

    /// Not a later fragment: the offset is 0.
    pub(super) fn first_fragment(&mut self) -> Result<Fragment> {
        let field = self.network(6)?;
        Ok(super::not(self.any_bit(field, Size::Half, 0x1fff)))
    }

    /// The length of the IPv4 header, as it says itself: below 20 is believed too.
    pub(super) fn header4_bytes(&mut self) -> Result<NumberId> {
        let first = self.network(0)?;
        let first = self.load(first, Size::Byte);
        let words = self.program.binary_const(Op::And, first, 0x0f);
        Ok(self.program.binary_const(Op::Shl, words, 2))
    }

    /// A field behind the IPv4 header.
    pub(super) fn behind4(&mut self, bytes: u32, size: Size) -> Result<NumberId> {
        let place = self.network(bytes)?;
        let mut base = self.header4_bytes()?;
        if let Some(slot) = place.slot {
            let slot = self.slot_number(slot);
            base = self.program.intern(Number::Binary(Op::Add, slot, base));
        }
        Ok(self.program.intern(Number::Load { base: Some(base), offset: place.fixed, size }))
    }

    pub(super) fn ip_broadcast(&mut self) -> Result<Fragment> {
        let Some(netmask) = self.options.netmask else {
            return Err(self.unsupported(
                "'ip broadcast' needs the netmask of the interface; give it as the netmask option",
            ));
        };
        let is = self.link_type(IP)?;
        let host = !netmask;
        let destination = self.network(16)?;
        let mut field = self.load(destination, Size::Word);
        if host != u32::MAX {
            field = self.program.binary_const(Op::And, field, host);
        }
        let zeros = self.compare(field, Compare::Equal, 0);
        let ones = self.compare(field, Compare::Equal, host);
        let test = self.program.or(zeros, ones);
        Ok(self.program.and(is, test))
    }

    pub(super) fn ip_multicast(&mut self, six: bool) -> Result<Fragment> {
        let is = self.link_type(if six { IP6 } else { IP })?;
        let test = if six {
            let destination = self.network(24)?;
            self.equal(destination, Size::Byte, 0xff)
        } else {
            let destination = self.network(16)?;
            self.masked(destination, Size::Byte, 0xf0, 0xe0)
        };
        Ok(self.program.and(is, test))
    }
}
