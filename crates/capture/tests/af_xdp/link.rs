//! Links that go down, interfaces that go and come back.

use crate::support::*;
use std::time::{Duration, Instant};
use tickwire_capture::Port;
use tickwire_frame::{Ledger, Reason};
use tickwire_lab::require_root;

/// How soon the port must receive again after the link is up (R9).
const RESUME: Duration = Duration::from_millis(100);
/// How soon a port must have noticed that its interface is gone (R11).
const NOTICE: Duration = Duration::from_secs(1);
/// How soon it must receive from the next one (R11).
const REOPEN: Duration = Duration::from_secs(2);

/// E4: the own link goes down and up. No error, no rebinding; the outage is on record.
#[test]
fn an_own_link_that_flaps_is_survived() {
    require_root!("an_own_link_that_flaps_is_survived");
    in_lab(|lab| {
        let mut port = open(&lab.right, |_| {});
        let mut ledger = Ledger::default();
        for round in 1..=3 {
            lab.right.set_up(false).unwrap();
            tick_until(&mut port, &mut ledger, |port| !port.link().is_running());
            assert_eq!(take(&mut port, |_| {}), 0);
            lab.right.set_up(true).unwrap();
            lab.wait_running().unwrap();
            let start = Instant::now();
            Raw::new(&lab.left).send_numbered(round, 1);
            assert_eq!(collect(&mut port, 1, |frame| assert_eq!(number(frame.bytes), round)), 1);
            assert!(start.elapsed() <= RESUME, "{:?}", start.elapsed());
            tick_until(&mut port, &mut ledger, |port| port.link().is_running());
            assert_eq!(counter(&mut port, "link_downs"), round);
            let outage = *port.link().outages().last().unwrap();
            assert!(outage.to.unwrap() > outage.from, "{outage:?}");
        }
        assert_eq!(counter(&mut port, "reopened"), 0, "the same socket all the time");
    });
}

/// E5: frames that were accepted before the port knew that its link is down are counted; nothing
/// goes out late.
#[test]
fn nothing_waits_in_the_ring_of_a_link_that_is_down() {
    require_root!("nothing_waits_in_the_ring_of_a_link_that_is_down");
    in_lab(|lab| {
        let peer = Raw::new(&lab.left);
        let mut port = open(&lab.right, |_| {});
        let mut ledger = Ledger::default();
        lab.right.set_up(false).unwrap();
        let frames: Vec<_> = (0..10).map(|n| numbered(n, 60)).collect();
        let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
        assert_eq!(port.transmit(&frames).unwrap().accepted, 10);
        assert_eq!(port.transmit(&frames).unwrap().accepted, 0, "ENETDOWN was heard");
        tick_until(&mut port, &mut ledger, |port| !port.link().is_running());
        assert_eq!(port.transmit(&frames).unwrap().accepted, 0);
        lab.right.set_up(true).unwrap();
        lab.wait_running().unwrap();
        tick_until(&mut port, &mut ledger, |port| port.link().is_running());
        assert_eq!(port.transmit(&frames).unwrap().accepted, 10);
        finish(&mut port, &mut ledger);
        assert_eq!(peer.take().len(), 10);
        assert_eq!((ledger.unsent[Reason::LinkDown], ledger.unsent.total()), (10, 10));
    });
}

/// E4t: the other end is down. The kernel completes each frame and answers EBUSY: all are counted.
#[test]
fn frames_to_a_peer_that_is_down_are_counted() {
    require_root!("frames_to_a_peer_that_is_down_are_counted");
    in_lab(|lab| {
        let peer = Raw::new(&lab.left);
        let mut port = open(&lab.right, |_| {});
        let mut ledger = Ledger::default();
        let frames: Vec<_> = (0..1000).map(|n| numbered(n, 60)).collect();
        let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
        lab.left.set_up(false).unwrap();
        // The port still believes that the link is up: the news comes with the next tick.
        let accepted = port.transmit(&frames).unwrap().accepted as u64;
        assert!(accepted > 0);
        tick_until(&mut port, &mut ledger, |port| !port.link().is_running());
        lab.left.set_up(true).unwrap();
        lab.wait_running().unwrap();
        tick_until(&mut port, &mut ledger, |port| port.link().is_running());
        finish(&mut port, &mut ledger);
        let arrived = peer.take().len() as u64;
        let refused = ledger.unsent[Reason::TxRefused];
        assert_eq!(arrived + refused, accepted, "{ledger:?}");
        assert!(refused > 0, "{ledger:?}");
        assert_eq!(ledger.unsent.total(), refused);
    });
}

/// E6 and E6b: deleted, noticed, all frames back; made again, received from again.
#[test]
fn an_interface_made_again_is_received_from_again() {
    require_root!("an_interface_made_again_is_received_from_again");
    in_lab(|lab| {
        let mut port = open(&lab.right, |config| config.promiscuous = true);
        let total = port.frame_count().total();
        let mut ledger = Ledger::default();
        for round in 1..=3 {
            let sender = Raw::new(&lab.left);
            sender.send_numbered(round, 1);
            lab.delete_link().unwrap();
            // What came before is not lost.
            assert_eq!(take(&mut port, |frame| assert_eq!(number(frame.bytes), round)), 1);
            count_in(&mut ledger, 1);
            let noticed =
                tick_until(&mut port, &mut ledger, |port| port.frame_count().free == total);
            assert!(noticed <= NOTICE, "{noticed:?}");
            assert_eq!(port.transmit(&[&numbered(0, 60)]).unwrap().accepted, 0);
            port.wait(Duration::from_millis(1)).unwrap();

            lab.create_link().unwrap();
            let reopened =
                tick_until(&mut port, &mut ledger, |port| counter(port, "reopened") == round);
            assert!(reopened <= REOPEN, "{reopened:?}");
            let sender = Raw::new(&lab.left);
            sender.send_numbered(100 + round, 1);
            let seen = collect(&mut port, 1, |frame| assert_eq!(number(frame.bytes), 100 + round));
            assert_eq!(seen, 1);
            count_in(&mut ledger, 1);
            assert_eq!(port.frame_count().total(), total);
        }
        finish(&mut port, &mut ledger);
        assert_eq!(ledger.discarded.total(), 0, "{ledger:?}");
        assert_eq!(ledger.delivered, 6);
    });
}

/// E6: frames for an interface that is gone come back, and are counted.
#[test]
fn frames_for_a_deleted_interface_are_counted() {
    require_root!("frames_for_a_deleted_interface_are_counted");
    in_lab(|lab| {
        let mut port = open(&lab.right, |_| {});
        let total = port.frame_count().total();
        let mut ledger = Ledger::default();
        lab.delete_link().unwrap();
        let frames: Vec<_> = (0..1500).map(|n| numbered(n, 60)).collect();
        let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
        let accepted = port.transmit(&frames).unwrap().accepted as u64;
        assert_eq!(accepted, 1500, "taken before anybody knew");
        tick_until(&mut port, &mut ledger, |port| port.frame_count().free == total);
        assert_eq!(ledger.unsent[Reason::LinkDown], accepted);
        assert_eq!(ledger.difference(), 0);
    });
}

/// Two ports behind one program, both come back.
#[test]
fn all_queues_come_back() {
    require_root!("all_queues_come_back");
    let config = tickwire_lab::LabConfig { queues: 2, ipv6: false, ..Default::default() };
    in_lab_as(config, |lab| {
        use tickwire_capture::af_xdp::{AfXdp, AfXdpConfig};
        let mut ports = AfXdp::open(&AfXdpConfig::new(lab.right.name()), &[0, 1]).unwrap();
        let mut ledger = Ledger::default();
        lab.delete_link().unwrap();
        ports.iter_mut().for_each(|port| port.tick(&mut ledger).unwrap());
        lab.create_link().unwrap();
        for port in &mut ports {
            tick_until(port, &mut ledger, |port| counter(port, "reopened") == 1);
        }
        Raw::new(&lab.left).send_numbered(0, 100);
        std::thread::sleep(Duration::from_millis(20));
        let seen: usize = ports.iter_mut().map(|port| take(port, |_| {})).sum();
        assert_eq!(seen, 100);
    });
}

#[test]
fn a_port_can_be_opened_before_its_link_is_up() {
    require_root!("a_port_can_be_opened_before_its_link_is_up");
    in_lab(|lab| {
        lab.right.set_up(false).unwrap();
        let mut port = open(&lab.right, |_| {});
        assert_eq!(port.transmit(&[&numbered(1, 60)]).unwrap().accepted, 0);
        lab.right.set_up(true).unwrap();
        lab.wait_running().unwrap();
        Raw::new(&lab.left).send_numbered(1, 1);
        assert_eq!(collect(&mut port, 1, |_| {}), 1);
    });
}
