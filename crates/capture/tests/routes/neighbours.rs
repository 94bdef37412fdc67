//! Neighbours that appear, change, fail and come back.

use crate::support::{both, open, resolve, set, strangers, wait};
use std::net::IpAddr;
use std::time::Duration;
use tickwire_capture::af_packet::{AfPacket, AfPacketConfig};
use tickwire_capture::routes::{NextHop, Routes};
use tickwire_capture::{Port, Received};
use tickwire_frame::Batch;
use tickwire_lab::{End, Lab, Links, Namespace, require_root};

/// What an end sees of the other one's frames; those of the kernel's own accord too.
fn watch(end: &End) -> AfPacket {
    let config = AfPacketConfig { outgoing: false, ..AfPacketConfig::new(end.name()) };
    end.run(|| AfPacket::open(&config, 1)).unwrap().remove(0)
}

/// Ethertype, and the type of an ICMPv6 message, of each frame that came.
fn kinds(port: &mut AfPacket) -> Vec<(u16, Option<u8>)> {
    port.quiesce().unwrap();
    let mut kinds = Vec::new();
    loop {
        let mut batch = Batch::new();
        if port.receive(&mut batch).unwrap() != Received::Frames {
            return kinds;
        }
        kinds.extend(batch.iter().map(|frame| {
            let icmp6 = frame.bytes[12..14] == [0x86, 0xdd] && frame.bytes[20] == 58;
            let ethertype = u16::from_be_bytes([frame.bytes[12], frame.bytes[13]]);
            (ethertype, icmp6.then(|| frame.bytes[54]))
        }));
    }
}

#[test]
fn a_neighbour_appears_and_nothing_but_arp_and_discovery_was_sent() {
    require_root!("a_neighbour_appears_and_nothing_but_arp_and_discovery_was_sent");
    let lab = strangers();
    let mut seen = watch(&lab.right);
    let mut routes = open(&lab.left);
    for (destination, source) in both(&lab.right).into_iter().zip(both(&lab.left)) {
        let first = routes.lookup(destination, None).unwrap();
        let ifindex = lab.left.index().unwrap();
        assert_eq!(first, NextHop::Unresolved { ifindex, neighbour: destination, is_asked: true });
        let hop = resolve(&mut routes, destination);
        assert_eq!((hop.source_mac, hop.destination_mac), (lab.left.mac(), lab.right.mac()));
        assert_eq!((hop.ifindex, hop.vlan, hop.source), (ifindex, None, source));
        assert_eq!(hop.mtu, 1500);
    }
    let kinds = kinds(&mut seen);
    // ARP, neighbour solicitation and advertisement (RFC 4861).
    let expected = [(0x0806, None), (0x86dd, Some(135)), (0x86dd, Some(136))];
    assert!(kinds.iter().all(|kind| expected.contains(kind)), "{kinds:x?}");
    assert!(kinds.contains(&expected[0]) && kinds.contains(&expected[1]), "{kinds:x?}");
}

#[test]
fn a_neighbour_gets_another_address() {
    require_root!("a_neighbour_gets_another_address");
    let lab = strangers();
    let mut routes = open(&lab.left);
    let destination = lab.right.ipv4().into();
    resolve(&mut routes, destination);
    let other = [0x02, 0, 0, 0, 0x99, 9];
    // What a take-over announces: gratuitous ARP (RFC 5227 section 3).
    set(&lab.right, "ipv4/conf/right0/arp_notify", "1");
    lab.right.links().unwrap().set_mac("right0", other).unwrap();
    let next = wait(&mut routes, destination, None, |next| {
        next.hop().is_ok_and(|hop| hop.destination_mac == other)
    });
    assert_eq!(next.hop().unwrap().source_mac, lab.left.mac());
    let own = [0x02, 0, 0, 0, 0x99, 8];
    lab.left.links().unwrap().set_mac("left0", own).unwrap();
    wait(&mut routes, destination, None, |next| next.hop().is_ok_and(|hop| hop.source_mac == own));
}

/// Neighbours of `end` grow stale in a moment, and fail in a second or two.
fn hurry(end: &End) {
    for version in ["ipv4", "ipv6"] {
        let neigh = format!("{version}/neigh/{}", end.name());
        set(end, &format!("{neigh}/base_reachable_time_ms"), "200");
        set(end, &format!("{neigh}/delay_first_probe_time"), "1");
        set(end, &format!("{neigh}/retrans_time_ms"), "100");
    }
}

#[test]
fn a_neighbour_falls_silent_and_comes_back() {
    require_root!("a_neighbour_falls_silent_and_comes_back");
    let lab = strangers();
    hurry(&lab.left);
    let mut routes = open(&lab.left);
    let destination: IpAddr = lab.right.ipv4().into();
    resolve(&mut routes, destination);
    // It answers no ARP for any address. Nobody sends to it: that it is verified at all is our
    // doing.
    set(&lab.right, "ipv4/conf/all/arp_ignore", "8");
    let gone = wait(&mut routes, destination, None, |next| next.hop().is_err());
    assert!(matches!(gone, NextHop::Unresolved { neighbour, .. } if neighbour == destination));
    set(&lab.right, "ipv4/conf/all/arp_ignore", "0");
    assert_eq!(resolve(&mut routes, destination).destination_mac, lab.right.mac());
    // Deleted by hand: asked for again.
    lab.left.delete_neighbour(destination).unwrap();
    resolve(&mut routes, destination);
}

#[test]
fn a_stale_neighbour_is_used_and_verified() {
    require_root!("a_stale_neighbour_is_used_and_verified");
    const NUD_REACHABLE: u16 = 2;
    let lab = strangers();
    hurry(&lab.left);
    let mut routes = open(&lab.left);
    let (destination, index) = (lab.right.ipv6().into(), lab.left.index().unwrap());
    resolve(&mut routes, destination);
    let mut links = lab.left.links().unwrap();
    let mut states = Vec::new();
    let deadline = std::time::Instant::now() + crate::support::LIMIT;
    // Reachable, stale, reachable again.
    while states.iter().filter(|&&state| state == NUD_REACHABLE).count() < 2 {
        assert!(std::time::Instant::now() < deadline, "{states:?}");
        let (state, _) = links.neighbour(index, destination).unwrap();
        if states.last() != Some(&state) {
            states.push(state);
        }
        routes.update().unwrap();
        assert!(routes.lookup(destination, None).unwrap().hop().is_ok(), "{states:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn permanent_neighbours_stay_permanent() {
    require_root!("permanent_neighbours_stay_permanent");
    const NUD_PERMANENT: u16 = 0x80;
    let lab = Lab::new().unwrap();
    let (destination, index) = (lab.right.ipv4().into(), lab.left.index().unwrap());
    let other = [0x02, 0, 0, 0, 0x99, 9];
    let mut routes = open(&lab.left);
    assert_eq!(resolve(&mut routes, destination).destination_mac, lab.right.mac());
    lab.left.set_neighbour(destination, other).unwrap();
    // Without an update in between: an unknown one that has just been made permanent, too.
    let fresh: IpAddr = "10.77.0.9".parse().unwrap();
    lab.left.set_neighbour(fresh, other).unwrap();
    assert_eq!(resolve(&mut routes, fresh).destination_mac, other);
    assert_eq!(resolve(&mut routes, destination).destination_mac, other);
    let mut links = lab.left.links().unwrap();
    for address in [destination, fresh] {
        assert_eq!(links.neighbour(index, address).unwrap(), (NUD_PERMANENT, Some(other)));
    }
}

#[test]
fn lost_events_are_made_good() {
    require_root!("lost_events_are_made_good");
    let lab = Lab::new().unwrap();
    let mut routes = open(&lab.left);
    let (index, other) = (lab.left.index().unwrap(), [0x02, 0, 0, 0, 0x99, 9]);
    let first: IpAddr = "10.77.0.100".parse().unwrap();
    routes.lookup(first, None).unwrap();
    // More than the socket's buffer holds.
    let mut links = lab.left.links().unwrap();
    for n in 0..3000u32 {
        let mac = [0x02, 0, 0, 0, (n >> 8) as u8, n as u8];
        links.set_neighbour(index, "10.77.0.200".parse().unwrap(), mac).unwrap();
    }
    links.set_neighbour(index, first, other).unwrap();
    assert_eq!(resolve(&mut routes, first).destination_mac, other);
    assert!(routes.resyncs() > 0, "nothing was lost: the test shows nothing");
    assert_eq!(
        resolve(&mut routes, "10.77.0.200".parse().unwrap()).destination_mac[4..],
        [11, 183]
    );
}

#[test]
fn without_the_right_to_ask_it_is_said_once() {
    require_root!("without_the_right_to_ask_it_is_said_once");
    let lab = strangers();
    lab.left.run(|| {
        let mut routes = Routes::open().unwrap();
        let none = rustix::thread::CapabilitySets {
            effective: rustix::thread::CapabilitySet::empty(),
            permitted: rustix::thread::CapabilitySet::empty(),
            inheritable: rustix::thread::CapabilitySet::empty(),
        };
        rustix::thread::set_capabilities(None, none).unwrap();
        for last in [5, 6] {
            let destination = IpAddr::from([10, 77, 0, last]);
            assert!(routes.lookup(destination, None).unwrap().hop().is_err());
        }
        let notice = routes.take_notice().unwrap();
        assert!(notice.contains("10.77.0.5") && notice.contains("CAP_NET_ADMIN"), "{notice}");
        assert_eq!(routes.take_notice(), None);
    });
}

#[test]
fn a_namespace_without_anything_has_no_route() {
    require_root!("a_namespace_without_anything_has_no_route");
    let namespace = Namespace::new().unwrap();
    let mut routes = namespace.run(Routes::open).unwrap();
    for destination in ["10.0.0.1", "fd00::1", "239.1.1.1", "ff15::1"] {
        let next = routes.lookup(destination.parse().unwrap(), None).unwrap();
        assert_eq!(next, NextHop::NoRoute, "{destination}");
    }
    namespace.run(|| Links::open().unwrap().set_up("lo", true)).unwrap();
    assert!(routes.update().unwrap());
    assert_eq!(routes.lookup("127.0.0.1".parse().unwrap(), None).unwrap(), NextHop::Local);
}
