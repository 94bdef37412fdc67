//! Hosts by name: the system's resolver, and /etc/ethers; networks by name: /etc/networks.

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

    /// The address of a name or alias in /etc/networks (networks(5)), filled up with octets of 0.
    pub(super) fn network_name(&self, name: &str) -> Result<u32> {
        let read = || std::fs::read_to_string("/etc/networks").ok();
        let table = self.options.resolve.then(read).flatten().unwrap_or_default();
        let found = table.lines().find_map(|line| {
            let words: Vec<&str> = line.split('#').next()?.split_whitespace().collect();
            let (known, [address, aliases @ ..]) = words.split_first()? else { return None };
            (*known == name || aliases.contains(&name)).then_some(self.octets(address).ok()?.0)
        });
        // 0 is libpcap's "not found".
        found.filter(|address| *address != 0).ok_or_else(|| {
            self.bad_value(format!(
                "unknown network '{name}'; write its address and the length of its prefix, or \
                 add it to /etc/networks"
            ))
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

#[cfg(test)]
mod tests {
    use crate::{Filter, Options};

    /// As libpcap has it: `loopback` is 127.0.0.0 in /etc/networks, and is asked for as a whole.
    #[test]
    fn networks_have_names() {
        let table = std::fs::read_to_string("/etc/networks").unwrap_or_default();
        if !table.lines().any(|line| line.starts_with("loopback") && line.contains("127.0.0.0")) {
            eprintln!("SKIPPED: networks_have_names: /etc/networks does not name loopback");
            return;
        }
        let code =
            |text: &str| Filter::compile(text, &Options::default()).unwrap().classic().unwrap();
        assert_eq!(code("src net loopback"), code("src host 127.0.0.0"));
    }

    #[test]
    fn unknown_networks_say_where_to_add_them() {
        let error = Filter::compile("net no-such-net", &Options::default()).unwrap_err();
        assert!(error.message.contains("/etc/networks"), "{error}");
        assert_eq!(error.span, 0..15);
    }
}
