//! Numbered packets through an AF_PACKET socket, past the queueing discipline.

use super::many::send_many;
use super::{BURST, Schedule, SenderReport, offer};
use crate::error::{LabError, Tried};
use crate::{End, Numbered};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Sends numbered packets out of the interface of `end`, as they are.
///
/// # Errors
/// When the socket cannot be had (EPERM without CAP_NET_RAW), ENODEV while there is no interface.
///
/// # Panics
/// As [`Numbered::template`].
pub fn send_packet(
    end: &End,
    packets: &Numbered,
    schedule: &Schedule,
) -> Result<SenderReport, LabError> {
    let template = packets.template();
    let index = end.index()?;
    let socket = end.run(|| open(index));
    let socket = socket.tried(|| format!("open an AF_PACKET socket on {}", end.name()))?;
    let mut frames = vec![template.bytes().to_vec(); BURST as usize];
    let result = offer(schedule, BURST, |number, count, sent_ns| {
        let first = packets.first + number;
        for (sequence, frame) in (first..first + count).zip(&mut frames) {
            template.fill(frame, sequence, sent_ns);
        }
        let mut buffers = [&[][..]; BURST as usize];
        for (buffer, frame) in buffers.iter_mut().zip(&frames) {
            *buffer = frame;
        }
        send_many(&socket, &buffers[..count as usize])
    });
    result.tried(|| format!("send on {}", end.name()))
}

/// A raw socket that sends on interface `index` and receives nothing (protocol 0).
fn open(index: u32) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: plain system call; the descriptor it returns is new and ours.
    let socket = unsafe {
        let fd = libc::socket(libc::AF_PACKET, kind, 0);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(fd)
    };
    let on: libc::c_int = 1;
    // SAFETY: zeros are a valid address of any family.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_ifindex = index as i32;
    let address_len = size_of_val(&address) as libc::socklen_t;
    let option_len = size_of_val(&on) as libc::socklen_t;
    let (fd, level, bypass) = (socket.as_raw_fd(), libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS);
    // SAFETY: both calls read a live local of the length given.
    let failed = unsafe {
        libc::setsockopt(fd, level, bypass, (&raw const on).cast(), option_len) != 0
            || libc::bind(fd, (&raw const address).cast(), address_len) != 0
    };
    if failed { Err(io::Error::last_os_error()) } else { Ok(socket) }
}
