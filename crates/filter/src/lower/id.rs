//! Addresses, ports and protocols, and which qualifiers they go with.

use std::net::Ipv6Addr;

use super::Lowerer;
use super::fragment::Fragment;
use super::ip::protocol;
use super::ports::Ports;
use crate::ast::{Direction, Id, Mask, Qualifiers, Which};
use crate::error::{FilterError, Result};
use crate::names::protocols;
use crate::names::services::{Transport, service};

pub(super) const PORT_MAX: u32 = 0xffff;

impl Lowerer<'_> {
    pub(super) fn id(&mut self, qualifiers: Qualifiers, id: &Id) -> Result<Fragment> {
        match id {
            Id::Name(name) => self.name(qualifiers, name),
            Id::Number(number) => self.plain_number(qualifiers, *number),
            Id::Dotted(text, Mask::Implied) => self.dotted(qualifiers, text),
            Id::Dotted(text, mask) => self.prefix4(qualifiers, text, mask),
            Id::V6(address, length) => self.prefix6(qualifiers, *address, *length),
            Id::Mac(address) => self.mac(qualifiers, *address),
            Id::Octet(address) => self.octet(qualifiers, *address),
            Id::List(list) => self.list(qualifiers, list),
        }
    }

    pub(super) fn wrong_protocol(&self, protocol: &str, what: &str) -> FilterError {
        let message = match protocol {
            "link" => format!("'link' needs a link-layer address, not {what}"),
            _ => format!("'{protocol}' does not go with {what}"),
        };
        self.unsupported(message)
    }

    fn wrong_kind(&self, kind: Which, what: &str) -> FilterError {
        self.unsupported(format!("'{}' does not go with {what}", kind.word()))
    }

    pub(super) fn no_wlan_direction(&self, qualifiers: Qualifiers) -> Result<()> {
        match qualifiers.direction {
            Some(Direction::Wlan(word)) => {
                Err(self.unsupported(format!("'{word}' is valid for 802.11 addresses only")))
            }
            _ => Ok(()),
        }
    }

    fn name(&mut self, qualifiers: Qualifiers, name: &str) -> Result<Fragment> {
        match qualifiers.kind.unwrap_or(Which::Host) {
            Which::Host => self.host_name(qualifiers, name),
            Which::Net => {
                // libpcap asks for the address as a whole, since the table gives all four octets.
                let address = self.network_name(name)?;
                self.whole_host4(qualifiers, address, u32::MAX)
            }
            Which::Port => {
                let (port, registered) = self.port_number(name)?;
                self.port_range(qualifiers, (port, port), registered)
            }
            Which::PortRange => {
                let (range, registered) = self.range_of_names(name)?;
                self.port_range(qualifiers, range, registered)
            }
            Which::Gateway => self.gateway(qualifiers, name),
            kind @ (Which::Proto | Which::ProtoChain) => {
                let number = self.protocol_number(qualifiers, kind, name)?;
                self.plain_number(qualifiers, number)
            }
        }
    }

    fn plain_number(&mut self, qualifiers: Qualifiers, number: u32) -> Result<Fragment> {
        match qualifiers.kind.unwrap_or(Which::Host) {
            Which::Host => self.whole_host4(qualifiers, number, u32::MAX),
            Which::Net => {
                // `net 10` is 10.0.0.0/8: the number moves up as far as it can, by octets.
                let octets = (number.leading_zeros() / 8).min(3);
                self.whole_host4(qualifiers, number << (8 * octets), u32::MAX << (8 * octets))
            }
            Which::Port | Which::PortRange => self.port_range(qualifiers, (number, number), None),
            Which::Proto => self.protocol(qualifiers.protocol, number),
            Which::ProtoChain => {
                let which = qualifiers.protocol;
                if !matches!(which, None | Some("ip" | "ip6")) {
                    return Err(self.wrong_protocol(which.unwrap_or_default(), "'protochain'"));
                }
                self.at_most("protocol number", number, 0xff)?;
                self.protochain(number, which)
            }
            Which::Gateway => Err(self.unsupported("'gateway' needs the name of a host")),
        }
    }

    fn whole_host4(&mut self, qualifiers: Qualifiers, address: u32, mask: u32) -> Result<Fragment> {
        self.no_wlan_direction(qualifiers)?;
        if qualifiers.protocol == Some("decnet") {
            return Err(self.bad_value("a DECnet address is written area.node"));
        }
        self.host4(qualifiers, address, mask)
    }

    /// Two to four parts: the address of a host, or of the network that the parts name.
    fn dotted(&mut self, qualifiers: Qualifiers, text: &str) -> Result<Fragment> {
        match qualifiers.kind {
            None | Some(Which::Host | Which::Net) => {}
            Some(kind) => return Err(self.wrong_kind(kind, "an IPv4 address")),
        }
        if qualifiers.protocol == Some("decnet") {
            if qualifiers.kind == Some(Which::Net) {
                return Err(self.wrong_protocol("decnet", "'net'"));
            }
            return self.decnet_host(qualifiers.direction, text);
        }
        self.no_wlan_direction(qualifiers)?;
        let (address, bits) = self.octets(text)?;
        self.host4(qualifiers, address, high_bits(bits))
    }

    fn prefix4(&mut self, qualifiers: Qualifiers, text: &str, mask: &Mask) -> Result<Fragment> {
        if qualifiers.kind != Some(Which::Net) {
            let kind = qualifiers.kind.unwrap_or(Which::Host);
            return Err(self.wrong_kind(kind, "an IPv4 prefix"));
        }
        self.no_wlan_direction(qualifiers)?;
        let (address, mask) = self.network4(text, mask)?;
        if qualifiers.protocol == Some("decnet") {
            return Err(self.wrong_protocol("decnet", "'net'"));
        }
        self.host4(qualifiers, address, mask)
    }

    pub(super) fn network4(&self, text: &str, mask: &Mask) -> Result<(u32, u32)> {
        let (address, _) = self.octets(text)?;
        let mask = match mask {
            Mask::Implied => u32::MAX,
            Mask::Length(length) => {
                self.at_most("prefix length", *length, 32)?;
                high_bits(*length)
            }
            Mask::Dotted(text) => self.octets(text)?.0,
        };
        if address & !mask != 0 {
            return Err(self.bad_value(format!(
                "'{text}' has bits outside its mask; the network is {}",
                std::net::Ipv4Addr::from(address & mask)
            )));
        }
        Ok((address, mask))
    }

    /// The address, its parts as its highest octets, and how many bits were given.
    pub(super) fn octets(&self, text: &str) -> Result<(u32, u32)> {
        let mut address = 0;
        let mut bits = 0;
        for part in text.split('.') {
            let decimal = part.bytes().all(|b| b.is_ascii_digit());
            let octet = part.parse::<u32>().ok().filter(|value| decimal && *value <= 255);
            let octet = octet.ok_or_else(|| {
                self.bad_value(format!("'{text}' is no IPv4 address: '{part}' is not 0 to 255"))
            })?;
            address = address << 8 | octet;
            bits += 8;
        }
        Ok((address << (32 - bits), bits))
    }

    pub(super) fn prefix6(
        &mut self,
        qualifiers: Qualifiers,
        address: Ipv6Addr,
        length: Option<u32>,
    ) -> Result<Fragment> {
        let length = length.unwrap_or(128);
        self.at_most("prefix length", length, 128)?;
        match qualifiers.kind {
            Some(Which::Net) => {}
            None | Some(Which::Host) if length == 128 => {}
            kind => {
                let kind = kind.unwrap_or(Which::Host);
                return Err(self.wrong_kind(kind, "an IPv6 prefix"));
            }
        }
        self.no_wlan_direction(qualifiers)?;
        let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
        if u128::from(address) & !mask != 0 {
            let network = Ipv6Addr::from(u128::from(address) & mask);
            return Err(self.bad_value(format!(
                "'{address}' has bits outside its prefix of {length}; the network is {network}"
            )));
        }
        self.host6(qualifiers, address, mask)
    }

    fn mac(&mut self, qualifiers: Qualifiers, address: [u8; 6]) -> Result<Fragment> {
        let host = matches!(qualifiers.kind, None | Some(Which::Host));
        if !host || qualifiers.protocol != Some("link") {
            return Err(self.unsupported("a MAC address goes with 'ether [src|dst] host' only"));
        }
        self.ether_host(qualifiers.direction, address)
    }

    fn octet(&mut self, qualifiers: Qualifiers, address: u8) -> Result<Fragment> {
        if !matches!(qualifiers.kind, None | Some(Which::Host)) {
            let kind = qualifiers.kind.unwrap_or(Which::Host);
            return Err(self.wrong_kind(kind, "a one-octet address"));
        }
        if qualifiers.protocol != Some("link") {
            return Err(self.unsupported("a one-octet address goes with 'link host' only"));
        }
        self.octet_host(qualifiers.direction, address)
    }

    // Protocols.

    pub(super) fn protocol(
        &mut self,
        protocol: Option<&'static str>,
        number: u32,
    ) -> Result<Fragment> {
        match protocol {
            None | Some("ip" | "ip6") => {
                self.at_most("protocol number", number, 0xff)?;
                match protocol {
                    Some("ip") => self.protocol4(number),
                    Some(_) => self.protocol6(number),
                    None => self.protocol46(number),
                }
            }
            Some("link") => self.link_type(number),
            Some("iso") => self.iso_protocol(number),
            Some("isis") => self.isis_type(number),
            Some(other) => Err(self.wrong_protocol(other, "'proto'")),
        }
    }

    fn protocol_number(&self, qualifiers: Qualifiers, kind: Which, name: &str) -> Result<u32> {
        let number = match (qualifiers.protocol, kind) {
            (None | Some("ip" | "ip6"), _) => protocols::ip(name),
            (Some("iso"), Which::Proto) => protocols::osi(name),
            (Some("link"), Which::Proto) => protocols::ether(name),
            _ => None,
        };
        let of = qualifiers.protocol.map(|word| format!("{word} ")).unwrap_or_default();
        number.ok_or_else(|| {
            self.bad_value(format!(
                "'{name}' is no protocol that '{of}{}' knows; give its number",
                kind.word()
            ))
        })
    }

    /// A protocol by its keyword alone.
    pub(super) fn abbreviation(&mut self, word: &str) -> Result<Fragment> {
        match word {
            "tcp" => self.protocol46(protocol::TCP),
            "udp" => self.protocol46(protocol::UDP),
            "sctp" => self.protocol46(protocol::SCTP),
            "pim" => self.protocol46(protocol::PIM),
            "ah" => self.protocol46(protocol::AH),
            "esp" => self.protocol46(protocol::ESP),
            "icmp" => self.protocol4(protocol::ICMP),
            "igmp" => self.protocol4(protocol::IGMP),
            "igrp" => self.protocol4(protocol::IGRP),
            "vrrp" | "carp" => self.protocol4(protocol::VRRP),
            "icmp6" => self.protocol6(protocol::ICMP6),
            "clnp" | "esis" | "isis" => self.iso_protocol(protocols::osi(word).unwrap_or_default()),
            _ => {
                if let Some(types) = protocols::isis_types(word) {
                    return self.isis_types(types);
                }
                let Some(number) = protocols::ether(word) else {
                    return Err(self.unsupported(format!("'{word}' cannot stand alone")));
                };
                self.link_type(number)
            }
        }
    }

    // Ports.

    fn port_range(
        &mut self,
        qualifiers: Qualifiers,
        range: (u32, u32),
        registered: Option<Transport>,
    ) -> Result<Fragment> {
        let transport = self.transport_of(qualifiers, registered)?;
        self.at_most("port", range.0, PORT_MAX)?;
        self.at_most("port", range.1, PORT_MAX)?;
        self.ports(qualifiers.direction, transport, &Ports::Range(range.0, range.1))
    }

    /// The transport that qualifiers ask for, or that a service is registered for.
    pub(super) fn transport_of(
        &self,
        qualifiers: Qualifiers,
        registered: Option<Transport>,
    ) -> Result<Option<u32>> {
        let kind = qualifiers.kind.unwrap_or(Which::Port).word();
        if let Some(Direction::Wlan(word)) = qualifiers.direction {
            return Err(self.unsupported(format!("'{word}' does not go with '{kind}'")));
        }
        Ok(match qualifiers.protocol {
            None => match registered {
                Some(Transport::Tcp) => Some(protocol::TCP),
                Some(Transport::Udp) => Some(protocol::UDP),
                _ => None,
            },
            Some("tcp") if registered != Some(Transport::Udp) => Some(protocol::TCP),
            Some("udp") if registered != Some(Transport::Tcp) => Some(protocol::UDP),
            Some("sctp") => Some(protocol::SCTP),
            Some(word @ ("tcp" | "udp")) => {
                let other = if word == "tcp" { "udp" } else { "tcp" };
                return Err(self.bad_value(format!("this service is registered for {other} only")));
            }
            Some(other) => return Err(self.wrong_protocol(other, &format!("'{kind}'"))),
        })
    }

    fn port_number(&self, text: &str) -> Result<(u32, Option<Transport>)> {
        let found = number_or_service(text);
        found.ok_or_else(|| self.bad_value(format!("unknown service '{text}'; give its number")))
    }

    /// `a-b`, where either may be a name with hyphens of its own; or one port alone.
    pub(super) fn range_of_names(&self, text: &str) -> Result<((u32, u32), Option<Transport>)> {
        if let Some((port, registered)) = number_or_service(text) {
            return Ok(((port, port), registered));
        }
        for (at, _) in text.match_indices('-') {
            let (low, high) = (number_or_service(&text[..at]), number_or_service(&text[at + 1..]));
            if let (Some((low, first)), Some((high, second))) = (low, high) {
                let registered = match (first, second) {
                    (Some(first), Some(second)) if first == second => Some(first),
                    (Some(only), None) | (None, Some(only)) => Some(only),
                    _ => None,
                };
                return Ok(((low, high), registered));
            }
        }
        Err(self
            .bad_value(format!("'{text}' is no range of ports, such as 1-1023 or ftp-data-ftp")))
    }
}

pub(super) fn high_bits(count: u32) -> u32 {
    u32::MAX.checked_shl(32 - count).unwrap_or(0)
}

fn number_or_service(text: &str) -> Option<(u32, Option<Transport>)> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Some((text.parse().ok()?, None));
    }
    service(text).map(|(port, registered)| (u32::from(port), Some(registered)))
}
