//! The kernel's answer to "which way to this address?": one RTM_GETROUTE.

use crate::netlink::{Request, Requests, address, attributes, family, find, number, octets};
use std::io;
use std::net::IpAddr;

/// Bytes of `struct rtmsg`, and where its type is.
const RTMSG_BYTES: usize = 12;
const RTMSG_TYPE: usize = 7;
/// Index of the MTU among a route's metrics (linux/rtnetlink.h).
const RTAX_MTU: u16 = 2;
const RTA_VIA: u16 = 18;
const RTA_ENCAP: u16 = 22;

/// What kind of destination it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Unicast,
    Local,
    Broadcast,
    Multicast,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub kind: Kind,
    /// The interface.
    pub oif: u32,
    /// The next hop, unless that is the destination itself. An IPv4 route may have an IPv6 one.
    pub gateway: Option<IpAddr>,
    /// The source address that the kernel would choose.
    pub source: Option<IpAddr>,
    /// MTU of the route or of the path, in bytes.
    pub mtu: Option<u32>,
    /// Whether the kernel wraps the packet: MPLS, segment routing, an IP tunnel.
    pub wrapped: bool,
}

/// The route to `destination`, by interface `oif` if that is given. None when there is no way.
pub(super) fn ask(
    requests: &mut Requests,
    destination: IpAddr,
    oif: Option<u32>,
) -> io::Result<Option<Route>> {
    let mut header = [0; RTMSG_BYTES];
    let destination_octets = octets(destination);
    header[..2].copy_from_slice(&[family(destination), 8 * destination_octets.len() as u8]);
    let mut request =
        Request::new(libc::RTM_GETROUTE, 0, &header).attribute(libc::RTA_DST, &destination_octets);
    if let Some(oif) = oif {
        request = request.attribute(libc::RTA_OIF, &oif.to_ne_bytes());
    }
    let mut route = None;
    let answer = requests.ask(request, |kind, body| {
        if kind == libc::RTM_NEWROUTE {
            route = parse(body);
        }
    });
    match answer.map_err(|error| (error.raw_os_error(), error)) {
        Ok(()) => Ok(route),
        // No route; then of type unreachable, prohibit and blackhole; then by such an interface.
        Err((Some(libc::ENETUNREACH | libc::EHOSTUNREACH), _)) => Ok(None),
        Err((Some(libc::EACCES | libc::EINVAL), _)) => Ok(None),
        Err((Some(libc::ENODEV | libc::ENETDOWN | libc::EADDRNOTAVAIL), _)) => Ok(None),
        Err((_, error)) => Err(error),
    }
}

/// `struct rtmsg` and its attributes. None for routes that lead nowhere.
fn parse(body: &[u8]) -> Option<Route> {
    let kind = match *body.get(RTMSG_TYPE)? {
        libc::RTN_UNICAST => Kind::Unicast,
        libc::RTN_LOCAL | libc::RTN_ANYCAST => Kind::Local,
        libc::RTN_BROADCAST => Kind::Broadcast,
        libc::RTN_MULTICAST => Kind::Multicast,
        _ => return None,
    };
    let mut route = Route { kind, oif: 0, gateway: None, source: None, mtu: None, wrapped: false };
    for (kind, payload) in attributes(body.get(RTMSG_BYTES..)?) {
        match kind {
            libc::RTA_OIF => route.oif = number(payload)?,
            libc::RTA_GATEWAY => route.gateway = address(payload),
            // struct rtvia: two bytes of family in front.
            RTA_VIA => route.gateway = payload.get(2..).and_then(address),
            libc::RTA_PREFSRC => route.source = address(payload),
            libc::RTA_METRICS => route.mtu = find(payload, RTAX_MTU).and_then(number),
            RTA_ENCAP => route.wrapped = true,
            _ => {}
        }
    }
    Some(route)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = ((4 + payload.len()) as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(payload);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn answer() -> Vec<u8> {
        let via = [&[10, 0][..], &[0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]].concat();
        [
            &[2, 32, 0, 0, 254, 0, 0, libc::RTN_UNICAST, 0, 0, 0, 0][..],
            &attribute(libc::RTA_OIF, &7u32.to_ne_bytes()),
            &attribute(RTA_VIA, &via),
            &attribute(libc::RTA_PREFSRC, &[10, 0, 0, 1]),
            &attribute(libc::RTA_METRICS, &attribute(RTAX_MTU, &1400u32.to_ne_bytes())),
        ]
        .concat()
    }

    #[test]
    fn an_ipv4_route_by_an_ipv6_gateway_is_read() {
        let expected = Route {
            kind: Kind::Unicast,
            oif: 7,
            gateway: Some("fe80::1".parse().unwrap()),
            source: Some("10.0.0.1".parse().unwrap()),
            mtu: Some(1400),
            wrapped: false,
        };
        assert_eq!(parse(&answer()), Some(expected));
    }

    #[test]
    fn routes_to_nowhere_and_cut_answers_are_none() {
        for kind in [libc::RTN_BLACKHOLE, libc::RTN_UNREACHABLE, libc::RTN_PROHIBIT, 99] {
            let mut answer = answer();
            answer[RTMSG_TYPE] = kind;
            assert_eq!(parse(&answer), None);
        }
        for length in 0..answer().len() {
            let _ = parse(&answer()[..length]);
        }
    }

    #[test]
    fn the_loopback_is_local_without_privileges() {
        let mut requests = Requests::open().unwrap();
        let route = ask(&mut requests, "127.0.0.1".parse().unwrap(), None).unwrap().unwrap();
        assert_eq!(route.kind, Kind::Local);
    }
}
