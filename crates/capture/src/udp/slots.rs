//! Memory for one batch of datagrams, and the system call that fills it.

use super::headers::{HEADROOM, Said, write, write_link};
use crate::sockets::address_of;
use rustix::io::Errno;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use tickwire_frame::{Batch, FRAMES_MAX, Flags, Frame, LinkType, Timestamp};

/// Room for what the kernel says beside a datagram, in bytes: time, receiver, TTL and TOS take
/// some 120.
const CONTROL_BYTES: usize = 256;
/// A cache line. Slots begin on different lines, so that their headers do not compete for one set
/// of the cache.
const LINE_BYTES: usize = 64;

#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);

/// Room for 64 datagrams. Allocated once; pages are used as datagrams need them.
pub(super) struct Slots {
    bytes: Box<[u8]>,
    stride: usize,
    payload_bytes_max: usize,
    names: Box<[libc::sockaddr_storage]>,
    controls: Box<[Control]>,
    vectors: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
}

// SAFETY: the pointers in `vectors` and `headers` are to the other boxes of the same value, are
// written anew before each system call, and are read by the kernel alone.
unsafe impl Send for Slots {}

impl std::fmt::Debug for Slots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slots").field("payload_bytes_max", &self.payload_bytes_max).finish()
    }
}

impl Slots {
    pub fn new(payload_bytes_max: usize) -> Self {
        let lines = (HEADROOM + payload_bytes_max).div_ceil(LINE_BYTES);
        // An odd number of lines: the slots are spread over all sets.
        let stride = (lines | 1) * LINE_BYTES;
        // SAFETY: all three are plain data of the system's interface, for which zeros are valid.
        let (name, vector, header) =
            unsafe { (std::mem::zeroed(), std::mem::zeroed::<libc::iovec>(), std::mem::zeroed()) };
        Slots {
            bytes: vec![0; FRAMES_MAX * stride].into(),
            stride,
            payload_bytes_max,
            names: vec![name; FRAMES_MAX].into(),
            controls: vec![Control([0; CONTROL_BYTES]); FRAMES_MAX].into(),
            vectors: vec![vector; FRAMES_MAX].into(),
            headers: vec![header; FRAMES_MAX].into(),
        }
    }

    /// Takes what is there into the batch, with `listen` as destination where the kernel does not
    /// say better, or `stands_for` whatever it says. The frames are of the batch's link type, RAW
    /// or ETHERNET. Returns how many came in on another interface than `only`, and are left out.
    pub fn receive<'p>(
        &'p mut self,
        socket: &OwnedFd,
        (listen, stands_for): (SocketAddr, Option<SocketAddr>),
        only: Option<u32>,
        batch: &mut Batch<'p>,
    ) -> io::Result<u64> {
        let mut others = 0;
        let count = match self.fill(socket, batch.room()) {
            Ok(count) => count,
            // Who answers through the socket of a port may connect it: then the kernel reports here
            // that a peer does not listen.
            Err(Errno::AGAIN | Errno::INTR | Errno::CONNREFUSED) => 0,
            Err(error) => return Err(error.into()),
        };
        let kept_max = self.payload_bytes_max;
        let slots = self.bytes.chunks_exact_mut(self.stride).zip(&self.headers).zip(&self.names);
        for ((slot, header), name) in slots.take(count) {
            let length = header.msg_len as usize;
            let mut said = Said { source: listen, destination: listen, ttl: 0, tos: 0 };
            said.source = address_of(name).unwrap_or(listen);
            let (timestamp, ifindex) = read_control(&header.msg_hdr, &mut said);
            if only.is_some() && only != ifindex {
                others += 1;
                continue;
            }
            said.destination = stands_for.unwrap_or(said.destination);
            let slot = &mut slot[..HEADROOM + length.min(kept_max)];
            let mut start = write(slot, length, &said);
            if batch.link == LinkType::ETHERNET {
                start = write_link(slot, start);
            }
            let wire_len = (HEADROOM - start + length) as u32;
            // The kernel hands out no datagram with a wrong checksum.
            let flags = Flags::CHECKSUM_VALID;
            batch.push(Frame { bytes: &slot[start..], wire_len, timestamp, flags });
        }
        Ok(others)
    }

    /// One recvmmsg(2) for at most `count` datagrams.
    fn fill(&mut self, socket: &OwnedFd, count: usize) -> Result<usize, Errno> {
        let count = count.min(FRAMES_MAX);
        let slots = self.bytes.chunks_exact_mut(self.stride).zip(&mut self.vectors);
        let beside = self.names.iter_mut().zip(&mut self.controls);
        let all = slots.zip(beside).zip(&mut self.headers).take(count);
        for (((slot, vector), (name, control)), header) in all {
            let payload = &mut slot[HEADROOM..HEADROOM + self.payload_bytes_max];
            vector.iov_base = payload.as_mut_ptr().cast();
            vector.iov_len = payload.len();
            let message = &mut header.msg_hdr;
            message.msg_name = std::ptr::from_mut(name).cast();
            message.msg_namelen = size_of::<libc::sockaddr_storage>() as u32;
            message.msg_iov = vector;
            message.msg_iovlen = 1;
            message.msg_control = control.0.as_mut_ptr().cast();
            message.msg_controllen = CONTROL_BYTES;
            message.msg_flags = 0;
        }
        // MSG_TRUNC: the real length of what had to be cut.
        let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
        let (fd, none) = (socket.as_raw_fd(), std::ptr::null_mut());
        // SAFETY: the first `count` headers have just been pointed at live memory of the lengths
        // that they say, each at its own.
        let received =
            unsafe { libc::recvmmsg(fd, self.headers.as_mut_ptr(), count as u32, flags, none) };
        usize::try_from(received)
            .map_err(|_| Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO))
    }
}

/// What the kernel says beside a datagram; the time, or now if it does not say, and the interface.
fn read_control(message: &libc::msghdr, said: &mut Said) -> (Timestamp, Option<u32>) {
    let (mut timestamp, mut ifindex) = (None, None);
    // SAFETY: the kernel has filled `msg_control` and `msg_controllen` of this header; the macros
    // stay within them.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(message) };
    // SAFETY: null, or a control message within the buffer.
    while let Some(control) = unsafe { next.as_ref() } {
        // SAFETY: as above; the data of a kind has at least the size of its structure, and is
        // read without regard to alignment.
        unsafe {
            let data = libc::CMSG_DATA(control);
            match (control.cmsg_level, control.cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    let time = data.cast::<libc::timespec>().read_unaligned();
                    timestamp =
                        Some(Timestamp::from_parts(time.tv_sec as u64, time.tv_nsec as u64));
                }
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info = data.cast::<libc::in_pktinfo>().read_unaligned();
                    let address = IpAddr::from(info.ipi_addr.s_addr.to_ne_bytes());
                    said.destination.set_ip(address);
                    ifindex = Some(info.ipi_ifindex as u32);
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info = data.cast::<libc::in6_pktinfo>().read_unaligned();
                    said.destination.set_ip(info.ipi6_addr.s6_addr.into());
                    ifindex = Some(info.ipi6_ifindex as u32);
                }
                (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                    said.ttl = data.cast::<i32>().read_unaligned() as u8;
                }
                (libc::IPPROTO_IP, libc::IP_TOS) => said.tos = data.read(),
                (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                    said.tos = data.cast::<i32>().read_unaligned() as u8;
                }
                _ => {}
            }
            next = libc::CMSG_NXTHDR(message, control);
        }
    }
    (timestamp.unwrap_or_else(Timestamp::now), ifindex)
}
