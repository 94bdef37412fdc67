use crate::support::*;
use std::time::{Duration, Instant};
use tickwire_capture::Port;
use tickwire_capture::af_packet::AfPacket;
use tickwire_frame::{Ledger, Reason};
use tickwire_lab::require_root;

/// Sends all frames, waiting for room as a job would.
fn send_all(port: &mut AfPacket, frames: &[Vec<u8>]) {
    let deadline = Instant::now() + LIMIT;
    let mut left: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    while !left.is_empty() {
        assert!(Instant::now() < deadline, "{} frames could not be sent", left.len());
        let end = left.len().min(64);
        let sent = port.transmit(&left[..end]).unwrap();
        left.drain(..sent.accepted);
        if sent.accepted < end {
            port.wait(Duration::from_millis(10)).unwrap();
        }
    }
}

fn frames(numbers: std::ops::Range<u64>) -> Vec<Vec<u8>> {
    numbers.map(|n| numbered(n, 60 + n as usize % 1400)).collect()
}

#[test]
fn the_peer_sees_all_frames_in_order() {
    require_root!("the_peer_sees_all_frames_in_order");
    const FRAMES: u64 = 5_000;
    let lab = quiet_lab();
    let mut receiver = open(&lab.right, |_| {});
    let mut port = open(&lab.left, |config| config.tx_slots = 128);
    send_all(&mut port, &frames(0..FRAMES));
    let mut next = 0;
    let seen = collect(&mut receiver, FRAMES as usize, |frame| {
        assert_eq!(number(frame.bytes), next);
        assert_eq!(frame.bytes.len(), 60 + next as usize % 1400);
        next += 1;
    });
    assert_eq!(seen as u64, FRAMES);
    let mut ledger = Ledger::default();
    port.tick(&mut ledger).unwrap();
    assert_eq!(ledger, Ledger::default());
    assert_eq!(counter(&mut port, "tx_sent"), FRAMES);
    assert_eq!(take(&mut port, |_| {}), 0, "past the queueing discipline, past our own capture");
}

#[test]
fn what_does_not_fit_is_counted_and_the_rest_is_sent() {
    require_root!("what_does_not_fit_is_counted_and_the_rest_is_sent");
    let lab = quiet_lab();
    let mut receiver = open(&lab.right, |_| {});
    let mut port = open(&lab.left, |config| config.tx_slots = 16);
    let longest = numbered(1, 1514);
    let mut tagged = longest.clone();
    tagged.splice(12..12, [0x81, 0, 0, 9]);
    let mut too_long = longest.clone();
    too_long.push(0);
    send_all(&mut port, &[longest, too_long, vec![0; 13], vec![], tagged]);
    assert_eq!(collect(&mut receiver, 2, |_| {}), 2);
    let mut ledger = Ledger::default();
    port.tick(&mut ledger).unwrap();
    assert_eq!(ledger.unsent[Reason::TooLong], 1);
    assert_eq!(ledger.unsent[Reason::TxInvalid], 2);
    assert_eq!(ledger.difference(), 0);
}

/// The kernel leaves a frame that it finds wrong in the ring, in the way of all others.
#[test]
fn a_smaller_mtu_does_not_block_the_ring() {
    require_root!("a_smaller_mtu_does_not_block_the_ring");
    let lab = quiet_lab();
    let mut receiver = open(&lab.right, |_| {});
    let mut port = open(&lab.left, |config| config.tx_slots = 32);
    lab.left.set_mtu(1000).unwrap();
    let sizes = [100, 1100, 200, 1200, 1300, 300];
    let frames: Vec<_> = (0..).zip(sizes).map(|(n, len)| numbered(n, len)).collect();
    send_all(&mut port, &frames);
    let mut seen = Vec::new();
    collect(&mut receiver, 3, |frame| seen.push(number(frame.bytes)));
    assert_eq!(seen, [0, 2, 5]);
    let mut ledger = Ledger::default();
    port.tick(&mut ledger).unwrap();
    assert_eq!(ledger.unsent[Reason::TxInvalid], 3);
    send_all(&mut port, &[numbered(6, 1400)]);
    port.tick(&mut ledger).unwrap();
    assert_eq!(ledger.unsent[Reason::TooLong], 1, "the new MTU is known now");
}

/// Kernel behaviour E5: frames would wait in the ring and go out late.
#[test]
fn nothing_is_sent_late_after_a_link_was_down() {
    require_root!("nothing_is_sent_late_after_a_link_was_down");
    let lab = quiet_lab();
    let mut receiver = open(&lab.right, |_| {});
    let mut port = open(&lab.left, |config| config.tx_slots = 64);
    lab.left.set_up(false).unwrap();
    send_all(&mut port, &frames(0..200));
    let mut ledger = Ledger::default();
    port.tick(&mut ledger).unwrap();
    assert_eq!(ledger.unsent[Reason::LinkDown], 200);
    lab.left.set_up(true).unwrap();
    lab.wait_running().unwrap();
    send_all(&mut port, &frames(200..210));
    let mut seen = Vec::new();
    collect(&mut receiver, 10, |frame| seen.push(number(frame.bytes)));
    assert_eq!(seen, (200..210).collect::<Vec<_>>());
    port.tick(&mut ledger).unwrap();
    assert_eq!(counter(&mut port, "tx_sent") + ledger.unsent.total(), 210);
}

/// The peer is down: the carrier is off, and the kernel would try the same frames for ever.
#[test]
fn frames_that_the_driver_does_not_take_become_too_old() {
    require_root!("frames_that_the_driver_does_not_take_become_too_old");
    let lab = quiet_lab();
    let mut port = open(&lab.left, |config| config.tx_slots = 64);
    lab.right.set_up(false).unwrap();
    assert_eq!(port.transmit(&[&numbered(0, 60)]).unwrap().accepted, 1);
    let mut ports = [port];
    let mut ledger = Ledger::default();
    let mut refused = Ledger::default();
    let took = tick_until(&mut ports, &mut refused, |ports| {
        ports[0].tick(&mut ledger).unwrap();
        ledger.unsent[Reason::TxRefused] == 1
    });
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!((counter(&mut ports[0], "tx_sent"), refused.unsent.total()), (0, 0));
}

#[test]
fn a_port_without_slots_says_that_it_only_receives() {
    require_root!("a_port_without_slots_says_that_it_only_receives");
    let lab = quiet_lab();
    let mut port = open(&lab.left, |_| {});
    let error = port.transmit(&[&numbered(0, 60)]).unwrap_err().to_string();
    assert!(error.contains("receiving only") && error.contains("tx_slots"), "{error}");
}
