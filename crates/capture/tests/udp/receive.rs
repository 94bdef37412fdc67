//! What a feed's frames are, and that none is lost without a name.

use crate::support::{LIMIT, PORT, at, collect, open, send, sender, take};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use tickwire_capture::Port;
use tickwire_capture::af_packet::{AfPacket, AfPacketConfig};
use tickwire_capture::udp::{UdpConfig, UdpPort};
use tickwire_frame::{Batch, Flags, Ledger, LinkType, Reason, Timestamp};
use tickwire_lab::{Lab, require_root};

/// The IP packets with a UDP header for our port that a packet socket sees.
fn on_the_wire(port: &mut AfPacket, count: usize) -> Vec<Vec<u8>> {
    let (mut packets, deadline) = (Vec::new(), Instant::now() + LIMIT);
    while packets.len() < count && Instant::now() < deadline {
        take(port, |frame| {
            let packet = &frame.bytes[14..];
            let ports = if packet[0] >> 4 == 4 { 20 } else { 40 };
            if packet.get(ports + 2..ports + 4) == Some(&PORT.to_be_bytes()[..]) {
                packets.push(packet.to_vec());
            }
        });
        port.wait(Duration::from_millis(10)).unwrap();
    }
    packets
}

/// What a socket does not say is as documented; the rest of the packet stays.
fn without_what_no_socket_says(mut packet: Vec<u8>) -> Vec<u8> {
    if packet[0] >> 4 == 4 {
        packet[4..8].fill(0);
        packet[10..12].fill(0);
        packet[26..28].fill(0);
    } else {
        packet[1] &= 0xf0;
        packet[2..4].fill(0);
    }
    packet
}

#[test]
fn frames_are_those_on_the_wire() {
    require_root!("frames_are_those_on_the_wire");
    let lab = Lab::new().unwrap();
    let wire = AfPacketConfig { outgoing: false, ..AfPacketConfig::new("right0") };
    let mut wire = lab.right.run(|| AfPacket::open(&wire, 1)).unwrap().remove(0);
    let (left4, left6) = (IpAddr::from(lab.left.ipv4()), IpAddr::from(lab.left.ipv6()));
    let rows: [(SocketAddr, SocketAddr, Option<IpAddr>); 8] = [
        (at(lab.right.ipv4()), at(lab.right.ipv4()), None),
        (at([0, 0, 0, 0]), at(lab.right.ipv4()), None),
        (at([239, 1, 1, 1]), at([239, 1, 1, 1]), None),
        (at([232, 1, 1, 1]), at([232, 1, 1, 1]), Some(left4)),
        (at(lab.right.ipv6()), at(lab.right.ipv6()), None),
        (at([0u16; 8]), at(lab.right.ipv6()), None),
        (at([0xff15, 0, 0, 0, 0, 0, 0, 1]), at([0xff15, 0, 0, 0, 0, 0, 0, 1]), None),
        (at([0xff35, 0, 0, 0, 0, 0, 0, 1]), at([0xff35, 0, 0, 0, 0, 0, 0, 1]), Some(left6)),
    ];
    for (listen, destination, source) in rows {
        let mut port = open(&lab.right, listen, |config| {
            config.source = source;
            config.interface = listen.ip().is_multicast().then(|| "right0".into());
        });
        let mut sender = sender(&lab.left, destination, |config| {
            (config.ttl, config.dscp) = (7, 46);
            config.interface = Some("left0".into());
        });
        let start = Timestamp::now();
        send(&mut sender, &[b"first", b"", &[0xab; 1000]]);
        let mut frames = Vec::new();
        collect(&mut port, 3, |frame| {
            assert_eq!(frame.wire_len as usize, frame.bytes.len());
            assert!(frame.timestamp >= start && frame.flags.contains(Flags::CHECKSUM_VALID));
            frames.push(without_what_no_socket_says(frame.bytes.to_vec()));
        });
        let wire = on_the_wire(&mut wire, 3).into_iter().map(without_what_no_socket_says);
        assert_eq!(frames, wire.collect::<Vec<_>>(), "{listen}");
        assert_eq!(frames.len(), 3, "{listen}");
        let (ttl, tos) = match frames[0][0] >> 4 {
            4 => (frames[0][8], frames[0][1]),
            _ => (frames[0][7], frames[0][0] << 4 | frames[0][1] >> 4),
        };
        assert_eq!((ttl, tos), (7, 46 << 2), "{listen}");
    }
}

#[test]
fn other_groups_and_other_sources_do_not_come() {
    require_root!("other_groups_and_other_sources_do_not_come");
    let lab = Lab::new().unwrap();
    let group = |last: u8| at([232, 1, 1, last]);
    let mut port = open(&lab.right, group(1), |config| {
        // No interface: the one that the route says.
        config.source = Some(lab.left.ipv4().into());
    });
    // Somebody on this machine has joined the other groups, and from any source.
    let join = |last| {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.join_multicast_v4(&[232, 1, 1, last].into(), &lab.right.ipv4()).unwrap();
        socket
    };
    let others = lab.right.run(|| [join(1), join(2)]);
    let index = lab.left.index().unwrap();
    let second = "10.77.0.77".parse().unwrap();
    lab.left.links().unwrap().add_address(index, second, 24).unwrap();
    let from = |address: IpAddr| lab.left.run(|| std::net::UdpSocket::bind((address, 0))).unwrap();
    let (wanted, unwanted) = (from(lab.left.ipv4().into()), from(second));
    unwanted.send_to(b"other source", group(1)).unwrap();
    wanted.send_to(b"other group", group(2)).unwrap();
    wanted.send_to(b"ours", group(1)).unwrap();
    let mut payloads = Vec::new();
    collect(&mut port, 1, |frame| payloads.push(frame.bytes[28..].to_vec()));
    assert_eq!(payloads, [b"ours".to_vec()]);
    assert_eq!(take(&mut port, |_| {}), 0);
    drop(others);
}

#[test]
fn what_the_buffer_cannot_hold_is_counted() {
    require_root!("what_the_buffer_cannot_hold_is_counted");
    const COUNT: u64 = 5000;
    let lab = Lab::new().unwrap();
    let mut port = open(&lab.right, at(lab.right.ipv4()), |config| config.buffer_bytes = 100_000);
    let mut sender = sender(&lab.left, at(lab.right.ipv4()), |_| {});
    for _ in 0..COUNT / 50 {
        send(&mut sender, &[&[7; 100][..]; 50]);
    }
    let (mut ledger, deadline) = (Ledger::default(), Instant::now() + LIMIT);
    // The last of them arrive in a softirq that may come a little later.
    while ledger.received < COUNT && Instant::now() < deadline {
        take(&mut port, |_| ledger.delivered += 1);
        ledger.received = ledger.delivered + ledger.discarded.total();
        port.tick(&mut ledger).unwrap();
    }
    assert_eq!((ledger.received, ledger.difference()), (COUNT, 0));
    assert!(ledger.discarded[Reason::SocketDropped] > 0, "{ledger:?}");
    let drops = port.kernel_counters().remove(0);
    assert_eq!((drops.name.as_str(), drops.value), ("socket_drops", ledger.discarded.total()));
}

#[test]
fn after_quiesce_only_what_had_arrived_comes() {
    require_root!("after_quiesce_only_what_had_arrived_comes");
    let lab = Lab::new().unwrap();
    let mut port = open(&lab.right, at(lab.right.ipv4()), |_| {});
    let mut sender = sender(&lab.left, at(lab.right.ipv4()), |_| {});
    send(&mut sender, &[&b"before"[..]; 100]);
    assert_eq!(collect(&mut port, 40, |_| {}), 100);
    send(&mut sender, &[&b"before"[..]; 100]);
    // All of them are there.
    let deadline = Instant::now() + LIMIT;
    while lab.right.counters().unwrap().rx_packets < 200 && Instant::now() < deadline {
        std::thread::yield_now();
    }
    lab.wait_quiet().unwrap();
    port.quiesce().unwrap();
    send(&mut sender, &[&b"behind"[..]; 100]);
    lab.wait_quiet().unwrap();
    let seen = take(&mut port, |frame| assert_eq!(&frame.bytes[28..], b"before"));
    let mut ledger = Ledger::default();
    port.tick(&mut ledger).unwrap();
    assert_eq!((seen, ledger.received), (100, 0), "what came behind is none of ours");
}

#[test]
fn a_cut_datagram_says_how_long_it_was() {
    require_root!("a_cut_datagram_says_how_long_it_was");
    let lab = Lab::new().unwrap();
    let mut port = open(&lab.right, at(lab.right.ipv4()), |config| config.payload_bytes_max = 100);
    let mut sender = sender(&lab.left, at(lab.right.ipv4()), |_| {});
    // Fragments on the wire, one datagram at the socket.
    send(&mut sender, &[&[1; 100], &[2; 101], &[3; 9000]]);
    let mut lengths = Vec::new();
    collect(&mut port, 3, |frame| lengths.push((frame.bytes.len(), frame.wire_len)));
    assert_eq!(lengths, [(128, 128), (128, 129), (128, 9028)]);
}

#[test]
fn a_port_follows_its_interface() {
    require_root!("a_port_follows_its_interface");
    let lab = Lab::new().unwrap();
    let feeds = [at([239, 1, 1, 1]), at(lab.right.ipv4()), at([0xff15, 0, 0, 0, 0, 0, 0, 1])];
    for listen in feeds {
        lab.right.run(|| {
            let config = UdpConfig { interface: Some("right0".into()), ..UdpConfig::new(listen) };
            let mut port = UdpPort::open(&config).unwrap();
            let arrives = |port: &mut UdpPort| {
                let mut sender = sender(&lab.left, listen, |c| c.interface = Some("left0".into()));
                send(&mut sender, &[b"tick"]);
                collect(port, 1, |_| {})
            };
            assert_eq!(arrives(&mut port), 1, "{listen}");
            // A sender of ours that has the port when the socket is opened again.
            let other = SocketAddr::new(listen.ip(), 7);
            let ours = sender(&lab.right, other, |config| {
                (config.feed, config.source_port) = (listen, None);
                config.interface = Some("right0".into());
            });
            lab.delete_link().unwrap();
            lab.create_link().unwrap();
            let mut ledger = Ledger::default();
            let deadline = Instant::now() + LIMIT;
            while port.kernel_counters()[1].value == 0 {
                assert!(Instant::now() < deadline, "{listen}");
                port.tick(&mut ledger).unwrap();
            }
            let notices: Vec<String> = std::iter::from_fn(|| port.take_notice()).collect();
            assert!(notices.iter().any(|text| text.contains("receiving again")), "{notices:?}");
            assert_eq!(arrives(&mut port), 1, "{listen}");
            drop(ours);
        });
    }
}

#[test]
fn without_privileges_all_of_it_works() {
    require_root!("without_privileges_all_of_it_works");
    let lab = Lab::new().unwrap();
    let set = rustix::thread::CapabilitySet::empty();
    let none = rustix::thread::CapabilitySets { effective: set, permitted: set, inheritable: set };
    let group = at([239, 1, 1, 1]);
    let mut port = lab.right.run(|| {
        rustix::thread::set_capabilities(None, none).unwrap();
        let mut config = UdpConfig::new(group);
        (config.interface, config.buffer_bytes) = (Some("right0".into()), 1 << 30);
        UdpPort::open(&config).unwrap()
    });
    let mode = port.mode().to_string();
    assert!(mode.starts_with("udp (recvmmsg of 64, "), "{mode}");
    assert!(mode.contains("net.core.rmem_max=1073741824"), "{mode}");
    lab.left.run(|| {
        rustix::thread::set_capabilities(None, none).unwrap();
        let config = tickwire_capture::udp::SenderConfig::new(group, group);
        let mut sender = tickwire_capture::udp::UdpSender::open(&config).unwrap();
        send(&mut sender, &[b"tick"]);
    });
    assert_eq!(collect(&mut port, 1, |_| {}), 1);
}

#[test]
fn what_comes_in_elsewhere_is_not_of_the_feed() {
    require_root!("what_comes_in_elsewhere_is_not_of_the_feed");
    let lab = Lab::new().unwrap();
    let mut port = open(&lab.right, at([0, 0, 0, 0]), |config| {
        config.interface = Some("right0".into());
    });
    let mut here = sender(&lab.right, at([127, 0, 0, 1]), |_| {});
    let mut there = sender(&lab.left, at(lab.right.ipv4()), |_| {});
    send(&mut here, &[b"over the loopback"]);
    send(&mut there, &[b"tick"]);
    let mut payloads = Vec::new();
    collect(&mut port, 1, |frame| payloads.push(frame.bytes[28..].to_vec()));
    assert_eq!(payloads, [b"tick"]);
    let counters = port.kernel_counters();
    assert_eq!((counters[2].name.as_str(), counters[2].value), ("other_interface", 1));
}

#[test]
fn the_batch_says_what_it_is() {
    require_root!("the_batch_says_what_it_is");
    let lab = Lab::new().unwrap();
    let mut port = open(&lab.right, at(lab.right.ipv4()), |_| {});
    let mut batch = Batch::new();
    port.receive(&mut batch).unwrap();
    assert_eq!((batch.link, batch.len()), (LinkType::RAW, 0));
    let refused = port.transmit(&[b"frame"]).unwrap_err().to_string();
    assert!(refused.contains("UdpSender"), "{refused}");
}
