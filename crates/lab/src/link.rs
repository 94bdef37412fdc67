//! Interfaces, addresses, neighbours and routes of one namespace, through rtnetlink.

use crate::error::{LabError, Tried};
use crate::netlink::{Netlink, Request, find_attribute, ifinfo};
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

/// A link-layer address.
pub type Mac = [u8; 6];

/// Nested attribute of a veth device that describes its other end (linux/veth.h).
const VETH_INFO_PEER: u16 = 1;
/// Nested attribute of a VLAN device: its tag (linux/if_link.h).
const VLAN_ID: u16 = 1;
/// `IF_OPER_UP` (linux/if.h): the carrier is there and the transmit queues are active.
const IF_OPER_UP: u8 = 6;
/// Where `struct rtmsg` has the type of the route.
const RTM_TYPE: usize = 7;
/// Bytes of `struct ifinfomsg`.
const IFINFO_BYTES: usize = 16;

/// One end of a veth pair that is to be made.
#[derive(Clone, Copy, Debug)]
pub struct VethEnd<'a> {
    /// Name of the interface, at most 15 bytes.
    pub name: &'a str,
    /// Its link-layer address.
    pub mac: Mac,
}

/// What is equal on both ends of a veth pair.
#[derive(Clone, Copy, Debug)]
pub struct VethShape {
    /// Receive and transmit queues each. Equal on both ends: "XDP expects number of rx queues not
    /// less than peer tx queues".
    pub queues: u32,
    /// MTU in bytes.
    pub mtu: u32,
}

/// The state and the counters of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkState {
    /// Index; another one after the interface was deleted and made again.
    pub index: u32,
    /// MTU in bytes.
    pub mtu: u32,
    /// Link-layer address.
    pub mac: Mac,
    /// Whether frames can pass: administratively up, and so is the other end.
    pub running: bool,
    /// What it has counted.
    pub counters: LinkCounters,
}

/// The counters of an interface: the first eight of `struct rtnl_link_stats64`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounters {
    /// Packets received.
    pub rx_packets: u64,
    /// Packets transmitted.
    pub tx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes transmitted.
    pub tx_bytes: u64,
    /// Receive errors.
    pub rx_errors: u64,
    /// Transmit errors.
    pub tx_errors: u64,
    /// Received but dropped: on veth the queue was full or XDP said so.
    pub rx_dropped: u64,
    /// Not transmitted: on veth the other end was down or its queue full.
    pub tx_dropped: u64,
}

/// The rtnetlink view of one namespace. Open it from a thread inside.
#[derive(Debug)]
pub struct Links {
    netlink: Netlink,
}

impl Links {
    /// Opens it for the namespace of the calling thread; it can be used from any thread then.
    ///
    /// # Errors
    /// When the system has no netlink.
    pub fn open() -> Result<Self, LabError> {
        let netlink = Netlink::open().tried(|| "open a rtnetlink socket".into())?;
        Ok(Links { netlink })
    }

    /// Makes a veth pair: `here` in this namespace, `there` in the namespace `peer`.
    ///
    /// # Errors
    /// EEXIST when a name is taken, EPERM, EOPNOTSUPP without the veth driver.
    pub fn create_veth(
        &mut self,
        here: VethEnd<'_>,
        there: VethEnd<'_>,
        peer: BorrowedFd<'_>,
        shape: VethShape,
    ) -> Result<(), LabError> {
        let peer = peer.as_raw_fd();
        let describe = |request: &mut Request, end: VethEnd<'_>| {
            request
                .text(libc::IFLA_IFNAME, end.name)
                .attribute(libc::IFLA_ADDRESS, &end.mac)
                .attribute(libc::IFLA_MTU, &shape.mtu.to_ne_bytes())
                .attribute(libc::IFLA_NUM_TX_QUEUES, &shape.queues.to_ne_bytes())
                .attribute(libc::IFLA_NUM_RX_QUEUES, &shape.queues.to_ne_bytes());
        };
        let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        let mut request = Request::new(libc::RTM_NEWLINK, flags, &ifinfo(0, 0, 0));
        describe(&mut request, here);
        request.nest(libc::IFLA_LINKINFO, |info| {
            info.text(libc::IFLA_INFO_KIND, "veth").nest(libc::IFLA_INFO_DATA, |data| {
                data.nest(VETH_INFO_PEER, |other| {
                    other.raw(&ifinfo(0, 0, 0));
                    describe(other, there);
                    other.attribute(libc::IFLA_NET_NS_FD, &peer.to_ne_bytes());
                });
            });
        });
        self.netlink
            .request(&mut request)
            .tried(|| format!("create the veth pair {} and {}", here.name, there.name))
    }

    /// Deletes an interface; a veth pair goes as a whole.
    ///
    /// # Errors
    /// ENODEV when there is none of this name.
    pub fn delete(&mut self, name: &str) -> Result<(), LabError> {
        let mut request = Request::new(libc::RTM_DELLINK, 0, &ifinfo(0, 0, 0));
        let result = self.netlink.request(request.text(libc::IFLA_IFNAME, name));
        result.tried(|| format!("delete interface {name}"))
    }

    /// Sets an interface up or down.
    ///
    /// # Errors
    /// ENODEV when there is none of this name.
    pub fn set_up(&mut self, name: &str, up: bool) -> Result<(), LabError> {
        let bit = libc::IFF_UP as u32;
        let header = ifinfo(0, if up { bit } else { 0 }, bit);
        let mut request = Request::new(libc::RTM_NEWLINK, 0, &header);
        let result = self.netlink.request(request.text(libc::IFLA_IFNAME, name));
        result.tried(|| format!("set interface {name} {}", if up { "up" } else { "down" }))
    }

    /// Sets the MTU of an interface.
    ///
    /// # Errors
    /// EINVAL when it is too small or too large, ERANGE when an XDP program forbids it.
    pub fn set_mtu(&mut self, name: &str, mtu: u32) -> Result<(), LabError> {
        let mut request = Request::new(libc::RTM_NEWLINK, 0, &ifinfo(0, 0, 0));
        request.text(libc::IFLA_IFNAME, name).attribute(libc::IFLA_MTU, &mtu.to_ne_bytes());
        self.netlink.request(&mut request).tried(|| format!("set the MTU of {name} to {mtu}"))
    }

    /// Gives an interface another link-layer address. Tells nobody on the link.
    ///
    /// # Errors
    /// ENODEV when there is none of this name.
    pub fn set_mac(&mut self, name: &str, mac: Mac) -> Result<(), LabError> {
        let mut request = Request::new(libc::RTM_NEWLINK, 0, &ifinfo(0, 0, 0));
        request.text(libc::IFLA_IFNAME, name).attribute(libc::IFLA_ADDRESS, &mac);
        self.netlink.request(&mut request).tried(|| format!("set the address of {name}"))
    }

    /// Makes the VLAN interface `name` with tag `id` (IEEE 802.1Q) on top of interface `below`.
    ///
    /// # Errors
    /// EEXIST when the name or the tag is taken, EOPNOTSUPP without the 8021q driver.
    pub fn create_vlan(&mut self, name: &str, below: u32, id: u16) -> Result<(), LabError> {
        let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        let mut request = Request::new(libc::RTM_NEWLINK, flags, &ifinfo(0, 0, 0));
        request
            .text(libc::IFLA_IFNAME, name)
            .attribute(libc::IFLA_LINK, &below.to_ne_bytes())
            .nest(libc::IFLA_LINKINFO, |info| {
                info.text(libc::IFLA_INFO_KIND, "vlan").nest(libc::IFLA_INFO_DATA, |data| {
                    data.attribute(VLAN_ID, &id.to_ne_bytes());
                });
            });
        self.netlink.request(&mut request).tried(|| format!("create the VLAN interface {name}"))
    }

    /// The state of an interface.
    ///
    /// # Errors
    /// ENODEV when there is none of this name.
    pub fn state(&mut self, name: &str) -> Result<LinkState, LabError> {
        let mut request = Request::new(libc::RTM_GETLINK, 0, &ifinfo(0, 0, 0));
        let answer = self.netlink.ask(request.text(libc::IFLA_IFNAME, name));
        Ok(parse_state(&answer.tried(|| format!("read the state of interface {name}"))?))
    }

    /// Adds an address, which is usable at once (no duplicate address detection).
    ///
    /// # Errors
    /// EEXIST when it is there.
    pub fn add_address(
        &mut self,
        index: u32,
        address: IpAddr,
        prefix_bits: u8,
    ) -> Result<(), LabError> {
        // struct ifaddrmsg: family, prefix length, flags, scope, index.
        let flags = if address.is_ipv6() { libc::IFA_F_NODAD as u8 } else { 0 };
        let mut header = vec![family(address), prefix_bits, flags, 0];
        header.extend_from_slice(&index.to_ne_bytes());
        let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        let mut request = Request::new(libc::RTM_NEWADDR, flags, &header);
        let octets = octets(address);
        request.attribute(libc::IFA_LOCAL, &octets).attribute(libc::IFA_ADDRESS, &octets);
        self.netlink.request(&mut request).tried(|| format!("add address {address}"))
    }

    /// Enters a permanent neighbour, or replaces it.
    ///
    /// # Errors
    /// ENODEV when there is no interface `index`.
    pub fn set_neighbour(&mut self, index: u32, address: IpAddr, mac: Mac) -> Result<(), LabError> {
        let flags = libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
        let mut request = neighbour(libc::RTM_NEWNEIGH, flags, index, address);
        let result = self.netlink.request(request.attribute(libc::NDA_LLADDR, &mac));
        result.tried(|| format!("enter the neighbour {address}"))
    }

    /// Forgets a neighbour.
    ///
    /// # Errors
    /// ENOENT when there is none.
    pub fn delete_neighbour(&mut self, index: u32, address: IpAddr) -> Result<(), LabError> {
        let mut request = neighbour(libc::RTM_DELNEIGH, 0, index, address);
        self.netlink.request(&mut request).tried(|| format!("delete the neighbour {address}"))
    }

    /// What the kernel knows of a neighbour: its state (`NUD_…`) and link-layer address.
    ///
    /// # Errors
    /// ENOENT when it knows nothing.
    pub fn neighbour(
        &mut self,
        index: u32,
        address: IpAddr,
    ) -> Result<(u16, Option<Mac>), LabError> {
        // The kernel wants a question without a state.
        let mut header = [0; 12];
        header[0] = family(address);
        header[4..8].copy_from_slice(&index.to_ne_bytes());
        let mut request = Request::new(libc::RTM_GETNEIGH, 0, &header);
        let answer = self.netlink.ask(request.attribute(libc::NDA_DST, &octets(address)));
        let answer = answer.tried(|| format!("look the neighbour {address} up"))?;
        let state = answer.get(8..10).map_or(0, |state| u16::from_ne_bytes([state[0], state[1]]));
        let mac = find_attribute(answer.get(12..).unwrap_or_default(), libc::NDA_LLADDR);
        Ok((state, mac.and_then(|mac| mac.try_into().ok())))
    }

    /// Whether the kernel takes what is sent to `address` as its own.
    ///
    /// # Errors
    /// ENETUNREACH when there is no route at all.
    pub fn is_local(&mut self, address: IpAddr) -> Result<bool, LabError> {
        let octets = octets(address);
        let mut header = [0; 12];
        header[..2].copy_from_slice(&[family(address), octets.len() as u8 * 8]);
        let mut request = Request::new(libc::RTM_GETROUTE, 0, &header);
        let answer = self.netlink.ask(request.attribute(libc::RTA_DST, &octets));
        let answer = answer.tried(|| format!("look the route to {address} up"))?;
        Ok(answer.get(RTM_TYPE) == Some(&libc::RTN_LOCAL))
    }

    /// Sends what goes to `network/prefix_bits` out of interface `index`.
    ///
    /// # Errors
    /// EEXIST when there is such a route.
    pub fn add_route(
        &mut self,
        index: u32,
        network: IpAddr,
        prefix_bits: u8,
    ) -> Result<(), LabError> {
        let mut request = route(libc::RTM_NEWROUTE, network, prefix_bits, libc::RT_SCOPE_LINK);
        let result = self.netlink.request(request.attribute(libc::RTA_OIF, &index.to_ne_bytes()));
        result.tried(|| format!("add the route {network}/{prefix_bits}"))
    }

    /// Sends what goes to `network/prefix_bits` to a gateway.
    ///
    /// # Errors
    /// EEXIST when there is such a route, ENETUNREACH when there is none to the gateway.
    pub fn add_gateway(
        &mut self,
        network: IpAddr,
        prefix_bits: u8,
        gateway: IpAddr,
    ) -> Result<(), LabError> {
        let mut request = route(libc::RTM_NEWROUTE, network, prefix_bits, libc::RT_SCOPE_UNIVERSE);
        let result = self.netlink.request(request.attribute(libc::RTA_GATEWAY, &octets(gateway)));
        result.tried(|| format!("add the route {network}/{prefix_bits} by {gateway}"))
    }

    /// Deletes the route to `network/prefix_bits`.
    ///
    /// # Errors
    /// ESRCH when there is none.
    pub fn delete_route(&mut self, network: IpAddr, prefix_bits: u8) -> Result<(), LabError> {
        let mut request = route(libc::RTM_DELROUTE, network, prefix_bits, libc::RT_SCOPE_NOWHERE);
        let result = self.netlink.request(&mut request);
        result.tried(|| format!("delete the route {network}/{prefix_bits}"))
    }
}

/// A request about a static unicast route: struct rtmsg (family, dst_len, src_len, tos, table,
/// protocol, scope, type, flags) and its network. One that deletes matches any protocol.
fn route(kind: u16, network: IpAddr, prefix_bits: u8, scope: u8) -> Request {
    let (flags, protocol) = match kind {
        libc::RTM_NEWROUTE => (libc::NLM_F_CREATE | libc::NLM_F_EXCL, libc::RTPROT_STATIC),
        _ => (0, libc::RTPROT_UNSPEC),
    };
    let mut header = [0; 12];
    header[..2].copy_from_slice(&[family(network), prefix_bits]);
    header[4..8].copy_from_slice(&[libc::RT_TABLE_MAIN, protocol, scope, libc::RTN_UNICAST]);
    let mut request = Request::new(kind, flags, &header);
    request.attribute(libc::RTA_DST, &octets(network));
    request
}

/// A request about one permanent neighbour: struct ndmsg (linux/neighbour.h) and its address.
fn neighbour(kind: u16, flags: libc::c_int, index: u32, address: IpAddr) -> Request {
    let mut header = [0; 12];
    header[0] = family(address);
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..10].copy_from_slice(&libc::NUD_PERMANENT.to_ne_bytes());
    let mut request = Request::new(kind, flags, &header);
    request.attribute(libc::NDA_DST, &octets(address));
    request
}

fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { libc::AF_INET as u8 } else { libc::AF_INET6 as u8 }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// Reads an answer to RTM_GETLINK; what is missing stays 0.
fn parse_state(answer: &[u8]) -> LinkState {
    let word =
        |bytes: &[u8]| bytes.get(..4).and_then(|b| b.try_into().ok()).map(u32::from_ne_bytes);
    let attributes = answer.get(IFINFO_BYTES..).unwrap_or_default();
    let find = |kind| find_attribute(attributes, kind);
    LinkState {
        index: answer.get(4..).and_then(word).unwrap_or_default(),
        mtu: find(libc::IFLA_MTU).and_then(word).unwrap_or_default(),
        mac: find(libc::IFLA_ADDRESS).and_then(|mac| mac.try_into().ok()).unwrap_or_default(),
        running: find(libc::IFLA_OPERSTATE).and_then(<[u8]>::first) == Some(&IF_OPER_UP),
        counters: find(libc::IFLA_STATS64).map(parse_counters).unwrap_or_default(),
    }
}

fn parse_counters(stats: &[u8]) -> LinkCounters {
    let mut values = stats.chunks_exact(8).map(|chunk| {
        let bytes: [u8; 8] = chunk.try_into().unwrap_or_default();
        u64::from_ne_bytes(bytes)
    });
    let mut next = || values.next().unwrap_or_default();
    LinkCounters {
        rx_packets: next(),
        tx_packets: next(),
        rx_bytes: next(),
        tx_bytes: next(),
        rx_errors: next(),
        tx_errors: next(),
        rx_dropped: next(),
        tx_dropped: next(),
    }
}
