//! A UDP socket that checks the number of every datagram.

use crate::error::{LabError, Tried};
use crate::{CheckReport, Checker, End};
use std::io;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// Room for datagrams that arrive faster than they are read, in bytes (SO_RCVBUFFORCE).
const BUFFER_BYTES: usize = 64 << 20;
/// Longest datagram that is checked.
const DATAGRAM_BYTES_MAX: usize = 9216;
/// How long one read waits, so that the deadline is seen.
const READ_WAIT: Duration = Duration::from_millis(20);
/// Index of the drops in what SO_MEMINFO gives (`SK_MEMINFO_DROPS`, linux/sock_diag.h).
const MEMINFO_DROPS: usize = 8;
/// How many words SO_MEMINFO gives (`SK_MEMINFO_VARS`).
const MEMINFO_WORDS: usize = 9;

/// Receives numbered packets on a UDP port of an end.
#[derive(Debug)]
pub struct UdpReceiver {
    socket: UdpSocket,
}

impl UdpReceiver {
    /// Binds `address` and `port` inside the namespace of `end`.
    ///
    /// # Errors
    /// EADDRINUSE, EADDRNOTAVAIL.
    pub fn bind(end: &End, address: impl Into<IpAddr>, port: u16) -> Result<Self, LabError> {
        let address = address.into();
        let open = || {
            let socket = UdpSocket::bind((address, port))?;
            socket.set_read_timeout(Some(READ_WAIT))?;
            rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER_BYTES)?;
            Ok::<_, io::Error>(socket)
        };
        let socket = end.run(open).tried(|| format!("bind {address} port {port}"))?;
        Ok(UdpReceiver { socket })
    }

    /// The socket, to join groups with.
    pub fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// Feeds `checker` until it has `wanted` packets or `timeout` is over.
    ///
    /// # Errors
    /// When the socket breaks.
    pub fn receive(
        &self,
        checker: &mut Checker,
        wanted: u64,
        timeout: Duration,
    ) -> Result<CheckReport, LabError> {
        let deadline = Instant::now() + timeout;
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        while checker.received() < wanted && Instant::now() < deadline {
            match self.socket.recv(&mut buffer) {
                Ok(len) => checker.check_payload(0, &buffer[..len]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(LabError::new("receive numbered packets", error)),
            }
        }
        Ok(checker.report())
    }

    /// Datagrams that the kernel dropped because the socket's buffer was full.
    ///
    /// # Errors
    /// ENOPROTOOPT before Linux 4.12.
    pub fn drops(&self) -> Result<u64, LabError> {
        let mut words = [0u32; MEMINFO_WORDS];
        let mut len = size_of_val(&words) as libc::socklen_t;
        let (fd, level) = (self.socket.as_raw_fd(), libc::SOL_SOCKET);
        // SAFETY: the kernel writes at most `len` bytes to the live array.
        let failed = unsafe {
            libc::getsockopt(fd, level, libc::SO_MEMINFO, words.as_mut_ptr().cast(), &mut len) != 0
        };
        let error = io::Error::last_os_error();
        if failed {
            Err(LabError::new("read a socket's drops", error))
        } else {
            Ok(words[MEMINFO_DROPS].into())
        }
    }
}
