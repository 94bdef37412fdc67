//! One connection: smoltcp's TCP over the frames of a worker.
//!
//! It reads and writes like a [`TcpStream`](std::net::TcpStream) that never waits. Bytes move when
//! a segment is [received](Connection::receive) and when what is due is
//! [transmitted](Connection::transmit): by the worker, never by a thread or a clock of its own.
//! All buffers are taken at its beginning; nothing is allocated then.
//!
//! There is no congestion control: what can be under way is bounded by [`BUFFER_BYTES`], and an
//! order must not wait for a window that opens slowly.

use super::device::{Device, Egress};
use smoltcp::iface::{Config, Interface, PollResult, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{RecvError, Socket, SocketBuffer, State};
use smoltcp::time;
use smoltcp::wire::{HardwareAddress, IpCidr, IpEndpoint};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tickwire_capture::Transmitter;
use tickwire_capture::af_xdp::TcpConnection;
use tickwire_capture::routes::Hop;

/// Bytes that wait in either direction, at most.
pub const BUFFER_BYTES: usize = 1 << 16;
/// Of a peer that is silent a sign of life is asked for after so long, in milliseconds.
const KEEP_ALIVE_MS: u64 = 3_000;
/// A peer from which nothing came for so long is gone, in milliseconds.
const SILENCE_MS_MAX: u64 = 10_000;
/// Segments sent at once, at most; the rest goes with the next call.
const SEGMENTS_MAX: usize = 256;

/// A TCP connection that is spoken in user space.
pub struct Connection {
    interface: Interface,
    sockets: SocketSet<'static>,
    handle: SocketHandle,
    egress: Egress,
    ends: TcpConnection,
    /// The beginning of its time.
    born: Instant,
    /// Bytes taken for sending, modulo 2³².
    written: u32,
    /// Why it ended before its time.
    broken: Option<ErrorKind>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("ends", &self.ends)
            .field("state", &self.socket().state())
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// Connects from `port` of ours to `remote`, by way of `hop`: the SYN leaves with the first
    /// [`transmit`](Self::transmit).
    ///
    /// # Panics
    /// When `remote` is not of the IP version of `hop`, or one of the ports is 0.
    pub fn new(hop: &Hop, port: u16, remote: SocketAddr, now: Instant) -> Connection {
        let mut egress = Egress::new(hop, remote.is_ipv6());
        let mut device = Device { incoming: None, way: None, egress: &mut egress };
        let mut config = Config::new(HardwareAddress::Ip);
        // Initial sequence numbers nobody can guess (RFC 6528).
        config.random_seed = RandomState::new().hash_one(port);
        let zero = time::Instant::ZERO;
        let mut interface = Interface::new(config, &mut device, zero);
        interface.update_ip_addrs(|addresses| {
            let whole = if remote.is_ipv6() { 128 } else { 32 };
            // The first of two at least.
            let _ = addresses.push(IpCidr::new(hop.source.into(), whole));
        });
        let buffer = || SocketBuffer::new(vec![0; BUFFER_BYTES]);
        let mut socket = Socket::new(buffer(), buffer());
        socket.set_nagle_enabled(false);
        // An acknowledgment leaves with the batch, not with a timer: the worker's are coarse.
        socket.set_ack_delay(None);
        socket.set_keep_alive(Some(time::Duration::from_millis(KEEP_ALIVE_MS)));
        socket.set_timeout(Some(time::Duration::from_millis(SILENCE_MS_MAX)));
        let local = SocketAddr::new(hop.source, port);
        socket
            .connect(interface.context(), IpEndpoint::from(remote), IpEndpoint::from(local))
            .expect("two addresses of a version, with ports");
        let mut sockets = SocketSet::new(Vec::with_capacity(1));
        let handle = sockets.add(socket);
        let ends = TcpConnection { local, remote };
        let (written, broken) = (0, None);
        Connection { interface, sockets, handle, egress, ends, born: now, written, broken }
    }

    /// Both ends of it.
    pub fn ends(&self) -> TcpConnection {
        self.ends
    }

    /// When it began.
    pub fn born(&self) -> Instant {
        self.born
    }

    /// The way there is another one now.
    pub fn follow(&mut self, hop: &Hop) {
        self.egress.follow(hop, self.ends.remote.is_ipv6());
    }

    /// A segment of it came, as an IP packet. What is answered at once is written to `way`.
    pub fn receive(&mut self, packet: &[u8], way: &mut dyn Transmitter, now: Instant) {
        let was_open = self.socket().is_open();
        let now = self.time(now);
        let way = usable(way, &self.egress);
        let mut device = Device { incoming: Some(packet), way, egress: &mut self.egress };
        self.interface.poll_ingress_single(now, &mut device, &mut self.sockets);
        let closed = was_open && self.socket().state() == State::Closed;
        // The last acknowledgment of an orderly end, or a reset.
        if closed && self.may_still_read() != Err(RecvError::Finished) {
            self.broken = Some(ErrorKind::ConnectionReset);
        }
    }

    /// Writes what is due to `way`; whoever owns that kicks it.
    pub fn transmit(&mut self, way: &mut dyn Transmitter, now: Instant) {
        let was_open = self.socket().is_open();
        let now = self.time(now);
        for _ in 0..SEGMENTS_MAX {
            let way = usable(way, &self.egress);
            let mut device = Device { incoming: None, way, egress: &mut self.egress };
            let polled = self.interface.poll_egress(now, &mut device, &mut self.sockets);
            if polled == PollResult::None {
                break;
            }
        }
        if was_open && !self.socket().is_open() {
            self.broken.get_or_insert(ErrorKind::TimedOut);
        }
    }

    /// Whether frames were written since this was asked last.
    pub fn take_pushed(&mut self) -> bool {
        std::mem::take(&mut self.egress.has_pushed)
    }

    /// Whether the handshake is over, and bytes can be sent.
    pub fn is_up(&self) -> bool {
        self.socket().may_send()
    }

    /// Whether nothing more happens on it.
    pub fn is_over(&self) -> bool {
        self.socket().state() == State::Closed
    }

    /// Bytes that were taken for sending and have not left yet, not even once.
    pub fn unsent_bytes(&self) -> u32 {
        self.egress.unsent_bytes(self.written)
    }

    /// Ends it in good order: what was taken is sent, then a FIN.
    pub fn close(&mut self) {
        self.socket_mut().close();
    }

    /// Ends it now: what was taken is not sent, a RST is.
    pub fn abort(&mut self) {
        self.socket_mut().abort();
    }

    fn socket(&self) -> &Socket<'static> {
        self.sockets.get(self.handle)
    }

    fn socket_mut(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut(self.handle)
    }

    fn may_still_read(&mut self) -> Result<(), RecvError> {
        self.socket_mut().peek(0).map(drop)
    }

    fn time(&self, now: Instant) -> time::Instant {
        let age: Duration = now.saturating_duration_since(self.born);
        time::Instant::from_micros(age.as_micros() as i64)
    }

    fn broken(&self) -> io::Error {
        self.broken.unwrap_or(ErrorKind::NotConnected).into()
    }
}

/// The transmitter of a worker, if it leads to where the connection goes.
fn usable<'w>(way: &'w mut dyn Transmitter, egress: &Egress) -> Option<&'w mut dyn Transmitter> {
    (way.ifindex() == egress.ifindex).then_some(way)
}

impl Read for Connection {
    /// What came. 0 when the other end sends nothing more, an error of the kind
    /// [`ErrorKind::WouldBlock`] when there is nothing now.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.socket_mut().recv_slice(into) {
            Ok(0) => Err(ErrorKind::WouldBlock.into()),
            Ok(read) => Ok(read),
            Err(RecvError::Finished) => Ok(0),
            Err(RecvError::InvalidState) => Err(self.broken()),
        }
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.socket_mut().send_slice(bytes) {
            Ok(0) => Err(ErrorKind::WouldBlock.into()),
            Ok(written) => {
                self.written = self.written.wrapping_add(written as u32);
                Ok(written)
            }
            Err(_) => Err(self.broken()),
        }
    }

    /// Does nothing: [`transmit`](Connection::transmit) sends.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
