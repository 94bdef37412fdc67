//! What the kernel says about XDP on an interface: what the driver can do, and what is attached.
//!
//! Questions over netlink(7): the generic family `netdev` (linux/netdev.h, since Linux 6.3)
//! knows the driver's XDP features; rtnetlink knows the attached programs (`IFLA_XDP`). Both only
//! read, and need no privilege.

use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send,
    socket_with, sockopt,
};
use std::io;
use std::time::Duration;

/// The kernel answers at once; longer than this means that something is badly wrong.
const ANSWER_WAIT: Duration = Duration::from_secs(2);
/// One link with all its attributes is some 1.5 KiB; many virtual functions make it longer.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Bytes of `struct nlmsghdr` and of `struct genlmsghdr`.
const HEADER_BYTES: usize = 16;
/// Bytes of `struct ifinfomsg`.
const IFINFO_BYTES: usize = 16;
const GENERIC_BYTES: usize = 4;

const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
const RTM_GETLINK: u16 = 18;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_XDP: u16 = 43;
const IFLA_XDP_ATTACHED: u16 = 2;
const IFLA_XDP_PROG_ID: u16 = 4;
const IFLA_XDP_DRV_PROG_ID: u16 = 5;
const IFLA_XDP_SKB_PROG_ID: u16 = 6;
const IFLA_XDP_HW_PROG_ID: u16 = 7;
const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const NETDEV_CMD_DEV_GET: u8 = 1;
const NETDEV_A_DEV_IFINDEX: u16 = 1;
const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;
/// The upper bits of an attribute's kind are flags (`NLA_TYPE_MASK`).
const KIND_MASK: u16 = 0x3fff;

/// What the driver says it can do (`enum netdev_xdp_act`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct XdpFeatures {
    /// It runs XDP programs itself: native mode.
    pub native: bool,
    /// It can redirect frames: needed for AF_XDP in native mode.
    pub redirect: bool,
    /// It gives frames to AF_XDP sockets without a copy.
    pub zero_copy: bool,
    /// It sends frames that XDP programs of other interfaces redirect to it (`ndo_xdp_xmit`). A
    /// veth does when the other end runs an XDP program, or GRO.
    pub redirect_target: bool,
    /// It runs programs on frames of several buffers: an MTU beyond a page.
    pub multi_buffer: bool,
}

/// How an XDP program is attached (`IFLA_XDP_ATTACHED`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XdpMode {
    /// In the driver.
    Native,
    /// After the kernel has built its own buffer: slower, works everywhere.
    Generic,
    /// In the card.
    Offloaded,
    /// Several at once.
    Several,
}

/// An attached XDP program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XdpAttached {
    /// Where it runs.
    pub mode: XdpMode,
    /// Its number: `bpftool prog show id N`.
    pub program_id: u32,
}

/// An interface as rtnetlink describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number; another one after it was deleted and made again.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Longest packet behind the link header, in bytes.
    pub mtu: u32,
    /// Whether frames can pass: set up, and the other end is there.
    pub running: bool,
}

impl Link {
    /// From the body of an RTM_NEWLINK or RTM_DELLINK message: `struct ifinfomsg`, attributes.
    pub(crate) fn parse(body: &[u8]) -> Option<Link> {
        let attributes = body.get(IFINFO_BYTES..)?;
        if body[0] != libc::AF_UNSPEC as u8 {
            // What a bridge says of its port: the port leaves the bridge, and is not deleted.
            return None;
        }
        let name = find(attributes, IFLA_IFNAME)?;
        let flags = number(&body[8..12])? as u32;
        Some(Link {
            index: number(&body[4..8])? as u32,
            name: String::from_utf8_lossy(name.strip_suffix(&[0]).unwrap_or(name)).into_owned(),
            mtu: find(attributes, IFLA_MTU).and_then(number).unwrap_or(0) as u32,
            running: is_running(flags),
        })
    }
}

/// Whether `IFF_…` flags say that an interface is up and has a carrier.
pub(crate) fn is_running(flags: u32) -> bool {
    let needed = (libc::IFF_UP | libc::IFF_RUNNING) as u32;
    flags & needed == needed
}

/// The interface `name`, in the network namespace of the calling thread.
///
/// # Errors
/// ENODEV when there is none.
pub fn link(name: &str) -> io::Result<Link> {
    let mut body = vec![0; IFINFO_BYTES];
    body.extend(attribute(IFLA_IFNAME, &[name.as_bytes(), &[0]].concat()));
    let answer = ask(None, RTM_GETLINK, &body)?;
    Link::parse(&answer).ok_or_else(|| io::Error::from_raw_os_error(libc::EPROTO))
}

/// What the driver of interface `index` can do. `Ok(None)` when this kernel cannot say (before
/// Linux 6.3).
pub fn xdp_features(index: u32) -> io::Result<Option<XdpFeatures>> {
    let name = attribute(CTRL_ATTR_FAMILY_NAME, b"netdev\0");
    let Ok(answer) = generic(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, &name) else { return Ok(None) };
    let Some(family) = find(&answer, CTRL_ATTR_FAMILY_ID).and_then(number) else {
        return Ok(None);
    };
    let index = attribute(NETDEV_A_DEV_IFINDEX, &index.to_ne_bytes());
    let answer = generic(family as u16, NETDEV_CMD_DEV_GET, &index)?;
    Ok(find(&answer, NETDEV_A_DEV_XDP_FEATURES).and_then(number).map(features_of))
}

/// The XDP program that is attached to interface `index` now.
pub fn xdp_attached(index: u32) -> io::Result<Option<XdpAttached>> {
    let mut body = [0; IFINFO_BYTES];
    body[4..8].copy_from_slice(&index.to_ne_bytes());
    let answer = ask(None, RTM_GETLINK, &body)?;
    let attributes = answer.get(body.len()..).unwrap_or_default();
    Ok(find(attributes, IFLA_XDP).and_then(attached_of))
}

fn features_of(bits: u64) -> XdpFeatures {
    let bit = |position: u32| bits >> position & 1 == 1;
    XdpFeatures {
        native: bit(0),
        redirect: bit(1),
        redirect_target: bit(2),
        zero_copy: bit(3),
        multi_buffer: bit(5),
    }
}

fn attached_of(xdp: &[u8]) -> Option<XdpAttached> {
    let (mode, id) = match find(xdp, IFLA_XDP_ATTACHED).and_then(number)? {
        0 => return None,
        1 => (XdpMode::Native, IFLA_XDP_DRV_PROG_ID),
        2 => (XdpMode::Generic, IFLA_XDP_SKB_PROG_ID),
        3 => (XdpMode::Offloaded, IFLA_XDP_HW_PROG_ID),
        _ => (XdpMode::Several, IFLA_XDP_DRV_PROG_ID),
    };
    let id = find(xdp, id).or_else(|| find(xdp, IFLA_XDP_PROG_ID)).and_then(number);
    Some(XdpAttached { mode, program_id: id.unwrap_or(0) as u32 })
}

/// Asks a generic netlink family; gives the attributes of its answer.
fn generic(family: u16, command: u8, attributes: &[u8]) -> io::Result<Vec<u8>> {
    let mut body = vec![command, 1, 0, 0];
    body.extend_from_slice(attributes);
    ask(Some(netlink::GENERIC), family, &body).map(|answer| answer[GENERIC_BYTES..].to_vec())
}

/// One request and its one answer, over a socket of its own. No protocol is rtnetlink.
fn ask(protocol: Option<Protocol>, kind: u16, body: &[u8]) -> io::Result<Vec<u8>> {
    let (raw, flags) = (SocketType::RAW, SocketFlags::CLOEXEC);
    let socket = socket_with(AddressFamily::NETLINK, raw, flags, protocol)?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(ANSWER_WAIT))?;
    let mut message = Vec::with_capacity(HEADER_BYTES + body.len());
    message.extend_from_slice(&((HEADER_BYTES + body.len()) as u32).to_ne_bytes());
    message.extend_from_slice(&kind.to_ne_bytes());
    message.extend_from_slice(&NLM_F_REQUEST.to_ne_bytes());
    message.extend_from_slice(&[0; 8]);
    message.extend_from_slice(body);
    send(&socket, &message, SendFlags::empty())?;
    let mut answer = vec![0; ANSWER_BYTES_MAX];
    let (len, _) = recv(&socket, &mut answer[..], RecvFlags::empty())?;
    answer.truncate(len);
    payload(answer)
}

/// The payload of one netlink message, or the error that it carries.
fn payload(mut answer: Vec<u8>) -> io::Result<Vec<u8>> {
    let broken = || io::Error::from_raw_os_error(libc::EPROTO);
    let end = number(answer.get(..4).ok_or_else(broken)?).ok_or_else(broken)? as usize;
    let kind = number(answer.get(4..6).ok_or_else(broken)?);
    if end < HEADER_BYTES + GENERIC_BYTES || end > answer.len() {
        return Err(broken());
    }
    answer.truncate(end);
    answer.drain(..HEADER_BYTES);
    if kind == Some(u64::from(NLMSG_ERROR)) {
        let code = i32::from_ne_bytes(answer[..4].try_into().map_err(|_| broken())?);
        return Err(io::Error::from_raw_os_error(code.saturating_neg()));
    }
    Ok(answer)
}

/// `struct nlattr` with its payload, padded to 4 bytes.
fn attribute(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4 + payload.len());
    bytes.extend_from_slice(&(4 + payload.len() as u16).to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// The payload of the first attribute of this kind.
fn find(mut attributes: &[u8], kind: u16) -> Option<&[u8]> {
    while let Some(header) = attributes.get(..4) {
        let len = u16::from_ne_bytes([header[0], header[1]]) as usize;
        let payload = attributes.get(4..len)?;
        if u16::from_ne_bytes([header[2], header[3]]) & KIND_MASK == kind {
            return Some(payload);
        }
        attributes = attributes.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    None
}

/// An unsigned number of 1, 2, 4 or 8 bytes in the machine's order.
fn number(bytes: &[u8]) -> Option<u64> {
    match *bytes {
        [byte] => Some(u64::from(byte)),
        [a, b] => Some(u64::from(u16::from_ne_bytes([a, b]))),
        [a, b, c, d] => Some(u64::from(u32::from_ne_bytes([a, b, c, d]))),
        _ => bytes.try_into().ok().map(u64::from_ne_bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_has_no_program_and_no_native_mode() {
        let index = std::fs::read_to_string("/sys/class/net/lo/ifindex").unwrap();
        let index = index.trim().parse().unwrap();
        assert_eq!(xdp_attached(index).unwrap(), None);
        assert!(!xdp_features(index).unwrap().is_some_and(|features| features.native));
    }

    #[test]
    fn the_loopback_is_a_link() {
        let link = link("lo").unwrap();
        assert_eq!((link.name.as_str(), link.index > 0), ("lo", true));
        assert!(link.mtu >= 1500, "{link:?}");
        let error = super::link("nosuchif0").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
        assert_eq!(Link::parse(&[0; 15]), None);
    }

    #[test]
    fn an_interface_that_is_not_there_is_an_error() {
        let error = xdp_attached(0x7fff_0000).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    }

    #[test]
    fn an_attached_program_is_read() {
        let mut xdp = attribute(IFLA_XDP_ATTACHED, &[2]);
        xdp.extend(attribute(IFLA_XDP_PROG_ID, &7u32.to_ne_bytes()));
        xdp.extend(attribute(IFLA_XDP_SKB_PROG_ID, &9u32.to_ne_bytes()));
        let expected = XdpAttached { mode: XdpMode::Generic, program_id: 9 };
        assert_eq!(attached_of(&xdp), Some(expected));
        assert_eq!(attached_of(&attribute(IFLA_XDP_ATTACHED, &[0])), None);
    }

    #[test]
    fn feature_bits_are_those_of_the_kernel() {
        let all = features_of(0b0010_1011);
        assert!(all.native && all.redirect && all.zero_copy && all.multi_buffer);
        assert_eq!(features_of(0), XdpFeatures::default());
    }

    #[test]
    fn broken_answers_are_errors_and_never_panic() {
        let whole: Vec<u8> = [
            &24u32.to_ne_bytes()[..],
            &NLMSG_ERROR.to_ne_bytes(),
            &[0; 10],
            &(-libc::EPERM).to_ne_bytes(),
            &[0; 4],
        ]
        .concat();
        for len in 0..whole.len() {
            let error = payload(whole[..len].to_vec()).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EPROTO), "{len}");
        }
        assert_eq!(payload(whole).unwrap_err().raw_os_error(), Some(libc::EPERM));
        let nested = attribute(5, &[1, 2, 3]);
        for len in 0..7 {
            assert_eq!(find(&nested[..len], 5), None);
        }
    }
}
