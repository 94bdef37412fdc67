//! Orders in datagrams.

use super::exchange::{Course, cannot_listen};
use crate::exit::Failure;
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_recv_buffer_size_force};
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;
use tickwire_capture::udp::drops_of;

/// What the kernel keeps while orders are written: as much as it allows, up to this.
const RECEIVE_BYTES: usize = 16 << 20;

/// So soon is a stop noticed.
const WAIT_MS: u64 = 50;

/// The last orders that are still read at a stop: more than wait in a socket.
const LAST_ORDERS_MAX: usize = 1 << 20;

/// The longest datagram.
const DATAGRAM_BYTES_MAX: usize = 1 << 16;

/// Where they come in.
pub struct Datagrams(UdpSocket);

impl Datagrams {
    /// Opens the port.
    pub fn open(listen: SocketAddr) -> Result<(Datagrams, SocketAddr), Failure> {
        let socket = UdpSocket::bind(listen).map_err(|error| cannot_listen(listen, &error))?;
        // Without the right to more, it is what the system gives.
        let _ = set_socket_recv_buffer_size_force(&socket, RECEIVE_BYTES)
            .or_else(|_| set_socket_recv_buffer_size(&socket, RECEIVE_BYTES));
        let timeout = socket.set_read_timeout(Some(Duration::from_millis(WAIT_MS)));
        let address = timeout.and_then(|()| socket.local_addr()).map_err(Failure::failed)?;
        Ok((Datagrams(socket), address))
    }

    /// Takes orders until it is told to stop: how many datagrams the kernel dropped.
    pub fn serve(&self, course: &mut Course) -> Result<u32, Failure> {
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        while !course.is_stopped() {
            self.receive(&mut buffer, course)?;
            // There is no connection that it could want closed.
            let _ = course.tick()?;
        }
        self.0.set_nonblocking(true).map_err(Failure::failed)?;
        for _ in 0..LAST_ORDERS_MAX {
            if !self.receive(&mut buffer, course)? {
                break;
            }
        }
        drops_of(&self.0).map_err(Failure::failed)
    }

    /// Whether there was one.
    fn receive(&self, buffer: &mut [u8], course: &mut Course) -> Result<bool, Failure> {
        match self.0.recv(buffer) {
            // A datagram has no connection that could be closed.
            Ok(len) => course.received(&buffer[..len]).map_err(Failure::failed).map(|()| true),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Ok(false),
                _ => Err(Failure::failed(format_args!("cannot receive orders: {error}"))),
            },
        }
    }
}
