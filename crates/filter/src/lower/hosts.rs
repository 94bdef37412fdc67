//! Hosts by name: the system's resolver, and /etc/ethers.

use std::net::{IpAddr, ToSocketAddrs};

use super::Lowerer;
use super::fragment::{Fragment, not};
use crate::ast::Qualifiers;
use crate::error::{ErrorKind, FilterError, Result};

impl Lowerer<'_> {
    pub(super) fn host_name(&mut self, qualifiers: Qualifiers, name: &str) -> Result<Fragment> {
        match qualifiers.protocol {
            Some("link") => {
                let address = self.ether_name(name)?;
                self.ether_host(qualifiers.direction, address)
            }
            None | Some("ip" | "ip6" | "arp" | "rarp") => {
                let addresses = self.resolve(name)?;
                self.hosts(qualifiers, name, &addresses)
            }
            Some(other) => Err(self.wrong_protocol(other, "'host'")),
        }
    }

    fn hosts(
        &mut self,
        qualifiers: Qualifiers,
        name: &str,
        addresses: &[IpAddr],
    ) -> Result<Fragment> {
        let mut condition = Fragment::Always(false);
        let mut any = false;
        for address in addresses {
            let test = match (address, qualifiers.protocol) {
                (IpAddr::V4(address), None | Some("ip" | "arp" | "rarp")) => {
                    self.host4(qualifiers, u32::from(*address), u32::MAX)?
                }
                (IpAddr::V6(address), None | Some("ip6")) => {
                    self.host6(qualifiers, *address, u128::MAX)?
                }
                _ => continue,
            };
            any = true;
            condition = self.program.or(condition, test);
        }
        if any {
            return Ok(condition);
        }
        let protocol = qualifiers.protocol.unwrap_or("ip");
        Err(self.bad_value(format!("host '{name}' has no address that '{protocol}' could match")))
    }

    /// The addresses of a host, each once, by the system's resolver.
    pub(super) fn resolve(&self, name: &str) -> Result<Vec<IpAddr>> {
        let unknown = |why: String| {
            let message = format!("unknown host '{name}'{why}");
            FilterError::new(ErrorKind::Resolve, self.span.clone(), message)
        };
        // RFC 6761, 6.4: there are no such names; do not bother a server.
        if name.trim_end_matches('.').ends_with(".invalid") {
            return Err(unknown(String::new()));
        }
        if !self.options.resolve {
            return Err(unknown(": names are not resolved here".to_owned()));
        }
        let found = (name, 0).to_socket_addrs().map_err(|error| unknown(format!(": {error}")))?;
        let mut addresses: Vec<IpAddr> = Vec::new();
        for address in found.map(|socket| socket.ip()) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        Ok(addresses)
    }

    /// The MAC address of a name in /etc/ethers (ethers(5)).
    fn ether_name(&self, name: &str) -> Result<[u8; 6]> {
        self.ether_supported("host")?;
        let table = std::fs::read_to_string("/etc/ethers").unwrap_or_default();
        let found = table.lines().find_map(|line| {
            let mut words = line.split('#').next()?.split_whitespace();
            let (address, known) = (words.next()?, words.next()?);
            if known != name {
                return None;
            }
            let parts = address.split(':').map(|part| u8::from_str_radix(part, 16).ok());
            <[u8; 6]>::try_from(parts.collect::<Option<Vec<u8>>>()?).ok()
        });
        found.ok_or_else(|| {
            let message = format!("unknown Ethernet host '{name}'; add it to /etc/ethers");
            FilterError::new(ErrorKind::Resolve, self.span.clone(), message)
        })
    }

    /// The packet went through the host's network card, but is neither from nor to its address.
    pub(super) fn gateway(&mut self, qualifiers: Qualifiers, name: &str) -> Result<Fragment> {
        if !matches!(qualifiers.protocol, None | Some("ip" | "arp" | "rarp")) {
            let protocol = qualifiers.protocol.unwrap_or_default();
            return Err(self.wrong_protocol(protocol, "'gateway'"));
        }
        if self.layout.labels > 0 || self.layout.overlay {
            return Err(self.unsupported("'gateway' cannot be used behind mpls, vxlan or geneve"));
        }
        let mac = self.ether_name(name)?;
        let addresses = self.resolve(name)?;
        let through = self.ether_host(None, mac)?;
        let own = self.hosts(Qualifiers { kind: None, ..qualifiers }, name, &addresses)?;
        Ok(self.program.and(through, not(own)))
    }
}
