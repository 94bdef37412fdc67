//! sendmmsg(2) for connected and bound sockets.

use super::{Burst, errno_name};
use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// The name of a refusal whose error the system keeps to itself: a call that sent something reports
/// only how much, and the packet after that is the one refused (sendmmsg(2), BUGS).
const CUT: &str = "sendmmsg_cut";

/// Sends each buffer as one packet, until one is refused. That one is given up and named.
///
/// # Errors
/// An error that says nothing about the packet (EBADF, EFAULT, …).
pub(super) fn send_many(socket: &impl AsFd, buffers: &[&[u8]]) -> io::Result<Burst> {
    let mut vectors: Vec<libc::iovec> = buffers
        .iter()
        .map(|buffer| libc::iovec {
            iov_base: buffer.as_ptr().cast_mut().cast(),
            iov_len: buffer.len(),
        })
        .collect();
    let mut messages: Vec<libc::mmsghdr> = vectors
        .iter_mut()
        .map(|vector| {
            // SAFETY: a message header of zeros is one without address, data and control.
            let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header
        })
        .collect();
    let fd = socket.as_fd().as_raw_fd();
    loop {
        // SAFETY: every header points to one vector and that to one borrowed buffer, all alive
        // until the end of this function; sendmmsg only reads the buffers.
        let sent = unsafe { libc::sendmmsg(fd, messages.as_mut_ptr(), messages.len() as u32, 0) };
        if sent >= 0 {
            let cut = (sent as usize) < buffers.len();
            let refused = cut.then_some(CUT);
            return Ok(Burst { sent: sent as u64, refused });
        }
        let error = io::Error::last_os_error();
        match errno_name(&error) {
            Some(name) => return Ok(Burst { sent: 0, refused: Some(name) }),
            None if error.kind() == io::ErrorKind::Interrupted => {}
            None => return Err(error),
        }
    }
}
