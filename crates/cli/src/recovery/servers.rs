//! Whom to ask, and the socket to ask from.

use crate::exit::Failure;
use rustix::event::{EventfdFlags, eventfd};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// The most servers.
const SERVERS_MAX: usize = 8;
/// What answers wait in, in bytes.
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;

/// What it takes to ask.
#[derive(Debug)]
pub struct Opened {
    pub(super) socket: UdpSocket,
    pub(super) servers: Vec<SocketAddr>,
    /// Whether answers are read here.
    pub(super) reads: bool,
    /// What the follower wakes the desk with.
    pub wake: Wake,
    /// Where answers come.
    pub address: SocketAddr,
}

impl Opened {
    /// A socket of its own to ask `servers`.
    ///
    /// # Errors
    /// As [`check`], and what the system refuses.
    pub fn open(servers: &[SocketAddr]) -> Result<Opened, Failure> {
        check(servers)?;
        let open = || -> io::Result<UdpSocket> {
            let socket = UdpSocket::bind(any_of(servers))?;
            socket.set_nonblocking(true)?;
            rustix::net::sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER_BYTES)?;
            Ok(socket)
        };
        Opened::with(open().map_err(no_socket)?, servers, true)
    }

    /// Asks `servers` from `socket`, whose owner reads the answers.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn beside(socket: impl AsFd, servers: &[SocketAddr]) -> Result<Opened, Failure> {
        check(servers)?;
        let socket = socket.as_fd().try_clone_to_owned().map_err(no_socket)?;
        Opened::with(socket.into(), servers, false)
    }

    fn with(socket: UdpSocket, servers: &[SocketAddr], reads: bool) -> Result<Opened, Failure> {
        let address = socket.local_addr().map_err(Failure::failed)?;
        Ok(Opened { socket, servers: servers.to_vec(), reads, wake: Wake::new()?, address })
    }
}

fn no_socket(error: io::Error) -> Failure {
    Failure::failed(format_args!("cannot open a socket: {error}; see `ulimit -n`"))
}

/// The address to bind to when `servers` are to be asked from any.
pub fn any_of(servers: &[SocketAddr]) -> SocketAddr {
    match servers.first() {
        Some(SocketAddr::V6(_)) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        _ => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
    }
}

/// Checks whom to ask.
///
/// # Errors
/// None or too many, of two IP versions, a group, a port of 0.
pub fn check(servers: &[SocketAddr]) -> Result<(), Failure> {
    let first = servers.first().ok_or_else(|| Failure::usage("there is no server to ask"))?;
    if servers.len() > SERVERS_MAX {
        return Err(Failure::usage(format!("{SERVERS_MAX} servers are the most")));
    }
    if servers.iter().any(|server| server.is_ipv4() != first.is_ipv4()) {
        return Err(Failure::usage("the servers are of one IP version: IPv4 or IPv6"));
    }
    if servers.iter().any(|server| server.port() == 0 || server.ip().is_multicast()) {
        return Err(Failure::usage("a server has a port and is no group: 10.0.0.1:18000"));
    }
    Ok(())
}

/// Wakes the desk. Clones wake the same.
#[derive(Clone, Debug)]
pub struct Wake(Arc<OwnedFd>);

impl Wake {
    fn new() -> Result<Wake, Failure> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let fd = eventfd(0, flags).map_err(|error| {
            Failure::failed(format_args!("cannot make an eventfd: {error}; see `ulimit -n`"))
        })?;
        Ok(Wake(Arc::new(fd)))
    }

    /// There is something to do.
    pub fn wake(&self) {
        // It cannot fail but for a count that nobody reads: then it is awake already.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    pub(super) fn clear(&self) {
        let _ = rustix::io::read(&self.0, &mut [0_u8; 8]);
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
