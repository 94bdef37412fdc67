//! The sending half by itself: every frame arrives, or its tag comes back; nothing leaves late.
//! Each test runs with the half of a port and with one that stands alone.

use crate::support::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tickwire_capture::af_xdp::{AfXdp, AfXdpConfig, AfXdpTransmitter};
use tickwire_capture::{Port, PortError, Transmitter};
use tickwire_frame::{Batch, Ledger, Reason};
use tickwire_lab::{Lab, require_root};

/// Is told of every frame that was not sent.
type Lost<'l> = &'l mut dyn FnMut(u32, Reason);

/// A transmitter, its port if it has one, and what became of the frames so far. Frame and tag are
/// the same number.
struct Sender {
    tx: AfXdpTransmitter,
    port: Option<AfXdp>,
    next: u32,
    lost: BTreeMap<u32, Reason>,
}

impl Sender {
    /// Both kinds, one after the other, on the right end.
    fn each(lab: &Lab, test: impl Fn(&mut Sender)) {
        for with_port in [true, false] {
            let mut port = with_port.then(|| open(&lab.right, |_| {}));
            let tx = match &mut port {
                Some(port) => port.transmitter().unwrap(),
                None => AfXdpTransmitter::open(&AfXdpConfig::new(lab.right.name()), 0).unwrap(),
            };
            let mut sender = Sender { tx, port, next: 0, lost: BTreeMap::new() };
            test(&mut sender);
            sender.finish();
        }
    }

    /// Offers `count` frames with one kick, and more only if the ring is full.
    fn send(&mut self, count: u32) {
        for _ in 0..count {
            self.offer();
        }
        self.call(|tx, lost| tx.kick(lost));
        self.tx.verify_frames();
    }

    fn offer(&mut self) {
        let number = self.next;
        self.next += 1;
        if let Err(Reason::TxRingFull) = self.tx.slot() {
            self.call(|tx, lost| tx.kick(lost));
        }
        match self.tx.slot() {
            Ok(slot) => {
                slot[..60].copy_from_slice(&numbered(number.into(), 60));
                self.tx.push(60, number);
            }
            Err(reason) => assert_eq!(self.lost.insert(number, reason), None),
        }
    }

    fn tick(&mut self) {
        if let Some(port) = &mut self.port {
            port.tick(&mut Ledger::default()).unwrap();
        }
        self.call(|tx, lost| tx.tick(lost));
        self.tx.verify_frames();
    }

    /// Ticks until a frame can be offered, or none can be.
    fn tick_until(&mut self, ready: bool) {
        let start = Instant::now();
        while self.tx.slot().is_ok() != ready {
            assert!(start.elapsed() < LIMIT, "ready: {ready}");
            self.tick();
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn call(&mut self, act: impl FnOnce(&mut AfXdpTransmitter, Lost<'_>) -> Result<(), PortError>) {
        let lost = &mut self.lost;
        act(&mut self.tx, &mut |tag, reason| {
            assert_eq!(lost.insert(tag, reason), None, "{tag} was lost before");
        })
        .unwrap();
    }

    fn finish(&mut self) {
        self.call(|tx, lost| {
            tx.finish(lost);
            Ok(())
        });
        self.tx.verify_frames();
        assert_eq!(self.tx.frame_count().sending, 0);
    }

    /// Exactly the frames that were not reported lost are those that arrived, in order.
    fn check(&mut self, arrived: &[Vec<u8>]) {
        let arrived: Vec<u32> = arrived.iter().map(|frame| number(frame) as u32).collect();
        assert!(arrived.is_sorted(), "{arrived:?}");
        let missing: BTreeSet<u32> = (0..self.next).filter(|n| !arrived.contains(n)).collect();
        assert_eq!(missing, self.lost.keys().copied().collect());
        assert_eq!(arrived.len() + missing.len(), self.next as usize, "one arrived twice");
    }

    fn lost_for(&self, reason: Reason) -> usize {
        self.lost.values().filter(|&&why| why == reason).count()
    }
}

/// E11: all frames of a kick leave with it, also more than 32, and while a batch is on loan.
#[test]
fn all_frames_leave_with_one_kick() {
    require_root!("all_frames_leave_with_one_kick");
    in_lab(|lab| {
        let peer = Raw::new(&lab.left);
        Sender::each(lab, |sender| {
            let mut arrived = Vec::new();
            for count in [1, 32, 33, 64, 1000, 2048, 5000] {
                let mut port = sender.port.take();
                if let Some(port) = &mut port {
                    peer.send(&numbered(7, 60)).unwrap();
                    port.wait(LIMIT).unwrap();
                    let mut batch = Batch::new();
                    port.receive(&mut batch).unwrap();
                    sender.send(count);
                    assert!(batch.iter().all(|frame| number(frame.bytes) == 7));
                } else {
                    sender.send(count);
                }
                sender.port = port;
                arrived.extend(peer.take());
                assert_eq!(arrived.len(), sender.next as usize, "after {count} more");
            }
            sender.check(&arrived);
            assert!(sender.lost.is_empty());
        });
    });
}

/// E5, R10: the own link is down for a second while a thousand frames a second are sent.
#[test]
fn nothing_leaves_late_after_an_outage() {
    require_root!("nothing_leaves_late_after_an_outage");
    in_lab(|lab| {
        let peer = Raw::new(&lab.left);
        Sender::each(lab, |sender| {
            let send = |sender: &mut Sender, count: u32| {
                for n in 0..count {
                    sender.send(1);
                    if n % 100 == 99 {
                        sender.tick();
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
            };
            send(sender, 100);
            lab.right.set_up(false).unwrap();
            let down = sender.next;
            send(sender, 1000);
            let up = sender.next;
            lab.right.set_up(true).unwrap();
            lab.wait_running().unwrap();
            send(sender, 200);
            let arrived = peer.take();
            sender.check(&arrived);
            let late = |frame: &&Vec<u8>| (down..up).contains(&(number(frame) as u32));
            assert_eq!(arrived.iter().filter(late).count(), 0);
            assert_eq!(sender.lost_for(Reason::LinkDown), sender.lost.len());
            assert!(sender.lost.len() >= 1000 && sender.next - up == 200);
        });
    });
}

/// E4t: the other end is down, and we do not know: each refusal is the frame that was lost.
#[test]
fn frames_refused_by_a_peer_that_is_down_come_back() {
    require_root!("frames_refused_by_a_peer_that_is_down_come_back");
    in_lab(|lab| {
        let peer = Raw::new(&lab.left);
        Sender::each(lab, |sender| {
            sender.send(10);
            lab.left.set_up(false).unwrap();
            sender.send(1000);
            assert_eq!(sender.lost_for(Reason::TxRefused), sender.lost.len());
            assert!(sender.lost.contains_key(&1009), "the carrier is off by now");
            sender.tick_until(false);
            sender.send(5);
            assert_eq!(sender.lost_for(Reason::LinkDown), 5);
            lab.left.set_up(true).unwrap();
            lab.wait_running().unwrap();
            sender.tick_until(true);
            sender.send(3000);
            sender.check(&peer.take());
        });
    });
}

/// E6, E6b: the interface is deleted and made again while frames are sent.
#[test]
fn an_interface_made_again_is_sent_to_again() {
    require_root!("an_interface_made_again_is_sent_to_again");
    in_lab(|lab| {
        Sender::each(lab, |sender| {
            let mut arrived = Vec::new();
            for _ in 0..3 {
                let peer = Raw::new(&lab.left);
                sender.send(100);
                arrived.extend(peer.take());
                let lost = sender.lost.len();
                lab.delete_link().unwrap();
                sender.send(100);
                sender.tick();
                sender.send(100);
                assert_eq!(sender.lost.len(), lost + 200);
                lab.create_link().unwrap();
                sender.tick_until(true);
                assert_eq!(sender.tx.frame_count().sending, 0, "the old socket's are back");
            }
            let peer = Raw::new(&lab.left);
            sender.send(100);
            arrived.extend(peer.take());
            sender.check(&arrived);
            assert_eq!(sender.lost_for(Reason::LinkDown), sender.lost.len());
        });
    });
}

/// The longest frame follows the MTU.
#[test]
fn the_longest_frame_follows_the_mtu() {
    require_root!("the_longest_frame_follows_the_mtu");
    in_lab(|lab| {
        Sender::each(lab, |sender| {
            assert_eq!(sender.tx.frame_bytes_max(), 1518);
            assert_eq!(sender.tx.slot().unwrap().len(), 1518);
            lab.right.set_mtu(1000).unwrap();
            sender.tick();
            assert_eq!(sender.tx.slot().unwrap().len(), 1018);
            lab.right.set_mtu(1500).unwrap();
            sender.tick();
            assert_eq!(sender.tx.frame_bytes_max(), 1518);
            assert_eq!(sender.tx.mode().mode, "copy");
        });
    });
}

#[test]
fn a_frame_without_a_header_is_a_bug() {
    require_root!("a_frame_without_a_header_is_a_bug");
    in_lab(|lab| {
        let config = AfXdpConfig::new(lab.right.name());
        let mut tx = AfXdpTransmitter::open(&config, 0).unwrap();
        for (len, allowed) in [(13, false), (14, true), (1518, true), (1519, false)] {
            let push = std::panic::AssertUnwindSafe(|| tx.push(len, 0));
            assert_eq!(std::panic::catch_unwind(push).is_ok(), allowed, "{len}");
        }
    });
}

/// There is one sending half, and one holder of a queue.
#[test]
fn a_sending_half_is_given_once() {
    require_root!("a_sending_half_is_given_once");
    in_lab(|lab| {
        let mut port = open(&lab.right, |_| {});
        let config = AfXdpConfig::new(lab.right.name());
        let error = AfXdpTransmitter::open(&config, 0).unwrap_err().to_string();
        assert!(error.contains("queue 0 of right0") && error.contains("busy"), "{error}");
        let taken = port.transmitter().unwrap();
        assert!(port.transmitter().is_none());
        let error = port.transmit(&[&numbered(0, 60)]).unwrap_err().to_string();
        assert!(error.contains("taken") && error.contains("transmitter"), "{error}");
        // Either half keeps the queue.
        drop(port);
        AfXdpTransmitter::open(&config, 0).unwrap_err();
        drop(taken);
        AfXdpTransmitter::open(&config, 0).unwrap();
        let error = AfXdpTransmitter::open(&config, 7).unwrap_err().to_string();
        assert!(error.contains("queue 7"), "{error}");
        let missing = AfXdpTransmitter::open(&AfXdpConfig::new("nosuchif0"), 0).unwrap_err();
        assert!(missing.to_string().contains("nosuchif0"), "{missing}");
    });
}
