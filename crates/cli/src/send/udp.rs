//! Packets leave through UDP sockets: no privileges needed, the kernel makes the headers.

use super::outlet::{Handed, Outlet};
use crate::exit::Failure;
use arrayvec::ArrayVec;
use rustix::io::Errno;
use rustix::net::sockopt::{self, Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, Timeout};
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, send, sendmmsg};
use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;
use tickwire_capture::{Mode, PortError};
use tickwire_frame::{FRAMES_MAX, LinkType, Reason};

/// Most sockets of one sender: each is a flow.
pub const SOCKETS_MAX: u16 = 1024;
/// How long a full send buffer is waited for.
const ROOM_MS_MAX: u64 = 100;
/// What is on its way in one socket, in bytes.
const SEND_BUFFER_BYTES: usize = 1 << 20;
/// How often one datagram is offered again because a socket had to report an answer to an earlier
/// one instead of sending.
const REPORTS_MAX: u32 = 8;

/// Where datagrams go, and how.
#[derive(Clone, Debug)]
pub struct UdpTarget {
    /// Where they go.
    pub to: SocketAddr,
    /// Where they come from; the kernel chooses what is 0.
    pub source: SocketAddr,
    /// How many source ports take turns.
    pub flows: u16,
    /// Time to live or hop limit; the system's default when `None`.
    pub ttl: Option<u8>,
    /// Index of the interface that multicast leaves from; the routing table's when `None`.
    pub interface: Option<u32>,
}

/// Connected UDP sockets, one for each flow.
#[derive(Debug)]
pub struct UdpOutlet {
    sockets: Vec<UdpSocket>,
    next: usize,
    answers: Vec<(Errno, u64)>,
}

impl UdpOutlet {
    /// Opens the sockets.
    pub fn open(target: &UdpTarget) -> Result<Self, Failure> {
        let mut source = target.source;
        let sockets = (0..target.flows).map(|_| {
            let socket = open(target, source)?;
            // Flows of a given first port have the ports after it.
            if source.port() != 0 {
                source.set_port(source.port().checked_add(1).ok_or_else(no_more_ports)?);
            }
            Ok(socket)
        });
        Ok(UdpOutlet::of(sockets.collect::<Result<_, _>>()?))
    }

    /// Sends through `sockets`, which are connected.
    pub fn of(sockets: Vec<UdpSocket>) -> Self {
        UdpOutlet { sockets, next: 0, answers: Vec::new() }
    }

    /// Where the first flow comes from.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.sockets.first()?.local_addr().ok()
    }

    /// How many of `packets` the socket took, or what the system said of the first one.
    fn send_some(&self, packets: &[&[u8]]) -> Result<usize, Errno> {
        let socket = &self.sockets[self.next];
        if let [packet] = packets {
            return send(socket, packet, SendFlags::empty()).map(|_| 1);
        }
        let slices: ArrayVec<[IoSlice<'_>; 1], FRAMES_MAX> =
            packets.iter().map(|packet| [IoSlice::new(packet)]).collect();
        let mut controls: [SendAncillaryBuffer<'_, '_, '_>; FRAMES_MAX] =
            std::array::from_fn(|_| SendAncillaryBuffer::default());
        let mut messages: ArrayVec<MMsgHdr<'_>, FRAMES_MAX> =
            slices.iter().zip(&mut controls).map(|(slice, c)| MMsgHdr::new(slice, c)).collect();
        sendmmsg(socket, &mut messages, SendFlags::empty())
    }

    fn note(&mut self, answer: Errno) {
        match self.answers.iter_mut().find(|(known, _)| *known == answer) {
            Some((_, count)) => *count += 1,
            None => self.answers.push((answer, 1)),
        }
    }
}

impl Outlet for UdpOutlet {
    fn link(&self) -> Option<LinkType> {
        None
    }

    fn send(&mut self, packets: &[&[u8]]) -> Result<Handed, PortError> {
        // Each call serves one socket, so several flows take turns packet by packet.
        let packets = if self.sockets.len() > 1 { &packets[..1] } else { packets };
        let mut refused = Reason::TxRefused;
        for _ in 0..REPORTS_MAX {
            let errno = match self.send_some(packets) {
                Ok(sent) => {
                    self.next = (self.next + 1) % self.sockets.len();
                    return Ok(Handed { sent, refused: None });
                }
                Err(errno) => errno,
            };
            if errno == Errno::INTR {
                continue;
            }
            self.note(errno);
            match errno {
                // The answer to an earlier datagram: this one was not looked at.
                Errno::CONNREFUSED => continue,
                Errno::MSGSIZE => refused = Reason::TooLong,
                Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM => refused = Reason::TxRingFull,
                _ => {}
            }
            break;
        }
        self.next = (self.next + 1) % self.sockets.len();
        Ok(Handed { sent: 0, refused: Some(refused) })
    }

    fn answers(&self) -> Vec<(String, u64)> {
        let name = |errno: Errno| match errno {
            Errno::CONNREFUSED => "port unreachable: nobody listens there".to_owned(),
            other => std::io::Error::from(other).to_string(),
        };
        self.answers.iter().map(|&(errno, count)| (name(errno), count)).collect()
    }

    fn mode(&self) -> Mode {
        let mode = match self.sockets.len() {
            1 => "one socket".to_owned(),
            count => format!("{count} sockets"),
        };
        Mode { port: "udp", mode, why: String::new() }
    }
}

/// A socket connected to `target`, bound to `source`.
fn open(target: &UdpTarget, source: SocketAddr) -> Result<UdpSocket, Failure> {
    let socket = UdpSocket::bind(source).map_err(|error| {
        Failure::failed(format_args!("cannot send from {source}: {error}; {}", bind_cure(&error)))
    })?;
    connect(&socket, target)?;
    Ok(socket)
}

/// Makes `socket`, which is bound, one that sends to `target`.
pub fn connect(socket: &UdpSocket, target: &UdpTarget) -> Result<(), Failure> {
    let to = target.to;
    configure(socket, target).map_err(|error| {
        Failure::failed(format_args!("cannot set up a socket for {to}: {error}"))
    })?;
    socket.connect(to).map_err(|error| {
        let cure = match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NETUNREACH | Errno::HOSTUNREACH) => {
                format!("there is no route to it: see `ip route get {}`", to.ip())
            }
            Some(Errno::ACCESS | Errno::PERM) => {
                "broadcasts are not sent; give the address of a host or a group".to_owned()
            }
            _ => "check the address".to_owned(),
        };
        Failure::failed(format_args!("cannot send to {to}: {error}; {cure}"))
    })
}

fn configure(socket: &UdpSocket, target: &UdpTarget) -> rustix::io::Result<()> {
    sockopt::set_socket_send_buffer_size(socket, SEND_BUFFER_BYTES)?;
    sockopt::set_socket_timeout(socket, Timeout::Send, Some(Duration::from_millis(ROOM_MS_MAX)))?;
    let (is_multicast, index) = (target.to.ip().is_multicast(), target.interface.unwrap_or(0));
    match (target.to.ip(), target.ttl.map(u32::from)) {
        (IpAddr::V4(_), Some(ttl)) if is_multicast => sockopt::set_ip_multicast_ttl(socket, ttl)?,
        (IpAddr::V4(_), Some(ttl)) => sockopt::set_ip_ttl(socket, ttl)?,
        (IpAddr::V6(_), Some(ttl)) if is_multicast => {
            sockopt::set_ipv6_multicast_hops(socket, ttl)?;
        }
        (IpAddr::V6(_), Some(ttl)) => sockopt::set_ipv6_unicast_hops(socket, Some(ttl as u8))?,
        (_, None) => {}
    }
    let any = Ipv4Addr::UNSPECIFIED;
    // Market data is never in fragments: what does not fit is refused, and named.
    match target.to {
        SocketAddr::V4(_) => sockopt::set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::DO)?,
        SocketAddr::V6(_) => sockopt::set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::DO)?,
    }
    match target.to.ip() {
        IpAddr::V4(_) if is_multicast && index > 0 => {
            sockopt::set_ip_multicast_if_with_ifindex(socket, &any, &any, index)
        }
        IpAddr::V6(_) if is_multicast && index > 0 => sockopt::set_ipv6_multicast_if(socket, index),
        _ => Ok(()),
    }
}

/// What helps when an address cannot be bound.
fn bind_cure(error: &std::io::Error) -> &'static str {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::ADDRINUSE) => "another program has this port (`ss -ulpn` names it)",
        Some(Errno::ADDRNOTAVAIL) => "it is no address of this machine (`ip address` lists them)",
        Some(Errno::ACCESS) => "ports below 1024 need CAP_NET_BIND_SERVICE",
        _ => "check the address",
    }
}

fn no_more_ports() -> Failure {
    Failure::usage("there are not so many ports after that of --source; ask for fewer --flows")
}

/// No address and no port, of the same version as `to`.
pub fn any_source(to: SocketAddr) -> SocketAddr {
    match to {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(to: SocketAddr, flows: u16) -> UdpTarget {
        UdpTarget { to, source: any_source(to), flows, ttl: None, interface: None }
    }

    fn send_all(outlet: &mut UdpOutlet, packets: &[&[u8]]) -> (usize, Vec<Reason>) {
        let (mut at, mut sent, mut refused) = (0, 0, Vec::new());
        while at < packets.len() {
            let handed = outlet.send(&packets[at..]).expect("sockets do not break");
            sent += handed.sent;
            refused.extend(handed.refused);
            at = sent + refused.len();
        }
        (sent, refused)
    }

    #[test]
    fn all_arrive_in_order_from_one_socket_or_many() {
        for flows in [1, 3] {
            let receiver = UdpSocket::bind("127.0.0.1:0").expect("a port");
            let to = receiver.local_addr().expect("bound");
            let mut outlet = UdpOutlet::open(&target(to, flows)).expect("loopback");
            let payloads: Vec<[u8; 8]> = (0..64u64).map(u64::to_be_bytes).collect();
            let packets: Vec<&[u8]> = payloads.iter().map(|payload| &payload[..]).collect();
            assert_eq!(send_all(&mut outlet, &packets), (64, Vec::new()));
            let (mut buffer, mut sources) = ([0; 16], Vec::new());
            for payload in &payloads {
                let (length, from) = receiver.recv_from(&mut buffer).expect("a datagram");
                assert_eq!(&buffer[..length], payload);
                sources.push(from.port());
            }
            sources.sort_unstable();
            sources.dedup();
            assert_eq!(sources.len(), usize::from(flows));
        }
    }

    /// A closed port answers: the datagram behind it must be sent all the same.
    #[test]
    fn an_answer_to_an_earlier_datagram_costs_none() {
        let to = UdpSocket::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
        let mut outlet = UdpOutlet::open(&target(to, 1)).expect("loopback");
        for _ in 0..10 {
            assert_eq!(send_all(&mut outlet, &[b"tick"]), (1, Vec::new()));
        }
        let answers = outlet.answers();
        assert!(answers[0].0.contains("nobody listens") && answers[0].1 >= 5, "{answers:?}");
    }

    #[test]
    fn a_datagram_that_is_too_long_is_named_and_the_rest_goes_on() {
        let receiver = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let to = receiver.local_addr().expect("bound");
        let mut outlet = UdpOutlet::open(&target(to, 1)).expect("loopback");
        let long = vec![0; 70_000];
        let sent = send_all(&mut outlet, &[b"a", &long, b"b"]);
        assert_eq!(sent, (2, vec![Reason::TooLong]));
    }

    #[test]
    fn sockets_that_cannot_be_had_say_why() {
        let to: SocketAddr = "127.0.0.1:9".parse().expect("an address");
        let source = "192.0.2.1:0".parse().expect("an address");
        let Err(Failure::Failed(message)) = UdpOutlet::open(&UdpTarget { source, ..target(to, 1) })
        else {
            panic!("that is not our address")
        };
        assert!(message.contains("no address of this machine"), "{message}");
        let broadcast = "255.255.255.255:9".parse().expect("an address");
        let Err(Failure::Failed(message)) = UdpOutlet::open(&target(broadcast, 1)) else {
            panic!("broadcasts are not allowed")
        };
        assert!(message.contains("255.255.255.255:9") && message.contains(';'), "{message}");
    }
}
