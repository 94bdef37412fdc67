//! Sending: every frame goes or is counted.

use crate::support::*;
use tickwire_capture::Port;
use tickwire_frame::Ledger;
use tickwire_lab::require_root;

/// E11: more than 32 frames in one call; EAGAIN is no error.
#[test]
fn a_batch_of_any_size_goes_out_with_one_call() {
    require_root!("a_batch_of_any_size_goes_out_with_one_call");
    in_lab(|lab| {
        let peer = Raw::new(&lab.left);
        let mut port = open(&lab.right, |_| {});
        let mut next = 0;
        for count in [1, 31, 32, 33, 64, 100, 2000] {
            let frames: Vec<_> = (next..next + count).map(|n| numbered(n, 70)).collect();
            let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
            assert_eq!(port.transmit(&frames).unwrap().accepted, count as usize);
            let arrived = peer.take();
            assert_eq!(arrived.len(), count as usize);
            for (n, frame) in (next..).zip(&arrived) {
                assert_eq!(*frame, numbered(n, 70));
            }
            next += count;
        }
        let mut ledger = Ledger::default();
        finish(&mut port, &mut ledger);
        assert_eq!(ledger.unsent.total(), 0, "nothing was refused: {ledger:?}");
        assert_eq!(port.frame_count().sending, 0, "all have completed");
    });
}
