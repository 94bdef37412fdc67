//! Any port of the engine as a sender.

use std::time::Duration;
use tickwire_capture::Port;
use tickwire_capture::af_packet::{AfPacket, AfPacketConfig};
use tickwire_capture::af_xdp::{AfXdp, AfXdpConfig};
use tickwire_frame::Ledger;
use tickwire_lab::{
    Checker, DropCounter, Lab, LabConfig, Numbered, Schedule, UdpReceiver, require_root, send_port,
};

const WAIT: Duration = Duration::from_secs(5);

type Open = fn(&Lab) -> Box<dyn Port>;

fn quiet_lab() -> Lab {
    Lab::veth(LabConfig { ipv6: false, ..LabConfig::default() }).unwrap()
}

fn af_packet(lab: &Lab) -> Box<dyn Port> {
    let plain = AfPacketConfig::new(lab.left.name());
    let config = AfPacketConfig { tx_slots: 256, outgoing: false, ..plain };
    Box::new(lab.left.run(|| AfPacket::open(&config, 1)).unwrap().remove(0))
}

fn af_xdp(lab: &Lab) -> Box<dyn Port> {
    let config = AfXdpConfig::new(lab.left.name());
    Box::new(lab.left.run(|| AfXdp::open(&config, &[0])).unwrap().remove(0))
}

#[test]
fn every_number_is_delivered_in_order() {
    require_root!("every_number_is_delivered_in_order");
    for open in [af_packet as Open, af_xdp] {
        let lab = quiet_lab();
        let packets = Numbered { flows: 3, ..Numbered::between(&lab.left, &lab.right) };
        let receiver = UdpReceiver::bind(&lab.right, lab.right.ipv4(), packets.port).unwrap();
        let (mut port, mut ledger) = (open(&lab), Ledger::default());
        let mut checker = Checker::new(5000);
        let schedule = Schedule::paced(5000, 20_000.0);
        let report = std::thread::scope(|scope| {
            let sender =
                scope.spawn(|| send_port(port.as_mut(), &mut ledger, &packets, &schedule).unwrap());
            let report = receiver.receive(&mut checker, 5000, WAIT).unwrap();
            let sent = sender.join().unwrap();
            assert_eq!((sent.sent, sent.difference()), (5000, 0), "{sent}");
            report
        });
        assert!(report.is_perfect(), "{}: {report}", port.mode());
    }
}

#[test]
fn a_flood_adds_up() {
    require_root!("a_flood_adds_up");
    for open in [af_packet as Open, af_xdp] {
        let lab = quiet_lab();
        let packets = Numbered::between(&lab.left, &lab.right);
        let counter = DropCounter::attach(&lab.right, &packets).unwrap();
        let (mut port, mut ledger) = (open(&lab), Ledger::default());
        let schedule = Schedule::flood(100_000).within(WAIT);
        let report = send_port(port.as_mut(), &mut ledger, &packets, &schedule).unwrap();
        assert!(report.sent > 1000 && report.difference() == 0, "{report}");
        let mut arrived = counter.wait(report.sent, Duration::from_millis(300)).unwrap();
        port.tick(&mut ledger).unwrap();
        arrived += ledger.discarded.total();
        assert_eq!(arrived, report.sent, "{}: {report}; {ledger:?}", port.mode());
    }
}
