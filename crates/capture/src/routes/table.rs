//! The table: what is known of links and neighbours, kept up to date.

use super::hop::{BROADCAST, Hop, NextHop, Refusal, Vlan, group_mac};
use super::neighbours::{Key, Neighbours, get_request, use_request};
use super::route::{self, Kind, Route};
use crate::interfaces::{self, Interface};
use crate::netlink::{DATAGRAM_BYTES_MAX, Message, Requests, discard, messages};
use crate::{PortError, link::NOTICES_MAX};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SocketFlags, SocketType, bind, netlink, recv, socket_with,
};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

/// Datagrams read in one update; the rest is read by the next.
const DATAGRAMS_MAX: usize = 1024;
/// Bytes of `struct ndmsg`.
const NDMSG_BYTES: usize = 12;
/// Multicast groups of rtnetlink (linux/rtnetlink.h, `RTNLGRP_…`): links, neighbours, IPv4
/// addresses, routes and rules, the same of IPv6, and next hops that routes share.
const GROUPS: [u32; 9] = [1, 3, 5, 7, 8, 9, 11, 19, 32];

/// Where packets go next, asked of the kernel and kept up to date.
#[derive(Debug)]
pub struct Routes {
    /// Changes arrive here.
    events: OwnedFd,
    requests: Requests,
    datagram: Box<[u8]>,
    links: HashMap<u32, Interface>,
    neighbours: Neighbours,
    /// Whether a lookup may give something else than before the last update.
    changed: bool,
    /// How often the whole state had to be read again.
    resyncs: u64,
    notices: VecDeque<String>,
    /// Error numbers of refused questions that were told already.
    told: Vec<i32>,
    may_ask: bool,
}

impl Routes {
    /// Opens the table for the network namespace of the calling thread; any thread can use it
    /// then. To have neighbours resolved it takes CAP_NET_ADMIN at each lookup and update; without,
    /// those are resolved that somebody sends to through the kernel's stack, and
    /// [`take_notice`](Self::take_notice) says so.
    ///
    /// # Errors
    /// When the system has no netlink.
    pub fn open() -> Result<Self, PortError> {
        let open = || {
            let (raw, flags) = (SocketType::RAW, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK);
            let events = socket_with(AddressFamily::NETLINK, raw, flags, None)?;
            let groups = GROUPS.iter().fold(0, |groups, group| groups | 1 << (group - 1));
            bind(&events, &netlink::SocketAddrNetlink::new(0, groups))?;
            let mut routes = Routes {
                events,
                requests: Requests::open()?,
                datagram: vec![0; DATAGRAM_BYTES_MAX].into(),
                links: HashMap::new(),
                neighbours: Neighbours::default(),
                changed: false,
                resyncs: 0,
                notices: VecDeque::new(),
                told: Vec::new(),
                may_ask: true,
            };
            // After the bind: what changes from here on comes as an event.
            routes.read_all()?;
            Ok(routes)
        };
        open().map_err(|error: io::Error| failed("open the table of routes", error))
    }

    /// Where a packet to `destination` goes next, by interface `oif` if that is given, as a socket
    /// bound to it would send.
    ///
    /// A neighbour that is not known is asked for, at first by this call and then by
    /// [`update`](Self::update), for a minute after the last lookup of it
    /// ([`WANTED_MS_MAX`](super::WANTED_MS_MAX)). So look up again what you use whenever an update
    /// returns true, and once in a while.
    ///
    /// With `oif` and no IPv4 route by it, the kernel takes the destination for a neighbour there.
    ///
    /// # Errors
    /// When netlink itself fails.
    pub fn lookup(&mut self, destination: IpAddr, oif: Option<u32>) -> Result<NextHop, PortError> {
        if let Some(ifindex) = oif
            && !self.links.get(&ifindex).is_some_and(passes)
        {
            return Ok(NextHop::LinkDown { ifindex });
        }
        let route = route::ask(&mut self.requests, destination, oif);
        let what = || format!("ask the kernel for the route to {destination}");
        match route.map_err(|error| failed(&what(), error))? {
            None => Ok(NextHop::NoRoute),
            Some(route) if route.kind == Kind::Local => Ok(NextHop::Local),
            Some(route) => self.next_hop(destination, &route),
        }
    }

    /// Reads what has changed, and asks for the neighbours that are wanted and not there; true
    /// when a lookup may give something else than before. Does not block. Call it ten times a
    /// second, or when [`as_fd`](AsFd::as_fd) is readable and once a second.
    ///
    /// # Errors
    /// When netlink itself fails.
    pub fn update(&mut self) -> Result<bool, PortError> {
        self.read_events()?;
        let (now, links) = (Instant::now(), &self.links);
        // Without a carrier a question is lost, and the kernel repeats it a second later only.
        for key in self.neighbours.due(now, |ifindex| links.get(&ifindex).is_some_and(passes)) {
            self.ask(key, now);
        }
        if !self.may_ask {
            self.watch(now);
        }
        Ok(std::mem::take(&mut self.changed))
    }

    /// An interface by its index. Without addresses.
    pub fn interface(&self, ifindex: u32) -> Option<&Interface> {
        self.links.get(&ifindex)
    }

    /// The interface with this name or other name. Without addresses.
    pub fn find(&self, name: &str) -> Option<&Interface> {
        self.links.values().find(|link| link.is_called(name))
    }

    /// How often changes came faster than they were read, so that everything was read anew.
    pub fn resyncs(&self) -> u64 {
        self.resyncs
    }

    /// What a person should know: that the kernel refuses to resolve, and why. Each once.
    pub fn take_notice(&mut self) -> Option<String> {
        self.notices.pop_front()
    }

    fn next_hop(&mut self, destination: IpAddr, route: &Route) -> Result<NextHop, PortError> {
        let ifindex = route.oif;
        let refused = |why| Ok(NextHop::Refused { ifindex, why });
        let Some(link) = self.links.get(&ifindex).filter(|link| passes(link)) else {
            return Ok(NextHop::LinkDown { ifindex });
        };
        if link.is_loopback() {
            return Ok(NextHop::Local);
        }
        let (below, vlan) = match self.below(link) {
            Ok(place) => place,
            Err(why) => return refused(why),
        };
        let Some(source) = route.source else { return refused(Refusal::NoSource) };
        let (true, Ok(source_mac)) =
            (link.hardware == libc::ARPHRD_ETHER, (&link.mac[..]).try_into())
        else {
            return refused(Refusal::NotEthernet);
        };
        if route.wrapped {
            return refused(Refusal::Wrapped);
        }
        let mtu = route.mtu.filter(|&mtu| mtu > 0).map_or(link.mtu, |mtu| mtu.min(link.mtu));
        let hop = |destination_mac| {
            let ifindex = below;
            NextHop::Resolved(Hop { ifindex, vlan, source_mac, destination_mac, source, mtu })
        };
        match route.kind {
            Kind::Broadcast => return Ok(hop(BROADCAST)),
            Kind::Multicast => return Ok(group_mac(destination).map_or(NextHop::NoRoute, hop)),
            Kind::Unicast | Kind::Local => {}
        }
        let neighbour = route.gateway.unwrap_or(destination);
        let key = (ifindex, neighbour);
        let now = Instant::now();
        if self.neighbours.want(key, now) {
            // It may be there, or be permanent, since the last update.
            self.read_events()?;
            if self.neighbours.want(key, now) {
                self.ask(key, now);
            }
        }
        let is_asked = self.may_ask || self.neighbours.is_asked(&key);
        let unresolved = NextHop::Unresolved { ifindex: below, neighbour, is_asked };
        Ok(self.neighbours.mac(&key).map_or(unresolved, hop))
    }

    /// The interface that takes the frames of `link`, and the tag that they carry there.
    fn below(&self, link: &Interface) -> Result<(u32, Option<Vlan>), Refusal> {
        let Some((protocol, id)) = link.vlan else { return Ok((link.index, None)) };
        if link.below_elsewhere {
            return Err(Refusal::VlanElsewhere);
        }
        let below = link.below.and_then(|index| self.links.get(&index));
        match below.ok_or(Refusal::VlanElsewhere)? {
            below if below.vlan.is_some() => Err(Refusal::VlanInVlan),
            below => Ok((below.index, Some(Vlan { protocol, id }))),
        }
    }

    /// Asks the kernel to resolve or verify a neighbour. A refusal is told once: the neighbour
    /// stays unresolved, and everything else goes on.
    fn ask(&mut self, key: Key, now: Instant) {
        self.neighbours.asked(&key, now);
        let Err(error) = self.requests.ask(use_request(key), |_, _| {}) else { return };
        self.may_ask &= error.raw_os_error() != Some(libc::EPERM);
        let cure = match error.raw_os_error() {
            // The interface went down or away in between: an event says so.
            Some(libc::ENODEV | libc::ENETDOWN | libc::EINVAL) => return,
            Some(libc::EPERM) => {
                "give tickwire CAP_NET_ADMIN; without, mode udp has the kernel ask by sending"
            }
            Some(libc::ENOBUFS | libc::ENOMEM) => {
                "raise net.ipv4.neigh.default.gc_thresh3 and that of net.ipv6 (sysctl)"
            }
            _ => "ping it from this machine",
        };
        let code = error.raw_os_error().unwrap_or_default();
        if !self.told.contains(&code) && self.notices.len() < NOTICES_MAX {
            self.told.push(code);
            let neighbour = key.1;
            self.notices.push_back(format!("resolve {neighbour}: {error}; {cure}"));
        }
    }

    /// Without the right to ask: looks whether the kernel asks because somebody sends. Of that it
    /// tells nobody; when it gives up, it does.
    fn watch(&mut self, now: Instant) {
        for key in self.neighbours.unresolved() {
            let neighbours = &mut self.neighbours;
            // None there is as good as one that says nothing.
            let _ = self.requests.ask(get_request(key), |kind, body| {
                self.changed |= neighbours.apply(kind, body);
            });
            self.changed |= self.neighbours.judge(&key, now);
        }
    }

    fn read_events(&mut self) -> Result<(), PortError> {
        let read = self.read_datagrams();
        read.map_err(|error| failed("follow the changes of routes", error))
    }

    fn read_datagrams(&mut self) -> io::Result<()> {
        for _ in 0..DATAGRAMS_MAX {
            match recv(&self.events, &mut self.datagram[..], RecvFlags::empty()) {
                Ok((length, _)) => {
                    let datagram = std::mem::take(&mut self.datagram);
                    let length = length.min(datagram.len());
                    messages(&datagram[..length]).for_each(|message| self.apply(message));
                    self.datagram = datagram;
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                // Events were lost: only the present state can tell.
                Err(Errno::NOBUFS) => {
                    self.resyncs += 1;
                    discard(&self.events);
                    self.read_all()?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn read_all(&mut self) -> io::Result<()> {
        let links = interfaces::links(&mut self.requests)?;
        self.links = links.into_iter().map(|link| (link.index, link)).collect();
        self.neighbours.clear();
        let neighbours = &mut self.neighbours;
        self.requests.dump(libc::RTM_GETNEIGH, &[0; NDMSG_BYTES], |kind, body| {
            neighbours.apply(kind, body);
        })?;
        self.changed = true;
        Ok(())
    }

    fn apply(&mut self, message: Message<'_>) {
        self.changed |= match message.kind {
            libc::RTM_NEWLINK | libc::RTM_DELLINK => self.apply_link(message),
            libc::RTM_NEWNEIGH | libc::RTM_DELNEIGH => {
                self.neighbours.apply(message.kind, message.body)
            }
            // An address, a route, a rule, a shared next hop: what follows is for the kernel to
            // say.
            _ => true,
        };
    }

    fn apply_link(&mut self, message: Message<'_>) -> bool {
        let Some(link) = interfaces::parse_link(message.body) else { return false };
        let (index, up) = (link.index, passes(&link));
        if message.kind == libc::RTM_DELLINK {
            return self.links.remove(&index).is_some();
        }
        let before = self.links.insert(index, link);
        if up && !before.as_ref().is_some_and(passes) {
            self.neighbours.link_is_back(index);
        }
        before.as_ref() != self.links.get(&index)
    }
}

/// To wait for changes.
impl AsFd for Routes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

fn passes(link: &Interface) -> bool {
    link.is_up() && link.is_running()
}

fn failed(what: &str, error: io::Error) -> PortError {
    PortError::system(what, error, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, vlan: Option<(u16, u16)>, below: Option<u32>) -> Interface {
        Interface { index, vlan, below, ..Interface::default() }
    }

    #[test]
    fn a_vlan_is_the_interface_below_and_a_tag() {
        let mut routes = Routes::open().unwrap();
        let (plain, vlan) = (link(1001, None, None), link(1002, Some((0x8100, 7)), Some(1001)));
        let nested = link(1003, Some((0x8100, 8)), Some(1002));
        let moved = Interface { below_elsewhere: true, ..vlan.clone() };
        routes.links = [plain, vlan].into_iter().map(|link| (link.index, link)).collect();
        let tag = Vlan { protocol: 0x8100, id: 7 };
        assert_eq!(routes.below(&routes.links[&1001]), Ok((1001, None)));
        assert_eq!(routes.below(&routes.links[&1002]), Ok((1001, Some(tag))));
        assert_eq!(routes.below(&nested), Err(Refusal::VlanInVlan));
        assert_eq!(routes.below(&moved), Err(Refusal::VlanElsewhere));
    }

    #[test]
    fn this_machine_is_local_without_privileges() {
        let mut routes = Routes::open().unwrap();
        assert_eq!(routes.lookup("127.0.0.1".parse().unwrap(), None).unwrap(), NextHop::Local);
        assert!(routes.find("lo").unwrap().is_loopback());
        let index = routes.find("lo").unwrap().index;
        assert_eq!(routes.interface(index).unwrap().name, "lo");
        let gone = routes.lookup("10.0.0.1".parse().unwrap(), Some(0x7fff_0000)).unwrap();
        assert_eq!(gone, NextHop::LinkDown { ifindex: 0x7fff_0000 });
        assert!(routes.update().unwrap(), "all is new at first");
    }
}
