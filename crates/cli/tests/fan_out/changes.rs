//! Changes of the table under load, over the control socket as users make them: in force for the
//! next packet when they are answered, and nobody else notices.

use super::*;
use crate::common::{Folder, ask};
use serde_json::json;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;
use tickwire_lab::require_root;

const CHANGES: usize = if cfg!(debug_assertions) { 200 } else { 1000 };
/// Subscribers that nobody touches, and those who come and go by turns.
const UNTOUCHED: usize = 16;
const TOUCHED: usize = 4;
/// The load; at most so many packets, a minute's worth.
const RATE_PPS: f64 = 2_000.0;
const PACKETS_MAX: u64 = 120_000;
/// Packets that are sent at a time. At the end of one the next is announced.
const CHUNK: u64 = 8;
/// Packets that a change is watched for, at least.
const WATCHED: u64 = 4;

/// The load, while the changes are made.
#[derive(Default)]
struct Load {
    /// The first number of the chunk that is being sent.
    begun: AtomicU64,
    over: AtomicBool,
}

impl Load {
    /// Sends until it is over; how many.
    fn send(&self, lab: &Lab, copies: &Copies) -> u64 {
        let mut first = 0;
        while !self.over.load(Ordering::Acquire) && first < PACKETS_MAX {
            self.begun.store(first, Ordering::Release);
            let packets = Numbered { first, ..copies.packets.clone() };
            let some = Schedule::paced(CHUNK, RATE_PPS);
            let report = send_udp(&lab.left, &packets, &some).expect("sent");
            assert_eq!((report.sent, report.difference()), (CHUNK, 0), "{report}");
            first += CHUNK;
        }
        first
    }

    /// All numbers from this one on are sent later than now.
    fn next(&self) -> u64 {
        self.begun.load(Ordering::Acquire) + CHUNK
    }
}

/// Whatever fails must not leave the sender running.
impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Release);
    }
}

struct StopOnDrop<'a>(&'a Load);

/// A subscriber who comes and goes.
#[derive(Default)]
struct Guest {
    present: bool,
    /// Numbers that were sent after an addition was answered, and copied before the next removal
    /// was asked for; the other way round.
    wanted: Vec<Range<u64>>,
    unwanted: Vec<Range<u64>>,
    /// From when the last change is in force.
    since: u64,
}

/// How long changes took.
#[derive(Default)]
struct Times {
    /// From the request to its answer.
    answered: Vec<Duration>,
    /// From the answer to an addition to the first copy.
    copied: Vec<Duration>,
}

/// Waits until `subscriber` has a number of `number` or above.
fn wait_for(receiver: &CopyReceiver, subscriber: usize, number: u64, context: &str) {
    let deadline = Instant::now() + PATIENCE;
    while receiver.reached(subscriber) <= number {
        assert!(Instant::now() < deadline, "{context}: subscriber {subscriber}, number {number}");
        std::thread::sleep(Duration::from_micros(20));
    }
}

/// Adds or removes one guest after the other.
fn change(
    socket: &str,
    lab: &Lab,
    load: &Load,
    receiver: &CopyReceiver,
    mode: &str,
) -> (Vec<Guest>, Times) {
    let subscribers = "/v1/feeds/itch/subscribers";
    let mut guests: Vec<Guest> = (0..TOUCHED).map(|_| Guest::default()).collect();
    let mut times = Times::default();
    for change in 0..CHANGES {
        let place = UNTOUCHED + change % TOUCHED;
        let guest = &mut guests[change % TOUCHED];
        let address = format!("{}:{}", lab.left.ipv4(), PORT_FIRST + place as u16);
        // What the last of the untouched has, has been copied for everybody who was there.
        let before = guest.since..receiver.reached(UNTOUCHED - 1).max(guest.since);
        let had = receiver.reached(place);
        let asked = Instant::now();
        let (status, answer) = if guest.present {
            guest.wanted.push(before);
            ask(socket, &format!("DELETE {subscribers}/{address}"), "")
        } else {
            guest.unwanted.push(before);
            let body = json!({ "address": address }).to_string();
            ask(socket, &format!("POST {subscribers}"), &body)
        };
        let answered = Instant::now();
        assert!(status.contains(" 20"), "{mode}: {status}: {answer}");
        guest.present = !guest.present;
        guest.since = load.next();
        times.answered.push(answered - asked);
        if guest.present {
            wait_for(receiver, place, had, mode);
            times.copied.push(answered.elapsed());
        }
        wait_for(receiver, UNTOUCHED - 1, guest.since + WATCHED, mode);
    }
    (guests, times)
}

fn many_changes(mode: &str) {
    let lab = quiet_lab();
    let folder = Folder::new(&format!("fan-out-changes-{mode}"));
    let socket = folder.file("control");
    let all = (UNTOUCHED + TOUCHED) as u16;
    let copies = Copies { ages: true, ..copies(&lab, all, PACKETS_MAX) };
    let receiver = CopyReceiver::start(&lab.left, copies.clone()).expect("a receiver");
    let untouched = subscribers(&lab.left, UNTOUCHED as u16);
    let running = start(&lab, mode, &untouched, &["--control", &socket]);
    let load = Load::default();
    let (sent, (guests, times)) = std::thread::scope(|scope| {
        let sender = scope.spawn(|| load.send(&lab, &copies));
        let changed = {
            let _stop = StopOnDrop(&load);
            change(&socket, &lab, &load, &receiver, mode)
        };
        (sender.join().expect("no panic"), changed)
    });
    wait_for(&receiver, UNTOUCHED - 1, sent - 1, mode);
    lab.wait_quiet().expect("quiet");
    let summary = stop(running);
    assert_eq!((&summary["received"], &summary["delivered"]), (&json!(sent), &json!(sent)));
    let report = receiver.finish().expect("a port");
    for (place, check) in report.subscribers.iter().enumerate() {
        let faults = (check.duplicates, check.out_of_order, check.corrupted, check.beyond);
        assert_eq!(faults, (0, 0, 0, 0), "{mode}: {check}");
        assert!(place >= UNTOUCHED || check.received == sent, "{mode}: {check}");
    }
    for (guest, place) in guests.iter().zip(UNTOUCHED..) {
        let has = |number: u64| report.age_ns(place, number).is_some();
        let mut wanted = guest.wanted.iter().cloned().flatten();
        let mut unwanted = guest.unwanted.iter().cloned().flatten();
        let watched = guest.wanted.len() + guest.unwanted.len();
        assert_eq!(watched, CHANGES / TOUCHED);
        assert!(wanted.all(has), "{mode}: an addition was late, or a removal early");
        assert!(!unwanted.any(has), "{mode}: a removal was late");
    }
    eprintln!(
        "{mode}: {CHANGES} changes under {RATE_PPS} packets/s, 0 of {sent} lost by {UNTOUCHED} \
         others; median and most: from the request to its answer {}, then to the first copy {}",
        median_and_most(times.answered),
        median_and_most(times.copied)
    );
}

fn median_and_most(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    format!("{:?}, {:?}", times[times.len() / 2], times[times.len() - 1])
}

#[test]
fn changes_under_load_cost_the_others_nothing() {
    require_root!("changes_under_load_cost_the_others_nothing");
    let _cores = one_at_a_time();
    modes().for_each(many_changes);
}
