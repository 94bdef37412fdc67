//! The protocol itself: a request and where it came from to a reply, without a socket.

use crate::replicate::{IfExists, Refusal, ReplicateControl};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;
use tickwire_replicate::Subscriber;

/// The longest request that means something; what follows is tolerated.
pub const REQUEST_BYTES_MAX: usize = 7;
/// Entries of a list: its count is one byte.
pub const LIST_ENTRIES_MAX: usize = 255;

const DONE: u8 = 1;
const FAILED: u8 = 0;

/// A request, after its opcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// 1: copies go to this address from now on.
    Add(SocketAddrV4),
    /// 2: and no more.
    Remove(SocketAddrV4),
    /// 3: who gets copies?
    List,
    /// 4: copies of this group go to the sender of the request.
    Join(Ipv4Addr),
    /// 5: and no more.
    Leave(Ipv4Addr),
}

impl Request {
    /// Reads a datagram; `None` when it is too short or of no known kind.
    pub fn parse(bytes: &[u8]) -> Option<Request> {
        let (&opcode, rest) = bytes.split_first()?;
        let group = || rest.first_chunk::<4>().map(|&octets| Ipv4Addr::from(octets));
        let address = || {
            let port = rest.get(4..6)?.first_chunk::<2>()?;
            Some(SocketAddrV4::new(group()?, u16::from_be_bytes(*port)))
        };
        match opcode {
            1 => address().map(Request::Add),
            2 => address().map(Request::Remove),
            3 => Some(Request::List),
            4 => group().map(Request::Join),
            5 => group().map(Request::Leave),
            _ => None,
        }
    }
}

/// Does what a datagram asks for and gives the reply; none to what means nothing, as the older
/// program does.
pub fn answer(
    request: &[u8],
    source: SocketAddr,
    feed: &str,
    lease: Option<Duration>,
    control: &dyn ReplicateControl,
) -> Option<Vec<u8>> {
    let done = match Request::parse(request)? {
        Request::List => return Some(list(feed, control)),
        Request::Add(address) => add(address.into(), feed, lease, control),
        Request::Remove(address) => remove(address.into(), feed, control),
        Request::Join(group) => is_group(group, feed, control) && add(source, feed, lease, control),
        Request::Leave(group) => is_group(group, feed, control) && remove(source, feed, control),
    };
    Some(vec![if done { DONE } else { FAILED }])
}

fn add(
    address: SocketAddr,
    feed: &str,
    lease: Option<Duration>,
    control: &dyn ReplicateControl,
) -> bool {
    let address = SocketAddr::new(address.ip().to_canonical(), address.port());
    let lease_s = lease.map(|lease| lease.as_secs().try_into().unwrap_or(u32::MAX));
    let subscriber = Subscriber { lease_s, ..Subscriber::new(address) };
    match control.add(feed, subscriber, IfExists::Keep) {
        Ok(_) => true,
        // Somebody gave it settings that this protocol cannot say: they stay.
        Err(Refusal::Exists { .. }) => control.renew(feed, address).is_ok(),
        Err(Refusal::Table(_)) => false,
    }
}

/// The older program answers 01 to the removal of somebody unknown too.
fn remove(address: SocketAddr, feed: &str, control: &dyn ReplicateControl) -> bool {
    let address = SocketAddr::new(address.ip().to_canonical(), address.port());
    let _ = control.remove(feed, address);
    true
}

/// Whether `feed` is this multicast group.
fn is_group(group: Ipv4Addr, feed: &str, control: &dyn ReplicateControl) -> bool {
    let feeds = control.feeds();
    let listen = feeds.iter().find(|(known, _)| known.name == feed).map(|(feed, _)| feed.listen);
    group.is_multicast() && listen.is_some_and(|listen| listen.ip() == group)
}

/// IPv4 only, which is all that an entry can hold.
fn list(feed: &str, control: &dyn ReplicateControl) -> Vec<u8> {
    let mut reply = vec![0];
    let addresses = control.list(feed).unwrap_or_default();
    let addresses = addresses.iter().filter_map(|listed| match listed.subscriber.address {
        SocketAddr::V4(address) => Some(address),
        SocketAddr::V6(_) => None,
    });
    for address in addresses.take(LIST_ENTRIES_MAX) {
        reply[0] += 1;
        reply.extend(address.ip().octets());
        reply.extend(address.port().to_be_bytes());
    }
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_by_the_byte() {
        let address = SocketAddrV4::new([10, 0, 0, 7].into(), 0x1388);
        let rows: &[(&[u8], Option<Request>)] = &[
            (&[1, 10, 0, 0, 7, 0x13, 0x88], Some(Request::Add(address))),
            (&[1, 10, 0, 0, 7, 0x13, 0x88, 9, 9], Some(Request::Add(address))),
            (&[2, 10, 0, 0, 7, 0x13, 0x88], Some(Request::Remove(address))),
            (&[3], Some(Request::List)),
            (&[3, 1, 2, 3], Some(Request::List)),
            (&[4, 239, 1, 1, 1], Some(Request::Join([239, 1, 1, 1].into()))),
            (&[5, 239, 1, 1, 1], Some(Request::Leave([239, 1, 1, 1].into()))),
            (&[], None),
            (&[0], None),
            (&[6, 1, 2, 3, 4, 5, 6], None),
            (&[255], None),
            (&[1, 10, 0, 0, 7, 0x13], None),
            (&[2, 10, 0, 0, 7], None),
            (&[4, 239, 1, 1], None),
            (&[5], None),
        ];
        for (bytes, request) in rows {
            assert_eq!(Request::parse(bytes), *request, "{bytes:?}");
        }
    }
}
