use crate::support::*;
use std::collections::HashMap;
use std::net::UdpSocket;
use tickwire_capture::af_packet::{AfPacket, AfPacketConfig, Fanout};
use tickwire_capture::{Port, interfaces};
use tickwire_frame::{Flags, Frame, Ledger, Reason, Timestamp};
use tickwire_lab::{Lab, Links, Namespace, require_root};

#[test]
fn numbered_frames_come_all_and_in_order() {
    require_root!("numbered_frames_come_all_and_in_order");
    const FRAMES: u64 = 30_000;
    let lab = quiet_lab();
    let mut port = open(&lab.right, |_| {});
    let sender = Sender::new(&lab.left);
    let (mut next, mut time) = (0, Timestamp::now());
    let mut check = |frame: Frame<'_>| {
        assert_eq!(number(frame.bytes), next);
        assert_eq!(frame.bytes.len(), 60 + next as usize % 1400);
        assert_eq!(frame.wire_len as usize, frame.bytes.len());
        assert!(frame.timestamp >= time && !frame.flags.contains(Flags::OUTGOING));
        (next, time) = (next + 1, frame.timestamp);
    };
    let mut seen = 0;
    for n in 0..FRAMES {
        sender.send(&numbered(n, 60 + n as usize % 1400)).unwrap();
        if n % 1000 == 0 {
            seen += take(&mut port, &mut check);
        }
    }
    seen += collect(&mut port, FRAMES as usize - seen, &mut check);
    assert_eq!(seen as u64, FRAMES);
    assert!(time <= Timestamp::now());
    assert_eq!(counter(&mut port, "tp_packets"), FRAMES);
}

#[test]
fn vlan_tags_are_in_the_frame_again() {
    require_root!("vlan_tags_are_in_the_frame_again");
    let lab = quiet_lab();
    let mut port = open(&lab.right, |_| {});
    let sender = Sender::new(&lab.left);
    let with_tags = |tags: &[u8]| {
        let plain = numbered(7, 100);
        [&plain[..12], tags, &plain[12..]].concat()
    };
    let frames = [
        with_tags(&[]),
        with_tags(&[0x81, 0x00, 0x60, 0x05]),
        with_tags(&[0x88, 0xa8, 0x00, 0x64, 0x81, 0x00, 0x0f, 0xff]),
        with_tags(&[0x81, 0x00, 0x00, 0x01, 0x81, 0x00, 0x00, 0x02, 0x81, 0x00, 0x00, 0x03]),
    ];
    frames.iter().for_each(|frame| sender.send(frame).unwrap());
    let mut seen = Vec::new();
    collect(&mut port, frames.len(), |frame| {
        assert_eq!(frame.wire_len as usize, frame.bytes.len());
        seen.push(frame.bytes.to_vec());
    });
    assert_eq!(seen, frames);
}

#[test]
fn two_workers_share_every_frame() {
    require_root!("two_workers_share_every_frame");
    const FRAMES: u64 = 20_000;
    const FLOWS: u64 = 50;
    let lab = quiet_lab();
    let mut ports = open_workers(&lab.right, 2, |_| {});
    let sender = Sender::new(&lab.left);
    for n in 0..FRAMES {
        sender.send(&udp((n % FLOWS) as u16, n)).unwrap();
    }
    let mut ledger = Ledger::default();
    let mut shares = Vec::new();
    let mut worker_of = HashMap::new();
    for (worker, port) in ports.iter_mut().enumerate() {
        let before = ledger.received;
        let mut last = HashMap::new();
        finish(port, &mut ledger, |frame| {
            let flow = u16::from_be_bytes(frame.bytes[34..36].try_into().unwrap());
            let n = u64::from_be_bytes(frame.bytes[42..50].try_into().unwrap());
            assert_eq!(*worker_of.entry(flow).or_insert(worker), worker, "a flow has one worker");
            assert!(last.insert(flow, n).is_none_or(|earlier| earlier + FLOWS == n));
        });
        shares.push(ledger.received - before);
    }
    assert_eq!(shares.iter().sum::<u64>(), FRAMES);
    assert!(shares.iter().all(|&share| share > 0), "{shares:?}");
    assert_eq!(ports[0].mode().to_string(), "af_packet (tpacket_v3, fanout by hash over 2)");
}

#[test]
fn round_robin_deals_evenly() {
    require_root!("round_robin_deals_evenly");
    let lab = quiet_lab();
    let mut ports = open_workers(&lab.right, 3, |config| config.fanout = Fanout::RoundRobin);
    let sender = Sender::new(&lab.left);
    for n in 0..300 {
        sender.send(&numbered(n, 60)).unwrap();
    }
    for port in &mut ports {
        let mut ledger = Ledger::default();
        finish(port, &mut ledger, |_| {});
        assert_eq!(ledger.received, 100);
    }
}

/// The ring is far too small, and nobody reads while the flood lasts.
#[test]
fn overload_is_counted_to_the_last_frame() {
    require_root!("overload_is_counted_to_the_last_frame");
    const FRAMES: u64 = 20_000;
    let lab = quiet_lab();
    let mut port = open(&lab.right, |config| (config.block_bytes, config.blocks) = (1 << 14, 4));
    let sender = Sender::new(&lab.left);
    let mut ledger = Ledger::default();
    let mut last = None;
    for n in 0..FRAMES {
        sender.send(&numbered(n, 200)).unwrap();
        if n % 5000 == 0 {
            // Thaws the ring, so that it fills and freezes more than once.
            let seen = take(&mut port, |frame| last = Some(number(frame.bytes))) as u64;
            ledger.received += seen;
            ledger.delivered += seen;
            port.tick(&mut ledger).unwrap();
        }
    }
    finish(&mut port, &mut ledger, |frame| {
        assert!(last.is_none_or(|earlier| earlier < number(frame.bytes)));
        last = Some(number(frame.bytes));
    });
    assert_eq!(ledger.received, FRAMES);
    assert!(ledger.discarded[Reason::PacketDropped] > 0 && ledger.delivered > 0, "{ledger:?}");
    assert_eq!(counter(&mut port, "tp_drops"), ledger.discarded[Reason::PacketDropped]);
    assert_eq!(counter(&mut port, "tp_packets"), FRAMES, "tp_packets includes tp_drops");
    assert!(counter(&mut port, "tp_freeze_q_cnt") > 0);
}

/// Reading the statistics clears them: whoever reads, the sums must not suffer.
#[test]
fn looking_at_the_counters_loses_nothing() {
    require_root!("looking_at_the_counters_loses_nothing");
    let lab = quiet_lab();
    let mut port = open(&lab.right, |config| (config.block_bytes, config.blocks) = (4096, 1));
    let sender = Sender::new(&lab.left);
    let mut ledger = Ledger::default();
    for n in 0..500 {
        sender.send(&numbered(n, 60)).unwrap();
        if n % 50 == 0 {
            counter(&mut port, "tp_drops");
        }
        if n % 120 == 0 {
            port.tick(&mut ledger).unwrap();
        }
    }
    finish(&mut port, &mut ledger, |_| {});
    assert_eq!(ledger.received, 500);
    assert_eq!(counter(&mut port, "tp_packets"), 500);
}

#[test]
fn quiesce_keeps_what_has_come_and_refuses_what_comes() {
    require_root!("quiesce_keeps_what_has_come_and_refuses_what_comes");
    let lab = quiet_lab();
    // The block would stay open for a second.
    let mut port = open(&lab.right, |config| config.retire_ms = 300);
    let sender = Sender::new(&lab.left);
    for n in 0..10 {
        sender.send(&numbered(n, 60)).unwrap();
    }
    assert_eq!(take(&mut port, |_| {}), 0, "the kernel still fills the block");
    port.quiesce().unwrap();
    for n in 10..20 {
        sender.send(&numbered(n, 60)).unwrap();
    }
    let mut seen = Vec::new();
    take(&mut port, |frame| seen.push(number(frame.bytes)));
    assert_eq!(seen, (0..10).collect::<Vec<_>>());
    std::thread::sleep(std::time::Duration::from_millis(350));
    assert_eq!(take(&mut port, |_| {}), 0);
    assert_eq!(counter(&mut port, "tp_packets"), 10);
}

#[test]
fn what_is_not_drained_is_named() {
    require_root!("what_is_not_drained_is_named");
    let lab = quiet_lab();
    let mut port = open(&lab.right, |_| {});
    let sender = Sender::new(&lab.left);
    for n in 0..10 {
        sender.send(&numbered(n, 60)).unwrap();
    }
    port.quiesce().unwrap();
    let mut ledger = Ledger::default();
    port.tick(&mut ledger).unwrap();
    assert_eq!((ledger.received, ledger.discarded[Reason::Stopped]), (10, 10));
    port.tick(&mut ledger).unwrap();
    assert_eq!(ledger.received, 10, "only once");
    assert_eq!(take(&mut port, |_| {}), 0, "and not given out either");
}

#[test]
fn frames_are_cut_to_the_snap_length() {
    require_root!("frames_are_cut_to_the_snap_length");
    let lab = quiet_lab();
    let mut port = open(&lab.right, |config| config.snap_len = 96);
    let sender = Sender::new(&lab.left);
    let mut tagged = numbered(0, 1000);
    tagged.splice(12..12, [0x81, 0, 0, 9]);
    for frame in [&numbered(0, 1000), &tagged, &numbered(0, 60)] {
        sender.send(frame).unwrap();
    }
    let mut lengths = Vec::new();
    collect(&mut port, 3, |frame| lengths.push((frame.bytes.len(), frame.wire_len)));
    assert_eq!(lengths, [(96, 1000), (96, 1004), (60, 60)]);
}

#[test]
fn what_we_send_is_marked_or_left_out() {
    require_root!("what_we_send_is_marked_or_left_out");
    let lab = quiet_lab();
    let mut both = open(&lab.left, |_| {});
    let mut incoming = open(&lab.left, |config| config.outgoing = false);
    Sender::new(&lab.left).send(&numbered(1, 60)).unwrap();
    Sender::new(&lab.right).send(&numbered(2, 60)).unwrap();
    let mut seen = Vec::new();
    collect(&mut both, 2, |frame| seen.push((number(frame.bytes), frame.flags)));
    assert_eq!(seen, [(1, Flags::OUTGOING), (2, Flags::NONE)]);
    let mut ledger = Ledger::default();
    finish(&mut incoming, &mut ledger, |frame| assert_eq!(number(frame.bytes), 2));
    assert_eq!(ledger.received, 1);
}

/// In a fanout group the option of the socket has no effect: it is a flag of the group.
#[test]
fn what_we_send_is_left_out_by_several_workers_too() {
    require_root!("what_we_send_is_left_out_by_several_workers_too");
    let lab = quiet_lab();
    let mut ports = open_workers(&lab.left, 2, |config| config.outgoing = false);
    Sender::new(&lab.left).send(&numbered(1, 60)).unwrap();
    Sender::new(&lab.right).send(&numbered(2, 60)).unwrap();
    let mut ledger = Ledger::default();
    for port in &mut ports {
        finish(port, &mut ledger, |frame| assert_eq!(number(frame.bytes), 2));
    }
    assert_eq!(ledger.received, 1);
}

#[test]
fn loopback_shows_a_datagram_once_and_its_partial_checksum() {
    require_root!("loopback_shows_a_datagram_once_and_its_partial_checksum");
    let namespace = Namespace::new().unwrap();
    namespace.run(|| {
        Links::open().unwrap().set_up("lo", true).unwrap();
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut port = AfPacket::open(&AfPacketConfig::new("lo"), 1).unwrap().remove(0);
        receiver.send_to(b"once", receiver.local_addr().unwrap()).unwrap();
        let mut ledger = Ledger::default();
        finish(&mut port, &mut ledger, |frame| {
            assert_eq!(&frame.bytes[frame.bytes.len() - 4..], b"once");
            assert!(frame.flags.contains(Flags::CHECKSUM_PARTIAL), "{:?}", frame.flags);
        });
        assert_eq!(ledger.received, 1);
    });
}

#[test]
fn a_wrong_name_or_ring_is_refused_with_a_cure() {
    require_root!("a_wrong_name_or_ring_is_refused_with_a_cure");
    let lab = quiet_lab();
    let refuse = |change: fn(&mut AfPacketConfig)| {
        let mut config = AfPacketConfig::new(lab.right.name());
        change(&mut config);
        lab.right.run(|| AfPacket::open(&config, 1)).unwrap_err().to_string()
    };
    let no_such = refuse(|config| config.interface = "eth7".into());
    assert!(no_such.contains("eth7") && no_such.contains("there are: lo, right0"), "{no_such}");
    let too_long = refuse(|config| config.interface = "a name longer than fits".into());
    assert!(too_long.contains("a name longer"), "{too_long}");
    let odd = refuse(|config| config.block_bytes = 5000);
    assert!(odd.contains("5000 bytes") && odd.contains("power of two"), "{odd}");
    let none = refuse(|config| config.blocks = 0);
    assert!(none.contains("0 blocks"), "{none}");
}

#[test]
fn promiscuous_mode_is_on_request_and_ends_with_the_port() {
    require_root!("promiscuous_mode_is_on_request_and_ends_with_the_port");
    let lab = quiet_lab();
    let sockets = || lab.right.run(|| interfaces::find("right0").unwrap().promiscuous);
    let modest = open(&lab.right, |_| {});
    assert_eq!(sockets(), 0);
    let ports = open_workers(&lab.right, 2, |config| config.promiscuous = true);
    assert_eq!(sockets(), 2);
    drop(ports);
    assert_eq!(sockets(), 0);
    drop(modest);
}

#[test]
fn interfaces_of_the_namespace_are_listed() {
    require_root!("interfaces_of_the_namespace_are_listed");
    let lab = Lab::new().unwrap();
    let all = lab.right.run(|| interfaces::list().unwrap());
    let names: Vec<&str> = all.iter().map(|interface| interface.name.as_str()).collect();
    assert_eq!(names, ["lo", "right0"]);
    let right = &all[1];
    assert_eq!((right.index, right.mtu), (lab.right.index().unwrap(), 1500));
    assert_eq!((right.kind.as_str(), right.mac.as_slice()), ("veth", &lab.right.mac()[..]));
    assert!(right.is_running() && right.is_used_by_host() && !right.is_loopback());
    assert!(right.addresses.contains(&(lab.right.ipv4().into(), 24)), "{:?}", right.addresses);
    assert!(right.addresses.contains(&(lab.right.ipv6().into(), 64)), "{:?}", right.addresses);
}
