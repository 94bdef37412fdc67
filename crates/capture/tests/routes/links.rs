//! Routes, gateways, VLANs, and interfaces that go and come.

use crate::support::{both, open, resolve, strangers, wait};
use std::net::IpAddr;
use tickwire_capture::routes::{NextHop, Refusal, Vlan};
use tickwire_frame::Reason;
use tickwire_lab::{Lab, require_root};

#[test]
fn a_gateway_is_the_neighbour_and_routes_change() {
    require_root!("a_gateway_is_the_neighbour_and_routes_change");
    let lab = strangers();
    let mut routes = open(&lab.left);
    let rows: [(&str, u8, &str); 2] = [("10.99.0.0", 16, "10.99.1.2"), ("fd99::", 16, "fd99::2")];
    for ((network, bits, destination), gateway) in rows.into_iter().zip(both(&lab.right)) {
        let (network, destination) = (network.parse().unwrap(), destination.parse().unwrap());
        assert_eq!(routes.lookup(destination, None).unwrap(), NextHop::NoRoute);
        lab.left.links().unwrap().add_gateway(network, bits, gateway).unwrap();
        let hop = resolve(&mut routes, destination);
        assert_eq!((hop.destination_mac, hop.mtu), (lab.right.mac(), 1500));
        lab.left.links().unwrap().delete_route(network, bits).unwrap();
        let gone = wait(&mut routes, destination, None, |next| *next == NextHop::NoRoute);
        assert_eq!(gone.hop().unwrap_err(), Reason::NoRoute);
    }
}

#[test]
fn groups_broadcast_and_own_addresses_need_no_neighbour() {
    require_root!("groups_broadcast_and_own_addresses_need_no_neighbour");
    let lab = strangers();
    let mut routes = open(&lab.left);
    let mac = |routes: &mut tickwire_capture::routes::Routes, destination: &str| {
        let index = lab.left.index().unwrap();
        let next = routes.lookup(destination.parse().unwrap(), Some(index)).unwrap();
        next.hop().unwrap().destination_mac
    };
    assert_eq!(mac(&mut routes, "239.129.1.2"), [0x01, 0, 0x5e, 1, 1, 2]);
    assert_eq!(mac(&mut routes, "ff15::1:2"), [0x33, 0x33, 0, 1, 0, 2]);
    assert_eq!(mac(&mut routes, "10.77.0.255"), [0xff; 6]);
    for own in both(&lab.left).into_iter().chain(["127.0.0.1".parse().unwrap()]) {
        let next = routes.lookup(own, None).unwrap();
        assert_eq!((next, next.hop().unwrap_err()), (NextHop::Local, Reason::NoEgress));
    }
}

#[test]
fn the_mtu_is_followed() {
    require_root!("the_mtu_is_followed");
    let lab = Lab::new().unwrap();
    let mut routes = open(&lab.left);
    let destination = lab.right.ipv4().into();
    assert_eq!(resolve(&mut routes, destination).mtu, 1500);
    lab.left.set_mtu(1400).unwrap();
    wait(&mut routes, destination, None, |next| next.hop().is_ok_and(|hop| hop.mtu == 1400));
}

#[test]
fn an_interface_goes_down_and_up_on_either_end() {
    require_root!("an_interface_goes_down_and_up_on_either_end");
    let lab = strangers();
    let mut routes = open(&lab.left);
    let (destination, ifindex) = (lab.right.ipv4().into(), lab.left.index().unwrap());
    for end in [&lab.left, &lab.right] {
        resolve(&mut routes, destination);
        end.set_up(false).unwrap();
        let down = NextHop::LinkDown { ifindex };
        wait(&mut routes, destination, Some(ifindex), |next| *next == down);
        assert_eq!(down.hop().unwrap_err(), Reason::LinkDown);
        end.set_up(true).unwrap();
        lab.wait_running().unwrap();
    }
    resolve(&mut routes, destination);
}

#[test]
fn an_interface_is_deleted_and_made_again() {
    require_root!("an_interface_is_deleted_and_made_again");
    let lab = strangers();
    let mut routes = open(&lab.left);
    let destination = lab.right.ipv4().into();
    let before = resolve(&mut routes, destination).ifindex;
    lab.delete_link().unwrap();
    let gone = NextHop::LinkDown { ifindex: before };
    wait(&mut routes, destination, Some(before), |next| *next == gone);
    assert_eq!(routes.lookup(destination, None).unwrap(), NextHop::NoRoute);
    assert!(routes.find("left0").is_none());
    lab.create_link().unwrap();
    let after = resolve(&mut routes, destination).ifindex;
    assert_ne!(before, after);
    assert_eq!(routes.find("left0").map(|link| link.index), Some(after));
    assert_eq!(routes.lookup(destination, Some(before)).unwrap(), gone);
}

#[test]
fn a_vlan_is_the_interface_below_and_a_tag() {
    require_root!("a_vlan_is_the_interface_below_and_a_tag");
    let lab = Lab::new().unwrap();
    let mut routes = open(&lab.left);
    let mut links = lab.left.links().unwrap();
    let below = lab.left.index().unwrap();
    if let Err(error) = links.create_vlan("left0.7", below, 7) {
        tickwire_lab::say_skipped("a_vlan_is_the_interface_below_and_a_tag", &error.to_string());
        return;
    }
    let (inside, other): (IpAddr, _) = ("10.7.0.2".parse().unwrap(), [0x02, 0, 0, 0, 0x99, 9]);
    let index = links.state("left0.7").unwrap().index;
    links.set_up("left0.7", true).unwrap();
    links.add_address(index, "10.7.0.1".parse().unwrap(), 24).unwrap();
    links.set_neighbour(index, inside, other).unwrap();
    let hop = resolve(&mut routes, inside);
    assert_eq!((hop.ifindex, hop.vlan), (below, Some(Vlan { protocol: 0x8100, id: 7 })));
    assert_eq!((hop.destination_mac, hop.source), (other, "10.7.0.1".parse().unwrap()));

    links.create_vlan("left0.7.8", index, 8).unwrap();
    let ifindex = links.state("left0.7.8").unwrap().index;
    links.set_up("left0.7.8", true).unwrap();
    links.add_address(ifindex, "10.8.0.1".parse().unwrap(), 24).unwrap();
    let refused = NextHop::Refused { ifindex, why: Refusal::VlanInVlan };
    wait(&mut routes, "10.8.0.2".parse().unwrap(), None, |next| *next == refused);
}
