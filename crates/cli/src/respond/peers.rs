//! Who sends to us and who takes orders: each peer with what came of it.

use std::collections::HashMap;
use std::net::SocketAddr;
use tickwire_control::respond::types::{ConnectionList, ConnectionView};
use tickwire_frame::Reason;

/// The most peers that are known at a time; what more are is counted.
pub const PEERS_MAX: usize = 1024;
/// A UDP peer that was silent for so long, in nanoseconds, is idle.
const IDLE_NS: u64 = 30_000_000_000;

/// What connects a peer with us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Link {
    /// Datagrams to a feed: its number.
    UdpFeed(u16),
    /// A connection to a feed: its number.
    TcpFeed(u16),
    /// Our connection to a target: its number.
    TcpTarget(u16),
}

/// A peer.
#[derive(Clone, Debug)]
struct Peer {
    link: Link,
    address: SocketAddr,
    packets: u64,
    bytes: u64,
    dropped: Vec<(Reason, u64)>,
    last_ns: u64,
    open: bool,
}

/// All peers.
#[derive(Debug)]
pub struct Peers {
    peers: Vec<Peer>,
    places: HashMap<(Link, SocketAddr), usize>,
    /// The one of the last packet: the next is nearly always of the same.
    last: usize,
    forgotten: u64,
    /// TCP connections that were lost or refused.
    pub lost: u64,
}

impl Peers {
    /// Nobody yet. Room for all is taken now: none is allocated for a packet.
    pub fn new() -> Peers {
        Peers {
            peers: Vec::with_capacity(PEERS_MAX),
            places: HashMap::with_capacity(PEERS_MAX),
            last: 0,
            forgotten: 0,
            lost: 0,
        }
    }

    #[inline]
    fn find(&mut self, link: Link, address: SocketAddr) -> Option<&mut Peer> {
        let is_last =
            self.peers.get(self.last).is_some_and(|one| one.link == link && one.address == address);
        if !is_last {
            self.last = self.look_up(link, address)?;
        }
        self.peers.get_mut(self.last)
    }

    #[cold]
    fn look_up(&mut self, link: Link, address: SocketAddr) -> Option<usize> {
        if let Some(&at) = self.places.get(&(link, address)) {
            return Some(at);
        }
        if self.peers.len() == PEERS_MAX {
            self.forgotten += 1;
            return None;
        }
        let at = self.peers.len();
        let (packets, bytes, dropped, last_ns) = (0, 0, Vec::new(), 0);
        self.peers.push(Peer { link, address, packets, bytes, dropped, last_ns, open: true });
        self.places.insert((link, address), at);
        Some(at)
    }

    /// Something came that was taken.
    #[inline]
    pub fn received(&mut self, link: Link, address: SocketAddr, bytes: usize, now_ns: u64) {
        if let Some(peer) = self.find(link, address) {
            peer.packets += 1;
            peer.bytes += bytes as u64;
            peer.last_ns = now_ns;
        }
    }

    /// Something came that was dropped.
    #[cold]
    pub fn dropped(&mut self, link: Link, address: SocketAddr, reason: Reason, now_ns: u64) {
        let Some(peer) = self.find(link, address) else { return };
        peer.last_ns = now_ns;
        match peer.dropped.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => peer.dropped.push((reason, 1)),
        }
    }

    /// A connection began.
    pub fn opened(&mut self, link: Link, address: SocketAddr, now_ns: u64) {
        if let Some(peer) = self.find(link, address) {
            (peer.open, peer.last_ns) = (true, now_ns);
        }
    }

    /// A connection ended; it was `lost` unless we ended it. A peer that connected to us will come
    /// back with another port, so it is forgotten first when room is needed.
    pub fn closed(&mut self, link: Link, address: SocketAddr, lost: bool) {
        self.lost += u64::from(lost);
        if let Some(peer) = self.find(link, address) {
            peer.open = false;
        }
        if self.peers.len() == PEERS_MAX {
            self.forget_closed();
        }
    }

    fn forget_closed(&mut self) {
        let before = self.peers.len();
        self.peers.retain(|peer| peer.open);
        self.forgotten += (before - self.peers.len()) as u64;
        let places = self.peers.iter().enumerate();
        self.places = places.map(|(at, peer)| ((peer.link, peer.address), at)).collect();
        self.places.reserve(PEERS_MAX.saturating_sub(self.places.len()));
        self.last = 0;
    }

    /// How many are active.
    pub fn active(&self, now_ns: u64) -> u64 {
        self.peers.iter().filter(|peer| peer.state(now_ns) == "active").count() as u64
    }

    /// All of them, with the names that feeds and targets have.
    pub fn list(&self, now_ns: u64, name: impl Fn(Link) -> String) -> ConnectionList {
        let view = |peer: &Peer| ConnectionView {
            peer: peer.address.to_string(),
            transport: if peer.is_udp() { "udp" } else { "tcp" }.to_owned(),
            of: name(peer.link),
            state: peer.state(now_ns).to_owned(),
            packets: peer.packets,
            bytes: peer.bytes,
            dropped: peer.dropped.iter().map(|(why, count)| (why.to_string(), *count)).collect(),
            last_ns: peer.last_ns,
        };
        let connections = self.peers.iter().map(view).collect();
        ConnectionList { connections, forgotten: self.forgotten }
    }
}

impl Peer {
    fn is_udp(&self) -> bool {
        matches!(self.link, Link::UdpFeed(_))
    }

    fn state(&self, now_ns: u64) -> &'static str {
        let silent = now_ns.saturating_sub(self.last_ns) > IDLE_NS;
        match (self.open, self.is_udp() && silent) {
            (false, _) => "closed",
            (true, true) => "idle",
            (true, false) => "active",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(port: u16) -> SocketAddr {
        ([10, 0, 0, 1], port).into()
    }

    #[test]
    fn peers_are_told_apart_and_counted() {
        let mut peers = Peers::new();
        for port in [1, 2, 1] {
            peers.received(Link::UdpFeed(0), peer(port), 24, 5);
        }
        peers.received(Link::UdpFeed(1), peer(1), 24, 5);
        peers.dropped(Link::UdpFeed(0), peer(2), Reason::UdpBadChecksum, 6);
        let list = peers.list(6, |link| format!("{link:?}")).connections;
        assert_eq!(list.len(), 3);
        assert_eq!((list[0].packets, list[0].bytes, list[0].state.as_str()), (2, 48, "active"));
        assert_eq!(list[1].dropped["udp_bad_checksum"], 1);
        assert_eq!(peers.active(6), 3);
        assert_eq!(peers.active(6 + IDLE_NS), 1, "two were heard of earlier");
    }

    #[test]
    fn more_peers_than_are_known_are_counted() {
        let mut peers = Peers::new();
        for port in 0..PEERS_MAX as u16 + 3 {
            peers.received(Link::UdpFeed(0), peer(port), 1, 1);
        }
        let list = peers.list(1, |_| String::new());
        assert_eq!((list.connections.len(), list.forgotten), (PEERS_MAX, 3));
    }

    #[test]
    fn closed_connections_make_room() {
        let mut peers = Peers::new();
        for port in 0..PEERS_MAX as u16 {
            peers.opened(Link::TcpFeed(0), peer(port), 1);
        }
        peers.closed(Link::TcpFeed(0), peer(7), true);
        assert_eq!((peers.active(1), peers.lost), (PEERS_MAX as u64 - 1, 1));
        peers.opened(Link::TcpFeed(0), peer(9_000), 1);
        assert_eq!(peers.active(1), PEERS_MAX as u64);
        peers.received(Link::TcpFeed(0), peer(8), 3, 2);
        let list = peers.list(2, |_| String::new()).connections;
        assert_eq!(list.iter().map(|one| one.bytes).sum::<u64>(), 3);
    }
}
