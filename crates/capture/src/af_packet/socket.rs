//! One `AF_PACKET` socket: the system calls, each with what its errors mean.

use crate::PortError;
use std::ffi::CString;
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::{from_mut, from_ref};
use tickwire_filter::classic::Insn;

/// Longest name of an interface that fits the old ioctl calls (IFNAMSIZ − 1), in bytes.
const NAME_BYTES_MAX: usize = 15;

/// `BPF_RET | BPF_K` of classic BPF (linux/filter.h): accept as many bytes as the operand says.
const BPF_RETURN: u16 = 0x06;

/// What the kernel counted since the last reading (`PACKET_STATISTICS`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Statistics {
    /// Packets that passed the filter of the socket, those it had to drop included.
    pub packets: u64,
    /// Packets among them that found no room in the ring.
    pub drops: u64,
    /// How often the ring was found full.
    pub freezes: u64,
}

/// A raw packet socket. It receives nothing before [`bind`](Self::bind) gives it a protocol.
#[derive(Debug)]
pub(super) struct PacketSocket {
    fd: OwnedFd,
}

impl PacketSocket {
    /// A socket with protocol 0: no frame of any interface reaches it yet.
    pub fn new() -> Result<Self, PortError> {
        // SAFETY: no pointers are passed.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            let error = io::Error::last_os_error();
            let cure = match error.raw_os_error() {
                Some(libc::EPERM) => {
                    "it needs CAP_NET_RAW: run as root, or once \
                     `sudo setcap cap_net_raw,cap_net_admin,cap_bpf,cap_perfmon+ep \
                     $(which tickwire)`"
                }
                Some(libc::EAFNOSUPPORT) => "this kernel was built without CONFIG_PACKET",
                _ => "",
            };
            return Err(PortError::system("open an AF_PACKET socket", error, cure));
        }
        // SAFETY: the descriptor is new and nobody else knows it.
        Ok(PacketSocket { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// For poll(2).
    pub fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// For calls that take a number.
    pub fn raw_fd(&self) -> libc::c_int {
        self.fd.as_raw_fd()
    }

    /// Receives from interface `index`: every protocol, or, when `protocol` is 0, nothing at all
    /// (a socket that only sends).
    ///
    /// An interface that is down is no error: frames come when it is up.
    pub fn bind(&self, index: u32, protocol: u16) -> io::Result<()> {
        // SAFETY: the structure is plain data, for which zeros are valid.
        let mut address: libc::sockaddr_ll = unsafe { zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = protocol.to_be();
        address.sll_ifindex = index as i32;
        let length = size_of::<libc::sockaddr_ll>() as u32;
        // SAFETY: `address` is live and `length` is its size.
        check(unsafe { libc::bind(self.raw_fd(), from_ref(&address).cast(), length) })?;
        self.take_error();
        Ok(())
    }

    /// The interface that the socket is bound to; none when that was deleted.
    pub fn bound_to(&self) -> Option<u32> {
        // SAFETY: the structure is plain data, for which zeros are valid.
        let mut address: libc::sockaddr_ll = unsafe { zeroed() };
        let mut length = size_of::<libc::sockaddr_ll>() as u32;
        // SAFETY: both pointers are live and `length` is the size of `address`.
        let result = unsafe {
            libc::getsockname(self.raw_fd(), from_mut(&mut address).cast(), &raw mut length)
        };
        if result < 0 { None } else { u32::try_from(address.sll_ifindex).ok().filter(|&i| i > 0) }
    }

    /// The error that waits on the socket, which this clears: ENETDOWN after the link went down.
    pub fn take_error(&self) -> Option<io::Error> {
        match self.option::<libc::c_int>(libc::SOL_SOCKET, libc::SO_ERROR) {
            Ok(0) => None,
            Ok(code) => Some(io::Error::from_raw_os_error(code)),
            Err(error) => Some(error),
        }
    }

    /// The index of the interface `name`, in the network namespace of the socket.
    pub fn interface_index(&self, name: &str) -> io::Result<u32> {
        let mut request = request(name)?;
        self.ioctl(libc::SIOCGIFINDEX, &mut request)?;
        // SAFETY: SIOCGIFINDEX has filled this member of the union.
        Ok(unsafe { request.ifr_ifru.ifru_ifindex } as u32)
    }

    /// Its MTU in bytes.
    pub fn mtu(&self, name: &str) -> io::Result<usize> {
        let mut request = request(name)?;
        self.ioctl(libc::SIOCGIFMTU, &mut request)?;
        // SAFETY: SIOCGIFMTU has filled this member of the union.
        Ok(unsafe { request.ifr_ifru.ifru_mtu }.max(0) as usize)
    }

    fn ioctl(&self, number: libc::Ioctl, request: &mut libc::ifreq) -> io::Result<()> {
        // SAFETY: the calls of this file read and write one `ifreq`, which `request` is.
        check(unsafe { libc::ioctl(self.raw_fd(), number, from_mut(request)) })
    }

    /// Sees all frames on the wire. Ends with the socket.
    pub fn make_promiscuous(&self, index: u32) -> io::Result<()> {
        let membership = libc::packet_mreq {
            mr_ifindex: index as i32,
            mr_type: libc::PACKET_MR_PROMISC as u16,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        self.set(libc::PACKET_ADD_MEMBERSHIP, &membership)
    }

    /// From now on accepts the first `bytes` of each frame; 0 refuses every frame (uncounted).
    pub fn accept_bytes(&self, bytes: u32) -> io::Result<()> {
        let mut code = [libc::sock_filter { code: BPF_RETURN, jt: 0, jf: 0, k: bytes }];
        let program = libc::sock_fprog { len: 1, filter: code.as_mut_ptr() };
        self.set_at(libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
    }

    /// From now on accepts what `program` accepts; replaces the filter before in one step.
    ///
    /// # Errors
    /// EINVAL for a program that the kernel does not take, ENOMEM for one above
    /// `net.core.optmem_max`.
    pub fn attach(&self, program: &[Insn]) -> io::Result<()> {
        let raw = |insn: &Insn| libc::sock_filter {
            code: insn.code,
            jt: insn.jt,
            jf: insn.jf,
            k: insn.k,
        };
        let mut code: Vec<libc::sock_filter> = program.iter().map(raw).collect();
        let len = u16::try_from(code.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let program = libc::sock_fprog { len, filter: code.as_mut_ptr() };
        self.set_at(libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
    }

    /// Reads the counters, which also sets them to 0: call it from one place only.
    pub fn take_statistics(&self) -> io::Result<Statistics> {
        let raw: libc::tpacket_stats_v3 = self.option(libc::SOL_PACKET, libc::PACKET_STATISTICS)?;
        Ok(Statistics {
            packets: u64::from(raw.tp_packets),
            drops: u64::from(raw.tp_drops),
            freezes: u64::from(raw.tp_freeze_q_cnt),
        })
    }

    /// Sets an option of level `SOL_PACKET`.
    pub fn set<T: Plain>(&self, option: libc::c_int, value: &T) -> io::Result<()> {
        self.set_at(libc::SOL_PACKET, option, value)
    }

    /// Sets an option.
    pub fn set_at<T: Plain>(&self, level: i32, option: i32, value: &T) -> io::Result<()> {
        let length = size_of::<T>() as u32;
        // SAFETY: `value` is live and `length` is its size; `sock_fprog`, the only type here that
        // holds a pointer, points to a live filter of `len` instructions.
        check(unsafe {
            libc::setsockopt(self.raw_fd(), level, option, from_ref(value).cast(), length)
        })
    }

    /// Reads an option.
    pub fn option<T: Plain>(&self, level: i32, option: i32) -> io::Result<T> {
        // SAFETY: `Plain` types are valid when zeroed.
        let mut value: T = unsafe { zeroed() };
        let mut length = size_of::<T>() as u32;
        let value_ptr = from_mut(&mut value).cast();
        // SAFETY: both pointers are live, and `length` is the size of `value`, whose type is valid
        // for every pattern of bits.
        check(unsafe {
            libc::getsockopt(self.raw_fd(), level, option, value_ptr, &raw mut length)
        })?;
        Ok(value)
    }
}

/// Plain data: valid for every pattern of bits.
///
/// # Safety
/// The type is `repr(C)` or an integer, and holds no reference.
pub(super) unsafe trait Plain {}

// SAFETY: an integer.
unsafe impl Plain for libc::c_int {}
// SAFETY: an integer.
unsafe impl Plain for libc::c_uint {}
// SAFETY: repr(C) of integers.
unsafe impl Plain for libc::packet_mreq {}
// SAFETY: repr(C) of integers.
unsafe impl Plain for libc::tpacket_stats_v3 {}
// SAFETY: repr(C) of integers.
unsafe impl Plain for libc::tpacket_req {}
// SAFETY: repr(C) of integers.
unsafe impl Plain for libc::tpacket_req3 {}
// SAFETY: repr(C) of an integer and a raw pointer.
unsafe impl Plain for libc::sock_fprog {}

fn request(name: &str) -> io::Result<libc::ifreq> {
    let bytes = CString::new(name).map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?;
    if name.len() > NAME_BYTES_MAX {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    // SAFETY: the structure is plain data, for which zeros are valid.
    let mut request: libc::ifreq = unsafe { zeroed() };
    for (slot, &byte) in request.ifr_name.iter_mut().zip(bytes.as_bytes()) {
        *slot = byte as libc::c_char;
    }
    Ok(request)
}

/// The error of a system call that answers −1 on failure.
pub(super) fn check(answer: libc::c_int) -> io::Result<()> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
