//! Receiving: order, content, the account under overload and stalls.

use crate::support::*;
use std::net::UdpSocket;
use std::num::NonZeroU32;
use std::time::Duration;
use tickwire_capture::Port;
use tickwire_capture::af_xdp::{AfXdp, AfXdpConfig, Attach, CopyMode, Selection, UdpDestination};
use tickwire_filter::ebpf::Sampling;
use tickwire_frame::{Batch, Ledger, Reason};
use tickwire_lab::{LabConfig, Offload, require_root};

#[test]
fn frames_arrive_whole_and_in_order() {
    require_root!("frames_arrive_whole_and_in_order");
    in_lab(|lab| {
        let mut port = open(&lab.right, |_| {});
        let total = port.frame_count().total();
        let sender = Raw::new(&lab.left);
        let mut expected = 0;
        for round in 0..40 {
            for n in 0..100 {
                let number_now = round * 100 + n;
                sender.send(&numbered(number_now, 60 + number_now as usize % 1400)).unwrap();
            }
            let seen = collect(&mut port, 100, |frame| {
                assert_eq!(*frame.bytes, numbered(expected, 60 + expected as usize % 1400));
                assert_eq!(frame.wire_len as usize, frame.bytes.len());
                assert!(frame.timestamp.seconds() > 1_700_000_000);
                expected += 1;
            });
            assert_eq!(seen, 100);
            assert_eq!(port.frame_count().total(), total);
        }
        let mut ledger = Ledger::default();
        finish(&mut port, &mut ledger);
        assert_eq!(ledger.discarded.total(), 0);
    });
}

/// X3: zero-copy is not there on veth; the mode says copy and why. Generic says so too.
#[test]
fn the_mode_in_force_is_said() {
    require_root!("the_mode_in_force_is_said");
    in_lab(|lab| {
        let port = open(&lab.right, |_| {});
        let mode = port.mode();
        assert_eq!((mode.port, mode.mode.as_str()), ("af_xdp", "copy"));
        assert!(mode.why.contains("no zero-copy") && mode.why.contains("the host"), "{mode}");
        drop(port);
        let error = open_error(&lab.right, |config| config.copy = CopyMode::ZeroCopy);
        assert!(error.contains("zero-copy") && error.contains("queue 0 of right0"), "{error}");

        let mut port = open(&lab.right, |config| config.attach = Attach::Generic);
        assert_eq!(port.mode().mode, "generic");
        Raw::new(&lab.left).send_numbered(5, 1);
        assert_eq!(collect(&mut port, 1, |frame| assert_eq!(number(frame.bytes), 5)), 1);
    });
}

/// E8a: no frame in the fill ring. The loss shows in two counters; the ledger has it once.
/// E8b: the RX ring full.
/// E8d: read + rx_ring_full + rx_dropped = sent, exactly.
#[test]
fn a_flood_is_accounted_for_to_the_last_frame() {
    require_root!("a_flood_is_accounted_for_to_the_last_frame");
    in_lab(|lab| {
        for rx_ring in [64, 4096] {
            const FRAMES: u32 = 300_000;
            let mut port = open(&lab.right, |config| config.rx_ring = rx_ring);
            let mut ledger = Ledger::default();
            std::thread::scope(|scope| {
                let sender = scope.spawn(|| flood(&lab.left, &numbered(1, 90), FRAMES));
                while !sender.is_finished() {
                    // Slowly, so that the rings get full.
                    let mut batch = Batch::new();
                    port.receive(&mut batch).unwrap();
                    let seen = batch.len() as u64;
                    count_in(&mut ledger, seen);
                    std::thread::sleep(Duration::from_micros(200));
                    port.tick(&mut ledger).unwrap();
                }
            });
            finish(&mut port, &mut ledger);
            assert_eq!(ledger.received, u64::from(FRAMES), "{ledger:?}");
            let lost =
                ledger.discarded[Reason::XskRxDropped] + ledger.discarded[Reason::XskRxRingFull];
            assert!(lost > 0 && ledger.delivered > 0, "{ledger:?}");
            assert_eq!(ledger.discarded.total(), lost, "nothing is counted twice");
            // The driver sees the same losses once more: its counter is shown, never added.
            assert_eq!(counter(&mut port, "rx_queue_0_drops"), lost);
        }
    });
}

/// E18: nobody reads for a while; what the ring holds is kept, the rest is counted.
#[test]
fn a_stall_is_counted_exactly() {
    require_root!("a_stall_is_counted_exactly");
    in_lab(|lab| {
        let mut port = open(&lab.right, |config| config.rx_ring = 2048);
        Raw::new(&lab.left).send_numbered(0, 5000);
        let mut ledger = Ledger::default();
        let mut expected = 0;
        let seen = take(&mut port, |frame| {
            assert_eq!(number(frame.bytes), expected);
            expected += 1;
        });
        count_in(&mut ledger, seen as u64);
        assert_eq!(seen, 2048, "the oldest are kept");
        finish(&mut port, &mut ledger);
        assert_eq!(ledger.discarded[Reason::XskRxRingFull], 5000 - 2048);
        assert_eq!(ledger.received, 5000);
    });
}

/// Only what was asked for is taken; the host keeps the rest.
#[test]
fn a_selection_leaves_the_rest_to_the_host() {
    require_root!("a_selection_leaves_the_rest_to_the_host");
    in_lab(|lab| {
        let ours = UdpDestination { address: Some(lab.right.ipv4().into()), port: Some(5000) };
        let host = UdpSocket::bind((lab.right.ipv4(), 5001)).unwrap();
        host.set_read_timeout(Some(LIMIT)).unwrap();
        let mut port = open(&lab.right, |config| config.selection = Selection::Udp(vec![ours]));
        assert!(!port.mode().why.contains("host"), "{}", port.mode());
        let sender = lab.left.run(|| UdpSocket::bind((lab.left.ipv4(), 0))).unwrap();
        for text in [b"one", b"two"] {
            sender.send_to(text, (lab.right.ipv4(), 5000)).unwrap();
            sender.send_to(text, (lab.right.ipv4(), 5001)).unwrap();
        }
        let seen = collect(&mut port, 2, |frame| {
            assert_eq!(frame.bytes[36..38], 5000u16.to_be_bytes());
        });
        assert_eq!(seen, 2);
        let mut buffer = [0; 8];
        assert_eq!(host.recv(&mut buffer).unwrap(), 3);
        assert_eq!(host.recv(&mut buffer).unwrap(), 3);
        assert_eq!(&buffer[..3], b"two");
    });
}

/// A filter runs in front of the socket; what it rejects goes to the host, and all is counted.
#[test]
fn a_filter_leaves_the_rest_to_the_host() {
    require_root!("a_filter_leaves_the_rest_to_the_host");
    in_lab(|lab| {
        let selection = filter("ether proto 0x88b5 and ether[21] & 3 = 0", Sampling::All);
        let mut port = open(&lab.right, |config| config.selection = selection);
        let (sender, host) = (Raw::new(&lab.left), Raw::new(&lab.right));
        sender.send_numbered(0, 1000);
        let mut next = 0;
        let seen = collect(&mut port, 250, |frame| {
            assert_eq!(number(frame.bytes), next);
            next += 4;
        });
        assert_eq!(seen, 250);
        assert_eq!(host.take().len(), 750);
        assert_eq!(counter(&mut port, "xdp_selected"), 250);
        assert_eq!(counter(&mut port, "xdp_not_selected"), 750);
        let mut ledger = Ledger::default();
        port.tick(&mut ledger).unwrap();
        assert_eq!(ledger.discarded.total(), 0, "what is not wanted is no loss");
    });
}

/// Every frame is selected, not selected, or left out of the sample.
#[test]
fn a_sample_accounts_for_every_frame() {
    require_root!("a_sample_accounts_for_every_frame");
    in_lab(|lab| {
        let one_in = NonZeroU32::new(4).unwrap();
        let selection = filter("ether[21] & 1 = 0", Sampling::Packets(one_in));
        let mut port = open(&lab.right, |config| config.selection = selection);
        let sender = Raw::new(&lab.left);
        sender.send_numbered(0, 4000);
        std::thread::sleep(Duration::from_millis(50));
        let counts = ["xdp_selected", "xdp_not_sampled", "xdp_not_selected"];
        let [taken, skipped, rejected] = counts.map(|name| counter(&mut port, name));
        assert_eq!((taken + skipped, rejected), (2000, 2000));
        // 500, with a standard deviation of 19.
        assert!((350..650).contains(&taken), "{taken}");
        assert_eq!(collect(&mut port, taken as usize, |_| {}), taken as usize);
    });
}

#[test]
fn busy_polling_and_generic_mode_receive_too() {
    require_root!("busy_polling_and_generic_mode_receive_too");
    in_lab(|lab| {
        for attach in [Attach::Native, Attach::Generic] {
            let mut port = open(&lab.right, |config| {
                config.attach = attach;
                config.busy_poll_usecs = Some(20);
            });
            assert!(!port.mode().why.contains("busy polling"), "{}", port.mode());
            Raw::new(&lab.left).send_numbered(0, 500);
            assert_eq!(collect(&mut port, 500, |_| {}), 500);
            let mut ledger = Ledger::default();
            finish(&mut port, &mut ledger);
            port.quiesce().unwrap();
            port.tick(&mut ledger).unwrap();
            assert_eq!(ledger.received, 0, "a second quiesce changes nothing: {ledger:?}");
        }
    });
}

/// X1: on veth a sender leaves the UDP checksum to hardware that is not there. The lab switches
/// that off, so that what we receive is what would be on a wire.
#[test]
fn checksums_are_whole_unless_offloaded() {
    require_root!("checksums_are_whole_unless_offloaded");
    in_lab(|lab| {
        let mut port = open(&lab.right, |_| {});
        let sender = lab.left.run(|| UdpSocket::bind((lab.left.ipv4(), 0))).unwrap();
        for offloaded in [false, true] {
            lab.left.set_offload(Offload::TransmitChecksum, offloaded).unwrap();
            sender.send_to(b"checksum", (lab.right.ipv4(), 5000)).unwrap();
            let seen = collect(&mut port, 1, |frame| {
                assert_eq!(udp_checksum(&frame.bytes[14..]) == 0, !offloaded);
            });
            assert_eq!(seen, 1);
        }
    });
}

/// The ones' complement sum over pseudo header and UDP of an IPv4 packet without options: 0 when
/// the checksum in it is right (RFC 768).
fn udp_checksum(packet: &[u8]) -> u16 {
    let udp_len = u32::from(u16::from_be_bytes([packet[24], packet[25]]));
    let words = packet[12..].chunks(2).take((8 + udp_len as usize).div_ceil(2));
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    let mut sum = words.map(word).sum::<u32>() + 17 + udp_len;
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !(sum as u16)
}

/// After `quiesce` the host has its traffic again; after closing too.
#[test]
fn the_host_gets_its_traffic_back() {
    require_root!("the_host_gets_its_traffic_back");
    in_lab(|lab| {
        let host = Raw::new(&lab.right);
        let sender = Raw::new(&lab.left);
        let mut port = open(&lab.right, |_| {});
        sender.send_numbered(1, 1);
        assert_eq!(collect(&mut port, 1, |_| {}), 1);
        assert!(host.take().is_empty(), "we have taken it");
        port.quiesce().unwrap();
        sender.send_numbered(2, 1);
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(take(&mut port, |_| {}), 0);
        drop(port);
        sender.send_numbered(3, 1);
        std::thread::sleep(Duration::from_millis(20));
        let numbers: Vec<u64> = host.take().iter().map(|frame| number(frame)).collect();
        assert_eq!(numbers, [2, 3]);
    });
}

/// X2: equal queue counts; a port on each, none sees another's frames.
#[test]
fn every_queue_has_its_port() {
    require_root!("every_queue_has_its_port");
    let config = LabConfig { queues: 4, ipv6: false, ..LabConfig::default() };
    in_lab_as(config, |lab| {
        let count = tickwire_capture::af_xdp::queue_count(lab.right.name());
        assert_eq!(count, 4);
        let queues: Vec<u32> = (0..count).collect();
        let config = AfXdpConfig::new(lab.right.name());
        let mut ports = AfXdp::open(&config, &queues).unwrap();
        let error = AfXdp::open(&config, &[9]).unwrap_err().to_string();
        assert!(error.contains("attached already"), "{error}");
        let sender = Raw::new(&lab.left);
        sender.send_numbered(0, 1000);
        std::thread::sleep(Duration::from_millis(20));
        let seen: Vec<usize> = ports.iter_mut().map(|port| take(port, |_| {})).collect();
        assert_eq!(seen.iter().sum::<usize>(), 1000);
        // The port of the flow's queue goes: the queue is the host's again, the others stay.
        let host = Raw::new(&lab.right);
        let busy = seen.iter().position(|&count| count == 1000).unwrap();
        assert_eq!(ports.remove(busy).queue(), busy as u32);
        sender.send_numbered(0, 10);
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(ports.iter_mut().map(|port| take(port, |_| {})).sum::<usize>(), 0);
        assert_eq!(host.take().len(), 10);
    });
}
