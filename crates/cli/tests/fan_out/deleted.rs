//! An interface that is deleted and made again: every mode waits for it and goes on.

use super::*;
use std::net::UdpSocket;
use tickwire_lab::{Checker, UdpReceiver, require_root};

/// Packets before the interface goes, and after it is back.
const COUNT: u64 = 1_000;
/// Who waits for the first copy sends again so often.
const AGAIN: Duration = Duration::from_millis(100);

/// Sends [`COUNT`] packets, all of whose copies arrive.
fn all_arrive(mode: &str, lab: &Lab, receiver: &UdpReceiver) {
    let packets = Numbered::between(&lab.left, &lab.right);
    std::thread::scope(|scope| {
        let mut checker = Checker::new(COUNT);
        let check = scope.spawn(move || receiver.receive(&mut checker, COUNT, PATIENCE));
        let sent = send_udp(&lab.left, &packets, &Schedule::paced(COUNT, 10_000.0)).expect("sent");
        assert_eq!((sent.sent, sent.difference()), (COUNT, 0));
        let report = check.join().expect("no panic").expect("a socket");
        assert!(report.is_perfect(), "{mode}: {report:?}");
    });
}

/// Sends until a copy arrives: neighbours and routes are found again first.
fn wait_for_copies(mode: &str, lab: &Lab, receiver: &UdpReceiver) {
    let sender = lab.left.run(|| UdpSocket::bind((lab.left.ipv4(), 0))).expect("a socket");
    let socket = receiver.socket();
    socket.set_read_timeout(Some(AGAIN)).expect("a time limit");
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "{mode}: no copies after the interface was made again");
        sender.send_to(b"again", (lab.right.ipv4(), 5000)).expect("sent");
        if socket.recv(&mut [0; 8]).is_ok() {
            break;
        }
    }
    while socket.recv(&mut [0; 8]).is_ok() {}
}

#[test]
fn when_the_interface_is_made_again_copies_flow_again() {
    require_root!("when_the_interface_is_made_again_copies_flow_again");
    let _cores = one_at_a_time();
    for mode in modes() {
        let config = LabConfig { ipv6: false, gro: true, ..LabConfig::default() };
        let lab = Lab::veth(config).expect("a lab");
        let receiver =
            UdpReceiver::bind(&lab.left, lab.left.ipv4(), PORT_FIRST).expect("a free port");
        let running = start(&lab, mode, &subscribers(&lab.left, 1), &[]);
        all_arrive(mode, &lab, &receiver);
        for _ in 0..2 {
            lab.delete_link().expect("deleted");
            // The second time there is another one at once.
            running.wait_for("right0 is gone; waiting for it to come back");
            lab.create_link().expect("created");
            let index = lab.right.index().expect("it is there");
            running.wait_for(&format!("right0 is back (index {index}), receiving again"));
            wait_for_copies(mode, &lab, &receiver);
            all_arrive(mode, &lab, &receiver);
        }
        let summary = stop(running);
        let (copied, discarded) = account(&summary, 0);
        assert!(copied > 3 * COUNT, "{mode}: {summary}");
        assert_eq!(summary["received"], copied + discarded, "{mode}: {summary}");
    }
}
