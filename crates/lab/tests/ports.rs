//! Any port of the engine as a sender.

use std::time::Duration;
use tickwire_capture::Port;
use tickwire_capture::af_packet::{AfPacket, AfPacketConfig};
use tickwire_frame::Ledger;
use tickwire_lab::{
    Checker, DropCounter, Lab, LabConfig, Numbered, Schedule, UdpReceiver, require_root, send_port,
};

const WAIT: Duration = Duration::from_secs(5);

fn quiet_lab() -> Lab {
    Lab::veth(LabConfig { ipv6: false, ..LabConfig::default() }).unwrap()
}

fn af_packet(lab: &Lab) -> AfPacket {
    let config =
        AfPacketConfig { tx_slots: 256, outgoing: false, ..AfPacketConfig::new(lab.left.name()) };
    lab.left.run(|| AfPacket::open(&config, 1)).unwrap().remove(0)
}

#[test]
fn af_packet_delivers_every_number_in_order() {
    require_root!("af_packet_delivers_every_number_in_order");
    let lab = quiet_lab();
    let packets = Numbered { flows: 3, ..Numbered::between(&lab.left, &lab.right) };
    let receiver = UdpReceiver::bind(&lab.right, lab.right.ipv4(), packets.port).unwrap();
    let (mut port, mut ledger) = (af_packet(&lab), Ledger::default());
    let mut checker = Checker::new(5000);
    let schedule = Schedule::paced(5000, 20_000.0);
    let report = std::thread::scope(|scope| {
        let sender = scope.spawn(|| send_port(&mut port, &mut ledger, &packets, &schedule));
        let report = receiver.receive(&mut checker, 5000, WAIT).unwrap();
        let sent = sender.join().unwrap().unwrap();
        assert_eq!((sent.sent, sent.difference()), (5000, 0), "{sent}");
        report
    });
    assert!(report.is_perfect(), "{report}");
}

#[test]
fn a_flood_through_af_packet_adds_up() {
    require_root!("a_flood_through_af_packet_adds_up");
    let lab = quiet_lab();
    let packets = Numbered::between(&lab.left, &lab.right);
    let counter = DropCounter::attach(&lab.right, &packets).unwrap();
    let (mut port, mut ledger) = (af_packet(&lab), Ledger::default());
    let schedule = Schedule::flood(100_000).within(WAIT);
    let report = send_port(&mut port, &mut ledger, &packets, &schedule).unwrap();
    assert!(report.sent > 1000 && report.difference() == 0, "{report}");
    let mut arrived = counter.wait(report.sent, Duration::from_millis(300)).unwrap();
    port.tick(&mut ledger).unwrap();
    arrived += ledger.discarded.total();
    assert_eq!(arrived, report.sent, "{report}; {ledger:?}");
}
