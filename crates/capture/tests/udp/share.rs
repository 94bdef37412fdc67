//! Senders have the port of the feed, and take none of it.

use crate::support::{LIMIT, open, take};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tickwire_capture::Port;
use tickwire_capture::udp::{SenderConfig, UdpConfig, UdpPort, UdpSender};
use tickwire_frame::Ledger;
use tickwire_lab::{Lab, Numbered, Schedule, require_root, send_udp};

const SENDERS: usize = 200;
const RATE_PPS: f64 = 20_000.0;

/// Opens and closes senders from the port of the feed, 200 at a time, until it is over.
fn come_and_go(lab: &Lab, feed: SocketAddr, over: &AtomicBool) -> usize {
    let mut opened = 0;
    while !over.load(Ordering::Relaxed) {
        let senders: Vec<UdpSender> = (0..SENDERS)
            .map(|n| {
                let left: IpAddr = match feed {
                    SocketAddr::V4(_) => lab.left.ipv4().into(),
                    SocketAddr::V6(_) => lab.left.ipv6().into(),
                };
                let to = SocketAddr::new(left, 20_000 + n as u16);
                UdpSender::open(&SenderConfig::new(feed, to)).unwrap()
            })
            .collect();
        opened += senders.len();
        // In another order than they came.
        senders.into_iter().rev().step_by(2).for_each(drop);
    }
    opened
}

/// Nothing of a feed with an address is lost while senders come and go: what is not received must
/// be in the kernel's own count of drops, of which a buffer of 64 MiB makes none.
fn nothing_is_taken(listen: impl Fn(&Lab, u16) -> SocketAddr, group: bool, interface: bool) {
    const COUNT: u64 = 20_000;
    let lab = Lab::new().unwrap();
    let mut packets = Numbered { flows: 4, ..Numbered::between(&lab.left, &lab.right) };
    let feed = listen(&lab, packets.port);
    if group || feed.is_ipv6() {
        let source: IpAddr =
            if feed.is_ipv4() { lab.left.ipv4().into() } else { lab.left.ipv6().into() };
        packets.addresses = (source, feed.ip());
    }
    let mut port: UdpPort = open(&lab.right, feed, |config: &mut UdpConfig| {
        config.buffer_bytes = 64 << 20;
        config.interface = interface.then(|| "right0".into());
    });
    let over = AtomicBool::new(false);
    let (mut seen, mut opened) = (0, 0);
    let mut ledger = Ledger::default();
    let schedule = Schedule::paced(COUNT, RATE_PPS);
    std::thread::scope(|scope| {
        let senders = scope.spawn(|| lab.right.run(|| come_and_go(&lab, feed, &over)));
        let sending = scope.spawn(|| send_udp(&lab.left, &packets, &schedule).unwrap());
        let mut deadline = Instant::now() + 3 * LIMIT;
        let mut sent = false;
        while seen + ledger.received < COUNT && Instant::now() < deadline {
            seen += take(&mut port, |_| {}) as u64;
            port.tick(&mut ledger).unwrap();
            if !sent && sending.is_finished() {
                // On a busy machine the last ones are a while on their way through the stack.
                (sent, deadline) = (true, Instant::now() + LIMIT / 4);
            }
        }
        over.store(true, Ordering::Relaxed);
        opened = senders.join().unwrap();
        assert_eq!(sending.join().unwrap().sent, COUNT);
    });
    assert_eq!(seen + ledger.received, COUNT, "{} lost while {opened} came", COUNT - seen);
    assert!(opened >= SENDERS, "{opened}");
}

#[test]
fn nothing_is_taken_from_an_address() {
    require_root!("nothing_is_taken_from_an_address");
    nothing_is_taken(|lab, port| (lab.right.ipv4(), port).into(), false, false);
}

#[test]
fn nothing_is_taken_from_an_address_on_an_interface() {
    require_root!("nothing_is_taken_from_an_address_on_an_interface");
    nothing_is_taken(|lab, port| (lab.right.ipv4(), port).into(), false, true);
}

#[test]
fn nothing_is_taken_from_an_ipv6_address() {
    require_root!("nothing_is_taken_from_an_ipv6_address");
    nothing_is_taken(|lab, port| (lab.right.ipv6(), port).into(), false, false);
}

#[test]
fn nothing_is_taken_from_an_ipv6_group() {
    require_root!("nothing_is_taken_from_an_ipv6_group");
    let group = [0xff15, 0, 0, 0, 0, 0, 0, 1];
    nothing_is_taken(|_, port| (group, port).into(), true, true);
}

#[test]
fn nothing_is_taken_from_a_group() {
    require_root!("nothing_is_taken_from_a_group");
    nothing_is_taken(|_, port| ([239, 1, 1, 1], port).into(), true, true);
}
