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

/// Packets lost behind the senders. The driver counts among its drops what an XDP program dropped,
/// and what it refused to a sender.
fn lost(lab: &Lab, reports: &[&SenderReport]) -> u64 {
    let right = |suffix| lab.right.driver_sum(suffix).unwrap();
    let drops = lab.left.counters().unwrap().tx_dropped + right("_drops") - right("xdp_drops");
    drops - reports.iter().map(|report| report.refused_total()).sum::<u64>()
}

/// offered = arrived + refused + what each counter says was lost, for each sender at full speed.
#[test]
fn every_loss_of_a_flood_has_a_name() {
    require_root!("every_loss_of_a_flood_has_a_name");
    for send in [send_udp as Send, send_packet, send_live] {
        let lab = quiet_lab();
        let packets = Numbered::between(&lab.left, &lab.right);
        let counter = DropCounter::attach(&lab.right, &packets).unwrap();
        let schedule = Schedule::flood(100_000).within(WAIT);
        let report = send(&lab.left, &packets, &schedule).unwrap();
        assert_eq!(report.difference(), 0, "{report}");
        assert!(report.offered > 1000, "{report}");
        let arrived = counter.wait(report.sent, Duration::from_millis(500)).unwrap();
        assert_eq!(report.sent, arrived + lost(&lab, &[&report]), "{report}");
    }
}

/// The receiver goes away in the middle: what is lost then has a name, too.
#[test]
fn losses_while_the_other_end_is_down_have_names() {
    require_root!("losses_while_the_other_end_is_down_have_names");
    for send in [send_udp as Send, send_packet, send_live] {
        let lab = quiet_lab();
        let packets = Numbered::between(&lab.left, &lab.right);
        let counter = DropCounter::attach(&lab.right, &packets).unwrap();
        let schedule = Schedule::paced(4000, 20_000.0);
        let report = std::thread::scope(|scope| {
            let sender = scope.spawn(|| send(&lab.left, &packets, &schedule).unwrap());
            counter.wait(1000, WAIT).unwrap();
            lab.right.set_up(false).unwrap();
            sender.join().unwrap()
        });
        let arrived = counter.wait(report.sent, Duration::from_millis(100)).unwrap();
        let lost = lost(&lab, &[&report]);
        assert_eq!((report.offered, report.difference()), (4000, 0), "{report}");
        assert!((1000..4000).contains(&arrived), "{arrived} arrived, {lost} lost, {report}");
        assert_eq!(report.sent, arrived + lost, "{report}");
    }
}

/// Two cores flood one queue, so that it is full now and then. (Not with live frames from both: the
/// driver's counters of one queue are not made for two writers.)
#[test]
fn a_full_queue_is_counted_exactly() {
    require_root!("a_full_queue_is_counted_exactly");
    let lab = quiet_lab();
    let packets = Numbered::between(&lab.left, &lab.right);
    let counter = DropCounter::attach(&lab.right, &packets).unwrap();
    let flood = |send: Send, core: usize, count: u64| {
        tickwire_lab::cpu::pin(core).unwrap();
        send(&lab.left, &packets, &Schedule::flood(count).within(WAIT)).unwrap()
    };
    let cores = tickwire_lab::cpu::cores();
    let (live, sockets) = std::thread::scope(|scope| {
        let live = scope.spawn(|| flood(send_live, cores[0], 1_000_000));
        let sockets = scope.spawn(|| flood(send_packet, cores[cores.len() - 1], 200_000));
        (live.join().unwrap(), sockets.join().unwrap())
    });
    assert_eq!((live.difference(), sockets.difference()), (0, 0), "{live}; {sockets}");
    let sent = live.sent + sockets.sent;
    let arrived = counter.wait(sent, Duration::from_millis(500)).unwrap();
    let lost = lost(&lab, &[&live, &sockets]);
    assert_eq!(sent, arrived + lost, "{live}; {sockets}; {arrived} arrived");
    eprintln!("{live}; {sockets}; {arrived} arrived, {lost} lost");
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
