//! What leaves, what does not, and that no subscriber costs another one anything.

use crate::support::{LIMIT, PORT, at, collect, open, send, sender, take, try_send};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};
use tickwire_capture::Port;
use tickwire_capture::af_packet::{AfPacket, AfPacketConfig};
use tickwire_frame::Reason;
use tickwire_lab::{Lab, require_root};

#[test]
fn sixteen_dead_subscribers_cost_a_live_one_nothing() {
    require_root!("sixteen_dead_subscribers_cost_a_live_one_nothing");
    const ROUNDS: usize = 500;
    let lab = Lab::new().unwrap();
    let mut port = open(&lab.right, at(lab.right.ipv4()), |_| {});
    // No ARP answer; then a closed port; then a receiver that never reads.
    let mut subscribers: Vec<SocketAddr> =
        (100..116).map(|last| at(IpAddr::from([10, 77, 0, last]))).collect();
    subscribers.push(SocketAddr::new(lab.right.ipv4().into(), 9));
    let stopped = lab.right.run(|| UdpSocket::bind((lab.right.ipv4(), 0))).unwrap();
    subscribers.push(stopped.local_addr().unwrap());
    let mut dead: Vec<_> =
        subscribers.into_iter().map(|to| sender(&lab.left, to, |_| {})).collect();
    let mut live = sender(&lab.left, at(lab.right.ipv4()), |_| {});
    let (mut seen, mut refused) = (0, 0);
    for _ in 0..ROUNDS {
        for subscriber in &mut dead {
            let lost = try_send(subscriber, &[&[7; 200][..]; 8]);
            refused += lost.iter().map(|(_, count)| count).sum::<u64>();
        }
        send(&mut live, &[&[7; 200][..]; 8]);
        seen += take(&mut port, |_| {});
    }
    seen += collect(&mut port, 8 * ROUNDS - seen, |_| {});
    assert_eq!(seen, 8 * ROUNDS);
    println!("{refused} refused to the dead");
}

#[test]
fn a_full_send_buffer_has_a_name() {
    require_root!("a_full_send_buffer_has_a_name");
    let lab = Lab::new().unwrap();
    let dead = at(IpAddr::from([10, 77, 0, 100]));
    let mut sender = sender(&lab.left, dead, |config| config.buffer_bytes = 1);
    let lost = try_send(&mut sender, &[&[7; 1000][..]; 64]);
    assert!(matches!(lost[..], [(Reason::TxRingFull, 1..=63)]), "{lost:?}");
}

#[test]
fn routes_that_go_have_a_name() {
    require_root!("routes_that_go_have_a_name");
    let lab = Lab::new().unwrap();
    for destination in [at(lab.right.ipv4()), at(lab.right.ipv6())] {
        let mut sender = sender(&lab.left, destination, |_| {});
        send(&mut sender, &[b"before"]);
        lab.left.set_up(false).unwrap();
        let lost = try_send(&mut sender, &[&b"down"[..]; 100]);
        let count: u64 = lost.iter().map(|(_, count)| count).sum();
        let named = |reason| matches!(reason, Reason::NoRoute | Reason::LinkDown);
        assert!(count == 100 && lost.iter().all(|(reason, _)| named(*reason)), "{lost:?}");
        lab.left.set_up(true).unwrap();
        lab.wait_running().unwrap();
        lab.delete_link().unwrap();
        lab.create_link().unwrap();
    }
}

#[test]
fn the_wire_shows_checksums_fragments_and_the_source_port() {
    require_root!("the_wire_shows_checksums_fragments_and_the_source_port");
    let lab = Lab::new().unwrap();
    let wire = AfPacketConfig { outgoing: false, ..AfPacketConfig::new("right0") };
    let mut wire = lab.right.run(|| AfPacket::open(&wire, 1)).unwrap().remove(0);
    let mut next = |count: usize| {
        let (mut frames, deadline) = (Vec::new(), Instant::now() + LIMIT);
        while frames.len() < count && Instant::now() < deadline {
            take(&mut wire, |frame| {
                if frame.bytes[12..14] == [8, 0] && frame.bytes[23] == 17 {
                    frames.push(frame.bytes[14..].to_vec());
                }
            });
            wire.wait(Duration::from_millis(10)).unwrap();
        }
        frames
    };
    let to = SocketAddr::new(lab.right.ipv4().into(), 6000);
    for (checksum, feed) in [(true, at([239, 1, 1, 1])), (false, at([0, 0, 0, 0]))] {
        let mut sender = sender(&lab.left, to, |config| {
            (config.checksum, config.feed, config.source_port) = (checksum, feed, None);
        });
        assert_eq!(sender.source(), at(lab.left.ipv4()));
        send(&mut sender, &[b"tick"]);
        let frame = next(1).remove(0);
        assert_eq!(frame[20..24], [PORT.to_be_bytes(), 6000u16.to_be_bytes()].concat());
        assert_eq!(frame[26..28] != [0, 0], checksum);
        // No "don't fragment", and 4000 bytes in three pieces.
        assert_eq!(frame[6] & 0x40, 0);
        send(&mut sender, &[&[7; 4000]]);
        let offsets: Vec<u16> =
            next(3).iter().map(|f| u16::from_be_bytes([f[6], f[7]]) & 0x1fff).collect();
        assert_eq!(offsets, [0, 185, 370]);
    }
}
