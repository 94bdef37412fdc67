//! Every copy: once, in order, byte for byte; and all of one packet at once.

use super::*;
use std::time::Instant;
use tickwire_lab::require_root;

/// How many packets are replicated: `TICKWIRE_PACKETS=1000000 cargo test --release --test fan_out
/// exact`.
const PACKETS: &str = "TICKWIRE_PACKETS";
const SINGLES: u64 = 50;
/// Long before the engine's next housekeeping (ten times a second), which must not be what sends
/// the rest.
const APART_MS_MAX: u32 = 50;

fn all_copies_arrive(mode: &str, subscribers: u16, count: u64) {
    let lab = quiet_lab();
    let copies = copies(&lab, subscribers, count);
    let receiver = CopyReceiver::start(&lab.left, copies.clone()).expect("a receiver");
    let running = start(&lab, mode, &super::subscribers(&lab.left, subscribers), &[]);
    let started = Instant::now();
    send_all(&lab, &copies, &receiver, 0, count);
    let took = started.elapsed();
    let report = receiver.finish().expect("a port");
    let summary = stop(running);
    let spoilt = report.subscribers.iter().position(|one| !one.is_perfect());
    if let Some(place) = spoilt {
        let ledger = &report.ledger;
        let account = &summary["feeds"][0]["subscribers"][place];
        panic!("{mode}: {}; {account}; receiver: {ledger:?}", report.subscribers[place]);
    }
    let copied = count * u64::from(subscribers);
    assert_eq!(
        (report.foreign, report.received(), report.ledger.discarded.total()),
        (0, copied, 0)
    );
    assert_eq!((&summary["port"], &summary["received"]), (&mode.into(), &count.into()));
    for place in 0..usize::from(subscribers) {
        assert_eq!(account(&summary, place), (count, 0), "{mode}: subscriber {place}");
    }
    eprintln!(
        "{mode}: {count} packets to {subscribers} subscribers, {copied} copies, all once, in \
         order, byte for byte, in {:.1} s",
        took.as_secs_f64()
    );
}

#[test]
fn exact_for_64_subscribers() {
    require_root!("exact_for_64_subscribers");
    let _cores = one_at_a_time();
    for mode in modes() {
        all_copies_arrive(mode, 64, count_of(PACKETS, 500));
    }
}

#[test]
fn exact_for_1024_subscribers() {
    require_root!("exact_for_1024_subscribers");
    let _cores = one_at_a_time();
    // A veth has room for 256 copies, and mode xdp hands on all of a packet at once.
    for mode in modes().filter(|&mode| mode != "xdp") {
        all_copies_arrive(mode, 1024, count_of(PACKETS, 2_000) / 100);
    }
}

#[test]
fn copies_that_a_device_has_no_room_for_are_counted_for_each_subscriber() {
    require_root!("copies_that_a_device_has_no_room_for_are_counted_for_each_subscriber");
    let _cores = one_at_a_time();
    for mode in modes().filter(|&mode| mode == "xdp") {
        let lab = quiet_lab();
        let copies = copies(&lab, 1024, count_of(PACKETS, 2_000) / 20);
        let receiver = CopyReceiver::start(&lab.left, copies.clone()).expect("a receiver");
        let running = start(&lab, mode, &subscribers(&lab.left, 1024), &[]);
        let sent = send_udp(&lab.left, &copies.packets, &Schedule::flood(copies.count));
        assert_eq!(sent.expect("sent").difference(), 0);
        lab.wait_quiet().expect("quiet");
        let report = receiver.finish().expect("a port");
        let summary = stop(running);
        assert_eq!((report.foreign, &summary["received"]), (0, &copies.count.into()));
        assert_eq!(report.ledger.discarded.total(), 0, "the receiver loses none itself");
        let of = |place: usize| &summary["feeds"][0]["subscribers"][place];
        for (place, check) in report.subscribers.iter().enumerate() {
            let refused = of(place)["discarded"]["tx_ring_full"].as_u64().unwrap_or(0);
            let expected = (check.received, copies.count - check.received);
            assert_eq!(account(&summary, place), expected, "{check}; {}", of(place));
            assert_eq!(refused, expected.1, "{}", of(place));
            let faults = (check.duplicates, check.out_of_order, check.corrupted, check.beyond);
            assert_eq!(faults, (0, 0, 0, 0), "{mode}: {check}");
        }
        let received = report.received();
        assert!(received > 0 && received < 1024 * copies.count, "{received} copies: no overrun");
        eprintln!("{mode}: {received} of {} copies fitted", 1024 * copies.count);
    }
}

#[test]
fn all_copies_of_a_single_packet_leave_at_once() {
    require_root!("all_copies_of_a_single_packet_leave_at_once");
    let _cores = one_at_a_time();
    for mode in modes() {
        let lab = quiet_lab();
        let copies = Copies { ages: true, ..copies(&lab, 64, SINGLES) };
        let receiver = CopyReceiver::start(&lab.left, copies.clone()).expect("a receiver");
        let running = start(&lab, mode, &subscribers(&lab.left, 64), &[]);
        for number in 0..SINGLES {
            // Waits for all 64 before the next one is sent.
            send_all(&lab, &copies, &receiver, number, 1);
            assert_eq!(receiver.arrived(), (number + 1) * 64, "{mode}: packet {number}");
        }
        let report = receiver.finish().expect("a port");
        assert!(report.is_perfect(), "{mode}: {report:?}");
        stop(running);
        let apart = |number| {
            let ages = (0..64).map(|place| report.age_ns(place, number).expect("arrived"));
            ages.clone().max().unwrap() - ages.min().unwrap()
        };
        let mut apart: Vec<u32> = (0..SINGLES).map(apart).collect();
        apart.sort_unstable();
        let median_ns = apart[apart.len() / 2];
        assert!(median_ns < APART_MS_MAX * 1_000_000, "{mode}: {median_ns} ns apart");
        eprintln!("{mode}: the 64 copies of one packet arrive within {} µs", median_ns / 1000);
    }
}
