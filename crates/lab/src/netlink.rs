//! A rtnetlink(7) socket, and the messages that go through it.
//!
//! Only what a lab needs: build a request with attributes, send it, read the answer. A socket talks
//! about the network namespace it was opened in, for ever.

use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// The longest answer: one link with all its attributes, some 1.5 KiB, or one part of a dump.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// The kernel answers at once; longer than this means that something is badly wrong.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// Bytes of `struct nlmsghdr` (linux/netlink.h).
const HEADER_BYTES: usize = 16;

/// One request: `struct nlmsghdr`, the header of its kind, then attributes.
#[derive(Debug)]
pub(crate) struct Request {
    bytes: Vec<u8>,
}

impl Request {
    /// A request of `kind` (`RTM_…`), acknowledged; `flags` are further `NLM_F_…` bits; `header`
    /// is the struct of this kind (`ifinfomsg`, `ifaddrmsg`, …), see [`ifinfo`].
    pub fn new(kind: u16, flags: libc::c_int, header: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER_BYTES];
        let flags = (flags | libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(header);
        Request { bytes }
    }

    /// Adds an attribute.
    pub fn attribute(&mut self, kind: u16, payload: &[u8]) -> &mut Self {
        self.nest(kind, |inner| inner.bytes.extend_from_slice(payload))
    }

    /// Adds an attribute that holds a text, with the zero at its end.
    pub fn text(&mut self, kind: u16, text: &str) -> &mut Self {
        self.nest(kind, |inner| {
            inner.bytes.extend_from_slice(text.as_bytes());
            inner.bytes.push(0);
        })
    }

    /// Adds an attribute that holds what `fill` adds.
    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        fill(self);
        let len = (self.bytes.len() - start) as u16;
        self.bytes[start..start + 2].copy_from_slice(&len.to_ne_bytes());
        self.bytes[start + 2..start + 4].copy_from_slice(&kind.to_ne_bytes());
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// Adds bytes as they are: a struct in front of nested attributes.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }
}

/// `struct ifinfomsg` (linux/rtnetlink.h) for interface `index` (0: not said), with the flags
/// `flags`, of which those of `change` are meant.
pub(crate) fn ifinfo(index: u32, flags: u32, change: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..16].copy_from_slice(&change.to_ne_bytes());
    header
}

/// A rtnetlink socket of one network namespace.
#[derive(Debug)]
pub(crate) struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

impl Netlink {
    /// Opens one for the namespace of the calling thread.
    pub fn open() -> io::Result<Self> {
        let (kind, flags) = (SocketType::RAW, SocketFlags::CLOEXEC);
        let socket = net::socket_with(AddressFamily::NETLINK, kind, flags, None)?;
        let timeout = net::sockopt::Timeout::Recv;
        net::sockopt::set_socket_timeout(&socket, timeout, Some(ANSWER_WAIT))?;
        Ok(Netlink { socket, sequence: 0 })
    }

    /// Sends a request and waits for its acknowledgement.
    pub fn request(&mut self, request: &mut Request) -> io::Result<()> {
        self.ask(request).map(drop)
    }

    /// Sends a request and gives the payload of the first answer (what follows `nlmsghdr`), empty
    /// when the kernel only acknowledged.
    pub fn ask(&mut self, request: &mut Request) -> io::Result<Vec<u8>> {
        self.sequence += 1;
        let len = request.bytes.len() as u32;
        request.bytes[..4].copy_from_slice(&len.to_ne_bytes());
        request.bytes[8..12].copy_from_slice(&self.sequence.to_ne_bytes());
        net::send(&self.socket, &request.bytes, SendFlags::empty())?;
        let mut buffer = vec![0; ANSWER_BYTES_MAX];
        let mut payload = Vec::new();
        loop {
            let (len, _) = net::recv(&self.socket, &mut buffer[..], RecvFlags::empty())?;
            for (kind, sequence, body) in messages(&buffer[..len]) {
                if sequence != self.sequence {
                    continue;
                }
                if i32::from(kind) == libc::NLMSG_ERROR {
                    return acknowledged(body).map(|()| payload);
                }
                if payload.is_empty() {
                    payload = body.to_vec();
                }
            }
        }
    }
}

/// The messages of one datagram: kind, sequence number, body.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u16, u32, &[u8])> {
    std::iter::from_fn(move || {
        let header = bytes.get(..HEADER_BYTES)?;
        let len = u32::from_ne_bytes(header[..4].try_into().ok()?) as usize;
        let kind = u16::from_ne_bytes(header[4..6].try_into().ok()?);
        let sequence = u32::from_ne_bytes(header[8..12].try_into().ok()?);
        let body = bytes.get(HEADER_BYTES..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, sequence, body))
    })
}

/// The body of NLMSG_ERROR: a negative error number, 0 for an acknowledgement.
fn acknowledged(body: &[u8]) -> io::Result<()> {
    let number = body.get(..4).and_then(|bytes| bytes.try_into().ok());
    match number.map(i32::from_ne_bytes) {
        Some(0) => Ok(()),
        Some(number) => Err(io::Error::from_raw_os_error(number.saturating_neg())),
        None => Err(io::Error::from_raw_os_error(libc::EPROTO)),
    }
}

/// The payload of the first attribute `kind` among `attributes`.
pub(crate) fn find_attribute(mut attributes: &[u8], kind: u16) -> Option<&[u8]> {
    loop {
        let header = attributes.get(..4)?;
        let len = u16::from_ne_bytes([header[0], header[1]]) as usize;
        let found = u16::from_ne_bytes([header[2], header[3]]);
        let payload = attributes.get(4..len)?;
        if found == kind {
            return Some(payload);
        }
        attributes = attributes.get(len.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_found_again() {
        let mut request = Request::new(1, 0, &[]);
        request.text(3, "abc").nest(4, |inner| {
            inner.attribute(1, &[9, 8, 7]);
        });
        let attributes = &request.bytes[HEADER_BYTES..];
        assert_eq!(attributes.len() % 4, 0);
        assert_eq!(find_attribute(attributes, 3), Some(&b"abc\0"[..]));
        let nest = find_attribute(attributes, 4).unwrap();
        assert_eq!(find_attribute(nest, 1), Some(&[9, 8, 7][..]));
        assert_eq!(find_attribute(attributes, 5), None);
    }

    #[test]
    fn broken_answers_end_the_search() {
        assert_eq!(find_attribute(&[0, 0, 0, 0], 1), None);
        assert_eq!(find_attribute(&[200, 0, 1, 0, 5], 1), None);
        assert_eq!(messages(&[255; 20]).count(), 0);
        assert_eq!(messages(&[0; 40]).count(), 0);
    }

    #[test]
    fn refusals_carry_the_error_number() {
        let refused = acknowledged(&(-libc::ENODEV).to_ne_bytes()).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::ENODEV));
        assert!(acknowledged(&[0; 4]).is_ok());
        assert!(acknowledged(&[1]).is_err());
    }

    #[test]
    fn loopback_is_known_without_privileges() {
        let mut socket = Netlink::open().unwrap();
        let mut request = Request::new(libc::RTM_GETLINK, 0, &ifinfo(0, 0, 0));
        let answer = socket.ask(request.text(libc::IFLA_IFNAME, "lo")).unwrap();
        assert_eq!(find_attribute(&answer[16..], libc::IFLA_IFNAME), Some(&b"lo\0"[..]));
    }
}
