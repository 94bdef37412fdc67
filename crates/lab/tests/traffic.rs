//! Senders and receivers together: every packet is checked by its number, every sum is exact.

use std::time::Duration;
use tickwire_lab::{
    CheckReport, Checker, DropCounter, End, Lab, LabConfig, LabError, Numbered, Offload, Schedule,
    SenderReport, UdpReceiver, require_root, send_live, send_packet, send_udp,
};

const WAIT: Duration = Duration::from_secs(5);

type Send = fn(&End, &Numbered, &Schedule) -> Result<SenderReport, LabError>;

fn quiet_lab() -> Lab {
    Lab::veth(LabConfig { ipv6: false, ..LabConfig::default() }).unwrap()
}

/// Sends to a checking UDP socket.
fn exchange(lab: &Lab, send: Send, packets: &Numbered, schedule: &Schedule) -> CheckReport {
    let receiver = UdpReceiver::bind(&lab.right, packets.addresses.1, packets.port).unwrap();
    let mut checker = Checker::new(schedule.count);
    let (sent, report) = std::thread::scope(|scope| {
        let sender = scope.spawn(|| send(&lab.left, packets, schedule).unwrap());
        let report = receiver.receive(&mut checker, schedule.count, WAIT).unwrap();
        (sender.join().unwrap(), report)
    });
    assert_eq!(sent.difference(), 0, "{sent}");
    assert_eq!((sent.offered, sent.sent), (schedule.count, schedule.count), "{sent}");
    assert_eq!(receiver.drops().unwrap(), 0);
    report
}

#[test]
fn every_sender_delivers_every_number_in_order() {
    require_root!("every_sender_delivers_every_number_in_order");
    for send in [send_udp as Send, send_packet, send_live] {
        let lab = Lab::new().unwrap();
        lab.right.set_offload(Offload::Gro, true).unwrap();
        for packets in [
            Numbered { flows: 4, ..Numbered::between(&lab.left, &lab.right) },
            Numbered { frame_bytes: 1514, ..Numbered::between_v6(&lab.left, &lab.right) },
        ] {
            let report = exchange(&lab, send, &packets, &Schedule::paced(5000, 20_000.0));
            assert!(report.is_perfect(), "{report}");
            assert_eq!((report.first, report.last), (0, 4999));
        }
    }
}

#[test]
fn tagged_and_jumbo_frames_reach_the_wire() {
    require_root!("tagged_and_jumbo_frames_reach_the_wire");
    let lab = Lab::veth(LabConfig { mtu: 9000, ipv6: false, ..LabConfig::default() }).unwrap();
    let plain = Numbered::between(&lab.left, &lab.right);
    for packets in [
        Numbered { vlans: vec![100, 200], flows: 9, ..plain.clone() },
        Numbered { frame_bytes: 64, ..plain.clone() },
    ] {
        let counter = DropCounter::attach(&lab.right, &packets).unwrap();
        for send in [send_packet as Send, send_live] {
            let before = counter.count().unwrap();
            send(&lab.left, &packets, &Schedule::paced(100, 10_000.0)).unwrap();
            assert_eq!(counter.wait(before + 100, WAIT).unwrap(), before + 100);
        }
    }
    let jumbo = Numbered { frame_bytes: 9014, ..plain };
    let report = exchange(&lab, send_packet, &jumbo, &Schedule::paced(100, 10_000.0));
    assert!(report.is_perfect(), "{report}");
}

/// offered = arrived + what each counter says was lost, for each sender at full speed.
#[test]
fn every_loss_of_a_flood_has_a_name() {
    require_root!("every_loss_of_a_flood_has_a_name");
    for send in [send_udp as Send, send_packet, send_live] {
        let lab = quiet_lab();
        let packets = Numbered::between(&lab.left, &lab.right);
        let counter = DropCounter::attach(&lab.right, &packets).unwrap();
        let schedule = Schedule::flood(200_000).within(WAIT);
        let report = send(&lab.left, &packets, &schedule).unwrap();
        assert_eq!(report.difference(), 0, "{report}");
        assert!(report.offered > 1000, "{report}");
        let arrived = counter.wait(report.sent, Duration::from_millis(500)).unwrap();
        let lost =
            lab.right.driver_sum("_drops").unwrap() + lab.left.counters().unwrap().tx_dropped;
        // The driver counts what XDP drops as received, and `_xdp_drops` among the drops.
        let dropped_by_us = lab.right.driver_sum("xdp_drops").unwrap();
        assert_eq!(dropped_by_us, arrived, "{:?}", lab.right.driver_counters());
        eprintln!("{report}; arrived {arrived}, lost {}", lost - dropped_by_us);
        assert_eq!(report.sent, arrived + lost - dropped_by_us, "{report}");
    }
}

#[test]
fn live_frames_without_a_taker_are_an_error_with_a_cure() {
    require_root!("live_frames_without_a_taker_are_an_error_with_a_cure");
    let lab = quiet_lab();
    let packets = Numbered::between(&lab.left, &lab.right);
    let error = send_live(&lab.left, &packets, &Schedule::flood(100)).unwrap_err().to_string();
    assert!(error.contains("left0") && error.contains("GRO"), "{error}");
}

#[test]
fn a_socket_that_is_not_read_drops_and_says_so() {
    require_root!("a_socket_that_is_not_read_drops_and_says_so");
    let lab = quiet_lab();
    let packets = Numbered::between(&lab.left, &lab.right);
    let receiver = UdpReceiver::bind(&lab.right, lab.right.ipv4(), packets.port).unwrap();
    let size = 64 << 10;
    rustix::net::sockopt::set_socket_recv_buffer_size(receiver.socket(), size).unwrap();
    let report = send_udp(&lab.left, &packets, &Schedule::paced(2000, 20_000.0)).unwrap();
    let drops = receiver.drops().unwrap();
    assert!(drops > 0);
    let mut checker = Checker::new(report.sent);
    let checked = receiver.receive(&mut checker, report.sent - drops, WAIT).unwrap();
    assert_eq!(checked.received + drops, report.sent, "{checked}");
}

#[test]
fn a_link_that_is_down_refuses_by_name() {
    require_root!("a_link_that_is_down_refuses_by_name");
    let lab = quiet_lab();
    let packets = Numbered::between(&lab.left, &lab.right);
    lab.left.set_up(false).unwrap();
    let report = send_packet(&lab.left, &packets, &Schedule::flood(10));
    match report {
        Ok(report) => assert_eq!(report.refused, [("ENETDOWN".to_string(), 10)]),
        Err(error) => assert!(error.to_string().contains("left0"), "{error}"),
    }
}

#[test]
fn receivers_on_several_queues_are_summed() {
    require_root!("receivers_on_several_queues_are_summed");
    let lab = Lab::veth(LabConfig { queues: 2, ipv6: false, ..LabConfig::default() }).unwrap();
    let packets = Numbered { flows: 16, ..Numbered::between(&lab.left, &lab.right) };
    let counter = DropCounter::attach(&lab.right, &packets).unwrap();
    let schedule = Schedule::paced(1000, 20_000.0);
    std::thread::scope(|scope| {
        for core in tickwire_lab::cpu::cores().into_iter().take(2) {
            let (lab, packets) = (&lab, &packets);
            scope.spawn(move || {
                tickwire_lab::cpu::pin(core).unwrap();
                send_live(&lab.left, packets, &schedule).unwrap();
            });
        }
    });
    let senders = tickwire_lab::cpu::cores().len().min(2) as u64;
    assert_eq!(counter.wait(1000 * senders, WAIT).unwrap(), 1000 * senders);
}
