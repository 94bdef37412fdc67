//! As many dead subscribers as live ones: these lose nothing, and hardly wait longer.
//!
//! Three feeds of one replicator go to the same live subscribers; the last one has dead ones, too.
//! Blocks of packets to each take turns, so that all are measured in the same moments. What the
//! first two differ by, who have the same to do, says how far to trust the difference.

use super::*;
use std::net::UdpSocket;
use tickwire_lab::{CheckReport, CopiesReport, Tap, cpu, require_root};

const LIVE: u16 = 64;
/// Of each of the four kinds.
const DEAD: u16 = 16;
/// Packets to one feed before it is the next one's turn.
const BLOCK: u64 = 50;
/// Two without dead ones, one with them.
const FEEDS: u64 = 3;
const WITH_DEAD: u64 = 2;
const RATE_PPS: f64 = 1_000.0;
/// Where nobody listens, and where nobody reads.
const CLOSED_FIRST: u16 = 8000;
const STOPPED_FIRST: u16 = 9000;
/// With how many packets times are measured, and what is promised then: on a quiet machine with two
/// cores, `TICKWIRE_LATENCY_PACKETS=15000 cargo test --release --test fan_out dead`.
const PACKETS: &str = "TICKWIRE_LATENCY_PACKETS";
const PACKETS_SMALL: u64 = 450;
const GROWTH_NS_MAX: i64 = 5_000;

/// The addresses of the dead: no answer to ARP, a closed port, a receiver that stopped reading, a
/// full queue. The sockets must live as long as the receivers are to be stopped.
fn dead(lab: &Lab) -> (Vec<String>, Vec<UdpSocket>) {
    let [a, b, c, left] = lab.left.ipv4().octets();
    let silent = (0..DEAD).map(|n| format!("{a}.{b}.{c}.{}:7000", 100 + n));
    let at_left = |first| (0..DEAD).map(move |n| format!("{a}.{b}.{c}.{left}:{}", first + n));
    let full = (0..DEAD).map(|n| format!("{}:7000", Tap::address(2 + n as u8)));
    let bind = |n| UdpSocket::bind((lab.left.ipv4(), STOPPED_FIRST + n)).expect("a free port");
    let stopped = lab.left.run(|| (0..DEAD).map(bind).collect());
    let all = silent.chain(at_left(CLOSED_FIRST)).chain(at_left(STOPPED_FIRST)).chain(full);
    (all.collect(), stopped)
}

/// Sends blocks to ports 5000, 5001 and 5002 by turns.
fn send_by_turns(lab: &Lab, count: u64) {
    for first in (0..count).step_by(BLOCK as usize) {
        let port = 5000 + feed_of(first) as u16;
        let packets = Numbered { first, port, ..Numbered::between(&lab.left, &lab.right) };
        let schedule = Schedule::paced(BLOCK, RATE_PPS);
        let report = send_udp(&lab.left, &packets, &schedule).expect("sent");
        assert_eq!((report.sent, report.difference()), (BLOCK, 0), "{report}");
    }
}

/// The feed that packet `number` goes to.
fn feed_of(number: u64) -> u64 {
    number / BLOCK % FEEDS
}

/// p50 and p99 of the ages of all copies of one of the feeds, in nanoseconds.
fn percentiles(report: &CopiesReport, count: u64, feed: u64) -> [i64; 2] {
    let numbers = (0..count).filter(|&number| feed_of(number) == feed);
    let mut ages: Vec<u32> = numbers
        .flat_map(|number| (0..usize::from(LIVE)).filter_map(move |n| report.age_ns(n, number)))
        .collect();
    ages.sort_unstable();
    [50, 99].map(|percent| i64::from(ages[ages.len() * percent / 100]))
}

fn live_ones_do_not_notice(mode: &str, count: u64, measured: bool) {
    let lab = quiet_lab();
    let _tap = Tap::open(&lab.right, "full0", DEAD as u8).expect("a TAP interface");
    let (dead, _stopped) = dead(&lab);
    let cores = cpu::cores();
    let quiet = measured && cores.len() > 1;
    let copies =
        Copies { ages: true, spin_on: quiet.then(|| cores[1]), ..copies(&lab, LIVE, count) };
    let receiver = CopyReceiver::start(&lab.left, copies).expect("a receiver");
    let live = subscribers(&lab.left, LIVE);
    let others = ["again", "dead"].map(|name| {
        let port = 5001 + u16::from(name == "dead");
        format!("{}:{port},name={name}", lab.right.ipv4())
    });
    let again = live.iter().map(|to| format!("again={to}"));
    let with_dead = live.iter().chain(&dead).map(|to| format!("dead={to}"));
    let of_others: Vec<_> = again.chain(with_dead).collect();
    let mut more: Vec<&str> = others.iter().flat_map(|feed| ["--listen", feed]).collect();
    more.extend(of_others.iter().flat_map(|to| ["--subscriber", to]));
    if quiet {
        // The receiver has the other core to itself: what this thread starts is bound as well.
        cpu::pin(cores[0]).expect("a core of ours");
    }
    let running = start(&lab, mode, &live, &more);
    send_by_turns(&lab, count);
    receiver.wait(count * u64::from(LIVE), PATIENCE);
    let report = receiver.finish().expect("a port");
    let summary = stop(running);
    // Each feed has a worker of its own in mode udp: there is no order between them.
    let lost = |one: &&CheckReport| one.missing + one.duplicates + one.corrupted + one.beyond > 0;
    let spoilt = report.subscribers.iter().find(lost);
    assert!(spoilt.is_none() && report.foreign == 0, "{mode}: {spoilt:?}; {summary}");
    let subscribers = &summary["feeds"][WITH_DEAD as usize]["subscribers"];
    for (place, of) in subscribers.as_array().expect("a list").iter().enumerate() {
        let offered = of["offered"].as_u64().expect("a count");
        let lost = of["discarded"].as_object().expect("reasons").len();
        assert_eq!(offered, count / FEEDS, "{mode}: {of}");
        assert!(place >= usize::from(LIVE) || lost == 0, "{mode}: {of}");
    }
    let kind = |n: u16| &subscribers[usize::from(LIVE + n * DEAD)]["discarded"];
    let [without, again, with] = [0, 1, WITH_DEAD].map(|feed| percentiles(&report, count, feed));
    eprintln!(
        "{mode}: 64 live subscribers lost 0 of {count}; p50 and p99 {without:?} ns without dead \
         ones, the same again {again:?} ns, {with:?} ns with 64: no answer {}, closed {}, stopped \
         {}, full {}",
        kind(0),
        kind(1),
        kind(2),
        kind(3)
    );
    let growth = with[1] - without[1].midpoint(again[1]);
    assert!(!quiet || growth <= GROWTH_NS_MAX, "{mode}: p99 grows by {growth} ns");
}

#[test]
fn as_many_dead_ones_cost_the_live_ones_nothing() {
    require_root!("as_many_dead_ones_cost_the_live_ones_nothing");
    let _cores = one_at_a_time();
    let count = count_of(PACKETS, PACKETS_SMALL).next_multiple_of(FEEDS * BLOCK);
    modes().for_each(|mode| live_ones_do_not_notice(mode, count, count > PACKETS_SMALL));
}
