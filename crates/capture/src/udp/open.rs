//! Opening the receiving socket.

use super::config::UdpConfig;
use crate::interfaces::Interface;
use crate::sockets::{attach_verdict, set_option};
use crate::{PortError, multicast};
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with, sockopt,
};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

/// `IPV6_MULTICAST_ALL` (linux/in6.h).
const IPV6_MULTICAST_ALL: i32 = 29;

/// A bound socket, and what is known of it.
#[derive(Debug)]
pub(super) struct Opened {
    pub socket: OwnedFd,
    /// Where it is bound: the port is known also when 0 was asked for.
    pub listen: SocketAddr,
    /// The receive buffer in force, in bytes.
    pub buffer_bytes: usize,
}

/// Opens the socket of a feed. A group is joined on `interface`.
pub(super) fn open(config: &UdpConfig, interface: Option<&Interface>) -> Result<Opened, PortError> {
    let listen = config.listen;
    let what = || format!("receive {listen} over UDP");
    let failed = |error: io::Error| {
        let cure = cure(&error, listen);
        PortError::system(what(), error, cure)
    };
    let group = interface.filter(|_| listen.ip().is_multicast());
    let socket = udp_socket(listen.ip()).map_err(failed)?;
    prepare(&socket, config).map_err(failed)?;
    if let Some(interface) = group {
        // Any number of programs may receive a group.
        sockopt::set_socket_reuseaddr(&socket, true).map_err(|e| failed(e.into()))?;
        bind_to(&socket, interface.name.as_bytes()).map_err(failed)?;
    }
    bind(&socket, &scoped(listen, interface)).map_err(|e| failed(e.into()))?;
    let listen = local_address(&socket).map_err(failed)?;
    match group {
        Some(Interface { index, name, .. }) => {
            let (group, source) = (listen.ip(), config.source);
            multicast::join_with(&socket, *index, group, source)
                .map_err(|error| multicast::refused(name, group, source, error))?;
        }
        None => share(&socket, listen).map_err(failed)?,
    }
    // The kernel doubles what it was asked for, for its own account of each packet.
    let doubled = sockopt::socket_recv_buffer_size(&socket).map_err(|e| failed(e.into()))?;
    Ok(Opened { socket, listen, buffer_bytes: doubled / 2 })
}

/// A UDP socket of the address's family, IPv6 only if it is of that.
pub(super) fn udp_socket(address: IpAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::DGRAM, flags, None)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    // Members only: not whatever group anybody on this machine has joined.
    let (level, option) = match address {
        IpAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_MULTICAST_ALL),
        IpAddr::V6(_) => (libc::IPPROTO_IPV6, IPV6_MULTICAST_ALL),
    };
    set_option(&socket, level, option, &0i32)?;
    Ok(socket)
}

/// Where the socket is bound.
pub(super) fn local_address(socket: &OwnedFd) -> io::Result<SocketAddr> {
    SocketAddr::try_from(getsockname(socket)?).map_err(io::Error::from)
}

/// Link-local addresses need to know of which link.
pub(super) fn scoped(address: SocketAddr, interface: Option<&Interface>) -> SocketAddr {
    match (address, interface) {
        (SocketAddr::V6(mut address), Some(interface)) if address.scope_id() == 0 => {
            address.set_scope_id(interface.index);
            address.into()
        }
        _ => address,
    }
}

fn prepare(socket: &OwnedFd, config: &UdpConfig) -> io::Result<()> {
    // Without CAP_NET_ADMIN net.core.rmem_max is the limit, and the mode says what it is.
    if sockopt::set_socket_recv_buffer_size_force(socket, config.buffer_bytes).is_err() {
        sockopt::set_socket_recv_buffer_size(socket, config.buffer_bytes)?;
    }
    let said = match config.listen {
        SocketAddr::V4(_) => [libc::IP_PKTINFO, libc::IP_RECVTTL, libc::IP_RECVTOS],
        SocketAddr::V6(_) => {
            [libc::IPV6_RECVPKTINFO, libc::IPV6_RECVHOPLIMIT, libc::IPV6_RECVTCLASS]
        }
    };
    let level = if config.listen.is_ipv4() { libc::IPPROTO_IP } else { libc::IPPROTO_IPV6 };
    for option in said {
        set_option(socket, level, option, &1i32)?;
    }
    set_option(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, &1i32)
}

/// Binds to an interface, by its name of at most 15 bytes.
fn bind_to(socket: &OwnedFd, name: &[u8]) -> io::Result<()> {
    let mut padded = [0u8; libc::IFNAMSIZ];
    let length = name.len().min(libc::IFNAMSIZ - 1);
    padded[..length].copy_from_slice(&name[..length]);
    set_option(socket, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, &padded)
}

/// Lets senders share the port without ever receiving of it. The bind before was exclusive, so
/// that a second receiver was refused; only now may others come.
///
/// Senders bind to all addresses before they connect. The kernel looks for a socket on the very
/// address first, so that one takes nothing from a receiver there. Next to a receiver on all
/// addresses they form a group with it, whose program chooses the first member.
fn share(socket: &OwnedFd, listen: SocketAddr) -> io::Result<()> {
    sockopt::set_socket_reuseport(socket, true)?;
    if !listen.ip().is_unspecified() {
        return Ok(());
    }
    // A group comes into being with its second member.
    let second = udp_socket(listen.ip())?;
    sockopt::set_socket_reuseport(&second, true)?;
    bind(&second, &listen)?;
    attach_verdict(socket, libc::SO_ATTACH_REUSEPORT_CBPF, 0)
}

fn cure(error: &io::Error, listen: SocketAddr) -> String {
    let port = listen.port();
    match error.raw_os_error() {
        Some(libc::EADDRINUSE) => {
            format!("`ss -ulnp sport = :{port}` shows who receives there; end it")
        }
        Some(libc::EADDRNOTAVAIL) => {
            "listen on an address of this machine (`ip addr`), or on 0.0.0.0 or ::".into()
        }
        Some(libc::EACCES) => {
            format!("ports below 1024, such as {port}, take CAP_NET_BIND_SERVICE")
        }
        Some(libc::EPERM) => "before Linux 5.7 an interface takes CAP_NET_RAW".into(),
        Some(libc::EAFNOSUPPORT) => "this machine has no IPv6; listen on an IPv4 address".into(),
        _ => String::new(),
    }
}
