//! The sender: a connected socket for one subscriber.

use super::config::SenderConfig;
use super::open::{local_address, scoped, udp_socket};
use crate::interfaces::{self, Interface};
use crate::sockets::{attach_verdict, set_option};
use crate::{DatagramSender, PortError};
use rustix::io::Errno;
use rustix::net::{bind, connect, sockopt};
use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use tickwire_frame::{FRAMES_MAX, Reason};

/// How often a datagram is tried again after an error that may belong to an earlier one: an ICMP
/// message that came back, which the kernel reports to whoever sends next.
const RETRIES_MAX: usize = 2;
/// `SOL_UDP` and `UDP_NO_CHECK6_TX` (linux/udp.h).
const SOL_UDP: i32 = 17;
const UDP_NO_CHECK6_TX: i32 = 101;

/// A connected, non-blocking socket that sends to one subscriber.
///
/// One for each subscriber, because datagrams that wait for an ARP answer fill the buffer of their
/// socket: one socket for a live and two dead subscribers would lose most of the live one's.
///
/// `sent = payloads − lost`, where sent means that the kernel has taken it. What it loses later,
/// while it waits for a neighbour that never answers, is known to the kernel alone.
/// Datagrams longer than the MTU are sent in fragments (no path MTU discovery).
#[derive(Debug)]
pub struct UdpSender {
    socket: OwnedFd,
    source: SocketAddr,
    destination: SocketAddr,
}

impl UdpSender {
    /// Opens a sender. The source address is the one of the route to the subscriber at this
    /// moment: when the route changes, or the interface is made again, open another one.
    ///
    /// # Errors
    /// Without a route to the subscriber, for an interface that is not there, when another
    /// program has the source port.
    pub fn open(config: &SenderConfig) -> Result<Self, PortError> {
        let interface = config.interface.as_deref().map(interfaces::find).transpose()?;
        let destination = config.destination;
        let failed = |error: io::Error| {
            let cure = cure(&error, config.source_port.unwrap_or(config.feed.port()));
            PortError::system(format!("send to {destination} over UDP"), error, cure)
        };
        let destination = scoped(destination, interface.as_ref());
        let connected = connected(config, destination, interface.as_ref());
        let socket = connected.map_err(failed)?;
        let source = local_address(&socket).map_err(failed)?;
        Ok(UdpSender { socket, source, destination })
    }

    /// The address and port that its datagrams come from.
    pub fn source(&self) -> SocketAddr {
        self.source
    }

    /// Where it sends.
    pub fn destination(&self) -> SocketAddr {
        self.destination
    }
}

/// A socket bound to the source port, then connected.
///
/// Bound to all addresses: one that is bound to the address of the receiver would, from Linux 6.13
/// on, form a group with the senders that are connected already, and not with the receiver.
fn connected(
    config: &SenderConfig,
    destination: SocketAddr,
    interface: Option<&Interface>,
) -> io::Result<OwnedFd> {
    let socket = udp_socket(destination.ip())?;
    prepare(&socket, config, interface)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    let any: IpAddr = match destination {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let port = config.source_port.unwrap_or(config.feed.port());
    bind(&socket, &SocketAddr::new(any, port))?;
    connect(&socket, &destination)?;
    Ok(socket)
}

fn prepare(
    socket: &OwnedFd,
    config: &SenderConfig,
    interface: Option<&Interface>,
) -> io::Result<()> {
    use libc::{IPPROTO_IP, IPPROTO_IPV6, SOL_SOCKET};
    // It only sends: what a subscriber sends back would fill its buffer.
    attach_verdict(socket, libc::SO_ATTACH_FILTER, 0)?;
    sockopt::set_socket_recv_buffer_size(socket, 0)?;
    if sockopt::set_socket_send_buffer_size_force(socket, config.buffer_bytes).is_err() {
        sockopt::set_socket_send_buffer_size(socket, config.buffer_bytes)?;
    }
    sockopt::set_socket_broadcast(socket, true)?;
    let index = interface.map_or(0, |interface| interface.index as i32);
    let (ttl, tos) = (i32::from(config.ttl), i32::from(config.dscp) << 2);
    let (level, options) = match config.destination {
        SocketAddr::V4(_) => (
            IPPROTO_IP,
            [
                (libc::IP_TTL, ttl),
                (libc::IP_MULTICAST_TTL, ttl),
                (libc::IP_MULTICAST_LOOP, 0),
                (libc::IP_TOS, tos),
                (libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DONT),
                // A full queue of the interface is an error then, not silence.
                (libc::IP_RECVERR, 1),
                (libc::IP_UNICAST_IF, index.to_be()),
            ],
        ),
        SocketAddr::V6(_) => (
            IPPROTO_IPV6,
            [
                (libc::IPV6_UNICAST_HOPS, ttl),
                (libc::IPV6_MULTICAST_HOPS, ttl),
                (libc::IPV6_MULTICAST_LOOP, 0),
                (libc::IPV6_TCLASS, tos),
                (libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DONT),
                (libc::IPV6_RECVERR, 1),
                (libc::IPV6_UNICAST_IF, index.to_be()),
            ],
        ),
    };
    for (option, value) in options {
        set_option(socket, level, option, &value)?;
    }
    if index != 0 && config.destination.is_ipv4() {
        let any = libc::in_addr { s_addr: 0 };
        let request = libc::ip_mreqn { imr_multiaddr: any, imr_address: any, imr_ifindex: index };
        set_option(socket, IPPROTO_IP, libc::IP_MULTICAST_IF, &request)?;
    } else if index != 0 {
        set_option(socket, IPPROTO_IPV6, libc::IPV6_MULTICAST_IF, &index)?;
    }
    match (config.checksum, config.destination) {
        (true, _) => Ok(()),
        (false, SocketAddr::V4(_)) => set_option(socket, SOL_SOCKET, libc::SO_NO_CHECK, &1i32),
        (false, SocketAddr::V6(_)) => set_option(socket, SOL_UDP, UDP_NO_CHECK6_TX, &1i32),
    }
}

impl DatagramSender for UdpSender {
    fn send(&mut self, payloads: &[&[u8]], lost: &mut dyn FnMut(Reason, u64)) {
        let (mut rest, mut retries) = (payloads, 0);
        while !rest.is_empty() {
            let error = match send_many(&self.socket, rest) {
                Ok(sent) => {
                    (rest, retries) = (&rest[sent..], 0);
                    continue;
                }
                Err(error) => error,
            };
            let full = matches!(error, Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM);
            if !full && retries < RETRIES_MAX {
                retries += 1;
                continue;
            }
            let (reason, all) = judge(error);
            let count = if all { rest.len() } else { 1 };
            lost(reason, count as u64);
            (rest, retries) = (&rest[count..], 0);
        }
    }
}

/// The name of a refusal, and whether the next datagram would meet the same.
fn judge(error: Errno) -> (Reason, bool) {
    match error {
        // The socket's buffer; the queue of the interface.
        Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM => (Reason::TxRingFull, true),
        Errno::NETUNREACH => (Reason::NoRoute, true),
        Errno::HOSTUNREACH | Errno::HOSTDOWN => (Reason::NoNeighbour, true),
        Errno::NETDOWN | Errno::NODEV | Errno::NXIO => (Reason::LinkDown, true),
        Errno::MSGSIZE => (Reason::TooLong, false),
        _ => (Reason::TxRefused, false),
    }
}

/// One sendmmsg(2) of at most 64 payloads; how many went, at least one.
fn send_many(socket: &OwnedFd, payloads: &[&[u8]]) -> Result<usize, Errno> {
    let count = payloads.len().min(FRAMES_MAX);
    let mut vectors = [const { MaybeUninit::<libc::iovec>::uninit() }; FRAMES_MAX];
    let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; FRAMES_MAX];
    for ((payload, vector), header) in payloads.iter().zip(&mut vectors).zip(&mut headers) {
        let (iov_base, iov_len) = (payload.as_ptr().cast_mut().cast(), payload.len());
        let vector = vector.write(libc::iovec { iov_base, iov_len });
        // SAFETY: plain data, of which zeros mean no address, no control and no vector.
        let header = header.write(unsafe { std::mem::zeroed() });
        header.msg_hdr.msg_iov = vector;
        header.msg_hdr.msg_iovlen = 1;
    }
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the first `count` headers are written, each with one vector of one payload that is
    // borrowed until this function returns. The kernel only reads the payloads.
    let sent = unsafe {
        libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr().cast(), count as u32, flags)
    };
    usize::try_from(sent)
        .map_err(|_| Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO))
}

fn cure(error: &io::Error, port: u16) -> String {
    match error.raw_os_error() {
        Some(libc::EADDRINUSE) => format!(
            "another program has the port (`ss -ulnp sport = :{port}`); end it, or choose another \
             source port"
        ),
        Some(libc::ENETUNREACH | libc::EHOSTUNREACH) => "there is no route; `ip route add`".into(),
        Some(libc::EACCES) => {
            format!("ports below 1024, such as {port}, take CAP_NET_BIND_SERVICE")
        }
        Some(libc::EADDRNOTAVAIL) => "its interface has no address of this IP version".into(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn payloads_arrive_in_order_from_the_port_of_the_feed() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let feed = UdpSocket::bind("127.0.0.2:0").unwrap().local_addr().unwrap();
        let config = SenderConfig::new(feed, receiver.local_addr().unwrap());
        let mut sender = UdpSender::open(&config).unwrap();
        let payloads: Vec<Vec<u8>> = (0..150u8).map(|n| vec![n; 1 + usize::from(n)]).collect();
        let slices: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
        sender.send(&slices, &mut |reason, count| panic!("{count} lost: {reason}"));
        let mut buffer = [0; 256];
        for payload in &payloads {
            let (length, from) = receiver.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..length], from.port()), (&payload[..], feed.port()));
        }
        assert_eq!(sender.source().port(), feed.port());
    }

    #[test]
    fn a_closed_port_costs_no_datagram() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let destination = receiver.local_addr().unwrap();
        let mut config = SenderConfig::new("127.0.0.1:0".parse().unwrap(), destination);
        config.source_port = Some(0);
        let mut sender = UdpSender::open(&config).unwrap();
        let mut lost = 0;
        drop(receiver);
        // Each comes back as an ICMP message, which the next send meets.
        for _ in 0..100 {
            sender.send(&[b"closed"], &mut |_, count| lost += count);
        }
        let receiver = UdpSocket::bind(destination).unwrap();
        sender.send(&[b"open", b"again"], &mut |_, count| lost += count);
        let mut buffer = [0; 16];
        assert_eq!((receiver.recv(&mut buffer).unwrap(), &buffer[..4]), (4, &b"open"[..]));
        assert_eq!((receiver.recv(&mut buffer).unwrap(), lost), (5, 0));
    }

    #[test]
    fn only_the_datagram_that_is_too_long_is_lost() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let config = SenderConfig {
            source_port: Some(0),
            ..SenderConfig::new("127.0.0.1:0".parse().unwrap(), receiver.local_addr().unwrap())
        };
        let mut sender = UdpSender::open(&config).unwrap();
        let (mut lost, long) = (Vec::new(), vec![0; 65_508]);
        sender.send(&[b"1", &long, b"2"], &mut |reason, count| lost.push((reason, count)));
        assert_eq!(lost, [(Reason::TooLong, 1)]);
        let mut buffer = [0; 16];
        for text in [b"1", b"2"] {
            let length = receiver.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], text);
        }
    }

    #[test]
    fn the_ip_version_is_that_of_the_receiver() {
        for (feed, to) in [("[::1]:0", "127.0.0.1:0"), ("127.0.0.1:0", "[::1]:0")] {
            let Ok(receiver) = UdpSocket::bind(to) else {
                eprintln!("SKIPPED: no address for {to} here");
                continue;
            };
            let to = receiver.local_addr().unwrap();
            let config = SenderConfig::new(feed.parse().unwrap(), to);
            let mut sender = UdpSender::open(&config).unwrap();
            sender.send(&[b"copy"], &mut |reason, _| panic!("{reason}"));
            assert_eq!(receiver.recv(&mut [0; 16]).unwrap(), 4);
        }
    }
}
