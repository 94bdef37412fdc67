//! MTU: frames of any length are taken, or counted.

use crate::support::*;
use std::time::Duration;
use tickwire_capture::Port;
use tickwire_frame::{Ledger, Reason};
use tickwire_lab::{LabConfig, require_root};

fn jumbo() -> LabConfig {
    LabConfig { mtu: 9000, ipv6: false, ..LabConfig::default() }
}

/// E7: the program copes with frames in several buffers, so it attaches at any MTU.
/// E7c: a frame that is longer than ours goes to the host and is counted, by its length.
#[test]
fn frames_longer_than_ours_are_counted() {
    require_root!("frames_longer_than_ours_are_counted");
    in_lab_as(jumbo(), |lab| {
        for (frame_bytes, len_max) in [(0, 3840), (2048, 1792)] {
            let host = Raw::new(&lab.right);
            let mut port = open(&lab.right, |config| config.frame_bytes = frame_bytes);
            assert_eq!(port.mode().mode, "copy", "{}", port.mode());
            let sender = Raw::new(&lab.left);
            let lengths = [60, 1500, 1792, 1793, 3000, 3840, 3841, 8000, 9014];
            for (n, len) in lengths.into_iter().enumerate() {
                sender.send(&numbered(n as u64, len)).unwrap();
            }
            let fit = lengths.iter().filter(|&&len| len <= len_max).count();
            let mut seen = Vec::new();
            collect(&mut port, fit, |frame| seen.push(frame.bytes.len()));
            assert_eq!(seen, lengths[..fit]);
            let mut ledger = Ledger::default();
            count_in(&mut ledger, fit as u64);
            finish(&mut port, &mut ledger);
            assert_eq!(ledger.discarded[Reason::TooLong], (lengths.len() - fit) as u64);
            assert_eq!(ledger.received, lengths.len() as u64);
            assert_eq!(host.take().len(), lengths.len() - fit, "the host has them");
        }
    });
}

/// R16: the MTU changes while frames come; each frame is received or counted.
#[test]
fn the_mtu_may_change_at_any_time() {
    require_root!("the_mtu_may_change_at_any_time");
    in_lab_as(jumbo(), |lab| {
        let mut port = open(&lab.right, |_| {});
        let mut ledger = Ledger::default();
        let sender = Raw::new(&lab.left);
        let mut seed = 12_345u32;
        for n in 0..60 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let mtu = 68 + seed % (9000 - 68);
            lab.left.set_mtu(mtu).unwrap();
            lab.right.set_mtu(mtu).unwrap();
            sender.send(&numbered(n, mtu as usize + 14)).unwrap();
            std::thread::sleep(Duration::from_millis(1));
            let seen = take(&mut port, |frame| assert_eq!(number(frame.bytes), n)) as u64;
            count_in(&mut ledger, seen);
            assert_eq!(seen == 1, mtu + 14 <= 3840, "mtu {mtu}");
        }
        finish(&mut port, &mut ledger);
        assert_eq!(ledger.received, 60);
        assert!(ledger.discarded[Reason::TooLong] > 0, "{ledger:?}");
    });
}

/// What does not fit through the interface is counted, not sent; the rest of the batch goes.
#[test]
fn unfit_frames_are_counted_when_sent() {
    require_root!("unfit_frames_are_counted_when_sent");
    in_lab(|lab| {
        let peer = Raw::new(&lab.left);
        let mut port = open(&lab.right, |_| {});
        let frames =
            [numbered(1, 1514), numbered(2, 1519), vec![0; 13], Vec::new(), numbered(3, 60)];
        let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
        assert_eq!(port.transmit(&frames).unwrap().accepted, 5);
        let mut ledger = Ledger::default();
        finish(&mut port, &mut ledger);
        let numbers: Vec<u64> = peer.take().iter().map(|frame| number(frame)).collect();
        assert_eq!(numbers, [1, 3]);
        assert_eq!(ledger.unsent[Reason::TooLong], 1);
        assert_eq!(ledger.unsent[Reason::TxInvalid], 2);
        assert_eq!(port.frame_count().sending, 0);
    });
}
