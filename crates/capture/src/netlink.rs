//! rtnetlink(7): messages, attributes, dumps and requests.
//!
//! A socket talks about the network namespace that it was opened in, for ever. What the kernel
//! sends is read with bounds checks all the same: bytes that make no sense end a list.

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with, sockopt,
};
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// The kernel answers at once; longer than this means that something is badly wrong.
const ANSWER_MS_MAX: u64 = 2000;
/// The kernel's own bound for one datagram of a dump, in bytes.
pub(crate) const DATAGRAM_BYTES_MAX: usize = 64 << 10;
/// Datagrams of one dump: some 30 interfaces each.
const DATAGRAMS_MAX: usize = 4096;
/// Bytes of `struct nlmsghdr`.
const HEADER_BYTES: usize = 16;
/// The upper bits of an attribute's kind are flags (`NLA_TYPE_MASK`).
const KIND_MASK: u16 = 0x3fff;

/// A request: `struct nlmsghdr`, the structure of its kind, attributes.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    bytes: Vec<u8>,
}

impl Request {
    /// A request of `kind` (`RTM_…`) with further `NLM_F_…` bits and the structure of the kind.
    pub fn new(kind: u16, flags: libc::c_int, body: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&((flags | libc::NLM_F_REQUEST) as u16).to_ne_bytes());
        bytes.extend_from_slice(body);
        Request { bytes }
    }

    /// Adds an attribute, padded to 4 bytes.
    #[must_use]
    pub fn attribute(mut self, kind: u16, payload: &[u8]) -> Self {
        self.bytes.extend_from_slice(&((4 + payload.len()) as u16).to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(payload);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }
}

/// A socket for requests and their answers.
#[derive(Debug)]
pub(crate) struct Requests {
    socket: OwnedFd,
    sequence: u32,
    datagram: Box<[u8]>,
}

impl Requests {
    /// Opens one for the namespace of the calling thread.
    pub fn open() -> io::Result<Self> {
        let (raw, flags) = (SocketType::RAW, SocketFlags::CLOEXEC);
        let socket = socket_with(AddressFamily::NETLINK, raw, flags, None)?;
        let wait = Some(Duration::from_millis(ANSWER_MS_MAX));
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, wait)?;
        Ok(Requests { socket, sequence: 0, datagram: vec![0; DATAGRAM_BYTES_MAX].into() })
    }

    /// Asks for all objects of a kind (`RTM_GET…`), and shows each message of the answer. `body`
    /// is the structure of the kind, which says of what family.
    pub fn dump(
        &mut self,
        kind: u16,
        body: &[u8],
        mut each: impl FnMut(u16, &[u8]),
    ) -> io::Result<()> {
        self.send(Request::new(kind, libc::NLM_F_DUMP, body))?;
        self.answers(&mut each)
    }

    /// Sends a request and shows each message of its answer: none when it is only acknowledged.
    pub fn ask(&mut self, request: Request, mut each: impl FnMut(u16, &[u8])) -> io::Result<()> {
        let mut request = request;
        let flags = u16::from_ne_bytes([request.bytes[6], request.bytes[7]]);
        let flags = flags | libc::NLM_F_ACK as u16;
        request.bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        self.send(request)?;
        self.answers(&mut each)
    }

    fn send(&mut self, mut request: Request) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let length = request.bytes.len() as u32;
        request.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        request.bytes[8..12].copy_from_slice(&self.sequence.to_ne_bytes());
        send(&self.socket, &request.bytes, SendFlags::empty())?;
        Ok(())
    }

    /// Reads up to the end of the dump or the acknowledgement.
    fn answers(&mut self, each: &mut impl FnMut(u16, &[u8])) -> io::Result<()> {
        for _ in 0..DATAGRAMS_MAX {
            let length = match recv(&self.socket, &mut self.datagram[..], RecvFlags::empty()) {
                Ok((length, _)) => length.min(self.datagram.len()),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            // An answer that came too late for the request before is none to this one.
            let ours = messages(&self.datagram[..length]).filter(|m| m.sequence == self.sequence);
            for message in ours {
                match i32::from(message.kind) {
                    libc::NLMSG_DONE => return Ok(()),
                    libc::NLMSG_ERROR => return acknowledged(message.body),
                    _ => each(message.kind, message.body),
                }
            }
        }
        Err(io::Error::other("the answer of the kernel does not end"))
    }
}

/// Throws away what waits in a socket whose buffer has overflowed. It is older than what was lost
/// and than the state that is asked for next, and the kernel drops everything until it is gone.
pub(crate) fn discard(socket: &OwnedFd) {
    for _ in 0..DATAGRAMS_MAX {
        match recv(socket, &mut [0u8; 1][..], RecvFlags::DONTWAIT) {
            Ok(_) | Err(Errno::INTR | Errno::NOBUFS) => {}
            Err(_) => return,
        }
    }
}

/// One message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    /// `RTM_…` or `NLMSG_…`.
    pub kind: u16,
    /// The number of the request that it answers.
    pub sequence: u32,
    /// The structure of its kind, then attributes.
    pub body: &'a [u8],
}

/// The messages of one datagram; ends where the bytes stop making sense.
pub(crate) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let header = bytes.get(..HEADER_BYTES)?;
        let length = u32_at(header, 0) as usize;
        let body = bytes.get(HEADER_BYTES..length)?;
        let kind = u16::from_ne_bytes([header[4], header[5]]);
        let sequence = u32_at(header, 8);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Message { kind, sequence, body })
    })
}

/// Kind and payload of each attribute; ends where the bytes stop making sense.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let header = bytes.get(..4)?;
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let payload = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([header[2], header[3]]) & KIND_MASK, payload))
    })
}

/// The payload of the first attribute of this kind.
pub(crate) fn find(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(found, _)| *found == kind).map(|(_, payload)| payload)
}

/// An address of 4 or 16 bytes.
pub(crate) fn address(payload: &[u8]) -> Option<IpAddr> {
    match *payload {
        [a, b, c, d] => Some([a, b, c, d].into()),
        _ => <[u8; 16]>::try_from(payload).ok().map(IpAddr::from),
    }
}

/// The bytes of an address.
pub(crate) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// `AF_INET` or `AF_INET6`.
pub(crate) fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { libc::AF_INET as u8 } else { libc::AF_INET6 as u8 }
}

/// A number of 4 bytes; none when there are fewer.
pub(crate) fn number(payload: &[u8]) -> Option<u32> {
    payload.first_chunk().copied().map(u32::from_ne_bytes)
}

/// The number at `offset`; 0 behind the end.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    bytes.get(offset..).and_then(number).unwrap_or(0)
}

/// The body of NLMSG_ERROR: a negative error number, 0 for an acknowledgement.
fn acknowledged(body: &[u8]) -> io::Result<()> {
    match number(body).map(|code| code as i32) {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(code.saturating_neg())),
        None => Err(io::Error::from_raw_os_error(libc::EPROTO)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_found_again() {
        let request = Request::new(1, 0, &[]).attribute(3, b"abc\0e").attribute(4, &[9, 8, 7]);
        let list = &request.bytes[HEADER_BYTES..];
        assert_eq!(list.len() % 4, 0);
        assert_eq!(find(list, 3), Some(&b"abc\0e"[..]));
        assert_eq!(find(list, 4), Some(&[9, 8, 7][..]));
        assert_eq!(find(list, 5), None);
    }

    #[test]
    fn bytes_without_sense_end_the_lists() {
        for bytes in [&[0; 64][..], &[255; 64], &[1; 15], &[]] {
            assert_eq!((messages(bytes).count(), attributes(bytes).count()), (0, 0));
        }
        assert_eq!(attributes(&[200, 0, 1, 0, 5]).count(), 0);
        assert_eq!(address(&[1, 2, 3]), None);
    }

    #[test]
    fn refusals_carry_the_error_number() {
        let refused = acknowledged(&(-libc::EPERM).to_ne_bytes()).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EPERM));
        assert!(acknowledged(&[0; 4]).is_ok());
        assert!(acknowledged(&[1]).is_err());
    }

    #[test]
    fn a_dump_has_the_loopback() {
        let mut names = Vec::new();
        let mut requests = Requests::open().unwrap();
        let each = |_, body: &[u8]| {
            let name = body.get(16..).and_then(|list| find(list, libc::IFLA_IFNAME));
            names.extend(name.map(<[u8]>::to_vec));
        };
        requests.dump(libc::RTM_GETLINK, &[0; 16], each).unwrap();
        assert!(names.contains(&b"lo\0".to_vec()));
        let missing = [&[0; 4][..], &0x7fff_0000u32.to_ne_bytes(), &[0; 8]].concat();
        let request = Request::new(libc::RTM_GETLINK, 0, &missing);
        let error = requests.ask(request, |_, _| {}).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    }
}
