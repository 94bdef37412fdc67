//! The interfaces of this network namespace: names, indexes, MTU, addresses, link types.
//!
//! Two dumps of rtnetlink(7), which only read and need no privilege. `/sys/class/net` would not do:
//! it shows the namespace that it was mounted in, not that of the calling thread.

use crate::PortError;
use crate::netlink::{self, Requests, attributes, find as find_attribute, number, u32_at};
use std::io;
use std::net::IpAddr;
use tickwire_frame::LinkType;

/// Bytes of `struct ifinfomsg` and `struct ifaddrmsg`.
const IFINFO_BYTES: usize = 16;
const IFADDR_BYTES: usize = 8;
/// Attributes of a VLAN interface (linux/if_link.h).
const IFLA_VLAN_ID: u16 = 1;
const IFLA_VLAN_PROTOCOL: u16 = 5;
/// The ethertype of a VLAN tag when the kernel does not say (IEEE 802.1Q).
const ETHERTYPE_VLAN: u16 = 0x8100;

const ARPHRD_RAWIP: u16 = 519;

/// One network interface, as the kernel describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its index; an interface that is deleted and made again has another one.
    pub index: u32,
    /// Its name, at most 15 bytes.
    pub name: String,
    /// Its other names (`ip link property add altname`), which may be longer.
    pub alt_names: Vec<String>,
    /// What the driver is when it is a software device: `veth`, `vlan`, `bridge`, `tun`, …; empty
    /// for hardware.
    pub kind: String,
    /// MTU in bytes: the longest packet without its link header.
    pub mtu: u32,
    /// The `IFF_` bits of netdevice(7).
    pub flags: u32,
    /// Link-layer type, an `ARPHRD_` number (linux/if_arp.h).
    pub hardware: u16,
    /// Link-layer address; empty when it has none.
    pub mac: Vec<u8>,
    /// The tag that a VLAN interface adds and removes: protocol (0x8100, 0x88a8) and number.
    pub vlan: Option<(u16, u16)>,
    /// Index of the interface below (of a VLAN) or at the other end (of a veth pair).
    pub below: Option<u32>,
    /// Whether that index belongs to another network namespace.
    pub below_elsewhere: bool,
    /// How many sockets have asked for promiscuous mode.
    pub promiscuous: u32,
    /// Addresses with the length of their network prefix in bits.
    pub addresses: Vec<(IpAddr, u8)>,
}

impl Interface {
    /// Whether it is administratively up.
    pub fn is_up(&self) -> bool {
        self.has(libc::IFF_UP)
    }

    /// Whether it has a carrier and can pass frames.
    pub fn is_running(&self) -> bool {
        self.has(libc::IFF_RUNNING)
    }

    /// Whether it is the loopback.
    pub fn is_loopback(&self) -> bool {
        self.has(libc::IFF_LOOPBACK)
    }

    /// What the first byte of its frames means; none for link layers that we do not read.
    pub fn link_type(&self) -> Option<LinkType> {
        link_type(self.hardware)
    }

    /// Whether the host itself talks through it: it has an address beyond the link-local ones that
    /// come of their own accord.
    pub fn is_used_by_host(&self) -> bool {
        self.addresses.iter().any(|(address, _)| match address {
            IpAddr::V4(_) => true,
            IpAddr::V6(address) => !address.is_unicast_link_local(),
        })
    }

    /// Whether `name` is its name or one of its other names.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.alt_names.iter().any(|other| other == name)
    }

    fn has(&self, flag: libc::c_int) -> bool {
        self.flags & flag as u32 != 0
    }
}

/// What a raw packet socket delivers for an `ARPHRD_` number; none when we do not know it.
pub(crate) fn link_type(hardware: u16) -> Option<LinkType> {
    match hardware {
        libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => Some(LinkType::ETHERNET),
        libc::ARPHRD_NONE
        | libc::ARPHRD_TUNNEL
        | libc::ARPHRD_TUNNEL6
        | libc::ARPHRD_SIT
        | ARPHRD_RAWIP => Some(LinkType::RAW),
        _ => None,
    }
}

/// All interfaces, in the order of their indexes.
///
/// # Errors
/// When the system has no netlink, or its answer makes no sense.
pub fn list() -> io::Result<Vec<Interface>> {
    let mut requests = Requests::open()?;
    let mut interfaces = links(&mut requests)?;
    requests.dump(libc::RTM_GETADDR, &[0; IFADDR_BYTES], |kind, body| {
        let parsed = (kind == libc::RTM_NEWADDR).then(|| parse_address(body)).flatten();
        if let Some((index, address)) = parsed
            && let Some(interface) =
                interfaces.iter_mut().find(|i: &&mut Interface| i.index == index)
        {
            interface.addresses.push(address);
        }
    })?;
    interfaces.sort_by_key(|interface| interface.index);
    Ok(interfaces)
}

/// All interfaces, without addresses.
pub(crate) fn links(requests: &mut Requests) -> io::Result<Vec<Interface>> {
    let mut interfaces = Vec::new();
    requests.dump(libc::RTM_GETLINK, &[0; IFINFO_BYTES], |kind, body| {
        interfaces.extend((kind == libc::RTM_NEWLINK).then(|| parse_link(body)).flatten());
    })?;
    Ok(interfaces)
}

/// The interface with this name or other name.
///
/// # Errors
/// When there is none: the text lists those that there are.
pub fn find(name: &str) -> Result<Interface, PortError> {
    let all = list().map_err(|error| PortError::system("list the interfaces", error, ""))?;
    let names: Vec<String> = all.iter().map(|interface| interface.name.clone()).collect();
    all.into_iter().find(|interface| interface.is_called(name)).ok_or_else(|| {
        let cure = match name {
            "any" => "tickwire captures on one interface at a time; there are: ",
            _ => "there are: ",
        };
        let missing = io::Error::from_raw_os_error(libc::ENODEV);
        let cure = format!("{cure}{}", names.join(", "));
        PortError::system(format!("find interface {name:?}"), missing, cure)
    })
}

/// `struct ifinfomsg` and its attributes.
pub(crate) fn parse_link(body: &[u8]) -> Option<Interface> {
    let (header, rest) = body.split_at_checked(IFINFO_BYTES)?;
    if header[0] != libc::AF_UNSPEC as u8 {
        // What a bridge says of its port: the port leaves the bridge, and is not deleted.
        return None;
    }
    let mut interface = Interface {
        hardware: u16::from_ne_bytes([header[2], header[3]]),
        index: u32_at(header, 4),
        flags: u32_at(header, 8),
        ..Interface::default()
    };
    for (kind, payload) in attributes(rest) {
        match kind {
            libc::IFLA_IFNAME => interface.name = text(payload),
            libc::IFLA_ADDRESS => interface.mac = payload.to_vec(),
            libc::IFLA_MTU if payload.len() >= 4 => interface.mtu = u32_at(payload, 0),
            libc::IFLA_PROMISCUITY if payload.len() >= 4 => {
                interface.promiscuous = u32_at(payload, 0);
            }
            libc::IFLA_LINK => interface.below = number(payload),
            libc::IFLA_LINK_NETNSID => interface.below_elsewhere = true,
            libc::IFLA_LINKINFO => {
                let kind = find_attribute(payload, libc::IFLA_INFO_KIND);
                interface.kind = kind.map(text).unwrap_or_default();
                let data = find_attribute(payload, libc::IFLA_INFO_DATA).unwrap_or_default();
                interface.vlan = (interface.kind == "vlan").then(|| parse_vlan(data)).flatten();
            }
            libc::IFLA_PROP_LIST => interface.alt_names.extend(
                attributes(payload)
                    .filter(|(kind, _)| *kind == libc::IFLA_ALT_IFNAME)
                    .map(|(_, name)| text(name)),
            ),
            _ => {}
        }
    }
    Some(interface)
}

/// The protocol and the number of a VLAN interface.
fn parse_vlan(data: &[u8]) -> Option<(u16, u16)> {
    let number = |kind| find_attribute(data, kind).and_then(|payload| payload.first_chunk());
    let protocol = number(IFLA_VLAN_PROTOCOL).map_or(ETHERTYPE_VLAN, |&p| u16::from_be_bytes(p));
    Some((protocol, u16::from_ne_bytes(*number(IFLA_VLAN_ID)?)))
}

/// `struct ifaddrmsg` and its attributes: the index of the interface, and the address there.
fn parse_address(body: &[u8]) -> Option<(u32, (IpAddr, u8))> {
    let (header, rest) = body.split_at_checked(IFADDR_BYTES)?;
    let find = |kind| find_attribute(rest, kind);
    // On a point-to-point link IFA_ADDRESS is the other end, and IFA_LOCAL is ours.
    let payload = find(libc::IFA_LOCAL).or_else(|| find(libc::IFA_ADDRESS))?;
    let address = netlink::address(payload)?;
    Some((u32_at(header, 4), (address, header[1])))
}

/// The text up to the first zero.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = ((4 + payload.len()) as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(payload);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn link() -> Vec<u8> {
        let names = [
            attribute(libc::IFLA_ALT_IFNAME, b"enp0s1\0"),
            attribute(libc::IFLA_ALT_IFNAME, b"a-name-of-more-than-fifteen-bytes\0"),
        ];
        [
            &[0, 0][..],
            &libc::ARPHRD_ETHER.to_ne_bytes(),
            &7u32.to_ne_bytes(),
            &((libc::IFF_UP | libc::IFF_RUNNING) as u32).to_ne_bytes(),
            &[0; 4],
            &attribute(libc::IFLA_IFNAME, b"eth0\0"),
            &attribute(libc::IFLA_MTU, &9000u32.to_ne_bytes()),
            &attribute(libc::IFLA_ADDRESS, &[2, 0, 0, 0, 0, 1]),
            &attribute(libc::IFLA_PROP_LIST | 0x8000, &names.concat()),
            &attribute(libc::IFLA_LINKINFO, &attribute(libc::IFLA_INFO_KIND, b"veth\0")),
        ]
        .concat()
    }

    #[test]
    fn a_link_is_read() {
        let link = parse_link(&link()).unwrap();
        assert_eq!((link.index, link.name.as_str(), link.mtu), (7, "eth0", 9000));
        assert_eq!((link.kind.as_str(), link.mac.as_slice()), ("veth", &[2, 0, 0, 0, 0, 1][..]));
        assert!(link.is_up() && link.is_running() && !link.is_loopback());
        assert_eq!(link.link_type(), Some(LinkType::ETHERNET));
        assert!(link.is_called("eth0") && link.is_called("a-name-of-more-than-fifteen-bytes"));
        assert!(!link.is_called("eth1"));
    }

    #[test]
    fn an_address_is_ours_and_not_the_peers() {
        let body = [
            &[2, 32, 0, 0][..],
            &7u32.to_ne_bytes(),
            &attribute(libc::IFA_ADDRESS, &[10, 0, 0, 2]),
            &attribute(libc::IFA_LOCAL, &[10, 0, 0, 1]),
        ]
        .concat();
        assert_eq!(parse_address(&body), Some((7, ("10.0.0.1".parse().unwrap(), 32))));
    }

    #[test]
    fn cut_answers_never_panic() {
        let whole = link();
        for length in 0..whole.len() {
            let _ = parse_link(&whole[..length]);
            let _ = parse_address(&whole[..length]);
        }
    }

    #[test]
    fn a_vlan_says_what_is_below_it() {
        let data = [attribute(IFLA_VLAN_ID, &7u16.to_ne_bytes())].concat();
        let info =
            [attribute(libc::IFLA_INFO_KIND, b"vlan\0"), attribute(libc::IFLA_INFO_DATA, &data)];
        let body = [
            &[0; IFINFO_BYTES][..],
            &attribute(libc::IFLA_LINK, &5u32.to_ne_bytes()),
            &attribute(libc::IFLA_LINKINFO, &info.concat()),
        ];
        let link = parse_link(&body.concat()).unwrap();
        assert_eq!((link.below, link.vlan), (Some(5), Some((0x8100, 7))));
        let veth = parse_link(&self::link()).unwrap();
        assert_eq!((veth.below, veth.vlan), (None, None));
    }

    #[test]
    fn link_local_addresses_do_not_count_as_use() {
        let mut interface = Interface::default();
        assert!(!interface.is_used_by_host());
        interface.addresses.push(("fe80::1".parse().unwrap(), 64));
        assert!(!interface.is_used_by_host());
        interface.addresses.push(("10.0.0.1".parse().unwrap(), 24));
        assert!(interface.is_used_by_host());
    }

    #[test]
    fn the_loopback_is_found_and_a_wrong_name_lists_it() {
        let loopback = find("lo").unwrap();
        assert!(loopback.is_loopback() && loopback.index > 0);
        let error = find("no-such-interface").unwrap_err().to_string();
        assert!(error.contains("no-such-interface") && error.contains("there are: lo"), "{error}");
        assert!(find("any").unwrap_err().to_string().contains("one interface at a time"));
    }
}
