//! setsockopt(2) and addresses, where rustix has no name for them.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::from_ref;

/// `SK_MEMINFO_DROPS` and `SK_MEMINFO_VARS` (linux/sock_diag.h).
const MEMINFO_DROPS: usize = 8;
const MEMINFO_WORDS: usize = 9;

/// Sets an option. `T` has to be the structure that the option takes, or a C `int`.
pub(crate) fn set_option<T>(
    socket: &impl AsFd,
    level: i32,
    option: i32,
    value: &T,
) -> io::Result<()> {
    let (fd, length) = (socket.as_fd().as_raw_fd(), size_of::<T>() as u32);
    // SAFETY: `value` is live and `length` is its size. The kernel copies that many bytes; the
    // only structures with pointers that come here are classic programs, which are static.
    let answer = unsafe { libc::setsockopt(fd, level, option, from_ref(value).cast(), length) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Lets reads of a socket ask the card itself for so many microseconds before they sleep
/// (SO_BUSY_POLL, socket(7)).
///
/// # Errors
/// More than the socket has takes CAP_NET_ADMIN.
pub fn set_busy_poll(socket: &impl AsFd, microseconds: u32) -> io::Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_BUSY_POLL, &microseconds)
}

/// Attaches a classic BPF program that returns `verdict` for every packet: as a filter of the
/// socket (SO_ATTACH_FILTER; 0 drops all), or as the choice among the sockets that share a port
/// (SO_ATTACH_REUSEPORT_CBPF; the place of the one that receives).
pub(crate) fn attach_verdict(socket: &impl AsFd, option: i32, verdict: u32) -> io::Result<()> {
    let code = (libc::BPF_RET | libc::BPF_K) as u16;
    let mut program = libc::sock_filter { code, jt: 0, jf: 0, k: verdict };
    let program = libc::sock_fprog { len: 1, filter: &raw mut program };
    set_option(socket, libc::SOL_SOCKET, option, &program)
}

/// Packets that the kernel dropped at the socket since it was made: its buffer was full, the
/// checksum was wrong, its filter said so. Wraps. The number that SO_RXQ_OVFL puts beside a
/// packet, but also there when none follows.
pub(crate) fn drops(socket: &impl AsFd) -> io::Result<u32> {
    let mut words = [0u32; MEMINFO_WORDS];
    let mut length = size_of_val(&words) as libc::socklen_t;
    let (fd, level) = (socket.as_fd().as_raw_fd(), libc::SOL_SOCKET);
    // SAFETY: the kernel writes at most `length` bytes to the live array.
    let answer = unsafe {
        libc::getsockopt(fd, level, libc::SO_MEMINFO, words.as_mut_ptr().cast(), &mut length)
    };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(words[MEMINFO_DROPS]) }
}

/// The address as a `sockaddr_storage`, without a port.
pub(crate) fn storage(address: IpAddr) -> libc::sockaddr_storage {
    // SAFETY: plain data, for which zeros are valid.
    let mut storage: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    let start = (&raw mut storage).cast::<u8>();
    match address {
        IpAddr::V4(address) => {
            let inet = libc::sockaddr_in {
                sin_family: libc::AF_INET as u16,
                sin_port: 0,
                sin_addr: libc::in_addr { s_addr: u32::from(address).to_be() },
                sin_zero: [0; 8],
            };
            // SAFETY: a `sockaddr_storage` is large enough and aligned for every address.
            unsafe { start.cast::<libc::sockaddr_in>().write(inet) };
        }
        IpAddr::V6(address) => {
            let inet6 = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as u16,
                sin6_port: 0,
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr { s6_addr: address.octets() },
                sin6_scope_id: 0,
            };
            // SAFETY: as above.
            unsafe { start.cast::<libc::sockaddr_in6>().write(inet6) };
        }
    }
    storage
}

/// The address and port in a `sockaddr_storage`; none for another family.
pub(crate) fn address_of(storage: &libc::sockaddr_storage) -> Option<SocketAddr> {
    let start = from_ref(storage);
    match i32::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says which structure it is, and a `sockaddr_storage` is large
            // enough and aligned for it.
            let inet = unsafe { &*start.cast::<libc::sockaddr_in>() };
            let address = IpAddr::from(inet.sin_addr.s_addr.to_ne_bytes());
            Some(SocketAddr::new(address, u16::from_be(inet.sin_port)))
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let inet6 = unsafe { &*start.cast::<libc::sockaddr_in6>() };
            let address = Ipv6Addr::from(inet6.sin6_addr.s6_addr);
            Some(SocketAddr::new(address.into(), u16::from_be(inet6.sin6_port)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_back() {
        for text in ["10.1.2.3", "fd00::7"] {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(address_of(&storage(address)), Some(SocketAddr::new(address, 0)));
        }
        // SAFETY: plain data, for which zeros are valid.
        let none: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
        assert_eq!(address_of(&none), None);
    }
}
