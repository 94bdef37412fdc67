//! The interfaces of this network namespace: names, indexes, MTU, addresses, link types.
//!
//! Two dumps of rtnetlink(7), which only read and need no privilege. `/sys/class/net` would not do:
//! it shows the namespace that it was mounted in, not that of the calling thread.

use crate::PortError;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with, sockopt,
};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::time::Duration;
use tickwire_frame::LinkType;

/// The kernel answers at once; longer than this means that something is badly wrong.
const ANSWER_MS_MAX: u64 = 2000;
/// The kernel's own bound for one datagram of a dump, in bytes.
const DATAGRAM_BYTES_MAX: usize = 64 << 10;
/// Datagrams of one dump: some 30 interfaces each.
const DATAGRAMS_MAX: usize = 4096;

/// Bytes of `struct nlmsghdr`, `struct ifinfomsg` and `struct ifaddrmsg`.
const HEADER_BYTES: usize = 16;
const IFINFO_BYTES: usize = 16;
const IFADDR_BYTES: usize = 8;
/// The upper bits of an attribute's kind are flags (`NLA_TYPE_MASK`).
const KIND_MASK: u16 = 0x3fff;

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
    let mut interfaces = Vec::new();
    dump(libc::RTM_GETLINK, IFINFO_BYTES, |kind, body| {
        interfaces.extend((kind == libc::RTM_NEWLINK).then(|| parse_link(body)).flatten());
    })?;
    dump(libc::RTM_GETADDR, IFADDR_BYTES, |kind, body| {
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

/// Asks for all objects of a kind, and shows each message of the answer.
fn dump(kind: u16, body_bytes: usize, mut each: impl FnMut(u16, &[u8])) -> io::Result<()> {
    let (raw, flags) = (SocketType::RAW, SocketFlags::CLOEXEC);
    let socket: OwnedFd = socket_with(AddressFamily::NETLINK, raw, flags, None)?;
    let wait = Some(Duration::from_millis(ANSWER_MS_MAX));
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, wait)?;
    let length = HEADER_BYTES + body_bytes;
    let mut request = vec![0; length];
    request[..4].copy_from_slice(&(length as u32).to_ne_bytes());
    request[4..6].copy_from_slice(&kind.to_ne_bytes());
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    request[6..8].copy_from_slice(&flags.to_ne_bytes());
    send(&socket, &request, SendFlags::empty())?;
    let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
    for _ in 0..DATAGRAMS_MAX {
        let (length, _) = recv(&socket, &mut datagram[..], RecvFlags::empty())?;
        if read_datagram(&datagram[..length], &mut each)? {
            return Ok(());
        }
    }
    Err(io::Error::other("the dump does not end"))
}

/// Shows each message; true when the dump is complete.
fn read_datagram(mut bytes: &[u8], each: &mut impl FnMut(u16, &[u8])) -> io::Result<bool> {
    while let Some(header) = bytes.get(..HEADER_BYTES) {
        let length = u32_at(header, 0) as usize;
        let Some(body) = bytes.get(HEADER_BYTES..length) else { break };
        match u16::from_ne_bytes([header[4], header[5]]) {
            kind if kind == libc::NLMSG_DONE as u16 => return Ok(true),
            kind if kind == libc::NLMSG_ERROR as u16 => {
                let code = if body.len() < 4 { libc::EPROTO } else { u32_at(body, 0) as i32 };
                return Err(io::Error::from_raw_os_error(code.saturating_neg()));
            }
            kind => each(kind, body),
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

/// `struct ifinfomsg` and its attributes.
fn parse_link(body: &[u8]) -> Option<Interface> {
    let (header, rest) = body.split_at_checked(IFINFO_BYTES)?;
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
            libc::IFLA_LINKINFO => {
                let kinds = attributes(payload).filter(|(kind, _)| *kind == libc::IFLA_INFO_KIND);
                interface.kind = kinds.map(|(_, kind)| text(kind)).next().unwrap_or_default();
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

/// `struct ifaddrmsg` and its attributes: the index of the interface, and the address there.
fn parse_address(body: &[u8]) -> Option<(u32, (IpAddr, u8))> {
    let (header, rest) = body.split_at_checked(IFADDR_BYTES)?;
    let find = |wanted| attributes(rest).find(|(kind, _)| *kind == wanted);
    // On a point-to-point link IFA_ADDRESS is the other end, and IFA_LOCAL is ours.
    let (_, payload) = find(libc::IFA_LOCAL).or_else(|| find(libc::IFA_ADDRESS))?;
    let address = match *payload {
        [a, b, c, d] => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        _ => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(payload).ok()?)),
    };
    Some((u32_at(header, 4), (address, header[1])))
}

/// Kind and payload of each attribute; ends where the bytes stop making sense.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let header = bytes.get(..4)?;
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let payload = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([header[2], header[3]]) & KIND_MASK, payload))
    })
}

/// The text up to the first zero.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[offset..offset + 4]);
    u32::from_ne_bytes(word)
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
            let _ = read_datagram(&whole[..length], &mut |_, _| {});
        }
        let mut error = [0u8; 20];
        error[0] = 20;
        error[4] = libc::NLMSG_ERROR as u8;
        error[16..].copy_from_slice(&(-libc::EPERM).to_ne_bytes());
        let refused = read_datagram(&error, &mut |_, _| {}).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EPERM));
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
