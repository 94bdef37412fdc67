//! The system calls of AF_XDP sockets, each with plain arguments and `io::Result`.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

// Newer than the libc crate (asm-generic/socket.h).
const SO_PREFER_BUSY_POLL: libc::c_int = 69;
const SO_BUSY_POLL_BUDGET: libc::c_int = 70;

fn check(answer: libc::c_int) -> io::Result<libc::c_int> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

/// A new AF_XDP socket.
pub(super) fn socket() -> io::Result<OwnedFd> {
    // SAFETY: no pointers are passed.
    let fd = check(unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: the descriptor is new and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Plain data that socket options carry.
///
/// # Safety
/// Every bit pattern is valid, and there is no padding.
pub(super) unsafe trait Plain: Copy {}
// SAFETY: integers.
unsafe impl Plain for u32 {}
// SAFETY: integers.
unsafe impl Plain for i32 {}
// SAFETY: four u64 quadruples.
unsafe impl Plain for libc::xdp_mmap_offsets {}
// SAFETY: six u64.
unsafe impl Plain for libc::xdp_statistics {}
// SAFETY: one u32.
unsafe impl Plain for libc::xdp_options {}
// SAFETY: two u64, then four u32: 32 bytes.
unsafe impl Plain for libc::xdp_umem_reg {}

/// setsockopt(2).
pub(super) fn set<T: Plain>(
    fd: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
    value: T,
) -> io::Result<()> {
    let value = std::ptr::from_ref(&value).cast();
    let len = size_of::<T>() as libc::socklen_t;
    // SAFETY: the pointer and the length are those of a live value.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), level, option, value, len) }).map(drop)
}

/// getsockopt(2) at level SOL_XDP. What an older kernel does not fill in stays 0.
pub(super) fn get<T: Plain>(fd: BorrowedFd<'_>, option: libc::c_int) -> io::Result<T> {
    let mut len = size_of::<T>() as libc::socklen_t;
    // SAFETY: the type is plain: zeros are a value.
    let mut value: T = unsafe { std::mem::zeroed() };
    let target = std::ptr::from_mut(&mut value).cast();
    // SAFETY: the pointer and the length are those of a live value of plain data.
    check(unsafe { libc::getsockopt(fd.as_raw_fd(), libc::SOL_XDP, option, target, &mut len) })?;
    Ok(value)
}

/// bind(2) to queue `queue` of the interface `ifindex`.
pub(super) fn bind(fd: BorrowedFd<'_>, ifindex: u32, queue: u32, flags: u16) -> io::Result<()> {
    let address = libc::sockaddr_xdp {
        sxdp_family: libc::AF_XDP as u16,
        sxdp_flags: flags,
        sxdp_ifindex: ifindex,
        sxdp_queue_id: queue,
        sxdp_shared_umem_fd: 0,
    };
    let len = size_of::<libc::sockaddr_xdp>() as libc::socklen_t;
    let address = std::ptr::from_ref(&address).cast();
    // SAFETY: the address is a live structure of the given length.
    check(unsafe { libc::bind(fd.as_raw_fd(), address, len) }).map(drop)
}

/// Has the kernel send what is in the TX ring (in copy mode up to 32 frames a call).
#[inline]
pub(super) fn kick_tx(fd: BorrowedFd<'_>) -> io::Result<()> {
    let flags = libc::MSG_DONTWAIT;
    // SAFETY: no data and no address are passed.
    let sent =
        unsafe { libc::sendto(fd.as_raw_fd(), std::ptr::null(), 0, flags, std::ptr::null(), 0) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Has the kernel look at the fill ring and, with busy polling, at the device.
#[inline]
pub(super) fn kick_rx(fd: BorrowedFd<'_>) {
    let flags = libc::MSG_DONTWAIT;
    let null = std::ptr::null_mut();
    // Whatever it answers (EAGAIN, ENETDOWN), the rings tell the rest.
    // SAFETY: no buffer and no address are passed.
    unsafe { libc::recvfrom(fd.as_raw_fd(), null, 0, flags, null.cast(), null.cast()) };
}

/// poll(2) for something to read, at most for `timeout`; a signal ends it early.
pub(super) fn wait_readable(fd: BorrowedFd<'_>, timeout: Duration) -> io::Result<()> {
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let ms = timeout.as_millis().min(i32::MAX as u128) as libc::c_int;
    // SAFETY: one live pollfd.
    match check(unsafe { libc::poll(&mut poll, 1, ms) }) {
        Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
        _ => Ok(()),
    }
}

/// Prefers polling over interrupts on this socket's queue: `usecs` a call, `budget` packets.
pub(super) fn set_busy_poll(fd: BorrowedFd<'_>, usecs: u32, budget: u32) -> io::Result<()> {
    set(fd, libc::SOL_SOCKET, SO_PREFER_BUSY_POLL, 1i32)?;
    set(fd, libc::SOL_SOCKET, libc::SO_BUSY_POLL, usecs)?;
    set(fd, libc::SOL_SOCKET, SO_BUSY_POLL_BUDGET, budget)
}

/// Lifts the limit of locked memory, which UMEM counts against without CAP_IPC_LOCK. Needs
/// CAP_SYS_RESOURCE; when that is missing, CAP_IPC_LOCK may still do (so this is no error).
pub(super) fn lift_memory_limit() {
    let limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: one live structure.
    unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) };
}

/// Index of the interface `name` in the namespace of the calling thread.
pub(super) fn interface_index(name: &str) -> io::Result<u32> {
    let name =
        std::ffi::CString::new(name).map_err(|_| io::Error::from(io::ErrorKind::NotFound))?;
    // SAFETY: a live C string.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index),
    }
}
