//! A link that is down for a second, or a process that is stopped for one: nothing leaves late,
//! every copy that is lost has a name.

use super::*;
use tickwire_lab::{SenderReport, require_root};

const SUBSCRIBERS: u16 = 4;
/// A second's worth at 1 000/s, which is the rate of all of this.
const SECOND: u64 = 1000;
/// How many seconds the way may take to be found again.
const SECONDS_MAX: u64 = 10;
/// As the replicator is told, in milliseconds; and how much later the link comes up than the last
/// packet of the outage was sent.
const AGE_MS_MAX: &str = "5";
const SETTLE: Duration = Duration::from_millis(100);
/// A copy that is older than this has waited in a queue of the kernel: for a neighbour's answer,
/// say, which it asks for once a second. What is younger may be due to other work of this machine.
const WAITED_MS_MAX: u32 = 500;
/// Packets that are lost at most after the link is up again: half of what they would be if the
/// kernel had asked for the neighbour once too early, which it repeats after a second.
const LOST_AFTER_MAX: usize = 500;

/// The end of the link that goes down.
#[derive(Clone, Copy, Debug)]
enum Down {
    Own,
    Peer,
}

/// Sends a second's worth from number `first` on.
fn send_second(lab: &Lab, first: u64) {
    let packets = Numbered { first, ..Numbered::between(&lab.left, &lab.right) };
    let schedule = Schedule::paced(SECOND, SECOND as f64);
    let report: SenderReport = send_udp(&lab.left, &packets, &schedule).expect("sent");
    assert_eq!((report.sent, report.difference()), (SECOND, 0), "{report}");
}

fn nothing_old_arrives(mode: &str, down: Down) {
    let lab = quiet_lab();
    let (near, far) = lab.branch().expect("another link");
    let each = u64::from(SUBSCRIBERS);
    let count = (2 + SECONDS_MAX) * SECOND;
    let copies = Copies { ages: true, ..copies(&lab, SUBSCRIBERS, count) };
    let receiver = CopyReceiver::start(&far, copies).expect("a receiver");
    let to = subscribers(&far, SUBSCRIBERS);
    let running = start(&lab, mode, &to, &["--age-ms-max", AGE_MS_MAX]);
    send_second(&lab, 0);
    assert!(receiver.wait(SECOND * each, PATIENCE), "{mode}: {} copies", receiver.arrived());
    let end = match down {
        Down::Own => &near,
        Down::Peer => &far,
    };
    end.set_up(false).expect("down");
    send_second(&lab, SECOND);
    std::thread::sleep(SETTLE);
    end.set_up(true).expect("up");
    near.wait_running(&far).expect("up");
    let mut sent = 2 * SECOND;
    while sent < count {
        let before = receiver.arrived();
        send_second(&lab, sent);
        sent += SECOND;
        if receiver.wait(before + SECOND * each, SETTLE) {
            break;
        }
    }
    std::thread::sleep(SETTLE);
    let report = receiver.finish().expect("a port");
    let summary = stop(running);
    assert_eq!(summary["received"], sent, "{mode}: {summary}");
    let mut oldest_ns = 0;
    for (place, check) in report.subscribers.iter().enumerate() {
        let context = format!("{mode}, {down:?}: {check}; {summary}");
        let age = |number| report.age_ns(place, number);
        let late = (SECOND..2 * SECOND).filter_map(age).count();
        assert_eq!(late, 0, "copies of packets that were sent during the outage; {context}");
        let after = (2 * SECOND..sent).filter(|&number| age(number).is_none()).count();
        assert!(after <= LOST_AFTER_MAX, "{after} lost with the link up; {context}");
        assert!((sent - SECOND..sent).all(|number| age(number).is_some()), "{context}");
        let faults = (check.duplicates, check.out_of_order, check.corrupted, check.beyond);
        assert_eq!(faults, (0, 0, 0, 0), "{context}");
        assert_eq!(account(&summary, place), (check.received, sent - check.received), "{context}");
        oldest_ns = (0..sent).filter_map(age).max().unwrap_or(0).max(oldest_ns);
    }
    assert!(oldest_ns < WAITED_MS_MAX * 1_000_000, "{mode}, {down:?}: {oldest_ns} ns old");
    let first = &summary["feeds"][0]["subscribers"][0];
    eprintln!(
        "{mode}, {down:?} end down: {sent} sent, {} copied, discarded {}, oldest copy {:.1} ms",
        first["copied"],
        first["discarded"],
        f64::from(oldest_ns) / 1e6
    );
}

#[test]
fn after_our_end_was_down_nothing_old_arrives_and_the_loss_is_exact() {
    require_root!("after_our_end_was_down_nothing_old_arrives_and_the_loss_is_exact");
    let _cores = one_at_a_time();
    modes().for_each(|mode| nothing_old_arrives(mode, Down::Own));
}

#[test]
fn after_the_other_end_was_down_nothing_old_arrives_and_the_loss_is_exact() {
    require_root!("after_the_other_end_was_down_nothing_old_arrives_and_the_loss_is_exact");
    let _cores = one_at_a_time();
    modes().for_each(|mode| nothing_old_arrives(mode, Down::Peer));
}

/// In mode `xdp` the kernel goes on without the process.
#[test]
fn after_the_process_was_stopped_nothing_old_arrives_and_the_loss_is_exact() {
    require_root!("after_the_process_was_stopped_nothing_old_arrives_and_the_loss_is_exact");
    let _cores = one_at_a_time();
    for mode in modes().filter(|&mode| mode != "xdp") {
        let lab = quiet_lab();
        let each = u64::from(SUBSCRIBERS);
        let sent = 3 * SECOND;
        let copies = Copies { ages: true, ..copies(&lab, SUBSCRIBERS, sent) };
        let receiver = CopyReceiver::start(&lab.left, copies).expect("a receiver");
        let to = subscribers(&lab.left, SUBSCRIBERS);
        let running = start(&lab, mode, &to, &["--age-ms-max", AGE_MS_MAX]);
        send_second(&lab, 0);
        assert!(receiver.wait(SECOND * each, PATIENCE), "{mode}: {} copies", receiver.arrived());
        running.signal(Signal::STOP);
        std::thread::sleep(SETTLE);
        send_second(&lab, SECOND);
        running.signal(Signal::CONT);
        std::thread::sleep(SETTLE);
        let before = receiver.arrived();
        send_second(&lab, 2 * SECOND);
        assert!(receiver.wait(before + SECOND * each, PATIENCE), "{mode}: it goes on");
        let report = receiver.finish().expect("a port");
        let summary = stop(running);
        let too_old = summary["discarded"]["too_old"].as_u64().unwrap_or(0);
        for (place, check) in report.subscribers.iter().enumerate() {
            let context = format!("{mode}: {check}; {summary}");
            let faults = (check.duplicates, check.out_of_order, check.corrupted, check.beyond);
            assert_eq!(faults, (0, 0, 0, 0), "{context}");
            assert_eq!(check.received + too_old, sent, "{context}");
            assert_eq!(account(&summary, place), (check.received, 0), "{context}");
            let ages = (0..sent).filter_map(|number| report.age_ns(place, number));
            assert!(ages.max() < Some(WAITED_MS_MAX * 1_000_000), "{context}");
        }
        eprintln!("{mode}, stopped for a second: {too_old} of {SECOND} too old");
    }
}
