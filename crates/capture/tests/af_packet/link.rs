use crate::support::*;
use std::time::{Duration, Instant};
use tickwire_capture::Port;
use tickwire_frame::Ledger;
use tickwire_lab::require_root;

/// Kernel behaviour E19: POLLERR and ENETDOWN at once; the port lives on.
#[test]
fn a_link_that_goes_down_and_up_is_survived() {
    require_root!("a_link_that_goes_down_and_up_is_survived");
    let lab = quiet_lab();
    let mut port = open(&lab.right, |_| {});
    for round in 1..=2 {
        Sender::new(&lab.left).send(&numbered(round, 60)).unwrap();
        assert_eq!(collect(&mut port, 1, |frame| assert_eq!(number(frame.bytes), round)), 1);
        lab.right.set_up(false).unwrap();
        let start = Instant::now();
        port.wait(Duration::from_secs(2)).unwrap();
        assert!(start.elapsed() < Duration::from_secs(1), "the error wakes us at once");
        assert_eq!(take(&mut port, |_| {}), 0);
        port.wait(Duration::from_millis(50)).unwrap();
        assert!(start.elapsed() >= Duration::from_millis(50), "but only once");
        assert_eq!(counter(&mut port, "link_downs"), round);
        lab.right.set_up(true).unwrap();
        lab.wait_running().unwrap();
    }
    let mut ledger = Ledger::default();
    Sender::new(&lab.left).send(&numbered(9, 60)).unwrap();
    assert_eq!(collect(&mut port, 1, |frame| assert_eq!(number(frame.bytes), 9)), 1);
    port.tick(&mut ledger).unwrap();
    assert_eq!(counter(&mut port, "reopened"), 0);
}

#[test]
fn a_port_can_be_opened_before_its_link_is_up() {
    require_root!("a_port_can_be_opened_before_its_link_is_up");
    for workers in [1, 2] {
        let lab = quiet_lab();
        lab.right.set_up(false).unwrap();
        let mut ports = open_workers(&lab.right, workers, |_| {});
        ports[0].wait(Duration::from_millis(20)).unwrap();
        lab.right.set_up(true).unwrap();
        lab.wait_running().unwrap();
        Sender::new(&lab.left).send(&numbered(1, 60)).unwrap();
        let mut ledger = Ledger::default();
        ports.iter_mut().for_each(|port| finish(port, &mut ledger, |_| {}));
        assert_eq!(ledger.received, 1);
    }
}

/// Kernel behaviour E6b: the old socket stays deaf; a new one must take over within a second.
#[test]
fn an_interface_made_again_is_received_from_again() {
    require_root!("an_interface_made_again_is_received_from_again");
    for workers in [1, 2] {
        let lab = quiet_lab();
        // Reopening makes sockets in the namespace of the thread, so the worker stays inside.
        lab.right.run(|| {
            let mut ports = open_workers(&lab.right, workers, |config| config.promiscuous = true);
            let mut ledger = Ledger::default();
            Sender::new(&lab.left).send(&numbered(1, 60)).unwrap();
            // Long enough for the block to be handed over, which outlives the interface.
            std::thread::sleep(Duration::from_millis(50));
            lab.delete_link().unwrap();
            for port in &mut ports {
                port.tick(&mut ledger).unwrap();
            }
            lab.create_link().unwrap();
            let unread: usize = ports.iter_mut().map(|port| take(port, |_| {})).sum();
            assert_eq!(unread, 1, "what was received before can still be read");
            let took = tick_until(&mut ports, &mut ledger, |ports| {
                ports.iter_mut().all(|port| counter(port, "reopened") == 1)
            });
            assert!(took < Duration::from_secs(1), "noticed after {took:?}");
            let sender = Sender::new(&lab.left);
            for n in 0..100 {
                sender.send(&udp(n as u16, n)).unwrap();
            }
            let before = ledger.received;
            for port in &mut ports {
                finish(port, &mut ledger, |_| {});
            }
            assert_eq!(ledger.received - before, 100, "each frame once, also with {workers}");
        });
    }
}

#[test]
fn a_deleted_interface_is_waited_for() {
    require_root!("a_deleted_interface_is_waited_for");
    let lab = quiet_lab();
    let mut port = open(&lab.right, |_| {});
    lab.delete_link().unwrap();
    let mut ledger = Ledger::default();
    for _ in 0..3 {
        port.tick(&mut ledger).unwrap();
        assert_eq!(take(&mut port, |_| {}), 0);
        port.wait(Duration::from_millis(5)).unwrap();
    }
    assert_eq!(ledger, Ledger::default());
}
