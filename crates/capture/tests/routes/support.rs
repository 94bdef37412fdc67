//! What the tests share.

use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};
use tickwire_capture::routes::{Hop, NextHop, Routes};
use tickwire_lab::{End, Lab, LabConfig};

/// No test waits longer for one change.
pub const LIMIT: Duration = Duration::from_secs(20);

/// A lab in which nobody knows his neighbour. With link-local addresses, from which the kernel
/// asks for IPv6 neighbours.
pub fn strangers() -> Lab {
    let lab = Lab::veth(LabConfig { neighbours: false, ..LabConfig::default() }).unwrap();
    for (number, end) in [(1, &lab.left), (2, &lab.right)] {
        let link_local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0x77, number).into();
        end.links().unwrap().add_address(end.index().unwrap(), link_local, 64).unwrap();
    }
    lab.wait_quiet().unwrap();
    lab
}

pub fn open(end: &End) -> Routes {
    end.run(Routes::open).unwrap()
}

/// The IPv4 and the IPv6 address of an end.
pub fn both(end: &End) -> [IpAddr; 2] {
    [end.ipv4().into(), end.ipv6().into()]
}

/// Follows the changes until the lookup gives what is wanted.
pub fn wait(
    routes: &mut Routes,
    destination: IpAddr,
    oif: Option<u32>,
    wanted: impl Fn(&NextHop) -> bool,
) -> NextHop {
    let deadline = Instant::now() + LIMIT;
    let mut last = routes.lookup(destination, oif).unwrap();
    while !wanted(&last) {
        assert!(Instant::now() < deadline, "{destination}: {last}");
        // What changes a lookup is told by an update: nothing else is looked at.
        if routes.update().unwrap() {
            last = routes.lookup(destination, oif).unwrap();
        } else {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    last
}

/// Follows the changes until the way is known.
pub fn resolve(routes: &mut Routes, destination: IpAddr) -> Hop {
    let next = wait(routes, destination, None, |next| next.hop().is_ok());
    next.hop().unwrap()
}

/// Writes a setting below /proc/sys/net in the namespace of `end`.
pub fn set(end: &End, key: &str, value: &str) {
    let path = format!("/proc/sys/net/{key}");
    end.run(|| std::fs::write(&path, value)).unwrap_or_else(|error| panic!("{path}: {error}"));
}
